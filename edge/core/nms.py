"""Exact greedy non-maximum suppression over the few candidates that survive the score threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LEAST = 1e-6  # of a vote: a box without a score still stays where it is


def iou_matrix(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (M, N) intersection over union of ``boxes`` (M, 4) and ``others`` (N, 4): float32, xyxy, px.

    Empty unions give 0.
    """
    left, top, right, bottom = boxes.T[:, :, None]
    left_, top_, right_, bottom_ = others.T[:, None, :]
    wide = np.maximum(np.minimum(right, right_) - np.maximum(left, left_), 0.0)
    high = np.maximum(np.minimum(bottom, bottom_) - np.maximum(top, top_), 0.0)
    overlap = wide * high
    union = _areas(boxes)[:, None] + _areas(others)[None, :] - overlap
    result: NDArray[np.float32] = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return result


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    areas: NDArray[np.float32] = sides[:, 0] * sides[:, 1]
    return areas


def nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.integer],
    iou: float,
    class_aware: bool,
) -> NDArray[np.intp]:
    """Return the indices that greedy suppression keeps, by falling score; equal scores keep their input order.

    A candidate is dropped if its overlap with a kept one of higher rank is *above* ``iou``.

    Args:
        boxes: (N, 4) float32, xyxy, px.
        scores: (N,) float32, finite.
        classes: (N,) integer class indices.
        iou: largest overlap, 0..1, at which both of two candidates stay.
        class_aware: only candidates of the same class suppress one another.

    Time and memory grow with N squared, so threshold first: N is at most the network's K candidates.
    """
    order: NDArray[np.intp] = np.argsort(-scores, kind="stable")
    if len(order) < 2:
        return order
    ranked = boxes[order]
    suppresses = iou_matrix(ranked, ranked) > iou
    if class_aware:
        ranked_classes = classes[order]
        suppresses &= ranked_classes[:, None] == ranked_classes[None, :]
    alive = np.ones(len(order), np.bool_)
    for rank in range(len(order) - 1):
        if alive[rank]:
            alive[rank + 1 :] &= ~suppresses[rank, rank + 1 :]
    return order[alive]


def vote(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.integer],
    kept: NDArray[np.intp],
    iou: float,
    class_aware: bool,
) -> NDArray[np.float32]:
    """Return the boxes of ``kept``, each moved to the mean, weighted by score, of all candidates that overlap it.

    Box voting, Gidaris and Komodakis 2015 ("Object detection via a multi-region and semantic segmentation-aware CNN
    model"): neighbouring cells of a texture without sharp ends each place its box a little differently.

    Args:
        boxes, scores, classes, class_aware: as for ``nms``.
        kept: (M,) indices that ``nms`` kept.
        iou: overlap with a kept box, 0..1, above which a candidate has a vote; the kept box itself always has one.

    Returns:
        (M, 4) float32, xyxy, px.
    """
    votes = iou_matrix(boxes[kept], boxes) > iou
    if class_aware:
        votes &= classes[kept][:, None] == classes[None, :]
    votes[np.arange(len(kept)), kept] = True
    weights = np.where(votes, np.maximum(scores, _LEAST).astype(np.float64), 0.0)
    return np.asarray(weights @ boxes / weights.sum(axis=1, keepdims=True), np.float32)
