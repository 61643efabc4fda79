"""What people say of parts and alarms: marks and acknowledgements, with who and when.  Nothing is ever changed or lost.

SQLite, written by the monitor alone.  A mark or acknowledgement that replaces another stands beside it; the newest
counts.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from edge.errors import AnnotationError

VERSION = 1
TEXT_MOST = 1000
"""Characters of a note; names are far shorter."""

Verdict = Literal["right", "wrong", "none"]
"""Of a person on the station's outcome; ``none`` takes a mark back."""

VERDICTS = get_args(Verdict)

Key = tuple[int, int, int]

_BUSY_S = 5.0
_TABLES = """
CREATE TABLE mark(
  id INTEGER PRIMARY KEY, station TEXT NOT NULL, session INTEGER NOT NULL, part INTEGER NOT NULL,
  verdict TEXT NOT NULL, who TEXT NOT NULL, wall_ms INTEGER NOT NULL, note TEXT NOT NULL, part_ms INTEGER NOT NULL);
CREATE INDEX mark_part ON mark(session, part);
CREATE INDEX mark_time ON mark(wall_ms);
CREATE TABLE acknowledgement(
  id INTEGER PRIMARY KEY, source TEXT NOT NULL, alarm TEXT NOT NULL, raised_ms INTEGER NOT NULL,
  who TEXT NOT NULL, wall_ms INTEGER NOT NULL, note TEXT NOT NULL);
CREATE INDEX acknowledgement_alarm ON acknowledgement(raised_ms);
CREATE TRIGGER mark_kept BEFORE UPDATE ON mark BEGIN SELECT RAISE(ABORT, 'this is history'); END;
CREATE TRIGGER mark_stays BEFORE DELETE ON mark BEGIN SELECT RAISE(ABORT, 'this is history'); END;
CREATE TRIGGER acknowledgement_kept BEFORE UPDATE ON acknowledgement
  BEGIN SELECT RAISE(ABORT, 'this is history'); END;
CREATE TRIGGER acknowledgement_stays BEFORE DELETE ON acknowledgement
  BEGIN SELECT RAISE(ABORT, 'this is history'); END;
"""


@dataclass(frozen=True)
class Mark:
    """A person's word on the outcome of one part.

    Attributes:
        station, session, part: as in ``PartRecord``.
        verdict: one of ``VERDICTS``.
        who, wall_ms, note: who said so, when, and what else.
        part_ms: wall-clock ms of the part's record.
    """

    station: str
    session: int
    part: int
    verdict: str
    who: str
    wall_ms: int
    note: str
    part_ms: int = 0

    @property
    def key(self) -> Key:
        """By which its part is known: parts without a session (0) share their numbers, and not their times."""
        return self.session, self.part, self.part_ms


@dataclass(frozen=True)
class Acknowledgement:
    """A person has seen an alarm that was raised at ``raised_ms``."""

    source: str
    alarm: str
    raised_ms: int
    who: str
    wall_ms: int
    note: str


_MARK = "station, session, part, verdict, who, wall_ms, note, part_ms"
_ACKNOWLEDGEMENT = "source, alarm, raised_ms, who, wall_ms, note"


class Annotations:
    """The annotations in a file.  May be used from several threads.

    Args:
        path: of the file.
        read_only: it must be there, and nothing can be added; for other processes than the monitor.

    Raises:
        AnnotationError: the file cannot be opened, or is no annotations file of this version.
    """

    def __init__(self, path: Path, read_only: bool = False) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._connection = self._open(read_only)
        except sqlite3.Error as error:
            remedy = "give a file that may be written, in a folder that is there."
            raise AnnotationError(f"{path} cannot be used: {error}.", remedy) from None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def mark(self, mark: Mark) -> None:
        """Add a mark, on the disk at return.

        Raises:
            AnnotationError: it was not written.
        """
        m = mark
        values = (m.station, m.session, m.part, m.verdict, m.who, m.wall_ms, m.note, m.part_ms)
        self._write(f"INSERT INTO mark({_MARK}) VALUES (?,?,?,?,?,?,?,?)", values)

    def marks(self, session: int, part: int, part_ms: int | None = None) -> list[Mark]:
        """Return all marks of a part, newest first; without ``part_ms``, of all parts with that session and number."""
        sql = f"SELECT {_MARK} FROM mark WHERE session = ? AND part = ? AND part_ms = coalesce(?, part_ms)"
        return [Mark(*row) for row in self._read(f"{sql} ORDER BY id DESC", (session, part, part_ms))]

    def current(self, parts: Iterable[Key]) -> dict[Key, Mark]:
        """Return the marks that count, by (session, part, wall-clock ms of the part's record)."""
        newest = {key: next(iter(self.marks(*key)), None) for key in parts}
        return {key: mark for key, mark in newest.items() if mark is not None and mark.verdict != "none"}

    def all_marks(self, since_ms: int = 0) -> list[Mark]:
        """Return the marks that count of parts that were marked since ``since_ms``, oldest first."""
        sql = (
            f"SELECT {_MARK} FROM mark WHERE id IN (SELECT max(id) FROM mark GROUP BY station, session, part, part_ms) "
            "AND wall_ms >= ? AND verdict <> 'none' ORDER BY id"
        )
        return [Mark(*row) for row in self._read(sql, (since_ms,))]

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """Add an acknowledgement, on the disk at return.  Raises AnnotationError as ``mark``."""
        a = acknowledgement
        values = (a.source, a.alarm, a.raised_ms, a.who, a.wall_ms, a.note)
        self._write(f"INSERT INTO acknowledgement({_ACKNOWLEDGEMENT}) VALUES (?,?,?,?,?,?)", values)

    def acknowledged(self, since_ms: int = 0) -> list[Acknowledgement]:
        """Return the acknowledgements of alarms that were raised since ``since_ms``, oldest first."""
        sql = f"SELECT {_ACKNOWLEDGEMENT} FROM acknowledgement WHERE raised_ms >= ? ORDER BY id"
        return [Acknowledgement(*row) for row in self._read(sql, (since_ms,))]

    def _open(self, read_only: bool) -> sqlite3.Connection:
        target = f"{self.path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        connection = sqlite3.connect(target, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if not read_only:
                connection.execute("PRAGMA synchronous=FULL")
                if version == 0 and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version={VERSION}; COMMIT;")
                    version = VERSION
            if version != VERSION:
                problem = f"{self.path} has format {version}, and {VERSION} is read."
                raise AnnotationError(problem, "name another file, or use the edge that wrote it.")
        except BaseException:
            connection.close()
            raise
        return connection

    def _read(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        with self._lock:
            try:
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise AnnotationError(f"{self.path} cannot be read: {error}.", "see the disk it lies on.") from None

    def _write(self, sql: str, values: tuple[Any, ...]) -> None:
        with self._lock:
            try:
                self._connection.execute(sql, values)
            except sqlite3.Error as error:
                raise AnnotationError(
                    f"{self.path} cannot be written: {error}.", "see the disk it lies on and the rights of its folder."
                ) from None
