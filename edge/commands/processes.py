"""The processes of a line, started and stopped from one place: for the demo and for tests of the whole."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from edge.commands import install_sources
from edge.errors import EdgeError

MODELS = install_sources.models()
"""Where the shipped model packages lie."""

_STATION = """\
name = "{name}"
[camera]
endpoint = "{folder}/camera"
width = {width}
height = {height}
color = "{color}"
[trigger]
endpoint = "{folder}/trigger"
[model]
package = "{package}"
[gateway]
endpoint = "{folder}/{link}"
[control]
path = "{path}/station.control"
record = "{path}/station-commands.jsonl"
[journal]
folder = "{path}/station-journal"
[evidence]
{evidence}
[telemetry]
endpoint = "{folder}/telemetry"
[line]
{line}
[recipe]
{recipe}
"""

_GATEWAY = """\
bind = "{folder}/gateway"
[plc]
port = {port}
{plc}
[control]
path = "{path}/gateway.control"
record = "{path}/gateway-commands.jsonl"
[journal]
folder = "{path}/gateway-journal"
[telemetry]
endpoint = "{folder}/gateway-telemetry"
[line]
{line}
"""


_EVIDENCE = """\
folder = "{path}/evidence"
free_gb = 0.2
live = "{folder}/live"
"""

END_S = 30.0
"""For a process to end that was asked to before another takes its name."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None)


class ProcessFailed(EdgeError):
    """A process of the line ended when it should not have."""


