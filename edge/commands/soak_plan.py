"""What a soak runs, and what it notes on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SETTLED_PARTS = 10_000
"""Memory is followed from here on: by then a process has allocated what it will ever need."""


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        parts: plates that enter; they keep coming whatever happens.
        rate: plates a second.
        seed: of plates and faults.
        fault_every_s: mean time from one recovery to the next fault; 0: no faults.
        keep_gb: bound of each journal.
        out: folder for what is left; None: nothing is kept.
        programs: by process, Python arguments that stand in for its program.
    """

    parts: int
    rate: float
    seed: int
    fault_every_s: float
    keep_gb: float = 0.2
    out: Path | None = None
    programs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def long(self) -> bool:
        """True where memory has the time to settle before it is followed."""
        return self.parts > 2 * SETTLED_PARTS

    @property
    def stretch(self) -> tuple[int, int]:
        """Parts between which no process is replaced, so that its memory can be followed."""
        edge = min(SETTLED_PARTS, self.parts // 5)
        return edge, self.parts - edge

    @property
    def timeout_s(self) -> float:
        """After which something must be wrong: a stopped belt may cost a third of the time."""
        return 120.0 + 1.5 * self.parts / self.rate


@dataclass(frozen=True)
class Recovery:
    """One fault: after how many ``parts`` it came, in ms how long it lasted, and how long the line took from its end
    until a plate passed that met the eye after it.  The way to the gate is part of that.
    """

    name: str
    parts: int
    lasted_ms: float
    recovered_ms: float
