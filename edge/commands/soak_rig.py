"""The processes of a soak, watched: each wait looks after all of them, and ends with an error where one is lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from edge.clock import NS_PER_MS, NS_PER_S, now_ns
from edge.commands.processes import END_S, MODELS, Line, ProcessFailed
from edge.commands.soak_line import FRAME, FastLine, journal_folders
from edge.commands.soak_watch import Sample, Statuses, sample
from edge.simulate.console import Console, ConsoleError

WATCHED = ("plant", "gateway", "station", "monitor")
STATION_PROGRAM = ("-m", "edge.commands.soak_station")
RECIPE = 'name = "soak"\nrules = [{ name = "mark", min_score = 0.5 }]'

START_S = 30.0
_TURN_MS = 10
_PLANT_END_S = 5.0
_SAMPLE_NS = NS_PER_S
_LOOK_NS = 20 * NS_PER_MS


class Rig:
    """Plant, gateway, station and monitor of a soak; use it as a context manager.

    Args:
        fast: the line.
        parts: plates that the plant lets in.
        seed: of the plates.
        programs: by process name, Python arguments that stand in for the program of a soak; tests sabotage one so.

    Attributes:
        console: the plant's.
        statuses: what station and gateway publish.
        journals: folder by process.
        samples: of memory, descriptors and threads, by process.
        kills: by process, when it was killed, ns.
        fallen: what was wrong with a process that ended by itself, or not in order, in words.
        leaving: what is to be given back when all processes have ended, and before their folder goes.
    """

    def __init__(self, fast: FastLine, parts: int, seed: int, programs: Mapping[str, Sequence[str]]) -> None:
        self.line = Line(MODELS / "sim-strip", RECIPE, frame=FRAME)
        self.journals = journal_folders(self.line)
        self.samples: dict[str, list[Sample]] = {name: [] for name in WATCHED}
        self.kills: dict[str, list[int]] = {name: [] for name in WATCHED}
        self.fallen: list[str] = []
        self.console: Console
        self.statuses: Statuses
        self._fast, self._parts, self._seed, self._programs = fast, parts, seed, programs
        self.leaving = ExitStack()
        self._down: set[str] = set()  # ended on purpose
        self._state: dict[str, Any] = {}
        self._state_ns = self._sample_ns = self._end_ns = 0

    def __enter__(self) -> Rig:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self, timeout_s: float) -> None:
        """Start everything, and return when station and gateway have spoken.

        Args:
            timeout_s: after which every wait fails: the run must end by itself.

        Raises:
            BudgetError: `edge check` refuses the line.
            ProcessFailed: one does not start.
        """
        self._end_ns = now_ns() + int(timeout_s * NS_PER_S)
        line, socket = self.line, self.line.folder / "console"
        options = [*self._fast.plant_options(self._parts, self._seed), "--console", str(socket)]
        line.start_plant(*options, program=self._programs.get("plant"))
        self.console = self.leaving.enter_context(Console(socket))
        self.console.begin("starting")  # plates come already
        self._fast.configure(line.folder)
        self.statuses = Statuses(line.endpoint("telemetry"), line.endpoint("gateway-telemetry"))
        self.leaving.enter_context(self.statuses)
        for name in ("gateway", "station", "monitor"):
            self.start(name)
        self.wait_until(lambda: all(self.statuses.heard_ns.values()), START_S, "Station and gateway said nothing")
        self.console.end("starting")

    def close(self) -> None:
        """End every process and remove everything; also after an ``open`` that failed half way.

        Each of these is done whatever becomes of the others, and signals that would end this process wait for it.
        """
        with _undisturbed(), ExitStack() as steps:  # the last that is named here comes first
            steps.callback(self.line.__exit__, None, None, None)
            steps.callback(self.leaving.close)
            for name in WATCHED:
                steps.callback(self._end, name)

    def _end(self, name: str) -> None:
        if self._runs(name):
            self._send(name, signal.SIGCONT)  # a stopped process cannot end in order
            self.stop(name)

    # -- processes -------------------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start a process that is not running."""
        line, program = self.line, self._programs.get(name)
        if name == "gateway":
            line.start_gateway(program=program)
        elif name == "station":
            line.start("station", str(line.folder / "station.toml"), program=program or STATION_PROGRAM)
        else:
            line.start_monitor(0)
        self._down.discard(name)

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal; one that ends a process does so on purpose."""
        if number in (signal.SIGKILL, signal.SIGTERM):
            self._down.add(name)
        self._send(name, number)
        if number is signal.SIGKILL:
            self.kills[name].append(now_ns())

    def _send(self, name: str, number: signal.Signals) -> None:
        os.kill(self.line.pid(name), number)

    def stop(self, name: str) -> None:
        """End a process in order."""
        self._down.add(name)
        self._ended(name, self.line.stop(name))

    def await_end(self, name: str, number: signal.Signals) -> None:
        """Wait until a process has ended that was sent ``number``.

        Raises:
            ProcessFailed: it does not.
        """
        code = self.line.wait(name, END_S)
        if number is not signal.SIGKILL:
            self._ended(name, code)

    def _ended(self, name: str, code: int) -> None:
        if code:
            self.fallen.append(f"the {name} was asked to end, and did with exit code {code}: {self._last_words(name)}")

    def _runs(self, name: str) -> bool:
        try:
            return self.line.running(name)
        except KeyError:  # never started
            return False

    def fault(self, name: str, **args: float) -> None:
        """Let the plant break something.

        Raises:
            ConsoleError: it refuses, or has ended.
        """
        self.console.fault(name, **args)
        self._state_ns = 0  # what it said before is old news

    # -- waiting ---------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what the plant said of itself at most 20 ms ago; its last words once it has ended."""
        now = now_ns()
        if now - self._state_ns >= _LOOK_NS and self.lasts:
            try:
                self._state, self._state_ns = self.console.look(), now
            except ConsoleError:
                self.line.wait("plant", _PLANT_END_S)  # it has just ended, or it hangs
        return self._state

    @property
    def seen(self) -> int:
        """Plates that have entered."""
        return int(self.state().get("entered", 0))

    @property
    def passed(self) -> int:
        """Plates in the good bin, by right or not."""
        return int(self.state().get("good_bin", 0))

    @property
    def lasts(self) -> bool:
        """True while the plant runs."""
        return self._runs("plant")

    def wait(self, seconds: float) -> None:
        """Look after the line for so long, or until the plant has ended."""
        end_ns = now_ns() + int(seconds * NS_PER_S)
        while (left_ns := end_ns - now_ns()) > 0 and self.lasts:
            self._turn(min(_TURN_MS, left_ns // NS_PER_MS + 1))

    def wait_until(self, holds: Callable[[], bool], timeout_s: float, complaint: str) -> bool:
        """Look after the line until something holds.  False where the plant has ended before.

        Raises:
            ProcessFailed: with ``complaint``: it took longer than ``timeout_s``.
        """
        end_ns = now_ns() + int(timeout_s * NS_PER_S)
        while self.lasts:
            if holds():
                return True
            if now_ns() > end_ns:
                raise ProcessFailed(f"{complaint} within {timeout_s:g} s. {self._words()}", "see the logs.")
            self._turn(_TURN_MS)
        return False

    def _turn(self, timeout_ms: int) -> None:
        self.statuses.wait(timeout_ms)
        now = now_ns()
        if now > self._end_ns:
            raise ProcessFailed(f"The soak did not end in its time. {self._words()}", "see what holds the line.")
        if now >= self._sample_ns:
            self._sample_ns = now + _SAMPLE_NS
            self._take_samples()
        for name in WATCHED[1:]:
            if name not in self._down and not self._runs(name):
                self._revive(name)

    def _take_samples(self) -> None:
        parts = self.seen
        for name in WATCHED:
            if name not in self._down and (taken := sample(self.line.pid(name), parts)) is not None:
                self.samples[name].append(taken)

    def _revive(self, name: str) -> None:
        """Start a process anew, as its supervisor would, and remember that it had ended."""
        code = self.line.wait(name, 1.0)
        self.fallen.append(f"the {name} ended by itself with exit code {code}: {self._last_words(name)}")
        self.start(name)

    def _last_words(self, name: str) -> str:
        return self.line.log(name)[-300:]

    def _words(self) -> str:
        gateway, station = self.statuses.gateway, self.statuses.station
        return (
            f"Gateway: {gateway and (gateway.reason, gateway.mode, gateway.alarms)}; "
            f"station: {station and (station.state, station.reason)}; plant: {self._state}."
        )


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore the signals that would end this process; only the main thread may, and only there do they arrive."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def keep(line: Line, folder: Path) -> None:
    """Copy what a soak has left, for a person to look at: logs, configurations, journals, the referee's records."""
    import shutil

    folder.mkdir(parents=True, exist_ok=True)
    for entry in line.folder.iterdir():
        if entry.is_dir():
            shutil.copytree(entry, folder / entry.name, dirs_exist_ok=True)
        elif entry.suffix in (".log", ".toml", ".json", ".jsonl"):
            shutil.copy2(entry, folder / entry.name)
