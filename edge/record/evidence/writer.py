"""The evidence thread: encodes frames, gives their slots back, and writes them once their part's record is there.

What the signal thread calls never waits.  A slow disk costs memory up to a bound, then pictures, which are counted.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.clock import NS_PER_S, now_ns, wall_iso, wall_ns
from edge.config import EvidenceConfig
from edge.core.alarms import ALARMS
from edge.core.part import Part
from edge.core.pool import FramePool, Lease
from edge.record.evidence.folder import Folder
from edge.record.evidence.live import LivePublisher
from edge.record.evidence.picture import Encoded, encode, finding_record, live
from edge.record.evidence.quota import GOES_FIRST
from edge.record.evidence.store import Entry, Refused
from edge.wire.messages import EvidenceStatus, LiveFrame, PartRecord

_log = logging.getLogger(__name__)

POLL_S = 0.02
"""Between two looks at the queue.  The signal thread wakes nobody: that would cost it more than the offer itself."""

STUCK_NS = 3 * NS_PER_S
"""A frame that waits longer for the evidence thread shows that its disk stands still."""

DROPPED_NS = 60 * NS_PER_S
"""How long a picture that found no slot stays a problem."""

UNRECORDED_NS = 10 * NS_PER_S
"""A part's record comes within a second or two of its verdict, with or without an acknowledgement."""

ROOM_BYTES = 64 << 20
"""Of pictures that wait for their record, or for the disk."""

_AT_ONCE = 8
"""Pictures written between two looks at the queue, in which frames hold slots."""

_KEEP, _WRITE, _TURN, _SHOW, _VIEWERS = "keep a picture", "write a picture", "go on", "show a picture", "hear viewers"
"""What the evidence thread may fail to do; of the last two, only the log tells."""

_TOO_SLOW = ("no_slot", "no_room")
"""Causes of a loss that a quicker disk, or fewer pictures, would have avoided."""


@dataclass(eq=False)
class Shot:
    """A frame that evidence has taken over.

    Attributes:
        lease: of its slot, for ``Purpose.EVIDENCE``.
        part: which has its verdict.
        reason: why it is kept, or "" where it is only to be shown.
        shown: show it live.
        at_ns: when it was taken over.
        record: of the part; the signal thread puts it here, whenever it comes.
    """

    lease: Lease
    part: Part
    reason: str
    shown: bool
    at_ns: int
    record: PartRecord | None = None
    picture: Encoded | None = field(default=None, repr=False)


