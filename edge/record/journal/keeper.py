"""Which file the journal's rows go to: a new one each day, the oldest deleted, a damaged one moved aside."""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from edge.clock import NS_PER_S
from edge.config import JournalConfig
from edge.record.journal import files
from edge.record.journal.files import DayFile
from edge.record.journal.rows import Event, Row
from edge.record.journal.store import ForeignFile, Missing, Run, Store, finish

_log = logging.getLogger(__name__)

_TIDY_NS = 60 * NS_PER_S
_SMALLEST = 1 << 20
"""No file is closed as too large below this: an empty one holds 90 kB of tables."""


class Keeper:
    """Owns the file in use and the folder.  Used by the journal's thread alone.

    Args:
        folder: of the journal.
        config: how much is kept, and for how long.
        run: who writes.
        clock: monotonic nanoseconds.
        wall: wall-clock nanoseconds.
    """

    def __init__(
        self, folder: Path, config: JournalConfig, run: Run, clock: Callable[[], int], wall: Callable[[], int]
    ) -> None:
        self._folder, self._config, self._run = folder, config, run
        self._clock, self._wall = clock, wall
        self._keep_bytes = int(config.keep_gb * 1e9)
        self._file: DayFile | None = None  # written now, or last
        self._next: DayFile | None = None  # to be opened, as soon as the disk allows
        self._store: Store | None = None
        self._news: list[Event] = []
        self._tidy_ns = 0
        self._first = (clock(), wall())
        self.problem = ""
        """What cannot be deleted, though it has had its time; read by any thread."""

    def write(self, rows: list[Row], missing: list[Missing]) -> Counter[str]:
        """Write everything to the file of the day, as ``Store.write``.

        Raises:
            sqlite3.OperationalError, OSError: the disk does not do as asked; nothing was written.
            sqlite3.DatabaseError: the file is damaged, and was moved aside; nothing was written.
        """
        try:
            store = self._store_of_today()
            unusable = store.write([*self._news, *rows], missing, self._clock(), self._wall())
        except sqlite3.DatabaseError as error:
            if _is_damage(error) and self._store is not None:
                self._move_aside(error)
            raise
        self._news.clear()
        return unusable

    def look_after(self) -> None:
        """Delete what has had its time, once a minute."""
        now = self._clock()
        in_use = self._next or self._file  # the one that the disk does not let begin is not to be deleted either
        if in_use is not None and now >= self._tidy_ns:
            self._tidy_ns = now + _TIDY_NS
            try:
                self._tidy(in_use)
            except OSError as error:
                self._say(f"the journal's folder cannot be looked through: {error}")

    def close(self) -> None:
        """Close the file in use."""
        if self._store is not None:
            try:
                self._store.close(finished=False)
            except sqlite3.Error as error:
                _log.error("The journal's file was not closed in order: %s.", error)
            self._store = None

    # -- details ----------------------------------------------------------------------------------------------------

    def _store_of_today(self) -> Store:
        today = files.day_of(self._wall())
        store, file = self._store, self._file
        if store is not None and file is not None:
            if not store.is_in_place():
                self._news.append(self._event(f"{file.name} was deleted or replaced while it was written"))
                self.close()
            elif today <= file.day and store.bytes() < max(self._keep_bytes // 4, _SMALLEST):
                return store
            else:
                self._store = None
                store.close(finished=True)
        if self._next is None:
            present = files.in_folder(self._folder)
            self._next = files.first_for(today, present) if file is None else files.after(file, today, present)
        return self._open(self._next)

    def _open(self, file: DayFile) -> Store:
        try:
            self._store = Store(self._folder / file.name, self._run)
        except ForeignFile as error:
            self._next = files.after(file, file.day, files.in_folder(self._folder))
            raise sqlite3.OperationalError(f"{error}, so {self._next.name} will be begun") from None
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                self._file, self._next = file, None
                self._move_aside(error)
            raise
        if self._file is None:
            self._finish_others(file)
        self._file, self._next = file, None
        self._tidy_ns = 0
        return self._store

    def _finish_others(self, in_use: DayFile) -> None:
        """Make plain files of those that an earlier process, which was killed, has left with a log beside them."""
        for file in files.in_folder(self._folder):
            path = self._folder / file.name
            if file != in_use and not file.damaged and (self._folder / f"{file.name}-wal").exists():
                try:
                    finish(path)
                except sqlite3.Error as error:
                    _log.error("Journal: %s was not closed in order: %s.", path.name, error)

    def _move_aside(self, error: sqlite3.DatabaseError) -> None:
        assert self._file is not None
        self.close()
        file = self._file
        aside = DayFile(file.day, file.number, damaged=True)
        for suffix in ("", *files.SIDES):
            path = self._folder / (file.name + suffix)
            if path.exists():
                path.replace(self._folder / (aside.name + suffix))
        text = f"{file.name} is damaged ({error}); it was moved to {aside.name}, and a new file begun"
        _log.error("Journal: %s.", text)
        self._news.append(self._event(text))

    def _event(self, text: str) -> Event:
        return Event("journal", text, {}, self._clock())

    def _tidy(self, in_use: DayFile) -> None:
        sizes = {file: files.size(self._folder, file) for file in files.in_folder(self._folder)}
        problem = ""
        started_ns, started_wall = self._first
        # A wall clock that jumps ahead must not make every file old at once.
        today = files.day_of(min(self._wall(), started_wall + self._clock() - started_ns))
        for file in files.doomed(sizes, in_use, today, self._config.keep_days, self._keep_bytes):
            try:
                files.remove(self._folder, file)
            except OSError as error:
                problem = f"an old file of the journal cannot be deleted: {error}"
                continue
            _log.info("Journal: %s was deleted, by journal.keep_days or journal.keep_gb.", file.name)
            self._news.append(Event("deleted", f"{file.name} was deleted", {"bytes": sizes[file]}, self._clock()))
        self._say(problem)

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            _log.error("Journal: %s.", problem)
        self.problem = problem


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """True for a file that is damaged or no SQLite at all: what the disk refuses is an ``OperationalError``."""
    return type(error) is sqlite3.DatabaseError
