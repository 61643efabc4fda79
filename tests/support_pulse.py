"""A gate of the pulse signal on a belt, looked at count by count."""

from __future__ import annotations

from dataclasses import dataclass

from edge.core.counter import wrap
from edge.core.pulse import GateGeometry, PulseGate

GATE, LEAD, LENGTH = 500, 10, 60
START, END = GATE - LEAD, GATE + LENGTH + LEAD
"""Of the window of a part counted at 0."""
GEOMETRY = GateGeometry(GATE, LEAD, LENGTH, on_ms=5.0, off_ms=3.0)
MS = 1_000_000


@dataclass
class Gate:
    """A gate on a belt of constant speed, sampled at every count."""

    geometry: GateGeometry = GEOMETRY
    speed: float = 1.0
    """In counts per ms."""

    def __post_init__(self) -> None:
        self.pulse = PulseGate(self.geometry)
        self.on: list[int] = []
        self.events: list[tuple[int, int, str]] = []

    def run(self, first: int, last: int) -> Gate:
        """Note at which counts from ``first`` to ``last`` the output is on, and what is told when."""
        for count in range(first, last + 1):
            told = self.pulse.advance(wrap(count), self.speed, round(count / self.speed * MS))
            self.events += [(count, number, what) for number, what in told]
            if self.pulse.on:
                self.on.append(count)
        return self

    def parts(self, *counts: int, permitted: tuple[int, ...] = ()) -> Gate:
        """Count parts, numbered from 1, and give some of them their permits."""
        for number, count in enumerate(counts, 1):
            self.pulse.part(number, wrap(count))
        for number in permitted:
            assert self.pulse.permit(number)
        return self


def span(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))
