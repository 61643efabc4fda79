"""A station that can be made to stand still, for tests.  Usage: python watched.py run CONFIG [...]

The file ``still`` beside the configuration says what stands still from its next step on: "camera" (its driver does not
return), "inspection" (frames go in and none comes out), "loop" (the signal thread itself).
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge.capture.plant import PlantCamera
from edge.clock import NS_PER_S
from edge.core.pool import Lease
from edge.station import progress
from edge.station.inspection import InspectThread
from edge.station.loop import Station
from tests.faults.matrix.protections import put

PATIENCE_NS = 2 * NS_PER_S


def stands_still(what: str) -> bool:
    """Return whether the test wants it to."""
    file = Path(sys.argv[2]).parent / "still"
    return file.exists() and file.read_text() == what


def hang_where(kind: type, method: str, what: str) -> None:
    """Let a method of a class not return once ``what`` is to stand still."""
    normal = getattr(kind, method)

    def hanging(self: Any, *arguments: Any) -> Any:
        if stands_still(what):
            threading.Event().wait()
        return normal(self, *arguments)

    put(kind, method, hanging)


def lose_frames() -> None:
    """Let frames that are submitted vanish: no inspection hangs, and none is done."""
    submit = InspectThread.submit

    def losing(self: InspectThread, number: int, lease: Lease, *rest: Any) -> None:
        if not stands_still("inspection"):
            submit(self, number, lease, *rest)

    put(InspectThread, "submit", losing)


if __name__ == "__main__":
    progress.DEVICE_NS = PATIENCE_NS  # else each test would wait for ten seconds
    progress.BEYOND_HANG_NS = 0
    hang_where(PlantCamera, "_grab", "camera")
    hang_where(PlantCamera, "open", "camera")
    hang_where(Station, "work", "loop")
    lose_frames()
    from edge.cli import main

    main()
