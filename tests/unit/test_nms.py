from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.core.nms import iou_matrix, nms, vote


def arrays(
    rows: Sequence[tuple[float, float, float, float, float, int]],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
    table = np.array(rows, np.float32).reshape(-1, 6)
    return table[:, :4], table[:, 4], table[:, 5].astype(np.intp)


def reference(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], classes: NDArray[np.intp], iou: float, aware: bool
) -> list[int]:
    """Greedy suppression written as its definition, one pair at a time."""
    kept: list[int] = []
    for candidate in sorted(range(len(scores)), key=lambda i: (-float(scores[i]), i)):
        pairs = (
            iou_matrix(boxes[[candidate]], boxes[[k]])[0, 0]
            for k in kept
            if not aware or classes[k] == classes[candidate]
        )
        if all(not overlap > iou for overlap in pairs):
            kept.append(candidate)
    return kept


coordinate = st.integers(0, 12)
rows = st.lists(
    st.tuples(
        coordinate, coordinate, coordinate, coordinate, st.integers(0, 4).map(lambda v: v / 4), st.integers(0, 2)
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(rows, st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans())
def test_equals_the_brute_force_definition(
    table: list[tuple[float, float, float, float, float, int]], iou: float, aware: bool
) -> None:
    boxes, scores, classes = arrays(table)
    assert nms(boxes, scores, classes, iou, aware).tolist() == reference(boxes, scores, classes, iou, aware)


def test_empty_input_gives_empty_output() -> None:
    boxes, scores, classes = arrays([])
    kept = nms(boxes, scores, classes, 0.5, True)
    assert kept.shape == (0,)
    assert kept.dtype == np.intp


def test_iou_of_known_boxes() -> None:
    boxes, _, _ = arrays([(0, 0, 10, 10, 1, 0), (5, 0, 15, 10, 1, 0), (20, 20, 20, 20, 1, 0)])
    expected = np.array([[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose(iou_matrix(boxes, boxes), expected, rtol=1e-6)


def test_overlap_of_exactly_the_limit_stays() -> None:
    boxes, scores, classes = arrays([(0, 0, 2, 2, 0.9, 0), (0, 0, 2, 1, 0.8, 0)])  # IoU is exactly 0.5
    assert nms(boxes, scores, classes, 0.5, True).tolist() == [0, 1]
    assert nms(boxes, scores, classes, 0.499, True).tolist() == [0]


def test_classes_suppress_each_other_only_when_asked() -> None:
    boxes, scores, classes = arrays([(0, 0, 4, 4, 0.8, 0), (0, 0, 4, 4, 0.9, 1)])
    assert nms(boxes, scores, classes, 0.5, class_aware=True).tolist() == [1, 0]
    assert nms(boxes, scores, classes, 0.5, class_aware=False).tolist() == [1]


def test_a_suppressed_candidate_suppresses_nothing() -> None:
    chain = [(0, 0, 10, 10, 0.9, 0), (4, 0, 14, 10, 0.8, 0), (8, 0, 18, 10, 0.7, 0)]
    boxes, scores, classes = arrays(chain)
    assert nms(boxes, scores, classes, 0.3, True).tolist() == [0, 2]


def test_the_axes_of_boxes_that_are_not_square() -> None:
    boxes, _, _ = arrays([(0, 0, 20, 5, 1, 0), (10, 1, 30, 7, 1, 0), (10, 6, 12, 8, 1, 0)])
    overlap = 10 * 4
    expected = overlap / (100 + 120 - overlap)
    found = iou_matrix(boxes, boxes)
    np.testing.assert_allclose(found[0, 1], expected, rtol=1e-6)
    np.testing.assert_allclose(found[0, 2], 0.0)
    np.testing.assert_allclose(found[1, 2], 2 * 1 / (120 + 4 - 2), rtol=1e-6)
    np.testing.assert_allclose(found, found.T)


def test_a_box_turned_inside_out_overlaps_nothing() -> None:
    boxes, _, _ = arrays([(0, 0, 10, 10, 1, 0), (8, 8, 2, 2, 1, 0), (8, 2, 2, 8, 1, 0)])
    assert iou_matrix(boxes, boxes)[0].tolist() == [1.0, 0.0, 0.0]


def test_boxes_smaller_than_a_pixel_overlap_as_large_ones_do() -> None:
    boxes, _, _ = arrays([(0, 0, 0.5, 0.25, 1, 0), (0.25, 0, 0.75, 0.25, 1, 0)])
    np.testing.assert_allclose(iou_matrix(boxes, boxes), [[1, 1 / 3], [1 / 3, 1]], rtol=1e-6)


def test_where_nothing_is_there_nothing_overlaps_whatever_the_memory_held() -> None:
    boxes, _, _ = arrays([(5, 5, 5, 5, 1, 0)] * 40)
    for _ in range(20):
        used = [np.full((40, 40), 7.0, np.float32) for _ in range(8)]
        del used
        assert not iou_matrix(boxes, boxes).any()


def test_a_box_moves_to_the_mean_of_those_that_overlap_it_by_score() -> None:
    boxes, scores, classes = arrays(
        [(0, 0, 10, 10, 0.75, 0), (2, 0, 12, 10, 0.25, 0), (0, 0, 10, 10, 0.5, 1), (40, 0, 50, 10, 0.5, 0)]
    )
    kept = nms(boxes, scores, classes, 0.5, True)
    moved = vote(boxes, scores, classes, kept, 0.5, True)
    assert kept.tolist() == [0, 2, 3]
    np.testing.assert_allclose(moved, [[0.5, 0, 10.5, 10], [0, 0, 10, 10], [40, 0, 50, 10]])
    across = vote(boxes, scores, classes, kept[:1], 0.5, False)
    np.testing.assert_allclose(across, [[1 / 3, 0, 10 + 1 / 3, 10]], rtol=1e-6)


@settings(max_examples=200, deadline=None)
@given(rows, st.sampled_from([0.0, 0.5, 1.0]), st.booleans())
def test_a_moved_box_lies_within_its_voters(
    table: list[tuple[float, float, float, float, float, int]], iou: float, aware: bool
) -> None:
    boxes, scores, classes = arrays(table)
    kept = nms(boxes, scores, classes, iou, aware)
    moved = vote(boxes, scores, classes, kept, iou, aware)
    assert moved.shape == (len(kept), 4)
    if iou == 1.0:
        np.testing.assert_allclose(moved, boxes[kept], rtol=1e-6, err_msg="nothing overlaps by more than all of it")
    if len(boxes):
        assert (moved >= boxes.min(axis=0) - 1e-4).all()
        assert (moved <= boxes.max(axis=0) + 1e-4).all()
