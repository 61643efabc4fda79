"""Average precision: by hand, against the reference implementation, and under weights."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.quality import average_precision as ap
from tests.support_hypothesis import usual

CLASSES = ("a", "b", "c")


def one_class(scores: list[float], hits: list[bool], positives: int) -> float:
    return ap.average_precision(np.array(scores, np.float32), np.array(hits, bool), positives)


def test_average_precision_by_hand() -> None:
    assert one_class([], [], 3) == 0.0
    assert one_class([0.9, 0.8], [True, True], 2) == 1.0
    # Recall points 0 .. 0.50 have precision 1, those above none.
    assert one_class([0.9], [True], 2) == pytest.approx(51 / 101)
    # A miss between two hits: precision 1 up to recall 0.5, then 2/3 up to 1.
    assert one_class([0.9, 0.8, 0.7], [True, False, True], 2) == pytest.approx((51 + 50 * 2 / 3) / 101)
    # Order goes by score, whatever the order given.
    assert one_class([0.7, 0.9, 0.8], [True, True, False], 2) == pytest.approx((51 + 50 * 2 / 3) / 101)
    with pytest.raises(ValueError, match="without truth"):
        one_class([0.5], [False], 0)


def test_matching_takes_the_best_free_box_once_and_counts_the_threshold_in() -> None:
    truth = np.array([[0, 0, 10, 10]], np.float32)
    found = np.array([[0, 0, 10, 5], [0, 0, 10, 10]], np.float32)
    assert ap.match(found, truth, 0.5).tolist() == [True, False]
    assert ap.match(found, truth, 0.51).tolist() == [False, True]
    assert ap.match(found, np.zeros((0, 4), np.float32), 0.5).tolist() == [False, False]
    assert ap.match(np.zeros((0, 4), np.float32), truth, 0.5).tolist() == []


def test_an_overlap_of_exactly_a_threshold_counts() -> None:
    truth = np.array([[0, 0, 10, 10]], np.float32)
    for percent in (50, 55, 60, 65, 70, 75, 80, 90, 95):
        found = np.array([[0, 0, 10, percent / 10]], np.float32)
        assert ap.pairwise_iou(found, truth)[0, 0] == pytest.approx(percent / 100, abs=1e-7)
    assert ap.match(np.array([[0, 0, 10, 6]], np.float32), truth, 0.6).all()  # single precision would lose this one


def test_map_averages_classes_with_truth_and_thresholds() -> None:
    truth = [ap.Truth(np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32), np.array([0, 1]))]
    boxes = np.array([[0, 0, 10, 8], [50, 50, 60, 60]], np.float32)
    found = [ap.Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 2]))]
    quality = ap.evaluate(found, truth, CLASSES)
    assert quality.ap50 == {"a": 1.0, "b": 0.0}
    assert quality.boxes == {"a": 1, "b": 1}
    assert quality.map50 == 0.5
    assert quality.map == pytest.approx(0.5 * 7 / 10)  # IoU 0.8 counts at 0.5, 0.55, ..., 0.8
    assert quality.ap["a"] == pytest.approx(0.7)
    with pytest.raises(ValueError, match="no truth"):
        ap.evaluate([], [], ("a",))
    with pytest.raises(ValueError, match=r"begin with 0\.5"):
        ap.evaluate(found, truth, CLASSES, (0.75, 0.5))


def random_data(seed: int, images: int = 25, step: float = 0.0) -> tuple[list[ap.Detections], list[ap.Truth]]:
    """Detections near true boxes, away from them, of the wrong class, and many of one class; ``step`` rounds scores."""
    random = np.random.default_rng(seed)
    found, truth = [], []
    for image in range(images):
        count = int(random.integers(0, 6))
        low = random.integers(0, 150, (count, 2))
        true = np.concatenate([low, low + random.integers(5, 50, (count, 2))], axis=1).astype(np.float32)
        labels = random.integers(0, 2, count)  # the last class never occurs
        spurious = 250 if image == 0 else int(random.integers(0, 8))
        spread = random.integers(0, 150, (spurious, 2))
        near = np.repeat(true, 3, axis=0) + random.integers(-4, 5, (3 * count, 4))
        boxes = np.concatenate([near, np.concatenate([spread, spread + 20], axis=1)]).astype(np.float32)
        guessed = np.where(random.random(3 * count) < 0.85, np.repeat(labels, 3), 2)
        classes = np.concatenate([guessed, random.integers(0, 3, spurious) if image else np.zeros(spurious, np.int64)])
        keep: NDArray[np.bool_] = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
        scores: NDArray[np.float64] = random.random(len(boxes))
        if step:
            scores = np.rint(scores / step) * step
        order = np.argsort(-scores.astype(np.float32), kind="stable")
        order = order[keep[order]]
        found.append(ap.Detections(boxes[order], scores[order].astype(np.float32), classes[order].astype(np.int64)))
        truth.append(ap.Truth(true, labels.astype(np.int64)))
    return found, truth


def reference(found: list[ap.Detections], truth: list[ap.Truth]) -> tuple[Any, Any]:
    """pycocotools' summary (12,) and precision (T, R, K, A, M) on the same data."""
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")

    def xywh(box: Any) -> list[float]:
        x1, y1, x2, y2 = (float(v) for v in box)
        return [x1, y1, x2 - x1, y2 - y1]

    annotations = [
        {"image_id": i, "category_id": int(label) + 1, "bbox": xywh(box), "area": 1.0, "iscrowd": 0}
        for i, true in enumerate(truth, 1)
        for box, label in zip(true.boxes, true.labels, strict=True)
    ]
    results = [
        {"image_id": i, "category_id": int(label) + 1, "bbox": xywh(box), "score": float(score)}
        for i, seen in enumerate(found, 1)
        for box, score, label in zip(seen.boxes, seen.scores, seen.labels, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        base = coco.COCO()
        base.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(1, len(truth) + 1)],
            "categories": [{"id": i} for i in range(1, len(CLASSES) + 1)],
            "annotations": [{"id": i, **annotation} for i, annotation in enumerate(annotations, 1)],
        }
        base.createIndex()
        run = cocoeval.COCOeval(base, base.loadRes(results), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats, run.eval["precision"]


@pytest.mark.parametrize("step", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(4))
def test_the_figures_are_those_of_pycocotools(seed: int, step: float) -> None:
    found, truth = random_data(seed, step=step)
    stats, precision = reference(found, truth)
    quality = ap.evaluate(found, truth, CLASSES)
    assert 0.1 < quality.map < 0.9  # neither nothing nor everything was found
    assert quality.map == pytest.approx(stats[0], abs=1e-6)
    assert quality.map50 == pytest.approx(stats[1], abs=1e-6)
    for label, cls in enumerate(CLASSES[:2]):
        assert quality.ap[cls] == pytest.approx(precision[:, :, label, 0, 2].mean(), abs=1e-6)
        assert quality.ap50[cls] == pytest.approx(precision[0, :, label, 0, 2].mean(), abs=1e-6)
    assert "c" not in quality.ap


def test_of_equally_good_boxes_the_last_is_taken_as_there() -> None:
    truth = [ap.Truth(np.array([[0, 0, 10, 10], [4, 0, 14, 10]], np.float32), np.array([0, 0]))]
    between_then_right = np.array([[2, 0, 12, 10], [5, 0, 15, 10]], np.float32)
    found = [ap.Detections(between_then_right, np.array([0.9, 0.8], np.float32), np.array([0, 0]))]
    assert ap.evaluate(found, truth, CLASSES).map50 == pytest.approx(reference(found, truth)[0][1], abs=1e-6)


@given(st.integers(0, 10_000), st.lists(st.integers(0, 3), min_size=8, max_size=8))
@usual(40)
def test_a_weight_counts_as_that_many_copies_of_a_picture(seed: int, copies: list[int]) -> None:
    found, truth = random_data(seed, images=8)
    ranking = ap.rank(found, truth, 0, (0.5,))
    many = [index for index, count in enumerate(copies) for _ in range(count)]
    repeated = ap.rank([found[i] for i in many], [truth[i] for i in many], 0, (0.5,))
    weights = np.array(copies, np.float64)
    positives = float(weights @ ranking.positives)
    if not positives:
        return
    weighted = ap.weighted_precision(ranking.hits[0].astype(np.float64), weights[ranking.pictures], positives)
    expected = ap.average_precision(repeated.scores, repeated.hits[0], int(repeated.positives.sum()))
    assert weighted == pytest.approx(expected, abs=1e-12)
