"""Where the belt is.  Pure: counts of a 32-bit encoder, and monotonic time as an argument.

Between two readings nobody sees the belt, but it is never faster than its highest speed: a reading bounds where the
belt can be later, and so says when a part can first reach a place.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from edge.core.counter import delta, wrap

_NS_PER_S = 1_000_000_000
_PER_COUNT = 1000 * _NS_PER_S
"""Speeds are kept in thousandths of a count per second, rounded up."""


class Track:
    """The belt's position as far as it is known.

    Args:
        counts_per_s_max: of the encoder at the belt's highest speed, above 0.
        backlash: counts by which the belt may stand back without any part having passed the eye twice.

    Attributes:
        high: the furthest count latched at a part since the last ``restart`` or ``fenced``, or None.
    """

    def __init__(self, counts_per_s_max: float, backlash: int = 0) -> None:
        self._speed = ceil(1000 * counts_per_s_max)
        self._backlash = backlash
        self.restart()

    def restart(self) -> None:
        """Begin a new epoch: earlier counts mean nothing any more."""
        self.fenced()
        self._count: int | None = None
        self._at_ns = 0

    def fenced(self) -> None:
        """Forget the high-water count: a new session's fence keeps away what the belt has carried so far."""
        self.high: int | None = None

    def seen(self, count: int, at_ns: int) -> None:
        """Take a count that hardware latched at ``at_ns``."""
        if self.high is None or delta(count, self.high) > 0:
            self.high = count
        self.bounded(count, at_ns)

    def bounded(self, count: int, at_ns: int) -> None:
        """Take a count that the belt had not exceeded at ``at_ns``; no part need have been there.

        The newest of all readings holds.  One that travelled for a while is dated too late, and the bound is then too
        low by what the belt did meanwhile.
        """
        if self._count is None or at_ns >= self._at_ns:
            self._count, self._at_ns = count, at_ns

    def at_most(self, now_ns: int) -> int | None:
        """Return the count that the belt has reached at most, or None before the first reading."""
        if self._count is None:
            return None
        return wrap(self._count - (-self._speed * max(0, now_ns - self._at_ns) // _PER_COUNT))

    def earliest_ns(self, count: int) -> int | None:
        """Return the first time at which ``at_most`` has come to ``count``, or None before the first reading."""
        if self._count is None:
            return None
        ahead = delta(count, self._count)
        return self._at_ns if ahead <= 0 else self._at_ns + (ahead - 1) * _PER_COUNT // self._speed + 1

    def is_behind(self, count: int) -> bool:
        """True for a part edge so far behind the furthest that the belt must have run backwards in between."""
        return self.high is not None and delta(count, self.high) < -self._backlash


class TimePosition:
    """The position of a belt that has no encoder: a constant speed, and the one monotonic clock of this host.

    Args:
        counts_per_mm: of the encoder that there would be.
        speed_mm_s: of the belt.
    """

    def __init__(self, counts_per_mm: float, speed_mm_s: float) -> None:
        # By way of their decimal digits: 10.1 is meant, not the binary fraction beside it.
        per_ns = Fraction(str(counts_per_mm)) * Fraction(str(speed_mm_s)) / _NS_PER_S
        self._counts, self._ns = per_ns.numerator, per_ns.denominator

    def count_at(self, ns: int) -> int:
        """Return the count at monotonic time ``ns``, 32 bit: whole counts since the clock's zero, exactly."""
        return wrap(ns * self._counts // self._ns)
