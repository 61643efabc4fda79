"""Distillation: the mean answer of several trained detectors as soft targets (Hinton et al. 2015), cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from edge.training import network
from edge.training.loss import cross_entropy, iou_giou
from edge.training.recipe import Loss
from edge.training.state import finished


class Soft(NamedTuple):
    """boxes (B, N, 4) xyxy px; objectness (B, N) and classes (B, N, C), 0..1."""

    boxes: Tensor
    objectness: Tensor
    classes: Tensor


class Teachers:
    """Finished trainings, which answer together for every cell of a batch."""

    def __init__(self, folders: Sequence[str], classes: Sequence[str], device: torch.device) -> None:
        """Loads each folder's weights.  Raises errors.ConfigError for one that is no finished training of `classes`."""
        self._models = [finished(Path(folder), classes).to(device).eval() for folder in folders]

    def __call__(self, images: Tensor, cells: Tensor, strides: Tensor) -> Soft:
        """Scores are the teachers' mean, boxes their mean weighted by objectness; images (B, 3, H, W) normalised."""
        boxes, objectness, classes = [], [], []
        for model in self._models:
            with torch.no_grad(), network.autocast(images.device):
                raw = model(images)
            raw = raw.float()
            boxes.append(network.decode(raw, cells, strides))
            objectness.append(raw[..., 4].sigmoid())
            classes.append(raw[..., 5:].sigmoid())
        votes = torch.stack(objectness)
        shares = (votes / votes.sum(0))[..., None]
        return Soft((torch.stack(boxes) * shares).sum(0), votes.mean(0), torch.stack(classes).mean(0))


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
