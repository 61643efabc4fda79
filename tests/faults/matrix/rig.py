"""The line on which rows are run: real processes, the relay between station and gateway, and whoever looks at them."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.commands.processes import MODELS, Line
from edge.simulate.console import Console
from edge.wire.control import request
from tests.faults.matrix.disk import EVIDENCE, JOURNALS, Disk
from tests.faults.matrix.network import Network
from tests.faults.matrix.protections import FAULTY_ENGINE
from tests.faults.matrix.relay import RELAY, Relay
from tests.faults.matrix.watch import Watch
from tests.support_line import RECIPE, Eye, send

OUTAGE_S = 3.0
"""How long a process is away: longer than a status may be old, so that the monitor must notice."""

SABOTAGED = Path(__file__).resolve().parents[1] / "sabotaged.py"

REFUSAL_S = 10.0
"""For a process to start and to say that it cannot."""

_QUIET = "[guard]\nreject_rate = 0.0\n"
"""Fault follows fault here, which on a line would be a reason for this alarm."""


@dataclass(frozen=True)
class Setup:
    """How a line is set up.

    Attributes:
        plant: options of `edge simulate plant`.
        limits: of the ``[line]`` sections, TOML.
        plc: of the gateway's ``[plc]`` section, TOML.
        relayed: the relay stands between station and gateway.
        two_hosts: the station runs in a network namespace of its own, and speaks to the gateway by TCP with keys.
        small_disk: the journals lie on a small file system of their own.
        evidence: the pictures lie on a small file system of their own.
    """

    plant: tuple[str, ...] = ()
    limits: str = ""
    plc: str = ""
    relayed: bool = False
    two_hosts: bool = False
    small_disk: bool = False
    evidence: bool = False


_FREE = ("free_gb = 0.2", "free_gb = 0.004")
"""Of the evidence, as a line has it, and on a file system as small as the rig's."""

_FAST = """
pitch_min_mm = 150.0
part_length_min_mm = 20.0
part_length_max_mm = 20.0
speed_min_mm_s = 3000.0
speed_max_mm_s = 3000.0
"""

SETUPS: dict[str, Setup] = {
    "line": Setup(),
    "relayed": Setup(relayed=True),
    "two hosts": Setup(two_hosts=True),
    "small disk": Setup(small_disk=True),
    "evidence": Setup(evidence=True),
    "1200 a minute": Setup(
        plant=("--speed", "3000", "--v-max", "3000", "--pitch", "150", "--pitch-min", "140", "--length", "20"),
        limits=_FAST,
    ),
    "half speed": Setup(
        plant=("--speed", "500", "--v-max", "1000", "--count-start", str((1 << 32) - 130_000)),
        limits="speed_min_mm_s = 500.0",
    ),
}


