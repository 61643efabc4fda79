"""Reading an evidence folder, while its station may be writing into it, from any process and any thread."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edge.errors import EvidenceError
from edge.record.evidence.schema import COLUMNS, INDEX, VERSION

_BUSY_S = 2.0
_SELECT = f"SELECT id, {', '.join(COLUMNS)} FROM pictures"
_CLASSES = """
WITH RECURSIVE known(cls) AS (
  SELECT min(cls) FROM pictures WHERE cls > ''
  UNION ALL SELECT (SELECT min(cls) FROM pictures WHERE cls > known.cls) FROM known WHERE cls IS NOT NULL
) SELECT cls FROM known WHERE cls IS NOT NULL"""
"""One step along the index a class; DISTINCT would walk over every picture."""

_NEWEST = "ORDER BY wall_ms DESC, id DESC LIMIT ?"


@dataclass(frozen=True)
class Picture:
    """A picture of one part.

    Attributes:
        id: of its row in the index.
        wall_ms: when the part's record was made, wall-clock ms since 1970-01-01 UTC.
        station, lane, session, part, outcome, cause, rule, t0_ns: as in ``PartRecord``.
        cls, score: of its strongest finding, or of the one by which a pass was close; "" and None without any.
        reason: one of ``edge.record.evidence.schema.REASONS``.
        file: of the picture, below the folder.
        bytes: of picture and sidecar.
    """

    id: int
    wall_ms: int
    station: str
    lane: int
    session: int
    part: int
    outcome: str
    cause: str
    rule: str
    cls: str
    score: float | None
    reason: str
    file: str
    bytes: int
    t0_ns: int


class Evidence:
    """Reads an evidence folder.  Every query is one short read transaction; nothing is ever written.

    Args:
        folder: ``evidence.folder`` of a station.

    Raises:
        EvidenceError: there is no index, or it cannot be read; so do the queries.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._index = folder, folder / INDEX
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inode, self._alone = 0, False
        with self._lock:
            self._open()

    def close(self) -> None:
        """Close the index; a later query opens it again."""
        with self._lock:
            self._close()

    def search(
        self,
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
        cls: str = "",
        outcome: str = "",
        reason: str = "",
        before_id: int | None = None,
        limit: int = 60,
    ) -> list[Picture]:
        """Return pictures, newest first.

        Args:
            since_ms, until_ms: wall-clock ms, from and before; None: no bound.
            cls, outcome, reason: only these; "": any.
            before_id: only what comes after this picture in the order, for the next page.
            limit: at most so many.
        """
        equal = {"cls": cls or None, "outcome": outcome or None, "reason": reason or None}
        terms: dict[str, Any] = {f"{name} = ?": value for name, value in equal.items()}
        terms |= {"wall_ms >= ?": since_ms, "wall_ms < ?": until_ms}
        conditions = [term for term, value in terms.items() if value is not None]
        values = [value for value in terms.values() if value is not None]
        if before_id is not None:
            last = self._query("SELECT wall_ms FROM pictures WHERE id = ?", (before_id,))
            if last:
                conditions.append("wall_ms <= ? AND NOT (wall_ms = ? AND id >= ?)")
                values += [last[0][0], last[0][0], before_id]
            else:  # it has had its time meanwhile: rows are added in order, but for steps of the wall clock
                conditions.append("id < ?")
                values.append(before_id)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return [Picture(*row) for row in self._query(f"{_SELECT}{where} {_NEWEST}", (*values, limit))]

    def find(self, session: int, part: int) -> Picture | None:
        """Return the newest picture of a part, or None.  Numbers of parts without a session (0) come again."""
        rows = self._query(f"{_SELECT} WHERE session = ? AND part = ? {_NEWEST}", (session, part, 1))
        return Picture(*rows[0]) if rows else None

    def get(self, picture_id: int) -> Picture | None:
        """Return the picture with this id, or None where there is none (any more)."""
        rows = self._query(f"{_SELECT} WHERE id = ?", (picture_id,))
        return Picture(*rows[0]) if rows else None

    def classes(self) -> list[str]:
        """Return the classes that pictures show, sorted."""
        return [row[0] for row in self._query(_CLASSES, ())]

    def path(self, picture: Picture) -> Path:
        """Return where the picture's file is, or was: it may have had its time."""
        return self._folder / picture.file

    def sidecar(self, picture: Picture) -> dict[str, Any]:
        """Return all that is known of the part: the fields of ``PartRecord``, ``reason``, ``near`` and ``picture``.

        ``near`` are the findings by which a pass was close; ``picture`` is {file, width, height, color, sha256}.

        Raises:
            EvidenceError: it is gone, or damaged.
        """
        path = self.path(picture).with_suffix(".json")
        try:
            found: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except OSError as error:
            raise EvidenceError(f"{path}: {error.strerror}.", "it may have had its time; search again.") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EvidenceError(f"{path} is damaged: {error}.", "see edge evidence verify.") from None
        return found

    # -- the index --------------------------------------------------------------------------------------------------

    def _query(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        with self._lock:
            try:
                connection = self._open()
                with closing(connection.execute(sql, values)) as cursor:
                    return cursor.fetchall()
            except sqlite3.Error as error:
                self._close()
                raise EvidenceError(f"{self._index} cannot be read: {error}.", "see edge evidence verify.") from None

    def _open(self) -> sqlite3.Connection:
        """Return the connection, anew where the file was replaced."""
        try:
            inode = self._index.stat().st_ino
        except OSError as error:
            self._close()
            raise EvidenceError(
                f"{self._folder}: holds no evidence ({error.strerror}).", "give the folder that evidence.folder names."
            ) from None
        if self._connection is None or inode != self._inode or self._alone:
            self._close()
            self._alone = _is_alone(self._index)
            self._connection, self._inode = _connect(self._index, self._alone), inode
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _is_alone(index: Path) -> bool:
    """True where SQLite needs the promise that nobody writes: no writer's log to read, and no right to lay one down.

    The promise holds for one query: the station may start at any time.
    """
    return not index.with_name(f"{INDEX}-wal").exists() and not os.access(index.parent, os.W_OK)


def _connect(index: Path, alone: bool) -> sqlite3.Connection:
    """Open the index to be read.

    Raises:
        EvidenceError: it cannot be read, or another version wrote it.
    """
    uri = f"{index.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        raise EvidenceError(f"{index} cannot be read: {error}.", "see edge evidence verify.") from None
    if version != VERSION:
        connection.close()
        raise EvidenceError(f"{index} has format {version}, and {VERSION} is read.", "use the edge that wrote it.")
    return connection
