"""Reading the journal: all files of a folder as one, in order, while its process may be writing.

Connections are read-only, and rows come in chunks by row id, each in a read transaction of its own that ends before
the chunk is handed out: the writer's log can always be folded into its file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edge.clock import NS_PER_MS
from edge.errors import JournalError
from edge.record.journal import files
from edge.record.journal.files import DayFile
from edge.record.journal.records import ALL, CountsRow, EventRow, Filter, Finding, GateRow, PartRow, RunRow
from edge.record.journal.schema import VERSION

_CHUNK = 5000  # row ids a transaction
_BUSY_S = 5.0  # while a file is made plain, or another process recovers it


_T = TypeVar("_T")

_PART_FILTERS = ("outcome", "cause", "number", "session", "recipe")
_PART = tuple(name for name in PartRow.__struct_fields__ if name != "findings")
_GATE = tuple(name for name in GateRow.__struct_fields__ if name != "facts")
_FACTS = ("answered", "permit", "armed", "ended", "executed", "voided", "gated", "sensor")
_BARE = ("armed", "executed")


class Folder:
    """A journal's folder.

    Args:
        path: of the folder.

    Raises:
        JournalError: there is no journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_dir() or not files.in_folder(path):
            raise JournalError(f"{path}: holds no journal.", "give the folder that journal.folder names.")

    def files(self) -> list[DayFile]:
        """Return the files, oldest first, the damaged ones too."""
        return files.in_folder(self.path)

    def process(self) -> str:
        """Return who wrote the journal, "station" or "gateway"; "" where nobody did yet.

        All files tell the same: one that cannot be read is passed over.
        """
        for file in self.files():
            if file.damaged:
                continue
            with suppress(sqlite3.DatabaseError), closing(connect(self.path / file.name)) as connection:
                if is_journal(connection) and (run := next(_run_rows(connection), None)) is not None:
                    return run.process
        return ""

    def runs(self) -> Iterator[RunRow]:
        """Return every start of the process, in order; each file that it wrote into holds it once."""
        told = None
        for run in self._read(ALL, _run_rows):
            if run != told:
                yield run
            told = run

    def begins(self) -> tuple[int, int]:
        """Return the wall-clock ms of the first row, and of the start of the run that wrote it; zeros where none is."""
        first = " UNION ALL ".join(
            f"SELECT * FROM (SELECT wall_ms FROM {table} ORDER BY id LIMIT 1)"
            for table in ("part", "gate", "event", "counts")
        )
        sql = f"SELECT min(wall_ms), (SELECT started_ms FROM run ORDER BY id LIMIT 1) FROM ({first})"
        found = self._read(ALL, lambda connection: iter(connection.execute(sql).fetchall()))
        return next(((row, started) for row, started in found if row is not None), (0, 0))

    def parts(self, wanted: Filter = ALL) -> Iterator[PartRow]:
        """Return the parts of a station, in the order in which they were recorded."""
        condition, values = wanted.sql(_PART_FILTERS)
        texts = {"outcome", "cause", "rule", "disposition", "tag"}
        columns = [f"coalesce({name}, '') " if name in texts else name for name in _PART]
        sql = f"SELECT id, {','.join(columns)} FROM parts WHERE id > ? AND id <= ?{condition} ORDER BY id"

        def read(connection: sqlite3.Connection) -> Iterator[PartRow]:
            for low, high in _ranges(connection, "part", wanted):
                rows = connection.execute(sql, (low, high, *values)).fetchall()
                found = _findings(connection, rows[0][0], rows[-1][0]) if rows else {}
                for row in rows:
                    yield PartRow(**dict(zip(_PART, row[1:], strict=True)), findings=found.get(row[0], []))

        return self._read(wanted, read)

    def gates(self, wanted: Filter = ALL) -> Iterator[GateRow]:
        """Return what a gateway learnt of parts, in the order in which it first did; by time and number alone."""
        return self._read(wanted, lambda file: _merged(_gate_rows(file, wanted), _fact_rows(file, wanted)))

    def gates_of(self, numbers: list[int], wanted: Filter) -> Iterator[GateRow]:
        """Return what a gateway learnt of the parts with these numbers, at most some hundreds."""
        marks = ",".join("?" * len(numbers))
        condition, values = wanted.sql(())

        def read(connection: sqlite3.Connection) -> Iterator[GateRow]:
            for table, of in (("gates", _gate_of), ("facts", _fact_of)):
                sql = f"SELECT {_columns(table)} FROM {table} WHERE number IN ({marks}){condition}"
                for row in connection.execute(sql, (*numbers, *values)).fetchall():
                    yield of(row[1:])

        return self._read(wanted, read)

    def events(self, wanted: Filter = ALL) -> Iterator[EventRow]:
        """Return what happened, by time alone."""
        condition, values = wanted.sql(())
        happened = (
            "SELECT e.id, r.boot, e.wall_ms, e.at_ns, r.process, coalesce(k.text, ''), e.text, e.data, "
            "r.started_ns, r.id FROM event e JOIN run r ON r.id = e.run LEFT JOIN word k ON k.id = e.kind"
        )
        missing = (
            "SELECT m.id, r.boot, m.wall_ms, m.to_ns, r.process, 'missing', m.rows || ' rows of kind ' || k.text || "
            "' were not recorded', json_object('rows', m.rows, 'kind', k.text, 'from_ns', m.from_ns, 'to_ns', m.to_ns)"
            ", r.started_ns, r.id FROM missing m JOIN run r ON r.id = m.run JOIN word k ON k.id = m.kind"
        )

        def read(connection: sqlite3.Connection) -> Iterator[EventRow]:
            rows = [
                row
                for sql in (missing, happened)
                for row in connection.execute(f"{sql} WHERE TRUE{condition} ORDER BY 1", values).fetchall()
            ]
            rows.sort(key=lambda row: (row[9], row[3]))
            for _, boot, wall_ms, at_ns, process, kind, text, data, run_ns, _ in rows:
                yield EventRow(
                    boot=boot, wall_ms=wall_ms, at_ns=at_ns, process=process, kind=kind, text=text, run_ns=run_ns,
                    data=msgspec.json.decode(data),
                )  # fmt: skip

        return self._read(wanted, read)

    def counts(self, wanted: Filter = ALL) -> Iterator[CountsRow]:
        """Return the cumulative counters, by time alone."""
        condition, values = wanted.sql(())
        sql = (
            "SELECT r.boot, c.wall_ms, c.at_ns, r.started_ns, c.data FROM counts c JOIN run r ON r.id = c.run "
            f"WHERE c.id > ? AND c.id <= ?{condition} ORDER BY c.id"
        )

        def read(connection: sqlite3.Connection) -> Iterator[CountsRow]:
            for low, high in _ranges(connection, "counts", ALL):
                for boot, wall_ms, at_ns, run_ns, data in connection.execute(sql, (low, high, *values)).fetchall():
                    values_ = msgspec.json.decode(data)
                    yield CountsRow(boot=boot, wall_ms=wall_ms, at_ns=at_ns, run_ns=run_ns, data=values_)

        return self._read(wanted, read)

    # -- files ------------------------------------------------------------------------------------------------------

    def _read(self, wanted: Filter, rows: Callable[[sqlite3.Connection], Iterator[_T]]) -> Iterator[_T]:
        """Return the rows of all files.  Raises JournalError where a file is damaged, also when that shows later."""
        for file in self.files():
            if file.damaged or _is_before(file, wanted):
                continue
            try:
                with closing(connect(self.path / file.name)) as connection:
                    if is_journal(connection):
                        yield from rows(connection)
            except (sqlite3.DatabaseError, msgspec.DecodeError) as error:
                if not (self.path / file.name).exists():
                    continue  # deleted meanwhile, as retention does
                raise JournalError(
                    f"{self.path / file.name}: cannot be read ({error}).", "run `edge journal check` on the folder."
                ) from None


