"""What a camera and a trigger source are, for whoever drives them.

A frame and a trigger are two events with two counters.  Neither knows the other; pairing them is the station's work.
"""

from __future__ import annotations

import queue
from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar, Literal, TypeVar

from edge.clock import now_ns
from edge.config import Color
from edge.core.counter import wrap
from edge.core.part import FrameInfo, Trigger
from edge.core.pool import Frame
from edge.errors import CameraError

_Device = TypeVar("_Device", bound="Device")

PENDING_TRIGGERS = 8
"""Software triggers that may wait for their frame.  One more is dropped, as an overtriggered camera drops it."""


def frame_shape(width: int, height: int, color: Color) -> tuple[int, ...]:
    """Return the array shape of a frame: ``(H, W)`` for Mono8, ``(H, W, 3)`` for BGR8 and RGB8."""
    return (height, width) if color == "mono8" else (height, width, 3)


class Device(ABC):
    """Something that is opened, shows that it is alive, and is closed.

    Its owner opens it once, before its thread starts, and closes it once, after that thread has ended.  In between the
    thread closes it and opens it again, whenever it fails or falls silent.
    """

    def __enter__(self: _Device) -> _Device:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def heard_ns(self) -> int:
        """When the device last showed that it is alive, monotonic.  Now, where it has no heartbeat of its own.

        Any thread may ask, with each of its turns: it must not wait or raise.
        """
        return now_ns()

    @abstractmethod
    def open(self) -> None:
        """Connect and make ready.  Does nothing where the device is open already.

        What the device has buffered is discarded: frames and edges of the time when nobody listened must not come
        after it.  It should return within 2 s: a thread that is opening its device cannot be stopped.

        Raises:
            CameraError: it cannot be reached, or delivers another size or colour than configured.
        """

    @abstractmethod
    def close(self) -> None:
        """Give everything back.  Does nothing where the device is closed already."""


class Camera(Device):
    """A source of frames.

    ``open``, ``close`` and ``grab`` come from one thread at a time, ``software_trigger`` may come from another, at any
    time.  A closed camera can be opened again; its frame counter then need not go on where it was.

    Args:
        width, height: of a frame, in pixels.
        color: pixel format of a frame.

    Attributes:
        shape: of a frame, uint8; see ``frame_shape``.
        color: pixel format of a frame.
    """

    triggered_by: ClassVar[Literal["hardware", "software"]] = "hardware"

    def __init__(self, width: int, height: int, color: Color) -> None:
        self.shape = frame_shape(width, height, color)
        self.color: Color = color

    def grab(self, into: Frame, timeout_s: float) -> FrameInfo | None:
        """Wait for the next frame and put its pixels into ``into``.

        Args:
            into: C-contiguous memory of shape ``shape``, uint8.  After a frame that is not intact, or no frame, its
                content is undefined.
            timeout_s: the longest wait, in seconds.

        Returns:
            What the camera says of the frame, or None where none came in time.

        Raises:
            CameraError: the camera is closed, or has failed so that it must be closed and opened again.
            ValueError: ``into`` is not such memory.
        """
        if into.shape != self.shape or not into.flags.c_contiguous:
            raise ValueError(f"A frame of shape {self.shape} does not go into memory of shape {into.shape}.")
        return self._grab(into, timeout_s)

    def software_trigger(self, t0_ns: int) -> None:
        """Expose one frame now, for the part whose edge came at ``t0_ns``.

        Raises:
            CameraError: this camera cannot be triggered by software.
        """
        raise CameraError(
            f"{type(self).__name__} cannot be triggered by software (T0 {t0_ns} ns).",
            "set trigger.kind to the source that is wired to this camera.",
        )

    @abstractmethod
    def _grab(self, into: Frame, timeout_s: float) -> FrameInfo | None:
        """Do the work of ``grab``, on memory of the right shape."""


class SoftwareTriggeredCamera(Camera):
    """A camera that delivers one picture of a stored or running source for each software trigger.

    Each trigger has a frame number, also one that is dropped because ``PENDING_TRIGGERS`` already wait: the gap in the
    frame counter then tells of it.
    """

    triggered_by = "software"

    def __init__(self, width: int, height: int, color: Color) -> None:
        super().__init__(width, height, color)
        self._triggers: queue.Queue[tuple[int, int]] = queue.Queue(PENDING_TRIGGERS)
        self._counter = 0

    def software_trigger(self, t0_ns: int) -> None:
        """Ask for the next picture, as ``Camera.software_trigger``.  Returns at once."""
        self._counter = wrap(self._counter + 1)
        try:
            self._triggers.put_nowait((self._counter, t0_ns))
        except queue.Full:
            return  # the skipped counter tells of it

    def _restart(self) -> None:
        """Begin at frame 1 with no trigger waiting.

        A trigger that comes at this very moment may be lost, or skip a number; the station learns the numbers anew
        behind a reopened camera anyhow.
        """
        self._triggers = queue.Queue(PENDING_TRIGGERS)
        self._counter = 0

    def _grab(self, into: Frame, timeout_s: float) -> FrameInfo | None:
        self._check_open()
        try:
            counter, t0_ns = self._triggers.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None
        return self._picture(into, counter, t0_ns)

    @abstractmethod
    def _check_open(self) -> None:
        """Raise ``CameraError`` where the camera is closed."""

    @abstractmethod
    def _picture(self, into: Frame, counter: int, t0_ns: int) -> FrameInfo | None:
        """Put the source's next picture into ``into``.  None at its end."""


class TriggerSource(Device):
    """A source of part edges.

    Attributes:
        epoch: the encoder's epoch, 32 bit.  It changes when the encoder's count starts anew; counts of different
            epochs must not be compared.  It is up to date as of the last return of ``open`` or ``wait``.
        last_number: the newest number that the source has named, in an edge or otherwise, or None where it names none
            but with edges.  While it is ahead of the edges that came, one was lost.
    """

    epoch: int = 0
    last_number: int | None = None

    @abstractmethod
    def wait(self, timeout_s: float) -> Trigger | None:
        """Return the next edge, or None where none came within ``timeout_s`` seconds.

        Raises:
            CameraError: the source is closed, or has failed so that it must be closed and opened again.
        """


def closed(what: object) -> CameraError:
    """Return the error for using ``what`` while it is closed."""
    return CameraError(f"{type(what).__name__} is closed.", "call open() first, or use it as a context manager.")
