"""The register against a referee of its own, which counts parts and belt with unbounded numbers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from edge.core.counter import delta, wrap
from edge.core.outcome import Disposition, Outcome
from edge.core.register import Decision, Geometry, Register

SLOW = [HealthCheck.too_slow]

SPAN = 1 << 32
GATE, COMMIT, PITCH, MATCH = 5000, 4000, 1000, 450
ROOM = 6
VISIBLE = 4
"""How many of its last parts the PLC shows."""


@dataclass
class Claim:
    """What the station said of a part."""

    session: int
    count: int
    outcome: Outcome


class RegisterMachine(RuleBasedStateMachine):
    """``belt``, ``number`` and ``fence`` are absolute; the register sees 32 bits of them."""

    register_class = Register

    def __init__(self) -> None:
        super().__init__()
        self.register = self.register_class(Geometry(GATE, COMMIT, PITCH, MATCH), 1, ROOM)
        self.sessions = 100
        self.plc = self.gateway = self.epoch = 0
        self.station, self.old_station, self.fence = 0, 0, 0
        self.counted: dict[int, int] = {}  # all that the PLC ever counted -> its count
        self.unread: list[int] = []
        self.read: set[int] = set()  # of this gateway session
        self.claims: dict[int, list[Claim]] = {}
        self.permits: set[int] = set()  # all that were ever permitted
        self.outstanding: list[int] = []  # permits on the way to the PLC
        self.judged: set[int] = set()  # parts that were told apart already, whatever came of it
        self.triggers = self.permitted = 0

    @initialize(belt=st.sampled_from([0, SPAN - 2500, 2 * SPAN - 1]), number=st.sampled_from([0, SPAN - 3, SPAN - 1]))
    def begin(self, belt: int, number: int) -> None:
        self.belt, self.number = belt, number
        self.restart()

    # -- the referee ------------------------------------------------------------------------------------------------

    def may_pass(self, number: int) -> bool:
        """True where nothing in the contract speaks against a permit for the part, now."""
        count = self.counted.get(number)
        return (
            count is not None
            and number in self.read
            and self.station != 0
            and count + GATE >= self.fence
            and self.belt <= count + COMMIT
            and number not in self.permits
        )

    def agrees(self, number: int, claim: Claim) -> bool:
        return claim.session == self.station != 0 and abs(claim.count - self.counted[number]) <= MATCH

    def take(self, decision: Decision | None) -> None:
        if decision is None or decision.permit is None:
            return
        permit = decision.permit
        number = next(n for n in sorted(self.counted, reverse=True) if wrap(n) == permit.number)
        assert self.may_pass(number), f"part {number} got a permit that it must not have"
        agreed = [c.outcome for c in self.claims.get(number, []) if self.agrees(number, c)]
        assert agreed, "no verdict of this session names this part"
        assert agreed[0] is Outcome.PASS, "a permit without PASS"
        assert permit.count == wrap(self.counted[number])
        assert (permit.session.plc, permit.session.gateway, permit.session.epoch) == (
            self.plc,
            self.gateway,
            self.epoch,
        )
        assert permit.session.station == self.station
        self.permits.add(number)
        self.outstanding.append(number)

    # -- sessions ---------------------------------------------------------------------------------------------------

    @rule(really=st.sampled_from([False] * 7 + [True]))
    def maybe_restart(self, really: bool) -> None:
        if really:
            self.restart()

    def restart(self) -> None:
        self.sessions += 1
        self.plc, self.gateway, self.epoch = self.sessions, self.sessions + 1000, self.sessions % 7
        self.old_station, self.station, self.fence = self.station or self.old_station, 0, 0
        self.register.restart(self.plc, self.gateway, self.epoch, wrap(self.number))
        self.unread.clear()
        self.read.clear()
        self.claims.clear()
        self.outstanding.clear()
        assert self.register.pending == 0

    @rule(really=st.sampled_from([False, False, False, True]))
    def maybe_grant(self, really: bool) -> None:
        if really or not self.station:
            self.grant()

    def grant(self) -> None:
        self.sessions += 1
        self.old_station, self.station = self.station or self.old_station, self.sessions
        self.fence = self.belt + GATE + PITCH
        session = self.register.grant(self.station, wrap(self.belt))
        assert (session.plc, session.gateway, session.station) == (self.plc, self.gateway, self.station)

    @rule(really=st.sampled_from([False] * 7 + [True]))
    def maybe_revoke(self, really: bool) -> None:
        if really:
            self.old_station, self.station = self.station or self.old_station, 0
            self.register.revoke()

    # -- belt and PLC -----------------------------------------------------------------------------------------------

    @rule(counts=st.sampled_from([0, 1, 100, 999, 1000, 2000, 4001]))
    def move(self, counts: int) -> None:
        self.belt += counts

    @precondition(lambda self: self.read - self.judged)
    @rule(off=st.sampled_from([-1, 0, 1]), error=st.sampled_from([0, MATCH, MATCH + 1]), which=st.integers(0, 3))
    def pass_at_the_commit_point(self, off: int, error: int, which: int) -> None:
        live = sorted(n for n in self.read - self.judged if self.belt <= self.counted[n] + COMMIT)
        if live:
            number = live[which % len(live)]
            self.belt = max(self.belt, self.counted[number] + COMMIT + off)
            self.verdict(self.number - number, error, "present", Outcome.PASS)

    @precondition(lambda self: self.station)
    @rule(times=st.sampled_from([1, 1, 1, 2]), announced=st.booleans(), early=st.booleans())
    def usual_part(self, times: int, announced: bool, early: bool) -> None:
        """What a line does all day: a part behind the fence, counted, announced, and passed."""
        if announced:
            self.announce(-1, 0, "present")
        if not early:
            self.part(max(PITCH, self.fence - GATE - self.belt), read=True)
        for _ in range(times):
            self.verdict(-1 if early else 0, 0, "present", Outcome.PASS)
        if early:
            self.part(PITCH, read=True)

    @precondition(lambda self: self.station)
    @rule(off=st.sampled_from([-1, 0, 1, PITCH]))
    def part_at_the_fence(self, off: int) -> None:
        self.part(max(0, self.fence - GATE + off - self.belt), read=True)

    @rule(gap=st.sampled_from([0, 1, 400, 1000, 1000, 1000, 1500]), read=st.booleans())
    def part(self, gap: int, read: bool) -> None:
        self.belt += gap
        self.number += 1
        self.counted[self.number] = self.belt
        self.unread.append(self.number)
        if read:
            self.poll()

    @rule()
    def poll(self) -> None:
        """Read the PLC's last parts; those that it no longer shows are skipped."""
        self.triggers += len(self.unread)
        for number in [n for n in sorted(self.counted) if n > self.number - VISIBLE]:
            fresh = number in self.unread
            if fresh:
                self.read.add(number)
            decision = self.register.plc_part(wrap(number), wrap(self.counted[number]), wrap(self.belt))
            assert fresh or decision is None
            self.take(decision)
            held = [c for c in self.claims.get(number, []) if c.session == self.station]
            if fresh and held and self.agrees(number, held[0]):  # the first one waits, any other is a duplicate
                self.judged.add(number)
        self.unread.clear()

    @rule()
    def advance(self) -> None:
        for decision in self.register.advance(wrap(self.belt)):
            assert decision.permit is None
        self.judged |= {n for n in self.read if self.belt > self.counted[n] + COMMIT}

    # -- the station ------------------------------------------------------------------------------------------------

    def session(self, which: str) -> int:
        return {"present": self.station, "old": self.old_station, "none": 0, "foreign": 999_999}[which]

    parts_near = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, -1, -1, -2])
    errors = st.sampled_from([0, 0, 0, 0, MATCH, -MATCH, MATCH + 1, -MATCH - 1, 3 * PITCH])
    which = st.sampled_from(["present"] * 7 + ["old", "none", "foreign"])

    def count_of(self, number: int) -> int:
        return self.counted.get(number, self.belt + (number - self.number) * PITCH)

    @rule(back=parts_near, error=errors, which=which)
    def announce(self, back: int, error: int, which: str) -> None:
        number = self.number - back
        self.register.announce(self.session(which), wrap(number), wrap(self.count_of(number) + error))

    @rule(back=parts_near, error=errors, which=which, outcome=st.sampled_from([*Outcome, Outcome.PASS, Outcome.PASS]))
    def verdict(self, back: int, error: int, which: str, outcome: Outcome) -> None:
        number = self.number - back
        claim = Claim(self.session(which), self.count_of(number) + error, outcome)
        self.claims.setdefault(number, []).append(claim)
        known = number in self.read and self.agrees(number, claim)
        due = known and outcome is Outcome.PASS and number not in self.judged and self.may_pass(number)
        decision = self.register.verdict(claim.session, wrap(number), wrap(claim.count), outcome, wrap(self.belt))
        if known:
            self.judged.add(number)
        if claim.session != self.station or claim.session == 0:
            assert decision.disposition is Disposition.OLD_SESSION
        assert (decision.permit is not None) == due, f"due {due}, but {decision.disposition.value}"
        self.take(decision)

    # -- the PLC's answers ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.outstanding)
    @rule(armed=st.booleans(), which=st.integers(0, 7))
    def echo(self, armed: bool, which: int) -> None:
        number = wrap(self.outstanding.pop(which % len(self.outstanding)))
        if armed:
            self.register.permit_written(number)
            self.permitted += 1
        else:
            assert self.register.permit_failed(number) == Decision(number, Disposition.UNPERMITTED)

    @rule(back=parts_near)
    def echo_of_an_unknown_part(self, back: int) -> None:
        if self.number - back not in self.read:
            self.register.permit_written(wrap(self.number - back))
            assert self.register.permit_failed(wrap(self.number - back)) is None

    # -- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def both_equations_hold(self) -> None:
        register, c = self.register, self.register.counts
        assert register.reconciles()
        assert c.plc_triggers == self.triggers
        assert c.permitted == self.permitted
        assert c.plc_triggers == c.permitted + sum(c.rejected.values()) + register.pending
        assert 0 <= c.plc_triggers - c.announced - c.unannounced <= register.pending

    @invariant()
    def memory_is_bounded(self) -> None:
        live = sum(self.belt <= self.counted[n] + COMMIT for n in self.read)
        if self.register.pending <= live + len(self.outstanding):  # else ``advance`` is due
            held = sum(len(v) for v in vars(self.register).values() if isinstance(v, dict))
            assert held <= live + len(self.outstanding) + 2 * ROOM + 4 * ROOM

    @invariant()
    def after_advance_nothing_past_its_commit_point_is_pending(self) -> None:
        self.advance()
        late = [n for n in self.read if self.belt > self.counted[n] + COMMIT]
        assert self.register.pending <= len(self.read) - len(late) + len(self.outstanding)


