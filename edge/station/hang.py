"""What does not return: an inspection, told apart from a process that was held up as a whole, and a driver."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Protocol

from edge import flight
from edge.clock import NS_PER_MS

STALL_NS = 500 * NS_PER_MS
"""A loop that turns this late did not wait: the process was stopped, or got no processor."""


class Hangs(Protocol):
    """What can hang."""

    def hung(self, before_ns: int) -> bool:
        """True while an inspection runs that began before ``before_ns``."""


class EngineHung(RuntimeError):
    """An inspection does not return.  It cannot be cancelled, so the process must end and be started again."""


class DeviceHung(RuntimeError):
    """A driver does not return, so its thread cannot end.  The process must end, and be started again.

    Args:
        devices: their names.
        opened: what would close them.  The error keeps it: to close a driver that is in use may hang as well.
    """

    def __init__(self, devices: Sequence[str], opened: ExitStack) -> None:
        super().__init__(f"The driver of the {' and of the '.join(devices)} does not return.")
        self._opened = opened


class HangWatch:
    """Looks at the inspections with each turn of the signal loop.

    Args:
        inspect: the inspections.
        hang_ms: how long one may take.

    Attributes:
        turned_ns: when the loop last turned, monotonic.
    """

    def __init__(self, inspect: Hangs, hang_ms: float) -> None:
        self._inspect, self._hang_ms = inspect, hang_ms
        self._hang_ns = int(hang_ms * NS_PER_MS)
        self.turned_ns = self._awake_ns = 0

    def turn(self, now: int) -> None:
        """Note that the loop turns.  No engine can be blamed for the time for which it did not."""
        if now - self.turned_ns > STALL_NS:
            self._awake_ns = now
        self.turned_ns = now

    def check(self, now: int) -> None:
        """Raise ``EngineHung`` where an inspection has run for too long."""
        if self._inspect.hung(now - self._hang_ns) and now - self._awake_ns > self._hang_ns:
            flight.request("an inspection does not return")
            raise EngineHung(f"An inspection has not returned for {self._hang_ms:g} ms.")
