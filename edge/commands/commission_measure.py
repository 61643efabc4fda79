"""What `edge commission` measures: the steps on the PLC, and the statistics.  Nothing here knows of files.

Time enters as a clock and a way to wait, so that the steps run against a simulated line as fast as it computes.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.core.counter import delta
from edge.errors import CommissionError
from edge.gateway.plc.commissioning import CYCLING, NO_FEEDBACK, REFUSED, Measured, Piece

LEAST_PIECES = LEAST_CYCLES = 20
LEAST_OF_A_KIND = 8
LEAST_RATIO = 1.2  # of the two pieces' lengths, so that no scatter mixes them up
POLL_S = 0.02
FAR_OUT = 8.0  # robust standard deviations, which a dozen samples know to a factor of 3 or so
NEAR = 0.01  # of the value: what lies nearer is never left out
MOST_LEFT_OUT = 0.1
MOST_SLOPE_ERROR = 0.01
MOST_SLIP_MM = 5.0
MOST_TIME_MS = 2000.0
UNSEEN_SHARE = 0.25  # of the range of switching times, added at either end for what so few cycles did not show


class Line(Protocol):
    """The PLC's commissioning block."""

    def measured(self) -> Measured:
        """Return what it says now."""
        ...

    def cycle_gate(self, sequence: int) -> None:
        """Ask for one cycle of the gate."""
        ...


@dataclass(frozen=True)
class Patience:
    """How the steps wait.

    Attributes:
        now_s: a monotonic clock, in seconds.
        sleep: waits that many seconds.
        piece_s: how long to wait for the next piece.
        cycle_s: how long to wait for the gate.
        progress: told in words how far a step has come.
    """

    now_s: Callable[[], float]
    sleep: Callable[[float], None]
    piece_s: float = 60.0
    cycle_s: float = 10.0
    progress: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Estimate:
    """A measured quantity.

    Attributes:
        value: the median.
        error: half the width of its 95 % interval, of what the samples' scatter says.
        scatter: standard deviation of one sample.
        samples: how many it rests on.
        left_out: how many more lay too far out.
    """

    value: float
    error: float
    scatter: float
    samples: int
    left_out: int


@dataclass(frozen=True)
class Switching:
    """How long the gate takes, from the PLC's command to the feedback, in ms; both ends allow for unseen cycles."""

    median_ms: float
    low_ms: float
    high_ms: float
    samples: int

    @property
    def scatter_ms(self) -> float:
        """From the quickest to the slowest."""
        return self.high_ms - self.low_ms


@dataclass(frozen=True)
class Distances:
    """What the pieces said: ``counts_per_mm``, and ``gate_mm`` (trigger to gate) with its counts."""

    counts_per_mm: Estimate
    gate_counts: Estimate
    gate_mm: float
    gate_error_mm: float
    eye_excess_mm: float
    discarded: int


def robust(samples: Sequence[float], what: str, least: int, quantum: float) -> Estimate:
    """Return median and scatter of ``samples``, without those that lie too far out.

    Args:
        samples: at least ``least``.
        what: names the quantity in errors.
        quantum: the resolution of one sample.

    Raises:
        CommissionError: too few, no number, or too many too far out.
    """
    if bad := [sample for sample in samples if not math.isfinite(sample)]:
        raise CommissionError(f"The {what} was measured as {bad[0]}.", "check the PLC's commissioning block.")
    if len(samples) < least:
        raise CommissionError(f"The {what} rests on {len(samples)} samples, and needs {least}.", "repeat with more.")
    middle = statistics.median(samples)
    # 1.4826: of a normal distribution, its standard deviation over the median distance from the median.
    sigma = max(1.4826 * statistics.median(abs(sample - middle) for sample in samples), quantum / math.sqrt(12))
    far = max(FAR_OUT * sigma + quantum, NEAR * abs(middle))
    kept = [sample for sample in samples if abs(sample - middle) <= far]
    left_out = len(samples) - len(kept)
    if left_out > MOST_LEFT_OUT * len(samples):
        raise CommissionError(
            f"{left_out} of {len(samples)} samples of the {what} lie far from the median of {middle:g}.",
            "lay the pieces straight and singly, see that none slides, and repeat.",
        )
    scatter = max(statistics.stdev(kept), quantum / math.sqrt(12))
    # 1.2533: of a normal distribution, the median's standard error over the mean's.
    error = 1.96 * 1.2533 * scatter / math.sqrt(len(kept))
    return Estimate(statistics.median(kept), error, scatter, len(kept), left_out)