class Lazy(RegisterMachine):
    """``advance`` runs only when the rules call it, as in a gateway that is busy."""

    @invariant()
    def after_advance_nothing_past_its_commit_point_is_pending(self) -> None:
        pass


USUAL = settings(max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=SLOW)
SABOTAGE = settings(USUAL, max_examples=300, derandomize=True, database=None, phases=[Phase.generate])

TestRegister = RegisterMachine.TestCase
TestRegister.settings = USUAL
TestLazyRegister = Lazy.TestCase
TestLazyRegister.settings = USUAL


class NoFence(Register):
    def fence(self, count: int) -> int:
        return count


class HalfFence(Register):
    def fence(self, count: int) -> int:
        return wrap(count + GATE)


class NoCommit(Register):
    def _past_commit(self, _count: int, _count_now: int) -> bool:
        return False


class LateCommit(Register):
    def _past_commit(self, count: int, count_now: int) -> bool:
        return delta(count_now, wrap(count + COMMIT)) > 1


class EarlyCommit(Register):
    def _past_commit(self, count: int, count_now: int) -> bool:
        return delta(count_now, wrap(count + COMMIT)) >= 0


class NoCount(Register):
    def _agree(self, _a: int, _b: int) -> bool:
        return True


class NoSession(Register):
    def verdict(self, _session: int, number: int, count: int, outcome: Outcome, count_now: int) -> Decision:
        return super().verdict(self.session.station, number, count, outcome, count_now)


class AllPass(Register):
    def verdict(self, session: int, number: int, count: int, _outcome: Outcome, count_now: int) -> Decision:
        return super().verdict(session, number, count, Outcome.PASS, count_now)


class Twice(Register):
    def verdict(self, session: int, number: int, count: int, outcome: Outcome, count_now: int) -> Decision:
        if number in self._slots:
            self._slots[number].verdict = None
        return super().verdict(session, number, count, outcome, count_now)


@pytest.mark.parametrize(
    "broken", [NoFence, HalfFence, NoCommit, LateCommit, EarlyCommit, NoCount, NoSession, AllPass, Twice]
)
def test_the_referee_catches(broken: type[Register]) -> None:
    machine = type("Sabotaged", (Lazy,), {"register_class": broken})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=SABOTAGE)
