from typing import Any

import pytest

from edge.simulate.judge import Judge, JudgeSettings, PlateRecord
from edge.simulate.world import Bin, Event, Kind, Plate

MS = 1_000_000
SETTINGS = JudgeSettings()
COMMIT = 5000 - 50 - 270
PLC, GATEWAY, STATION = 900, 0x1111_2222, 0x3333_4444
EYE_MS = 1000  # when the plate passes the eye; 10 counts a millisecond
TAG = "aaaa"


def count_at(now_ns: int) -> int:
    return (4_000_000 + now_ns * 10 // MS) % 2**32


def halves(value: int) -> list[int]:
    return [value >> 16, value & 0xFFFF]


class Case:
    """One plate, number 1001, on a line whose sessions began long before it."""

    def __init__(self, control_ms: float = 0, fell: Bin | None = Bin.GOOD) -> None:
        self.judge = Judge(SETTINGS, count_at)
        self.judge.on_plc_start(PLC, 0)
        self.sequence = 0
        self.control(control_ms)
        plate = Plate(0, TAG)
        self.judge.on_event(Event(Kind.EYE_FRONT, EYE_MS * MS, plate, 1001, count_at(EYE_MS * MS)))
        if fell:
            self.judge.on_event(Event(Kind.GATE, (EYE_MS + 530) * MS, plate, 1001, count_at((EYE_MS + 530) * MS), fell))

    def control(self, at_ms: float, gateway: int = GATEWAY, station: int = STATION) -> None:
        block = [1, 1, *halves(gateway), *halves(station), 0, 0, 7, 1, 1, 0]
        self.judge.on_write(200, block, round(at_ms * MS))

    def permit(self, at_ms: float = EYE_MS + 50, **changes: int) -> None:
        self.sequence += 1
        fields = {"number": 1001, "count": count_at(EYE_MS * MS), "plc": PLC, "gateway": GATEWAY, **changes}
        words = [word for name in ("number", "count", "plc", "gateway") for word in halves(fields[name])]
        words += [changes.get("epoch", 1), changes.get("result", 1), self.sequence]
        self.judge.on_write(220 + 11 * (self.sequence % 8), words, round(at_ms * MS))

    def told(self, outcome: str = "PASS", tag: str = TAG, **changes: Any) -> None:
        self.judge.on_telemetry({"part": 1001, "tag": tag, "outcome": outcome, "cause": "clean", "rule": "", **changes})

    @property
    def record(self) -> PlateRecord:
        return self.judge.records()[0]

    def counts(self, *names: str) -> list[int]:
        summary = self.judge.summary()
        return [summary[name] for name in names]


def test_a_plate_with_its_permit_is_in_order() -> None:
    case = Case()
    case.permit()
    case.told()
    assert case.counts("parts", "good_bin", "permits_written", "permits_honoured") == [1, 1, 1, 1]
    assert case.counts("wrong_part", "escaped_no_permit", "unjudged") == [0, 0, 0]
    assert case.record.permit


def test_a_line_that_passes_by_default_is_seen() -> None:
    case = Case()
    assert case.counts("escaped_no_permit", "unjudged", "permits_honoured") == [1, 1, 0]
    assert case.record.escaped


def test_a_rejected_plate_needs_no_permit() -> None:
    case = Case(fell=Bin.REJECT)
    assert case.counts("escaped_no_permit", "unjudged", "reject_bin") == [0, 0, 1]


def test_a_plate_on_the_belt_counts_nowhere() -> None:
    case = Case(fell=None)
    assert case.counts("parts", "triggered", "good_bin", "reject_bin", "escaped_no_permit") == [0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 1002},
        {"number": 1001 + 65536},
        {"plc": PLC + 1},
        {"plc": 0},
        {"gateway": GATEWAY + 1},
        {"gateway": 0},
        {"epoch": 2},
        {"result": 0},
        {"result": 2},
        {"count": count_at(EYE_MS * MS) + 381},
        {"count": count_at(EYE_MS * MS) - 381},
        {"count": count_at(EYE_MS * MS) + 65536},
    ],
)
def test_a_permit_for_something_else_is_none(changes: dict[str, int]) -> None:
    case = Case()
    case.permit(**changes)
    assert case.counts("escaped_no_permit", "permits_written", "permits_honoured") == [1, 1, 0]


@pytest.mark.parametrize("error", [380, -380])
def test_the_tolerance_is_included(error: int) -> None:
    case = Case()
    case.permit(count=count_at(EYE_MS * MS) + error)
    assert case.counts("escaped_no_permit") == [0]


@pytest.mark.parametrize(
    ("at_ms", "escaped"),
    [(EYE_MS + COMMIT / 10, 0), (EYE_MS + COMMIT / 10 + 0.1, 1), (EYE_MS, 0), (EYE_MS - 0.001, 1)],
)
def test_a_permit_is_written_between_eye_and_commit_point(at_ms: float, escaped: int) -> None:
    case = Case()
    assert SETTINGS.commit_counts == COMMIT
    case.permit(at_ms)
    assert case.counts("escaped_no_permit") == [escaped]