def connect(path: Path) -> sqlite3.Connection:
    """Open a file read-only.  A file on read-only media that nobody writes needs no lock files beside it."""
    immutable = "" if (path.parent / f"{path.name}-wal").exists() else _immutable(path)
    uri = f"{path.absolute().as_uri()}?mode=ro{immutable}"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)


def _immutable(path: Path) -> str:
    return "" if os.access(path.parent, os.W_OK) else "&immutable=1"


def is_journal(connection: sqlite3.Connection) -> bool:
    """True for a file that this version can read; one that was just made has no tables yet."""
    return bool(connection.execute("PRAGMA user_version").fetchone()[0] == VERSION)


def _is_before(file: DayFile, wanted: Filter) -> bool:
    """True where no row of a file can be as late as asked for.  One of a later day may hold earlier rows: a wall clock
    that was set back never goes back to an older file."""
    return wanted.since_ms is not None and file.day + timedelta(days=1) < files.day_of(wanted.since_ms * NS_PER_MS)


def _ranges(connection: sqlite3.Connection, table: str, wanted: Filter) -> Iterator[tuple[int, int]]:
    """Cut the row ids of a table into chunks; not where an index finds the few rows that are asked for."""
    last = connection.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()[0]
    step = last if wanted.number is not None else _CHUNK
    for low in range(0, last, max(1, step)):
        yield low, min(low + step, last)


