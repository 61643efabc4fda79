"""What a fault adds to the p99 of a verdict's time: blocks of parts, and how neighbours differ.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from math import sqrt
from statistics import mean, stdev
from typing import Any, TypeVar

import numpy as np

from edge.clock import NS_PER_MS
from edge.commands.bench_measure import TOO_BUSY
from edge.errors import EngineError
from edge.wire.messages import PartRecord

Condition = TypeVar("Condition", bound=Enum)

TARGET_MS = 1.0

T_95 = (
    6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812,
    1.796, 1.782, 1.771, 1.761, 1.753, 1.746, 1.740, 1.734, 1.729, 1.725,
    1.721, 1.717, 1.714, 1.711, 1.708, 1.706, 1.703, 1.701, 1.699, 1.697,
)  # fmt: skip
"""0.95 quantile of Student's t for 1 to 30 degrees of freedom; the last one serves for more, on the safe side."""

_UNSEEN = frozenset({"trigger_lost", "station_stopping"})
"""Causes of parts that had no trigger of their own, or that the end of the run cut off."""


@dataclass(frozen=True)
class Block:
    """A stretch of one condition.

    Attributes:
        p99_ms: of the time measured.
        permitted: share of its parts that the gateway accepted: 1 with a PLC that is well, 0 without a session.
    """

    condition: Enum
    parts: int
    p99_ms: float
    permitted: float


@dataclass(frozen=True)
class Effect:
    """What one fault adds to the p99, ms.

    Attributes:
        differences_ms: of each of its blocks from the mean of the healthy blocks on either side.
        upper_ms: the upper 95 % bound of their mean.
        permitted: mean share of accepted parts in its blocks.
    """

    fault: Enum
    differences_ms: list[float]
    mean_ms: float
    upper_ms: float
    permitted: float

    @property
    def holds(self) -> bool:
        """True where the bound is below the target."""
        return self.upper_ms < TARGET_MS


@dataclass(frozen=True)
class Effects:
    """The measurement.  ``healthy_p99_ms``: mean over the healthy blocks; ``span``: the time measured, in words."""

    span: str
    blocks: list[Block]
    healthy_p99_ms: float
    effects: list[Effect]

    @property
    def holds(self) -> bool:
        """True where every fault meets the target."""
        return all(effect.holds for effect in self.effects)

    def as_dict(self) -> dict[str, Any]:
        """Return the measurement as plain values."""
        return {
            "measured": self.span,
            "target_ms": TARGET_MS,
            "holds": self.holds,
            "healthy_p99_ms": self.healthy_p99_ms,
            "faults": {e.fault.value: {**asdict(e), "holds": e.holds} for e in self.effects},
            "blocks": [asdict(block) for block in self.blocks],
        }


def schedule(healthy: Condition, faults: Sequence[Condition], blocks: int) -> list[Condition]:
    """Return the conditions in order: every fault ``blocks`` times, between healthy blocks, its neighbours changing."""
    plan = [healthy]
    for turn in range(blocks):
        for at in range(len(faults)):
            plan += [faults[(at + turn) % len(faults)], healthy]
    return plan


def until_t3(record: PartRecord) -> int | None:
    """Return when a verdict was sent, monotonic ns, or was ready where there was no session to send it under."""
    return record.t2_ns if record.t3_ns is None else record.t3_ns


def until_t4(record: PartRecord) -> int | None:
    """Return when a verdict was accepted by the gateway, monotonic ns, else as ``until_t3``."""
    return until_t3(record) if record.t4_ns is None else record.t4_ns


def summarise(
    records: Sequence[PartRecord],
    plan: Sequence[Enum],
    edges_ns: Sequence[int],
    until: Callable[[PartRecord], int | None],
) -> list[Block]:
    """Return the blocks of ``plan``; block i lasts from ``edges_ns[i]`` to ``edges_ns[i + 1]``, by T0.

    Args:
        records: of all parts.
        plan, edges_ns: conditions, and when each began; one edge more.
        until: the end of the time that is measured from T0.

    Raises:
        EngineError: a block has no part.
    """
    seen = sorted((r for r in records if r.cause not in _UNSEEN), key=lambda r: r.t0_ns)
    cuts = np.searchsorted([r.t0_ns for r in seen], edges_ns).tolist()
    found = []
    for condition, first, last in zip(plan, cuts[:-1], cuts[1:], strict=True):
        block = seen[first:last]
        spans = [ended_ns - r.t0_ns for r in block if (ended_ns := until(r)) is not None]
        if not spans:
            raise EngineError(f"No part was triggered in the block {condition.value}.", TOO_BUSY)
        accepted = sum(r.disposition == "ACCEPTED" for r in block)
        p99_ms = float(np.percentile(spans, 99)) / NS_PER_MS
        found.append(Block(condition, len(block), round(p99_ms, 4), round(accepted / len(block), 3)))
    return found


def evaluate(span: str, healthy: Enum, faults: Sequence[Enum], blocks: list[Block]) -> Effects:
    """Compare each fault's block with the healthy ones on either side of it; ``span`` says what was measured."""
    effects = []
    for fault in faults:
        at = [i for i, block in enumerate(blocks) if block.condition is fault]
        more = [blocks[i].p99_ms - (blocks[i - 1].p99_ms + blocks[i + 1].p99_ms) / 2 for i in at]
        permitted = mean(blocks[i].permitted for i in at)
        upper = upper_bound(more)
        rounded = [round(value, 4) for value in more]
        effects.append(Effect(fault, rounded, round(mean(more), 4), round(upper, 4), round(permitted, 3)))
    well = mean(b.p99_ms for b in blocks if b.condition is healthy)
    return Effects(span, blocks, round(well, 4), effects)


def upper_bound(values: Sequence[float]) -> float:
    """Return the upper 95 % confidence bound of the mean of ``values``: mean + t s / sqrt(n), one-sided.

    With t the 0.95 quantile of Student's t distribution for n - 1 degrees of freedom (Student, "The probable error of a
    mean", Biometrika 6, 1908; table in NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2).

    Raises:
        ValueError: fewer than two values.
    """
    n = len(values)
    if n < 2:
        raise ValueError("A bound needs at least two values.")
    return mean(values) + T_95[min(n - 1, len(T_95)) - 1] * stdev(values) / sqrt(n)


def render(report: Effects) -> str:
    """Return the measurement as text for a terminal."""
    lines = [
        f"p99 of {report.span} without a fault: {report.healthy_p99_ms:.2f} ms",
        "",
        f"{'fault':<16} {'blocks':>6} {'accepted':>9} {'p99 more':>9} {'upper 95 %':>11}  ms, target < {TARGET_MS:g}",
    ]
    for e in report.effects:
        lines.append(
            f"{e.fault.value:<16} {len(e.differences_ms):>6} {e.permitted:>9.0%} {e.mean_ms:>9.3f} {e.upper_ms:>11.3f}"
            f"{'' if e.holds else '   misses the target'}"
        )
    return "\n".join(lines)
