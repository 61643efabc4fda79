"""The referee of the register, with a station that says what it likes and a PLC that answers."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from edge.core.counter import wrap
from edge.core.outcome import Disposition as D
from edge.core.outcome import Outcome
from tests.support_register import BACKLASH, COMMIT, GATE, MATCH, PASS, PITCH, ROOM, SPACING, Claim, Referee


class RegisterMachine(Referee):
    """``advance`` runs only when the rules call it, as in a gateway that is busy."""

    @precondition(lambda self: self.open)
    @rule(off=st.sampled_from([-1, 0, 1]), error=st.sampled_from([0, MATCH, MATCH + 1]), which=st.integers(0, 3))
    def pass_at_the_commit_point(self, off: int, error: int, which: int) -> None:
        live = [n for n in self.open if self.belt <= self.counted[n] + COMMIT and n not in self.permits]
        if live:
            number = live[which % len(live)]
            self.belt = max(self.belt, self.counted[number] + COMMIT + off)
            self.verdict(self.number - number, error, "present", PASS)

    @precondition(lambda self: self.station)
    @rule(
        outcomes=st.sampled_from([[PASS], [PASS], [PASS], [PASS, PASS], [Outcome.REJECT], [Outcome.NO_DECISION, PASS]]),
        announced=st.booleans(),
        early=st.booleans(),
        echoed=st.booleans(),
    )
    def usual_part(self, outcomes: list[Outcome], announced: bool, early: bool, echoed: bool) -> None:
        """What a line does all day: a part behind the fence, counted, announced, and passed."""
        gap = max(PITCH, self.fence - GATE - self.belt)
        if announced:
            self.announce(-1, gap - PITCH, "present")
        if not early:
            self.part(gap, read=True)
        for outcome in outcomes:
            self.verdict(-1 if early else 0, gap - PITCH if early else 0, "present", outcome)
        if early:
            self.part(gap, read=True)
        if echoed and self.outstanding:
            self.echo(armed=True, which=0)

    @precondition(lambda self: self.station)
    @rule(gap=st.sampled_from([1, SPACING - 1, SPACING]), late=st.booleans())
    def two_close_parts(self, gap: int, late: bool) -> None:
        self.part(max(PITCH, self.fence - GATE - self.belt), read=True)
        if not late:
            self.verdict(0, 0, "present", PASS)
        self.part(gap, read=True)
        if late:
            self.verdict(1, 0, "present", PASS)
        self.verdict(0, 0, "present", PASS)

    @precondition(lambda self: self.station)
    @rule(off=st.sampled_from([-1, 0, 1, PITCH]), bypass=st.booleans())
    def part_at_the_fence(self, off: int, bypass: bool) -> None:
        self.register.bypass = bypass
        self.part(max(0, self.fence - GATE + off - self.belt), read=True)

    @precondition(lambda self: self.station and self.furthest is not None)
    @rule(side=st.sampled_from([-1, 1]), more=st.sampled_from([0, 1]))
    def verdict_of_a_far_place(self, side: int, more: int) -> None:
        """No part that is about to be counted can be further from the belt's last reading."""
        count = self.reading + side * (GATE + PITCH + more)
        self.verdict(-1, count - self.count_of(self.number + 1), "present", PASS)

    # -- the station ------------------------------------------------------------------------------------------------

    def session(self, which: str) -> int:
        return {"present": self.station, "old": self.old_station, "none": 0, "foreign": 999_999}[which]

    parts_near = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, -1, -1, -2])
    errors = st.sampled_from([0, 0, 0, 0, MATCH, -MATCH, MATCH + 1, -MATCH - 1, PITCH, -PITCH, 3 * PITCH])
    which = st.sampled_from(["present"] * 7 + ["old", "none", "foreign"])

    def count_of(self, number: int) -> int:
        return self.counted.get(number, self.belt + (number - self.number) * PITCH)

    @rule(back=parts_near, error=errors, which=which)
    def announce(self, back: int, error: int, which: str) -> None:
        number, session = self.number - back, self.session(which)
        count = self.count_of(number) + error
        ahead = len(self.register._announced)
        self.register.announce(session, wrap(number), wrap(count))
        if len(self.register._announced) > ahead or (number in self.said and session == self.station != 0):
            assert number not in self.read
            self.said[number] = count
        if session == self.station != 0 and number in self.open and abs(count - self.counted[number]) > MATCH:
            self.doubt(number, count)
        assert not self.register.ambiguous

    @rule(back=parts_near, error=errors, which=which, outcome=st.sampled_from([*Outcome, PASS, PASS]))
    def verdict(self, back: int, error: int, which: str, outcome: Outcome) -> None:
        number = self.number - back
        claim = Claim(self.session(which), self.count_of(number) + error, outcome)
        waiting, held = number in self.open, self.waits(number, claim)
        if waiting or held:
            self.claims.setdefault(number, []).append(claim)
        known = waiting and self.agrees(number, claim)
        due = known and outcome is PASS and self.may_pass(number) and not self.register.withheld
        decision = self.register.verdict(claim.session, wrap(number), wrap(claim.count), outcome, wrap(self.belt))
        assert decision.number == wrap(number)
        assert decision.answers is not held
        if held:
            self.held[number] = claim
        if claim.session != self.station or claim.session == 0:
            assert decision.disposition is D.OLD_SESSION
        elif waiting:
            assert (decision.disposition is D.AMBIGUOUS) == (not known)
        assert (decision.permit is not None) == due, f"due {due}, but {decision.disposition.value}"
        self.take(decision)
        self.told_voided += decision.disposition is D.VOIDED
        if waiting and claim.session == self.station != 0:
            self.weigh(number, claim)
        assert not self.register.ambiguous

    @precondition(lambda self: self.station and len(self.open) > 1)
    @rule(first=st.integers(0, 2), by=st.sampled_from(["announce", "verdict"]))
    def mistake_one_part_for_another(self, first: int, by: str) -> None:
        number, other = self.open[-1], self.open[-2 - first % (len(self.open) - 1)]
        error = self.counted[other] - self.counted[number]
        if by == "announce":
            self.announce(self.number - number, error, "present")
        else:
            self.verdict(self.number - number, error, "present", PASS)

    # -- the PLC's answers ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.outstanding)
    @rule(armed=st.sampled_from([True, True, False]), which=st.integers(0, 7))
    def echo(self, armed: bool, which: int) -> None:
        number = self.outstanding[which % len(self.outstanding)]
        self.end(number)
        if armed:
            self.register.permit_written(wrap(number))
            self.arm(number)
        else:
            refused = self.register.counts.dispositions["UNPERMITTED"]
            self.register.permit_failed(wrap(number))
            assert self.register.counts.dispositions["UNPERMITTED"] == refused + 1

    @rule(back=parts_near)
    def echo_of_an_unknown_part(self, back: int) -> None:
        number = self.number - back
        if number not in self.outstanding:
            self.register.permit_written(wrap(number))
            refused = self.register.counts.dispositions["UNPERMITTED"]
            self.register.permit_failed(wrap(number))
            assert self.register.counts.dispositions["UNPERMITTED"] == refused

    @rule(back=parts_near, good=st.booleans())
    def gate(self, back: int, good: bool) -> None:
        """The PLC tells what became of a part; its word on the permit may have been missed."""
        number = self.number - back
        if number in self.outstanding:
            self.end(number)
            self.arm(number)
        held = self.armed.pop(number, None) is not None
        if good:
            assert self.register.executed(wrap(number)) == held
            self.executed += held
        else:
            self.register.voided(wrap(number), "rejected_at_gate")
            self.voided["rejected_at_gate"] += held

    # -- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def all_equations_hold(self) -> None:
        register, c, armed = self.register, self.register.counts, self.register.armed
        assert register.reconciles()
        assert (c.plc_triggers, c.crowded) == (self.triggers, self.crowded)
        assert (armed.taken, armed.executed, +armed.voided) == (self.taken, self.executed, +self.voided)
        assert c.dispositions["EXECUTED"] == self.executed
        assert c.dispositions["VOIDED"] == self.voided.total() + self.told_voided
        assert len(armed) == len(self.armed)
        assert register.pending == len(self.open)
        assert c.plc_triggers == armed.taken + sum(c.rejected.values()) + register.pending
        assert 0 <= c.plc_triggers - c.announced - c.unannounced <= register.pending

    @invariant()
    def each_part_ends_once(self) -> None:
        news = [n for n in self.register.take_news() if n.fact in ("armed", "ended")]
        assert len({n.number for n in news}) == len(news)
        self.ended -= len(news)
        assert self.ended == 0

    @invariant()
    def memory_is_bounded(self) -> None:
        held = sum(len(v) for v in vars(self.register).values() if isinstance(v, dict))
        assert held <= len(self.open) + 2 * ROOM + 4 * ROOM


class Eager(RegisterMachine):
    """``advance`` runs after each step."""

    @invariant()
    def after_advance_nothing_past_its_commit_point_is_pending(self) -> None:
        self.advance()
        for number in self.open:
            assert number in self.permits or self.belt <= self.counted[number] + COMMIT + BACKLASH
