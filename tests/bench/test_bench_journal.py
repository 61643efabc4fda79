"""`edge bench journal` and `edge bench handover`: what makes the faults, and a short run of each, whose times prove
nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.commands import bench_journal
from edge.commands.bench_blocks import gateway_config, monitor, station_config, toml
from edge.commands.bench_handover import Handover, Way, render
from edge.commands.bench_journal import Condition
from edge.config import RecipeConfig, RuleConfig, StationConfig, load
from edge.errors import EngineError


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    """Run `edge bench`."""
    command = [sys.executable, "-m", "edge", "bench", *options, "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def state(pid: int) -> str:
    """Return the state letter of a process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def comes_to(pid: int, wanted: str) -> bool:
    """A signal takes effect when its process is next looked at."""
    end = time.monotonic() + 5.0
    while state(pid) != wanted and time.monotonic() < end:
        time.sleep(0.01)
    return state(pid) == wanted


def test_the_monitor_of_the_bench_serves_and_one_that_ends_is_told(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(toml(gateway_config(tmp_path, 502).model_dump(exclude_defaults=True)))
    recipe = RecipeConfig(name="any", rules=(RuleConfig(name="any", classes=("dent",)),))
    station = station_config(StationConfig(recipe=recipe), tmp_path)
    with monitor(station, tmp_path) as served:
        assert state(served.pid) != "Z"
        with socket.create_connection(("127.0.0.1", served.port), timeout=5):
            pass
    assert load(tmp_path / "station.toml", StationConfig) == station
    (tmp_path / "gateway.toml").write_text("nonsense = 1")
    with pytest.raises(EngineError, match=r"ended with exit code 2: .*nonsense"), monitor(station, tmp_path):
        pass


def test_the_faults_are_made_and_undone(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(bench_journal._small_disk(tmp_path / "disk"))
        (disk / "station").mkdir()
        database = disk / "station" / "day.sqlite"
        writer = stack.enter_context(contextlib.closing(sqlite3.connect(database, timeout=0.01)))
        writer.execute("create table t (x)")
        writer.execute("pragma journal_mode = wal")
        sleeper = subprocess.Popen(["sleep", "60"])
        stack.callback(sleeper.wait)
        stack.callback(sleeper.kill)
        faults = stack.enter_context(bench_journal._troubles(disk, sleeper.pid))

        def become(condition: Condition) -> None:
            faults.send(condition)
            assert faults.poll(10)
            assert faults.recv() is True

        become(Condition.JOURNAL_FULL)
        with pytest.raises(OSError, match="No space left"), (disk / "more").open("wb", buffering=0) as file:
            file.write(bytes(1 << 20))
        become(Condition.JOURNAL_STALLED)
        (disk / "more").write_bytes(bytes(1 << 20))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.execute("insert into t values (1)")
        become(Condition.MONITOR_HUNG)
        assert comes_to(sleeper.pid, "T")
        with writer:
            writer.execute("insert into t values (1)")
        become(Condition.WELL)
        os.kill(sleeper.pid, signal.SIGCONT)
        assert comes_to(sleeper.pid, "S")
    assert not (tmp_path / "disk" / "station").exists(), "the disk is unmounted"


def test_both_targets_must_be_met() -> None:
    raw = Way(100, 0.1, 0.2)
    assert Handover(raw, Way(100, 0.15, 0.5)).holds
    assert not Handover(raw, Way(100, 0.16, 0.5)).holds
    assert not Handover(raw, Way(100, 0.15, 0.51)).holds
    assert "misses the target" in render(Handover(raw, Way(100, 0.16, 0.5)))
    assert Handover(raw, Way(100, 0.15, 0.5)).as_dict()["p50_ratio"] == 1.5


@pytest.mark.process
@pytest.mark.timeout(240)
def test_a_short_run_beside_a_full_and_stalled_journal_and_a_hung_monitor() -> None:
    done = bench("journal", "--blocks", "2", "--parts", "40")
    assert done.returncode in (0, 1), done.stderr
    values = json.loads(done.stdout)
    assert set(values["faults"]) == {"journal full", "journal stalled", "monitor hung"}
    assert all(fault["permitted"] > 0.9 for fault in values["faults"].values()), "parts pass while the disk is full"


@pytest.mark.process
@pytest.mark.timeout(240)
def test_a_short_run_of_the_handover() -> None:
    done = bench("handover", "--messages", "250")
    assert done.returncode in (0, 1), done.stderr
    values = json.loads(done.stdout)
    assert values["gateway"]["messages"] >= 248
    assert 0 < values["raw"]["p50_ms"] < values["raw"]["p99_ms"] < 50
