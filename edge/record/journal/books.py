"""Compares the cumulative counters of station, gateway and PLC with the rows that the journals hold."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from edge.clock import NS_PER_MS
from edge.record.journal.lines import GatePart
from edge.record.journal.records import CountsRow, EventRow, PartRow
from edge.record.journal.spans import FOREVER, UNDER_WAY_NS, Timeline

SLACK_NS = 200 * NS_PER_MS
"""A part that closes in the turn of the loop that publishes the counters may be on either side of them."""

EDGE_NS = 5_000 * NS_PER_MS
"""How long a part may be in the window of the open gate, as far as counters are compared."""

Excused = Callable[[str, int, int], str]
Difference = tuple[str, int]


class _Times:
    """Places on the time line at which something was recorded."""

    def __init__(self) -> None:
        self._times: array[int] = array("q")
        self._is_sorted = True

    def add(self, at: int) -> None:
        self._is_sorted = self._is_sorted and (not self._times or at >= self._times[-1])
        self._times.append(at)

    def within(self, start: int, end: int) -> int:
        """Return how many lie in (start, end]."""
        if not self._is_sorted:
            self._times, self._is_sorted = array("q", sorted(self._times)), True
        return bisect_right(self._times, end) - bisect_right(self._times, start)


class Tally:
    """Counts rows as they are read, to be compared with counters afterwards.

    Args:
        line: places rows of several boots.
        whole: the journals are read from their beginning, where all counters are 0.
    """

    def __init__(self, line: Timeline, whole: bool) -> None:
        self._line, self._whole = line, whole
        self._facts: dict[str, _Times] = defaultdict(_Times)
        self._gated: dict[int, _Times] = defaultdict(_Times)
        self._opened: dict[int, _Times] = defaultdict(_Times)
        self._unheard: dict[int, _Times] = defaultdict(_Times)  # gate opened, and the PLC's echo was not heard
        self._lacking: Counter[int] = Counter()  # parts of a PLC session that nobody saw at the gate

    def station(self, part: PartRow) -> None:
        """Take a part of the station."""
        closed_ns = part.t0_ns if part.t2_ns is None else part.t2_ns
        self._facts["closed"].add(self._line.at(closed_ns, part.wall_ms))

    def gate(self, part: GatePart) -> None:
        """Take a part of the gateway."""
        places = {fact: self._at(part, at_ns) for fact, (_, at_ns) in part.facts.items()}
        for fact, at in places.items():
            self._facts[fact].add(at)
        if "gated" in places:
            self._gated[part.plc].add(places["gated"])
        elif "counted" in places or "unread" in places:
            self._lacking[part.plc] += 1
        if "executed" in places:
            self._opened[part.plc].add(places["executed"])
        elif part.facts.get("gated", ("", 0))[0] == "good":
            self._opened[part.plc].add(places["gated"])
            self._unheard[part.plc].add(places["gated"])

    def _at(self, part: GatePart, at_ns: int) -> int:
        later_ms = (at_ns - part.first.at_ns) // NS_PER_MS
        return self._line.at(at_ns, part.first.wall_ms + later_ms)

    # -- comparison -------------------------------------------------------------------------------------------------

    def compare(
        self,
        counts: dict[str, list[CountsRow]],
        events: dict[str, list[EventRow]],
        excused: Excused,
        unseen: Counter[int],
        holes: Counter[int],
        belt: int,
    ) -> Iterator[Difference]:
        """Return each comparison in words, and by how much it fails.

        Args:
            counts: rows of counters, by process.
            events: of both processes.
            excused: says why a process may lack rows of a stretch of time, or "".
            unseen: by PLC session, parts that must have met the gate without being seen there.
            holes: by PLC session, parts that the gateway's journal lacks altogether.
            belt: parts between eye and gate, at most.
        """
        for rows in _runs(counts["station"]):
            yield from self._station_run(rows, events["station"], excused)
        for rows in _runs(counts["gateway"]):
            yield from self._gateway_run(rows, events["gateway"])
        told = [row for row in counts["gateway"] if row.data.get("plc")]
        for plc in dict.fromkeys(row.data["plc"]["session"] for row in told):
            rows = [row for row in told if row.data["plc"]["session"] == plc]
            away = belt if excused("gateway", self._place(rows[0]) + 1, self._place(rows[-1]) - 1) else 0
            yield from self._plc_session(plc, rows, unseen[plc], self._lacking[plc] + holes[plc] + away)

    def _station_run(self, rows: list[CountsRow], events: list[EventRow], excused: Excused) -> Iterator[Difference]:
        first, last = self._bounds(rows)
        start, end = self._place(first), self._place(last)
        said = sum(last.data["outcomes"].values()) - sum(first.data.get("outcomes", {}).values())
        missing = _missing(events, last, ("part",))
        if _stopped(events, last):
            least = most = self._facts["closed"].within(start, self._run_end(rows, events))
        elif why := excused("station", end - UNDER_WAY_NS, end):
            yield f"station: {said} parts closed; not compared: {why}", 0
            return
        else:
            least = self._facts["closed"].within(start + SLACK_NS, end - SLACK_NS)
            most = self._facts["closed"].within(start - SLACK_NS, end + SLACK_NS)
        yield _compared("station: parts closed", said, least, most + missing)

    def _gateway_run(self, rows: list[CountsRow], events: list[EventRow]) -> Iterator[Difference]:
        first, last = self._bounds(rows)
        start, end = self._place(first), self._place(last)
        missing = _missing(events, last, ("fact",))
        unread = self._facts["unread"].within(start, end)
        for name, key, fact, more in (
            ("parts counted by the PLC", "plc_triggers", "counted", unread),
            ("parts ended without a permit", "rejected", "ended", unread),
            ("permits executed", "executed", "executed", 0),
            ("permits voided", "voided", "voided", 0),
        ):
            said = _total(last.data.get(key)) - _total(first.data.get(key))
            found = self._facts[fact].within(start, end) + more
            yield _compared(f"gateway: {name}", said, found, found + missing)

    def _plc_session(self, plc: int, rows: list[CountsRow], unseen: int, slack: int) -> Iterator[Difference]:
        start, end = self._place(rows[0]), self._place(rows[-1])
        before, after = rows[0].data["plc"], rows[-1].data["plc"]
        met = after["met_gate"] - before["met_gate"]
        seen = self._gated[plc].within(start, end)
        least = seen + min(unseen, slack) * self._whole  # else some of those lie outside of the stretch
        yield _compared(f"PLC session {plc}: parts at the gate", met, least, seen + slack)
        opened = after["opened"] - before["opened"]
        known = self._opened[plc].within(start, end)
        early = self._unheard[plc].within(start, start + EDGE_NS)
        late = self._unheard[plc].within(end, end + EDGE_NS)
        yield _compared(f"PLC session {plc}: gate opened", opened, known - early, known + late + slack)

    # -- details ----------------------------------------------------------------------------------------------------

    def _bounds(self, rows: list[CountsRow]) -> tuple[CountsRow, CountsRow]:
        """Return between which counters is compared: from 0 at the start of the run, where its rows are all read."""
        if not self._whole:
            return rows[0], rows[-1]
        last = rows[-1]
        started_ms = last.wall_ms - (last.at_ns - last.run_ns) // NS_PER_MS
        return CountsRow(boot=last.boot, wall_ms=started_ms, at_ns=last.run_ns, run_ns=last.run_ns, data={}), last

    def _run_end(self, rows: list[CountsRow], events: list[EventRow]) -> int:
        last = rows[-1]
        later = [e for e in events if e.kind == "stopped" and (e.boot, e.run_ns) == (last.boot, last.run_ns)]
        return max((self._line.at(e.at_ns, e.wall_ms) for e in later), default=FOREVER)

    def _place(self, row: CountsRow) -> int:
        return self._line.at(row.at_ns, row.wall_ms)


def _runs(rows: list[CountsRow]) -> Iterator[list[CountsRow]]:
    for _, group in groupby(rows, key=lambda row: (row.boot, row.run_ns)):
        yield list(group)


def _stopped(events: list[EventRow], row: CountsRow) -> bool:
    return any(e.kind == "stopped" and (e.boot, e.run_ns) == (row.boot, row.run_ns) for e in events)


def _missing(events: list[EventRow], row: CountsRow, kinds: tuple[str, ...]) -> int:
    """Return how many rows of some kinds the run that ``row`` belongs to could not record."""
    mine = (e for e in events if e.kind == "missing" and (e.boot, e.run_ns) == (row.boot, row.run_ns))
    return sum(e.data["rows"] for e in mine if e.data["kind"] in kinds)


def _total(value: Any) -> int:
    return sum(value.values()) if isinstance(value, dict) else int(value or 0)


def _compared(name: str, said: int, least: int, most: int) -> Difference:
    on_record = f"{least}" if least == most else f"{least} to {most}"
    return f"{name}: {said} by the counters, {on_record} on record", max(0, least - said, said - most)
