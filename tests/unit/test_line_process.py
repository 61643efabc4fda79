from collections.abc import Callable

import pytest

from edge.simulate.line.process import RESTART_NS, Gone, Process
from edge.simulate.line.scheduler import NEVER, Scheduler

MS = 1_000_000


class Still:
    due_ns = scan_ns = NEVER

    def happen(self, now_ns: int) -> None:
        raise AssertionError(now_ns)

    scan = happen


class Clockwork(Process):
    """Turns every 10 ms, and may wait or raise in a turn."""

    def __init__(self, sim: Scheduler) -> None:
        super().__init__(sim)
        self.turns: list[int] = []
        self.built = self.torn = 0
        self.told: list[str] = []
        self.wait_ms = 0
        self.raises = False

    def _build(self) -> tuple[Callable[[], None], Callable[[], int]]:
        self.built += 1
        self._next = self._sim.now + 10 * MS
        return self._work, lambda: self._next

    def _tear_down(self) -> None:
        self.torn += 1

    def _work(self) -> None:
        self.turns.append(self._sim.now // MS)
        if self._sim.now >= self._next:
            self._next = self._sim.now + 10 * MS
        if self.raises:
            self.raises = False
            raise ValueError("a defect")
        if self.wait_ms:
            wait_ms, self.wait_ms = self.wait_ms, 0
            self.wait_until(self._sim.now + wait_ms * MS)
            self.turns.append(-self._sim.now // MS)

    def _tell(self, problem: str) -> None:
        self.told.append(problem)


class Spinning(Clockwork):
    """Never does what is due."""

    def _work(self) -> None:
        self.turns.append(self._sim.now // MS)


@pytest.fixture
def process() -> Clockwork:
    sim = Scheduler(0)
    sim.physics = Still()
    clockwork = Clockwork(sim)
    clockwork.start()
    return clockwork


def run(process: Clockwork, to_ms: int) -> None:
    process._sim.run_until(to_ms * MS)


def test_it_turns_when_something_is_due_or_comes(process: Clockwork) -> None:
    run(process, 25)
    process.poke()
    run(process, 30)
    assert process.turns == [0, 10, 20, 25, 30]
    assert process.works
    assert process.down_ns is None


def test_a_killed_process_turns_no_more_until_it_is_started_anew(process: Clockwork) -> None:
    run(process, 12)
    process.kill()
    process.poke()
    process.kill()
    run(process, 40)
    assert (process.turns, process.torn, process.down_ns) == ([0, 10], 1, 12 * MS)
    process.start()
    process.start()
    run(process, 50)
    assert process.turns == [0, 10, 40, 50]
    assert (process.built, process.life) == (2, 2)


@pytest.mark.parametrize("how", ["stop", "hang"])
def test_a_stopped_process_goes_on_where_it_was(process: Clockwork, how: str) -> None:
    run(process, 12)
    getattr(process, how)()
    process.poke()
    run(process, 95)
    assert not process.works
    assert process.down_ns == 12 * MS
    process.go_on()
    assert process.works
    run(process, 104)
    assert process.turns == [0, 10, 95]
    run(process, 105)
    assert process.turns == [0, 10, 95, 105]


def test_what_comes_while_it_turns_makes_it_turn_again(process: Clockwork) -> None:
    process.wait_ms = 3
    process._sim.at(6 * MS, lambda _: process.poke())
    process._sim.at(5 * MS, lambda _: process.poke())
    run(process, 9)
    assert process.turns == [0, 5, -8, 8]


def test_a_process_that_is_killed_in_a_call_never_comes_back_from_it(process: Clockwork) -> None:
    process.wait_ms = 8
    process._sim.at(15 * MS, lambda _: process.kill())
    run(process, 60)
    assert process.turns == [0, 10]
    assert process.torn == 1


def test_a_successor_is_not_held_up_by_a_call_of_its_predecessor(process: Clockwork) -> None:
    process.wait_ms = 8
    process._sim.at(14 * MS, lambda _: process.kill())
    process._sim.at(16 * MS, lambda _: process.start())
    run(process, 30)
    assert process.turns[:2] == [0, 10]
    assert process.turns[2:]
    assert all(turn >= 16 for turn in process.turns[2:])
    assert process.alive


def test_a_process_that_is_stopped_in_a_call_returns_from_it_when_it_goes_on(process: Clockwork) -> None:
    process.wait_ms = 5
    process._sim.at(12 * MS, lambda _: process.stop())
    process._sim.at(40 * MS, lambda _: process.go_on())
    run(process, 45)
    assert process.turns[:2] == [0, 10]
    assert -42 <= process.turns[2] <= -40


def test_a_defect_ends_the_process_and_is_told(process: Clockwork) -> None:
    process.raises = True
    run(process, 11)
    assert not process.alive
    assert process.told == ["Clockwork raised ValueError: a defect"]
    run(process, 11 + RESTART_NS // MS)
    assert process.alive
    assert process.life == 2


def test_waiting_raises_once_the_process_is_gone(process: Clockwork) -> None:
    process._sim.at(5 * MS, lambda _: process.kill())
    with pytest.raises(Gone):
        process.wait_until(9 * MS)


def test_a_loop_that_leads_nowhere_ends_its_process_and_is_told() -> None:
    sim = Scheduler(0)
    sim.physics = Still()
    spinning = Spinning(sim)
    spinning.start()
    sim.run_until(20 * MS)
    assert not spinning.alive
    assert spinning.told == ["Spinning raised RuntimeError: after 1000 turns at one time something is still due"]