def collect_pieces(line: Line, number: int, patience: Patience) -> tuple[list[Piece], int]:
    """Wait for ``number`` pieces to go from eye to gate; return them, and how many the PLC had to discard.

    Raises:
        CommissionError: none comes any more, or the encoder counts backwards.
        PlcError: the PLC does not do as asked.
    """
    start = latest = line.measured()
    pieces: list[Piece] = []
    heard_s = patience.now_s()
    while len(pieces) < number:
        patience.sleep(POLL_S)
        now = line.measured()
        if now.piece.number not in (0, latest.piece.number):  # 0: the program has started and seen none yet
            _refuse_backwards(now.piece)
            pieces.append(now.piece)
            heard_s = patience.now_s()
            patience.progress(f"Piece {len(pieces)} of {number}")
        elif patience.now_s() - heard_s > patience.piece_s:
            raise CommissionError(
                f"No piece came within {patience.piece_s:g} s after {len(pieces)} of {number}"
                f" ({(now.discarded - start.discarded) % 0x1_0000} were not alone between eye and gate).",
                "run the belt, and put each piece on when the one before has passed the gate.",
            )
        latest = now
    return pieces, (latest.discarded - start.discarded) % 0x1_0000


def _refuse_backwards(piece: Piece) -> None:
    if delta(piece.tail, piece.front) <= 0 or delta(piece.gate, piece.front) <= 0:
        raise CommissionError(
            f"Piece {piece.number} has its front at count {piece.front}, its tail at {piece.tail} and reaches the gate "
            f"at {piece.gate}: the count does not grow along the belt.",
            "swap the encoder's channels A and B, or check which sensor is which.",
        )


def distances(pieces: Sequence[Piece], lengths_mm: tuple[float, float], error_mm: float, discarded: int) -> Distances:
    """Return counts per mm and trigger-to-gate distance.

    Two lengths are needed because an eye sees every piece too long or too short by a constant; their difference in
    counts over their difference in mm is free of it.  The distance is the count between the two sensors' front edges.

    Args:
        pieces: of both lengths, in any order.
        lengths_mm: the two known lengths.
        error_mm: of either length.
        discarded: for the report.

    Raises:
        CommissionError: the lengths cannot be told apart, or the samples scatter too much.
    """
    short_mm, long_mm = sorted(lengths_mm)
    if not (all(map(math.isfinite, (short_mm, long_mm, error_mm))) and short_mm > 0 and error_mm >= 0):
        raise CommissionError(f"Pieces of {short_mm:g} and {long_mm:g} mm cannot be.", "give two lengths in mm.")
    if long_mm < LEAST_RATIO * short_mm:
        raise CommissionError(
            f"Pieces of {short_mm:g} and {long_mm:g} mm are too alike.", f"let one be {LEAST_RATIO:g} times the other."
        )
    shorts, longs = _two_kinds([delta(piece.tail, piece.front) for piece in pieces])
    short = robust(shorts, f"length of the {short_mm:g} mm piece in counts", LEAST_OF_A_KIND, 1.0)
    long = robust(longs, f"length of the {long_mm:g} mm piece in counts", LEAST_OF_A_KIND, 1.0)
    slope = (long.value - short.value) / (long_mm - short_mm)
    share = (math.hypot(short.error, long.error) + 1.0) / (long.value - short.value)
    share += math.sqrt(2) * error_mm / (long_mm - short_mm)
    if not share <= MOST_SLOPE_ERROR:
        raise CommissionError(
            f"Counts per mm is known to {100 * share:.1f} % only.",
            f"use pieces that differ by more than {long_mm - short_mm:g} mm, or measure them and the belt better.",
        )
    if abs(short.value / slope - short_mm) > short_mm / 2:
        raise CommissionError(
            f"The eye sees the {short_mm:g} mm piece as {short.value / slope:.1f} mm.", "check --piece and the eye."
        )
    scatter = math.hypot(short.scatter, long.scatter)
    counts_per_mm = Estimate(
        slope,
        share * slope,
        scatter / (long_mm - short_mm),
        short.samples + long.samples,
        short.left_out + long.left_out,
    )
    gate = robust([delta(p.gate, p.front) for p in pieces], "distance from trigger to gate", LEAST_PIECES, 1.0)
    if gate.scatter / slope > MOST_SLIP_MM:
        raise CommissionError(
            f"The distance from trigger to gate scatters by {gate.scatter / slope:.1f} mm (1 sigma).",
            "see that pieces do not slide, and that the sensor at the gate sees each front.",
        )
    gate_mm = gate.value / slope
    return Distances(
        counts_per_mm, gate, gate_mm, gate.error / slope + share * gate_mm, short.value / slope - short_mm, discarded
    )


