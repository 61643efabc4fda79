"""When the machine's own disk stood still: what the line then says of its journals is true, and no fault of the run."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from edge.clock import NS_PER_S, now_ns
from tests.faults.unattended.timeline import Spell

PERIOD_S = 0.25
SLOW_NS = NS_PER_S // 2  # the journal's alarm comes after a second; by then this has begun to count
TOLD_NS = 20 * NS_PER_S  # from a stall to its alert: the scrape, the rule, the look

ALERTS = frozenset({"EdgeJournalFailing", "EdgeJournalBehind"})
"""What a slow disk raises."""


class HostDisk:
    """Writes a block to a file and waits until the disk has it, four times a second, in a thread of its own.

    Args:
        folder: on the disk that is watched.

    Attributes:
        stalls: writes that took half a second or longer.
    """

    def __init__(self, folder: Path) -> None:
        self.stalls: list[Spell] = []
        self._path = folder / "host-disk"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="host-disk", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End.  A second call does nothing."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with self._path.open("wb", buffering=0) as file:
            while not self._stopping.wait(PERIOD_S):
                begun_ns = now_ns()
                file.seek(0)
                file.write(os.urandom(4096))
                os.fsync(file.fileno())
                if (ended_ns := now_ns()) - begun_ns >= SLOW_NS:
                    self.stalls.append(Spell("the disk stood still", begun_ns, ended_ns))


def explains(stalls: Sequence[Spell], alert: Spell) -> bool:
    """True where a stall, and nothing that was done to the line, is behind an alert."""
    return alert.what in ALERTS and any(
        stall.ended_ns is not None and stall.begun_ns <= alert.begun_ns <= stall.ended_ns + TOLD_NS for stall in stalls
    )
