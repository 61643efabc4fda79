"""A frame as a picture file.  OpenCV does the work, which lets other threads run meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.core.part import Finding
from edge.wire.messages import FindingRecord, PartRecord

LIVE_WIDTH_PX = 1280
"""Widest live picture: no panel shows more, and what is sent costs whoever looks."""

LIVE_QUALITY = 80

SUFFIXES = {"jpeg": ".jpg", "png": ".png"}


@dataclass(frozen=True)
class Encoded:
    """A picture file's content, and the frame's size in px."""

    data: bytes
    suffix: str
    width: int
    height: int


def encode(frame: NDArray[np.uint8], color: str, form: str, quality: int) -> Encoded:
    """Return a frame as a file.

    Args:
        frame: (H, W) or (H, W, 3) uint8; only read.
        color: of the frame: mono8, bgr8, rgb8.
        form: "jpeg" or "png".
        quality: of JPEG, 30..100.

    Raises:
        ValueError: OpenCV refused.
    """
    suffix = SUFFIXES[form]
    # The fastest level of PNG: the next ones take several times as long and save little on noisy surfaces.
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if form == "jpeg" else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    done, data = cv2.imencode(suffix, _bgr(frame, color), options)
    if not done:
        raise ValueError(f"a frame of shape {frame.shape} cannot be encoded as {form}")
    return Encoded(data.tobytes(), suffix, frame.shape[1], frame.shape[0])


def live(frame: NDArray[np.uint8], color: str) -> bytes:
    """Return a frame as a JPEG that is at most ``LIVE_WIDTH_PX`` wide; arguments and errors as ``encode``."""
    height, width = frame.shape[:2]
    if width > LIVE_WIDTH_PX:
        size = (LIVE_WIDTH_PX, max(1, round(height * LIVE_WIDTH_PX / width)))
        frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    return encode(frame, color, "jpeg", LIVE_QUALITY).data


def sidecar(
    record: PartRecord, reason: str, near: Sequence[FindingRecord], file: str, picture: Encoded, color: str
) -> bytes:
    """Return the JSON that lies beside a picture, whose name is ``file``."""
    told: dict[str, Any] = msgspec.to_builtins(record)
    told["reason"] = reason
    told["near"] = msgspec.to_builtins(near)
    told["picture"] = {
        "file": file,
        "bytes": len(picture.data),
        "width": picture.width,
        "height": picture.height,
        "color": color,
        "sha256": hashlib.sha256(picture.data).hexdigest(),
    }
    return msgspec.json.encode(told)


def finding_record(finding: Finding) -> FindingRecord:
    """Return a finding as messages have it."""
    return FindingRecord(finding.cls, round(finding.score, 4), finding.box)


def _bgr(frame: NDArray[np.uint8], color: str) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), np.uint8) if color == "rgb8" else frame
