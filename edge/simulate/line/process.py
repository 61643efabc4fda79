"""A simulated process: it lives or not, runs or is stopped, and its loop turns when something is due."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from edge.simulate.line.scheduler import NEVER, Scheduler

RESTART_NS = 300_000_000

MOST_TURNS = 1000
"""At one virtual time: a loop that still has something to do then leads nowhere."""


class Gone(BaseException):
    """The process was killed while it waited inside a call; nothing of it runs any more."""


class Process(ABC):
    """Base of station and gateway.

    Attributes:
        alive: it exists.
        stopped: the whole process stands (SIGSTOP).
        hung: its loop stands, while its other threads go on.
        life: how often it was started.
        down_ns: since when its loop does not turn, or None while it does.
    """

    def __init__(self, sim: Scheduler) -> None:
        self._sim = sim
        self.alive = self.stopped = self.hung = False
        self.life = 0
        self.down_ns: int | None = sim.now
        self._due_ns = NEVER
        self._working = self._again = False
        self._spun_ns, self._spins = -1, 0
        self._turn: Callable[[], None] = _nothing
        self._next_ns: Callable[[], int] = _never

    @property
    def works(self) -> bool:
        """True while its loop turns."""
        return self.alive and not self.stopped and not self.hung

    def start(self) -> None:
        """Start a new process, unless one lives."""
        if not self.alive:
            self.life += 1
            self.alive, self.stopped, self.hung = True, False, False
            self._due_ns, self.down_ns = NEVER, None
            self._turn, self._next_ns = self._build()
            self.poke()

    def kill(self) -> None:
        """End the process at once; what it held is lost."""
        if self.alive:
            self.alive = self.stopped = self.hung = False
            self._goes_down()
            self._tear_down()

    def stop(self) -> None:
        """Stop the whole process."""
        if self.alive:
            self.stopped = True
            self._goes_down()

    def go_on(self) -> None:
        """Let a stopped process, or a hung loop, go on."""
        if self.alive:
            self.stopped = self.hung = False
            self.down_ns = None
            self.poke()

    def hang(self) -> None:
        """Let the loop stand."""
        if self.alive:
            self.hung = True
            self._goes_down()

    def _goes_down(self) -> None:
        if self.down_ns is None:
            self.down_ns = self._sim.now

    def wait_until(self, end_ns: int) -> None:
        """Wait inside a call of this process, while everything else goes on.

        Raises:
            Gone: the process was killed meanwhile.
        """
        life = self.life
        self._sim.run_until(end_ns)
        while self.stopped and self.life == life:
            self._sim.run_until(self._sim.now + 1_000_000)
        if not self.alive or self.life != life:
            raise Gone

    def poke(self) -> None:
        """Turn the loop, if it can turn."""
        if not self.alive or self.stopped or self.hung:
            return
        if self._working:
            self._again = True
            return
        self._working = True
        life = self.life
        try:
            self._turn()
            while self._again:
                self._again = False
                self._turn()
        except Gone:
            pass
        except Exception as error:  # noqa: BLE001 - whatever the product raises ends its process, and is told
            self._raised(error)
        finally:
            self._working = False
        if self._again or life != self.life:  # started anew while the old one's call returned
            self._again = False
            self._sim.at(self._sim.now, self._wake_new, self.life)
        elif self.alive:
            due_ns = self._next_ns()
            if due_ns <= self._sim.now and self._spins_too_often():
                self._raised(RuntimeError(f"after {MOST_TURNS} turns at one time something is still due"))
            elif due_ns < self._due_ns:
                self._due_ns = due_ns
                self._sim.at(due_ns, self._wake, due_ns)

    def _spins_too_often(self) -> bool:
        """True once the loop has turned too often at this time without having done all that is due."""
        if self._spun_ns != self._sim.now:
            self._spun_ns, self._spins = self._sim.now, 0
        self._spins += 1
        return self._spins >= MOST_TURNS

    def _wake_new(self, life: int) -> None:
        if life == self.life:
            self.poke()

    def _wake(self, due_ns: int) -> None:
        if due_ns != self._due_ns:
            return
        self._due_ns = NEVER
        if not self.alive or self.stopped or self.hung or self._working:
            return
        next_ns = self._next_ns()
        if next_ns <= self._sim.now:
            self.poke()
        else:  # what was due has been done meanwhile
            self._due_ns = next_ns
            self._sim.at(next_ns, self._wake, next_ns)

    def _raised(self, error: Exception) -> None:
        """End a process whose code raised, as an interpreter would; it is started again."""
        self.kill()
        self._sim.after(RESTART_NS, _start, self)
        self._tell(f"{type(self).__name__} raised {type(error).__name__}: {error}")

    @abstractmethod
    def _tell(self, problem: str) -> None:
        """Take note of a defect of the product."""

    @abstractmethod
    def _build(self) -> tuple[Callable[[], None], Callable[[], int]]:
        """Make what a new process consists of; return what does all that is due, and what says when that is."""

    @abstractmethod
    def _tear_down(self) -> None:
        """Take it out of the simulation."""


def _nothing() -> None:
    """There is no process yet."""


def _never() -> int:
    return NEVER


def _start(process: Process) -> None:
    process.start()
