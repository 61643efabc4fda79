"""What the capture and trigger threads tell the station, besides ``core.part.Trigger`` itself."""

from __future__ import annotations

from dataclasses import dataclass

from edge.core.part import FrameInfo, Trigger
from edge.core.pool import Lease

CAMERA, TRIGGER = "camera", "trigger"
"""What events call the two devices: the sections of the configuration that name them."""


@dataclass(frozen=True)
class FrameArrived:
    """An intact frame lies in the slot of ``lease``, held for capture.  Whoever takes the event must end the lease."""

    lease: Lease
    info: FrameInfo


@dataclass(frozen=True)
class FrameLost:
    """A frame came and its pixels are gone.  ``cause`` is ``pool_exhausted`` or ``frame_corrupt``, as in the table."""

    info: FrameInfo
    cause: str


@dataclass(frozen=True)
class FramesMissed:
    """The camera's counter jumped over ``count`` frames, posted before the frame that showed it."""

    count: int


@dataclass(frozen=True)
class EpochChanged:
    """The encoder's count started anew, posted before the first trigger of the new epoch."""

    epoch: int


@dataclass(frozen=True)
class TriggersLost:
    """The eye has named ``last`` and no edge of that number came: it, and what lies before it, was lost."""

    last: int


@dataclass(frozen=True)
class DeviceLost:
    """The device failed, or fell silent, and is being opened anew; ``text`` says why.  ``DeviceBack`` follows."""

    device: str
    text: str


@dataclass(frozen=True)
class DeviceBack:
    """The device is open again, posted before the first that it delivers.  Its counters need not go on."""

    device: str


DeviceEvent = DeviceLost | DeviceBack
CaptureEvent = FrameArrived | FrameLost | FramesMissed | DeviceEvent
TriggerEvent = Trigger | TriggersLost | EpochChanged | DeviceEvent
