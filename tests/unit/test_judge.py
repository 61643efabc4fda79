from typing import Any

import pytest

from edge.simulate.judge import Judge
from edge.simulate.rights import JudgeSettings
from edge.simulate.tally import PlateRecord
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
        self.judge.on_event(Event(Kind.EYE_FRONT, EYE_MS * MS, plate, 1001, count_at(EYE_MS * MS)), 1)
        if fell:
            gate = Event(Kind.GATE, (EYE_MS + 530) * MS, plate, 1001, count_at((EYE_MS + 530) * MS), fell)
            self.judge.on_event(gate, 1)

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


WINDOW_MS = EYE_MS + (5000 - 50 - 320) / 10  # the last moment at which no scan can have opened the gate


@pytest.mark.parametrize(
    ("sessions", "at_ms", "escaped"),
    [
        ({"station": STATION + 1}, EYE_MS + 60, 1),
        ({"gateway": GATEWAY + 1}, EYE_MS + 60, 1),
        ({"gateway": 0, "station": 0}, EYE_MS + 60, 1),
        ({"station": STATION + 1}, WINDOW_MS - 0.1, 1),
        ({"station": STATION + 1}, WINDOW_MS, 0),
        ({"station": 0}, EYE_MS + 60, 0),  # it has left, and its verdict was given
    ],
)
def test_a_session_that_follows_takes_back_what_was_permitted_before(
    sessions: dict[str, int], at_ms: float, escaped: int
) -> None:
    case = Case()
    case.permit()
    case.control(at_ms, **sessions)
    assert case.counts("escaped_no_permit", "permits_honoured") == [escaped, 1 - escaped]


@pytest.mark.parametrize(("at_ms", "escaped"), [(EYE_MS + 60, 1), (WINDOW_MS - 0.1, 1), (WINDOW_MS, 0)])
def test_a_plc_that_starts_anew_knows_no_permit(at_ms: float, escaped: int) -> None:
    case = Case()
    case.permit()
    case.judge.on_plc_start(PLC + 1, round(at_ms * MS))
    assert case.counts("escaped_no_permit") == [escaped]


@pytest.mark.parametrize(
    ("beat_ms", "noticed_ms", "escaped"),
    [
        (EYE_MS + 60, EYE_MS + 240, 0),  # the watchdog and three scans
        (EYE_MS + 60, EYE_MS + 240.1, 1),
        (EYE_MS + 60, WINDOW_MS, 0),
        (EYE_MS + 300, EYE_MS + 470, 0),
    ],
)
def test_a_gateway_whose_heart_has_stopped_permits_nothing(beat_ms: float, noticed_ms: float, escaped: int) -> None:
    case = Case()
    case.permit()
    case.judge.on_write(200, [2], round(beat_ms * MS))
    case.judge.watch(round(noticed_ms * MS))
    assert case.counts("escaped_no_permit") == [escaped]


def test_a_heart_that_beats_again_gives_nothing_back_and_takes_nothing_later() -> None:
    case = Case()
    case.permit(EYE_MS + 20)
    case.judge.watch((EYE_MS + 30) * MS)  # the last beat was a second ago
    case.judge.on_write(200, [2], (EYE_MS + 40) * MS)
    case.judge.watch((EYE_MS + 45) * MS)
    assert case.counts("escaped_no_permit") == [1]
    case.permit(EYE_MS + 50)
    assert case.counts("escaped_no_permit") == [0]


@pytest.mark.parametrize(
    ("word", "unasked"),
    [
        ({"outcome": "PASS"}, 0),
        ({"outcome": "PASS", "tag": ""}, 1),
        ({"outcome": "PASS", "tag": "bbbb"}, 1),
        ({"outcome": "REJECT"}, 1),
        ({"outcome": "NO_DECISION"}, 1),
        (None, 1),
    ],
)
def test_a_permit_against_the_verdict_is_seen(word: dict[str, str] | None, unasked: int) -> None:
    case, rejected = Case(), Case(fell=Bin.REJECT)
    for each in (case, rejected):
        each.permit()
        if word is not None:
            each.told(**word)
    assert case.counts("escaped_no_permit", "passed_unasked") == [0, unasked]
    assert case.record.unasked is bool(unasked)
    assert rejected.counts("passed_unasked") == [0]


def test_a_plate_without_a_word_may_have_lost_it_in_a_fault_and_a_word_against_it_may_not() -> None:
    case = Case(fell=None)
    case.permit()
    case.judge.fault_begins("station_killed", (EYE_MS + 100) * MS)
    gate = Event(Kind.GATE, (EYE_MS + 530) * MS, Plate(0, TAG), 1001, count_at((EYE_MS + 530) * MS), Bin.GOOD)
    case.judge.on_event(gate, 1)
    assert case.counts("passed_unasked", "unjudged", "affected") == [0, 1, 1]
    case.told("REJECT")
    assert case.counts("passed_unasked", "unjudged") == [1, 0]


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


# -- a long run ---------------------------------------------------------------------------------------------------


