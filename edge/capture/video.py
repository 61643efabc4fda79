"""A video file or an ordinary video device, through OpenCV, as a camera: the next frame for each software trigger."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.capture.base import SoftwareTriggeredCamera, closed
from edge.clock import now_ns
from edge.config import Color
from edge.core.part import FrameInfo
from edge.core.pool import Frame
from edge.errors import CameraError, MissingExtra

try:
    import cv2
except ModuleNotFoundError:
    raise MissingExtra("cv2", "cpu") from None

if TYPE_CHECKING:
    from cv2.typing import MatLike


DEVICE_S = 1
"""For which OpenCV waits for a frame of a device; of itself it would wait for 10 s, for which a station is ended.  Its
V4L2 back end takes that from the environment alone."""


class VideoCamera(SoftwareTriggeredCamera):
    """Frames of ``cv2.VideoCapture``.

    OpenCV decodes to BGR.  It writes straight into the slot where that is what is configured; for Mono8 and RGB8 one
    conversion goes from the camera's own BGR buffer into the slot.

    A file's frame counts as exposed at T0.  A running device exposes when it likes: the frame that its driver holds is
    dropped, and the next one counts as exposed when the wait for it began.  So a device belongs on a bench, not on a
    moving line.  A device that hangs blocks ``grab`` for ``DEVICE_S``, beyond its time-out.

    Args:
        source: a file's path, or a device number as digits.
        width, height, color: of the frames; a device is asked for this size.
        loop: begin a file again after its last frame.
    """

    def __init__(self, source: str, width: int, height: int, color: Color, loop: bool = False) -> None:
        super().__init__(width, height, color)
        self._source = source
        self._device = int(source) if source.isascii() and source.isdigit() else None
        self._loop = loop and self._device is None
        self._bgr: Frame = np.zeros((height, width, 3), np.uint8)
        self._capture: cv2.VideoCapture | None = None

    def open(self) -> None:
        """Open the file or device.  Raises as ``Camera.open``."""
        if self._capture is not None:
            return
        if self._device is None and not Path(self._source).is_file():
            raise CameraError(f"Video file {self._source!r} does not exist.", "correct camera.source.")
        capture = self._connect()
        size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if size != (self.shape[1], self.shape[0]):
            capture.release()
            raise CameraError(
                f"Video source {self._source!r} delivers {size[0]} x {size[1]}, "
                f"and {self.shape[1]} x {self.shape[0]} is configured.",
                "make camera.width and camera.height agree with the source.",
            )
        self._capture = capture
        self._restart()

    def close(self) -> None:
        """Release the file or device."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _connect(self) -> cv2.VideoCapture:
        os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(DEVICE_S))
        capture = cv2.VideoCapture(self._source) if self._device is None else cv2.VideoCapture(self._device)
        if not capture.isOpened():
            capture.release()
            raise CameraError(
                f"OpenCV cannot open the video source {self._source!r}.",
                "check the file's codec, or the device's number, group membership and other users.",
            )
        if self._device is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self.shape[1])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self.shape[0])
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture

    def _check_open(self) -> None:
        if self._capture is None:
            raise closed(self)

    def _picture(self, into: Frame, counter: int, t0_ns: int) -> FrameInfo | None:
        capture = self._capture
        assert capture is not None  # _check_open came first
        exposed_ns = t0_ns
        if self._device is not None:
            if not capture.grab():
                raise self._silent()
            exposed_ns = now_ns()
        target = into if self.color == "bgr8" else self._bgr
        found, image = capture.read(target)
        if not found and self._loop:
            capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            found, image = capture.read(target)
        if not found and self._device is not None:
            raise self._silent()
        if not found:
            return None  # the file's end
        intact = image.shape == target.shape and image.dtype == np.uint8
        if intact:
            self._deliver(image, into)
        return FrameInfo(counter, exposed_ns, t1_ns=now_ns(), intact=intact, tag=f"{self._source}#{counter}")

    def _silent(self) -> CameraError:
        return CameraError(
            f"Video device {self._source} delivers no frame any more.",
            "check its cable and power; it is opened again until it delivers.",
        )

    def _deliver(self, image: MatLike, into: Frame) -> None:
        if self.color == "mono8":
            cv2.cvtColor(image, cv2.COLOR_BGR2GRAY, dst=into)
        elif self.color == "rgb8":
            cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=into)
        elif not np.shares_memory(image, into):  # a back end that does not write into the array it is given
            np.copyto(into, image)