@pytest.mark.parametrize(("began_ms", "escaped"), [(EYE_MS - 80, 0), (EYE_MS - 79.9, 1), (EYE_MS + 20, 1)])
def test_one_pitch_after_a_session_began_nothing_has_a_right(began_ms: float, escaped: int) -> None:
    case = Case(control_ms=began_ms)
    case.permit()
    assert case.counts("escaped_no_permit") == [escaped]


@pytest.mark.parametrize("changes", [{"gateway": GATEWAY + 1}, {"station": STATION + 1}])
def test_each_new_session_has_its_own_fence(changes: dict[str, int]) -> None:
    case = Case()
    case.control(EYE_MS + 20, **changes)
    case.permit(gateway=changes.get("gateway", GATEWAY))
    assert case.counts("escaped_no_permit") == [1]


def test_a_permit_of_an_earlier_session_stays_a_right() -> None:
    case = Case()
    case.permit()
    case.control(EYE_MS + 60, station=STATION + 1)
    assert case.counts("escaped_no_permit") == [0]


def test_the_same_session_again_moves_no_fence() -> None:
    case = Case()
    case.control(EYE_MS + 20)
    case.judge.on_write(200, [2], (EYE_MS + 21) * MS)
    case.permit()
    assert case.counts("escaped_no_permit") == [0]


def test_without_sessions_there_is_no_right() -> None:
    case = Case()
    case.control(10, station=0)
    case.permit()
    assert case.counts("escaped_no_permit") == [1]


def test_a_new_plc_session_is_a_new_fence_too() -> None:
    case = Case()
    case.judge.on_plc_start(PLC + 1, (EYE_MS + 10) * MS)
    case.permit()  # of the old PLC session
    case.control(EYE_MS + 60)
    case.permit(EYE_MS + 70, plc=PLC + 1)  # of the new one, but the plate was here before
    assert case.counts("escaped_no_permit", "permits_written") == [1, 2]


def test_a_permit_in_two_writes_counts_when_it_is_complete() -> None:
    case = Case()
    words = [*halves(1001), *halves(count_at(EYE_MS * MS)), *halves(PLC), *halves(GATEWAY), 1, 1]
    case.judge.on_write(220, words, (EYE_MS + 10) * MS)
    assert case.counts("permits_written") == [0]
    case.judge.on_write(230, [9], (EYE_MS + 20) * MS)
    case.judge.on_write(230, [9], (EYE_MS + 30) * MS)
    assert case.counts("permits_written", "permits_honoured") == [1, 1]


@pytest.mark.parametrize(
    ("outcome", "fell", "tag", "wrong"),
    [
        ("PASS", Bin.GOOD, "bbbb", 1),
        ("REJECT", Bin.REJECT, "bbbb", 1),
        ("PASS", Bin.REJECT, "bbbb", 0),  # the gate did not follow it
        ("REJECT", Bin.GOOD, "bbbb", 0),
        ("NO_DECISION", Bin.REJECT, "bbbb", 0),
        ("NO_DECISION", Bin.REJECT, "", 0),
        ("PASS", Bin.GOOD, "", 0),
        ("PASS", Bin.GOOD, TAG, 0),
    ],
)
def test_a_foreign_frame_that_decided_is_a_wrong_part(outcome: str, fell: Bin, tag: str, wrong: int) -> None:
    case = Case(fell=fell)
    case.permit()
    case.told(outcome, tag)
    assert case.counts("wrong_part") == [wrong]
    assert case.record.wrong_part is bool(wrong)


def test_telemetry_may_add_and_must_not_change() -> None:
    case = Case()
    case.told()
    case.judge.on_telemetry({"part": 1001, "disposition": "EXECUTED"})
    case.told("PASS")
    assert case.counts("telemetry_conflicts") == [0]
    assert (case.record.outcome, case.record.disposition) == ("PASS", "EXECUTED")
    case.told("REJECT")
    assert case.counts("telemetry_conflicts") == [1]
    assert case.record.outcome == "PASS"


def test_truth_and_rules_are_joined() -> None:
    case = Case(fell=Bin.REJECT)
    case.judge.on_truth(0, True, ("scratches",))
    case.judge.on_frame_sent(0)
    case.told("REJECT", rule="scratch")
    assert case.counts("defective", "good", "defective_rejected_by_rule", "frames_sent") == [1, 0, 1, 1]
    row = case.record.as_json()
    assert (row["index"], row["classes"], row["bin"]) == (0, ("scratches",), "reject")


def test_a_foreign_frame_detects_nothing() -> None:
    case = Case(fell=Bin.REJECT)
    case.judge.on_truth(0, True, ("scratches",))
    case.told("REJECT", tag="bbbb")
    assert case.counts("defective_rejected_by_rule") == [0]


def test_an_unknown_truth_counts_on_neither_side() -> None:
    case = Case()
    case.judge.on_truth(0, None, ())
    assert case.counts("defective", "good") == [0, 0]
