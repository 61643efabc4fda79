"""A folder of pictures as a camera: the next one, in order of file names, for each software trigger."""

from __future__ import annotations

from pathlib import Path

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

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff"})


class FolderCamera(SoftwareTriggeredCamera):
    """Pictures of a folder.  A decoder of its own makes each, so there is one copy, into the slot.

    A picture of another size, or one that cannot be decoded, is a frame that is not intact.  ``tag`` is the file name.

    Args:
        folder: holds the pictures; other files are ignored.
        width, height, color: of the frames; colour is converted, size is not.
        loop: begin again after the last picture.  Without it, nothing comes any more.

    Attributes:
        undecodable: pictures that could not be decoded.
    """

    def __init__(self, folder: Path, width: int, height: int, color: Color, loop: bool = False) -> None:
        super().__init__(width, height, color)
        self.undecodable = 0
        self._folder = folder
        self._loop = loop
        self._files: list[Path] = []
        self._next = 0

    def open(self) -> None:
        """List the folder.  Raises as ``Camera.open``, also where it holds no picture."""
        if self._files:
            return
        try:
            files = sorted(p for p in self._folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
        except OSError as error:
            raise CameraError(
                f"Picture folder {str(self._folder)!r} cannot be read ({error.strerror}).", "correct camera.source."
            ) from None
        if not files:
            raise CameraError(
                f"Folder {str(self._folder)!r} holds no picture ({', '.join(sorted(SUFFIXES))}).",
                "put pictures there, or correct camera.source.",
            )
        self._files, self._next = files, 0
        self._restart()

    def close(self) -> None:
        """Forget the list."""
        self._files = []

    def _check_open(self) -> None:
        if not self._files:
            raise closed(self)

    def _picture(self, into: Frame, counter: int, t0_ns: int) -> FrameInfo | None:
        if self._next == len(self._files):
            if not self._loop:
                return None
            self._next = 0
        file = self._files[self._next]
        self._next += 1
        intact = self._decode(file, into)
        return FrameInfo(counter, exposed_ns=t0_ns, t1_ns=now_ns(), intact=intact, tag=file.name)

    def _decode(self, file: Path, into: Frame) -> bool:
        try:
            image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE if self.color == "mono8" else cv2.IMREAD_COLOR)
        except cv2.error:  # such as dimensions beyond OpenCV's limit
            image = None
        if image is None:
            self.undecodable += 1
            return False
        if image.shape != into.shape:
            return False
        if self.color == "rgb8":
            cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=into)
        else:
            np.copyto(into, image)
        return True
