"""How often a password may be tried.  Pure: the time is an argument."""

from __future__ import annotations

from edge.clock import NS_PER_S

FREE = 5
"""Failures that cost nothing."""

FIRST_NS = 5 * NS_PER_S
LONGEST_NS = 300 * NS_PER_S
FORGET_NS = 900 * NS_PER_S
"""After so long without a failure, all is forgotten."""

_KNOWN = 4096
"""Keys; of more, the one with the fewest failures goes, of those the oldest: many names push nobody's out."""


class Throttle:
    """Counts failures by key, such as an address or a name; each beyond ``FREE`` doubles the wait, up to a limit."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, int]] = {}  # failures, and when the last one was

    def wait_ns(self, keys: list[str], now_ns: int) -> int:
        """Return how long nobody may try under any of ``keys``; 0: now."""
        return max((self._wait_ns(key, now_ns) for key in keys), default=0)

    def failed(self, keys: list[str], now_ns: int) -> None:
        """Count a failure under each key."""
        for key in keys:
            failures, at_ns = self._failures.pop(key, (0, 0))
            self._failures[key] = (1 if now_ns - at_ns > FORGET_NS else failures + 1, now_ns)
            if len(self._failures) > _KNOWN:
                del self._failures[min(self._failures.keys() - {key}, key=lambda other: self._failures[other])]

    def succeeded(self, keys: list[str]) -> None:
        """Forget the failures under each key."""
        for key in keys:
            self._failures.pop(key, None)

    def _wait_ns(self, key: str, now_ns: int) -> int:
        failures, at_ns = self._failures.get(key, (0, 0))
        if failures < FREE:
            return 0
        wait_ns = min(FIRST_NS << min(failures - FREE, 16), LONGEST_NS)
        return max(0, at_ns + wait_ns - now_ns)
