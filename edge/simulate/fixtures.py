"""What stands at the belt: the part eye with its counter card, and the gate."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from edge.simulate.belt import COUNTER_SPAN
from edge.simulate.plates import UNCOUNTED, Event, Kind, Ride

EYE_SEED = 1 << 32  # apart from the seeds of tags and pitches, which must not depend on how the belt runs


class PartEye:
    """The eye, blind to the direction in which a plate passes, and the card that latches each edge.

    Args:
        first_number: the card's reading at the first rising edge, 32 bit.
        jitter_counts: half width of the uniform scatter of a latched count.
        seed: of that scatter.
        count_at: the encoder's reading at a time.

    Attributes:
        covered: its output now.
    """

    def __init__(self, first_number: int, jitter_counts: int, seed: int, count_at: Callable[[int], int]) -> None:
        self.covered = False
        self._first_number = first_number
        self._jitter = jitter_counts
        self._random = random.Random(EYE_SEED + seed)
        self._count_at = count_at
        self._counted = 0
        self._under = 0  # plates under it
        self._gap = False  # while it bounces, it does not see the plate under it
        self._blocked = False

    @property
    def number(self) -> int:
        """The card's reading: the number of the latest rising edge, 32 bit."""
        return (self._first_number + self._counted - 1) % COUNTER_SPAN

    def pass_plate(self, at_ns: int, ride: Ride, covers: bool) -> Event | None:
        """Let one end of a plate pass; return the edge, if the output changes."""
        if covers is not ride.under_eye:
            ride.under_eye = covers
            self._under += 1 if covers else -1
        return self._look(at_ns, ride)

    def lift_plate(self, at_ns: int, ride: Ride) -> Event | None:
        """Let a hand take a plate away, which may lie under the eye."""
        if ride.under_eye:
            self._gap = False
        return self.pass_plate(at_ns, ride, False)

    def bounce(self, at_ns: int, ride: Ride) -> Event | None:
        """Lose sight of the plate under the eye, or find it again."""
        self._gap = not self._gap
        return self._look(at_ns, ride)

    def block(self, at_ns: int, blocked: bool) -> Event | None:
        """Cover the eye with something that is no plate, or free it."""
        self._blocked = blocked
        return self._look(at_ns, None)

    def _look(self, at_ns: int, ride: Ride | None) -> Event | None:
        covered = self._blocked or (self._under > 0 and not self._gap)
        if covered is self.covered:
            return None
        self.covered = covered
        if covered:
            self._counted += 1
            if ride and ride.number == UNCOUNTED:
                ride.number = self.number
        scatter = self._random.randint(-self._jitter, self._jitter) if self._jitter else 0
        count = (self._count_at(at_ns) + scatter) % COUNTER_SPAN
        kind = Kind.EYE_FRONT if covered else Kind.EYE_TAIL
        return Event(kind, at_ns, ride.plate if ride else None, self.number, count)


class Gate:
    """The gate: it follows its output after a delay."""

    def __init__(self, delay_ns: int) -> None:
        self._delay_ns = delay_ns
        self._is_open = self._commanded = False
        self._moves = 0
        self._coming: deque[int] = deque()  # when it will have moved

    def command(self, now_ns: int, is_open: bool) -> None:
        if is_open is not self._commanded:
            self._commanded = is_open
            self._coming.append(now_ns + self._delay_ns)

    def state(self, at_ns: int) -> tuple[bool, int]:
        """Return whether it is open, and how often it has moved; times must not go back."""
        while self._coming and self._coming[0] <= at_ns:
            self._coming.popleft()
            self._is_open = not self._is_open
            self._moves += 1
        return self._is_open, self._moves
