"""The line: plant, gateway, station and monitor as in production, with journals and evidence on one small disk."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from edge.clock import NS_PER_S, now_ns
from edge.commands.config_edit import edited
from edge.commands.processes import MODELS, Line, ProcessFailed
from edge.commands.soak_watch import Sample, sample
from edge.simulate.console import Console
from tests.faults.matrix.disk import EVIDENCE, JOURNALS, Disk
from tests.support_alerting import free_port
from tests.support_line import RECIPE

DISK_BYTES = 192 << 20
PROCESSES = ("plant", "gateway", "station", "monitor")
WATCHED = PROCESSES[1:]

_START_S = 40.0
_FIRST_PLATES = 10
_TURN_S = 0.1
_SAMPLE_NS = 5 * NS_PER_S
_ANSWER_S = 5.0

_EVIDENCE = {("evidence", "keep_gb"): 0.03, ("evidence", "free_gb"): 0.004}
_MONITOR = """\
port = {port}
station = "{folder}/station.toml"
gateway = "{folder}/gateway.toml"
annotations = "{folder}/annotations.sqlite"
"""


class Rig:
    """A running line of 600 plates a minute, one of twenty defective; plates wait where the PLC holds the infeed.

    Use it as a context manager.  Nobody resets an alarm: what the line does not recover from by itself stays.

    Attributes:
        line: its processes.
        disk: of journals and evidence.
        journals: their folders, by process.
        console: the plant's.
        url: of the dashboard.
        kills: by process, when it was killed, monotonic ns.
        samples: by process, of memory, descriptors and threads; their ``parts`` are plates that had met the eye.
    """

    def __init__(self) -> None:
        self.line = Line(MODELS / "sim-strip", RECIPE)
        self.disk = Disk(self.line.folder, (*JOURNALS, *EVIDENCE), DISK_BYTES)
        self.journals = {name: self.line.folder / f"{name}-journal" for name in ("station", "gateway")}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.kills: dict[str, list[int]] = {name: [] for name in PROCESSES}
        self.samples: dict[str, list[Sample]] = {name: [] for name in WATCHED}
        self.console: Console
        self._leaving = ExitStack()
        self._up: set[str] = set()  # what must run
        self._sample_ns = 0

    def __enter__(self) -> Rig:
        with ExitStack() as stack:
            stack.enter_context(self.line)
            stack.enter_context(self.disk)
            self._open(stack)
            self._leaving = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.close()

    def _open(self, stack: ExitStack) -> None:
        folder, console = self.line.folder, self.line.folder / "console"
        stack.callback(self._stop_all)  # before the disk goes
        self.line.start_plant("--parts", "0", "--seed", "11", "--defect-rate", "0.05", "--console", str(console))
        self._up.add("plant")
        self.console = stack.enter_context(Console(console))
        station = folder / "station.toml"
        station.write_text(edited(station.read_text(encoding="utf-8"), _EVIDENCE, str(station)), encoding="utf-8")
        (folder / "monitor.toml").write_text(_MONITOR.format(folder=folder, port=self.port), encoding="utf-8")
        self.console.begin("starting")
        for name in WATCHED:
            self.start(name)
        self.wait_until(lambda: self.passed >= _FIRST_PLATES, _START_S, "The line does not pass plates")
        self.console.end("starting")
        for samples in self.samples.values():
            samples.clear()  # memory is followed from here on

    # -- processes -------------------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start a process that is not running."""
        if name == "gateway":
            self.line.start_gateway()
        elif name == "station":
            self.line.start_station()
        else:
            self.line.start("monitor", "monitor", "--config", str(self.line.folder / "monitor.toml"))
        self._up.add(name)

    def kill(self, name: str) -> None:
        """SIGKILL; it stays away until it is started again."""
        self._up.discard(name)
        os.kill(self.line.pid(name), signal.SIGKILL)
        self.kills[name].append(now_ns())

    def end(self) -> None:
        """End the plant, which then judges, and the rest, in order.

        Raises:
            ProcessFailed: one does not end well.
        """
        time.sleep(1.0)  # let the records of the last parts arrive
        for name in ("plant", "station", "gateway", "monitor"):
            self._up.discard(name)
            if code := self.line.stop(name, timeout_s=20.0):
                raise ProcessFailed(
                    f"The {name} ended with exit code {code}: {self.line.log(name)}", "mend what it says."
                )

    def _stop_all(self) -> None:
        for name in sorted(self._up):
            self.line.stop(name)

    # -- looking ---------------------------------------------------------------------------------------------------

    @property
    def passed(self) -> int:
        """Plates in the good bin, by right or not."""
        return int(self.console.look()["good_bin"])

    def dashboard(self) -> dict[str, Any]:
        """Return what the dashboard shows.

        Raises:
            OSError: it does not answer.
        """
        with urllib.request.urlopen(f"{self.url}/api/state", timeout=_ANSWER_S) as answer:
            values: dict[str, Any] = json.load(answer)
            return values

    def wait(self, seconds: float) -> None:
        """Look after the processes for so long."""
        end_ns = now_ns() + int(seconds * NS_PER_S)
        while (left_ns := end_ns - now_ns()) > 0:
            self._turn()
            time.sleep(min(_TURN_S, left_ns / NS_PER_S))

    def wait_until(self, holds: Callable[[], bool], timeout_s: float, complaint: str) -> None:
        """Look after the processes until something holds.

        Raises:
            ProcessFailed: with ``complaint``: it took longer than ``timeout_s``.
        """
        end_ns = now_ns() + int(timeout_s * NS_PER_S)
        while not holds():
            if now_ns() > end_ns:
                logs = {name: self.line.log(name)[-300:] for name in PROCESSES}
                raise ProcessFailed(f"{complaint} within {timeout_s:g} s: {logs}", "see the logs.")
            self._turn()
            time.sleep(_TURN_S)

    def _turn(self) -> None:
        for name in self._up:
            self.line.check(name)
        now = now_ns()
        if now < self._sample_ns:
            return
        self._sample_ns = now + _SAMPLE_NS
        parts = int(self.console.look()["entered"])
        for name in self._up - {"plant"}:
            if (taken := sample(self.line.pid(name), parts)) is not None:
                self.samples[name].append(taken)
