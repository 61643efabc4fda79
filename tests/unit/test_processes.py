"""What starts and ends a line's processes: it waits for none without end, and leaves none behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.commands import processes
from edge.commands.processes import MODELS, Line, ProcessFailed

DEAF = (
    "-c",
    "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "pathlib.Path(sys.argv[1]).touch(); time.sleep(60)",
)
SLEEPS = ("-c", "import time; time.sleep(60)")

DRIVER = """
import sys, time
from edge.commands.processes import MODELS, Line
line = Line(MODELS / "sim-strip", "")
line.start("gateway", program=("-c", "import time; time.sleep(60)"))
print(line.pid("gateway"), line.folder, flush=True)
time.sleep(60)
"""


def lives(pid: int) -> bool:
    """True while a process runs; one that has ended and is waited for by nobody does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_a_process_that_does_not_end_is_said_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "END_S", 0.2)
    with Line(MODELS / "sim-strip", "") as line:
        line.start("station", program=SLEEPS)
        began = time.monotonic()
        with pytest.raises(ProcessFailed, match=r"The station did not end within 0\.2 s"):
            line.start("station", program=SLEEPS)
        assert time.monotonic() - began < 5.0


def test_processes_end_with_the_one_that_started_them() -> None:
    with subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        pid, folder = driver.stdout.readline().split()
        assert lives(int(pid))
        driver.kill()
    end = time.monotonic() + 5.0
    while lives(int(pid)):
        assert time.monotonic() < end
        time.sleep(0.01)
    Path(folder, "gateway.log").unlink()
    Path(folder).rmdir()


def test_one_process_that_cannot_be_ended_keeps_no_other_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(MODELS / "sim-strip", "")
    stop = Line.stop

    def fails(self: Line, name: str, timeout_s: float = 5.0) -> int:
        code = stop(self, name, timeout_s)
        if name == "station":
            raise OSError("gone")
        return code

    monkeypatch.setattr(Line, "stop", fails)
    names = ("gateway", "station", "monitor")
    for name in names:
        line.start(name, program=SLEEPS)
    pids = [line.pid(name) for name in names]
    with pytest.raises(OSError, match="gone"):
        line.__exit__(None, None, None)
    assert not any(map(lives, pids))
    assert not line.folder.exists()


def test_a_process_that_is_deaf_is_ended_by_force() -> None:
    with Line(MODELS / "sim-strip", "") as line:
        line.start("station", str(line.folder / "deaf"), program=DEAF)
        line.wait_for(line.folder / "deaf", "station", 20.0)
        assert line.stop("station", 0.2) == -signal.SIGKILL
        assert not os.path.exists(f"/proc/{line.pid('station')}")
