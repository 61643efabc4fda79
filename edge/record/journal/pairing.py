"""Finds the two records of one part, the station's and the gateway's, while both are read in order."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from edge.core.counter import delta
from edge.record.journal.lines import ENDS, GatePart
from edge.record.journal.records import EventRow, PartRow
from edge.record.journal.spans import word_of

_HALF = 1 << 31
_LAST = (1 << 32) - 1
_ONE_MS = 30_000
"""Without a session, records are of one part that lie this close: a restarted PLC gives the same numbers again."""

_SAYS = {"reject": "REJECT", "no_decision": "NO_DECISION"}
"""What the station must have said where the gateway says that it did."""


@dataclass
class Pairing:
    """Records that wait for the other side's.

    Attributes:
        plc_of: the PLC session under which each station session was granted.
        agree: how far two readings of one part's count may differ, in counts.
        unread_ms: when the gateway followed no PLC session: the gateway tells at the end what was counted meanwhile.
    """

    plc_of: dict[int, int]
    agree: int
    unread_ms: list[tuple[int, int]] = field(default_factory=list)
    _stations: dict[int, list[PartRow]] = field(default_factory=dict)
    _gates: dict[int, list[GatePart]] = field(default_factory=dict)

    def station(self, part: PartRow) -> GatePart | None:
        """Return the gateway's record of a part that the station recorded, or let it wait for that."""
        fit = [other for other in self._gates.get(part.number, []) if self._are_one(part, other)]
        if not fit:
            self._stations.setdefault(part.number, []).append(part)
            return None
        other = min(fit, key=lambda other: abs(other.first.wall_ms - part.wall_ms))
        _take(self._gates, part.number, other)
        return other

    def gate(self, part: GatePart) -> PartRow | None:
        """Return the station's record of a part that the gateway recorded, or let it wait for that."""
        fit = [other for other in self._stations.get(part.number, []) if self._are_one(other, part)]
        if not fit:
            self._gates.setdefault(part.number, []).append(part)
            return None
        other = min(fit, key=lambda other: abs(other.wall_ms - part.first.wall_ms))
        _take(self._stations, part.number, other)
        return other

    def alone(self) -> tuple[Iterator[PartRow], Iterator[GatePart]]:
        """Return the records that found no other: the station's, and the gateway's."""
        return (
            (part for parts in self._stations.values() for part in parts),
            (part for parts in self._gates.values() for part in parts),
        )

    def _are_one(self, station: PartRow, gate: GatePart) -> bool:
        if station.session and (
            station.session in gate.stations or self.plc_of.get(station.session, gate.plc + 1) == gate.plc
        ):
            return True
        if not self._are_close(station, gate):
            return False
        if station.count is None or gate.count is None:  # a lost trigger, or a count that was never read
            return station.session == 0 or "unread" in gate.facts
        return abs(delta(station.count, gate.count)) <= self.agree

    def _are_close(self, station: PartRow, gate: GatePart) -> bool:
        if abs(station.wall_ms - gate.first.wall_ms) <= _ONE_MS:
            return True
        return "unread" in gate.facts and any(
            since - _ONE_MS <= min(station.wall_ms, gate.first.wall_ms)
            and max(station.wall_ms, gate.first.wall_ms) <= until + _ONE_MS
            for since, until in self.unread_ms
        )


def _take(waiting: dict[int, list[PartRow]] | dict[int, list[GatePart]], number: int, one: PartRow | GatePart) -> None:
    left = [other for other in waiting[number] if other is not one]
    if left:
        waiting[number] = left  # type: ignore[assignment]
    else:
        del waiting[number]


