"""Totals of shifts, from the station's journal."""

from __future__ import annotations

import csv
import io
import time
from collections import OrderedDict
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from edge.clock import NS_PER_MS, wall_ns
from edge.config.monitor import LOCAL
from edge.core.outcome import CAUSES, Outcome
from edge.record.journal.reader import Folder
from edge.record.journal.totals import Totals, totals

SETTLED_MS = 120_000
"""After a shift's end its parts are on the disk: its totals change no more."""

_SETTLED_S = 3600.0
"""Age of the totals of a shift that is over: it may have been so by a wall clock that was ahead."""

_RUNNING_S = 5.0
"""Age of the totals of a shift that goes on."""

_KEPT = 256

_COLUMNS = ("day", "start", "end", "triggers", "pass", "reject", "no_decision", "reject_rate", "p99_ms", "missing")


class ShiftTotals:
    """Counts the parts of shifts; those that are over, once an hour.  For one thread at a time.

    Args:
        zone: of days and shifts.
        starts: when shifts begin, "HH:MM", in order.
    """

    def __init__(self, zone: tzinfo, starts: tuple[str, ...]) -> None:
        self.zone = zone
        self._starts = starts
        self._known: OrderedDict[tuple[int, int], tuple[float, Totals]] = OrderedDict()

    def bounds(self, day: date) -> list[tuple[str, str, int, int]]:
        """Return (start, end, from_ms, until_ms) of each shift that begins on ``day``.

        Each begins where the one before ends.  One that lies in the hour that summer time skips has no length.
        """
        after = [*self._starts[1:], self._starts[0]]
        told: list[tuple[str, str, int, int]] = []
        from_ms = self._ms(day, self._starts[0])
        for n, (start, end) in enumerate(zip(self._starts, after, strict=True)):
            last = n == len(self._starts) - 1
            until_ms = max(from_ms, self._ms(day + timedelta(days=last), end))
            told.append((start, end, from_ms, until_ms))
            from_ms = until_ms
        return told

    def today(self, now_ms: int) -> date:
        """Return the day on which the shift began that runs at ``now_ms``, wall-clock: after midnight, yesterday."""
        day = datetime.fromtimestamp(now_ms / 1000, self.zone).date()
        return day if now_ms >= self._ms(day, self._starts[0]) else day - timedelta(days=1)

    def of_day(self, folder: Folder, day: date) -> dict[str, Any]:
        """Return the totals of the shifts that begin on ``day``, and of all of them.

        Raises:
            JournalError: a file of the journal is damaged.
        """
        shifts, total, now_ms = [], Totals(), wall_ns() // NS_PER_MS
        for start, end, from_ms, until_ms in self.bounds(day):
            found = self._totals(folder, from_ms, until_ms)
            total.add(found)
            span = {"start": start, "end": end, "from_ms": from_ms, "until_ms": until_ms}
            shifts.append({**span, "begun": from_ms <= now_ms, **_told(found)})
        return {"day": day.isoformat(), "timezone": self.zone_name(), "shifts": shifts, "total": _told(total)}

    def zone_key(self) -> str:
        """Return the time zone's IANA name; "" where none is known.  Never an abbreviation: many mean several zones."""
        key = getattr(self.zone, "key", None)
        return "" if key in (None, LOCAL) else str(key)

    def zone_name(self) -> str:
        """Return the time zone in words: its name, else its abbreviation now."""
        return self.zone_key() or datetime.now(self.zone).tzname() or "UTC"

    def _totals(self, folder: Folder, from_ms: int, until_ms: int) -> Totals:
        now_ms = wall_ns() // NS_PER_MS
        if from_ms > now_ms:
            return Totals()
        key = from_ms, until_ms
        expires_s, found = self._known.get(key, (0.0, Totals()))
        if expires_s < time.monotonic():
            found = totals(folder, from_ms, until_ms)
            settled = now_ms > until_ms + SETTLED_MS
            self._known[key] = time.monotonic() + (_SETTLED_S if settled else _RUNNING_S), found
        self._known.move_to_end(key)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return found

    def _ms(self, day: date, time_of_day: str) -> int:
        hour, minute = map(int, time_of_day.split(":"))
        return round(datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone).timestamp() * 1000)


def as_csv(days: list[dict[str, Any]]) -> str:
    """Return the totals of several days as CSV, one row a shift (RFC 4180)."""
    causes = [name for name, cause in CAUSES.items() if cause.outcome is Outcome.NO_DECISION]
    rules = sorted({rule for day in days for shift in day["shifts"] for rule in shift["rules"]})
    text = io.StringIO()
    write = csv.writer(text).writerow
    names = [*_COLUMNS, *(f"cause: {name}" for name in causes), *(f"rule: {name}" for name in rules)]
    write(names)
    for day in days:
        for shift in day["shifts"]:
            row = {"day": day["day"], **shift}
            told = [row[name] for name in _COLUMNS]
            told += [shift["causes"].get(name, 0) for name in causes]
            write([*told, *(shift["rules"].get(name, 0) for name in rules)])
    return text.getvalue()


def _told(found: Totals) -> dict[str, Any]:
    outcomes, parts = found.outcomes, found.parts
    rejects = outcomes[Outcome.REJECT.value]
    return {
        "triggers": parts,
        **{outcome.value.lower(): outcomes[outcome.value] for outcome in Outcome},
        "reject_rate": round(rejects / parts, 5) if parts else None,
        "p99_ms": found.latency_ms(0.99),
        "missing": found.missing,
        "causes": dict(found.causes.most_common()),
        "rules": dict(found.rules.most_common()),
    }
