"""The virtual clock: a heap of what is due, beside the world's own next event."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Protocol

NEVER = 1 << 62


class Physics(Protocol):
    """What moves by itself between scheduled actions."""

    due_ns: int
    """When it next has something to tell; ``NEVER`` while nothing is due."""

    scan_ns: int
    """When the PLC scans next; after what else is due then."""

    def happen(self, now_ns: int) -> None:
        """Let everything up to ``now_ns`` happen."""

    def scan(self, now_ns: int) -> None:
        """Let the PLC scan once, and set ``scan_ns``."""


class Scheduler:
    """Runs actions in order of time, those of one instant in order of scheduling.

    ``run_until`` may be called from within an action: a process that waits inside a call, for a slow device, lets the
    rest of the line go on meanwhile.

    Attributes:
        now: virtual time, ns.
    """

    __slots__ = ("_heap", "_made", "now", "physics")

    def __init__(self, start_ns: int) -> None:
        self.now = start_ns
        self.physics: Physics | None = None
        self._heap: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._made = 0

    def clock(self) -> int:
        """Return virtual time, ns."""
        return self.now

    def at(self, at_ns: int, action: Callable[[Any], None], argument: Any = None) -> None:
        """Call ``action(argument)`` at ``at_ns``, or next where that has passed."""
        self._made += 1
        heapq.heappush(self._heap, (at_ns if at_ns > self.now else self.now, self._made, action, argument))

    def after(self, delay_ns: int, action: Callable[[Any], None], argument: Any = None) -> None:
        """Call ``action(argument)`` in ``delay_ns``."""
        self.at(self.now + delay_ns, action, argument)

    def run_until(self, end_ns: int) -> None:
        """Let everything up to and including ``end_ns`` happen."""
        heap, physics, pop = self._heap, self.physics, heapq.heappop
        assert physics is not None
        while True:
            due_ns = heap[0][0] if heap else NEVER
            world_ns, scan_ns = physics.due_ns, physics.scan_ns
            if world_ns <= due_ns and world_ns <= scan_ns:
                if world_ns > end_ns:
                    break
                if world_ns > self.now:
                    self.now = world_ns
                physics.happen(self.now)
            elif due_ns <= scan_ns:
                if due_ns > end_ns:
                    break
                entry = pop(heap)
                if due_ns > self.now:
                    self.now = due_ns
                entry[2](entry[3])
            else:
                if scan_ns > end_ns:
                    break
                self.now = scan_ns
                physics.scan(scan_ns)
        if end_ns > self.now:
            self.now = end_ns
