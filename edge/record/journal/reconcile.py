"""Joins what station, gateway and PLC know of every part, until nothing is left over.

Parts are joined by session and number.  Every part falls into a class that has a name; what no class explains is the
remainder, and must be nothing.  The books compare the cumulative counters of station, gateway and PLC with the rows.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right, insort
from collections import Counter
from dataclasses import dataclass, field, replace
from heapq import merge
from itertools import chain
from pathlib import Path

from edge.clock import NS_PER_MS
from edge.core.counter import delta
from edge.record.journal import books
from edge.record.journal.lines import GatePart, gate_parts
from edge.record.journal.lives import Lives, rests_in_pass
from edge.record.journal.pairing import Numbers, Pairing, agreement, contradiction, describe, in_itself, without_plc
from edge.record.journal.reader import Folder
from edge.record.journal.records import ALL, CountsRow, EventRow, Filter, PartRow
from edge.record.journal.spans import FOREVER, UNDER_WAY_NS, word_of

SHOWN = 200
"""Parts of the remainder that are told one by one."""

ON_THE_BELT = 64
"""Parts that can lie between eye and gate when something ends, where the journals do not show how many did."""

COUNTED_NS = 300 * NS_PER_MS
"""Between a part's T0 and the gateway's reading of its count, at most: what is later was counted as never read."""

EDGE_MS = 60_000
"""The two records of one part, and all facts of it, lie within this."""

ANSWER_NS = 100 * NS_PER_MS
"""From the gateway's answer to the station's record of the part, at most."""

_ACCEPTED = {"ACCEPTED", "EXECUTED"}
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
    folders = Folder(station), Folder(gateway)
    return _Joiner(*folders, _since_both_begin(folders, wanted)).join()


class _Joiner:
    def __init__(self, station: Folder, gateway: Folder, wanted: Filter) -> None:
        self._station, self._gateway, self._wanted = station, gateway, wanted
        self._events: dict[str, list[EventRow]] = {
            "station": list(station.events()), "gateway": list(gateway.events())
        }  # fmt: skip
        self._counts: dict[str, list[CountsRow]] = {
            "station": list(station.counts(wanted)), "gateway": list(gateway.counts(wanted))
        }  # fmt: skip
        self._lives = Lives({"station": station.runs(), "gateway": gateway.runs()}, self._events)
        self._line = self._lives.line
        self._told: dict[int, Numbers] = {}  # by session of the station
        self._times: list[int] = []  # places at which parts were counted, in order
        self._ways = array("q"), array("q")  # places at which parts were counted, and met the gate
        self._belt = ON_THE_BELT
        self._rests_in_pass = rests_in_pass(self._events["gateway"])
        self._told_parts: set[tuple[str, tuple[str, int] | None]] = set()  # which runs did
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
                self._lives.note(who, row.boot, row.at_ns, row.wall_ms)
        away = without_plc(self._events["gateway"])
        pairing = Pairing(self._plc_sessions(), agreement(self._events["station"]), away)
        self._pair(pairing)
        self._lives.settle(self._events, self._counts["station"])
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
        self._check_counts()
        for text, left in self._tally.compare(
            self._counts, self._events, self._lives.excused, self._unseen, self._holes, self._belt
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
                if self._take_station(station):
                    other = pairing.station(station)
                    if other is not None:
                        self._judge(station, other)
            elif gate is not None:
                self._take_gate(gate)
                mine = pairing.gate(gate)
                if mine is not None:
                    self._judge(mine, gate)

    def _take_station(self, part: PartRow) -> bool:
        """Take a part of the station into account.  False where that has told it before."""
        last_ns = max(t for t in (part.t0_ns, part.t2_ns, part.t3_ns, part.t4_ns) if t is not None)
        self._told_parts.add(("station", self._lives.note("station", part.boot, last_ns, part.wall_ms)))
        if _was_accepted(part):
            self._lives.witness("gateway", self._answered_at(part))
        self._tally.station(part)
        if not part.session:
            return True
        told = self._told.setdefault(part.session, Numbers())
        if part.number in told:
            if self._wanted.holds(part.wall_ms):
                self._result.parts += 1
                self._result.unexplained(f"the station told part {part.number} of session {part.session} again")
            return False
        told.add(part.number, 0)
        return True

    def _take_gate(self, part: GatePart) -> None:
        first = part.first
        last_ns = max(at_ns for _, at_ns in part.facts.values())
        self._told_parts.add(("gateway", self._lives.note("gateway", first.boot, last_ns, first.wall_ms)))
        if "answered" in part.facts and part.stations != {0}:
            self._lives.witness("station", self._place(part, "answered"))
        self._tally.gate(part)
        if "counted" in part.facts or "unread" in part.facts:
            place = self._place(part)
            self._numbers.setdefault(part.plc, Numbers()).add(part.number, place)
            insort(self._times, place)

    def _judge(self, station: PartRow, gate: GatePart) -> None:
        """Drop a part of which all is known; keep any other until it is known when who was away."""
        problem = contradiction(station, gate)
        whole = "gated" in gate.facts and gate.end() and ("counted" in gate.facts) and not self._lacks_permit(gate)
        if not problem and whole and (not station.disposition or gate.answers):
            self._count(_complete(gate) if station.session else "complete, without a session of the station")
            self._ways[0].append(self._place(gate))
            self._ways[1].append(self._place(gate, "gated"))
        else:
            self._open.append((station, gate))

    # -- afterwards -------------------------------------------------------------------------------------------------

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
        if contradiction(station, gate):
            until = self._place(gate, "permit" if "permit" in gate.facts else "")
            why = self._lives.bypassed(self._place(gate), until)
            return why if not contradiction(station, gate, bypass=True) else ""
        if station.disposition and not gate.answers and not self._lacks_answer(station):
            return ""
        return self._of_gateway(gate)

    def _lacks_answer(self, part: PartRow) -> str:
        """Return why the gateway's journal may lack the answer that the station heard, or ""."""
        if _was_accepted(part):  # the gateway was there, and had told its journal
            at = self._answered_at(part)
            return self._lives.lost("gateway", at, at)
        place = self._line.at(part.t0_ns, part.wall_ms)
        return self._lives.excused("gateway", place - COUNTED_NS, place + UNDER_WAY_NS)

    def _of_station(self, part: PartRow) -> str:
        place = self._line.at(part.t0_ns, part.wall_ms)
        why = (
            self._lacks_answer(part)
            if _was_accepted(part)
            else self._lives.excused("gateway", place - COUNTED_NS, place + COUNTED_NS)
        )
        if why:
            return f"not at the gateway: {why}"
        if part.session == 0:
            return "without a session, and never counted by the PLC"
        return "" if _was_accepted(part) else self._never_counted(part)

    def _never_counted(self, part: PartRow) -> str:
        """Name a part whose number the PLC has not given, as far as the gateway's record shows; else ""."""
        plc = self._plc_sessions().get(part.session)
        numbers = self._numbers.get(plc) if plc is not None else None
        holes = [] if numbers is None else [hole for hole in numbers.holes() if hole[0] <= part.number <= hole[1]]
        counted = numbers is not None and part.number in numbers
        return "" if holes or counted else "never counted by the PLC"

    def _of_gate(self, part: GatePart) -> str:
        if "counted" not in part.facts and "unread" not in part.facts:
            return self._of_gateway(part)
        why = "" if in_itself(part) else self._lacks_record(part)
        if not why:
            return ""
        name = self._of_gateway(part)
        return f"not at the station: {why}" if name else ""

    def _lacks_record(self, part: GatePart) -> str:
        """Return why the station's journal may lack a part, or ""."""
        if part.answers & _ACCEPTED:  # the station had decided it, and told its journal as soon as it heard the answer
            at = self._place(part, "answered")
            return self._lives.lost("station", at, at + ANSWER_NS)
        place = self._place(part)
        return self._lives.excused("station", place - COUNTED_NS, place + UNDER_WAY_NS)

    def _of_gateway(self, part: GatePart) -> str:
        """Name a part by what the gateway's record of it lacks; "" where nothing explains that."""
        place, facts = self._place(part), part.facts
        if "unread" in facts:
            return f"counted, and its count never read: {facts['unread'][0]}"
        if "counted" not in facts:
            if facts.keys() <= {"answered"} and part.answers <= _MAY_BE_UNKNOWN:
                return "answered, and not counted under that session"
            return "counted before the gateway followed the PLC" if self._is_before_record(part, place) else ""
        if self._lacks_permit(part):
            fact = "executed" if "executed" in facts else "gated"
            why = self._lives.excused("gateway", place, self._place(part, fact)) or self._lives.bypassed(place, place)
            return f"its permit not recorded: {why}" if why else ""
        if not part.end():
            why = self._soon_after(place)
            return f"its end not recorded: {why}" if why else ""
        if "gated" not in facts:
            why = self._soon_after(place)
            if why:
                return f"not seen at the gate: {why}"
            self._unseen[part.plc] += 1
            return "not seen at the gate, and booked by the PLC"
        return _complete(part)

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
        until = self._times[index] if index < len(self._times) else FOREVER
        return self._lives.excused("gateway", place, until)

    def _check_numbers(self) -> None:
        for plc, numbers in self._numbers.items():
            for first, last, start, end in numbers.holes():
                self._holes[plc] += last - first + 1
                why = self._lives.excused("gateway", start, end)
                text = f"PLC session {plc}: parts {first} to {last} are not in the gateway's journal"
                self._result.books.append(f"{text}: {why or 'nobody knows why'}")
                if not why:
                    self._result.unexplained(text, last - first + 1)

    def _check_counts(self) -> None:
        """A run that had parts and stopped in order has told its counters, if only at its end."""
        if self._wanted != ALL:
            return
        for who, events in self._events.items():
            told = {(row.boot, row.run_ns) for row in self._counts[who]}
            told |= {(e.boot, e.run_ns) for e in events if e.kind == "missing" and e.data["kind"] == "counts"}
            for event in events:
                run = event.boot, event.run_ns
                if event.kind == "stopped" and (who, run) in self._told_parts and run not in told:
                    self._result.unexplained(
                        f"a run of the {who} has parts and stopped in order, and its counters are missing"
                    )

    # -- details ----------------------------------------------------------------------------------------------------

    def _count(self, name: str) -> None:
        self._result.parts += 1
        self._result.classes[name] += 1

    def _lacks_permit(self, part: GatePart) -> bool:
        return part.opened and "permit" not in part.facts and not self._rests_in_pass

    def _place(self, part: GatePart, fact: str = "") -> int:
        """Return when the gateway first learnt of a part, or when it learnt a ``fact`` of it."""
        first = part.first
        at_ns = part.facts[fact][1] if fact else first.at_ns
        return self._line.at(at_ns, first.wall_ms + (at_ns - first.at_ns) // NS_PER_MS)

    def _answered_at(self, part: PartRow) -> int:
        at_ns = part.t0_ns if part.t4_ns is None else part.t4_ns
        return self._line.at(at_ns, part.wall_ms + (at_ns - part.t0_ns) // NS_PER_MS)

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


def _complete(gate: GatePart) -> str:
    """Name a part of which all is known."""
    return "complete, the gate closed on it" if gate.closed_on else "complete"


def _was_accepted(part: PartRow) -> bool:
    return part.disposition in _ACCEPTED


def _since_both_begin(folders: tuple[Folder, Folder], wanted: Filter) -> Filter:
    """Return ``wanted`` without what retention has taken of either journal: a run is older than its first row."""
    begins = [folder.begins() for folder in folders]
    if all(first_ms - started_ms <= EDGE_MS for first_ms, started_ms in begins):
        return wanted
    since_ms = max(first_ms for first_ms, _ in begins) + EDGE_MS
    return replace(wanted, since_ms=max(since_ms, wanted.since_ms or 0))


def _widened(wanted: Filter) -> Filter:
    """Return a filter that also takes the records whose other side lies just within the times of ``wanted``."""
    since_ms, until_ms = wanted.since_ms, wanted.until_ms
    return Filter(None if since_ms is None else since_ms - EDGE_MS, None if until_ms is None else until_ms + EDGE_MS)
