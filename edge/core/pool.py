"""The frame pool: slots allocated once, leased by purpose, never lost.

A lease is the right to use one slot.  It ends once, by ``release``; a slot that is leased again has a new generation,
so that a stale lease is told apart from the present one.  Quotas keep the purposes out of each other's way: capture
can always have its reserve, whatever a stalled disk or engine holds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
Allocator = Callable[[tuple[int, ...]], Frame]

POISON = 0xA5


class Purpose(str, Enum):
    """Who holds a slot."""

    CAPTURE = "capture"
    INSPECTION = "inspection"
    EVIDENCE = "evidence"


class StaleLease(RuntimeError):
    """A lease was used or released after its end: a programming error, never a condition of the line."""


@dataclass(frozen=True)
class Lease:
    """The right to use slot ``slot`` in its ``generation``-th use."""

    slot: int
    generation: int


def plain_allocator(shape: tuple[int, ...]) -> Frame:
    """Return zeroed, page-touched memory of ``shape``, uint8."""
    memory = np.empty(shape, np.uint8)
    memory[...] = 0  # touch every page now, not in front of the first part
    return memory


class FramePool:
    """A fixed number of equal slots.

    Args:
        slots: how many.
        shape: of one frame, ``(H, W)`` for Mono8 or ``(H, W, 3)`` for BGR8 and RGB8, uint8.
        quotas: the most slots that each purpose may hold at a time.  Their sum may exceed ``slots``.
        allocate: gives the pool's one block of memory, ``(slots, *shape)``.
        poison: overwrite released slots, so that a view used after release shows.

    Thread-safe: a lock held for a few list operations.
    """

    def __init__(
        self,
        slots: int,
        shape: tuple[int, ...],
        quotas: Mapping[Purpose, int],
        allocate: Allocator = plain_allocator,
        poison: bool = False,
    ) -> None:
        if slots < 1:
            raise ValueError(f"A frame pool needs at least 1 slot, not {slots}.")
        self._memory = allocate((slots, *shape))
        self._views: list[Frame] = [self._memory[i] for i in range(slots)]
        self._free = list(range(slots))
        self._generation = [0] * slots
        self._holder: list[Purpose | None] = [None] * slots
        self._quotas = dict(quotas)
        self._held = dict.fromkeys(Purpose, 0)
        self._poison = poison
        self._lock = threading.Lock()

    @property
    def slots(self) -> int:
        """Number of slots."""
        return len(self._views)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one frame."""
        return self._views[0].shape

    def lease(self, purpose: Purpose) -> Lease | None:
        """Take a free slot, or None where none is free or the purpose's quota is used up."""
        with self._lock:
            if not self._free or self._held[purpose] >= self._quotas.get(purpose, 0):
                return None
            slot = self._free.pop()
            self._holder[slot] = purpose
            self._held[purpose] += 1
            self._generation[slot] += 1
            return Lease(slot, self._generation[slot])

    def hand_over(self, lease: Lease, purpose: Purpose) -> bool:
        """Pass a lease to another purpose.  False, and nothing changes, where that purpose's quota is used up.

        Raises:
            StaleLease: the lease has ended.
        """
        with self._lock:
            holder = self._check(lease)
            if self._held[purpose] >= self._quotas.get(purpose, 0) and purpose is not holder:
                return False
            self._held[holder] -= 1
            self._held[purpose] += 1
            self._holder[lease.slot] = purpose
            return True

    def frame(self, lease: Lease) -> Frame:
        """Return the slot's memory, shape ``shape``, uint8.  Valid until ``release``.

        Raises:
            StaleLease: the lease has ended.
        """
        with self._lock:
            self._check(lease)
        return self._views[lease.slot]

    def release(self, lease: Lease) -> None:
        """End a lease.

        Raises:
            StaleLease: it has ended before.
        """
        with self._lock:
            holder = self._check(lease)
            if self._poison:
                self._views[lease.slot].fill(POISON)
            self._held[holder] -= 1
            self._holder[lease.slot] = None
            self._free.append(lease.slot)

    def occupancy(self) -> dict[str, int]:
        """Return slots by purpose, plus ``free``."""
        with self._lock:
            return {**{p.value: n for p, n in self._held.items()}, "free": len(self._free)}

    def _check(self, lease: Lease) -> Purpose:
        holder = self._holder[lease.slot]
        if holder is None or self._generation[lease.slot] != lease.generation:
            raise StaleLease(f"Lease of slot {lease.slot}, generation {lease.generation}, has ended.")
        return holder
