"""Samples through a network: its input, its detections, and how good they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.core.nms import nms, vote
from edge.dataset import Sample
from edge.quality.average_precision import MAX_CANDIDATES, SCORE_FLOOR, Detections, Truth
from edge.training import network
from edge.training.recipe import Input, Validation


def normalise(grey: Tensor, target: Input) -> Tensor:
    """Grey (B, 1, H, W) float32 0..1 to the network's input (B, 3, H, W), three equal channels before normalisation."""
    mean, std = (torch.tensor(values, device=grey.device).view(1, 3, 1, 1) for values in (target.mean, target.std))
    return ((grey - mean) / std).contiguous(memory_format=torch.channels_last)


def to_grey(samples: Sequence[Sample], device: torch.device) -> Tensor:
    """Pictures (B, 1, H, W) float32 0..1."""
    images = torch.from_numpy(np.stack([s.image for s in samples])).to(device)
    return images.unsqueeze(1).float().div_(255)


def predict(
    model: network.Detector, samples: Sequence[Sample], target: Input, validation: Validation, batch: int = 16
) -> list[Detections]:
    """float32 detections of each sample, down to the lowest score that average precision looks at."""
    model.eval()
    device = next(model.parameters()).device
    found = []
    for start in range(0, len(samples), batch):
        images = normalise(to_grey(samples[start : start + batch], device), target)
        cells, strides = (t.to(device) for t in network.grid(images.shape[2], images.shape[3]))
        with torch.no_grad():
            raw = model(images)
        boxes = network.decode(raw, cells, strides).cpu().numpy()
        scores = (raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid()).cpu().numpy()
        found += [detections(b, s, target, validation) for b, s in zip(boxes, scores, strict=True)]
    return found


def detections(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], target: Input, validation: Validation
) -> Detections:
    """Best class of each cell, best candidates, suppression, voting and clipping, as a station makes them of a package.

    boxes (N, 4) decoded xyxy px; scores (N, C) = objectness x class.
    """
    labels, best = scores.argmax(axis=1), scores.max(axis=1)
    order = np.argsort(-best, kind="stable")[:MAX_CANDIDATES]
    order = order[best[order] >= SCORE_FLOOR]
    boxes, labels, best = boxes[order], labels[order], best[order]
    kept = nms(boxes, best, labels, validation.iou, class_aware=True)
    final = boxes[kept]
    if validation.vote is not None:
        final = vote(boxes, best, labels, kept, validation.vote, class_aware=True)
    # Only now, as a station does: true boxes end at the picture's edge, and suppression looks at whole boxes.
    final = np.clip(final, 0, np.array([target.width, target.height] * 2, np.float32))
    return Detections(final, best[kept], labels[kept].astype(np.int64))


def truth(samples: Sequence[Sample]) -> list[Truth]:
    return [Truth(s.boxes, s.labels) for s in samples]
