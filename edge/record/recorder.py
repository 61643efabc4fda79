"""Writing a recording while the line runs: a bounded queue, spare slots of the pool, and a thread of its own.

The signal thread appends to a list and goes on.  Where the disk does not keep up, frames are dropped and counted; where
not even the lines find room, the recording ends.  Frames are written as they are, without compression: that would take
the processor from the engine.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from edge.clock import NS_PER_S, now_ns, wall_iso
from edge.core.part import Part
from edge.core.pool import FramePool, Lease
from edge.errors import RecordingError
from edge.record.recording import (
    EVENTS,
    FRAMES,
    REFERENCE,
    Decider,
    Header,
    Kept,
    Line,
    PartResult,
    encode_line,
    write_header,
)

_log = logging.getLogger(__name__)

ROOM = 20_000
"""Lines that may wait for the disk: more than a minute of a fast line."""

POLL_S = 0.01
"""Between two looks at the queue.  The signal thread wakes nobody: that would cost it more than the line itself."""

_SLICE, _REST_S = 256, 0.001
"""Lines written between two rests, so that the signal thread need not wait for the interpreter."""


@dataclass(frozen=True)
class Bounds:
    """What ends a recording, whichever comes first."""

    parts: int
    megabytes: float
    seconds: float


class _Frame(NamedTuple):
    number: int
    lease: Lease


class RecordingWriter:
    """Writes one recording.  What the signal thread calls never waits.

    Args:
        folder: to be made; it must not hold anything.
        pool: of the frames.
        config, decider: for the header.
        bounds: ``over`` says when one of them is met.

    Attributes:
        lead_in_ns: as in the header; whoever records says so here.

    Raises:
        RecordingError: the folder cannot be used.
    """

    def __init__(self, folder: Path, pool: FramePool, config: dict[str, Any], decider: Decider, bounds: Bounds) -> None:
        self.folder = folder
        self._pool, self._config, self._decider, self._bounds = pool, config, decider, bounds
        self._began_wall, self._until_ns = wall_iso(), now_ns() + int(bounds.seconds * NS_PER_S)
        self._queue: deque[Line | _Frame | Part] = deque()
        self._parts = self._came = self._kept = self._bytes = 0
        self._overflown = False
        self.lead_in_ns: int | None = None
        self._ended = self._problem = ""
        try:
            (folder / FRAMES).mkdir(parents=True)
            self._events, self._reference = (folder / EVENTS).open("xb"), (folder / REFERENCE).open("xb")
        except OSError as error:
            remedy = "give a new folder that the station's user may make."
            raise RecordingError(f"{folder} cannot hold a recording ({error.strerror}).", remedy) from None
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    # -- the signal thread ------------------------------------------------------------------------------------------

    def put(self, line: Line) -> None:
        """Add a line."""
        if len(self._queue) < ROOM:
            self._queue.append(line)
        else:
            self._overflown = True

    def came(self) -> int:
        """Count a frame that came, and return its number."""
        self._came += 1
        return self._came

    def frame(self, number: int, lease: Lease) -> None:
        """Write the frame in ``lease``, and end the lease."""
        self._queue.append(_Frame(number, lease))  # the pool's quota bounds these

    def part(self, part: Part) -> None:
        """Add a part that has ended."""
        self._parts += 1
        self._queue.append(part)  # each has had its lines, which are bounded

    def over(self, now: int) -> str:
        """Return what bound is met, in words, or "" where none is."""
        if self._problem:
            return self._problem
        if not self._thread.is_alive():
            return "its thread has ended"
        if self._overflown:
            return "the disk does not keep up"
        if self._parts >= self._bounds.parts:
            return f"{self._bounds.parts} parts"
        if self._bytes >= self._bounds.megabytes * 1_000_000:
            return f"{self._bounds.megabytes:g} MB"
        return f"{self._bounds.seconds:g} s" if now >= self._until_ns else ""

    def end(self, why: str) -> None:
        """Add nothing more; what is queued is still written, then the header.  The first reason stands."""
        self._ended = self._ended or why

    # -- any thread -------------------------------------------------------------------------------------------------

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the writing.  False where it has not come: the disk hangs."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def status(self) -> dict[str, Any]:
        """Return how far it is."""
        return {
            "folder": str(self.folder),
            "running": self._thread.is_alive(),
            "ended": self._ended,
            "parts": self._parts,
            "frames": self._kept,
            "came": self._came,
            "megabytes": round(self._bytes / 1_000_000, 1),
            "problem": self._problem,
        }

    # -- its own thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with suppress(OSError):  # whoever began the recording may run at a real-time priority, which it would inherit
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        rest = threading.Event()
        last = False
        while not last:
            rest.wait(POLL_S)
            last = bool(self._ended)  # asked first: what came before the end was announced is in the queue
            self._drain()
        self._attempt(self._events.close)
        self._attempt(self._reference.close)
        if not self._problem:
            self._attempt(lambda: write_header(self.folder, self._header()))
        _log.warning("Recording %s ended, %s: %d parts.", self.folder, self._problem or self._ended, self._parts)

    def _drain(self) -> None:
        """Take all that is queued.  Each frame's slot is given back, whatever becomes of the writing."""
        written = 0
        while self._queue:
            item = self._queue.popleft()
            try:
                if not self._problem:
                    self._attempt(partial(self._write, item))
            finally:
                if isinstance(item, _Frame):
                    self._pool.release(item.lease)
            written += 1
            if written % _SLICE == 0:
                sleep(_REST_S)
        if not self._problem:
            self._attempt(self._events.flush)
            self._attempt(self._reference.flush)

    def _attempt(self, writing: Callable[[], object]) -> None:
        """Do it; the first error ends the recording, and nothing is written behind it."""
        try:
            writing()
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs the recording and no slot
            why = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            self._problem = self._problem or f"it cannot be written ({why})"

    def _write(self, item: Line | _Frame | Part) -> None:
        if isinstance(item, _Frame):
            self._write_frame(item)
        elif isinstance(item, Part):
            self._bytes += self._reference.write(encode_line(PartResult.of(item)))
        else:
            self._bytes += self._events.write(encode_line(item))

    def _write_frame(self, item: _Frame) -> None:
        pixels = self._pool.frame(item.lease)
        with (self.folder / FRAMES / f"{item.number:06}.npy").open("xb") as file:
            np.save(file, pixels)
        self._bytes += pixels.nbytes + self._events.write(encode_line(Kept(item.number, crc32(pixels.data))))
        self._kept += 1

    def _header(self) -> Header:
        return Header(
            config=self._config,
            decider=self._decider,
            began_wall=self._began_wall,
            ended=self._ended,
            parts=self._parts,
            frames=self._kept,
            dropped=self._came - self._kept,
            lead_in_ns=self.lead_in_ns,
        )