class Numbers:
    """The numbers of one PLC session that are on record, as stretches without a hole."""

    def __init__(self) -> None:
        self._stretches: list[list[int]] = []  # first, last, place of the last, place of the first

    def add(self, number: int, at: int) -> None:
        """Note a number that was counted at the place ``at`` on the time line."""
        stretches = self._stretches
        if stretches and number == stretches[-1][1] + 1:
            stretches[-1][1:3] = number, at
            return
        index = bisect_left(stretches, [number + 1])
        before = stretches[index - 1] if index else None
        if before is not None and number <= before[1]:
            return
        if before is not None and number == before[1] + 1:
            before[1:3] = number, at
        else:
            insort(stretches, [number, number, at, at])
        self._close(index)

    def _close(self, index: int) -> None:
        """Join the stretches around ``index`` that have come to touch."""
        stretches = self._stretches
        for i in range(min(index + 2, len(stretches)) - 1, max(0, index - 1), -1):
            if stretches[i][0] <= stretches[i - 1][1] + 1:
                stretches[i - 1][1:3] = stretches[i][1:3]
                del stretches[i]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last, _, _ in self._stretches)

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        index = bisect_left(self._stretches, [number + 1])
        return index > 0 and number <= self._stretches[index - 1][1]

    def holes(self) -> Iterator[tuple[int, int, int, int]]:
        """Return first and last number of each hole, and the places of the parts before and after it.

        Where the counter wrapped around, the numbers in between are no hole, and those before and after 0 may be one.
        """
        for before, after in pairwise(self._stretches):
            if after[0] - before[1] < _HALF:
                yield before[1] + 1, after[0] - 1, before[2], after[3]
                continue
            newest, oldest = self._stretches[-1], self._stretches[0]
            if newest[1] < _LAST:
                yield newest[1] + 1, _LAST, newest[2], oldest[3]
            if oldest[0] > 0:
                yield 0, oldest[0] - 1, newest[2], oldest[3]


def in_itself(gate: GatePart) -> str:
    """Return what a gateway's record of one part says that cannot be true, or ""."""
    if gate.again:
        return f"the gateway told again: {', '.join(gate.again)}"
    ends = [fact for fact in ENDS if fact in gate.facts]
    if len(ends) > 1:
        return f"the gateway ended it as {' and as '.join(ends)}"
    return ""


def contradiction(station: PartRow, gate: GatePart, bypass: bool = False) -> str:
    """Return what the two records of one part say that cannot both be true, or "".  In mode ``bypass`` all pass."""
    facts = gate.facts
    if problem := in_itself(gate):
        return problem
    if not bypass and (gate.opened or facts.keys() & {"permit", "armed"}) and station.outcome != "PASS":
        return f"it was permitted, and the station said {station.outcome}"
    said = _SAYS.get(facts["ended"][0]) if "ended" in facts else None
    if said is not None and said != station.outcome:
        return f"the gateway took it for {said}, and the station said {station.outcome}"
    if station.disposition and gate.answers and station.disposition not in gate.answers:
        return f"the gateway answered {'/'.join(sorted(gate.answers))}, and the station heard {station.disposition}"
    return ""


def describe(station: PartRow | None, gate: GatePart | None) -> str:
    """Return what is known of a part, in words."""
    words = []
    if station is not None:
        words.append(
            f"part {station.number} of session {station.session}: {station.outcome} ({station.cause}), answered "
            f"{station.disposition or 'nothing'}"
        )
    if gate is not None:
        facts = ", ".join(f"{fact} {detail}".strip() for fact, (detail, _) in gate.facts.items())
        words.append(f"part {gate.number} of PLC session {gate.plc}: {facts}")
    if station is not None and gate is not None:
        words.append(contradiction(station, gate))
    elif gate is not None and (problem := in_itself(gate)):
        words.append(problem)
    if gate is not None and gate.opened and "permit" not in gate.facts:
        words.append("the gate opened for it without a permit")
    if gate is None:
        words.append("the gateway's journal has nothing of it")
    elif station is None:
        words.append("the station's journal has nothing of it")
    return "; ".join(filter(None, words))


def without_plc(events: list[EventRow]) -> list[tuple[int, int]]:
    """Return when the gateway followed no PLC session, wall-clock ms, by its events in order."""
    found, since = [], None
    for event in events:
        if word_of(event) == "session ended":
            since = event.wall_ms if since is None else since
        elif word_of(event) == "session begun":
            if since is not None:
                found.append((since, event.wall_ms))
            since = None
    return found


def agreement(events: list[EventRow]) -> int:
    """Return how far two readings of one part's count may differ: half a pitch, by the station's own configuration."""
    for event in reversed(events):
        if event.kind == "started" and isinstance(line := event.data.get("config", {}).get("line"), dict):
            return int(line.get("counts_per_mm", 0) * line.get("pitch_min_mm", 0) / 2)
    return 0
