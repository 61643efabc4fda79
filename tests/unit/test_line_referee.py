import pytest

from edge.simulate.line.referee import Referee, Word
from edge.simulate.line.trace import Trace
from edge.simulate.rights import JudgeSettings
from edge.simulate.world import Bin, Event, Kind, Plate

MS = 1_000_000
SETTINGS = JudgeSettings(pitch_min_mm=60.0)
COMMIT_MM = SETTINGS.commit_counts / 10
PLC, GATEWAY, STATION = 900, 0x1111_2222, 0x3333_4444
GOOD, BAD, ALARM = (
    "00000000000000aa",
    "00000000000000bb",
    "00000000000000cc",
)  # tags: bad shows, alarm shows and is good


def halves(value: int) -> list[int]:
    return [value >> 16 & 0xFFFF, value & 0xFFFF]


class Case:
    """A belt at 1 mm/ms whose sessions began long before the first plate."""

    def __init__(self, trace: bool = False) -> None:
        self.now_ms = 0.0
        self.trace = Trace(lambda: int(self.now_ms * MS)) if trace else None
        self.offset_mm = 0.0
        self.referee = Referee(
            SETTINGS, self.travel_mm, lambda tag: 0.95 * (tag in (BAD, ALARM)), lambda tag: tag == BAD, self.trace
        )
        self.referee.on_plc_start(PLC)
        self.sequence = 0
        self.control()
        self.at(1000)

    def travel_mm(self) -> float:
        return self.now_ms + self.offset_mm

    def at(self, now_ms: float) -> None:
        self.now_ms = now_ms

    def control(self, gateway: int = GATEWAY, station: int = STATION) -> None:
        block = [1, 1, *halves(gateway), *halves(station), 0, 0, 7, 1, 1, 0, 0, 0]
        self.referee.on_write(200, block, int(self.now_ms * MS))

    def eye(self, index: int = 0, number: int = 7, tag: str = GOOD, count: int = 10_000, epoch: int = 1) -> None:
        event = Event(Kind.EYE_FRONT, int(self.now_ms * MS), Plate(index, tag), number, count)
        self.referee.on_event(event, epoch)

    def said(self, number: int = 7, outcome: str = "PASS", session: int = STATION) -> None:
        self.referee.on_arrival(b'{"kind":"verdict","session":%d,"part":%d,"outcome":"%b"}' % (
            session, number, outcome.encode(),
        ))  # fmt: skip

    def word(self, number: int = 7, outcome: str = "PASS", tag: str = GOOD) -> None:
        self.referee.on_concluded(number, Word(outcome, "clean", tag))

    def permit(
        self, number: int = 7, count: int = 10_000, plc: int = PLC, gateway: int = GATEWAY, epoch: int = 1
    ) -> None:
        self.sequence += 1
        words = [*halves(number), *halves(count), *halves(plc), *halves(gateway), epoch, 1, self.sequence]
        self.referee.on_write(220 + 11 * (self.sequence % 8), words, int(self.now_ms * MS))

    def gate(self, index: int = 0, tag: str = GOOD, fell: Bin = Bin.GOOD, clipped: bool = False) -> None:
        event = Event(Kind.GATE, int(self.now_ms * MS), Plate(index, tag), 7, 0, fell, clipped)
        self.referee.on_event(event, 1)

    def ordinary(self, verdict_ms: float = 1030, permit_ms: float = 1040) -> None:
        self.eye()
        self.at(verdict_ms)
        self.said()
        self.word()
        self.at(permit_ms)
        self.permit()
        self.at(1530)

    def wrong(self) -> dict[str, int]:
        names = ("wrong_part", "late_fired", "escaped_no_permit", "false_rejects", "false_rejects_unaffected")
        return {name: n for name in names if (n := self.referee.counts[name])}


def test_a_plate_with_its_own_pass_and_permit_is_in_order() -> None:
    case = Case()
    case.ordinary()
    case.gate()
    assert case.wrong() == {}
    assert case.referee.first is None
    counts = case.referee.counts
    names = ("parts", "good_bin", "good", "good_passed", "good_unaffected", "good_passed_unaffected")
    assert [counts[name] for name in names] == [1] * 6


def test_a_good_bin_without_any_permit_is_an_escape() -> None:
    case = Case()
    case.eye()
    case.word()
    case.at(1530)
    case.gate()
    assert case.wrong() == {"escaped_no_permit": 1}
    assert case.referee.first == (0, "escaped_no_permit (no permit)")


@pytest.mark.parametrize(("late_mm", "wrong"), [(0.0, {}), (0.2, {"late_fired": 1})])
def test_the_commit_point_is_measured_in_true_travel(late_mm: float, wrong: dict[str, int]) -> None:
    case = Case()
    case.ordinary(permit_ms=1000 + COMMIT_MM + late_mm)
    case.gate()
    assert case.wrong() == wrong


