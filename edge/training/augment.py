"""Geometric and photometric augmentation of whole batches, by kornia, on the device that trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import kornia.augmentation as K
import torch
from torch import Tensor, nn

from edge.training.compose import MIN_SIDE, MIN_VISIBLE
from edge.training.recipe import Augment


class Augmentation:
    """Varies a batch of pictures, each by its own draw from torch's default generator."""

    def __init__(self, config: Augment) -> None:
        place: list[K.AugmentationBase2D] = []
        if config.flip_horizontal:
            place.append(K.RandomHorizontalFlip(p=config.flip_horizontal))
        if config.flip_vertical:
            place.append(K.RandomVerticalFlip(p=config.flip_vertical))
        if config.turn:
            place.append(K.RandomRotation90((1, 1), p=config.turn, align_corners=True))
        shift = (config.shift, config.shift)
        # Bicubic keeps the fine texture that is validated on: bilinear halves its power (0.2 cycles a px and above).
        place.append(K.RandomAffine(config.rotate, shift, config.scale, resample="bicubic", align_corners=True, p=1.0))
        place.append(K.RandomContrast(config.gain, clip_output=False, p=1.0))
        self._place = K.AugmentationSequential(*place, data_keys=["input"])
        offset = config.offset / 255
        light: list[K.AugmentationBase2D] = [
            K.RandomBrightness((1 - offset, 1 + offset), p=1.0),
            K.RandomGamma(config.gamma, p=1.0),
        ]
        if config.noise:
            light.append(K.RandomGaussianNoise(std=config.noise / 255, p=0.5))
        self._light = K.AugmentationSequential(*light, data_keys=["input"])

    def __call__(self, images: Tensor, boxes: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B, 1, H, W) float32 0..1, boxes (B, G, 4) xyxy px and which of them are valid (B, G), varied.

        What comes in from outside a picture has the picture's mean.
        """
        with torch.no_grad():
            mean = images.mean(dim=(1, 2, 3), keepdim=True)
            images = self._place(images - mean)
            matrix = cast(Tensor, self._place.transform_matrix)
            boxes, valid = placed(boxes, valid, matrix, images.shape[-1], images.shape[-2])
            return self._light((images + mean).clamp(0, 1)).clamp(0, 1), boxes, valid


def placed(boxes: Tensor, valid: Tensor, matrix: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Hulls of boxes (B, G, 4) under `matrix` (B, 3, 3) between pixel centres, clipped; small remainders are not valid.

    The centre of pixel 0 is 0 for the matrix and 0.5 for boxes, whose edges lie between pixels.
    """
    x, y = boxes[..., [0, 2, 2, 0]] - 0.5, boxes[..., [1, 1, 3, 3]] - 0.5
    corners = torch.stack((x, y, torch.ones_like(x)), dim=-1)
    moved = corners @ matrix[:, None].transpose(-1, -2)
    moved = moved[..., :2] + 0.5
    hulls = torch.cat((moved.amin(-2), moved.amax(-2)), dim=-1)
    limit = torch.tensor([width, height] * 2, dtype=hulls.dtype, device=hulls.device)
    clipped = torch.minimum(hulls.clamp(min=0), limit)
    sides, before = clipped[..., 2:] - clipped[..., :2], hulls[..., 2:] - hulls[..., :2]
    seen = (sides.amin(-1) >= MIN_SIDE) & (sides.prod(-1) >= MIN_VISIBLE * before.prod(-1))
    return clipped, valid & seen


def padded(boxes: Sequence[Tensor], labels: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (B, G, 4), labels (B, G) and which of them are valid (B, G), from each picture's own number of boxes."""
    most = max(len(own) for own in labels)
    valid = torch.zeros(len(labels), most, dtype=torch.bool)
    for row, own in zip(valid, labels, strict=True):
        row[: len(own)] = True
    return (
        nn.utils.rnn.pad_sequence(list(boxes), batch_first=True),
        nn.utils.rnn.pad_sequence(list(labels), batch_first=True),
        valid,
    )
