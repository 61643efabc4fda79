"""The challenge procedure: what it lets pass, what fails it, and that nothing but the right end of each piece does."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.challenge import Challenge, Limits, Phase, Result
from edge.core.challenge_judge import FAULTS, Expect, Fault, Piece, Seen, fired_classes, judge
from edge.core.outcome import Outcome
from edge.core.part import Finding
from edge.core.rules import Rule

S = 1_000_000_000
BAD, GOOD, SCRATCH = (
    Piece("bad", Expect.REJECT),
    Piece("good", Expect.PASS),
    Piece("scratch", Expect.REJECT, ("scratch",)),
)
PIECES = (BAD, GOOD, SCRATCH)
LIMITS = Limits(clear_ns=3 * S, piece_ns=60 * S, confirm_ns=10 * S, return_ns=600 * S)
SESSION = 7


@dataclass
class End:
    """What shall become of a part."""

    outcome: Outcome = Outcome.PASS
    fired: frozenset[str] = frozenset()
    disposition: str = "ACCEPTED"
    executed: bool = True
    gate_good: bool | None = True
    confirmed: bool | None = None


PASSES = End()
REJECTS = End(Outcome.REJECT, frozenset({"pit"}), executed=False, gate_good=False)
SCRATCHED = End(Outcome.REJECT, frozenset({"scratch", "pit"}), executed=False, gate_good=False)
RIGHT = (REJECTS, PASSES, SCRATCHED)


@dataclass
class Play:
    """A challenge on a clock of its own."""

    limits: Limits = LIMITS
    pieces: tuple[Piece, ...] = PIECES
    now: int = 1000 * S
    session: int = SESSION
    number: int = 41
    steps: Challenge = field(init=False)

    def __post_init__(self) -> None:
        self.steps = Challenge(self.pieces, self.limits, self.now, is_recorded=True)

    def wait(self, seconds: float, open_parts: int = 0) -> Play:
        """Let time pass, with a look at its end."""
        self.now += int(seconds * S)
        self.steps.tick(self.now, self.session, open_parts)
        return self

    def place(self, end: End) -> int:
        """Let the next part come and meet its end; return its number."""
        self.number += 1
        self.steps.opened(self.number, self.now)
        self.steps.closed(self.number, end.outcome, "cause", "rule", end.fired, self.now)
        if end.disposition:
            self.steps.answered(self.number, end.disposition)
        if end.executed:
            self.steps.executed(self.number)
        if end.gate_good is not None:
            self.steps.gated(self.number, end.gate_good)
        if end.confirmed is not None:
            self.steps.confirmed(self.number, end.confirmed)
        return self.number

    def run(self, *ends: End) -> Result | None:
        """Go through all of it, and return the result."""
        self.wait(3)
        assert self.phase() is Phase.PLACING
        for end in ends:
            self.place(end)
            self.wait(0.1)
        while self.phase() in (Phase.PLACING, Phase.CONFIRMING):
            self.wait(1)
        self.steps.returned((), self.now)
        return self.steps.result

    def phase(self) -> Phase:
        """Return how far it is."""
        return self.steps.phase

    def result(self) -> Result | None:
        """Return how it ended."""
        return self.steps.result

    def faults(self) -> list[tuple[str, str]]:
        """Return the faults as (name, piece)."""
        return [(fault.name, fault.piece) for fault in self.steps.faults]


def test_each_piece_meets_its_end_and_only_then_it_is_passed() -> None:
    play = Play()
    assert play.run(*RIGHT) is Result.PASSED
    assert play.faults() == []
    assert [seen.number for seen in play.steps.seen] == [42, 43, 44]
    assert play.steps.piece_of(43) is GOOD
    assert play.steps.piece_of(45) is None


def test_a_line_that_rejects_everything_fails_on_the_good_piece() -> None:
    play = Play()
    assert play.run(REJECTS, REJECTS, SCRATCHED) is Result.FAILED
    assert play.faults() == [("rejected", "good"), ("gate_shut", "good")]


def test_a_line_that_passes_everything_lets_a_piece_escape() -> None:
    play = Play()
    assert play.run(PASSES, PASSES, PASSES) is Result.ESCAPED
    assert play.faults() == [(name, piece) for piece in ("bad", "scratch") for name in ("passed", "let_through")]


def test_a_line_that_decides_nothing_fails_on_every_piece() -> None:
    play, lost = Play(), End(Outcome.NO_DECISION, executed=False, gate_good=False)
    assert play.run(lost, lost, lost) is Result.FAILED
    assert {piece for name, piece in play.faults() if name == "undecided"} == {"bad", "good", "scratch"}


def test_a_gate_that_does_not_act_fails_on_confirmation() -> None:
    jammed_shut = End(executed=False, gate_good=False)
    play = Play()
    assert play.run(REJECTS, jammed_shut, SCRATCHED) is Result.FAILED
    assert play.faults() == [("gate_shut", "good")]
    stuck_open = End(Outcome.REJECT, executed=False, gate_good=True)
    play = Play()
    assert play.run(stuck_open, PASSES, SCRATCHED) is Result.ESCAPED
    assert play.faults() == [("let_through", "bad")]
    unanswered = Play()
    assert unanswered.run(REJECTS, End(disposition=""), SCRATCHED) is Result.FAILED
    assert unanswered.faults() == [("not_accepted", "good")]
    silent = Play()
    assert silent.run(End(Outcome.REJECT, executed=False, gate_good=None), PASSES, SCRATCHED) is Result.FAILED
    assert silent.faults() == [("gate_silent", "bad")]


def test_where_there_is_a_sensor_it_must_agree_on_both_sides() -> None:
    limits = Limits(3 * S, 60 * S, 10 * S, 600 * S, sensor=True)
    seen = [End(**{**vars(end), "confirmed": True}) for end in RIGHT]
    assert Play(limits).run(*seen) is Result.PASSED
    play = Play(limits)
    assert play.run(*RIGHT) is Result.FAILED, "the PLC's word alone is not enough there"
    assert {name for name, _ in play.faults()} == {"sensor_silent"}
    for index, name, result in ((0, "seen_good", Result.ESCAPED), (1, "not_arrived", Result.FAILED)):
        ends = list(seen)
        ends[index] = End(**{**vars(ends[index]), "confirmed": False})
        play = Play(limits)
        assert play.run(*ends) is result
        assert play.faults() == [(name, PIECES[index].name)]


def test_a_piece_rejected_for_another_class_proves_nothing() -> None:
    play = Play()
    assert play.run(REJECTS, PASSES, REJECTS) is Result.FAILED
    assert play.faults() == [("other_class", "scratch")]


def test_an_escape_is_known_at_once_and_nothing_takes_it_back() -> None:
    play = Play().wait(3)
    play.steps.opened(42, play.now)
    assert play.steps.faults == []
    play.steps.closed(42, Outcome.PASS, "clean", "", frozenset(), play.now)
    assert play.steps.faults == [Fault("passed", "bad")], "before the gate, and before the other pieces"
    assert play.steps.abort(play.now)
    play.steps.returned((), play.now)
    assert play.result() is Result.ESCAPED, "an abort hides nothing"


# -- clearing ----------------------------------------------------------------------------------------------------------


def test_parts_on_the_belt_are_no_pieces_and_each_begins_the_quiet_time_anew() -> None:
    play = Play().wait(2.999999999)
    assert play.phase() is Phase.CLEARING
    play.steps.opened(40, play.now)
    play.wait(2, open_parts=1)
    play.wait(2.999999999)
    assert play.phase() is Phase.CLEARING, "it was open two seconds after its edge"
    assert not play.steps.admits
    play.wait(0.000000001)
    assert play.phase() is Phase.PLACING
    assert play.steps.placed == 0
    play.steps.closed(40, Outcome.PASS, "clean", "", frozenset(), play.now)  # cannot be: it was not open
    assert play.steps.placed == 1, "whatever closes now and was not told before is a part, and counts"


def test_without_a_session_no_piece_may_come() -> None:
    play = Play(session=0).wait(3)
    assert play.phase() is Phase.CLEARING
    play.wait(59.999999999)
    assert play.result() is None
    play.wait(0.000000001)
    assert play.result() is Result.FAILED
    assert play.faults() == [("not_cleared", "")]


@pytest.mark.parametrize("through", [False, True])
def test_the_infeed_opens_for_pieces_alone_and_only_where_they_come_through_it(through: bool) -> None:
    play = Play(Limits(3 * S, 60 * S, 10 * S, 600 * S, through_infeed=through))
    admitted = [play.steps.admits]
    play.wait(3)
    for end in RIGHT:
        admitted.append(play.steps.admits)
        play.place(end)
    admitted.append(play.steps.admits)
    play.wait(3)
    assert play.phase() is Phase.RETURNING
    admitted.append(play.steps.admits)
    assert admitted == [False, through, through, through, False, False]


# -- what goes wrong on the way ----------------------------------------------------------------------------------------


def test_a_further_part_fails_it_until_the_pieces_are_back() -> None:
    for wait_s in (0.0, 2.9, 100.0):
        play = Play().wait(3)
        for end in RIGHT:
            play.place(end)
        play.wait(wait_s)
        play.place(PASSES)
        assert play.faults() == [("extra_part", "")], f"{wait_s} s after the last"


def test_too_few_pieces_fail_it_though_each_that_came_was_right() -> None:
    play = Play()
    assert play.run(REJECTS, PASSES) is Result.FAILED
    assert play.faults() == [("not_placed", "scratch")]
    assert Play().run() is Result.FAILED, "and none at all proves nothing"
    unseen = Play().wait(3).wait(60).wait(10)
    assert unseen.phase() is Phase.RETURNING, "what was laid on and met no eye must be found too"


def test_no_piece_is_asked_for_before_the_beginning_is_recorded() -> None:
    play = Play()
    play.steps.is_recorded = False
    play.wait(30)
    assert play.phase() is Phase.CLEARING
    play.steps.is_recorded = True
    assert play.wait(0).phase() is Phase.PLACING
    full = Play()
    full.steps.is_recorded = False
    full.wait(3).steps.unrecorded(full.now)
    assert (full.result(), full.faults()) == (Result.FAILED, [("unrecorded", "")])
    hangs = Play()
    hangs.steps.is_recorded = False
    assert hangs.wait(3).wait(60).faults() == [("unrecorded", "")], "the belt was clear"
    assert hangs.result() is Result.FAILED


@dataclass(frozen=True)
class Costly(Rule):
    """A rule that keeps what it was asked about."""

    asked: list[str] = field(default_factory=list)

    def matches(self, finding: Finding) -> bool:
        """Note the class, and do as a rule does."""
        self.asked.append(finding.cls)
        return super().matches(finding)


def test_the_classes_that_fired_are_looked_for_no_further_than_needed() -> None:
    names = ["dent", "dent", "pit", "pit", *["scratch"] * 100]
    findings = [Finding(name, 0.9, (0.0, 0.0, 9.0, 9.0)) for name in names]
    rule = Costly("any")
    assert fired_classes(findings, [rule], ("scratch",)) == {"scratch"}
    assert rule.asked == ["scratch"]
    rule.asked.clear()
    assert fired_classes(findings, [rule], ()) == {"dent"}
    assert rule.asked == ["dent"], "any will do"
    rule.asked.clear()
    assert fired_classes(findings, [rule], ("hole",)) == frozenset()
    assert rule.asked == [], "none can be it"
    assert fired_classes([Finding("pit", 0.4, (0.0, 0.0, 9.0, 9.0))], [rule], ("pit",)) == frozenset()


def test_a_piece_has_its_time_and_not_a_nanosecond_more() -> None:
    play = Play().wait(3)
    play.place(REJECTS)
    play.wait(59.999999999)
    assert play.phase() is Phase.PLACING
    play.place(PASSES)
    play.wait(60)
    assert play.phase() is not Phase.PLACING


def test_another_session_and_another_model_fail_it() -> None:
    play = Play().wait(3)
    play.place(REJECTS)
    play.session = 8
    play.wait(0.1)
    assert play.faults() == [("session_lost", "")]
    play = Play().wait(3)
    play.steps.changed()
    assert play.faults() == [("changed", "")]
    early = Play()
    early.steps.changed()
    assert early.faults() == [], "before the first piece it is as well"


def test_pieces_that_are_not_all_back_fail_it() -> None:
    play = Play()
    play.wait(3)
    for end in RIGHT:
        play.place(end)
    assert not play.steps.returned((), play.now), "not before the gate has spoken"
    play.wait(3)
    assert play.steps.returned(("bad",), play.now)
    assert play.result() is Result.ESCAPED
    assert play.faults() == [("missing", "bad")]
    late = Play().wait(3)
    for end in RIGHT:
        late.place(end)
    late.wait(3).wait(599.999999999)
    assert late.faults() == []
    late.wait(0.000000001)
    assert late.faults() == [("not_returned", "")]
    late.wait(86_400)
    assert (late.result(), late.steps.admits) == (None, False), "a known piece is somewhere: nobody is let in"
    assert late.steps.returned((), late.now)
    assert late.result() is Result.FAILED


def test_an_abort_asks_for_the_pieces_that_are_on_the_belt() -> None:
    play = Play()
    assert play.steps.abort(play.now)
    assert play.result() is Result.ABORTED, "none was asked for"
    early = Play().wait(3)
    assert early.steps.abort(early.now)
    assert early.phase() is Phase.RETURNING, "one may lie between infeed and eye"
    play = Play().wait(3)
    play.place(REJECTS)
    assert play.steps.abort(play.now)
    assert play.phase() is Phase.RETURNING
    assert not play.steps.abort(play.now)
    assert play.steps.returned((), play.now)
    assert play.result() is Result.ABORTED


def test_every_fault_has_words_and_every_escape_says_to_hold_the_product() -> None:
    for name, kind in FAULTS.items():
        assert name == kind.name
        assert kind.text
        assert kind.remedy.endswith(".")
        assert kind.escape == ("HOLD" in kind.remedy)
    assert Fault("passed", "bad").text == "Piece bad must be rejected, and inspection passed it."


# -- properties --------------------------------------------------------------------------------------------------------

ENDS = st.builds(
    End,
    st.sampled_from(Outcome),
    st.sampled_from([frozenset(), frozenset({"pit"}), frozenset({"scratch"})]),
    st.sampled_from(["ACCEPTED", "LATE", "UNPERMITTED", ""]),
    st.booleans(),
    st.sampled_from([True, False, None]),
    st.sampled_from([True, False, None]),
)


def is_right(piece: Piece, end: End, sensor: bool) -> bool:
    """Say independently whether a piece met its end."""
    if end.disposition != "ACCEPTED" or end.confirmed is False or (sensor and end.confirmed is None):
        return False
    if piece.expect is Expect.PASS:
        return end.outcome is Outcome.PASS and end.executed and end.gate_good is True
    fits = not piece.classes or bool(end.fired & set(piece.classes))
    return end.outcome is Outcome.REJECT and not end.executed and end.gate_good is False and fits


@st.composite
def nearly_right(draw: st.DrawFn) -> list[End]:
    """Return ends of which all are right but for one word about one piece, if any."""
    ends = [End(**{**vars(end), "confirmed": True}) for end in RIGHT]
    at, name = draw(st.integers(0, 2)), draw(st.sampled_from(sorted(vars(PASSES))))
    setattr(ends[at], name, getattr(draw(ENDS), name))
    return ends


@given(st.one_of(nearly_right(), st.lists(ENDS, max_size=5)), st.booleans())
def test_it_is_passed_where_every_piece_was_right_and_nowhere_else(ends: list[End], sensor: bool) -> None:
    play = Play(Limits(3 * S, 60 * S, 10 * S, 600 * S, sensor=sensor))
    result = play.run(*ends)
    right = len(ends) == 3 and all(is_right(p, e, sensor) for p, e in zip(PIECES, ends, strict=True))
    assert (result is Result.PASSED) is right
    escaped = any(
        p.expect is Expect.REJECT and (e.outcome is Outcome.PASS or e.executed or e.gate_good or e.confirmed is False)
        for p, e in zip(PIECES, ends, strict=False)
    )
    assert (result is Result.ESCAPED) is escaped


@given(st.sampled_from(PIECES), ENDS, st.booleans())
def test_what_is_wrong_stays_wrong_however_much_more_is_heard(piece: Piece, end: End, sensor: bool) -> None:
    told = Seen(1)
    found: set[str] = set()
    for name in ("outcome", "fired", "disposition", "executed", "gate_good", "confirmed"):
        setattr(told, name, getattr(end, name))
        if name == "outcome":
            continue  # outcome and findings come in one event
        now = set(judge(piece, told, sensor, final=False))
        assert found - {"not_arrived"} <= now  # that one becomes the gate's, where the gate was shut
        found = now
    assert found <= set(judge(piece, told, sensor, final=True))


STEPS = st.one_of(
    st.tuples(st.just("wait"), st.floats(0, 30)),
    st.tuples(st.just("place"), ENDS),
    st.tuples(st.just("returned"), st.sampled_from([(), ("bad",)])),
    st.tuples(st.just("abort"), st.none()),
    st.tuples(st.just("session"), st.sampled_from([0, 7, 8])),
    st.tuples(st.just("gated"), st.tuples(st.integers(41, 46), st.booleans())),
)


@given(st.lists(STEPS, max_size=30))
def test_whatever_happens_it_ends_and_faults_only_grow(steps: list[tuple[str, object]]) -> None:
    play = Play()
    faults: list[Fault] = []
    result = None
    for what, value in steps:
        if what == "wait":
            play.wait(value)  # type: ignore[arg-type]
        elif what == "place":
            play.place(value)  # type: ignore[arg-type]
        elif what == "returned":
            play.steps.returned(value, play.now)  # type: ignore[arg-type]
        elif what == "abort":
            play.steps.abort(play.now)
        elif what == "session":
            play.session = value  # type: ignore[assignment]
        else:
            play.steps.gated(*value)  # type: ignore[misc]
        assert play.steps.faults[: len(faults)] == faults
        faults = list(play.steps.faults)
        assert len(set(faults)) == len(faults)
        assert result is None or play.steps.result is result, "an end is an end"
        result = play.steps.result
        assert not play.steps.admits
    for _ in range(3):  # one for each phase
        play.wait(700)
    play.steps.returned((), play.now)
    assert play.result() is not None
    if play.steps.result is Result.PASSED:
        assert play.steps.placed == 3
