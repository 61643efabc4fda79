"""The flight recorder: nothing where it is off, a ring that does not grow, and traces that a viewer understands."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from edge import flight
from edge.errors import ConfigError

PROCESS = "station press 1"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    flight.start(1024, tmp_path / "flight", 3, PROCESS)
    yield tmp_path / "flight"
    flight.stop()


def read(path: Path) -> list[dict[str, Any]]:
    """Return the events of a trace, checked for what the format demands of each."""
    trace = json.loads(path.read_text())
    for event in trace["traceEvents"]:
        assert event["ph"] in "MiBE"
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert event["ph"] == "M" or event["ts"] > 0
        assert event["ph"] != "i" or event["s"] in "tg"
    return list(trace["traceEvents"])


def dumped(tmp_path: Path) -> list[dict[str, Any]]:
    """Return the events of a trace made now, without what describes it."""
    flight.dump(tmp_path / "now.json", "test")
    return [e for e in read(tmp_path / "now.json") if e["ph"] != "M" and e.get("s") != "g"]


def traces(folder: Path) -> list[Path]:
    """Return the traces there."""
    return sorted(folder.glob("*.trace.json"))


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread."""
    end = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_off_it_does_nothing(tmp_path: Path) -> None:
    flight.start(1024, None, 3, PROCESS)
    hook = sys.excepthook
    flight.mark("a")
    flight.begin("b", 1)
    flight.end("b")
    flight.request("c")
    flight.dump(tmp_path / "x.json", "d")
    assert flight.write("e") is None
    flight.stop()
    assert list(tmp_path.iterdir()) == []
    assert sys.excepthook is hook


@pytest.mark.usefixtures("folder")
def test_instants_and_durations_lie_on_the_row_of_their_thread(tmp_path: Path) -> None:
    def work() -> None:
        flight.begin("inspect", 7)
        flight.mark("staged", -1)
        flight.end("inspect")

    thread = threading.Thread(target=work, name="inspect")
    thread.start()
    thread.join()
    flight.mark("trigger", 8)
    flight.dump(tmp_path / "t.json", "the reason")
    events = read(tmp_path / "t.json")
    names = {e["args"]["name"]: e["tid"] for e in events if e["name"] == "thread_name"}
    here = [(e["ph"], e["name"], e.get("args", {}).get("value")) for e in events if e["tid"] == names["inspect"]]
    assert here[1:] == [("B", "inspect", 7), ("i", "staged", -1), ("E", "inspect", None)]
    assert [e["name"] for e in events if e["tid"] == names["MainThread"]] == ["thread_name", "trigger"]
    assert [e["args"]["name"] for e in events if e["name"] == "process_name"] == [PROCESS]
    assert [e["name"] for e in events if e.get("s") == "g"] == ["the reason"]
    assert json.loads((tmp_path / "t.json").read_text())["otherData"]["reason"] == "the reason"
    times = [e["ts"] for e in events if e["tid"] == names["inspect"] and e["ph"] != "M"]
    assert times == sorted(times)
    assert times[-1] <= time.monotonic_ns() / 1000


@pytest.mark.usefixtures("folder")
def test_the_ring_keeps_the_last_and_does_not_grow(tmp_path: Path) -> None:
    recorder = flight._recorder
    assert recorder is not None
    before = len(recorder.ring)
    for value in range(5000):
        flight.mark("m", value)
    assert [e["args"]["value"] for e in dumped(tmp_path)] == list(range(5000 - 1023, 5000))
    assert len(recorder.ring) == before == 1024 * 24


@pytest.mark.usefixtures("folder")
def test_an_end_without_its_begin_is_left_out_and_what_has_not_ended_stays(tmp_path: Path) -> None:
    flight.begin("overwritten")
    for value in range(1022):
        flight.mark("m", value)
    flight.end("overwritten")
    flight.begin("hangs", 3)
    events = dumped(tmp_path)
    assert [e["name"] for e in events if e["ph"] == "E"] == []
    assert [e["name"] for e in events if e["ph"] == "B"] == ["hangs"]


@pytest.mark.usefixtures("folder")
def test_threads_that_mark_while_it_is_written_tear_nothing(tmp_path: Path) -> None:
    flight.start(8192, tmp_path / "flight", 3, PROCESS)
    stop = threading.Event()

    def work() -> None:
        for value in itertools.count():
            flight.mark("m", value)
            if value % 20 == 0:
                time.sleep(0.0002)  # else three threads go round the ring in a millisecond
            if stop.is_set():
                return

    threads = [threading.Thread(target=work, name=f"w{n}") for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            by_thread: dict[int, list[int]] = {}
            for event in dumped(tmp_path):
                by_thread.setdefault(event["tid"], []).append(event["args"]["value"])
            assert by_thread
            assert all(values == list(range(values[0], values[0] + len(values))) for values in by_thread.values())
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.usefixtures("folder")
def test_names_and_threads_beyond_their_number_share_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight, "_MOST_NAMES", 3)
    monkeypatch.setattr(flight, "_MOST_THREADS", 1)
    for name in "abcd":
        flight.mark(name)
    events = dumped(tmp_path)
    assert [e["name"] for e in events] == ["a", "b", "(other)", "(other)"]
    assert {e["tid"] for e in events} == {0}


