"""What an evidence folder may hold.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

from edge.core.outcome import Outcome

GOES_FIRST = (Outcome.PASS.value, Outcome.NO_DECISION.value, Outcome.REJECT.value)
"""Whose oldest pictures go first."""

BLOCK = 4096
"""A file takes whole blocks of the disk."""

DAY_MS = 86_400_000

ROOM_BYTES = 1 << 20
"""For the next pictures, beside what must stay free."""

CLOCK_SET_MS = 1_704_067_200_000
"""2024-01-01 UTC.  What is dated before was written by a clock that nobody had set, and its age says nothing."""


@dataclass(frozen=True)
class Quota:
    """The bounds of a folder.

    Attributes:
        keep_bytes: most that the pictures may take.
        free_bytes: least that the disk must have left.
        keep_days: oldest picture.
    """

    keep_bytes: int
    free_bytes: int
    keep_days: int

    def excess(self, held: int, coming: int) -> int:
        """Return by how many bytes the folder would be too large."""
        return held + coming - self.keep_bytes

    def shortage(self, free: int, coming: int) -> int:
        """Return by how many bytes the disk would have too little left."""
        return self.free_bytes + coming - free

    def oldest_ms(self, now_ms: int) -> int:
        """Return the wall-clock ms before which pictures have had their time."""
        return now_ms - self.keep_days * DAY_MS


def may_go(outcome: str, for_others: bool) -> tuple[str, ...]:
    """Return the outcomes whose pictures may go for one of ``outcome``, in that order.

    A picture never costs one that ranks higher; and for the sake of others on the disk no reject goes.
    """
    ranked = GOES_FIRST[: GOES_FIRST.index(outcome) + 1]
    return tuple(one for one in ranked if not (for_others and one == Outcome.REJECT.value))


def on_disk(size: int) -> int:
    """Return how many bytes a file of ``size`` takes."""
    return -(-size // BLOCK) * BLOCK
