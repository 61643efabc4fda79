"""What surrounds the PLC's program: its parameters, and the input and output images of one scan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class PlcSettings:
    """What the commissioning engineer entered.

    Attributes:
        counts_per_mm: k.
        gate_mm: eye to gate, d.
        lead_mm: a, how far ahead of a part's front, and behind its tail, its gate window reaches.
        v_max_mm_s: highest belt speed.
        length_max_mm, pitch_min_mm: a part that is longer, or closer to a neighbour, is not permittable.
        response_ms, scan_ms, output_ms, margin_ms: terms of the commit point.
        watchdog_ms: a heartbeat unchanged this long ends the gateway's session.
        eye_scatter_mm: of the latched position; narrows the tolerance on a permit's count.
        backlash_mm: play of the drive; a belt that stops may rock back this far, and an encoder reads this much too
            much.  Less than ``lead_mm``, so that parts stay within their windows.
        confirm_mm: gate to a sensor behind it on the good path; 0 means that there is none.
        brake_mm_s2: the hardest that the belt can brake; a count that slows down harder has lost the belt.  0 watches
            nothing.
        fail_safe: 1 reject, 2 stop_line.
        pulse: the gateway times the gate by a coil that means PASS; there are no permits.
    """

    counts_per_mm: int = 10
    gate_mm: float = 500.0
    lead_mm: float = 5.0
    v_max_mm_s: float = 1000.0
    length_max_mm: float = 70.0
    pitch_min_mm: float = 80.0
    response_ms: float = 10.0
    scan_ms: float = 10.0
    output_ms: float = 2.0
    margin_ms: float = 5.0
    watchdog_ms: float = 150.0
    eye_scatter_mm: float = 2.0
    backlash_mm: float = 2.0
    brake_mm_s2: float = 0.0
    confirm_mm: float = 0.0
    fail_safe: int = 1
    pulse: bool = False

    def counts(self, length_mm: float) -> int:
        """Return a length in counts."""
        return round(length_mm * self.counts_per_mm)

    def travel_counts(self, time_ms: float) -> int:
        """Return the counts that pass in a time at the highest speed, rounded up."""
        return math.ceil(round(self.counts_per_mm * self.v_max_mm_s * time_ms / 1000, 6))

    @property
    def still_ms(self) -> float:
        """How long the count may stand while the belt runs: beyond half the smallest pitch parts are mistaken."""
        return self.pitch_min_mm / 2 / self.v_max_mm_s * 1000

    @property
    def commit_counts(self) -> int:
        """Last count after a part's edge at which its permit is still taken."""
        delay_ms = self.response_ms + self.scan_ms + self.output_ms + self.margin_ms
        return self.counts(self.gate_mm) - self.counts(self.lead_mm) - self.travel_counts(delay_ms)

    @property
    def tolerance_counts(self) -> int:
        """Largest difference between a permit's count and the program's own, either way."""
        return self.counts(self.pitch_min_mm / 2) - self.counts(self.eye_scatter_mm)


@dataclass(frozen=True)
class Edge:
    """One edge of the part eye as the counter card latched it; a front edge (``rising``) has a new number."""

    rising: bool
    number: int
    count: int


@dataclass
class Inputs:
    """The input image of one scan.

    Attributes:
        count, number, epoch: encoder and eye counter now.
        edges: of the eye, since the last scan.
        belt_moving: the belt's relay.
        reset: the operator's button.
        bin_full, air_low: sensors of reject bin and compressed air.
        eye_covered: the eye now.
        confirms: counts latched since the last scan by the sensor behind the gate, as a part's tail passed it.
    """

    count: int
    number: int
    epoch: int = 1
    edges: Sequence[Edge] = ()
    belt_moving: bool = True
    reset: bool = False
    bin_full: bool = False
    air_low: bool = False
    eye_covered: bool = False
    confirms: Sequence[int] = ()


class Outputs(NamedTuple):
    """The output image of one scan.  All off is the safe state: ``belt_stop`` alone keeps no part from the good bin."""

    gate_open: bool = False
    infeed_open: bool = False
    belt_stop: bool = False