def test_a_late_permit_that_breaks_more_is_an_escape() -> None:
    case = Case()
    case.eye()
    case.said()
    case.word()
    case.at(1000 + COMMIT_MM + 1)
    case.permit(plc=PLC + 1)
    case.gate()
    assert case.wrong() == {"escaped_no_permit": 1}


@pytest.mark.parametrize(
    "changes", [{"number": 8}, {"plc": PLC + 1}, {"gateway": GATEWAY + 1}, {"epoch": 2}, {"count": 10_281}]
)
def test_a_permit_for_something_else_is_none(changes: dict[str, int]) -> None:
    case = Case()
    case.eye()
    case.said()
    case.word()
    case.permit(**changes)
    case.at(1530)
    case.gate()
    assert case.wrong() == {"escaped_no_permit": 1}


def test_the_count_s_tolerance_is_included() -> None:
    case = Case()
    case.eye()
    case.said()
    case.word()
    case.permit(count=10_280)
    case.gate()
    assert case.wrong() == {}


@pytest.mark.parametrize(("session", "outcome"), [(STATION + 1, "PASS"), (STATION, "REJECT")])
def test_a_permit_needs_a_pass_that_arrived_under_the_present_session(session: int, outcome: str) -> None:
    case = Case()
    case.eye()
    case.said(session=session, outcome=outcome)
    case.word()
    case.permit()
    case.at(1530)
    case.gate()
    assert case.wrong() == {"escaped_no_permit": 1}


@pytest.mark.parametrize(("granted_ms", "wrong"), [(1000 - 60, {}), (1000 - 59.9, {"escaped_no_permit": 1})])
def test_one_pitch_after_a_grant_nothing_has_a_right(granted_ms: float, wrong: dict[str, int]) -> None:
    case = Case()
    case.at(granted_ms)
    case.control(station=STATION + 1)
    case.at(1000)
    case.eye()
    case.said(session=STATION + 1)
    case.word()
    case.permit()
    case.gate()
    assert case.wrong() == wrong


@pytest.mark.parametrize(
    ("granted_ms", "wrong"), [(1000 + COMMIT_MM + 0.1, {}), (1000 + COMMIT_MM, {"escaped_no_permit": 1})]
)
def test_a_later_grant_takes_the_right_back_until_the_commit_point(granted_ms: float, wrong: dict[str, int]) -> None:
    case = Case()
    case.ordinary()
    case.at(granted_ms)
    case.control(station=STATION + 1)
    case.at(1530)
    case.gate()
    assert case.wrong() == wrong


def test_an_older_epoch_gives_no_right() -> None:
    case = Case()
    case.eye(epoch=2)
    case.said()
    case.word()
    case.permit(epoch=1)
    case.gate()
    assert case.wrong() == {"escaped_no_permit": 1}


@pytest.mark.parametrize("word", [("REJECT", BAD), ("NO_DECISION", BAD), ("PASS", BAD), ("PASS", GOOD)])
def test_what_the_own_frame_shows_as_bad_never_belongs_into_the_good_bin(word: tuple[str, str]) -> None:
    case = Case()
    case.eye(tag=BAD)
    case.said()
    case.word(outcome=word[0], tag=word[1])
    case.permit()
    case.at(1530)
    case.gate(tag=BAD)
    assert case.wrong() == {"wrong_part": 1}


@pytest.mark.parametrize("word", [("PASS", "00000000000000ee"), ("PASS", ""), ("NO_DECISION", GOOD)])
def test_a_good_plate_whose_own_frame_did_not_pass_is_a_wrong_part_too(word: tuple[str, str]) -> None:
    case = Case()
    case.eye()
    case.said()
    case.word(outcome=word[0], tag=word[1])
    case.permit()
    case.at(1530)
    case.gate()
    assert case.wrong() == {"wrong_part": 1}


def test_a_plate_that_the_eye_never_saw_and_that_passes_is_both() -> None:
    case = Case()
    case.gate()
    assert case.wrong() == {"wrong_part": 1, "escaped_no_permit": 1}


@pytest.mark.parametrize(("with_permit", "wrong"), [(True, 0), (False, 1)])
def test_a_clipped_plate_is_a_wrong_part_unless_the_window_was_its_own(with_permit: bool, wrong: int) -> None:
    case = Case()
    case.eye()
    if with_permit:
        case.said()
        case.word()
        case.permit()
    case.at(1530)
    case.gate(fell=Bin.REJECT, clipped=True)
    assert case.referee.counts["wrong_part"] == wrong
    assert case.referee.counts["clipped"] == 1


def test_any_of_a_plate_s_numbers_may_carry_its_right() -> None:
    case = Case()
    case.eye(number=6)
    case.at(1000.5)
    case.eye(number=7)
    case.said()
    case.word()
    case.permit()
    case.at(1530)
    case.gate()
    assert case.wrong() == {}


def test_good_plates_that_are_lost_are_false_rejects() -> None:
    case = Case()
    case.eye()
    case.at(1530)
    case.gate(fell=Bin.REJECT)
    assert case.wrong() == {"false_rejects": 1, "false_rejects_unaffected": 1}
    assert case.referee.first is not None