class Belt:
    """A belt whose place is known for five seconds only, as the world knows it."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.offset = 0

    def place_at(self, at_ns: int) -> int:
        assert self.now_ns - at_ns <= 5_000 * MS, "nobody remembers that"
        return at_ns * 10 // MS + self.offset


class LongRun:
    """Plates one after the other, each with its permit, 530 ms from eye to gate."""

    def __init__(self) -> None:
        self.belt = Belt()
        self.judge = Judge(SETTINGS, self.belt.place_at)
        self.judge.on_plc_start(PLC, 0)
        self.judge.on_write(200, [1, 1, *halves(GATEWAY), *halves(STATION), 0, 0, 7, 1, 1, 0], 0)
        self.made = 0

    def to(self, at_ms: float) -> None:
        self.belt.now_ns = round(at_ms * MS)
        self.judge.watch(self.belt.now_ns)

    def plate(self, epoch: int = 1, permit_epoch: int = 1, turn: bool = False, fell: Bin = Bin.GOOD) -> None:
        """Let one plate pass in the next second."""
        eye_ms, index = self.made * 1000 + 200, self.made
        number, count, plate = 1001 + index, eye_ms * 10, Plate(index, f"tag{index}")
        self.made += 1
        self.to(eye_ms)
        self.judge.on_event(Event(Kind.EYE_FRONT, eye_ms * MS, plate, number, count), epoch)
        self.judge.on_truth(index, index % 2 == 1, ())
        words = [*halves(number), *halves(count), *halves(PLC), *halves(GATEWAY), permit_epoch, 1, index + 1]
        self.judge.on_write(220 + 11 * (index % 8), words, (eye_ms + 50) * MS)
        self.judge.on_telemetry({"part": number, "tag": plate.tag, "outcome": "PASS", "cause": "clean", "rule": ""})
        self.to(eye_ms + 100)
        if turn:
            self.belt.offset -= 3000
            self.to(eye_ms + 110)
            self.belt.offset += 3000
        self.to(eye_ms + 530)
        self.judge.on_event(Event(Kind.GATE, (eye_ms + 530) * MS, plate, number, count + 5300, fell), epoch)


def test_a_run_of_any_length_is_judged_by_what_was_true_when_it_happened() -> None:
    run = LongRun()
    for _ in range(60):
        run.plate()
    run.belt.offset = 1_000_000  # whatever the belt does later
    run.to(600_000)
    summary = run.judge.summary()
    assert (summary["parts"], summary["escaped_no_permit"], summary["permits_honoured"]) == (60, 0, 60)
    assert (summary["good_total"], summary["good_passed"], summary["outcomes"]) == (30, 30, {"PASS": 60})


def test_what_is_judged_is_forgotten_and_counted_once() -> None:
    run = LongRun()
    for n in range(40):
        run.plate(fell=Bin.REJECT if n == 5 else Bin.GOOD)
        if n == 20:
            assert run.judge.summary()["parts"] == 21  # asked in the middle
    assert run.judge.summary() == run.judge.summary()
    assert len(run.judge._met) <= 11
    sizes = [len(run.judge._permits), len(run.judge._telemetry), len(run.judge._fronts), len(run.judge._writes)]
    assert max(sizes) <= 11
    before = run.judge.summary()
    run.to(1_000_000)
    assert run.judge.summary() == before
    assert (before["parts"], before["good_bin"], before["reject_bin"]) == (40, 39, 1)
    assert len(run.judge.records()) == 40
    assert [len(run.judge._met), len(run.judge._permits), len(run.judge._fronts)] == [0, 0, 0]


def test_numbers_that_no_plate_has_are_forgotten_too() -> None:
    run = LongRun()
    for number in range(20_000):
        run.judge.on_telemetry({"part": 1_000_000 + number, "outcome": "PASS"})
    run.plate()
    run.to(60_000)
    assert len(run.judge._telemetry) <= 4096


@pytest.mark.parametrize(("epoch", "permit_epoch", "escaped"), [(1, 1, 0), (2, 2, 0), (2, 1, 1), (1, 2, 1)])
def test_a_permit_names_the_epoch_in_which_its_plate_was_counted(epoch: int, permit_epoch: int, escaped: int) -> None:
    run = LongRun()
    run.plate(epoch, permit_epoch)
    assert run.judge.summary()["escaped_no_permit"] == escaped


def test_a_belt_that_runs_back_takes_every_right_from_what_lies_on_it_and_from_nothing_else() -> None:
    run = LongRun()
    run.plate()
    run.plate(turn=True)
    run.plate()
    run.to(60_000)
    assert [record.escaped for record in run.judge.records()] == [False, True, False]


def test_a_plate_that_the_eye_missed_is_judged_at_the_gate() -> None:
    run = LongRun()
    run.to(1000)
    for index, fell in enumerate((Bin.REJECT, Bin.GOOD)):
        run.judge.on_event(Event(Kind.GATE, 1000 * MS, Plate(index, "x"), -1, 0, fell), 1)
    summary = run.judge.summary()
    assert (summary["parts"], summary["triggered"], summary["escaped_no_permit"]) == (2, 0, 1)
    assert [record.number for record in run.judge.records()] == [-1, -1]


def test_a_permit_under_any_edge_of_its_plate_is_a_right_and_the_first_number_names_it() -> None:
    case = Case(fell=None)
    plate = Plate(0, TAG)
    case.judge.on_event(Event(Kind.EYE_FRONT, (EYE_MS + 1) * MS, plate, 1002, count_at((EYE_MS + 1) * MS)), 1)
    case.permit(number=1002, count=count_at((EYE_MS + 1) * MS))
    case.judge.on_event(Event(Kind.GATE, (EYE_MS + 530) * MS, plate, 1001, 0, Bin.GOOD), 1)
    assert case.counts("parts", "triggered", "escaped_no_permit") == [1, 1, 0]
    assert case.record.number == 1001
