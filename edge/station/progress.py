"""What must get on in a station for it to be alive, and for how long each may take.  Pure.

The signal loop itself is not in the list: it is what looks, so where it stands still nobody feeds the watchdog.
A stopped belt is no standstill: the threads at camera and eye turn without frames and edges, and an inspection that
nothing was given to has nothing to do.  Nor is a camera that is gone: its thread goes on trying to open it.  Files are
not in it either: a disk that stands still costs records, and a restart would cost parts as well.
"""

from __future__ import annotations

from edge.capture.events import CAMERA, TRIGGER
from edge.capture.thread import LONGEST_PAUSE_S, STOP_S
from edge.clock import NS_PER_MS, NS_PER_S
from edge.config import LimitsConfig

INSPECTION = "inspection"

_OPENING_S = 2.0  # that a device may take to open, says `Device.open`
DEVICE_NS = int((LONGEST_PAUSE_S + _OPENING_S + STOP_S) * NS_PER_S)
"""A thread at a device takes a step each tenth of a second; one that tries to open it again may pause, open and close
in between."""

BEYOND_HANG_NS = 2 * NS_PER_S
"""How much longer an inspection may take than ``limits.hang_ms``.  By then the station has ended itself, unless what
hangs is not an inspection: frames went in, none comes out, and none is being looked at."""


def patience_ns(limits: LimitsConfig) -> dict[str, int]:
    """Return, by name, how long what has something to do may take for a step."""
    inspection_ns = int(limits.hang_ms * NS_PER_MS) + BEYOND_HANG_NS
    return {CAMERA: DEVICE_NS, TRIGGER: DEVICE_NS, INSPECTION: inspection_ns}
