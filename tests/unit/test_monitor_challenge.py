"""The metrics of challenges."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from edge.core.challenge import Result
from edge.core.challenge_due import REASONS
from edge.monitor.metrics import LineCollector
from edge.monitor.state import LineState
from edge.wire.messages import ChallengeEnd, ChallengeStatus
from tests.unit.test_monitor_metrics import station


def test_challenges_are_told_before_the_first_and_after_the_last() -> None:
    state, registry = LineState(), CollectorRegistry()
    LineCollector(state, registry)
    value = registry.get_sample_value
    state.take(station(), 0)
    assert value("edge_challenge_passed") == value("edge_challenge_last_timestamp_seconds") == 0
    assert [value("edge_challenge_runs_total", {"result": result.value}) for result in Result] == [0] * len(Result)
    assert [value("edge_challenge_due", {"reason": reason}) for reason in REASONS] == [0] * len(REASONS)
    status = ChallengeStatus(
        configured=True,
        due={"shift": "a shift began"},
        last=ChallengeEnd(4, "passed", 1_700_000_000_500, "anna"),
        passed=True,
        runs={"passed": 3, "failed": 1},
    )
    state.take(station(challenge=status, alarms={"challenge_due": "A challenge is due."}), 0)
    assert value("edge_challenge_passed") == 1
    assert value("edge_challenge_last_timestamp_seconds") == 1_700_000_000.5
    assert value("edge_challenge_due", {"reason": "shift"}) == 1
    assert value("edge_challenge_due", {"reason": "hours"}) == 0
    assert value("edge_challenge_runs_total", {"result": "passed"}) == 3
    assert value("edge_challenge_runs_total", {"result": "skipped"}) == 0
    assert value("edge_station_alarm", {"alarm": "challenge_due"}) == 1
    assert value("edge_station_alarm", {"alarm": "challenge_failed"}) == 0
