"""The frames that the signal thread holds, and their slots."""

from __future__ import annotations

from edge.core.part import FrameInfo, Part
from edge.core.pool import FramePool, Lease, Purpose
from edge.station.interfaces import Pictures, Tape


class Frames:
    """Frames that wait for their trigger, and frames under inspection.

    Every lease that comes in here leaves once, to the pool, the tape or evidence.

    Args:
        pool: where the slots are.
        tape: asked whether it keeps a frame that is done with, or None.
        pictures: asked after it, where the part is known, or None.
    """

    def __init__(self, pool: FramePool, tape: Tape | None, pictures: Pictures | None = None) -> None:
        self._pool, self._tape, self._pictures = pool, tape, pictures
        self._waiting: dict[FrameInfo, Lease | str] = {}  # their slot, or why the pixels are lost
        self._inspecting: dict[Lease, Part] = {}
        self._inspected = 0

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

    @property
    def inspection_mark(self) -> int | None:
        """How many frames have come back from the inspection; None while it has none."""
        return self._inspected if self._inspecting else None

    def inspected(self, lease: Lease) -> Part | None:
        """Return the part for which the frame in ``lease`` was inspected; whoever asks must give the slot back."""
        self._inspected += 1
        return self._inspecting.pop(lease, None)

    def give_back(self, held: Lease | str, part: Part | None = None) -> None:
        """End the use of a slot, if there is one: the tape may take it over, or evidence, else it is free.

        Args:
            held: the slot.
            part: whose frame it holds, once it has its end; None where nobody knows.
        """
        if isinstance(held, str):
            return
        pictures = None if part is None else self._pictures
        if self._tape is not None and self._tape.keep(held):
            if pictures is not None and part is not None:
                pictures.missed(part)
        elif pictures is None or part is None or not pictures.keep(held, part):
            self._pool.release(held)

    def discard(self, info: FrameInfo) -> None:
        """Give back a frame that waited."""
        self.give_back(self._waiting.pop(info))

    def discard_all(self) -> None:
        """Give back all frames that wait."""
        for info in list(self._waiting):
            self.discard(info)
