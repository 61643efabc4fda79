"""Do two pictures show the same piece of surface?  Phase correlation finds the shift, normalised correlation decides.

Phase correlation (Kuglin and Hines 1975): where two pictures share content moved by d, the product of one spectrum
and the other's conjugate, both of unit magnitude, is that of an impulse at d, whose height grows with the share in
common.  It looks at all shifts at once and costs one small inverse transform a pair.  What it proposes is then
measured at full size: the correlation coefficient of the texture of the stretch in common.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Plane = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

WORKING_PX = 100
"""Longest side at which shifts are looked for: half of NEU-DET's.  Smaller loses fine texture, larger costs time."""
_SLOW = 0.04
"""Sigma of the blur that is taken as slow change of brightness, as a share of the longest side."""
_NEAR = 0.03
"""Sigma of the neighbourhood whose contrast is made equal, as a share of the longest side."""
_FLOOR = 2.0
"""Grey levels added to the local contrast, so that the noise of even surface is not blown up to texture."""

TURNS: dict[str, Callable[[Picture], Picture]] = {
    "as it is": lambda picture: picture,
    "turned by 90": lambda picture: np.rot90(picture, 1),
    "turned by 180": lambda picture: np.rot90(picture, 2),
    "turned by 270": lambda picture: np.rot90(picture, 3),
}
"""Counter-clockwise turns in which the second picture of a pair is tried."""


class Overlap(NamedTuple):
    """shift: (dx, dy) px; (x, y) of the second picture shows what (x + dx, y + dy) of the first one shows.

    share: of the smaller picture's area that is in common.  correlation: coefficient, -1..1, of the stretch in common.
    """

    shift: tuple[int, int]
    share: float
    correlation: float


def working_scale(longest_px: int) -> float:
    return min(1.0, WORKING_PX / longest_px)


def spectrum(picture: Picture, scale: float) -> Spectrum:
    """(WORKING_PX, WORKING_PX // 2 + 1) complex64 of unit magnitude, of the (H, W) uint8 picture at `scale`."""
    raw = np.fft.rfft2(texture_of(picture, scale), s=(WORKING_PX, WORKING_PX))
    return np.asarray(raw / (np.abs(raw) + 1e-3), np.complex64)


def strongest_shifts(one: Spectrum, conjugates: Spectrum) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Of a picture against N others, whose spectra come conjugated, (N, ...).

    Returns heights (N,) of the highest peaks, at most 1, and their shifts (N, 2) as (dx, dy) at working size, modulo
    WORKING_PX: without padding, which costs four times as much, a shift and its wrapped twins look the same.
    """
    surface = np.fft.irfft2(one * conjugates, s=(WORKING_PX, WORKING_PX)).reshape(len(conjugates), -1)
    best = surface.argmax(axis=1)
    heights = np.asarray(surface[np.arange(len(conjugates)), best], np.float32)
    return heights, np.stack([best % WORKING_PX, best // WORKING_PX], axis=1)


def texture_of(picture: Picture, scale: float) -> Plane:
    """The (H, W) uint8 picture at `scale`, float32, less slow changes of brightness, and of equal contrast everywhere.

    Otherwise the lamp would agree in any two pictures, and a bright scratch with any other in its direction.
    """
    height, width = (max(1, round(side * scale)) for side in picture.shape)
    plane = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    longest = max(height, width)
    texture = plane - cv2.GaussianBlur(plane, (0, 0), _SLOW * longest)
    contrast = np.sqrt(cv2.GaussianBlur(texture * texture, (0, 0), _NEAR * longest))
    return np.asarray(texture / (contrast + _FLOOR), np.float32)


def measure(
    first: Plane, second: Plane, shift: tuple[float, float], period: float, reach: int, min_share: float
) -> Overlap | None:
    """The best agreement of two textures within `reach` px of a shift (dx, dy) px, known modulo `period` px.

    None where no such shift leaves `min_share` of the smaller picture in common.
    """
    wraps = ((shift[0] - x * period, shift[1] - y * period) for y in (0, 1) for x in (0, 1))
    found = (_measure_at(first, second, (round(dx), round(dy)), reach, min_share) for dx, dy in wraps)
    return max((one for one in found if one is not None), key=lambda one: one.correlation, default=None)


def _measure_at(first: Plane, second: Plane, shift: tuple[int, int], reach: int, min_share: float) -> Overlap | None:
    dx, dy = shift
    left, top = max(dx, 0), max(dy, 0)
    right, bottom = min(first.shape[1], second.shape[1] + dx), min(first.shape[0], second.shape[0] + dy)
    if right - left <= 4 * reach or bottom - top <= 4 * reach:
        return None
    template = first[top + reach : bottom - reach, left + reach : right - reach]
    window = second[top - dy : bottom - dy, left - dx : right - dx]
    agreement = cv2.matchTemplate(window, template, cv2.TM_CCOEFF_NORMED)
    row, column = divmod(int(agreement.argmax()), agreement.shape[1])
    moved = (dx + reach - column, dy + reach - row)
    share = _common(first, second, moved) / min(first.size, second.size)
    return Overlap(moved, share, float(agreement[row, column])) if share >= min_share else None


def _common(first: Plane, second: Plane, shift: tuple[int, int]) -> int:
    """Pixels in common at a shift."""
    width: int = min(first.shape[1], second.shape[1] + shift[0]) - max(shift[0], 0)
    height: int = min(first.shape[0], second.shape[0] + shift[1]) - max(shift[1], 0)
    return max(width, 0) * max(height, 0)