def _two_kinds(lengths: Sequence[int]) -> tuple[list[int], list[int]]:
    """Split lengths where the gap between neighbours is relatively widest, with enough on either side."""
    if len(lengths) < LEAST_PIECES:
        raise CommissionError(f"{len(lengths)} pieces were measured, and {LEAST_PIECES} are needed.", "pass more.")
    ordered = sorted(lengths)
    at = max(range(LEAST_OF_A_KIND, len(ordered) - LEAST_OF_A_KIND + 1), key=lambda i: ordered[i] / ordered[i - 1])
    shorts, longs = ordered[:at], ordered[at:]
    if longs[0] < math.sqrt(LEAST_RATIO) * shorts[-1]:
        raise CommissionError(
            f"The pieces are {shorts[0]} to {longs[-1]} counts long, without a gap between two lengths.",
            f"pass at least {LEAST_OF_A_KIND} of either length, straight and singly.",
        )
    return shorts, longs


def cycle_gate(line: Line, number: int, patience: Patience) -> list[Measured]:
    """Let the PLC cycle the gate ``number`` times; return what the block said after each.

    Raises:
        CommissionError: the PLC refuses, or the gate gives no feedback.
        PlcError: the PLC does not do as asked.
    """
    cycles: list[Measured] = []
    sequence = line.measured().cycle
    for _ in range(number):
        sequence = sequence % 0xFFFF + 1  # 0 is none
        line.cycle_gate(sequence)
        asked_s = patience.now_s()
        while (now := line.measured()).cycle != sequence or now.state == CYCLING:
            if patience.now_s() - asked_s > patience.cycle_s:
                raise CommissionError(
                    f"The PLC did not end a cycle of the gate within {patience.cycle_s:g} s.",
                    "see that its program runs, and serves the command in its commissioning block.",
                )
            patience.sleep(POLL_S)
        _refuse_cycle(now)
        cycles.append(now)
        patience.progress(f"Gate cycle {len(cycles)} of {number}")
    return cycles


def _refuse_cycle(now: Measured) -> None:
    if now.state == NO_FEEDBACK:
        raise CommissionError("The gate gave no feedback.", "check air, valve, and the feedback's wiring.")
    if now.state == REFUSED:
        raise CommissionError("The PLC refuses to cycle the gate.", "stop the gateway, and clear the belt.")


def switching(samples_ms: Sequence[float], resolution_ms: float, what: str) -> Switching:
    """Return what a switching time is and how far it may go.  No cycle is left out: a gate that sticks once is a fact.

    Raises:
        CommissionError: too few, no time at all, or too much scatter.
    """
    if len(samples_ms) < LEAST_CYCLES:
        raise CommissionError(
            f"The {what} time rests on {len(samples_ms)} cycles, and needs {LEAST_CYCLES}.", "repeat with more."
        )
    for sample in samples_ms:
        if not 0 < sample <= MOST_TIME_MS:
            raise CommissionError(
                f"A {what} time of {sample:g} ms was measured.",
                f"it must lie between 0 and {MOST_TIME_MS:g}; check the feedback's polarity and wiring.",
            )
    middle, quickest, slowest = statistics.median(samples_ms), min(samples_ms), max(samples_ms)
    if slowest - quickest > max(middle / 2, 2.0 + 2 * resolution_ms):
        raise CommissionError(
            f"The {what} time scatters from {quickest:g} to {slowest:g} ms.",
            "find what sticks, or time the feedback by an input that latches; then repeat.",
        )
    unseen = UNSEEN_SHARE * (slowest - quickest) + resolution_ms
    return Switching(middle, max(0.0, quickest - unseen), slowest + unseen, len(samples_ms))
