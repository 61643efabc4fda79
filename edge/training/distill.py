"""Distillation: the mean answer of several trained detectors as soft targets (Hinton et al. 2015), cell by cell."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edge.training import network
from edge.training.loss import cross_entropy, iou_giou
from edge.training.recipe import Distill, Loss, Recipe
from edge.training.state import finished

_X, _Y = 3, 2  # axes of a batch of pictures
_MIRRORS: tuple[tuple[int, ...], ...] = ((), (_X,), (_Y,), (_X, _Y))


class Soft(NamedTuple):
    """boxes (B, N, 4) xyxy px; objectness (B, N) and classes (B, N, C), 0..1."""

    boxes: Tensor
    objectness: Tensor
    classes: Tensor


class Teachers:
    """Finished trainings, which answer together for every cell of a batch."""

    def __init__(self, config: Distill, recipe: Recipe, device: torch.device) -> None:
        """Loads each folder's weights.  Raises errors.ConfigError for one that may not teach; see `finished`."""
        key = "distill.teachers"
        self._models = [finished(Path(folder), recipe, key).to(device).eval() for folder in config.teachers]
        self._mirrors = _MIRRORS if config.mirrored else _MIRRORS[:1]

    def __call__(self, images: Tensor, cells: Tensor, strides: Tensor) -> Soft:
        """The answers' mean, boxes weighted by objectness; images (B, 3, H, W) normalised."""
        answers = [_answer(model, images, cells, strides, mirror) for model in self._models for mirror in self._mirrors]
        votes = torch.stack([answer.objectness for answer in answers])
        boxes = torch.stack([answer.boxes for answer in answers])
        shares = (votes / votes.sum(0))[..., None]
        classes = torch.stack([answer.classes for answer in answers]).mean(0)
        return Soft((boxes * shares).sum(0), votes.mean(0), classes)


def _answer(model: nn.Module, images: Tensor, cells: Tensor, strides: Tensor, mirror: tuple[int, ...]) -> Soft:
    """What a model says of the pictures mirrored along the axes `mirror`, put back to the pictures as they are."""
    with torch.no_grad(), network.autocast(images.device):
        raw = model(images.flip(mirror))
    raw = raw.float()
    boxes, scores = network.decode(raw, cells, strides), raw[..., 4:].sigmoid()
    for axis in mirror:
        size, low = images.shape[axis], 0 if axis == _X else 1
        # A level's cells lie row by row, so the next along y is as far off as a row is long.
        step = 1.0 if axis == _X else images.shape[_X] / strides[:, 0]
        here = cells[:, low]
        there = torch.arange(len(cells), device=cells.device) + (size / strides[:, 0] - 1 - 2 * here) * step
        boxes, scores = boxes[:, there.long()], scores[:, there.long()]
        boxes[..., [low, low + 2]] = size - boxes[..., [low + 2, low]]
    return Soft(boxes, scores[..., 0], scores[..., 1:])


def distillation_loss(raw: Tensor, soft: Soft, cells: Tensor, strides: Tensor, config: Loss) -> Tensor:
    """Loss of raw output (B, N, 5 + C) against soft targets.

    Objectness counts in every cell; boxes and classes count as far as the teachers see something there.
    """
    raw = raw.float()
    weight = soft.objectness * soft.classes.amax(-1)
    count = weight.sum().clamp(min=1.0)
    _, giou = iou_giou(network.decode(raw, cells, strides), soft.boxes)
    box = ((1 - giou) * weight).sum() / count
    objectness = cross_entropy(raw[..., 4], soft.objectness, config.objectness_gamma).sum() / count
    classes = (cross_entropy(raw[..., 5:], soft.classes, config.class_gamma).sum(-1) * weight).sum() / count
    return config.box * box + objectness + classes
