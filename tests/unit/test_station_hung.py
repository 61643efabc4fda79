"""`edge run` with an inspection that does not return: the process ends, and only after the station was left."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.commands import run
from edge.station.hang import EngineHung

STATION = '[recipe]\nrules = [{ name = "any" }]\n'


class Ended(BaseException):
    """The process has ended."""


class Hangs:
    """A station whose inspection does not return."""

    def run(self, *_: object) -> None:
        """Notice it."""
        raise EngineHung("It does not return.")


def test_the_process_ends_as_hung_once_the_station_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done: list[str] = []

    @contextmanager
    def station(*_: object) -> Iterator[Hangs]:
        try:
            yield Hangs()
        finally:
            done.append("left: threads stopped, parts closed")

    def end(code: int) -> None:
        done.append(f"ended: {code}")
        raise Ended

    monkeypatch.setattr("edge.station.build.station", station)
    monkeypatch.setattr("edge.realtime.prioritise", lambda _: None)
    monkeypatch.setattr("edge.realtime.settle", lambda: None)
    monkeypatch.setattr(run, "end_within", lambda seconds: done.append(f"at the latest in {seconds:g} s"))
    monkeypatch.setattr("os._exit", end)
    (tmp_path / "station.toml").write_text(STATION)
    with pytest.raises(Ended):
        run.run_station(tmp_path / "station.toml")
    assert done == ["at the latest in 10 s", "left: threads stopped, parts closed", f"ended: {run.EXIT_HUNG}"]


def test_what_hangs_on_the_way_out_does_not_keep_the_process() -> None:
    code = "import time; from edge.commands.run import end_within; end_within(0.1); time.sleep(30)"
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == run.EXIT_HUNG
    assert time.monotonic() - began < 25
