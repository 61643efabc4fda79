"""Augmentation on grey uint8 pictures: flips, scale and shift, mosaic of four, photometric changes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.training.datasets import Sample
from edge.training.recipe import Augment

MIN_SIDE = 4.0  # px; a smaller remainder of a clipped box is dropped
MIN_VISIBLE = 0.2  # share of a box's area that must stay in the picture


def augmented(index: int, samples: Sequence[Sample], config: Augment, rng: np.random.Generator, mosaic: bool) -> Sample:
    """A random variation of `samples[index]`, of the same size; `mosaic` permits joining it with three others."""
    if mosaic and rng.random() < config.mosaic:
        others = rng.integers(0, len(samples), 3)
        sample = _mosaic([samples[index], *(samples[i] for i in others)], config, rng)
    else:
        height, width = samples[index].image.shape
        sample = _place(samples[index], (width, height), config.scale, config.shift, rng)
    return _photometric(_flip(sample, config, rng), config, rng)


def _place(
    sample: Sample, size: tuple[int, int], scales: tuple[float, float], shift: float, rng: np.random.Generator
) -> Sample:
    """The picture at a random scale, shown through a window of `size` (width, height) placed at random over it."""
    height, width = sample.image.shape
    scale = float(np.exp(rng.uniform(*np.log(scales))))
    offset = np.empty(2, np.float32)
    for axis, (window, extent) in enumerate(zip(size, (width * scale, height * scale), strict=True)):
        slack, extra = window - extent, shift * window
        offset[axis] = rng.uniform(min(slack, 0.0) - extra, max(slack, 0.0) + extra)
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]], np.float32)
    fill = float(sample.image.mean())
    image = cv2.warpAffine(sample.image, matrix, size, flags=cv2.INTER_LINEAR, borderValue=(fill,))
    boxes, labels = clip(sample.boxes * scale + np.tile(offset, 2), sample.labels, size)
    return Sample(sample.name, np.asarray(image, np.uint8), boxes, labels)


def clip(
    boxes: NDArray[np.float32], labels: NDArray[np.int64], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Boxes (G, 4) clipped to `size` (width, height), without those of which too little is left."""
    clipped = np.clip(boxes, 0, np.array([*size, *size], np.float32)).astype(np.float32)
    sides, before = clipped[:, 2:] - clipped[:, :2], boxes[:, 2:] - boxes[:, :2]
    keep = (sides.min(axis=1, initial=np.inf) >= MIN_SIDE) & (sides.prod(axis=1) >= MIN_VISIBLE * before.prod(axis=1))
    return clipped[keep], labels[keep]


def _mosaic(four: Sequence[Sample], config: Augment, rng: np.random.Generator) -> Sample:
    height, width = four[0].image.shape
    x, y = int(width * rng.uniform(0.3, 0.7)), int(height * rng.uniform(0.3, 0.7))
    image = np.empty((height, width), np.uint8)
    boxes, labels = [], []
    for sample, (x1, y1, x2, y2) in zip(
        four, ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)), strict=True
    ):
        tile = _place(sample, (x2 - x1, y2 - y1), config.mosaic_scale, 0.0, rng)
        image[y1:y2, x1:x2] = tile.image
        boxes.append(tile.boxes + np.array([x1, y1, x1, y1], np.float32))
        labels.append(tile.labels)
    return Sample(four[0].name, image, np.concatenate(boxes), np.concatenate(labels))


def _flip(sample: Sample, config: Augment, rng: np.random.Generator) -> Sample:
    height, width = sample.image.shape
    image, boxes = sample.image, sample.boxes
    if rng.random() < config.flip_horizontal:
        image = image[:, ::-1]
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
    if rng.random() < config.flip_vertical:
        image = image[::-1]
        boxes = np.stack([boxes[:, 0], height - boxes[:, 3], boxes[:, 2], height - boxes[:, 1]], axis=1)
    return Sample(sample.name, np.ascontiguousarray(image), boxes, sample.labels)


def _photometric(sample: Sample, config: Augment, rng: np.random.Generator) -> Sample:
    gain, gamma = rng.uniform(*config.gain), float(np.exp(rng.uniform(*np.log(config.gamma))))
    offset = rng.uniform(-config.offset, config.offset)
    levels = 255 * (np.arange(256) / 255) ** gamma
    table = np.clip((levels - 128) * gain + 128 + offset, 0, 255).astype(np.uint8)
    image = np.asarray(cv2.LUT(sample.image, table), np.uint8)
    if config.noise > 0:
        noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(0, config.noise))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return Sample(sample.name, image, sample.boxes, sample.labels)
