"""What goes wrong while a recording is written: it costs the recording, and never a slot of the line."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest

from edge.capture.events import DeviceLost
from edge.clock import now_ns
from edge.core.pool import FramePool, Lease, Purpose
from edge.record import recorder
from edge.record.recorder import Bounds, RecordingWriter
from edge.record.recording import EVENTS, Decider, Happened, encode_line
from tests.unit.test_recording import until

DECIDER = Decider("m", "e", "p", "v")
FRAMES = 4


@pytest.fixture
def pool() -> FramePool:
    return FramePool(2 * FRAMES, (16, 16), {Purpose.CAPTURE: FRAMES, Purpose.EVIDENCE: FRAMES})


@pytest.fixture
def writer(pool: FramePool, tmp_path: Path) -> RecordingWriter:
    return RecordingWriter(tmp_path / "r", pool, {}, DECIDER, Bounds(100, 100.0, 60.0))


def evidence(pool: FramePool) -> Lease:
    """Return a slot that was handed over."""
    lease = pool.lease(Purpose.CAPTURE)
    assert lease is not None
    assert pool.hand_over(lease, Purpose.EVIDENCE)
    return lease


def fill(pool: FramePool, writer: RecordingWriter) -> None:
    """Hand over as many frames as evidence may hold."""
    for _ in range(FRAMES):
        writer.frame(writer.came(), evidence(pool))


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("odd pixels")])
@pytest.mark.parametrize("last", [True, False])
def test_any_error_gives_every_queued_frame_back(
    error: Exception, last: bool, pool: FramePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise error

    monkeypatch.setattr(recorder, "POLL_S", 0.05)
    monkeypatch.setattr("edge.record.recorder.np.save", fails)
    writer = RecordingWriter(tmp_path / "r", pool, {}, DECIDER, Bounds(100, 100.0, 60.0))
    fill(pool, writer)
    if last:
        writer.end("it was stopped")  # before the thread has looked once
    else:
        until(lambda: bool(writer.over(now_ns())))
        fill(pool, writer)  # handed over before the signal thread has asked
    words = "No space left" if isinstance(error, OSError) else "ValueError: odd pixels"
    until(lambda: pool.occupancy()["free"] == pool.slots)
    assert words in writer.status()["problem"]
    assert last or words in writer.over(now_ns())
    writer.end("it was stopped")
    assert writer.join(5.0)


def test_a_line_that_cannot_be_written_ends_the_recording(pool: FramePool, writer: RecordingWriter) -> None:
    writer.put(Happened(1, "DeviceLost", object()))
    fill(pool, writer)
    until(lambda: "TypeError" in writer.over(now_ns()))
    until(lambda: pool.occupancy()["free"] == pool.slots)
    writer.end("it was stopped")
    assert writer.join(5.0)
    assert not (writer.folder / "recording.json").exists()


def test_a_thread_that_is_no_more_ends_the_recording(writer: RecordingWriter) -> None:
    assert writer.over(now_ns()) == ""
    writer.end("it was stopped")
    assert writer.join(5.0)
    assert writer.over(now_ns()) == "its thread has ended"


def test_words_that_are_no_unicode_stand_escaped(writer: RecordingWriter) -> None:
    line = Happened(1, "DeviceLost", DeviceLost("camera", "cannot open '/dev/v\udce4', \u00e4"))
    writer.put(line)
    writer.end("it was stopped")
    assert writer.join(5.0)
    assert writer.status()["problem"] == ""
    assert (writer.folder / EVENTS).read_bytes() == encode_line(line)
    read = Happened(1, "DeviceLost", {"device": "camera", "text": "cannot open '/dev/v\\udce4', \u00e4"})
    assert encode_line(line) == encode_line(read)


def test_it_gives_way_now_and_then(writer: RecordingWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr("edge.record.recorder.sleep", rests.append)
    for number in range(1024):
        writer.put(Happened(number, "FramesMissed", 1))
    writer.end("it was stopped")
    assert writer.join(5.0)
    assert 1 <= len(rests) <= 4


def test_it_runs_at_no_real_time_priority(pool: FramePool, tmp_path: Path) -> None:
    policies: list[int] = []

    def at_priority() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except PermissionError:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # any policy is inherited
        writer = RecordingWriter(tmp_path / "r", pool, {}, DECIDER, Bounds(100, 100.0, 60.0))
        sleep(0.1)
        (thread,) = (t for t in threading.enumerate() if t.name == "recording")
        policies.append(os.sched_getscheduler(thread.native_id or 0))
        writer.end("it was stopped")
        writer.join(5.0)

    thread = threading.Thread(target=at_priority)
    thread.start()
    thread.join()
    assert policies == [os.SCHED_OTHER]


def test_frames_are_those_that_were_handed_over(pool: FramePool, writer: RecordingWriter) -> None:
    lease = evidence(pool)
    pool.frame(lease)[...] = 7
    writer.frame(writer.came(), lease)
    writer.end("it was stopped")
    assert writer.join(5.0)
    assert np.load(writer.folder / "frames" / "000001.npy").tolist() == np.full((16, 16), 7).tolist()
