"""Number and hash of each record of a challenge, as the station's journal has noted them: its second memory of them."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from edge.record.journal import files
from edge.record.journal.reader import connect, is_journal

_log = logging.getLogger(__name__)

KIND = "challenge_record"
"""Of the events that note them."""

_SQL = "SELECT e.data FROM event e JOIN word k ON k.id = e.kind WHERE k.text = ? ORDER BY e.id DESC"


def noted_heads(journal: Path) -> Iterator[str]:
    """Return "NUMBER:SHA256" of the records that a station's journal has noted, newest first.

    A journal, or a file of it, that cannot be read says nothing, with a line in the log: it keeps no station from
    starting.

    Args:
        journal: its folder.
    """
    try:
        present = [file for file in files.in_folder(journal) if not file.damaged]
    except OSError as error:
        _log.warning("%s cannot be asked for the records of challenges (%s).", journal, error.strerror)
        return
    for file in reversed(present):
        yield from _of_file(journal / file.name)


def _of_file(path: Path) -> Iterator[str]:
    try:
        with closing(connect(path)) as connection:
            rows = connection.execute(_SQL, (KIND,)).fetchall() if is_journal(connection) else []
        heads = [head_of(json.loads(data)) for (data,) in rows]
    except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
        _log.warning("%s cannot be asked for the records of challenges (%s).", path, error)
        return
    yield from heads


def head_of(data: dict[str, object]) -> str:
    """Return "NUMBER:SHA256" of an event's data."""
    return f"{int(str(data['number']))}:{data['sha256']}"
