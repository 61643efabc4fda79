"""The evidence folder as its thread sees it: opened when the disk allows, tried again when not, looked after."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from edge.clock import NS_PER_MS, NS_PER_S
from edge.config import EvidenceConfig
from edge.record.evidence.picture import Encoded, sidecar
from edge.record.evidence.quota import CLOCK_SET_MS, ROOM_BYTES, Quota
from edge.record.evidence.store import Entry, Store, is_damage, move_aside
from edge.record.lock import take_folder

_log = logging.getLogger(__name__)

RETRY_NS = NS_PER_S
"""Between two tries at a disk that does not do as asked."""

LOOK_NS = NS_PER_S
TIDY_NS = 60 * NS_PER_S


class Folder:
    """Owns the folder's lock and its store.  Used by the evidence thread, but for the attributes.

    Args:
        path: of the folder.
        config: its bounds.
        color: of the frames.
        clock: monotonic nanoseconds.
        wall: wall-clock nanoseconds.

    Attributes:
        held: bytes of all pictures; any thread reads these.
        free: bytes that the disk has left.
        low: why the disk's room is too small, or "".
        problem: why nothing can be written, or "".

    Raises:
        ConfigError: the folder cannot be made or used, or another process writes there.
    """

    def __init__(
        self, path: Path, config: EvidenceConfig, color: str, clock: Callable[[], int], wall: Callable[[], int]
    ) -> None:
        self._path, self._color, self._clock, self._wall = path, color, clock, wall
        self._quota = Quota(int(config.keep_gb * 1e9), int(config.free_gb * 1e9), config.keep_days)
        self._lock_fd = take_folder(path, "evidence", "station")
        self._store: Store | None = None
        self._first = (clock(), wall())
        self._opened_ns = self._retry_ns = self._look_ns = self._tidy_ns = 0
        self.held = self.free = 0
        self.low = self.problem = ""

    @property
    def ready(self) -> bool:
        """False while the disk is let be, after it refused."""
        return self._clock() >= self._retry_ns

    def write(self, entry: Entry, picture: Encoded) -> bool:
        """Write a picture.  False where the disk does not do as asked, or room is still being made: try again later.

        Raises:
            Refused: the quotas leave no room for it.
            sqlite3.IntegrityError: nothing can write it.
        """
        return self._attempt(lambda store: self._put(store, entry, picture))

    def look_after(self) -> None:
        """Measure the disk, and delete what has had its time: a little at each call."""
        now = self._clock()
        if now >= self._look_ns:
            self._look_ns = now + LOOK_NS
            self._attempt(self._measure)
        if now >= self._tidy_ns:
            self._attempt(self._tidy)

    def close(self) -> None:
        """Close the index, and let go of the folder."""
        self._close_store()
        os.close(self._lock_fd)

    # -- what the store does ----------------------------------------------------------------------------------------

    def _put(self, store: Store, entry: Entry, picture: Encoded) -> bool:
        file = store.place(entry.record, picture.suffix)
        beside = sidecar(entry.record, entry.reason, entry.near, file, picture, self._color)
        written = store.put(entry, file, picture.data, beside)
        self.held = store.held
        return written

    def _measure(self, store: Store) -> bool:
        self.held, self.free = store.held, store.free()
        short = self._quota.shortage(self.free, ROOM_BYTES) > 0
        bound = f"evidence.free_gb = {self._quota.free_bytes / 1e9:g} must stay free."
        self.low = f"{self.free / 1e9:.2f} GB are free at {self._path}, and {bound}" if short else ""
        return True

    def _tidy(self, store: Store) -> bool:
        if not store.tidy(self._earliest_now_ms(store)):
            self._tidy_ns = self._clock() + TIDY_NS
        self.held = store.held
        return True

    def _earliest_now_ms(self, store: Store) -> int:
        """Return the earliest that the wall-clock ms may be: a wrong clock must not make every picture old at once.

        It is no later than this process's start and the last picture before it say, and the time since.
        """
        now = self._clock()
        started_ns, started_wall = self._first
        bounds = [self._wall() // NS_PER_MS, (started_wall + now - started_ns) // NS_PER_MS]
        if store.last_ms >= CLOCK_SET_MS:
            bounds.append(store.last_ms + (now - self._opened_ns) // NS_PER_MS)
        return min(bounds)

    def _attempt(self, what: Callable[[Store], bool]) -> bool:
        """Do it with the store; where the disk refuses, tell it once, and let it be for a while."""
        if not self.ready:
            return False
        try:
            done = what(self._opened())
        except sqlite3.IntegrityError:
            raise  # not the disk's refusal: it would be the same each time
        except (sqlite3.Error, OSError) as error:
            self._retry_ns = self._clock() + RETRY_NS
            self._failed(error)
            return False
        if self.problem:
            _log.warning("Evidence is written again.")
            self.problem = ""
        return done

    def _opened(self) -> Store:
        if self._store is not None and not self._store.is_in_place():
            _log.error("The index of %s was deleted or replaced while it was written.", self._path)
            self._close_store()
        if self._store is None:
            self._path.mkdir(parents=True, exist_ok=True)
            self._store, self._opened_ns = Store(self._path, self._quota), self._clock()
        return self._store

    def _failed(self, error: sqlite3.Error | OSError) -> None:
        text = f"The disk of {self._path} does not do as asked: {error}."
        if text != self.problem:
            _log.error("Evidence cannot be written: %s.", error)
        self.problem = text
        if is_damage(error):
            self._close_store()
            try:
                aside = move_aside(self._path)
            except OSError as failed:
                _log.error("The damaged index of %s cannot be moved aside: %s.", self._path, failed)
            else:
                _log.error("The index of %s is damaged; it was moved to %s, and is made anew.", self._path, aside.name)

    def _close_store(self) -> None:
        if self._store is not None:
            try:
                self._store.close()
            except sqlite3.Error as error:
                _log.error("The index of %s was not closed in order: %s.", self._path, error)
            self._store = None
