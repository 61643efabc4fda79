"""Measures of single pictures, over small samples of frames: level, sharpness, profiles.  Pure arithmetic.

A sample is a grid over the whole frame and a few tiles at full resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Profile = NDArray[np.float64]

GRID = 128
"""Most points of the grid along a side of the frame."""

STARTS = 16
"""Places within a step at which the grid begins, in turn: two samples each, whatever the step."""

TILE_PX, TILES = 64, ((1, 1), (1, 3), (3, 1), (3, 3))
"""Side of a tile, and where their centres lie, in quarters of the frame."""


@dataclass
class Sample:
    """What is looked at of one frame; allocated once.

    Attributes:
        at_ns: when, monotonic.
        grid: (h, w) uint8, every ``step``-th pixel of both directions; it begins elsewhere in each other sample.
        tiles: (n, t, t) uint8, at full resolution.
    """

    at_ns: int
    grid: Gray
    tiles: Gray


class Sampler:
    """Takes samples of frames of one shape.

    Args:
        shape: (H, W) for mono8; (H, W, 3) for bgr8 and rgb8, of which green is looked at.

    Attributes:
        step: pixels of the frame from one point of the grid to the next.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        height, width = shape[:2]
        self.step = -(-max(height, width) // GRID)
        side = min(TILE_PX, height // 2, width // 2)
        corners = [(y * height // 4 - side // 2, x * width // 4 - side // 2) for y, x in TILES]
        self._tiles = [(slice(y, y + side), slice(x, x + side)) for y, x in corners]
        self._grid_shape = (height // self.step, width // self.step)
        self._side = side
        self._taken = 0

    def empty(self) -> Sample:
        """Return a sample to be filled."""
        tiles = np.zeros((len(self._tiles), self._side, self._side), np.uint8)
        return Sample(0, np.zeros(self._grid_shape, np.uint8), tiles)

    def take(self, frame: Gray, at_ns: int, into: Sample) -> None:
        """Copy what is looked at.  Allocates no memory for pixels.

        The grid wanders over the step, so that the mean of many shows less than one; by pairs, so that odd and even
        samples lie alike.  Means over ``2 * STARTS`` samples in a row are of the same places, wherever they begin: of
        other places, a motionless picture would seem to have moved.
        """
        gray = frame if frame.ndim == 2 else frame[:, :, 1]
        rows, columns = self._grid_shape
        first = (2 * (self._taken // 2 % STARTS) + 1) * self.step // (2 * STARTS)
        self._taken += 1
        into.at_ns = at_ns
        np.copyto(into.grid, gray[first :: self.step, first :: self.step][:rows, :columns])
        for tile, place in zip(into.tiles, self._tiles, strict=True):
            np.copyto(tile, gray[place])


def sharpness(tiles: Gray) -> float:
    """Return how much fine detail there is, relative to the level: 0 for none.

    The root mean square of the Laplacian (energy of Laplacian: Subbarao, Choi and Nikzad 1993, Optical Engineering 32,
    2824-2836) of 2 x 2 averages, over their mean.  A lens out of focus leaves the sensor's noise as it is; the averages
    keep less of it than of a surface.
    """
    n, side = tiles.shape[0], tiles.shape[1] // 2
    fine = tiles[:, : 2 * side, : 2 * side].reshape(n, side, 2, side, 2).mean(axis=(2, 4))
    inner = 4 * fine[:, 1:-1, 1:-1]
    laplacian = inner - fine[:, :-2, 1:-1] - fine[:, 2:, 1:-1] - fine[:, 1:-1, :-2] - fine[:, 1:-1, 2:]
    level = float(fine.mean())
    return float(np.sqrt(np.mean(laplacian**2))) / level if level > 0 and laplacian.size else 0.0


def profiles(grid: Gray) -> tuple[Profile, Profile]:
    """Return how the level changes down the frame (h - 1) and across it (w - 1), means over the other direction."""
    return np.diff(grid.mean(axis=1)), np.diff(grid.mean(axis=0))


def displacement(profile: Profile, reference: Profile) -> tuple[float, float]:
    """Return by how many points ``profile`` lies further than ``reference``, and how alike they are there, -1..1.

    The highest normalised cross-correlation within a quarter of the length, between the points by a parabola through
    it and its neighbours.
    """
    n = len(reference)
    reach = n // 4
    reference = reference - reference.mean()
    padded = np.zeros(n + 2 * reach)
    padded[reach : reach + n] = profile - profile.mean()
    inside = np.zeros(n + 2 * reach)
    inside[reach : reach + n] = 1.0
    moved = np.lib.stride_tricks.sliding_window_view(padded, n)  # (2 reach + 1, n): row i is moved by i - reach
    overlap = np.lib.stride_tricks.sliding_window_view(inside, n)
    power = (moved**2).sum(axis=1) * (overlap * reference**2).sum(axis=1)
    alike = (moved * reference).sum(axis=1) / np.sqrt(np.maximum(power, 1e-12))
    best = int(alike.argmax())
    bend = 0.0
    if 0 < best < 2 * reach:
        left, right = float(alike[best - 1]), float(alike[best + 1])
        curve = left - 2 * float(alike[best]) + right
        bend = (left - right) / (2 * curve) if curve < 0 else 0.0
    return best - reach + bend, float(alike[best])
