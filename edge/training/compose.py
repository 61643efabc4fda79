"""Pictures made of several: mosaic, defects cut out and pasted elsewhere, mixup.  numpy, before any tensor is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.dataset import Sample
from edge.quality.average_precision import pairwise_iou
from edge.training.recipe import Augment

MIN_SIDE = 4.0  # px; a smaller remainder of a clipped box is dropped
MIN_VISIBLE = 0.2  # share of a box's area that must stay in the picture
_MIXUP_BETA = 8.0  # the share of either picture lies around one half, where both defects stay visible
_LARGEST_CUTOUT = 0.25  # share of the picture; a larger "defect" is the surface itself
_MARGIN = 0.15  # of a cut-out's shorter side: the width over which it fades into its surroundings
_MIN_MARGIN = 2
_PASTE_TRIES = 8
_PASTE_SCALE = (0.8, 1.25)


@dataclass(frozen=True)
class Cutout:
    """A defect with a margin around it: patch (h, w) uint8, box (4,) float32 px within the patch, its label."""

    patch: NDArray[np.uint8]
    box: NDArray[np.float32]
    label: int


class Composer:
    """Composes training pictures of one size from `samples`."""

    def __init__(self, samples: Sequence[Sample], config: Augment) -> None:
        self._samples, self._config = samples, config
        self._cutouts = cutouts(samples) if config.copy_paste else ()
        self._by_label: dict[int, list[Cutout]] = {}
        for cutout in self._cutouts:
            self._by_label.setdefault(cutout.label, []).append(cutout)

    def compose(self, index: int, rng: np.random.Generator) -> Sample:
        """`samples[index]`, perhaps joined with others, with pasted defects, mixed with another picture."""
        sample = self._base(index, rng)
        if rng.random() < self._config.mixup:
            sample = mixed(sample, self._base(self._other(rng), rng), float(rng.beta(_MIXUP_BETA, _MIXUP_BETA)))
        return sample

    def _base(self, index: int, rng: np.random.Generator) -> Sample:
        sample = self._samples[index]
        if rng.random() < self._config.mosaic:
            others = [self._samples[self._other(rng)] for _ in range(3)]
            sample = mosaic([sample, *others], self._config.mosaic_scale, rng)
        if self._cutouts and rng.random() < self._config.copy_paste:
            sample = self._pasted(sample, rng)
        return sample

    def _other(self, rng: np.random.Generator) -> int:
        return int(rng.integers(len(self._samples)))

    def _pasted(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """On a picture without defects any cut-out may go; else those of its own classes, unless `paste_any`."""
        donors: Sequence[Cutout] = self._cutouts
        if len(sample.labels) and not self._config.paste_any:
            donors = [c for label in np.unique(sample.labels) for c in self._by_label.get(int(label), ())]
        if donors:
            for _ in range(rng.integers(1, self._config.paste_count + 1)):
                sample = paste(sample, donors[int(rng.integers(len(donors)))], rng)
        return sample


def clip(
    boxes: NDArray[np.float32], labels: NDArray[np.int64], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Boxes (G, 4) clipped to `size` (width, height), without those of which too little is left."""
    clipped = np.clip(boxes, 0, np.array([*size, *size], np.float32)).astype(np.float32)
    sides, before = clipped[:, 2:] - clipped[:, :2], boxes[:, 2:] - boxes[:, :2]
    keep = (sides.min(axis=1, initial=np.inf) >= MIN_SIDE) & (sides.prod(axis=1) >= MIN_VISIBLE * before.prod(axis=1))
    return clipped[keep], labels[keep]


def mosaic(four: Sequence[Sample], scales: tuple[float, float], rng: np.random.Generator) -> Sample:
    """Four windows joined at a random point near the middle, in the size of the first picture."""
    height, width = four[0].image.shape
    x, y = int(width * rng.uniform(0.3, 0.7)), int(height * rng.uniform(0.3, 0.7))
    image = np.empty((height, width), np.uint8)
    boxes, labels = [], []
    for sample, (x1, y1, x2, y2) in zip(
        four, ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)), strict=True
    ):
        tile = _window(sample, (x2 - x1, y2 - y1), scales, rng)
        image[y1:y2, x1:x2] = tile.image
        boxes.append(tile.boxes + np.array([x1, y1, x1, y1], np.float32))
        labels.append(tile.labels)
    return Sample(four[0].name, image, np.concatenate(boxes), np.concatenate(labels))


