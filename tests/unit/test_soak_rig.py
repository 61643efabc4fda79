"""The end of a soak: everything is ended and given back, whatever happens meanwhile, and how it ended is noted."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.commands import soak_rig
from edge.commands.processes import ProcessFailed
from edge.commands.soak_faults import _killed
from edge.commands.soak_line import FastLine
from edge.commands.soak_rig import Rig

SLEEPS = "import time; time.sleep(60)"
ENDS_BADLY = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(3)); time.sleep(60)"
ENDS_WELL = ENDS_BADLY.replace("3", "0")


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig(FastLine(60, 0.02), 100, 1, {})
    yield rig
    rig.close()


def start(rig: Rig, name: str, code: str) -> None:
    """Start a process in place of ``name``; it is deaf to nothing once it says so."""
    ready = rig.line.folder / f"{name}.ready"
    program = code.replace("time.sleep", f"open({str(ready)!r}, 'w'); time.sleep")
    rig.line.start(name, program=("-c", program))
    rig.line.wait_for(ready, name, 10.0)


def test_what_is_given_back_is_given_back_though_ending_a_process_fails(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[str] = []
    rig.leaving.callback(left.append, "unmounted")
    for name in ("gateway", "monitor"):
        start(rig, name, SLEEPS)
    pids = [rig.line.pid(name) for name in ("gateway", "monitor")]
    stop = rig.stop

    def fails(name: str) -> None:
        left.append(name)
        if name == "monitor":
            raise SystemExit(143)
        stop(name)

    monkeypatch.setattr(rig, "stop", fails)
    with pytest.raises(SystemExit):
        rig.close()
    assert left == ["monitor", "gateway", "unmounted"]
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)
    assert not rig.line.folder.exists()


def test_signals_wait_until_all_is_given_back(rig: Rig) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    left: list[str] = []
    rig.leaving.callback(left.append, "unmounted")
    rig.leaving.callback(lambda: [os.kill(os.getpid(), number) for number in before])  # would end the test run
    rig.close()
    assert left == ["unmounted"]
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.parametrize(
    ("code", "by", "problems"),
    [
        (ENDS_BADLY, signal.SIGTERM, 1),
        (SLEEPS, signal.SIGTERM, 1),
        (ENDS_WELL, signal.SIGTERM, 0),
        (ENDS_BADLY, signal.SIGKILL, 0),
    ],
)
def test_a_process_that_is_asked_to_end_must_end_well(
    rig: Rig, code: str, by: signal.Signals, problems: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rig, "start", lambda *_: None)
    monkeypatch.setattr(Rig, "wait", lambda *_: None)
    monkeypatch.setattr(Rig, "wait_until", lambda *_: True)
    start(rig, "monitor", code)
    _killed("monitor", by=by)(rig, random.Random(1))
    assert len(rig.fallen) == problems
    assert len(rig.kills["monitor"]) == (by is signal.SIGKILL)


def test_a_stop_that_needs_force_is_noted(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    start(rig, "monitor", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)")
    monkeypatch.setattr(rig.line, "stop", lambda name: type(rig.line).stop(rig.line, name, 0.2))
    rig.stop("monitor")
    assert "exit code -9" in rig.fallen[0]


def test_a_process_that_does_not_end_is_said(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak_rig, "END_S", 0.2)
    start(rig, "monitor", SLEEPS)
    with pytest.raises(ProcessFailed, match="did not end"):
        rig.await_end("monitor", signal.SIGTERM)


def test_a_disk_is_given_back_though_it_was_interrupted_as_it_was_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge.commands import soak_journals

    commands: list[str] = []

    class Ended:
        returncode = 0

    def run(command: list[str], **_: object) -> Ended:
        commands.append(command[0])
        if command[0] == "mount":
            raise SystemExit(143)
        return Ended()

    monkeypatch.setattr(soak_journals.subprocess, "run", run)
    monkeypatch.setattr(Path, "is_mount", lambda _: True)
    with pytest.raises(SystemExit), soak_journals.small_disk(tmp_path / "j", 0.02):
        pass
    assert commands == ["mount", "umount"]
