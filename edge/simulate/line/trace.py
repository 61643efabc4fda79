"""What happened to one part, for people: kept for a few seconds, printed for the first part that went wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from edge.simulate.world import Event, Plate

_KEPT = 20_000


class Trace:
    """The last events of the line, each with the part number that it is about, or None where it is about all."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._notes: deque[tuple[int, int | None, str]] = deque(maxlen=_KEPT)
        self.history: list[str] = []

    def note(self, number: int | None, text: str) -> None:
        """Remember that something happened now."""
        self._notes.append((self._now_ns(), number, text))

    def close(self, plate: Plate, numbers: Sequence[int], event: Event, what: str) -> None:
        """Write the history of the plate that just met the gate, from one second before its first edge."""
        wanted = set(numbers)
        since = min((ns for ns, number, _ in self._notes if number in wanted), default=event.at_ns) - 1_000_000_000
        head = f"plate {plate.index} (tag {plate.tag}), numbers {list(numbers)}: {what}"
        lines = [
            f"{ns / 1e6:14.3f} ms  {text}" for ns, n, text in self._notes if n in wanted or (n is None and ns >= since)
        ]
        fell = f"{event.at_ns / 1e6:14.3f} ms  at the gate: {event.bin}, clipped {event.clipped}"
        self.history = [head, *lines, fell]
