"""Run rows of the matrix, one after the other, on one line."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge.errors import EdgeError
from tests.faults.matrix.books import read
from tests.faults.matrix.rig import Rig, running
from tests.faults.matrix.row import SETTLED_PARTS, Books, Fate, Row, Seen

WARM_PARTS = 10
"""Honoured permits before the first fault, and after each: what shows that the line does its work."""

START_S = 40.0
REJECTED_S = 6.0
"""How long no defective part may come: three of ten are defective."""

SIGNS_S = 4.0
"""How long a sign may take to go once parts pass again; statuses are published once a second."""


@dataclass(frozen=True)
class Run:
    """What came of rows.

    Attributes:
        seen: by row; those behind one after which the line did not come back are missing.
        books: of the whole line.
    """

    seen: dict[str, Seen]
    books: Books


def run(rows: Sequence[Row], sabotage: Mapping[str, str] | None = None) -> Run:
    """Run ``rows``, all of one setup, with a protection taken out where ``sabotage`` says so."""
    assert len({row.setup for row in rows}) == 1, "rows of one run share their setup"
    seen: dict[str, Seen] = {}
    with running(rows[0].setup, sabotage) as rig:
        rig.console.begin("start")
        rig.eye.wait_honoured(WARM_PARTS, START_S)
        rig.console.end("start")
        for row in rows:
            seen[row.name] = _run_row(rig, row)
            if math.isinf(seen[row.name].back_s):
                break  # nothing can be told from a line that does not come back
        return Run(seen, read(rig))


def _run_row(rig: Rig, row: Row) -> Seen:
    seen = Seen(row, rig.eye.last_part() + 1 - SETTLED_PARTS)
    rig.watch.begin()
    marked = row.fate is Fate.REJECTED  # the plant marks its own faults, and the rest must harm nobody else
    if marked:
        rig.console.begin(row.name)
    seen.hurt = rig.eye.last_part()
    try:
        row.inflict(rig)
    except (AssertionError, EdgeError) as error:
        seen.problem = str(error)
    seen.healed, before = rig.eye.last_part(), rig.eye.honoured()
    if not seen.problem:
        seen.back_s = _wait_permits(rig, before, 1, 2 * row.back_s)
    if marked:
        rig.console.end(row.name)  # what becomes of parts until then is the row's own judgement
    if seen.back_s < math.inf:
        _wait_permits(rig, before, WARM_PARTS, START_S)
        _wait_rejected(rig)
        seen.standing = _clear(rig, row)
    seen.last = rig.eye.last_part() - SETTLED_PARTS  # what is on the belt is the next row's
    seen.lines, seen.risen = rig.watch.seen()
    return seen


def _wait_permits(rig: Rig, before: int, more: int, timeout_s: float) -> float:
    """Wait until ``more`` permits than ``before`` were honoured; return how many seconds it took, or infinity."""
    begin = time.monotonic()
    while time.monotonic() < begin + timeout_s:
        honoured = rig.eye.honoured()
        before = min(before, honoured)  # a PLC that restarted counts from zero
        if honoured >= before + more:
            return time.monotonic() - begin
        time.sleep(0.02)
    return math.inf


def _wait_rejected(rig: Rig) -> None:
    """Wait until one more part was rejected by its own rule, and lies in the row's stretch: the judge tells."""
    end = time.monotonic() + REJECTED_S
    before = rig.console.state()["defective_rejected_by_rule"]
    while rig.console.state()["defective_rejected_by_rule"] == before and time.monotonic() < end:
        time.sleep(0.1)
    rig.eye.wait_parts(3)


def _clear(rig: Rig, row: Row) -> tuple[str, ...]:
    """Reset what stands until somebody resets it; return the signs that will not go."""
    rig.watch.wait_shown(row.shows, SIGNS_S)
    rig.command("gateway", "reset")
    return rig.watch.wait_gone(row.shows, SIGNS_S)


def measured(result: Run) -> dict[str, float]:
    """Return, by row, the seconds from the end of its fault to the first honoured permit."""
    return {name: round(seen.back_s, 1) for name, seen in result.seen.items() if not math.isinf(seen.back_s)}
