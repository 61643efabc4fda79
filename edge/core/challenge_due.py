"""When a challenge is due, and when it counts as skipped.  Pure.

All is reckoned in hours of running: a line that stands skips nothing.  What makes a challenge due stays until one is
passed; a failed one makes the next one due at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

NS_PER_H = 3_600 * 1_000_000_000
NS_PER_MIN = 60 * 1_000_000_000

REASONS: dict[str, str] = {
    "hours": "the hours of running since the last one",
    "shift": "a shift began",
    "start": "the station was started",
    "change": "what decides was changed",
    "fault": "the station was in FAULT",
    "failed": "the last one was not passed",
    "skipped": "the last one was skipped",
}
"""Why a challenge is due."""

ECHOES = ("failed", "skipped")
"""What follows from the last one, whose own alarm stands: it is not skipped once more for these."""


@dataclass
class Due:
    """Keeps what makes a challenge due.

    Args:
        every_ns: of running, after which one is due; 0: not by hours.
        grace_ns: of running, after which one that is due counts as skipped.
        ran_ns: running time since the last one that was passed, at the start.

    Attributes:
        reasons: of ``REASONS``, in the order in which they came up.
    """

    every_ns: int
    grace_ns: int
    ran_ns: int = 0
    reasons: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tick_ns: int | None = None
        self._patience_ns: int | None = None  # running time at which it counts as skipped; None: nothing new is due
        self._by_hours_ns = self.every_ns  # running time at which it is due by the hours, again
        self._heed_hours()

    @property
    def left_ns(self) -> int | None:
        """Running time until one is due by the hours, 0 where it is; None where that is not asked."""
        if not self.every_ns:
            return None
        return 0 if "hours" in self.reasons else max(0, self._by_hours_ns - self.ran_ns)

    def tick(self, now: int, runs: bool) -> bool:
        """Let time pass; ``runs``: parts came in it.  True, once for each that came up, where it is skipped now."""
        if runs and self._tick_ns is not None:
            self.ran_ns += now - self._tick_ns
        self._tick_ns = now
        self._heed_hours()
        if self._patience_ns is None or self.ran_ns < self._patience_ns:
            return False
        self._patience_ns = None
        return True

    def stand(self, now: int) -> None:
        """Let time pass in which nothing can be skipped: one is being made."""
        self._tick_ns = now

    def happened(self, reason: str) -> None:
        """Make one due for ``reason``."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        if self._patience_ns is None and reason not in ECHOES:
            self._patience_ns = self.ran_ns + self.grace_ns

    def passed(self) -> None:
        """A challenge was passed."""
        self.ran_ns, self._patience_ns, self._by_hours_ns = 0, None, self.every_ns
        self.reasons.clear()

    def _heed_hours(self) -> None:
        if self.every_ns and self.ran_ns >= self._by_hours_ns:
            self._by_hours_ns = self.ran_ns + self.every_ns
            self.happened("hours")


def shift_began(shifts: Sequence[str], now: datetime) -> datetime | None:
    """Return when the last shift began, or None where ``shifts``, each "HH:MM", has none."""
    starts = [now.replace(hour=int(s[:2]), minute=int(s[3:]), second=0, microsecond=0) for s in shifts]
    began = [start if start <= now else start - timedelta(days=1) for start in starts]
    return max(began, default=None)
