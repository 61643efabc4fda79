"""Where a belt is, by a 32-bit encoder count, and what lies behind whom.  Pure."""

from __future__ import annotations

from edge.core.counter import delta, wrap
from edge.core.session import Geometry


class Belt:
    """The belt's last reading and the furthest that it has come.

    Attributes:
        reading: the last one, 0 before the first.
        went_back: the belt stands behind the furthest that it has come by more than the backlash.
    """

    def __init__(self, geometry: Geometry) -> None:
        self._g = geometry
        self.restart()

    def restart(self) -> None:
        """Forget every reading: a new epoch, or a new observer."""
        self.reading = 0
        self.went_back = False
        self._furthest: int | None = None

    def moved(self, count: int) -> bool:
        """Take a reading.  Return True where the belt has just begun to be behind its furthest."""
        self.reading = count
        if self._furthest is None or delta(count, self._furthest) > 0:
            self._furthest = count
        before, self.went_back = self.went_back, self.is_behind(count)
        return self.went_back and not before

    def is_behind(self, count: int) -> bool:
        """True for a place that the belt had passed before: by more than the backlash behind its furthest."""
        return self._furthest is not None and delta(count, self._furthest) < -self._g.backlash

    def is_far(self, count: int) -> bool:
        """True for a place at which no part can be that is about to be counted."""
        return self._furthest is not None and abs(delta(count, self.reading)) > self._g.gate + self._g.pitch

    def fence(self, count: int) -> int:
        """Return the fence of a session granted at ``count``: trigger-to-gate and one pitch ahead of the furthest."""
        furthest = count
        if self._furthest is not None and delta(self._furthest, count) > 0:
            furthest = self._furthest
        return wrap(furthest + self._g.gate + self._g.pitch)

    def agree(self, a: int, b: int) -> bool:
        """True where two readings can be of one part."""
        return abs(delta(a, b)) <= self._g.match

    def past_commit(self, count: int, count_now: int) -> bool:
        """True where a part counted at ``count`` is beyond the gateway's commit point."""
        return delta(count_now, wrap(count + self._g.commit)) > 0

    def past_gate(self, count: int, count_now: int) -> bool:
        """True where a part counted at ``count`` has met the gate."""
        return delta(count_now, wrap(count + self._g.gate)) > 0

    def before_fence(self, count: int, fence: int) -> bool:
        """True where a part counted at ``count`` meets the gate before ``fence``."""
        return delta(wrap(count + self._g.gate), fence) < 0
