"""What is written to disk: outcomes as JSON lines, and the measurements of this machine."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.record import outcomes, qualified
from edge.record.outcomes import OutcomeWriter
from edge.record.qualified import Qualified

FULL = Path("/dev/full")


def lines(path: Path) -> list[object]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_everything_queued_is_written_in_order_before_close_returns(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    writer = OutcomeWriter(path)
    for n in range(1000):
        writer.write(b'{"n":%d}' % n)
    writer.close(20)
    assert lines(path) == [{"n": n} for n in range(1000)]
    assert writer.lost == 0


def test_an_existing_file_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    for n in range(3):
        writer = OutcomeWriter(path)
        writer.write(b'{"n":%d}' % n)
        writer.close(20)
    assert lines(path) == [{"n": n} for n in range(3)]


def test_a_line_torn_by_a_power_cut_costs_no_later_record(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(b'{"n":0}\n{"n":1,"outc')
    writer = OutcomeWriter(path)
    writer.write(b'{"n":2}')
    writer.close(20)
    assert path.read_bytes().splitlines()[-1] == b'{"n":2}', "it was glued to the torn line"


def test_nothing_to_write_leaves_an_empty_file(tmp_path: Path) -> None:
    writer = OutcomeWriter(tmp_path / "o")
    writer.close(20)
    assert (tmp_path / "o").read_bytes() == b""


@pytest.mark.parametrize("name", [".", "missing/outcomes.jsonl"])
def test_a_path_that_cannot_be_written_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="Remedy"):
        OutcomeWriter(tmp_path / name)


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_a_full_disk_is_counted_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    deaths: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: deaths.append(args.exc_value))
    writer = OutcomeWriter(FULL)
    writer.write(b"{}")
    for _ in range(200):
        if writer.lost:
            break
        time.sleep(0.05)
    writer.write(b"{}")
    writer.close(20)
    assert writer.lost == 2
    assert deaths == [], "the thread died of the error"


def test_a_stalled_disk_delays_nobody_and_loses_by_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "_ROOM", 10)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer = OutcomeWriter(fifo)
    record = b"x" * 200_000  # more than a pipe holds: the first write blocks
    writer.write(record)
    for _ in range(400):
        if writer._queue.empty():
            break
        time.sleep(0.01)
    began = time.monotonic()
    for _ in range(1000):
        writer.write(b"{}")
    assert time.monotonic() - began < 2.0
    assert writer.lost >= 1000 - 2 * 10 - 1
    began = time.monotonic()
    writer.close(0.1)
    assert time.monotonic() - began < 5.0
    os.close(reader)  # the writer's thread sees a broken pipe and goes on to its end
    writer._thread.join(0.5)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGE_STATE", str(tmp_path / "state"))
    return tmp_path / "state" / "qualified.json"


MEASURED = Qualified(mean_ms=5.5, p99_ms=9.25, parts=1000, measured="2026-01-01")


def test_a_measurement_is_found_again_under_its_name_alone(state: Path) -> None:
    name = qualified.key("f" * 64, "onnxruntime", "fp32", 1, "640x512 mono8")
    assert qualified.read(name) is None
    assert qualified.write(name, MEASURED) == state
    qualified.write("other", Qualified(1.0, 2.0, 3, "x"))
    assert qualified.read(name) == MEASURED
    assert qualified.read(name.replace("fp32", "int8")) is None
    assert [p.name for p in state.parent.iterdir()] == ["qualified.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "5", '{"m": 5}', '{"m": {}}', '{"m": {"mean_ms": 1}}', '{"m": []}', "\x00"]
)
def test_a_damaged_file_is_named_when_read(state: Path, text: str) -> None:
    state.parent.mkdir()
    state.write_text(text)
    with pytest.raises(ConfigError, match="Remedy") as caught:
        qualified.read("m")
    assert str(state) in str(caught.value)


def test_a_measurement_that_is_no_number_is_damage(state: Path) -> None:
    state.parent.mkdir()
    state.write_text('{"m": {"mean_ms": "fast", "p99_ms": null, "parts": 1, "measured": "x"}}')
    with pytest.raises(ConfigError):
        qualified.read("m")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", "\x00"])
def test_a_damaged_file_is_replaced_when_written(state: Path, text: str) -> None:
    state.parent.mkdir()
    state.write_text(text)
    qualified.write("m", MEASURED)
    assert qualified.read("m") == MEASURED


def test_the_place_of_the_state_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EDGE_STATE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert qualified.state_file() == tmp_path / "edge" / "qualified.json"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert qualified.state_file().parts[-4:] == (".local", "state", "edge", "qualified.json")
