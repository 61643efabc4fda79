"""From a frame in its slot to the engine's input: nothing at all, or one resize."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import EngineError, ModelError
from edge.model.package import CHANNELS, Color, Input

Image = NDArray[np.uint8]

# (from, to) -> cv2.cvtColor code, for every pair that differs.
CONVERSIONS: dict[tuple[Color, Color], int] = {
    ("mono8", "bgr8"): cv2.COLOR_GRAY2BGR,
    ("mono8", "rgb8"): cv2.COLOR_GRAY2RGB,
    ("bgr8", "mono8"): cv2.COLOR_BGR2GRAY,
    ("rgb8", "mono8"): cv2.COLOR_RGB2GRAY,
    ("bgr8", "rgb8"): cv2.COLOR_BGR2RGB,
    ("rgb8", "bgr8"): cv2.COLOR_RGB2BGR,
}


class Stager:
    """Brings frames of one shape and colour into the engine's input, and boxes back onto the frame.

    Args:
        frame_shape: (H, W) for mono8, (H, W, 3) for bgr8 and rgb8.
        frame_color: of the frames.
        target: the network's input, from the manifest.
        engine_input: (H, W, C) uint8, the engine's own buffer.

    Raises:
        ModelError: the engine's input is not what the manifest says, or the frame's shape contradicts its colour.
    """

    def __init__(self, frame_shape: tuple[int, ...], frame_color: Color, target: Input, engine_input: Image) -> None:
        if engine_input.shape != target.shape:
            raise ModelError(
                f"The engine's input is {engine_input.shape}, the manifest's is {target.shape}.",
                "build the engine from the same package.",
            )
        if frame_shape[2:] != (() if frame_color == "mono8" else (CHANNELS[frame_color],)):
            raise ModelError(
                f"Frames of shape {frame_shape} are not {frame_color}.", "set camera.color to what the camera delivers."
            )
        self._frame_shape = frame_shape
        self._engine_input = engine_input
        top, left, height, width = _placement(frame_shape[0], frame_shape[1], target)
        self._frame_size: NDArray[np.float32] = np.array([frame_shape[1], frame_shape[0]] * 2, np.float32)
        self._offset: NDArray[np.float32] = np.array([left, top] * 2, np.float32)
        self._scale: NDArray[np.float32] = np.divide(self._frame_size, [width, height] * 2, dtype=np.float32)
        engine_input[...] = target.border
        interior = engine_input[top : top + height, left : left + width]
        self._interior = interior[..., 0] if target.color == "mono8" else interior
        self._size = (width, height)
        self._resizes = frame_shape[:2] != (height, width)
        self._code = None if frame_color == target.color else CONVERSIONS[frame_color, target.color]
        self._in_place = not self._resizes and self._code is None and (height, width) == target.shape[:2]
        needs_scratch = self._resizes and self._code is not None
        self._scratch = np.zeros((height, width, *frame_shape[2:]), np.uint8) if needs_scratch else None

    def stage(self, frame: Image) -> Image:
        """Return what the engine shall run on, (H, W, C) uint8.

        It is the frame's own memory where size and colour agree, else the engine's input after one resize and, where
        the colours differ, one conversion at the smaller cost of the network's size.

        Raises:
            EngineError: the frame has another shape, type or layout than agreed, or OpenCV did not write in place.
        """
        if frame.shape != self._frame_shape or frame.dtype != np.uint8 or not frame.flags.c_contiguous:
            raise EngineError(
                f"A {frame.dtype} frame of shape {frame.shape} came where {self._frame_shape} uint8 was agreed.",
                "set camera.width, camera.height and camera.color to what the camera delivers.",
            )
        if self._in_place:
            return frame.reshape(self._engine_input.shape)
        if self._scratch is not None and self._code is not None:
            self._resize(frame, self._scratch)
            self._convert(self._scratch, self._code)
        elif self._code is not None:
            self._convert(frame, self._code)
        else:
            self._resize(frame, self._interior)
        return self._engine_input

    def to_frame(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map ``boxes``, (N, 4) float32, xyxy, from px of the network's input to px of the frame, clipped to it."""
        mapped: NDArray[np.float32] = (boxes - self._offset) * self._scale
        return np.clip(mapped, 0.0, self._frame_size, out=mapped)

    def _resize(self, source: Image, target: Image) -> None:
        _check_in_place(cv2.resize(source, self._size, dst=target, interpolation=cv2.INTER_LINEAR), target)

    def _convert(self, source: Image, code: int) -> None:
        _check_in_place(cv2.cvtColor(source, code, dst=self._interior), self._interior)


def _placement(height: int, width: int, target: Input) -> tuple[int, int, int, int]:
    """Return (top, left, height, width) of the frame inside the network's input, px."""
    if target.resize == "stretch":
        return 0, 0, target.height, target.width
    scale = min(target.height / height, target.width / width)
    inner_height = max(1, min(target.height, round(height * scale)))
    inner_width = max(1, min(target.width, round(width * scale)))
    return (target.height - inner_height) // 2, (target.width - inner_width) // 2, inner_height, inner_width


def _check_in_place(result: object, target: Image) -> None:
    """Check that OpenCV wrote into ``target``: a ``dst`` that does not fit is silently replaced by new memory."""
    if not isinstance(result, np.ndarray) or not np.may_share_memory(result, target):
        raise EngineError(
            f"OpenCV {cv2.__version__} did not write into the engine's input.", "report it with this version number."
        )
