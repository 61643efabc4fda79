"""Tiny frames for fast lines: the first pixels say whether the plate is bad, and give it a number of its own.

Mono8.  ``frame[0, 0]`` is ``MAGIC`` (the bare belt has 0 there), ``frame[0, 1]`` 255 for a bad plate and 0 for a good
one, ``frame[0, 2:10]`` a 64-bit number, high byte first, that tells nothing of the plate's tag or index.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.simulate.devices import MONO8, Shot

MAGIC = 0xA5
MARK_PX = 10
DEFECT_CLASS = "mark"


class Mark(NamedTuple):
    """What a frame says of its plate."""

    defective: bool
    number: int


def read_mark(image: NDArray[np.uint8]) -> Mark | None:
    """Read the mark of a frame (H, W) uint8; None where it shows no plate, or was damaged."""
    pixels = image[0, :MARK_PX].tobytes()
    if pixels[0] != MAGIC or pixels[1] not in (0, 255):
        return None
    return Mark(pixels[1] == 255, int.from_bytes(pixels[2:], "big"))


class MarksScene:
    """Plates with marks; plate ``index`` depends on nothing but the arguments.

    Args:
        size: (width, height), px.
        seed: of the run's plates.
        defect_rate: share of bad plates, 0..1.

    Raises:
        ValueError: a frame too small for the mark, or a rate outside 0..1.
    """

    color = MONO8

    def __init__(self, size: tuple[int, int], seed: int, defect_rate: float) -> None:
        if size[0] < MARK_PX or size[1] < 1:
            raise ValueError(f"frame {size[0]} x {size[1]} px: a mark takes {MARK_PX} px of the first row")
        if not 0 <= defect_rate <= 1:
            raise ValueError(f"defect_rate {defect_rate} is not within 0..1")
        self.size = size
        self._seed, self._defect_rate = seed, defect_rate
        self._blank = np.full((size[1], size[0]), 128, np.uint8)

    def shot(self, index: int) -> Shot:
        """Mark plate ``index``."""
        rng = random.Random(self._seed << 32 | index)
        defective, number = rng.random() < self._defect_rate, rng.getrandbits(64)
        image = self._blank.copy()
        mark = bytes((MAGIC, 255 if defective else 0)) + number.to_bytes(8, "big")
        image[0, :MARK_PX] = np.frombuffer(mark, np.uint8)
        return Shot(image, defective, (DEFECT_CLASS,) if defective else ())
