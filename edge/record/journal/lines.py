"""One line a part: what its station and its gateway recorded of it, T0 to T6 side by side."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import msgspec

from edge.clock import NS_PER_MS
from edge.core.counter import wrap
from edge.errors import JournalError
from edge.record.journal.reader import Folder
from edge.record.journal.records import Filter, Finding, GateRow, PartRow

_CHUNK = 400  # parts that are looked up in the gateway's journal at once
_OPEN = 4096  # parts of a gateway of which more may still be read: far more than fit on a belt
_UNREAD_MOST = 100_000  # parts of one fact `unread` that are told apart
NEAR_MS = 600_000
"""The two records of one part are this close by the wall clocks of their hosts, which are kept by NTP or so."""

ENDS = ("ended", "executed", "voided", "unread")


class Line(msgspec.Struct, kw_only=True):
    """A part.  Empty texts and None: not known, or not recorded by whose journal was given.

    ``t0_ns`` to ``t6_ns`` are monotonic ns of boot ``boot``; ``latency_ms`` is T0 to T4.  ``end`` is what the gateway's
    register made of the part, or what became of its permit.
    """

    wall_ms: int
    boot: str
    number: int
    count: int | None = None
    session: int = 0
    station: str = ""
    lane: int | None = None
    outcome: str = ""
    cause: str = ""
    rule: str = ""
    disposition: str = ""
    permit: str = ""
    end: str = ""
    gate: str = ""
    sensor: str = ""
    t0_ns: int | None = None
    t1_ns: int | None = None
    t2_ns: int | None = None
    t3_ns: int | None = None
    t4_ns: int | None = None
    t5_ns: int | None = None
    t6_ns: int | None = None
    latency_ms: float | None = None
    plc: int = 0
    gateway: int = 0
    epoch: int | None = None
    recipe: str = ""
    model: str = ""
    engine: str = ""
    precision: str = ""
    version: str = ""
    tag: str = ""
    findings: list[Finding] = []


class GatePart(msgspec.Struct):
    """All that a gateway learnt of one part, under whatever sessions: (detail, monotonic ns) by fact.

    ``answers``: every disposition with which a verdict on it was answered.  ``again``: any other fact that was told
    twice, as it was told later.
    """

    first: GateRow
    plc: int
    number: int
    count: int | None
    stations: set[int]
    facts: dict[str, tuple[str, int]]
    answers: set[str]
    again: list[str]

    @classmethod
    def of(cls, row: GateRow) -> GatePart:
        """Begin with one row."""
        part = cls(row, row.plc, row.number, None, set(), {}, set(), [])
        part.add(row)
        return part

    def add(self, row: GateRow) -> None:
        """Add what was learnt under other sessions; of a fact that was learnt twice, the first counts."""
        self.stations.add(row.station)
        if "counted" in row.facts and self.count is None:
            self.count = row.count
        for fact, told in row.facts.items():
            if self.facts.setdefault(fact, told) is not told and fact != "answered":
                self.again.append(f"{fact} {told[0]}".strip())
            if fact == "answered":
                self.answers.add(told[0])

    def end(self) -> str:
        """Return how the part ended, in a word."""
        for fact in ENDS:
            if fact in self.facts:
                return self.facts[fact][0] or fact
        return ""

    @property
    def opened(self) -> bool:
        """True where the gate let the part pass."""
        return "executed" in self.facts or self.facts.get("gated", ("", 0))[0] == "good"

    @property
    def closed_on(self) -> bool:
        """True where the gate opened for the part, and closed before that was through: belt or encoder stood still."""
        return "executed" in self.facts and self.facts.get("gated", ("", 0))[0] == "rejected"

    def at_ns(self, fact: str) -> int | None:
        """Return when a fact was learnt, or None."""
        told = self.facts.get(fact)
        return told[1] if told is not None else None


def gate_parts(rows: Iterable[GateRow]) -> Iterator[GatePart]:
    """Bring together what was learnt of each part.  A part that is counted again is another one.

    Facts of one part lie within seconds of each other, so that only the latest parts are kept in memory.
    """
    parts: dict[tuple[str, int, int], GatePart] = {}
    for row in chain.from_iterable(map(_unfold, rows)):
        key = (row.boot, row.plc, row.number)
        part = parts.get(key)
        if part is not None and not ("counted" in row.facts and "counted" in part.facts):
            part.add(row)
            continue
        if part is not None:
            yield parts.pop(key)
        parts[key] = GatePart.of(row)
        while len(parts) > _OPEN:
            yield parts.pop(next(iter(parts)))
    yield from parts.values()


def _unfold(row: GateRow) -> Iterator[GateRow]:
    """Tell the parts of a fact ``unread`` apart; any other row is returned as it is."""
    if "unread" not in row.facts:
        yield row
        return
    for number in range(row.number - min(row.count or 0, _UNREAD_MOST) + 1, row.number + 1):
        yield msgspec.structs.replace(row, number=wrap(number), count=None)


def lines(folders: list[Folder], wanted: Filter) -> Iterator[Line]:
    """Return the parts of the journals in ``folders``, in the order in which they were recorded.

    With a station's folder and its gateway's, each line has both; with a gateway's alone, what the gateway knows.

    Raises:
        JournalError: a folder holds no journal, or what is asked for only a station records.
    """
    gateways = [folder for folder in folders if folder.process() == "gateway"]
    stations = [folder for folder in folders if folder not in gateways]
    if stations:
        each = [_joined(folder.parts(wanted), gateways) for folder in stations]
        return each[0] if len(each) == 1 else heapq.merge(*each, key=lambda line: line.wall_ms)
    if any((wanted.outcome, wanted.cause, wanted.recipe)):
        raise JournalError("A gateway's journal has no outcomes, causes or recipes.", "give the station's folder too.")
    parts = (part for folder in gateways for part in gate_parts(folder.gates(wanted)))
    return (_gate_line(part) for part in parts if wanted.session is None or wanted.session in part.stations)


def _gate_line(part: GatePart) -> Line:
    first = part.first
    line = Line(wall_ms=first.wall_ms, boot=first.boot, number=part.number, session=first.station)
    _add_gateway(line, part)
    line.t4_ns = part.at_ns("answered")
    return line


def _joined(parts: Iterator[PartRow], gateways: list[Folder]) -> Iterator[Line]:
    while chunk := list(islice(parts, _CHUNK)):
        found = _gateways_word(chunk, gateways)
        for part in chunk:
            line = _station_line(part)
            for other in found.get(part.number, ()):
                if _belongs(part, other):
                    _add_gateway(line, other)
                    break
            yield line


def _gateways_word(chunk: list[PartRow], gateways: list[Folder]) -> dict[int, list[GatePart]]:
    """Return what the gateways know of parts with the numbers of ``chunk``, by number."""
    low, high = min(part.wall_ms for part in chunk), max(part.wall_ms for part in chunk)
    near = Filter(since_ms=low - NEAR_MS, until_ms=high + NEAR_MS)
    found: dict[int, list[GatePart]] = {}
    for folder in gateways:
        rows = sorted(folder.gates_of([part.number for part in chunk], near), key=lambda row: row.at_ns)
        for part in gate_parts(rows):
            found.setdefault(part.number, []).append(part)
    return found


def _belongs(part: PartRow, other: GatePart) -> bool:
    """True if both records are of one part: by the session, or, without one, by the count that both read."""
    if part.session:
        return part.session in other.stations
    return other.count is not None and other.count == part.count


def _station_line(part: PartRow) -> Line:
    values: dict[str, Any] = {name: getattr(part, name) for name in PartRow.__struct_fields__}
    line = Line(**values)
    if part.t4_ns is not None:
        line.latency_ms = round((part.t4_ns - part.t0_ns) / NS_PER_MS, 3)
    return line


def _add_gateway(line: Line, part: GatePart) -> None:
    told = {fact: detail or fact for fact, (detail, _) in part.facts.items()}
    line.plc, line.gateway, line.epoch = part.plc, part.first.gateway, part.first.epoch
    line.count = part.count if line.count is None else line.count
    line.disposition = line.disposition or told.get("answered", "")
    line.permit = "failed" if told.get("permit") == "failed" else "written" if "permit" in told else ""
    line.end, line.gate = part.end(), told.get("gated", "")
    line.sensor = "confirmed" if "confirmed" in told else told.get("contradicted", "")
    if part.first.boot == line.boot:  # else these are on another host's clock
        line.t5_ns, line.t6_ns = part.at_ns("armed"), part.at_ns("gated")