def _run_rows(connection: sqlite3.Connection) -> Iterator[RunRow]:
    columns = RunRow.__struct_fields__
    for row in connection.execute(f"SELECT {','.join(columns)} FROM run ORDER BY id").fetchall():
        yield RunRow(**dict(zip(columns, row, strict=True)))


def _findings(connection: sqlite3.Connection, low: int, high: int) -> dict[int, list[Finding]]:
    found: dict[int, list[Finding]] = {}
    sql = "SELECT part, coalesce(cls, ''), score, x1, y1, x2, y2 FROM findings WHERE part >= ? AND part <= ?"
    for part, cls, score, *box in connection.execute(sql, (low, high)).fetchall():
        found.setdefault(part, []).append(Finding(cls, score, (box[0], box[1], box[2], box[3])))
    return found


def _columns(view: str) -> str:
    if view == "facts":
        return f"id, {','.join(_GATE)}, fact, coalesce(detail, '')"
    facts = [f"{name}_ns" if name in _BARE else f"coalesce({name}, ''), {name}_ns" for name in _FACTS]
    return f"id, {','.join((*_GATE, *facts))}"


def _gate_rows(connection: sqlite3.Connection, wanted: Filter) -> Iterator[GateRow]:
    condition, values = wanted.sql(("number",))
    sql = f"SELECT {_columns('gates')} FROM gates WHERE id > ? AND id <= ?{condition} ORDER BY id"
    for low, high in _ranges(connection, "gate", wanted):
        for row in connection.execute(sql, (low, high, *values)).fetchall():
            yield _gate_of(row[1:])


def _fact_rows(connection: sqlite3.Connection, wanted: Filter) -> Iterator[GateRow]:
    condition, values = wanted.sql(("number",))
    sql = f"SELECT {_columns('facts')} FROM facts WHERE id > ? AND id <= ?{condition} ORDER BY id"
    for low, high in _ranges(connection, "fact", wanted):
        for row in connection.execute(sql, (low, high, *values)).fetchall():
            yield _fact_of(row[1:])


def _gate_of(row: tuple[Any, ...]) -> GateRow:
    values = dict(zip(_GATE, row, strict=False))
    rest = iter(row[len(_GATE) :])
    facts: dict[str, tuple[str, int]] = {}
    if values["count"] is not None:
        facts["counted"] = ("", values["at_ns"])
    for name in _FACTS:
        detail = "" if name in _BARE else next(rest)
        at_ns = next(rest)
        if at_ns is not None and name == "sensor":
            facts[detail] = ("", at_ns)
        elif at_ns is not None:
            facts[name] = (detail, at_ns)
    return GateRow(**values, facts=facts)


def _fact_of(row: tuple[Any, ...]) -> GateRow:
    *values, fact, detail = row
    named = dict(zip(_GATE, values, strict=True))
    return GateRow(**named, facts={fact: (detail, named["at_ns"])})


def _merged(gates: Iterator[GateRow], others: Iterator[GateRow]) -> Iterator[GateRow]:
    """Merge by time within a boot; the rare other facts are few enough to wait in memory."""
    waiting = list(others)
    for gate in gates:
        while waiting and waiting[0].boot == gate.boot and waiting[0].at_ns < gate.at_ns:
            yield waiting.pop(0)
        yield gate
    yield from waiting
