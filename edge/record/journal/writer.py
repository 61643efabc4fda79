"""The journal of one process: a queue that never waits, and a thread that keeps it on the disk.

A row waits at most ``GATHER_NS`` before the transaction that carries it begins, and is on the disk when that ends.  A
full or stalled disk costs memory, then rows, which are counted and recorded; never time of whoever puts rows.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from edge import __version__
from edge.clock import NS_PER_MS, NS_PER_S, boot_id, now_ns, wall_ns
from edge.config import JournalConfig
from edge.record.journal.keeper import Keeper
from edge.record.journal.rows import KINDS, Event, Row
from edge.record.journal.store import Missing, Run
from edge.record.lock import take_folder
from edge.wire.messages import JournalStatus

_log = logging.getLogger(__name__)

GATHER_NS = 80 * NS_PER_MS
"""How long rows gather for one commit: with the commit itself, no row is at risk for more than 100 ms."""

BEHIND_NS = NS_PER_S
"""Rows that wait longer than this are a problem."""

LOST_NS = 60 * NS_PER_S
"""How long a loss of rows stays a problem."""

_BATCH = 2000  # rows a transaction at most: a backlog must not become one transaction of minutes
_FIRST_RETRY_S, _LAST_RETRY_S = 0.05, 1.0


class Journal:
    """Takes rows from any thread, and records them in a thread of its own.

    Args:
        config: ``folder`` must be set, and be this process's own.
        process, name, lane: who writes: "station" or "gateway", its configured name, its lane.
        clock: monotonic nanoseconds.
        wall: wall-clock nanoseconds, for people and for the names of files.

    Raises:
        ConfigError: the folder cannot be made or used, or another process writes there.
    """

    def __init__(
        self,
        config: JournalConfig,
        process: str,
        name: str,
        lane: int,
        clock: Callable[[], int] = now_ns,
        wall: Callable[[], int] = wall_ns,
    ) -> None:
        assert config.folder is not None
        self._clock, self._room = clock, config.room
        folder = Path(config.folder)
        self._lock_fd = take_folder(folder, "journal", "process")
        run = Run(process, name, lane, os.getpid(), __version__, boot_id(), clock(), wall() // NS_PER_MS)
        self._keeper = Keeper(folder, config, run, clock, wall)
        self._queue: deque[tuple[int, Row]] = deque()
        self._held: list[tuple[int, Row]] = []  # taken from the queue and not yet on the disk
        self._recorded = 0
        self._losses = _Losses()
        self._error = ""
        self._closing = threading.Event()
        self._ended = False  # the thread takes no more rows
        self._give_up_ns: int | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def put(self, row: Row) -> None:
        """Take a row for the record, from any thread.  Never waits: a row that finds no room is counted."""
        now = self._clock()
        if self._closing.is_set() or self._waiting() >= self._room:
            self._losses.add(KINDS[type(row)], now)
        else:
            self._queue.append((now, row))
            if self._ended:  # it came between the last look and the end
                self._drop()

    def status(self) -> JournalStatus:
        """Say how the journal keeps up.  Cheap, from any thread."""
        now = self._clock()
        behind_ns = self._behind_ns(now)
        waiting = len(self._queue) + len(self._held)  # in this order a row on its way is counted twice, never missed
        return JournalStatus(
            recorded=self._recorded,
            lost=self._losses.total,
            waiting=waiting,
            behind_ms=behind_ns / NS_PER_MS,
            problem=self._problem(now, behind_ns, waiting),
        )

    def close(self, timeout_s: float = 2.0) -> None:
        """Record that the process stops, and everything that waits, as far as the disk allows within ``timeout_s``."""
        if self._closing.is_set():
            return
        now = self._clock()
        self._give_up_ns = now + int(timeout_s * NS_PER_S)
        self._queue.append((now, Event("stopped", "", {}, now)))
        self._closing.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive() or self._queue or self._held:
            rows = self._waiting()
            _log.error("%d rows of the journal were not recorded: %s.", rows, self._error or "the disk is stalled")

    def _drop(self) -> None:
        while True:
            try:
                at_ns, row = self._queue.popleft()
            except IndexError:
                return
            self._losses.add(KINDS[type(row)], at_ns)

    def _waiting(self) -> int:
        """Count what waits, without a lock.

        Rows go from the queue to the held ones.  Those that move between the two looks are not counted, rather than
        twice: so rows may be taken beyond the room, a batch at most, and none is refused while there is room.
        """
        held = len(self._held)
        return held + len(self._queue)

    # -- status -----------------------------------------------------------------------------------------------------

    def _behind_ns(self, now: int) -> int:
        for rows in (self._held, self._queue):
            try:
                return max(0, now - rows[0][0])
            except IndexError:
                continue  # empty, or emptied by the journal's thread just now
        return 0

    def _problem(self, now: int, behind_ns: int, waiting: int) -> str:
        if self._error:
            return f"the journal cannot be written: {self._error}"
        if behind_ns > BEHIND_NS:
            return f"the disk does not keep up: {waiting} rows of the journal wait, for {behind_ns / NS_PER_S:.1f} s"
        if lost := self._losses.since(now - LOST_NS):
            return f"{lost} rows of the journal were lost in the last minute"
        return self._keeper.problem

    # -- the journal's thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing.wait(GATHER_NS / NS_PER_S):
                self._record()
                self._keeper.look_after()
            self._record()
        finally:
            self._ended = True
            self._keeper.close()
            os.close(self._lock_fd)

    def _record(self) -> None:
        """Put everything that waits on the disk, retrying for as long as it takes."""
        retry_s = _FIRST_RETRY_S
        while self._take():
            missing = self._losses.unrecorded()
            try:
                unusable = self._keeper.write([row for _, row in self._held], missing)
            except (sqlite3.Error, OSError) as error:
                self._say(str(error))
                self._keeper.look_after()  # what has had its time may be what fills the disk
                if not self._may_retry(retry_s):
                    return
                retry_s = min(2 * retry_s, _LAST_RETRY_S)
                continue
            self._say("")
            self._losses.recorded(missing)
            for kind, rows in unusable.items():
                _log.error("%d rows of the journal were lost: a %s holds what no file can.", rows, kind)
                self._losses.add(kind, self._clock(), rows)
            self._recorded += len(self._held) - sum(unusable.values())
            self._held = []
            retry_s = _FIRST_RETRY_S

    def _take(self) -> bool:
        """Take rows from the queue, beside those that could not be written yet.  False where there is nothing to do."""
        held = self._held
        while self._queue and len(held) < _BATCH:
            held.append(self._queue.popleft())
        return bool(held) or self._losses.pending

    def _may_retry(self, delay_s: float) -> bool:
        """Wait before the next try.  False where the process ends, and its patience too."""
        if not self._closing.wait(delay_s):
            return True
        if self._give_up_ns is not None and self._clock() >= self._give_up_ns:
            return False
        threading.Event().wait(_FIRST_RETRY_S)
        return True

    def _say(self, error: str) -> None:
        if error and not self._error:
            _log.error("The journal cannot be written: %s.", error)
        elif self._error and not error:
            _log.warning("The journal is written again.")
        self._error = error


class _Losses:
    """Rows that found no room, until the journal has a row that says so.

    The lock is held for a few assignments and over no I/O.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gaps: dict[str, Missing] = {}
        self._times: deque[tuple[int, int]] = deque(maxlen=64)  # (second, rows), for ``since``
        self.total = 0

    @property
    def pending(self) -> bool:
        """True while the journal has not said all."""
        return bool(self._gaps)

    def add(self, kind: str, now: int, rows: int = 1) -> None:
        """Count lost rows."""
        with self._lock:
            gap = self._gaps.get(kind)
            before, first = (gap.rows, gap.from_ns) if gap is not None else (0, now)
            self._gaps[kind] = Missing(kind, before + rows, first, now)
            self.total += rows
            second = now // NS_PER_S
            if self._times and self._times[-1][0] == second:
                rows += self._times.pop()[1]
            self._times.append((second, rows))

    def unrecorded(self) -> list[Missing]:
        """Return what the journal has not said yet."""
        with self._lock:
            return list(self._gaps.values())

    def recorded(self, said: list[Missing]) -> None:
        """Note what the journal has said; what was lost meanwhile remains."""
        with self._lock:
            for gap in said:
                now = self._gaps.pop(gap.kind)
                if now.rows > gap.rows:
                    self._gaps[gap.kind] = Missing(gap.kind, now.rows - gap.rows, gap.to_ns, now.to_ns)

    def since(self, then: int) -> int:
        """Return the rows lost since ``then``, to the second."""
        with self._lock:
            return sum(rows for second, rows in self._times if second * NS_PER_S >= then - NS_PER_S)
