"""Detection quality: candidates to detections, and COCO-style average precision.  numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

COCO_IOUS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
RECALL_POINTS = np.linspace(0, 1, 101)
MAX_DETECTIONS = 100  # a picture, as in COCO
MAX_CANDIDATES = 300
SCORE_FLOOR = 0.01
NMS_IOU = 0.6


@dataclass(frozen=True)
class Detections:
    """boxes (D, 4) xyxy px, scores (D,) descending, labels (D,)."""

    boxes: Floats
    scores: Floats
    labels: Ints


@dataclass(frozen=True)
class Truth:
    """boxes (G, 4) xyxy px, labels (G,)."""

    boxes: Floats
    labels: Ints


@dataclass(frozen=True)
class Quality:
    """map50 and map are means over the classes that occur in the truth; ap50 maps a class to its AP at IoU 0.5."""

    map50: float
    map: float
    ap50: dict[str, float]
    images: int


def pairwise_iou(a: Floats, b: Floats) -> Floats:
    """IoU (A, B) of boxes (A, 4) and (B, 4), xyxy; 0 where both are empty."""
    overlap = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2]), 0, None)
    inter = overlap.prod(axis=2)
    union = (a[:, 2:] - a[:, :2]).prod(axis=1)[:, None] + (b[:, 2:] - b[:, :2]).prod(axis=1)[None] - inter
    return np.asarray(np.divide(inter, union, out=np.zeros_like(inter), where=union > 0), np.float32)


def detect(boxes: Floats, scores: Floats, floor: float = SCORE_FLOOR, iou: float = NMS_IOU) -> Detections:
    """Best class of each cell, score floor, then class-aware non-maximum suppression.

    boxes (N, 4) decoded xyxy px; scores (N, C) = objectness x class.
    """
    labels, best = scores.argmax(axis=1), scores.max(axis=1)
    order = np.argsort(-best, kind="stable")[:MAX_CANDIDATES]
    order = order[best[order] >= floor]
    boxes, labels, best = boxes[order], labels[order], best[order]
    clash = (pairwise_iou(boxes, boxes) > iou) & (labels[:, None] == labels[None])
    keep = np.ones(len(order), bool)
    for i in range(len(order)):
        if keep[i]:
            keep[i + 1 :] &= ~clash[i, i + 1 :]
    kept = np.flatnonzero(keep)[:MAX_DETECTIONS]
    return Detections(boxes[kept], best[kept], labels[kept].astype(np.int64))


def average_precision(scores: Floats, hits: NDArray[np.bool_], positives: int) -> float:
    """101-point interpolated AP of one class over all pictures: scores (D,), whether each found a box (D,)."""
    if positives == 0:
        raise ValueError("average precision of a class without truth is undefined")
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(hits[order])
    recall = found / positives
    precision = found / np.arange(1, len(order) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, RECALL_POINTS, side="left")
    return float(np.where(at < len(envelope), np.append(envelope, 0.0)[np.minimum(at, len(envelope))], 0.0).mean())


def match(found: Floats, truth: Floats, iou: float) -> NDArray[np.bool_]:
    """Greedy matching of one class in one picture: boxes (D, 4) by falling score; each truth box is found once."""
    overlaps = pairwise_iou(found, truth)
    free = np.ones(len(truth), bool)
    hits = np.zeros(len(found), bool)
    for i, row in enumerate(overlaps):
        candidates = np.where(free, row, -1.0)
        if len(truth) and candidates.max() >= iou:
            free[candidates.argmax()] = False
            hits[i] = True
    return hits


def evaluate(
    found: Sequence[Detections], truth: Sequence[Truth], classes: Sequence[str], ious: Sequence[float] = COCO_IOUS
) -> Quality:
    """mAP@0.5 and mAP over `ious` (0.5 must be among them)."""
    table: dict[str, list[float]] = {}
    for index, cls in enumerate(classes):
        positives = sum(int((t.labels == index).sum()) for t in truth)
        if positives:
            table[cls] = [_class_ap(found, truth, index, positives, iou) for iou in ious]
    if not table:
        raise ValueError("no truth to evaluate against")
    at50 = list(ious).index(0.5)
    ap50 = {cls: values[at50] for cls, values in table.items()}
    mean = float(np.mean([np.mean(values) for values in table.values()]))
    return Quality(float(np.mean(list(ap50.values()))), mean, ap50, len(truth))


def _class_ap(found: Sequence[Detections], truth: Sequence[Truth], index: int, positives: int, iou: float) -> float:
    scores, hits = [], []
    for detections, boxes in zip(found, truth, strict=True):
        mine = detections.labels == index
        scores.append(detections.scores[mine])
        hits.append(match(detections.boxes[mine], boxes.boxes[boxes.labels == index], iou))
    return average_precision(np.concatenate(scores), np.concatenate(hits), positives)
