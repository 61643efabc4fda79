"""Real processes under a stand-in for the service manager: it hears that they are ready, and whether they are alive."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.commands.processes import MODELS, Line
from edge.errors import ModelError
from tests.support_line import RECIPE, send

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

WATCHDOG_S = 1.5
PROGRAM = (str(Path(__file__).with_name("watched.py")),)
HANG_MS = 2000  # of an inspection; less would blame a busy machine


class Manager:
    """Listens where ``NOTIFY_SOCKET`` says.

    Attributes:
        said: all lines, with when they came.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self.said: list[tuple[float, str]] = []

    def listen(self, seconds: float, until: str = "") -> list[str]:
        """Listen for so long, or until a line begins so; return what was heard."""
        end, heard = time.monotonic() + seconds, list[str]()
        while (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            with contextlib.suppress(TimeoutError):
                lines = self._socket.recv(4096).decode().split("\n")
                self.said += [(time.monotonic(), line) for line in lines]
                heard += lines
                if until and any(line.startswith(until) for line in lines):
                    return heard
        return heard

    def assert_fed(self, seconds: float) -> None:
        """Assert that the watchdog is fed all the time."""
        begun, last = time.monotonic(), time.monotonic()
        while time.monotonic() < begun + seconds:
            assert "WATCHDOG=1" in self.listen(WATCHDOG_S, "WATCHDOG=1"), f"not fed after {last - begun:.1f} s"
            last = time.monotonic()

    def assert_starved(self, within_s: float, why: str = "") -> None:
        """Assert that the watchdog bites within a time, and that ``why`` is told before."""
        begun = last = time.monotonic()
        told = ""
        while time.monotonic() - last < WATCHDOG_S:
            assert time.monotonic() - begun < within_s, f"fed for {within_s:g} s"
            for line in self.listen(0.1):
                last = time.monotonic() if line == "WATCHDOG=1" else last
                told = line if line.startswith("STATUS=hung") else told
        assert told == (f"STATUS=hung: {why} stands still" if why else "")

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


@contextlib.contextmanager
def managed(line: Line, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """Have the processes that are started in here tell a manager."""
    address = line.folder / "notify"
    monkeypatch.setenv("NOTIFY_SOCKET", str(address))
    monkeypatch.setenv("WATCHDOG_USEC", str(int(WATCHDOG_S * 1e6)))
    with contextlib.closing(Manager(address)) as manager:
        yield manager
    monkeypatch.delenv("NOTIFY_SOCKET")


@contextlib.contextmanager
def watched_station(monkeypatch: pytest.MonkeyPatch, *plant: str) -> Iterator[tuple[Line, Manager]]:
    """Start a line whose station can stand still, and say how it became ready."""
    with Line(MODELS / "sim-strip", RECIPE) as line:
        line.start_plant("--seed", "11", *plant)
        line.start_gateway()
        config = line.folder / "station.toml"
        config.write_text(config.read_text() + f"[limits]\nhang_ms = {HANG_MS}\n")
        with managed(line, monkeypatch) as manager:
            line.start_station(program=PROGRAM)
            first = manager.listen(30.0, "READY=1")
            assert first[:1] == ["READY=1"], "nothing before it"
            assert (line.folder / "telemetry").exists(), "bound by then"
            yield line, manager


def stand_still(line: Line, what: str) -> None:
    """Let something in the station stand still."""
    (line.folder / "still").write_text(what)


def test_a_stopped_belt_and_a_lost_camera_starve_nothing_and_a_driver_that_hangs_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with watched_station(monkeypatch, "--parts", "0", "--stop-belt", "15:5000") as (line, manager):
        manager.assert_fed(8.0)  # 15 plates, and a belt that stands for 5 s, with plates on it: twice the patience
        assert len(line.records("outcomes.jsonl")) > 10, "it has inspected"
        send(line, signal.SIGSTOP, "station")
        manager.assert_starved(5.0)
        time.sleep(2.5)  # longer than any patience
        send(line, signal.SIGCONT, "station")
        manager.assert_fed(3.0)
        assert line.stop("plant", 5.0) == 0
        manager.assert_fed(6.0)  # camera and eye are gone, and tried again
        assert any("FAULT" in told for _, told in manager.said[-8:])
        stand_still(line, "camera")
        manager.assert_starved(15.0, "camera")
        assert line.running("station"), "it is the manager's to end"
        os.kill(line.pid("station"), signal.SIGABRT)  # as the watchdog does
        assert line.wait("station", 5.0) == -signal.SIGABRT
        log = (line.folder / "station.log").read_text()
        assert "Fatal Python error: Aborted" in log
        assert "watched.py" in log and "hanging" in log, "the stack that hangs is named"  # noqa: PT018


@pytest.mark.parametrize(("what", "why"), [("inspection", "inspection"), ("loop", "")])
def test_what_stands_still_starves_the_watchdog(monkeypatch: pytest.MonkeyPatch, what: str, why: str) -> None:
    with watched_station(monkeypatch, "--parts", "0", "--infeed", "free") as (line, manager):
        manager.assert_fed(3.0)
        stand_still(line, what)
        manager.assert_starved(12.0, why)
        assert line.running("station")


def test_a_station_whose_model_must_not_decide_never_says_that_it_is_ready(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = shutil.copytree(MODELS / "sim-strip", tmp_path / "sim-strip")
    with (package / "model.onnx").open("ab") as file:
        file.write(b"x")
    with Line(package, RECIPE) as line:
        line.start_plant("--parts", "0")
        with managed(line, monkeypatch) as manager:
            line.start_station()
            assert line.wait("station", 30.0) == ModelError.exit_code
            assert manager.listen(0.2) == []


def test_a_monitor_is_alive_though_the_line_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Line(MODELS / "sim-strip", RECIPE) as line, managed(line, monkeypatch) as manager:
        line.start("monitor", "monitor", "--port", "0")
        assert manager.listen(60.0, "READY=1")[:1] == ["READY=1"]
        assert manager.said[-1][1].startswith("STATUS=Serving on http://127.0.0.1:")
        manager.assert_fed(4.0)
        send(line, signal.SIGSTOP, "monitor")
        manager.assert_starved(5.0)
        send(line, signal.SIGCONT, "monitor")
        assert line.stop("monitor", 20.0) == 0
        assert "STOPPING=1" in manager.listen(1.0)


def test_an_end_in_order_is_told_and_puts_the_watchdog_off(monkeypatch: pytest.MonkeyPatch) -> None:
    with Line(MODELS / "sim-strip", RECIPE) as line:
        line.start_plant("--parts", "0")
        with managed(line, monkeypatch) as manager:
            line.start_gateway()
            assert manager.listen(20.0, "READY=1")[:1] == ["READY=1"]
            assert (line.folder / "gateway").exists()
            assert (line.folder / "gateway.control").exists()
            manager.assert_fed(2.0)
            assert line.stop("plant") == 0
            manager.assert_fed(7.0)  # without a PLC, and without a station: longer than its patience
            assert "PLC" in manager.said[-1][1]
            send(line, signal.SIGSTOP, "gateway")
            manager.assert_starved(5.0)
            send(line, signal.SIGCONT, "gateway")
            assert line.stop("gateway") == 0
            assert manager.listen(1.0)[-2:] == ["STOPPING=1", "WATCHDOG_USEC=15000000"]
