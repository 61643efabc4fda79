"""Procedural pictures of hot-rolled steel plates, with and without defects (Mono8).

A plate is rolled along the picture's y axis.  Everything expensive (grain, cracks, pits, ...) lies in texture banks
that a `Surface` computes once; a plate is made of random crops of them, so that a simulator can render in real time.
The six defects are named and shaped after the classes of the hot-rolled strip literature; nothing is taken from a
data set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.simulate.options import MIN_FRAME

Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]

CLASSES = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")

_MARGIN = 384  # px by which a bank exceeds the frame: room for random crops
_VISIBLE = 9.0  # grey levels of change from which a pixel counts as part of a defect
_MIN_LONG_SIDE = 25.0  # px; smaller marks are drawn again
_MIN_SHORT_SIDE = 8.0  # px; thinner marks get a box this wide
_MAX_OVERLAP = 4.0  # px by which the boxes of two defects may meet
_ATTEMPTS = 40


@dataclass(frozen=True)
class Defect:
    """box: xyxy px of the frame, far edges exclusive."""

    cls: str
    box: Box


@dataclass(frozen=True)
class Plate:
    """image: (H, W) uint8."""

    image: NDArray[np.uint8]
    defects: tuple[Defect, ...]


class Surface:
    """A stream of plates: `plate(number)` depends on nothing but the constructor's and its own arguments.

    Raises ValueError for a frame too small for the defects, or a rate outside 0..1.
    """

    def __init__(self, width: int = 640, height: int = 512, seed: int = 0, defect_rate: float = 0.3) -> None:
        if min(width, height) < MIN_FRAME:
            raise ValueError(f"frame {width} x {height} px: each side must have at least {MIN_FRAME}")
        if not 0 <= defect_rate <= 1:
            raise ValueError(f"defect_rate {defect_rate} is not within 0..1")
        self.width, self.height, self.seed, self.defect_rate = width, height, seed, defect_rate
        self._longest = min(200.0, 0.8 * min(width, height))
        self._make_banks(np.random.default_rng((seed, 0)))

    def plate(self, number: int, defective: bool | None = None, classes: Sequence[str] | None = None) -> Plate:
        """Plate `number` (from 0).

        `defective` None draws with probability `defect_rate`; a defective plate has 1 to 3 defects, of `classes` if
        given.
        """
        names = CLASSES if classes is None else tuple(classes)
        if not names or any(name not in CLASSES for name in names):
            raise ValueError(f"classes {names}: give at least one, each of {CLASSES}")
        rng = np.random.default_rng((self.seed, 1, number))
        drawn = bool(rng.random() < self.defect_rate)
        image = self._steel(rng)
        defects = self._defects(rng, image, names) if (drawn if defective is None else defective) else ()
        self._sensor(rng, image)
        return Plate(np.clip(image, 0, 255).astype(np.uint8), defects)

    # The good plate

    def _make_banks(self, rng: np.random.Generator) -> None:
        size = (self.height + _MARGIN, self.width + _MARGIN)
        self._grain = _unit(
            0.8 * _noise(rng, size, 1.6, 5)
            + 0.6 * _noise(rng, size, 3, 16)
            + 0.5 * _noise(rng, size, 2, 2)
            + 0.5 * _noise(rng, size, 7, 60)
        )
        self._cloud = _unit(_noise(rng, size, 70, 150) + 0.5 * _noise(rng, size, 30, 50))
        self._shot = _noise(rng, size, 1, 1)
        self._ragged = _unit(_noise(rng, size, 26, 34) + 0.5 * _noise(rng, size, 7, 9) + 0.25 * _noise(rng, size, 3, 3))
        self._cracks = _cracks(rng, size)
        pits = np.maximum(_step(_noise(rng, size, 5, 5), 1.2, 1.7), _step(_noise(rng, size, 10, 11), 1.7, 2.0))
        self._pits = _f32(pits * (0.75 + 0.25 * self._shot.clip(-1, 1)))
        flecks = np.maximum(_step(_noise(rng, size, 9, 3.5), 1.15, 1.7), _step(_noise(rng, size, 14, 6), 1.5, 1.9))
        self._flecks = _f32(flecks - 0.55 * np.roll(flecks, 3, axis=0))

    def _crop(self, bank: Floats, rng: np.random.Generator, height: int, width: int) -> Floats:
        """A random window of a bank, mirrored at random: a view, not to be written to."""
        y = int(rng.integers(0, bank.shape[0] - height + 1))
        x = int(rng.integers(0, bank.shape[1] - width + 1))
        mirror = rng.integers(0, 2, 2) * 2 - 1
        return bank[y : y + height, x : x + width][:: int(mirror[0]), :: int(mirror[1])]

    def _steel(self, rng: np.random.Generator) -> Floats:
        """Grain, oil-like shading, rolling lines, uneven light and now and then a speck of dust: all of it benign."""
        height, width = self.height, self.width
        image = _f32(self._crop(self._grain, rng, height, width) * np.float32(rng.uniform(3.0, 7.0)))
        image += self._crop(self._cloud, rng, height, width) * np.float32(rng.uniform(1.0, 7.0))
        x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
        tilt = rng.uniform(-14, 14, 2)
        dome = rng.uniform(0, 12, 2)
        image += (tilt[0] * x - dome[0] * x * x + self._rolling_lines(rng)).astype(np.float32)
        image += (rng.uniform(92, 165) + tilt[1] * y - dome[1] * y * y).astype(np.float32)[:, None]
        for _ in range(int(rng.integers(0, 4))):
            centre = (int(rng.integers(4, width - 4)), int(rng.integers(4, height - 4)))
            level = float(image[centre[1], centre[0]] - rng.uniform(15, 40))
            cv2.circle(image, centre, int(rng.integers(0, 2)), (level,), -1)
        return image

    def _rolling_lines(self, rng: np.random.Generator) -> Floats:
        """A profile (W,) over the width: soft, faint lines that run along the whole plate."""
        profile = np.zeros(self.width, np.float32)
        x = np.arange(self.width, dtype=np.float32)
        for _ in range(int(rng.integers(0, 7))):
            reach = rng.uniform(1.5, 14)
            profile += rng.uniform(-9, 7) * np.exp(-(((x - rng.uniform(0, self.width)) / reach) ** 2))
        return profile

    def _sensor(self, rng: np.random.Generator, image: Floats) -> None:
        image += self._crop(self._shot, rng, self.height, self.width) * np.float32(rng.uniform(1.0, 3.0))

    # Defects: each `_draw_*` returns the change of grey level, (h, w) float32

    def _defects(self, rng: np.random.Generator, image: Floats, names: Sequence[str]) -> tuple[Defect, ...]:
        wanted = int(rng.choice((1, 2, 3), p=(0.6, 0.28, 0.12)))
        defects: list[Defect] = []
        for _ in range(_ATTEMPTS):
            name = str(names[int(rng.integers(0, len(names)))])
            change = self._draw(name, rng)
            box = _tight_box(change)
            if box is None:
                continue
            height, width = change.shape
            x, y = int(rng.integers(0, self.width - width + 1)), int(rng.integers(0, self.height - height + 1))
            placed = self._grow((box[0] + x, box[1] + y, box[2] + x, box[3] + y))
            if any(_overlap(placed, other.box) > _MAX_OVERLAP for other in defects):
                continue
            image[y : y + height, x : x + width] += change
            defects.append(Defect(name, placed))
            if len(defects) == wanted:
                break
        if not defects:
            raise RuntimeError(f"no visible defect in {_ATTEMPTS} attempts: seed {self.seed}, classes {tuple(names)}")
        return tuple(defects)

    def _grow(self, box: Box) -> Box:
        """At least _MIN_SHORT_SIDE wide and high, inside the frame."""
        low, high = [], []
        for start, end, limit in ((box[0], box[2], self.width), (box[1], box[3], self.height)):
            missing = max(_MIN_SHORT_SIDE - (end - start), 0.0) / 2
            shift = max(missing - start, 0.0) - max(end + missing - limit, 0.0)
            low.append(start - missing + shift)
            high.append(end + missing + shift)
        return low[0], low[1], high[0], high[1]

    def _draw(self, name: str, rng: np.random.Generator) -> Floats:
        table: dict[str, Callable[[np.random.Generator], Floats]] = {
            "crazing": self._draw_crazing,
            "inclusion": self._draw_inclusion,
            "patches": self._draw_patch,
            "pitted_surface": self._draw_pits,
            "rolled-in_scale": self._draw_scale,
            "scratches": self._draw_scratch,
        }
        return table[name](rng)

    def _side(self, rng: np.random.Generator, low: float, high: float) -> int:
        return int(rng.uniform(min(low, self._longest), min(high, self._longest)))

    def _region(self, rng: np.random.Generator, height: int, width: int, softness: float, raggedness: float) -> Floats:
        """A soft-edged, ragged ellipse (h, w) in 0..1."""
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        x = np.linspace(-1, 1, width, dtype=np.float32)[None]
        field = x * x + y * y + np.float32(raggedness) * self._crop(self._ragged, rng, height, width)
        inside = 1 - _step(field, 0.72 - softness, 0.72 + softness)
        border = np.minimum(1, 12 * (1 - np.abs(x))) * np.minimum(1, 12 * (1 - np.abs(y)))
        return _f32(inside * border)

    def _draw_crazing(self, rng: np.random.Generator) -> Floats:
        height, width = self._side(rng, 70, 200), self._side(rng, 70, 200)
        region = self._region(rng, height, width, 0.3, 0.12)
        cracks = self._crop(self._cracks, rng, height, width)
        return _f32(-region * (cracks * np.float32(rng.uniform(44, 76)) + np.float32(rng.uniform(0, 5))))

    def _draw_inclusion(self, rng: np.random.Generator) -> Floats:
        """Dark spindles along the rolling direction, torn at the edges."""
        height, width = self._side(rng, 45, 200), self._side(rng, 20, 60)
        mask = np.zeros((height, width), np.uint8)
        for _ in range(int(rng.integers(1, 6))):
            length = rng.uniform(0.35, 0.95) * height
            half = rng.uniform(2.4, 0.14 * width + 2.0)
            top = rng.uniform(1, height - length)
            middle = rng.uniform(half + 2, width - half - 2)
            t = np.linspace(0, 1, 14)
            bend = np.cumsum(rng.normal(0, 0.5, 14))
            profile = half * np.sin(np.pi * t) ** 0.7 * rng.uniform(0.6, 1.2, 14)
            left = np.stack([middle + bend - profile, top + t * length], axis=1)
            right = np.stack([middle + bend + profile, top + t * length], axis=1)
            outline = np.concatenate([left, right[::-1]])
            cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], (255,), cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(mask, (0, 0), 0.9).astype(np.float32) / 255
        tone = 0.85 + 0.15 * self._crop(self._ragged, rng, height, width).clip(-1.5, 1.5)
        return _f32(-soft * tone * np.float32(rng.uniform(32, 66)))

    def _draw_patch(self, rng: np.random.Generator) -> Floats:
        height, width = self._side(rng, 50, 200), self._side(rng, 40, 140)
        region = self._region(rng, height, width, 0.18, 0.22)
        tone = 0.88 + 0.12 * self._crop(self._ragged, rng, height, width).clip(-1.5, 1.5)
        return _f32(-region * tone * np.float32(rng.uniform(28, 66)))

    def _draw_pits(self, rng: np.random.Generator) -> Floats:
        height, width = self._side(rng, 60, 190), self._side(rng, 60, 190)
        region = self._region(rng, height, width, 0.35, 0.25)
        return _f32(-region * self._crop(self._pits, rng, height, width) * np.float32(rng.uniform(38, 75)))

    def _draw_scale(self, rng: np.random.Generator) -> Floats:
        height, width = self._side(rng, 55, 180), self._side(rng, 60, 200)
        region = self._region(rng, height, width, 0.35, 0.25)
        flecks = self._crop(self._flecks, rng, height, width)
        return _f32(-region * (flecks * np.float32(rng.uniform(32, 60)) + np.float32(rng.uniform(0, 5))))

    def _draw_scratch(self, rng: np.random.Generator) -> Floats:
        """One or two bright strokes, mostly along the rolling direction, of uneven depth."""
        length = self._side(rng, 60, 200)
        angle = float(rng.normal(90, 5) if rng.random() < 0.7 else rng.uniform(0, 180))
        direction = np.array([abs(np.cos(np.radians(angle))), np.sin(np.radians(angle))])
        span = direction * (length - 14)
        height, width = int(span[1]) + 14, int(span[0]) + 14
        mask = np.zeros((height, width), np.uint8)
        start = np.array([7.0, 7.0])
        t = np.linspace(0, 1, 12)[:, None]
        wander = np.cumsum(rng.normal(0, 0.35, (12, 1)), axis=0).clip(-3, 3) * np.array([[direction[1], -direction[0]]])
        for stroke in range(int(rng.integers(1, 3))):
            shift = (0.0, rng.uniform(-4.5, 4.5))[stroke] * np.array([direction[1], -direction[0]])
            points = start + t * span * (1.0, rng.uniform(0.5, 1.0))[stroke] + wander + shift
            thick = int(rng.integers(1, 5 if stroke == 0 else 3))
            cv2.polylines(mask, [np.round(points * 16).astype(np.int32)], False, (255,), thick, cv2.LINE_AA, 4)
        if angle % 180 > 90:
            mask = np.ascontiguousarray(mask[:, ::-1])
        soft = cv2.GaussianBlur(mask, (0, 0), 0.7).astype(np.float32) / 255
        depth = (0.8 + 0.3 * self._crop(self._ragged, rng, height, width)).clip(0.45, 1.3)
        fade = np.minimum(1, 3.5 * (1 - np.abs(np.linspace(-1, 1, max(height, width), dtype=np.float32))))
        soft *= fade[:, None] if height >= width else fade[None]
        return _f32(soft * depth * np.float32(rng.uniform(50, 95)))


def _f32(field: NDArray[np.floating]) -> Floats:
    """The same array, typed; no copy."""
    return np.asarray(field, np.float32)


def _unit(field: Floats) -> Floats:
    """Zero mean, unit deviation."""
    return _f32((field - field.mean()) / field.std())


def _noise(rng: np.random.Generator, size: tuple[int, int], cell_x: float, cell_y: float) -> Floats:
    """Smooth unit noise (H, W) whose features are about `cell_x` by `cell_y` px."""
    height, width = size
    coarse = rng.standard_normal((int(height / cell_y) + 4, int(width / cell_x) + 4), np.float32)
    if cell_x <= 1 and cell_y <= 1:
        return coarse[:height, :width]
    return _unit(np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32))


def _step(field: Floats, low: float, high: float) -> Floats:
    """Smooth step: 0 below `low`, 1 above `high`."""
    t = ((field - np.float32(low)) / np.float32(high - low)).clip(0, 1)
    return _f32(t * t * (3 - 2 * t))


def _cracks(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Fine branching lines in 0..1: where smooth noise crosses zero, broken up by a coarser field."""
    out = np.zeros(size, np.float32)
    for cell_x, cell_y, width in ((16.0, 9.0, 0.13), (24.0, 15.0, 0.09)):
        field = _noise(rng, size, cell_x, cell_y) + 0.3 * _noise(rng, size, 4, 4)
        gate = _step(_noise(rng, size, 22, 18), -0.5, 0.4)
        out = np.maximum(out, np.exp(-((field / np.float32(width)) ** 2)) * gate)
    return out


def _tight_box(change: Floats) -> Box | None:
    """The box around the visible part of a mark, px of its patch; None where the mark is too small."""
    visible = np.abs(change) > _VISIBLE
    columns, rows = np.flatnonzero(visible.any(axis=0)), np.flatnonzero(visible.any(axis=1))
    if not len(columns) or max(len(columns), len(rows)) < _MIN_LONG_SIDE:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _overlap(a: Box, b: Box) -> float:
    """The shorter side of the two boxes' intersection, px; 0 or less where they do not meet."""
    return min(min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1]))
