"""Average precision as COCO defines it.  numpy only.

Matching, ties, the cap of 100 detections and the 101 recall points are those of the reference implementation
(pycocotools 2.0), to which a test compares the figures; crowds and ignored boxes do not occur here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Hits = NDArray[np.bool_]

COCO_IOUS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 100  # of a class in a picture
MAX_CANDIDATES = 300
SCORE_FLOOR = 0.001  # detections below it do not count


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
    """Average precision, each 0..1.

    Attributes:
        map50, map: means over the classes that occur in the truth, at IoU 0.5 and over all IoUs asked for.
        ap50, ap: the same of each of these classes.
        boxes: how many true boxes each of these classes has.
        images: pictures evaluated.
    """

    map50: float
    map: float
    ap50: dict[str, float]
    ap: dict[str, float]
    boxes: dict[str, int]
    images: int


@dataclass(frozen=True)
class Ranking:
    """All detections of one class by falling score.

    Attributes:
        scores: (D,) descending; equal scores in the order of the pictures.
        hits: (T, D) whether each found a true box, at each of T IoUs.
        pictures: (D,) the index of the picture that each is from.
        positives: (I,) true boxes of the class in each of I pictures.
    """

    scores: Floats
    hits: Hits
    pictures: Ints
    positives: Ints


def pairwise_iou(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """IoU (A, B) of boxes (A, 4) and (B, 4), xyxy; 0 where both are empty.

    In double precision, so that a box which overlaps by exactly a threshold is on its right side.
    """
    first, second = a.astype(np.float64), b.astype(np.float64)
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    inter = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - inter
    overlap: NDArray[np.float64] = np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)
    return overlap


def average_precision(scores: Floats, hits: Hits, positives: int) -> float:
    """101-point interpolated AP of one class over all pictures: scores (D,), whether each found a box (D,)."""
    order = np.argsort(-scores, kind="stable")
    return weighted_precision(hits[order].astype(np.float64), np.ones(len(order)), float(positives))


def weighted_precision(hits: NDArray[np.float64], weights: NDArray[np.float64], positives: float) -> float:
    """101-point interpolated AP where each detection counts ``weights`` times: hits (D,) and weights (D,), ranked.

    Whole weights give what as many copies of the pictures would.

    Raises:
        ValueError: no true box.
    """
    if positives <= 0:
        raise ValueError("average precision of a class without truth is undefined")
    found, seen = np.cumsum(hits * weights), np.cumsum(weights)
    precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(envelope[np.searchsorted(found / positives, RECALL_POINTS, side="left")].mean())


def match(found: Floats, truth: Floats, iou: float) -> Hits:
    """Greedy matching of one class in one picture: boxes (D, 4) by falling score; each truth box is found once."""
    hits: Hits = assign(found, truth, (iou,))[0] >= 0
    return hits


def assign(found: Floats, truth: Floats, ious: Sequence[float]) -> Ints:
    """``match`` at T ious: (T, D), the index of the true box that each detection found, or -1.

    The best free box wins; of equally good ones the last.
    """
    chosen = np.full((len(ious), len(found)), -1, np.int64)
    if not len(truth) or not len(found):
        return chosen
    least = np.minimum(np.array(ious), 1 - 1e-10)
    overlaps = pairwise_iou(found, truth)
    free = np.ones((len(ious), len(truth)), bool)
    for index in np.flatnonzero(overlaps.max(axis=1) >= least.min()).tolist():
        options = np.where(free, overlaps[index], -1.0)
        best = len(truth) - 1 - options[:, ::-1].argmax(axis=1)
        taken = np.flatnonzero(options[np.arange(len(ious)), best] >= least)
        chosen[taken, index] = best[taken]
        free[taken, best[taken]] = False
    return chosen


def rank(found: Sequence[Detections], truth: Sequence[Truth], label: int, ious: Sequence[float] = COCO_IOUS) -> Ranking:
    """Match class ``label`` in every picture, and rank its detections over all of them."""
    scores, hits, pictures = [], [], []
    for picture, (detections, true) in enumerate(zip(found, truth, strict=True)):
        mine = np.flatnonzero(detections.labels == label)[:MAX_DETECTIONS]
        chosen = assign(detections.boxes[mine], true.boxes[true.labels == label], ious)
        scores.append(detections.scores[mine])
        hits.append(chosen >= 0)
        pictures.append(np.full(len(mine), picture, np.int64))
    positives = np.array([int((true.labels == label).sum()) for true in truth], np.int64)
    if not scores:
        return Ranking(np.zeros(0, np.float32), np.zeros((len(ious), 0), bool), np.zeros(0, np.int64), positives)
    joined = np.concatenate(scores)
    order = np.argsort(-joined, kind="stable")
    return Ranking(joined[order], np.concatenate(hits, axis=1)[:, order], np.concatenate(pictures)[order], positives)


def evaluate(
    found: Sequence[Detections], truth: Sequence[Truth], classes: Sequence[str], ious: Sequence[float] = COCO_IOUS
) -> Quality:
    """Average precision of detections, at most 100 of a class in a picture, at ``ious``, of which the first is 0.5.

    Raises:
        ValueError: no true box at all, or ``ious`` does not begin with 0.5.
    """
    rankings = {cls: rank(found, truth, index, ious) for index, cls in enumerate(classes)}
    return quality_of(rankings, ious)


def quality_of(rankings: dict[str, Ranking], ious: Sequence[float] = COCO_IOUS) -> Quality:
    """``evaluate`` for classes that were ranked already."""
    if ious[0] != 0.5:
        raise ValueError(f"the IoUs must begin with 0.5, not {ious[0]}")
    present = {cls: ranking for cls, ranking in rankings.items() if ranking.positives.any()}
    if not present:
        raise ValueError("no truth to evaluate against")
    table = {
        cls: [average_precision(ranking.scores, hits, int(ranking.positives.sum())) for hits in ranking.hits]
        for cls, ranking in present.items()
    }
    ap50 = {cls: values[0] for cls, values in table.items()}
    ap = {cls: float(np.mean(values)) for cls, values in table.items()}
    boxes = {cls: int(ranking.positives.sum()) for cls, ranking in present.items()}
    images = len(next(iter(present.values())).positives)
    return Quality(float(np.mean(list(ap50.values()))), float(np.mean(list(ap.values()))), ap50, ap, boxes, images)
