"""The alarms of the past, as the journals of station and gateway hold them."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta

from edge.clock import NS_PER_MS
from edge.errors import JournalError
from edge.record.journal import files
from edge.record.journal.reader import Folder, connect, is_journal

_CHUNK = 500
_SQL = (
    "SELECT e.id, e.wall_ms, r.process, k.text, e.text, coalesce(json_extract(e.data, '$.alarm'), '') "
    "FROM event e JOIN run r ON r.id = e.run JOIN word k ON k.id = e.kind "
    "WHERE e.id < ? AND k.text IN ('alarm', 'alarm_cleared', 'started') ORDER BY e.id DESC LIMIT ?"
)
_NEWEST = 1 << 62


@dataclass(frozen=True)
class Raised:
    """An alarm that was raised.

    Attributes:
        source: "station" or "gateway".
        name, text: of the alarm.
        raised_ms, cleared_ms: wall-clock; None: it has not been cleared.  A restart of its process ends it too: what
            still stands then is raised anew.
    """

    source: str
    name: str
    text: str
    raised_ms: int
    cleared_ms: int | None


def raised(folders: list[Folder], since_ms: int | None = None) -> Iterator[Raised]:
    """Return the alarms of all ``folders``, newest first, reading no further back than is asked for.

    Args:
        folders: of journals.
        since_ms: no alarm that was raised before this wall-clock time; None: as far back as there are journals.

    Raises:
        JournalError: a file is damaged.
    """
    each = (_of_folder(folder, since_ms) for folder in folders)
    return heapq.merge(*each, key=lambda alarm: -alarm.raised_ms)


def _of_folder(folder: Folder, since_ms: int | None) -> Iterator[Raised]:
    cleared: dict[str, int] = {}
    restarted_ms: int | None = None
    for wall_ms, process, kind, text, name in _events(folder, since_ms):
        if kind == "started":
            restarted_ms = wall_ms
            cleared.clear()
        elif kind == "alarm_cleared":
            cleared[name] = wall_ms
        elif since_ms is None or wall_ms >= since_ms:
            yield Raised(process, name, text, wall_ms, cleared.pop(name, restarted_ms))


def _events(folder: Folder, since_ms: int | None) -> Iterator[tuple[int, str, str, str, str]]:
    """Return what tells of alarms, newest first; whole files, named by the UTC day that they began on."""
    first = None if since_ms is None else files.day_of(since_ms * NS_PER_MS) - timedelta(days=1)
    for file in reversed(folder.files()):
        if file.damaged or (first is not None and file.day < first):
            continue
        path = folder.path / file.name
        try:
            with closing(connect(path)) as connection:
                if is_journal(connection):
                    yield from _events_of(connection)
        except sqlite3.DatabaseError as error:
            if path.exists():  # else deleted meanwhile, as retention does
                raise JournalError(
                    f"{path}: cannot be read ({error}).", "run `edge journal check` on the folder."
                ) from None


def _events_of(connection: sqlite3.Connection) -> Iterator[tuple[int, str, str, str, str]]:
    last = _NEWEST
    while rows := connection.execute(_SQL, (last, _CHUNK)).fetchall():
        yield from (tuple(row[1:]) for row in rows)
        last = rows[-1][0]