class Rig:
    """A running line.  Made by ``running``.

    Attributes:
        line: its processes.
        eye: the test's own look at the PLC.
        console: of the plant: its faults, and what the referee calls affected.
        relay: between station and gateway, where the setup has it.
        watch: on `/metrics`.
        network: between station and gateway, where the setup has two hosts.
        disk: of the journals or the evidence, where the setup has one of their own.
        package: the station's own copy of the model package.
    """

    def __init__(self, line: Line, package: Path, sabotage: Mapping[str, str], disk: tuple[str, ...]) -> None:
        self.line, self.package, self._sabotage = line, package, sabotage
        self.network, self.disk = Network(line.folder), Disk(line.folder, disk)
        self._inside: tuple[str, ...] = ()
        self._cleanup = contextlib.ExitStack()
        self.relay = Relay(line)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        self.watch = Watch(f"http://127.0.0.1:{self._port}/metrics")
        self.eye: Eye
        self.console: Console

    def start_all(self, setup: Setup) -> None:
        """Start every process."""
        console = self.line.folder / "console"
        options = ("--parts", "0", "--seed", "11", "--infeed", "free", "--console", str(console), *setup.plant)
        self.line.start_plant(*options, program=self._program("plant"))
        self.console = self._cleanup.enter_context(contextlib.closing(Console(console)))
        self.eye = self._cleanup.enter_context(contextlib.closing(Eye(self.line)))
        if setup.relayed:
            self.relay.start()
        if setup.evidence:
            settings = self.line.folder / "station.toml"
            text = settings.read_text(encoding="utf-8")
            assert _FREE[0] in text
            settings.write_text(text.replace(*_FREE), encoding="utf-8")
        if setup.two_hosts:
            self.network.configure()
            self._inside = self.network.inside
        for name in ("gateway", "station", "monitor"):
            self.start(name)
            self._cleanup.callback(self.line.stop, name)
        self.watch.start()
        self._cleanup.callback(self.watch.stop)

    def close(self) -> None:
        """End what uses the folder, as far as it was started."""
        self._cleanup.close()

    def start(self, name: str) -> None:
        """Start a process, anew where it has ended."""
        if name == "gateway":
            self.line.start_gateway(program=self._program(name))
        elif name == "station":
            self.line.start_station(program=self._program(name), inside=self._inside)
        else:
            (self.line.folder / "monitor.port").write_text(str(self._port))
            self.line.start_monitor(self._port)

    def kill(self, *names: str) -> None:
        """SIGKILL, wait ``OUTAGE_S``, and start again."""
        send(self.line, signal.SIGKILL, *names)
        time.sleep(OUTAGE_S)
        for name in names:
            self.start(name)

    def halt(self, *names: str, seconds: float = OUTAGE_S) -> None:
        """SIGSTOP for a while."""
        send(self.line, signal.SIGSTOP, *names)
        try:
            time.sleep(seconds)
        finally:
            send(self.line, signal.SIGCONT, *names)

    def restart(self, name: str) -> None:
        """SIGTERM, wait for it to end in order, and start again after ``OUTAGE_S``."""
        code = self.line.stop(name)
        assert code == 0, f"the {name} ended with exit code {code}: {self.line.log(name)}"
        time.sleep(OUTAGE_S)
        self.start(name)

    def refuses_to_start(self, name: str, code: int, words: str) -> None:
        """Start a process that must refuse, with its exit code and words in its log."""
        self.start(name)
        found = self.line.wait(name, REFUSAL_S)
        assert found == code, f"the {name} ended with exit code {found}, not {code}: {self.line.log(name)}"
        assert words in self.line.log(name), f"{words!r} is not in the log: {self.line.log(name)}"

    def fault(self, name: str, ms: float = 1000 * OUTAGE_S, **how: Any) -> None:
        """Let the plant make one of its own faults, and wait until it is over."""
        self.console.fault(name, ms=ms, **how)
        time.sleep(ms / 1000)

    def engine(self, fault: str) -> None:
        """Let the station's engine fail from its next run on ("hang", "raise", "nan", "slow SECONDS"); "" mends it."""
        path = self.line.folder / "engine.fault"
        if fault:
            path.write_text(fault)
        else:
            path.unlink()

    def command(self, process: str, name: str, **arguments: str) -> dict[str, Any]:
        """Send a control command to station or gateway."""
        return request(self.line.folder / f"{process}.control", name, **arguments)

    def _program(self, process: str) -> Sequence[str] | None:
        names = [self._sabotage[process]] if process in self._sabotage else []
        if process == "station":
            names.append(FAULTY_ENGINE)
        return (str(SABOTAGED), ",".join(names)) if names else None


@contextlib.contextmanager
def running(setup: str = "line", sabotage: Mapping[str, str] | None = None) -> Iterator[Rig]:
    """Run plant, relay, gateway, station and monitor, with journals.

    Args:
        setup: how, of ``SETUPS``.
        sabotage: by process, a protection to take out, as ``sabotaged.py`` names it.
    """
    how = SETUPS[setup]
    link = RELAY if how.relayed else "gateway"
    with contextlib.ExitStack() as stack:
        package = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-"))) / "package"
        shutil.copytree(MODELS / "sim-strip", package)
        line = stack.enter_context(Line(package, RECIPE, how.limits, plc=f"{how.plc}\n{_QUIET}", link=link))
        rig = Rig(line, package, sabotage or {}, EVIDENCE if how.evidence else JOURNALS)
        if how.two_hosts:
            stack.enter_context(rig.network)
        if how.small_disk or how.evidence:
            stack.enter_context(rig.disk)
        stack.callback(rig.close)
        rig.start_all(how)
        yield rig
