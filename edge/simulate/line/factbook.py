"""What the gateway told the journal of parts, against what its register counted: each part once, with one end."""

from __future__ import annotations

from collections import Counter

from edge.core.counter import delta
from edge.core.register import Register
from edge.record.journal.rows import Fact, Row

ENDS = ("ended", "executed", "voided")


class FactBook:
    """Follows the facts of every part, over the lives of all gateways.

    Args:
        problems: counts what does not fit, in words.
    """

    def __init__(self, problems: Counter[str]) -> None:
        self._problems = problems
        self._open: dict[int, int] = {}  # parts without an end -> session of the PLC that counted them
        self._last: tuple[int, int] | None = None  # session of the PLC, and the number that was told last
        self._told: Counter[tuple[str, str]] = Counter()  # of the living gateway

    def put(self, row: Row) -> None:
        """Take a row for the journal."""
        if not isinstance(row, Fact):
            return
        number, fact = row.number, row.fact
        self._told[fact, row.detail] += row.count if fact == "unread" else 1
        if fact == "counted":
            self._follows(row, 1)
            if number in self._open:
                self._problems["a part was told of twice"] += 1
            self._open[number] = row.plc
        elif fact == "unread":
            self._follows(row, row.count)
        elif fact in ENDS and self._open.pop(number, None) != row.plc:
            self._problems["an end was told of a part that had not begun, or had ended"] += 1

    def _follows(self, row: Fact, parts: int) -> None:
        """No number between two that were told of may be left out."""
        before, self._last = self._last, (row.plc, row.number)
        if before is not None and before[0] == row.plc and delta(row.number, before[1]) != parts:
            self._problems["the journal's parts do not follow each other"] += 1

    def gateway_ended(self, register: Register) -> None:
        """The gateway is gone: compare what it told with what its register counted.  What was open stays so."""
        told, counts, armed = self._told, register.counts, register.armed
        unread = Counter({detail: n for (fact, detail), n in told.items() if fact == "unread"})
        rejected = unread + Counter({detail: n for (fact, detail), n in told.items() if fact == "ended"})
        voided = Counter({detail: n for (fact, detail), n in told.items() if fact == "voided"})
        agree = (
            told["counted", ""] + unread.total() == counts.plc_triggers,
            rejected == +counts.rejected,
            told["executed", ""] == armed.executed,
            voided == +armed.voided,
            len(self._open) == register.pending + len(armed),
        )
        if not all(agree):
            self._problems["the journal's facts and the register's counters differ"] += 1
        self._told.clear()
        self._open.clear()
        self._last = None
