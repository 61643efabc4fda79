"""What referee and journals say when a line has ended."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from edge.record.journal.reconcile import reconcile
from tests.faults.matrix.rig import Rig
from tests.faults.matrix.row import Books

DECIDED = ("clean", "rule", "permitted", "reject", "no_decision")
"""Words with which nothing went wrong, or which only say that the other side has the cause."""

UNCOUNTED = -1

NO_SESSION = "no session"
"""The station decided on the part, and had no session in which to say so."""

_STATION = """
SELECT number, cause.text, disposition.text, identity.session FROM part
JOIN identity ON identity.id = part.identity JOIN word cause ON cause.id = part.cause
LEFT JOIN word disposition ON disposition.id = part.disposition
"""
_GATEWAY = """
SELECT number, 1, word.text FROM gate JOIN word ON word.id = gate.ended
UNION ALL SELECT number, 1, word.text FROM gate JOIN word ON word.id = gate.voided
UNION ALL SELECT number, count, detail.text FROM fact
JOIN word ON word.id = fact.fact AND word.text = 'unread' JOIN word detail ON detail.id = fact.detail
"""


def read(rig: Rig) -> Books:
    """End the line in order and read what was written."""
    line = rig.line
    time.sleep(1.0)  # let the records of the last parts arrive
    assert line.stop("plant") == 0, line.log("plant")
    line.stop("station")
    line.stop("gateway")
    causes: dict[int, set[str]] = defaultdict(set)
    in_session: set[int] = set()
    for number, cause, disposition, session in _rows(line.folder / "station-journal", _STATION):
        causes[number] |= {cause} if session else {cause, NO_SESSION}
        if disposition:
            in_session.add(number)
    for last, parts, how in _rows(line.folder / "gateway-journal", _GATEWAY):
        for number in range(last - parts + 1, last + 1):
            causes[number].add(how)
    plates = [plate for plate in line.records("plates.jsonl") if plate["number"] != UNCOUNTED]
    uncounted = [plate for plate in line.records("plates.jsonl") if plate["number"] == UNCOUNTED]
    numbered = {int(str(plate["number"])): plate for plate in plates}
    named = {number: words - set(DECIDED) for number, words in causes.items()}
    return Books(line.summary(), numbered, uncounted, named, in_session, _reconcile(line.folder))


def _reconcile(folder: Path) -> str:
    done = reconcile(folder / "station-journal", folder / "gateway-journal")
    return "" if done.reconciled else f"{done.remainder} of {done.parts} parts are left over: {done.examples[:10]}"


def _rows(folder: Path, query: str) -> Iterator[tuple[Any, ...]]:
    for file in sorted(folder.glob("*.sqlite")):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            yield from connection.execute(query)
