"""`edge run` with an engine or driver that does not return: the process ends, and only after the station was left."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import pytest

from edge.capture.thread import STOP_S
from edge.commands import run
from edge.station.hang import DeviceHung, EngineHung

STATION = '[recipe]\nrules = [{ name = "any" }]\n'


class Ended(BaseException):
    """The process has ended."""


class Runs:
    """A station that stops at once, by itself or as its inspection does not return."""

    def __init__(self, hangs: bool) -> None:
        self._hangs = hangs

    def marks(self) -> dict[str, int | None]:
        """Return none: it takes no turn."""
        return {}

    def state(self, now: int) -> tuple[str, str]:  # noqa: ARG002
        """Return a state."""
        return "RUNNING", ""

    def run(self, *_: object) -> None:
        """Notice it."""
        if self._hangs:
            raise EngineHung("It does not return.")


@pytest.mark.parametrize(
    ("engine", "driver", "code"), [(True, False, [70]), (True, True, [70]), (False, True, [70]), (False, False, [])]
)
def test_the_process_ends_as_hung_once_the_station_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: bool, driver: bool, code: list[int]
) -> None:
    done: list[str] = []

    @contextmanager
    def station(*_: object) -> Iterator[Runs]:
        try:
            yield Runs(engine)
        finally:
            done.append("left: threads stopped, parts closed")
            if driver:
                raise DeviceHung(["camera"], ExitStack())

    @contextmanager
    def ends_within(seconds: float) -> Iterator[Callable[[], None]]:
        yield lambda: done.append(f"at the latest in {seconds:g} s")
        done.append("in time")

    def end(code: int) -> None:
        done.append(f"ended: {code}")
        raise Ended

    monkeypatch.setattr("edge.station.build.station", station)
    monkeypatch.setattr("edge.realtime.prioritise", lambda _: None)
    monkeypatch.setattr("edge.realtime.settle", lambda: None)
    monkeypatch.setattr(run, "ends_within", ends_within)
    monkeypatch.setattr("os._exit", end)
    (tmp_path / "station.toml").write_text(STATION)
    with pytest.raises(Ended) if code else nullcontext():
        run.run_station(tmp_path / "station.toml")
    last = [f"ended: {n}" for n in code] or ["in time"]
    assert done == ["at the latest in 10 s", "left: threads stopped, parts closed", *last]


@pytest.mark.parametrize(("called", "inside_s", "code"), [(True, 30, run.EXIT_HUNG), (True, 0, 0), (False, 0.5, 0)])
def test_what_hangs_on_the_way_out_does_not_keep_the_process(called: bool, inside_s: float, code: int) -> None:
    program = (
        "import time; from edge.commands.run import ends_within\n"
        f"with ends_within(0.2) as leave: {'leave(); ' if called else ''}time.sleep({inside_s})\n"
        "time.sleep(0.5)"
    )
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == code
    assert time.monotonic() - began < 25


def test_the_hung_drivers_are_joined_well_before_the_process_must_have_ended() -> None:
    assert STOP_S + 2.0 <= run.FAREWELL_S / 2, "drivers, then the inspection: then parts are closed"