def _window(sample: Sample, size: tuple[int, int], scales: tuple[float, float], rng: np.random.Generator) -> Sample:
    """A random window of the picture, shown in `size` (width, height) at a random scale or at least filling it."""
    height, width = sample.image.shape
    scale = max(float(np.exp(rng.uniform(*np.log(scales)))), size[0] / width, size[1] / height)
    sides = (min(round(size[0] / scale), width), min(round(size[1] / scale), height))
    left, top = int(rng.integers(width - sides[0] + 1)), int(rng.integers(height - sides[1] + 1))
    window = sample.image[top : top + sides[1], left : left + sides[0]]
    image = np.asarray(cv2.resize(window, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    zoom = np.array([size[0] / sides[0], size[1] / sides[1]] * 2, np.float32)
    boxes, labels = clip((sample.boxes - np.array([left, top] * 2, np.float32)) * zoom, sample.labels, size)
    return Sample(sample.name, image, boxes, labels)


def cutouts(samples: Sequence[Sample]) -> tuple[Cutout, ...]:
    """Every defect that stands alone and is small enough, with its margin."""
    found = []
    for sample in samples:
        height, width = sample.image.shape
        for index, box in enumerate(sample.boxes):
            sides = box[2:] - box[:2]
            margin = max(_MIN_MARGIN, round(_MARGIN * float(sides.min())))
            x1, y1 = np.maximum(np.floor(box[:2]).astype(int) - margin, 0)
            x2, y2 = np.minimum(np.ceil(box[2:]).astype(int) + margin, (width, height))
            others = np.delete(sample.boxes, index, axis=0)
            if sides.prod() > _LARGEST_CUTOUT * width * height or _meets((x1, y1, x2, y2), others):
                continue
            origin = np.array([x1, y1, x1, y1], np.float32)
            found.append(Cutout(sample.image[y1:y2, x1:x2].copy(), box - origin, int(sample.labels[index])))
    return tuple(found)


def _meets(box: Sequence[int], others: NDArray[np.float32]) -> bool:
    return bool((pairwise_iou(np.array([box], np.float32), others) > 0).any())


def paste(sample: Sample, cutout: Cutout, rng: np.random.Generator) -> Sample:
    """The picture with the cut-out blended in at a free place, flipped and scaled at random; as it is if none is found.

    The cut-out is brought to the brightness of its new surroundings, and fades into them over its margin.
    """
    cutout = _varied(cutout, rng)
    height, width = sample.image.shape
    rows, columns = cutout.patch.shape
    for _ in range(_PASTE_TRIES if rows < height and columns < width else 0):
        left, top = int(rng.integers(width - columns + 1)), int(rng.integers(height - rows + 1))
        if not _meets((left, top, left + columns, top + rows), sample.boxes):
            break
    else:
        return sample
    image = sample.image.copy()
    ground = image[top : top + rows, left : left + columns]
    alpha = _alpha(cutout)
    rim = 1 - alpha
    patch = cutout.patch.astype(np.float32)
    patch += ((ground - patch) * rim).sum() / max(float(rim.sum()), 1.0)
    ground[:] = np.clip(alpha * patch + rim * ground + 0.5, 0, 255)
    boxes = np.vstack((sample.boxes, cutout.box + np.array([left, top] * 2, np.float32)))
    return Sample(sample.name, image, boxes, np.append(sample.labels, cutout.label))


def _varied(cutout: Cutout, rng: np.random.Generator) -> Cutout:
    scale = float(rng.uniform(*_PASTE_SCALE))
    rows, columns = (max(round(side * scale), 1) for side in cutout.patch.shape)
    zoom = np.array([columns / cutout.patch.shape[1], rows / cutout.patch.shape[0]] * 2, np.float32)
    patch = np.asarray(cv2.resize(cutout.patch, (columns, rows), interpolation=cv2.INTER_LINEAR), np.uint8)
    flipped = flip(Sample("", patch, (cutout.box * zoom)[None], np.array([cutout.label])), *(rng.random(2) < 0.5))
    return Cutout(flipped.image, flipped.boxes[0], cutout.label)


def flip(sample: Sample, horizontal: bool, vertical: bool) -> Sample:
    height, width = sample.image.shape
    image, boxes = sample.image, sample.boxes
    if horizontal:
        image = image[:, ::-1]
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
    if vertical:
        image = image[::-1]
        boxes = np.stack([boxes[:, 0], height - boxes[:, 3], boxes[:, 2], height - boxes[:, 1]], axis=1)
    return Sample(sample.name, image, boxes, sample.labels)


def _alpha(cutout: Cutout) -> NDArray[np.float32]:
    """1 inside the box, falling to 0 at the patch's edge, (h, w)."""
    rows, columns = cutout.patch.shape
    x1, y1, x2, y2 = cutout.box
    across = _ramp(columns, float(x1), float(columns - x2))
    down = _ramp(rows, float(y1), float(rows - y2))
    return np.asarray(down[:, None] * across[None], np.float32)


def _ramp(length: int, before: float, after: float) -> NDArray[np.float32]:
    """Rises over the first `before` px and falls over the last `after`; a defect cut by its picture's edge has none."""
    centres = np.arange(length, dtype=np.float32) + 0.5
    rise = np.clip(centres / max(before, 1e-3), 0, 1)
    fall = np.clip((length - centres) / max(after, 1e-3), 0, 1)
    return np.asarray(rise * fall, np.float32)


def mixed(a: Sample, b: Sample, share: float) -> Sample:
    """`share` of picture a over the rest of b, with the boxes of both (mixup: Zhang et al. 2018)."""
    image = np.asarray(cv2.addWeighted(a.image, share, b.image, 1 - share, 0), np.uint8)
    return Sample(a.name, image, np.concatenate((a.boxes, b.boxes)), np.concatenate((a.labels, b.labels)))
