"""One journal file, open for writing.  Used by the journal's thread alone."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from edge.clock import NS_PER_MS
from edge.record.journal.rows import KINDS, Counts, Event, Fact, Row
from edge.record.journal.schema import TABLES, VERSION
from edge.wire.messages import FindingRecord, PartRecord

_CACHED = 4096  # lookups kept in memory, a table; there are dozens, unless somebody puts numbers into texts
_WAL_BYTES = 16 << 20
_CACHE_KB = 512
"""Rows are added at the end, which needs few pages; SQLite's own 2 MB would fill, part by part, for half an hour."""
_WITH_DETAIL = ("answered", "permit", "ended", "voided", "gated")
_WORDS = (*_WITH_DETAIL, "sensor")
_COLUMNS = {
    **{fact: fact for fact in (*_WITH_DETAIL, "counted", "armed", "executed")},
    "confirmed": "sensor",
    "contradicted": "sensor",
}
"""Which columns of table ``gate`` hold a fact."""


def _gate_sql(column: str) -> str:
    """Return the statement that adds a fact to a part's row, or makes the row; it changes nothing of what is there."""
    first = "INSERT INTO gate(scope, number, count, wall_ms, at_ns"
    if column == "counted":
        return f"{first}) VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING"
    names, marks, news = f"{column}_dt", "0", f"{column}_dt = excluded.at_ns - at_ns"
    if column in _WORDS:
        names, marks, news = f"{names}, {column}", f"{marks}, ?", f"{news}, {column} = excluded.{column}"
    condition = f"ON CONFLICT(number, scope) DO UPDATE SET {news} WHERE {column}_dt IS NULL"
    return f"{first}, {names}) VALUES (?,?,?,?,?,{marks}) {condition}"


_GATE_SQL = {column: _gate_sql(column) for column in set(_COLUMNS.values())}

UNUSABLE = (sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.IntegrityError)
"""What SQLite raises for a row that no file can hold: the row's own fault, and not the disk's."""


class ForeignFile(Exception):
    """A sound SQLite file that is no journal of this version."""


@dataclass(frozen=True)
class Run:
    """One start of a process: whose journal this is.  ``started_ns`` is monotonic, ``started_ms`` wall-clock."""

    process: str
    name: str
    lane: int
    pid: int
    version: str
    boot: str
    started_ns: int
    started_ms: int


@dataclass(frozen=True)
class Missing:
    """Rows of one kind that found no room, between two monotonic times."""

    kind: str
    rows: int
    from_ns: int
    to_ns: int


