"""Permits that the PLC holds, from its echo until it says what became of them.  Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from edge.core.counter import delta


@dataclass
class Armed:
    """Parts with a permit that have not met the gate.  ``taken = executed + voided + len(self)``.

    Args:
        reach: counts after the eye at which a part has met the gate and the PLC has said so.

    Attributes:
        taken: permits that the PLC has armed.
        executed: parts for which it opened the gate.
        voided: permits that it withdrew, by cause.
    """

    reach: int
    taken: int = 0
    executed: int = 0
    voided: Counter[str] = field(default_factory=Counter)
    _counts: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of permits that are armed now."""
        return len(self._counts)

    def __contains__(self, number: object) -> bool:
        return number in self._counts

    def take(self, number: int, count: int) -> None:
        """Note that the PLC has armed the permit of a part counted at ``count``."""
        self.taken += 1
        self._counts[number] = count

    def execute(self, number: int) -> bool:
        """Note that the gate opened for a part.  False where it has no permit, or was heard of before."""
        if self._counts.pop(number, None) is None:
            return False
        self.executed += 1
        return True

    def void(self, number: int, cause: str) -> bool:
        """Note that the PLC withdrew a permit.  False where there was none."""
        if self._counts.pop(number, None) is None:
            return False
        self.voided[cause] += 1
        return True

    def forget(self, cause: str) -> list[int]:
        """Give up every permit: nobody will say what became of them.  Return their parts."""
        gone = list(self._counts)
        for number in gone:
            self.void(number, cause)
        return gone

    def overdue(self, belt: int) -> list[int]:
        """Return the parts that have met the gate, at the belt's reading ``belt``, and of which no word came."""
        return [number for number, count in self._counts.items() if abs(delta(belt, count)) > self.reach]
