from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from edge.commands.demo import Watch, discrepancies, latencies, report, summarise
from edge.wire.messages import GatewayStatus, StationStatus

PARTS = (1, 2, 3)
OUTCOMES: list[dict[str, Any]] = [
    {"part": 1, "outcome": "PASS", "cause": "clean", "disposition": "ACCEPTED"},
    {"part": 2, "outcome": "PASS", "cause": "clean", "disposition": "ACCEPTED"},
    {"part": 3, "outcome": "REJECT", "cause": "rule", "disposition": "ACCEPTED"},
]
PLATES: list[dict[str, Any]] = [
    {"number": 1, "classes": (), "bin": "good"},
    {"number": 2, "classes": (), "bin": "good"},
    {"number": 3, "classes": ("crazing", "patches"), "bin": "reject"},
]
REFEREE: dict[str, Any] = {
    "parts": 3,
    "good_bin": 2,
    "reject_bin": 1,
    "wrong_part": 0,
    "escaped_no_permit": 0,
    "unjudged": 0,
    "defective": 1,
    "good": 2,
    "defective_rejected_by_rule": 1,
    "defective_in_good_bin": 0,
    "good_rejected_by_rule": 0,
}
STATION: dict[str, Any] = {
    "triggers": 3,
    "outcomes": {"PASS": 2, "REJECT": 1, "NO_DECISION": 0},
    "open": 0,
    "acknowledged": 3,
}
GATEWAY: dict[str, Any] = {
    "plc_triggers": 3,
    "announced": 3,
    "unannounced": 0,
    "permitted": 2,
    "rejected": {"reject": 1},
    "pending": 0,
    "executed": 2,
}


def status(kind: type[Any], changes: dict[str, Any]) -> Any:
    """Return a status message with ``changes``, and something of the right type in every other field."""
    blank: dict[str, Any] = {"int": 0, "str": "", "bool": True, "float": 100.0}
    fields = {name: blank.get(str(note), {}) for name, note in kind.__annotations__.items()}
    return kind(**{**fields, **changes})


def watch(station: dict[str, Any] | None = None, gateway: dict[str, Any] | None = None) -> Watch:
    return Watch(
        station=status(StationStatus, {**STATION, **(station or {})}),
        gateway=status(GatewayStatus, {**GATEWAY, **(gateway or {})}),
    )


def test_three_witnesses_that_agree_leave_nothing_over() -> None:
    assert discrepancies(watch(), REFEREE, PLATES, OUTCOMES) == []
    summary = summarise(watch(), REFEREE, PLATES, OUTCOMES)
    assert summary["reconciled"] is True
    assert (summary["detection_rate"], summary["false_reject_rate"], summary["missed"]) == (1.0, 0.0, 0)


@pytest.mark.parametrize(
    "station",
    [{"triggers": 4}, {"open": 1, "triggers": 4}, {"acknowledged": 2}, {"outcomes": {"PASS": 1, "REJECT": 1}}],
)
def test_a_station_that_is_out_by_one_shows(station: dict[str, Any]) -> None:
    assert discrepancies(watch(station=station), REFEREE, PLATES, OUTCOMES)


@pytest.mark.parametrize(
    "gateway",
    [{"plc_triggers": 4}, {"unannounced": 1}, {"permitted": 1}, {"executed": 1}, {"rejected": {}}, {"pending": 1}],
)
def test_a_gateway_that_is_out_by_one_shows(gateway: dict[str, Any]) -> None:
    assert discrepancies(watch(gateway=gateway), REFEREE, PLATES, OUTCOMES)


@pytest.mark.parametrize("referee", [{"wrong_part": 1}, {"escaped_no_permit": 1}, {"unjudged": 1}, {"good_bin": 1}])
def test_what_the_referee_saw_shows(referee: dict[str, Any]) -> None:
    assert discrepancies(watch(), {**REFEREE, **referee}, PLATES, OUTCOMES)


def test_a_plate_without_or_with_two_outcomes_shows() -> None:
    assert discrepancies(watch(), REFEREE, PLATES, OUTCOMES[:2])
    assert discrepancies(watch(), REFEREE, PLATES, [*OUTCOMES, OUTCOMES[0]])


def test_a_late_pass_is_missed_and_reconciles() -> None:
    late = [OUTCOMES[0], {**OUTCOMES[1], "disposition": "LATE"}, OUTCOMES[2]]
    gateway = {"permitted": 1, "executed": 1, "rejected": {"reject": 1, "late": 1}}
    referee = {**REFEREE, "good_bin": 1, "reject_bin": 2}
    summary = summarise(watch(gateway=gateway), referee, PLATES, late)
    assert (summary["problems"], summary["missed"]) == ([], 1)


def test_escapes_are_counted_by_class() -> None:
    plates = [*PLATES, {"number": 4, "classes": ("patches",), "bin": "good"}]
    summary = summarise(watch(), {**REFEREE, "defective": 2, "defective_in_good_bin": 1}, plates, OUTCOMES)
    assert summary["by_class"] == {"crazing": {"plates": 1, "escapes": 0}, "patches": {"plates": 2, "escapes": 1}}
    assert "1 of 2 (patches 1 of 2)" in told(summary)


def test_a_rate_of_nothing_is_not_measurable_and_never_0() -> None:
    none_good = summarise(watch(), {**REFEREE, "good": 0, "good_rejected_by_rule": 0}, PLATES, OUTCOMES)
    assert (none_good["false_reject_rate"], none_good["detection_rate"]) == (None, 1.0)
    text = told(none_good)
    assert "overkill not measurable: no such plate was shown" in text
    assert "3: 1 defective, 0 good, 2 of which nobody knows" in text
    referee = {**REFEREE, "defective": 0, "defective_rejected_by_rule": 0}
    assert summarise(watch(), referee, PLATES, OUTCOMES)["detection_rate"] is None


def told(summary: dict[str, Any]) -> str:
    """Return what a person reads."""
    console = Console(file=io.StringIO(), width=200, record=True)
    report(summary, console)
    return " ".join(console.export_text().replace("│", " ").split())


def test_processes_that_never_spoke_do_not_reconcile() -> None:
    assert discrepancies(Watch(), REFEREE, PLATES, OUTCOMES)


def test_no_latency_without_acknowledgements() -> None:
    assert latencies([]) == {"p50": 0.0, "p99": 0.0, "max": 0.0}
