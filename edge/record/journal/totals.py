"""Sums over a station's parts, made by SQLite in chunks: a shift has hundreds of thousands of them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from edge.clock import NS_PER_MS
from edge.core.outcome import Outcome
from edge.errors import JournalError
from edge.record.journal import files
from edge.record.journal.reader import Folder, connect, is_journal

_CHUNK = 20_000
"""Row ids a transaction: some milliseconds."""

_STEP_NS = 100_000
"""Width of the steps in which latencies are counted: 0.1 ms."""

_MINUTE_MS = 60_000

_STEP_MS = 3600 * 1000
"""Of a wall clock that is set."""

_T = TypeVar("_T")


@dataclass
class Totals:
    """Sums over parts.

    Attributes:
        outcomes, causes, rules: parts by outcome; those that did not pass by cause; rejects by the rule that fired.
        latencies: parts by T0 to T4, in steps of 0.1 ms, rounded down.
        missing: parts that the journal could not take.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    latencies: Counter[int] = field(default_factory=Counter)
    missing: int = 0

    @property
    def parts(self) -> int:
        """All parts."""
        return sum(self.outcomes.values())

    def add(self, other: Totals) -> None:
        """Add the sums of other parts."""
        self.outcomes += other.outcomes
        self.causes += other.causes
        self.rules += other.rules
        self.latencies += other.latencies
        self.missing += other.missing

    def latency_ms(self, share: float) -> float | None:
        """Return the latency that ``share`` of the parts do not exceed, to 0.1 ms, rounded up; None without parts."""
        left = share * sum(self.latencies.values())
        for step in sorted(self.latencies):
            left -= self.latencies[step]
            if left <= 0:
                return (step + 1) * _STEP_NS / NS_PER_MS
        return None


def totals(folder: Folder, since_ms: int, until_ms: int) -> Totals:
    """Return the sums over the parts recorded from ``since_ms`` and before ``until_ms``, wall-clock.

    Raises:
        JournalError: a file is damaged.
    """
    found = Totals()
    for one in _each(folder, since_ms, until_ms, _totals):
        found.add(one)
    return found


def minutes(folder: Folder, since_ms: int, until_ms: int) -> dict[int, tuple[int, int]]:
    """Return (parts, rejects) by minute since 1970, of the parts recorded between two wall-clock times.

    Raises:
        JournalError: a file is damaged.
    """
    found: dict[int, tuple[int, int]] = {}
    for one in _each(folder, since_ms, until_ms, _minutes):
        for minute, (parts, rejects) in one.items():
            before = found.get(minute, (0, 0))
            found[minute] = (before[0] + parts, before[1] + rejects)
    return found


# -- one file -------------------------------------------------------------------------------------------------------


def _totals(connection: sqlite3.Connection, since_ms: int, until_ms: int) -> Totals:
    found = Totals()
    sql = (
        "SELECT outcome, cause, rule, t4 / ?, count(*) FROM part "
        "WHERE id > ? AND id <= ? AND wall_ms >= ? AND wall_ms < ? GROUP BY 1, 2, 3, 4"
    )
    words = dict(connection.execute("SELECT id, text FROM word").fetchall())
    for low, high in _chunks(connection, since_ms, until_ms):
        rows = connection.execute(sql, (_STEP_NS, low, high, since_ms, until_ms)).fetchall()
        if any(key is not None and key not in words for row in rows for key in row[:3]):
            words = dict(connection.execute("SELECT id, text FROM word").fetchall())  # written meanwhile
        for outcome, cause, rule, step, parts in rows:
            _count(found, words[outcome], words.get(cause, ""), words.get(rule, ""), step, parts)
    found.missing += connection.execute(
        "SELECT coalesce(sum(m.rows), 0) FROM missing m JOIN word k ON k.id = m.kind "
        "WHERE k.text = 'part' AND m.wall_ms >= ? AND m.wall_ms < ?",
        (since_ms, until_ms),
    ).fetchone()[0]
    return found


def _minutes(connection: sqlite3.Connection, since_ms: int, until_ms: int) -> dict[int, tuple[int, int]]:
    parts: Counter[int] = Counter()
    rejects: Counter[int] = Counter()
    sql = (
        "SELECT wall_ms / ?, count(*), coalesce(sum(outcome = (SELECT id FROM word WHERE text = ?)), 0) FROM part "
        "WHERE id > ? AND id <= ? AND wall_ms >= ? AND wall_ms < ? GROUP BY 1"
    )
    for low, high in _chunks(connection, since_ms, until_ms):
        values = (_MINUTE_MS, Outcome.REJECT.value, low, high, since_ms, until_ms)
        for minute, counted, bad in connection.execute(sql, values).fetchall():
            parts[minute] += counted
            rejects[minute] += bad
    return {minute: (counted, rejects[minute]) for minute, counted in parts.items()}


def _count(found: Totals, outcome: str, cause: str, rule: str, step: int | None, parts: int) -> None:
    found.outcomes[outcome] += parts
    if outcome != Outcome.PASS.value:
        found.causes[cause] += parts
    if rule:
        found.rules[rule] += parts
    if step is not None:
        found.latencies[step] += parts


def _each(
    folder: Folder, since_ms: int, until_ms: int, work: Callable[[sqlite3.Connection, int, int], _T]
) -> Iterator[_T]:
    """Do ``work`` in the files of the days between two times, in turn; a file is named by the UTC day it began on.

    Raises:
        JournalError: a file is damaged.
    """
    first, last = (files.day_of(ms * NS_PER_MS) for ms in (since_ms, until_ms))
    for file in folder.files():
        if file.damaged or not first - timedelta(days=1) <= file.day <= last + timedelta(days=1):
            continue
        path = folder.path / file.name
        try:
            with closing(connect(path)) as connection:
                if not is_journal(connection):
                    continue
                done = work(connection, since_ms, until_ms)
        except sqlite3.DatabaseError as error:
            if not path.exists():
                continue  # deleted meanwhile, as retention does
            raise JournalError(
                f"{path}: cannot be read ({error}).", "run `edge journal check` on the folder."
            ) from None
        yield done


def _chunks(connection: sqlite3.Connection, since_ms: int, until_ms: int) -> Iterator[tuple[int, int]]:
    """Return the ranges (low, high] of row ids, but for those whose ends both lie before or both after what is wanted.

    Rows are in order but for steps of the wall clock: ``_STEP_MS`` of them may hide between two ends.
    """
    last = connection.execute("SELECT coalesce(max(id), 0) FROM part").fetchone()[0]
    for low in range(0, last, _CHUNK):
        high = min(low + _CHUNK, last)
        ends = connection.execute("SELECT wall_ms FROM part WHERE id IN (?, ?)", (low + 1, high)).fetchall()
        walls = [wall_ms for (wall_ms,) in ends]
        known = len(walls) == len({low + 1, high})  # else one was never written, and nothing can be said
        if known and (max(walls) < since_ms - _STEP_MS or min(walls) >= until_ms + _STEP_MS):
            continue
        yield low, high
