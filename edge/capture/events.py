"""What the capture and trigger threads tell the station, besides ``core.part.Trigger`` itself."""

from __future__ import annotations

from dataclasses import dataclass

from edge.core.part import FrameInfo, Trigger
from edge.core.pool import Lease


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
class CaptureFault:
    """The capture thread ended on an error."""

    text: str


@dataclass(frozen=True)
class EpochChanged:
    """The encoder's count started anew, posted before the first trigger of the new epoch."""

    epoch: int


@dataclass(frozen=True)
class TriggersLost:
    """The eye has named ``last`` and no edge of that number came: it, and what lies before it, was lost."""

    last: int


@dataclass(frozen=True)
class TriggerFault:
    """The trigger thread ended on an error."""

    text: str


CaptureEvent = FrameArrived | FrameLost | FramesMissed | CaptureFault
TriggerEvent = Trigger | TriggersLost | EpochChanged | TriggerFault
