"""The last minutes: rates, trend, and since when alarms stand."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import NS_PER_S as S
from edge.monitor.band import Band, silences
from edge.monitor.recent import MINUTES, WINDOW, Recent, Standing, Trend, latency_ms, wall_ms_of
from edge.monitor.state import LineState
from edge.monitor.summary import FINDINGS, POINTS, _quantile, findings, health, summarise
from edge.record.annotations import Acknowledgement
from edge.wire.messages import FindingRecord, GatewayStatus, PartRecord, StationStatus
from tests.support_monitor import GATEWAY, PART, STATION

MINUTE = 60_000
NOW_MS = 100_000 * MINUTE


def status(passes: int, rejects: int = 0, **values: Any) -> StationStatus:
    outcomes = {"PASS": passes, "REJECT": rejects}
    return msgspec.convert({**STATION, "outcomes": outcomes, **values}, StationStatus)


def part(**values: Any) -> PartRecord:
    return msgspec.convert({**PART, **values}, PartRecord)


def told(recent: Recent) -> dict[str, Any]:
    return summarise(LineState(), recent, Band("RUNNING"), [], 0, 0, NOW_MS, {})


def counted(trend: Trend, wall_ms: int = NOW_MS) -> list[tuple[int, int]]:
    return [(p["parts"], p["rejects"]) for p in trend.points(wall_ms) if p["parts"] or p["rejects"]]


# -- trend ------------------------------------------------------------------------------------------------------------


def test_a_trend_counts_what_closed_between_two_statuses() -> None:
    trend = Trend()
    trend.take(status(100, 10), NOW_MS - MINUTE)
    trend.take(status(105, 12), NOW_MS - MINUTE)
    trend.take(status(106, 12), NOW_MS)
    assert counted(trend) == [(7, 2), (1, 0)]


def test_a_run_that_began_anew_counts_from_zero() -> None:
    trend = Trend()
    trend.take(status(100), NOW_MS)
    trend.take(status(4, 1, started_wall="later"), NOW_MS)
    assert counted(trend) == [(5, 1)]


def test_the_trend_has_one_point_a_minute_of_the_last_hour() -> None:
    trend = Trend()
    for minute in range(3 * MINUTES):
        trend.add(NOW_MS + minute * MINUTE, 1, 0)
    points = trend.points(NOW_MS + (3 * MINUTES - 1) * MINUTE)
    assert len(points) == MINUTES == len(trend._minutes)
    assert [p["parts"] for p in points] == [1] * MINUTES
    assert points[-1]["t"] - points[0]["t"] == (MINUTES - 1) * MINUTE


def test_a_wall_clock_that_is_set_back_ends_no_trend() -> None:
    trend, parts = Trend(), 0
    for minute in range(MINUTES + 5):
        trend.take(status(parts), NOW_MS + minute * MINUTE)
        parts += 1
    earlier = NOW_MS - 90 * MINUTE
    trend.take(status(parts), earlier)
    trend.take(status(parts + 4), earlier + MINUTE)
    assert counted(trend, earlier + MINUTE) == [(1, 0), (4, 0)]


def test_minutes_from_the_journal_do_not_count_twice() -> None:
    trend = Trend()
    trend.add(NOW_MS, 5, 1)
    now = NOW_MS // MINUTE
    trend.remember({now - 1: (7, 2), now: (4, 4)})
    assert counted(trend) == [(7, 2), (5, 1)]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 10), st.integers(0, 300)), max_size=30))
def test_no_part_of_the_hour_is_lost_or_counted_twice(steps: list[tuple[int, int, int]]) -> None:
    trend, passes, rejects, wall_ms = Trend(), 0, 0, NOW_MS
    trend.take(status(0), wall_ms)
    for more, bad, seconds in steps:
        passes, rejects, wall_ms = passes + more, rejects + bad, wall_ms + seconds * 1000 // len(steps)
        trend.take(status(passes, rejects), wall_ms)
    assert sum(p for p, _ in counted(trend, wall_ms)) == passes + rejects
    assert sum(r for _, r in counted(trend, wall_ms)) == rejects


# -- alarms -----------------------------------------------------------------------------------------------------------


def test_an_alarm_stands_since_it_was_first_heard_of() -> None:
    standing = Standing()
    standing.take("station", {"camera": "gone"}, 1)
    standing.take("station", {"camera": "gone", "journal": "full"}, 2)
    standing.take("gateway", {}, 3)
    assert standing.since_ms == {("station", "camera"): 1, ("station", "journal"): 2}
    standing.take("station", {}, 4)
    standing.take("station", {"camera": "gone"}, 5)
    assert standing.since_ms == {("station", "camera"): 5}


def test_the_journal_tells_since_when_a_found_alarm_stands() -> None:
    for first in (True, False):
        standing = Standing()
        if first:
            standing.remember({("station", "camera"): 10, ("station", "journal"): 20})
        standing.take("station", {"camera": "gone"}, 50)
        if not first:
            standing.remember({("station", "camera"): 10, ("station", "journal"): 20})
        standing.take("station", {"camera": "gone", "journal": "full"}, 60)
        assert standing.since_ms == {("station", "camera"): 10, ("station", "journal"): 60}, "new ones are not the old"
        standing.take("station", {}, 70)
        standing.take("station", {"camera": "gone"}, 80)
        assert standing.since_ms == {("station", "camera"): 80}


def test_an_acknowledgement_counts_for_what_was_raised_before_it() -> None:
    recent, state = Recent(), LineState()
    status_ = status(1, alarms={"camera": "gone"})
    state.take(status_, 0)
    recent.take(status_, 0, 1000)

    def shown(wall_ms: int) -> Any:
        seen = Acknowledgement("station", "camera", 1000, "anna", wall_ms, "")
        values = summarise(state, recent, Band("FAULT"), [], 0, 0, NOW_MS, {("station", "camera"): seen})
        return values["alarms"][0]["acknowledged_by"]

    assert shown(1000) == "anna"
    assert shown(999) is None


# -- parts ------------------------------------------------------------------------------------------------------------


def test_what_does_not_pass_is_rejected_or_without_a_decision() -> None:
    recent = Recent()
    for n, outcome in enumerate(["PASS", "PASS", "REJECT", "NO_DECISION"]):
        recent.take(part(outcome=outcome), n, n)
    assert (told(recent)["reject_rate"], told(recent)["not_passed_rate"]) == (0.25, 0.5)


def test_the_reject_rate_is_of_the_last_parts_and_of_products_alone() -> None:
    recent = Recent()
    assert told(recent)["reject_rate"] is None
    for n in range(WINDOW):
        recent.take(part(outcome="REJECT", challenge="piece" if n % 2 else ""), n, n)
    assert told(recent)["reject_rate"] == 1
    for n in range(WINDOW // 4):
        recent.take(part(), n, n)
    assert told(recent)["reject_rate"] == round((WINDOW * 3 // 8) / (WINDOW * 5 // 8), 4)
    assert len(recent.window) == WINDOW


def test_latency_is_to_the_gateways_answer_or_without_a_session_to_the_verdict() -> None:
    assert latency_ms(part(t0_ns=5, t2_ns=5, t4_ns=1_000_005)) == 1.0
    assert latency_ms(part(t0_ns=5, t2_ns=2_000_005, t4_ns=None)) is None
    assert latency_ms(part(t0_ns=5, t2_ns=2_000_005, t4_ns=None, session=0)) == 2.0
    assert latency_ms(part(t0_ns=5, t2_ns=None, t4_ns=None, session=0)) is None
    assert latency_ms(part(t0_ns=5, t4_ns=4)) is None


def test_a_gateway_that_does_not_answer_makes_no_latency_better() -> None:
    for has_gateway in (False, True):
        recent = Recent()
        if has_gateway:
            recent.take(msgspec.convert(GATEWAY, GatewayStatus), 0, 0)
        recent.take(part(t0_ns=0, t4_ns=40_000_000), 1, 1)
        recent.take(part(t0_ns=0, t2_ns=2_000_000, t4_ns=None, session=0), 2, 2)
        latency = told(recent)["latency"]
        assert (latency["p50"], latency["unanswered"]) == ((40, 1) if has_gateway else (2, 0))


def test_the_chart_is_bounded_and_its_figures_are_of_the_window() -> None:
    recent = Recent()
    for n in range(1, WINDOW + 1):
        recent.take(part(t0_ns=0, t4_ns=n * 1_000_000), n, n)
    latency = told(recent)["latency"]
    assert (latency["p50"], latency["p99"], latency["max"]) == (WINDOW / 2, WINDOW * 0.99, WINDOW)
    assert len(latency["points"]) == POINTS
    assert latency["points"][-1] == (WINDOW, WINDOW)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=300), st.sampled_from([0.5, 0.99]))
def test_a_quantile_is_the_least_that_the_share_does_not_exceed(values: list[int], share: float) -> None:
    ordered = sorted(map(float, values))
    found = _quantile(ordered, share)
    assert found is not None
    assert sum(v <= found for v in ordered) >= share * len(ordered)
    assert sum(v < found for v in ordered) < share * len(ordered)


def test_when_parts_flood_the_oldest_passes_go_first() -> None:
    recent = Recent()
    for n in range(1000):
        recent.take(part(part=n, outcome="REJECT" if n < 100 else "PASS"), n, n)
    fresh = [record.part for record, _ in recent.drain()]
    assert fresh == [*range(100), *range(900, 1000)]
    assert recent.drain() == []


def test_a_wall_clock_that_cannot_be_read_is_replaced() -> None:
    assert wall_ms_of("2026-11-22T05:59:00.250+00:00", 7) == 1795327140250
    assert wall_ms_of("now", 7) == 7


def test_the_strongest_findings_are_told() -> None:
    many = [FindingRecord("pit", n / 100, (0, 0, 1.26, 1)) for n in range(99)]
    shown = findings(many)
    assert len(shown) == FINDINGS
    assert shown[0] == {"cls": "pit", "score": 0.98, "box": [0, 0, 1.3, 1]}


def test_lights_are_dark_where_nobody_can_tell() -> None:
    assert {light["ok"] for light in health(LineState(), Recent(), 0).values()} == {None}
    state = LineState()
    state.take(status(1, journal={"problem": "the disk is full"}), 0)
    lights = health(state, Recent(), 0)
    assert (lights["camera"]["ok"], lights["disk"]["ok"], lights["disk"]["text"]) == (True, False, "the disk is full")
    assert lights["gateway"]["ok"] is False, "the station has a session, and nobody is heard"


def test_the_engine_is_red_while_its_causes_are_recent() -> None:
    recent, state = Recent(), LineState()
    state.take(status(1), 0)
    recent.take(part(outcome="NO_DECISION", cause="engine_fault"), 0, 0)
    assert health(state, recent, 0)["engine"]["key"] == "cause.engine_fault"
    for _ in range(20):
        recent.take(part(), 0, 0)
    assert health(state, recent, 0)["engine"]["ok"] is True


def test_the_engine_is_judged_by_parts_of_this_run_and_of_the_last_minute() -> None:
    recent, state = Recent(), LineState()

    def light(at_s: int, **values: Any) -> Any:
        state.take(status(1, **values), at_s * S)
        recent.take(status(1, **values), at_s * S, 0)
        return health(state, recent, at_s * S)["engine"]["ok"]

    assert light(0) is None, "no part yet: it may still load"
    recent.take(part(outcome="NO_DECISION", cause="compute_timeout"), S, 0)
    assert light(61) is False
    assert light(62) is True, "the line has stood since"
    assert light(63, started_wall="later") is None


def test_the_eye_has_a_light() -> None:
    recent, state = Recent(), LineState()
    state.take(status(1), 0)
    assert health(state, recent, 0)["trigger"]["ok"] is True
    state.take(status(1, alarms={"trigger": "the trigger is gone"}), 0)
    assert health(state, recent, 0)["trigger"]["key"] == "alarm.trigger"


# -- alarms that are told ---------------------------------------------------------------------------------------------


def test_alarms_of_a_silent_side_are_stale_and_its_silence_is_one() -> None:
    recent, state, late = Recent(), LineState(), 100 * S
    for message in (status(1, alarms={"evidence": "slow"}), msgspec.convert(GATEWAY, GatewayStatus)):
        state.take(message, 0)
        recent.take(message, 0, 1000)
    silent = [told for told in silences(state, late, True) if told.key == "station_silent"]
    recent.standing.take("monitor", {told.key: told.reason for told in silent}, 2000)
    alarms = summarise(state, recent, Band("FAULT"), silent, 0, late, NOW_MS, {})["alarms"]
    assert [(a["source"], a["name"], a["since_ms"], a["stale"]) for a in alarms] == [
        ("monitor", "station_silent", 2000, False),
        ("station", "evidence", 1000, True),
    ]
    assert alarms[0]["remedy"]
    fresh = summarise(state, recent, Band("RUNNING"), [], 0, 0, NOW_MS, {})["alarms"]
    assert [(a["name"], a["stale"]) for a in fresh] == [("evidence", False)]