class Line:
    """A folder with configurations, sockets and logs, and the processes that run on them.

    Args:
        package: the model package of the station.
        recipe: the body of the ``[recipe]`` section, TOML.
        line: the body of the ``[line]`` sections, TOML; empty for the defaults.
        frame: (width, height, colour) of the plant's frames.
        plc: more of the ``[plc]`` section of the gateway, and sections behind it, TOML.
        link: the socket in the folder at which the station looks for the gateway.
        evidence: the body of the ``[evidence]`` section, TOML; None keeps pictures in the folder and shows them live.

    Use it as a context manager: leaving it ends every process and removes the folder.  Where the process that uses it
    is killed, its processes are too.
    """

    def __init__(
        self,
        package: Path,
        recipe: str,
        line: str = "",
        frame: tuple[int, int, str] = (640, 512, "mono8"),
        plc: str = "",
        link: str = "gateway",
        evidence: str | None = None,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="edge-")
        self.folder = Path(self._temporary.name)
        self._package, self._recipe, self._line, self._frame, self._plc = package, recipe, line, frame, plc
        self._link, self._evidence = link, evidence
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.modbus_port = 0

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as leaving:  # each of these, whatever becomes of the others
            leaving.callback(self._temporary.cleanup)
            for name in reversed(self._processes):
                leaving.callback(self.stop, name)

    def endpoint(self, name: str) -> str:
        """Return the address of one of the line's sockets."""
        return f"ipc://{self.folder}/{name}"

    def start(self, name: str, *command: str, program: Sequence[str] | None = None, inside: Sequence[str] = ()) -> None:
        """Start ``edge COMMAND`` as process ``name``; its stderr goes to a log in the folder.

        Args:
            name: under which it is known here.
            command: the command of `edge` and its arguments.
            program: Python arguments that stand in for ``-m edge``.
            inside: a command that runs the rest, as ``ip netns exec NAME``.

        A process that had this name before must have been asked to end.  The thread that calls this must outlive it.

        Raises:
            ProcessFailed: that process does not end.
        """
        if name in self._processes:
            self.wait(name, END_S)
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*inside, sys.executable, *(program or ("-m", "edge")), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                preexec_fn=_end_with(os.getpid()),  # noqa: PLW1509 - two system calls, and none of Python's locks
            )

    def pid(self, name: str) -> int:
        """Return the process id of process ``name``."""
        return self._processes[name].pid

    def start_plant(self, *options: str, program: Sequence[str] | None = None) -> None:
        """Start the plant and write the configurations that fit it.  Returns when its ports are open."""
        ready = self.folder / "plant.ready"
        ready.unlink(missing_ok=True)
        self.start(
            "plant",
            *("simulate", "plant", "--modbus", "0", "--ready-file", str(ready)),
            *("--trigger", self.endpoint("trigger"), "--camera", self.endpoint("camera")),
            *("--telemetry", self.endpoint("telemetry")),
            *("--width", str(self._frame[0]), "--height", str(self._frame[1]), "--color", self._frame[2]),
            *("--summary", str(self.folder / "summary.json"), "--parts-out", str(self.folder / "plates.jsonl")),
            *options,
            program=program,
        )
        self.wait_for(ready, "plant", 20.0)
        self.modbus_port = int(json.loads(ready.read_text())["modbus"])
        places = {"folder": f"ipc://{self.folder}", "path": self.folder}
        values = {
            **places,
            "name": "station-1",
            "evidence": _EVIDENCE.format(**places) if self._evidence is None else self._evidence,
            "width": self._frame[0],
            "height": self._frame[1],
            "color": self._frame[2],
            "package": self._package,
            "line": self._line,
            "recipe": self._recipe,
            "port": self.modbus_port,
            "plc": self._plc,
            "link": self._link,
        }
        (self.folder / "station.toml").write_text(_STATION.format(**values))
        (self.folder / "gateway.toml").write_text(_GATEWAY.format(**values))

    def start_gateway(self, program: Sequence[str] | None = None) -> None:
        """Start the gateway on its configuration."""
        self.start("gateway", "gateway", str(self.folder / "gateway.toml"), program=program)

    def start_station(self, *options: str, program: Sequence[str] | None = None, inside: Sequence[str] = ()) -> None:
        """Start the station on its configuration; it appends its outcomes to ``outcomes.jsonl``."""
        outcomes = str(self.folder / "outcomes.jsonl")
        config = str(self.folder / "station.toml")
        self.start("station", "run", config, "--outcomes", outcomes, *options, program=program, inside=inside)

    def start_monitor(self, port: int) -> None:
        """Start the monitor of both, on a port of this host."""
        files = ("--station", str(self.folder / "station.toml"), "--gateway", str(self.folder / "gateway.toml"))
        self.start("monitor", "monitor", *files, "--port", str(port))

    def running(self, name: str) -> bool:
        """True while process ``name`` has not ended."""
        return self._processes[name].poll() is None

    def wait(self, name: str, timeout_s: float) -> int:
        """Wait for process ``name`` to end by itself; return its exit code."""
        try:
            return self._processes[name].wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ProcessFailed(
                f"The {name} did not end within {timeout_s:g} s: {self.log(name)}", "see the other logs."
            ) from None

    def wait_for(self, path: Path, name: str, timeout_s: float) -> None:
        """Wait until process ``name`` has made ``path``.

        Raises:
            ProcessFailed: it ended or took too long.
        """
        end = time.monotonic() + timeout_s
        while not path.exists():
            self.check(name)
            if time.monotonic() > end:
                raise ProcessFailed(
                    f"The {name} did not start within {timeout_s:g} s: {self.log(name)}", "see what keeps it."
                )
            time.sleep(0.02)

    def check(self, name: str) -> None:
        """Raise ``ProcessFailed`` where process ``name`` has ended."""
        code = self._processes[name].poll()
        if code is not None:
            raise ProcessFailed(f"The {name} ended with exit code {code}: {self.log(name)}", "mend what it says.")

    def stop(self, name: str, timeout_s: float = 5.0) -> int:
        """End process ``name`` in order, or by force when it does not; return its exit code."""
        process = self._processes[name]
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def log(self, name: str) -> str:
        """Return the end of a process's log."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace")[-2000:].strip() if path.exists() else "(no log)"

    def records(self, file: str) -> list[dict[str, object]]:
        """Return the JSON lines of a file in the folder; none where it does not exist."""
        path = self.folder / file
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]

    def summary(self) -> dict[str, object]:
        """Return the plant's summary."""
        result: dict[str, object] = json.loads((self.folder / "summary.json").read_text())
        return result


def _end_with(parent: int) -> Callable[[], None]:
    """Return what a new process does so that it does not outlive the process ``parent``, which started it."""

    def bind() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before that
            os._exit(1)

    return bind