@pytest.mark.parametrize(("tag", "counter"), [(ALARM, "false_alarms"), (BAD, "defective")])
def test_what_the_oracle_rejects_is_no_false_reject(tag: str, counter: str) -> None:
    case = Case()
    case.eye(tag=tag)
    case.at(1530)
    case.gate(tag=tag, fell=Bin.REJECT)
    assert case.wrong() == {}
    assert case.referee.counts[counter] == 1


@pytest.mark.parametrize(
    ("begins_ms", "ends_ms", "affected"),
    [
        (1000 + 500 + 60, None, True),  # d and one pitch downstream of the eye
        (1000 + 500 + 60.1, None, False),
        (800, 1000 - 60, True),  # one pitch after its end
        (800, 1000 - 60.1, False),
    ],
)
def test_the_affected_stretch_is_what_the_fault_saw_and_d_and_two_pitches(
    begins_ms: float, ends_ms: float | None, affected: bool
) -> None:
    case = Case()
    case.at(begins_ms)
    stretch = case.referee.fault_begins()
    if ends_ms is not None:
        case.at(ends_ms)
        case.referee.fault_ends(stretch)
    case.at(1000)
    case.eye()
    case.at(1600)
    case.gate(fell=Bin.REJECT)
    assert case.wrong() == ({"false_rejects": 1} if affected else {"false_rejects": 1, "false_rejects_unaffected": 1})


def test_a_belt_that_ran_back_takes_every_right_on_it() -> None:
    case = Case()
    case.ordinary()
    case.referee.belt_runs_back(int(case.now_ms * MS))
    case.offset_mm = -5
    case.referee.belt_runs_back(int(case.now_ms * MS))
    case.offset_mm = 0
    case.gate()
    assert case.wrong() == {"escaped_no_permit": 1}


def test_the_drive_s_play_is_no_reversal() -> None:
    case = Case()
    case.ordinary()
    case.referee.belt_runs_back(int(case.now_ms * MS))
    case.offset_mm = -3.9
    case.referee.belt_runs_back(int(case.now_ms * MS))
    case.gate()
    assert case.wrong() == {}


def test_a_place_that_the_belt_had_passed_before_gives_no_right() -> None:
    case = Case()
    case.referee.belt_runs_back(int(case.now_ms * MS))
    case.offset_mm = -50
    case.referee.belt_runs_back(int(case.now_ms * MS))
    case.at(1010)
    case.eye()
    case.said()
    case.word()
    case.permit()
    case.at(1600)
    case.gate()
    assert case.wrong() == {"escaped_no_permit": 1}


def test_a_plate_taken_by_hand_meets_no_gate() -> None:
    case = Case()
    case.eye()
    assert case.referee.on_belt() == [0]
    case.referee.on_removed(0)
    assert case.referee.on_belt() == []
    assert case.referee.counts["removed"] == 1


def test_what_is_remembered_stays_bounded() -> None:
    case = Case()
    for index in range(3000):
        case.at(1000 + 60 * index)
        case.eye(index, number=index)
        case.said(index)
        case.word(index)
        case.permit(index)
        case.referee.fault_ends(case.referee.fault_begins())
        if index >= 10:
            case.gate(index - 10)
    sizes = [len(value) for value in vars(case.referee).values() if hasattr(value, "__len__")]
    assert max(sizes) <= 1100


def test_the_first_part_s_history_is_kept() -> None:
    case = Case(trace=True)
    assert case.trace is not None
    case.trace.note(None, "the belt starts")
    case.trace.note(9, "somebody else")
    case.eye()
    case.trace.note(7, "it passes the eye")
    case.at(1530)
    case.gate()
    history = "\n".join(case.trace.history)
    assert "plate 0" in history
    assert "it passes the eye" in history
    assert "the belt starts" in history
    assert "somebody else" not in history
    assert "at the gate: Bin.GOOD" in history


@pytest.mark.parametrize(
    ("since_ms", "cause", "misjudged"),
    [
        (999.0, "clean", 0),  # by the stricter recipe, in force at the edge
        (999.0, "rule", 1),
        (1001.5, "clean", 1),
        (1001.5, "rule", 0),
        (1000.5, "clean", 0),  # within one turn of the command either is right
        (1000.5, "rule", 0),
    ],
)
def test_a_plate_is_judged_by_the_recipe_in_force_at_its_edge(since_ms: float, cause: str, misjudged: int) -> None:
    case = Case()
    case.referee.on_recipe(0.99, int((since_ms - 1) * MS), int(since_ms * MS))
    case.eye(tag=ALARM)
    case.referee.on_concluded(7, Word("REJECT" if cause == "rule" else "PASS", cause, ALARM))
    case.at(1530)
    case.gate(tag=ALARM, fell=Bin.REJECT)
    assert case.referee.counts["misjudged"] == misjudged
