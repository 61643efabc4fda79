"""Joins what station, gateway and PLC know of every part, until nothing is left over.

Parts are joined by session and number.  Every part falls into a class that has a name; what no class explains is the
remainder, and must be nothing.  The books compare the cumulative counters of station, gateway and PLC with the rows.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right, insort
from collections import Counter
from dataclasses import dataclass, field
from heapq import merge
from itertools import chain
from pathlib import Path

from edge.clock import NS_PER_MS
from edge.core.counter import delta
from edge.record.journal import books, spans
from edge.record.journal.lines import GatePart, gate_parts
from edge.record.journal.pairing import Numbers, Pairing, contradiction, describe
from edge.record.journal.reader import Folder
from edge.record.journal.records import ALL, CountsRow, EventRow, Filter, PartRow, RunRow
from edge.record.journal.spans import UNDER_WAY_NS, Span, Timeline, excuse, word_of

SHOWN = 200
"""Parts of the remainder that are told one by one."""

ON_THE_BELT = 64
"""Parts that can lie between eye and gate when something ends, where the journals do not show how many did."""

COUNTED_NS = 300 * NS_PER_MS
"""Between a part's T0 and the gateway's reading of its count, at most: what is later was counted as never read."""

EDGE_MS = 60_000
"""The two records of one part, and all facts of it, lie within this."""

_MAY_BE_UNKNOWN = {"UNKNOWN", "OLD_SESSION", "DUPLICATE"}
"""Answers to verdicts on parts that the gateway has not counted."""


@dataclass
class Reconciliation:
    """What came of it.

    Attributes:
        parts: parts that either side knows.
        classes: parts by class.
        remainder: parts without an explanation, and differences in the books.
        examples: the first of them, in words.
        books: each comparison of counters, in words.
    """

    parts: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    remainder: int = 0
    examples: list[str] = field(default_factory=list)
    books: list[str] = field(default_factory=list)

    @property
    def reconciled(self) -> bool:
        """True where nothing is left over, and there was something to reconcile."""
        return self.parts > 0 and self.remainder == 0

    def unexplained(self, text: str, number: int = 1) -> None:
        """Note what no class explains."""
        self.remainder += number
        if len(self.examples) < SHOWN:
            self.examples.append(text)


def reconcile(station: Path, gateway: Path, wanted: Filter = ALL) -> Reconciliation:
    """Join a station's journal with its gateway's.

    Args:
        station, gateway: their folders.
        wanted: its times alone count: parts that were recorded outside of them are not looked at.

    Raises:
        JournalError: a folder holds no journal, or it cannot be read.
    """
    return _Joiner(Folder(station), Folder(gateway), wanted).join()


class _Joiner:
    def __init__(self, station: Folder, gateway: Folder, wanted: Filter) -> None:
        self._station, self._gateway, self._wanted = station, gateway, wanted
        self._runs: dict[str, list[RunRow]] = {"station": list(station.runs()), "gateway": list(gateway.runs())}
        self._events: dict[str, list[EventRow]] = {
            "station": list(station.events()), "gateway": list(gateway.events())
        }  # fmt: skip
        self._counts: dict[str, list[CountsRow]] = {
            "station": list(station.counts(wanted)), "gateway": list(gateway.counts(wanted))
        }  # fmt: skip
        self._line = Timeline.of(chain(*self._runs.values()))
        self._last: dict[tuple[str, int], int] = {}
        self._times: list[int] = []  # places at which parts were counted, in order
        self._ways = array("q"), array("q")  # places at which parts were counted, and met the gate
        self._belt = ON_THE_BELT
        self._numbers: dict[int, Numbers] = {}
        self._open: list[tuple[PartRow | None, GatePart | None]] = []
        self._unseen: Counter[int] = Counter()
        self._tally = books.Tally(self._line, whole=wanted == ALL)
        self._holes: Counter[int] = Counter()  # by PLC session
        self._result = Reconciliation()

    def join(self) -> Reconciliation:
        """Do it."""
        for who in self._events:
            for row in chain[EventRow | CountsRow](self._events[who], self._counts[who]):
                self._note_last(who, row.boot, row.at_ns, row.wall_ms)
        pairing = Pairing(self._plc_sessions(), _agreement(self._events["station"]))
        self._pair(pairing)
        self._excuses()
        counted = (
            bisect_right(self._times, gated) - bisect_right(self._times, at)
            for at, gated in zip(*self._ways, strict=True)
        )
        self._belt = max(counted, default=ON_THE_BELT) + 1
        stations, gates = pairing.alone()
        self._open += [(part, None) for part in stations if self._wanted.holds(part.wall_ms)]
        self._open += [(None, part) for part in gates if self._wanted.holds(part.first.wall_ms)]
        for station, gate in self._open:
            self._classify(station, gate)
        self._check_numbers()
        for text, left in self._tally.compare(
            self._counts, self._events, self._excused, self._unseen, self._holes, self._belt
        ):
            self._result.books.append(text)
            if left:
                self._result.unexplained(text, left)
        return self._result

    # -- pass over the parts ----------------------------------------------------------------------------------------

    def _pair(self, pairing: Pairing) -> None:
        parts = ((row.wall_ms, row, None) for row in self._station.parts(_widened(self._wanted)))
        gates = ((part.first.wall_ms, None, part) for part in gate_parts(self._gateway.gates(_widened(self._wanted))))
        for _, station, gate in merge(parts, gates, key=lambda item: item[0]):
            if station is not None:
                self._take_station(station)
                other = pairing.station(station)
                if other is not None:
                    self._judge(station, other)
            elif gate is not None:
                self._take_gate(gate)
                mine = pairing.gate(gate)
                if mine is not None:
                    self._judge(mine, gate)

    def _take_station(self, part: PartRow) -> None:
        last_ns = max(t for t in (part.t0_ns, part.t2_ns, part.t3_ns, part.t4_ns) if t is not None)
        self._note_last("station", part.boot, last_ns, part.wall_ms)
        self._tally.station(part)

    def _take_gate(self, part: GatePart) -> None:
        first = part.first
        last_ns = max(at_ns for _, at_ns in part.facts.values())
        self._note_last("gateway", first.boot, last_ns, first.wall_ms)
        self._tally.gate(part)
        if "counted" in part.facts or "unread" in part.facts:
            place = self._place(part)
            self._numbers.setdefault(part.plc, Numbers()).add(part.number, place)
            insort(self._times, place)

    def _note_last(self, who: str, boot: str, at_ns: int, wall_ms: int) -> None:
        started = [run.started_ns for run in self._runs[who] if run.boot == boot and run.started_ns <= at_ns]
        if started:
            key, place = (f"{who} {boot}", max(started)), self._line.at(at_ns, wall_ms)
            self._last[key] = max(place, self._last.get(key, place))

    def _judge(self, station: PartRow, gate: GatePart) -> None:
        """Drop a part of which all is known; keep any other until it is known when who was away."""
        problem = contradiction(station, gate)
        whole = "gated" in gate.facts and gate.end() and ("counted" in gate.facts)
        if not problem and whole and (not station.disposition or gate.answers):
            name = "complete" if station.session else "complete, without a session of the station"
            self._count(name)
            place = self._place(gate)
            self._ways[0].append(place)
            self._ways[1].append(place + gate.facts["gated"][1] - gate.first.at_ns)
        else:
            self._open.append((station, gate))

    # -- afterwards -------------------------------------------------------------------------------------------------

    def _excuses(self) -> None:
        line, events = self._line, self._events
        last = {who: {(k[0].split(" ", 1)[1], k[1]): v for k, v in self._last.items() if k[0].startswith(who)}
                for who in events}  # fmt: skip
        self._away = {who: spans.absences(who, line, self._runs[who], events[who], last[who]) for who in events}
        self._away["gateway"] += spans.between(
            line, events["gateway"], "session ended", "session begun", "the gateway followed no PLC session"
        )
        self._away["station"] += spans.between(
            line, events["station"], "device_lost trigger", "reconnect trigger", "the station's trigger source was away"
        )
        self._away["station"] += spans.risen(
            line, self._counts["station"], "trigger_jumps", "the station's trigger counter jumped"
        )
        self._bypass = [
            Span(line.at(e.at_ns, e.wall_ms), spans.FOREVER, "mode bypass")
            for e in events["gateway"] if e.kind == "mode" and e.data.get("mode") == "bypass"
        ]  # fmt: skip

    def _excused(self, who: str, start: int, end: int) -> str:
        return excuse(self._away[who], start, end)

    def _classify(self, station: PartRow | None, gate: GatePart | None) -> None:
        if station is not None and gate is not None:
            name = self._of_both(station, gate)
        elif station is not None:
            name = self._of_station(station)
        else:
            assert gate is not None
            name = self._of_gate(gate)
        if name:
            self._count(name)
        else:
            self._result.parts += 1
            self._result.unexplained(describe(station, gate))

    def _of_both(self, station: PartRow, gate: GatePart) -> str:
        place = self._place(gate)
        if contradiction(station, gate):
            return excuse(self._bypass, place, place)
        if station.disposition and not gate.answers and not self._excused("gateway", place, place + UNDER_WAY_NS):
            return ""
        return self._of_gateway(gate)

    def _of_station(self, part: PartRow) -> str:
        place = self._line.at(part.t0_ns, part.wall_ms)
        why = self._excused("gateway", place - COUNTED_NS, place + COUNTED_NS)
        if why:
            return f"not at the gateway: {why}"
        if part.session == 0:
            return "without a session, and never counted by the PLC"
        return "" if part.disposition in ("ACCEPTED", "EXECUTED") else self._never_counted(part)

    def _never_counted(self, part: PartRow) -> str:
        """Name a part whose number the PLC has not given, as far as the gateway's record shows; else ""."""
        plc = self._plc_sessions().get(part.session)
        numbers = self._numbers.get(plc) if plc is not None else None
        holes = [] if numbers is None else [hole for hole in numbers.holes() if hole[0] <= part.number <= hole[1]]
        return "" if holes else "never counted by the PLC"

    def _of_gate(self, part: GatePart) -> str:
        if "counted" not in part.facts and "unread" not in part.facts:
            return self._of_gateway(part)
        place = self._place(part)
        why = self._excused("station", place - COUNTED_NS, place + UNDER_WAY_NS)
        if not why:
            return ""
        name = self._of_gateway(part)
        return f"not at the station: {why}" if name else ""

    def _of_gateway(self, part: GatePart) -> str:
        """Name a part by what the gateway's record of it lacks; "" where nothing explains that."""
        place, facts = self._place(part), part.facts
        if "unread" in facts:
            return f"counted, and its count never read: {facts['unread'][0]}"
        if "counted" not in facts:
            if facts.keys() <= {"answered"} and part.answers <= _MAY_BE_UNKNOWN:
                return "answered, and not counted under that session"
            return "counted before the gateway followed the PLC" if self._is_before_record(part, place) else ""
        if not part.end():
            why = self._soon_after(place)
            return f"its end not recorded: {why}" if why else ""
        if "gated" not in facts:
            why = self._soon_after(place)
            if why:
                return f"not seen at the gate: {why}"
            self._unseen[part.plc] += 1
            return "not seen at the gate, and booked by the PLC"
        return "complete"

    def _is_before_record(self, part: GatePart, place: int) -> bool:
        """True for a part that the PLC had counted when the gateway, before ``place``, began to follow it."""
        return any(
            word_of(event) == "session begun"
            and event.data["plc"] == part.plc
            and self._line.at(event.at_ns, event.wall_ms) <= place
            and delta(event.data["last_part"], part.number) >= 0
            for event in self._events["gateway"]
        )

    def _soon_after(self, place: int) -> str:
        """Return what ended the gateway's record before the part can have met the gate, or ""."""
        index = bisect_right(self._times, place) + self._belt
        until = self._times[index] if index < len(self._times) else spans.FOREVER
        return self._excused("gateway", place, until)

    def _check_numbers(self) -> None:
        for plc, numbers in self._numbers.items():
            for first, last, start, end in numbers.holes():
                self._holes[plc] += last - first + 1
                why = self._excused("gateway", start, end)
                text = f"PLC session {plc}: parts {first} to {last} are not in the gateway's journal"
                self._result.books.append(f"{text}: {why or 'nobody knows why'}")
                if not why:
                    self._result.unexplained(text, last - first + 1)

    # -- details ----------------------------------------------------------------------------------------------------

    def _count(self, name: str) -> None:
        self._result.parts += 1
        self._result.classes[name] += 1

    def _place(self, part: GatePart) -> int:
        return self._line.at(part.first.at_ns, part.first.wall_ms)

    def _plc_sessions(self) -> dict[int, int]:
        """Return the PLC session of each station session, as either journal tells of the grant."""
        found: dict[int, int] = {}
        for event in self._events["gateway"]:
            if word_of(event) == "session granted":
                found[event.data["station"]] = event.data["plc"]
        for event in self._events["station"]:
            if event.kind == "session" and "plc_session" in event.data:
                found[event.data["session"]] = event.data["plc_session"]
        return found


def _widened(wanted: Filter) -> Filter:
    """Return a filter that also takes the records whose other side lies just within the times of ``wanted``."""
    since_ms, until_ms = wanted.since_ms, wanted.until_ms
    return Filter(None if since_ms is None else since_ms - EDGE_MS, None if until_ms is None else until_ms + EDGE_MS)


def _agreement(events: list[EventRow]) -> int:
    """Return how far two readings of one part's count may differ: half a pitch, by the station's own configuration."""
    for event in reversed(events):
        if event.kind == "started" and isinstance(line := event.data.get("config", {}).get("line"), dict):
            return int(line.get("counts_per_mm", 0) * line.get("pitch_min_mm", 0) / 2)
    return 0
