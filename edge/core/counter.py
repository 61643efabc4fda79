"""Arithmetic on hardware counters that wrap at 32 bits."""

from __future__ import annotations

_SPAN = 1 << 32
_HALF = 1 << 31


def wrap(value: int) -> int:
    """Return ``value`` as an unsigned 32-bit counter reading."""
    return value % _SPAN


def delta(later: int, earlier: int) -> int:
    """Return the signed distance from ``earlier`` to ``later``, in counts.

    Both are 32-bit readings.  The result lies in [-2**31, 2**31): right as long as the true distance is shorter than
    half the range, which at 10 counts per mm is 214 km of belt.
    """
    return (later - earlier + _HALF) % _SPAN - _HALF
