"""What the gateway tells the journal: every part once, with one end, whatever sessions and processes do."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from edge.core.register import Register
from edge.core.slots import News
from edge.gateway.recorder import Recorder
from tests.support_facts_machine import FactsMachine
from tests.support_hypothesis import usual

KINDS = ("counted", "ended", "executed", "voided", "unread")
SABOTAGE = settings(usual(), max_examples=1500, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False)

TestFacts = FactsMachine.TestCase
TestFacts.settings = usual(100)


class Untold(Register):
    """A register that keeps one kind of news to itself."""

    kind = ""

    def _tell(self, fact: str, number: int, detail: str = "", value: int = 0) -> None:
        if fact != self.kind:
            super()._tell(fact, number, detail, value)


class EndsTwice(Register):
    def _tell(self, fact: str, number: int, detail: str = "", value: int = 0) -> None:
        super()._tell(fact, number, detail, value)
        if fact == "executed":
            super()._tell("voided", number, "no_word")


class ForgetsOnRestart(Register):
    def restart(self, plc: int, gateway: int, epoch: int, last_part: int, most: int = 1 << 30) -> int:
        left_out = super().restart(plc, gateway, epoch, last_part, most)
        self._news = [n for n in self._news if n.detail != "session_lost"]
        return left_out


class LosesTheLastOfTheUnread(Register):
    def _count_unread(self, parts: int, last: int, cause: str) -> None:
        super()._count_unread(parts, last - 1, cause)


class StopsInSilence(Register):
    def stop(self) -> None:
        self.suspend()


class UnderThePresentSession(Recorder):
    """Tells every fact under the sessions that are present."""

    def parts(self, news: Iterable[News], now_ns: int) -> None:
        super().parts(news, now_ns)
        self._open.clear()


@pytest.mark.parametrize(
    "broken",
    [
        EndsTwice,
        ForgetsOnRestart,
        LosesTheLastOfTheUnread,
        StopsInSilence,
        *(type(f"Untold_{kind}", (Untold,), {"kind": kind}) for kind in KINDS),
    ],
)
def test_a_register_that_does_not_tell_all_is_caught(broken: type[Register]) -> None:
    class Planted(FactsMachine):
        register_class = broken

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Planted, settings=SABOTAGE)


def test_facts_under_the_wrong_session_are_caught() -> None:
    class Planted(FactsMachine):
        def __init__(self) -> None:
            super().__init__()
            self.recorder = UnderThePresentSession(self.put, self.recorder.status, lambda: 0)

    with pytest.raises(AssertionError, match="under two sessions"):
        run_state_machine_as_test(Planted, settings=SABOTAGE)