class EvidenceWriter:
    """Writes pictures, in a thread of its own.

    Args:
        config: of evidence.
        pool: where the frames lie.
        color: of the frames: mono8, bgr8, rgb8.
        station, lane: whose pictures these are.
        publisher: of live pictures, or None.  The writer closes it.
        settle: called first in the thread, to let it run behind all that decide.
        clock: monotonic nanoseconds.
        wall: wall-clock nanoseconds.

    Raises:
        ConfigError: the folder cannot be made or used, or another process writes there.
    """

    def __init__(
        self,
        config: EvidenceConfig,
        pool: FramePool,
        color: str,
        station: str,
        lane: int,
        publisher: LivePublisher | None = None,
        settle: Callable[[], object] = lambda: None,
        clock: Callable[[], int] = now_ns,
        wall: Callable[[], int] = wall_ns,
    ) -> None:
        self._config, self._pool, self._color = config, pool, color
        self._station, self._lane, self._live = station, lane, publisher
        self._settle, self._clock = settle, clock
        self._folder = None if config.folder is None else Folder(Path(config.folder), config, color, clock, wall)
        self._queue: deque[Shot] = deque()  # frames that nobody has encoded yet; the pool's quota bounds them
        self._encoded: deque[Shot] = deque()  # pictures that wait for their record, or for the disk
        self._encoded_bytes = 0
        self._written: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._dropped_ns: dict[str, int] = {}  # when last, by cause
        self._faults: dict[str, str] = {}  # the last, by what failed, until that goes well again
        self._closing = threading.Event()
        self._give_up_ns: int | None = None
        self._thread = threading.Thread(target=self._run, name="evidence", daemon=True)
        self._thread.start()

    # -- the signal thread ------------------------------------------------------------------------------------------

    @property
    def keeps(self) -> bool:
        """Whether pictures are written at all."""
        return self._folder is not None

    @property
    def shows(self) -> bool:
        """Whether somebody would see a frame now, and no other frame waits before it."""
        return not self._queue and self._live is not None and self._live.watched

    def put(self, shot: Shot) -> None:
        """Take a frame over; its lease ends here."""
        self._queue.append(shot)

    def drop(self, cause: str) -> None:
        """Count a picture that was wanted and is not kept."""
        self._dropped[cause] += 1
        self._dropped_ns[cause] = self._clock()

    def status(self) -> EvidenceStatus:
        """Say how evidence keeps up.  Cheap."""
        alarms = self.alarms()
        return EvidenceStatus(
            written=dict(self._written),
            dropped=dict(self._dropped),
            bytes=self._folder.held if self._folder is not None else 0,
            free_bytes=self._folder.free if self._folder is not None else 0,
            waiting=len(self._queue) + len(self._encoded),
            problem=" ".join(alarms.values()),
        )

    def alarms(self) -> dict[str, str]:
        """Return what is wrong, by the alarm's name: ``evidence``, ``disk_low``."""
        found = {
            "evidence": self._problem(self._clock()),
            "disk_low": "" if self._folder is None else self._folder.low,
        }
        return {name: f"{ALARMS[name].text} {detail}" for name, detail in found.items() if detail}

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits, as far as the disk allows within ``timeout_s``.  Nothing may be put any more."""
        if self._closing.is_set():
            return
        self._give_up_ns = self._clock() + int(timeout_s * NS_PER_S)
        self._closing.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive() or self._encoded:
            _log.error("%d pictures were not written: the disk of the evidence stands still.", len(self._encoded))
        if self._live is not None:
            self._live.close()  # though the disk may still hold the thread

    def _problem(self, now: int) -> str:
        if self._folder is not None and self._folder.problem:
            return self._folder.problem
        if not self._thread.is_alive() and not self._closing.is_set():
            return "The evidence thread has ended."
        try:
            waited_ns = now - self._queue[0].at_ns
        except IndexError:
            waited_ns = 0  # emptied just now, or nothing there
        if waited_ns > STUCK_NS:
            return f"Writing does not keep up: a picture waits for {waited_ns / NS_PER_S:.0f} s."
        recently = [cause for cause in _TOO_SLOW if now - self._dropped_ns.get(cause, now - DROPPED_NS) < DROPPED_NS]
        if recently:
            return f"Writing does not keep up: pictures were lost in the last minute ({', '.join(recently)})."
        faults = {what: self._faults.get(what) for what in (_KEEP, _WRITE, _TURN)}
        return " ".join(f"It failed to {what}: {fault}." for what, fault in faults.items() if fault)

    # -- the evidence thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._settle()
        try:
            while not self._closing.wait(POLL_S):
                self._attempt(_TURN, self._turn)
            self._attempt(_TURN, self._turn)
            while self._encoded and self._give_up_ns is not None and self._clock() < self._give_up_ns:
                threading.Event().wait(POLL_S)
                self._attempt(_TURN, self._turn)
        finally:
            if self._folder is not None:
                self._folder.close()

    def _turn(self) -> None:
        if self._live is not None:
            self._attempt(_VIEWERS, self._live.look)
        while self._queue:
            shot = self._queue[0]  # it counts as waiting until its slot is free
            if shot.reason and not self._attempt(_KEEP, partial(self._keep, shot)):
                self.drop("fault")
            if shot.shown:
                self._attempt(_SHOW, partial(self._show, shot))
            self._queue.popleft()
            self._pool.release(shot.lease)
        if self._folder is not None:
            self._write(self._folder)
            self._folder.look_after()

    def _attempt(self, what: str, do: Callable[[], object]) -> bool:
        """Do it; False where it failed.  Whatever went wrong, it costs neither slot nor thread."""
        try:
            do()
        except Exception as error:  # noqa: BLE001
            self._failed(what, error)
            return False
        self._faults.pop(what, None)
        return True

    def _failed(self, what: str, error: Exception) -> None:
        """Note a fault, and log it where it is another than before."""
        fault = f"{type(error).__name__}: {error}"
        if fault != self._faults.get(what):
            _log.error("Evidence failed to %s: %s.", what, fault)
        self._faults[what] = fault

    def _keep(self, shot: Shot) -> None:
        picture = encode(self._pool.frame(shot.lease), self._color, self._config.format, self._config.quality)
        if not self._has_room(shot, len(picture.data)):
            self.drop("no_room")
            return
        shot.picture = picture
        self._encoded_bytes += len(picture.data)
        self._encoded.append(shot)

    def _has_room(self, shot: Shot, size: int) -> bool:
        """Say whether a picture has room beside those that wait; the oldest of lower rank go for it."""
        for outcome in GOES_FIRST[: GOES_FIRST.index(_outcome(shot))]:
            for other in [waiting for waiting in self._encoded if _outcome(waiting) == outcome]:
                if self._encoded_bytes + size <= ROOM_BYTES:
                    return True
                self._done_with(other)
                self.drop("no_room")
        return self._encoded_bytes + size <= ROOM_BYTES

    def _done_with(self, shot: Shot) -> None:
        """Let go of a picture."""
        self._encoded.remove(shot)
        self._encoded_bytes -= 0 if shot.picture is None else len(shot.picture.data)

    def _show(self, shot: Shot) -> None:
        frame = self._pool.frame(shot.lease)
        if self._live is not None and self._live.watched:
            self._live.publish(self._told(shot.part, frame), live(frame, self._color))

    def _told(self, part: Part, frame: NDArray[np.uint8]) -> LiveFrame:
        assert part.verdict is not None
        return LiveFrame(
            station=self._station,
            lane=self._lane,
            part=part.number,
            outcome=part.verdict.outcome.value,
            cause=part.verdict.cause,
            rule=part.verdict.rule,
            findings=[finding_record(finding) for finding in part.verdict.findings],
            wall=wall_iso(),
            width=frame.shape[1],
            height=frame.shape[0],
        )

    def _write(self, folder: Folder) -> None:
        """Write some pictures whose record is there; those that the disk refuses, or makes room for, stay."""
        done = 0
        for shot in list(self._encoded):
            if done == _AT_ONCE or not folder.ready:
                break
            if self._written_or_dropped(folder, shot):
                self._done_with(shot)
                done += 1
            elif shot.record is not None:
                break

    def _written_or_dropped(self, folder: Folder, shot: Shot) -> bool:
        record, picture = shot.record, shot.picture
        assert picture is not None  # it was encoded
        assert shot.part.verdict is not None  # its part was closed
        if record is None:
            late = self._clock() - shot.at_ns > UNRECORDED_NS
            if late:
                self.drop("unrecorded")
            return late
        entry = Entry(record, shot.reason, tuple(finding_record(finding) for finding in shot.part.verdict.near))
        try:
            written = folder.write(entry, picture)
        except Refused as refused:
            self.drop(str(refused))
            return True
        except Exception as error:  # noqa: BLE001 - what nothing can write must not stand before all others
            self._failed(_WRITE, error)
            self.drop("fault")
            return True
        if written:
            self._faults.pop(_WRITE, None)
            self._written[shot.reason] += 1
        return written


def _outcome(shot: Shot) -> str:
    assert shot.part.verdict is not None  # only frames of closed parts are offered
    return shot.part.verdict.outcome.value
