"""The frames that the signal thread holds, and their slots."""

from __future__ import annotations

from edge.core.part import FrameInfo, Part
from edge.core.pool import FramePool, Lease, Purpose
from edge.station.interfaces import Tape


class Frames:
    """Frames that wait for their trigger, and frames under inspection.

    Every lease that comes in here leaves once, to the pool or to the tape.

    Args:
        pool: where the slots are.
        tape: asked whether it keeps a frame that is done with, or None.
    """

    def __init__(self, pool: FramePool, tape: Tape | None) -> None:
        self._pool, self._tape = pool, tape
        self._waiting: dict[FrameInfo, Lease | str] = {}  # their slot, or why the pixels are lost
        self._inspecting: dict[Lease, Part] = {}

    def hold(self, info: FrameInfo, held: Lease | str) -> bool:
        """Hold a frame until its part is known.  False where it came before: then it is given back."""
        if info in self._waiting:
            self.give_back(held)
            return False
        self._waiting[info] = held
        return True

    def take(self, info: FrameInfo) -> Lease | str:
        """Return the slot of a frame that waited, or why its pixels are lost; whoever takes it must give it back."""
        return self._waiting.pop(info)

    def inspect(self, lease: Lease, part: Part) -> bool:
        """Pass a slot on to the inspection of ``part``.  False, and nothing changes, where that holds too many."""
        if not self._pool.hand_over(lease, Purpose.INSPECTION):
            return False
        self._inspecting[lease] = part
        return True

    def inspected(self, lease: Lease) -> Part | None:
        """Return the part for which the frame in ``lease`` was inspected; whoever asks must give the slot back."""
        return self._inspecting.pop(lease, None)

    def give_back(self, held: Lease | str) -> None:
        """End the use of a slot, if there is one: the tape may take it over, else it is free."""
        if not isinstance(held, str) and (self._tape is None or not self._tape.keep(held)):
            self._pool.release(held)

    def discard(self, info: FrameInfo) -> None:
        """Give back a frame that waited."""
        self.give_back(self._waiting.pop(info))

    def discard_all(self) -> None:
        """Give back all frames that wait."""
        for info in list(self._waiting):
            self.discard(info)