class Store:
    """A file, its transaction, and its lookup tables.

    Args:
        path: of the file; made where there is none, else continued.
        run: who writes.

    Raises:
        ForeignFile: it is SQLite, but no journal of this version.
        sqlite3.OperationalError: the disk does not do as asked.
        sqlite3.DatabaseError: the file is damaged.
    """

    def __init__(self, path: Path, run: Run) -> None:
        self.path = path
        self._run = run
        self._offset_ms = 0
        self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        self._ids: dict[str, dict[Any, int]] = {}
        self._run_id: int | None = None
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise
        self.inode = path.stat().st_ino

    def _prepare(self) -> None:
        do = self._connection.execute
        do("PRAGMA journal_mode=WAL")
        do("PRAGMA synchronous=FULL")  # a commit is on the disk before anything follows
        do(f"PRAGMA journal_size_limit={_WAL_BYTES}")
        do(f"PRAGMA cache_size=-{_CACHE_KB}")
        version = do("PRAGMA user_version").fetchone()[0]
        if version == 0 and not do("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            self._connection.executescript(f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version={VERSION}; COMMIT;")
        elif version != VERSION:
            raise ForeignFile(f"{self.path} has format {version}, and {VERSION} is written")

    def bytes(self) -> int:
        """Return the size of the file, without what waits in its log."""
        (pages,), (page,) = (self._connection.execute(f"PRAGMA {p}").fetchone() for p in ("page_count", "page_size"))
        return int(pages * page)

    def is_in_place(self) -> bool:
        """False where somebody deleted or replaced the file: what is written into it now, nobody will ever read."""
        try:
            return self.path.stat().st_ino == self.inode
        except FileNotFoundError:
            return False

    def write(self, rows: list[Row], missing: list[Missing], now_ns: int, wall_ns: int) -> Counter[str]:
        """Write everything in one transaction that is on the disk at return; or nothing, and raise.

        Returns:
            Rows that no file could hold, by kind.

        Raises:
            sqlite3.Error: nothing was written.
        """
        self._offset_ms = (wall_ns - now_ns) // NS_PER_MS
        unusable: Counter[str] = Counter()
        do = self._connection.execute
        try:
            do("BEGIN IMMEDIATE")
            for gap in missing:
                self._add_missing(gap)
            for row in rows:
                try:
                    self._add(row)
                except Exception as error:  # whatever a row is made of, it must not end the thread
                    if isinstance(error, sqlite3.Error) and not isinstance(error, UNUSABLE):
                        raise
                    unusable[KINDS.get(type(row), type(row).__name__)] += 1
            do("COMMIT")
        except sqlite3.Error:
            self._ids.clear()  # ids that were given in this transaction are nobody's
            self._run_id = None
            if self._connection.in_transaction:
                self._connection.rollback()
            raise
        return unusable

    def close(self, finished: bool) -> None:
        """Close the file.  A ``finished`` one becomes a plain file, which can be read from read-only media too."""
        try:
            if finished:
                self._connection.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError:
            pass  # somebody reads it just now; it stays as it is, and is as good
        finally:
            self._connection.close()

    # -- rows -------------------------------------------------------------------------------------------------------

    def _add(self, row: Row) -> None:
        if isinstance(row, PartRecord):
            self._add_part(row)
        elif isinstance(row, Fact):
            self._add_fact(row)
        elif isinstance(row, Event):
            values = (self._run_key(), self._wall_ms(row.at_ns), row.at_ns, self._word(row.kind), row.text)
            self._insert("event(run, wall_ms, at_ns, kind, text, data)", (*values, _json(row.data)))
        else:
            assert isinstance(row, Counts)
            values_ = (self._run_key(), self._wall_ms(row.at_ns), row.at_ns, _json(row.data))
            self._insert("counts(run, wall_ms, at_ns, data)", values_)

    def _add_part(self, row: PartRecord) -> None:
        t0 = row.t0_ns
        deltas = [t if t is None else t - t0 for t in (row.t1_ns, row.t2_ns, row.t3_ns, row.t4_ns)]
        findings = [(self._word(found.cls), float(found.score), *_box(found)) for found in row.findings]
        words = [self._word(text) for text in (row.outcome, row.cause, row.rule, row.disposition)]
        wall_ms = datetime.fromisoformat(row.wall).timestamp() * 1000
        key = (self._run_key(), row.session, row.station, row.lane)
        identity = self._id(
            "identity(run, session, station, lane, recipe, model, engine, precision, version)",
            (*key, row.recipe, row.model, row.engine, row.precision, row.version),
        )
        part = self._insert(
            "part(identity, number, count, wall_ms, t0_ns, t1, t2, t3, t4, outcome, cause, rule, disposition, tag)",
            (identity, row.part, row.count, round(wall_ms), t0, *deltas, *words, row.tag or None),
        )
        for n, finding in enumerate(findings):
            self._insert("finding(part, n, cls, score, x1, y1, x2, y2)", (part, n, *finding))

    def _add_fact(self, row: Fact) -> None:
        scope = self._id(
            "scope(run, plc, gateway, station, epoch)", (self._run_key(), row.plc, row.gateway, row.station, row.epoch)
        )
        wall_ms = self._wall_ms(row.at_ns)
        if not self._add_to_gate(row, scope, wall_ms):
            self._insert(
                "fact(scope, number, count, wall_ms, at_ns, fact, detail)",
                (scope, row.number, row.count, wall_ms, row.at_ns, self._word(row.fact), self._word(row.detail)),
            )

    def _add_to_gate(self, row: Fact, scope: int, wall_ms: int) -> bool:
        """Add a fact to its part's row.  False where the row has no room for it, or holds one of its kind."""
        column = _COLUMNS.get(row.fact)
        if column is None or (row.detail and column not in _WITH_DETAIL):
            return False
        count = row.count if row.fact == "counted" else None
        words = (self._word(row.fact),) if column == "sensor" else (self._word(row.detail),) * (column in _WORDS)
        values = (scope, row.number, count, wall_ms, row.at_ns, *words)
        return self._connection.execute(_GATE_SQL[column], values).rowcount > 0

    def _add_missing(self, gap: Missing) -> None:
        values = (self._run_key(), self._wall_ms(gap.to_ns), self._word(gap.kind), gap.rows, gap.from_ns, gap.to_ns)
        self._insert("missing(run, wall_ms, kind, rows, from_ns, to_ns)", values)

    # -- lookups ----------------------------------------------------------------------------------------------------

    def _run_key(self) -> int:
        if self._run_id is None:
            run = self._run
            sql = "SELECT id FROM run WHERE boot = ? AND started_ns = ? AND pid = ?"
            found = self._connection.execute(sql, (run.boot, run.started_ns, run.pid)).fetchone()
            self._run_id = (
                found[0]
                if found
                else self._insert(
                    "run(process, name, lane, pid, version, boot, started_ns, started_ms)",
                    (run.process, run.name, run.lane, run.pid, run.version, run.boot, run.started_ns, run.started_ms),
                )
            )
        return self._run_id

    def _word(self, text: str) -> int | None:
        """Return the id of a text; None for none at all, which takes no room."""
        return self._id("word(text)", (text,)) if text else None

    def _id(self, table: str, key: tuple[Any, ...]) -> int:
        known = self._ids.setdefault(table, {})
        found = known.get(key)
        if found is None:
            found = self._find(table, key) or self._insert(table, key)
            if len(known) >= _CACHED:
                known.clear()
            known[key] = found
        return found

    def _find(self, table: str, key: tuple[Any, ...]) -> int | None:
        name, columns = table.rstrip(")").split("(")
        condition = " AND ".join(f"{column.strip()} IS ?" for column in columns.split(","))
        row = self._connection.execute(f"SELECT id FROM {name} WHERE {condition}", key).fetchone()
        return row[0] if row else None

    def _insert(self, table: str, values: tuple[Any, ...]) -> int:
        marks = ",".join("?" * len(values))
        rowid = self._connection.execute(f"INSERT INTO {table} VALUES ({marks})", values).lastrowid
        assert rowid is not None
        return rowid

    def _wall_ms(self, at_ns: int) -> int:
        return at_ns // NS_PER_MS + self._offset_ms


def finish(path: Path) -> None:
    """Make a plain file of a journal file that nobody writes any more, and whose writer did not; no other file.

    Raises:
        sqlite3.Error: it is damaged, or the disk does not do as asked; it stays as it is.
    """
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
            connection.execute("PRAGMA journal_mode=DELETE")


def _box(finding: FindingRecord) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = finding.box
    return float(x1), float(y1), float(x2), float(y2)


def _json(data: dict[str, Any]) -> str:
    return msgspec.json.encode(data, enc_hook=str).decode()