# -- requests ---------------------------------------------------------------------------------------------------------


def test_the_same_reason_is_heard_once_in_ten_seconds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic_ns()
    monkeypatch.setattr(flight, "now_ns", lambda: now)
    for reason in ("a", "b", "a", "a"):
        flight.request(reason)
    until(lambda: len(traces(folder)) == 2)
    now += flight.REST_NS - 1
    flight.request("a")
    now += 1
    flight.request("b")
    until(lambda: len(traces(folder)) == 3)
    flight.stop()
    reasons = [json.loads(path.read_text())["otherData"]["reason"] for path in traces(folder)]
    assert reasons == ["a", "b", "b"]


def test_the_oldest_traces_of_this_process_go(folder: Path) -> None:
    others = [folder / f"{name}-20200101T000000.000000.trace.json" for name in ("gateway", "station-press-1-b")]
    for path in others:
        path.write_text("{}")
    paths = [flight.write(str(n)) for n in range(5)]
    assert set(traces(folder)) == {*others, *paths[2:]}


def test_what_is_requested_is_written_before_the_end(folder: Path) -> None:
    flight.request("the end")
    flight.stop()
    assert len(traces(folder)) == 1
    flight.request("later")
    assert len(traces(folder)) == 1


def test_many_requests_do_not_pile_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flight.start(1024, folder, 100, PROCESS)
    goes_on = threading.Event()
    recorder = flight._recorder
    assert recorder is not None
    write = recorder.write

    def stalls(reason: str) -> Path:
        goes_on.wait(5.0)
        return write(reason)

    monkeypatch.setattr(recorder, "write", stalls)
    began = time.monotonic()
    for n in range(200):
        flight.request(str(n))
    assert time.monotonic() - began < 1.0
    goes_on.set()
    flight.stop(5.0)
    assert 8 <= len(traces(folder)) <= 9  # one under way, and eight that wait


def test_a_disk_that_fails_leaves_no_half_file_and_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.rmdir()
    flight.request("gone")
    until(lambda: "No flight trace of 'gone'" in caplog.text)
    folder.mkdir()
    flight.request("back")
    until(lambda: len(traces(folder)) == 1)
    assert [path.suffix for path in folder.iterdir()] == [".json"]


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"flight\.folder = '.*file/x' cannot be used"):
        flight.start(1024, tmp_path / "file" / "x", 3, PROCESS)


# -- what nobody caught -----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_on_an_error_leaves_a_trace(folder: Path) -> None:
    def fail() -> None:
        raise ValueError("no such lease")

    thread = threading.Thread(target=fail, name="capture")
    thread.start()
    thread.join()
    until(lambda: len(traces(folder)) == 1)
    assert json.loads(traces(folder)[0].read_text())["otherData"]["reason"] == (
        "unhandled ValueError in capture: no such lease"
    )


class Unspeakable(Exception):
    """An error whose own words fail."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_without_words_still_reaches_the_hook_of_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda *args: told.append(args[1]))
    flight.start(1024, folder, 3, PROCESS)
    error = Unspeakable()
    sys.excepthook(Unspeakable, error, None)
    assert told == [error]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["mark", "begin", "end", "request", "write", "dump"])
def test_a_recorder_that_stops_meanwhile_is_no_error(name: str, tmp_path: Path) -> None:
    """It is gone by the second line of the function, whichever that is."""
    arguments = (tmp_path / "now.json", "test") if name == "dump" else ("test",)
    recorder, lines = flight._recorder, 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if frame.f_code is getattr(flight, name).__code__:
            lines += event == "line"
            if lines == 2:
                flight._recorder = None
            return trace
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        getattr(flight, name)(*arguments)
    finally:
        sys.settrace(before)
        flight._recorder = recorder
    assert lines >= 2


def test_the_hooks_are_given_back(tmp_path: Path) -> None:
    before = (sys.excepthook, threading.excepthook)
    flight.start(1024, tmp_path, 3, PROCESS)
    flight.start(1024, tmp_path, 3, PROCESS)
    assert sys.excepthook is not before[0]
    assert threading.excepthook is not before[1]
    flight.stop()
    assert (sys.excepthook, threading.excepthook) == before


def test_a_process_that_dies_of_an_error_leaves_a_trace_and_its_message(tmp_path: Path) -> None:
    program = (
        f"from pathlib import Path; from edge import flight; flight.start(1024, Path({str(tmp_path)!r}), 3, 'p')\n"
        "flight.mark('last', 42)\nraise RuntimeError('boom')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "RuntimeError: boom" in done.stderr
    events = read(traces(tmp_path)[0])
    assert [e["args"]["value"] for e in events if e["name"] == "last"] == [42]
    assert any(e["name"] == "unhandled RuntimeError: boom" for e in events)
