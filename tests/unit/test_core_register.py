"""The register against a referee of its own, and the referee against registers with planted bugs."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from edge.core.belt import Belt
from edge.core.counter import delta, wrap
from edge.core.outcome import Disposition, Outcome
from edge.core.register import Register
from edge.core.session import Decision, Geometry
from edge.core.slots import Slot
from tests.support_hypothesis import usual
from tests.support_register import BACKLASH, COMMIT, GATE
from tests.support_register_machine import Eager, RegisterMachine

SABOTAGE = settings(usual(), max_examples=3000, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False)

TestRegister = Eager.TestCase
TestRegister.settings = usual(100)
TestLazyRegister = RegisterMachine.TestCase
TestLazyRegister.settings = usual(100)


class OnBelt(Register):
    """A register whose view of the belt is replaced."""

    belt_class: ClassVar[type[Belt]] = Belt

    def __init__(self, geometry: Geometry, gateway_session: int, waiting: int = 32) -> None:
        super().__init__(geometry, gateway_session, waiting)
        self._belt = self.belt_class(geometry)


class NoFence(Register):
    def fence(self, count: int) -> int:
        return count


class HalfFence(Register):
    def fence(self, count: int) -> int:
        return wrap(count + GATE)


class FenceFromTheReading(OnBelt):
    class belt_class(Belt):
        def fence(self, count: int) -> int:
            return wrap(count + self._g.gate + self._g.pitch)


class NoCommit(OnBelt):
    class belt_class(Belt):
        def past_commit(self, _count: int, _count_now: int) -> bool:
            return False


class LateCommit(OnBelt):
    class belt_class(Belt):
        def past_commit(self, count: int, count_now: int) -> bool:
            return delta(count_now, wrap(count + COMMIT)) > 1


class EarlyCommit(OnBelt):
    class belt_class(Belt):
        def past_commit(self, count: int, count_now: int) -> bool:
            return delta(count_now, wrap(count + COMMIT)) >= 0


class UnwrappedCommit(OnBelt):
    class belt_class(Belt):
        def past_commit(self, count: int, count_now: int) -> bool:
            return count_now > count + COMMIT


class NoCount(OnBelt):
    class belt_class(Belt):
        def agree(self, _a: int, _b: int) -> bool:
            return True


class NeverBehind(OnBelt):
    class belt_class(Belt):
        def is_behind(self, _count: int) -> bool:
            return False


class NoBacklash(OnBelt):
    class belt_class(Belt):
        def is_behind(self, count: int) -> bool:
            return self._furthest is not None and delta(count, self._furthest) < 0


class TwiceTheBacklash(OnBelt):
    class belt_class(Belt):
        def is_behind(self, count: int) -> bool:
            return self._furthest is not None and delta(count, self._furthest) < -2 * BACKLASH


class ForgetsTheFurthest(OnBelt):
    class belt_class(Belt):
        def moved(self, count: int) -> bool:
            turned = super().moved(count)
            self._furthest = count
            return turned


class NoReversal(Register):
    def moved(self, count: int) -> bool:
        return self._belt.moved(count)


class NoSession(Register):
    def verdict(self, _session: int, number: int, count: int, outcome: Outcome, count_now: int) -> Decision:
        return super().verdict(self.session.station, number, count, outcome, count_now)


class AllPass(Register):
    def verdict(self, session: int, number: int, count: int, _outcome: Outcome, count_now: int) -> Decision:
        return super().verdict(session, number, count, Outcome.PASS, count_now)


class Twice(Register):
    def verdict(self, session: int, number: int, count: int, outcome: Outcome, count_now: int) -> Decision:
        if number in self._slots:
            self._slots[number].permitted = False
        return super().verdict(session, number, count, outcome, count_now)


class NoDistance(Register):
    def _keep_distance(self, _number: int, _slot: Slot) -> None:
        pass


class ForerunnerMayPass(Register):
    def _keep_distance(self, number: int, slot: Slot) -> None:
        before = self._slots.get(self._newest[0]) if self._newest else None
        barred = before is not None and before.barred
        super()._keep_distance(number, slot)
        if before is not None:
            before.barred = barred


class WithholdsNothing(Register):
    def verdict(self, session: int, number: int, count: int, outcome: Outcome, count_now: int) -> Decision:
        withheld, self.withheld = self.withheld, False
        try:
            return super().verdict(session, number, count, outcome, count_now)
        finally:
            self.withheld = withheld


class BypassesTheFence(Register):
    def _let_through(self, number: int, slot: Slot, count_now: int) -> Decision | None:
        fence, self._belt.before_fence = self._belt.before_fence, lambda *_: False  # type: ignore[method-assign]
        try:
            return super()._let_through(number, slot, count_now)
        finally:
            self._belt.before_fence = fence  # type: ignore[method-assign]


class DoubtsTheNumberAlone(Register):
    def _doubt(self, number: int, _count: int, answered: bool) -> None:
        self.ambiguous = "a doubt"
        self._end(number, "ambiguous", Disposition.AMBIGUOUS, answered)


class DoubtsInSilence(Register):
    def _doubt(self, number: int, count: int, answered: bool) -> None:
        super()._doubt(number, count, answered)
        self.ambiguous = ""


class HoldsPermitsOfADeadPlc(Register):
    def restart(self, plc: int, gateway: int, epoch: int, last_part: int, most: int = 1 << 30) -> int:
        held = dict(self.armed._counts)
        left_out = super().restart(plc, gateway, epoch, last_part, most)
        self.armed._counts.update(held)
        return left_out


class WaitsForWordForEver(Register):
    def __init__(self, geometry: Geometry, gateway_session: int, waiting: int = 32) -> None:
        super().__init__(geometry, gateway_session, waiting)
        self.armed.reach = 1 << 30


class ExecutesTwice(Register):
    def executed(self, number: int) -> bool:
        super().executed(number)
        self.armed.executed += 1
        return True


class NothingIsFar(OnBelt):
    class belt_class(Belt):
        def is_far(self, _count: int) -> bool:
            return False


class RejectsWhatIsOnItsWay(Register):
    def suspend(self) -> None:
        for slot in self._slots.values():
            slot.permitted = False
        super().suspend()


class ForgetsTheUnread(Register):
    def _count_unread(self, _parts: int, _last: int, _cause: str) -> None:
        pass


PLANTED = [
    AllPass, BypassesTheFence, DoubtsInSilence, DoubtsTheNumberAlone, EarlyCommit, ExecutesTwice, FenceFromTheReading,
    ForerunnerMayPass, ForgetsTheFurthest, ForgetsTheUnread, HalfFence, HoldsPermitsOfADeadPlc,
    LateCommit, NeverBehind, NoBacklash, NoCommit, NoCount, NoDistance, NoFence, NoReversal, NoSession, NothingIsFar,
    RejectsWhatIsOnItsWay, Twice, TwiceTheBacklash, UnwrappedCommit, WaitsForWordForEver, WithholdsNothing,
]  # fmt: skip


@pytest.mark.parametrize("broken", PLANTED)
def test_the_referee_catches(broken: type[Register]) -> None:
    class Planted(Eager):
        register_class = broken

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Planted, settings=SABOTAGE)
