"""YOLOv8, YOLO11 and others with their head (YOLO12, YOLO26 with suppression left out), exported without suppression.

Columns, one an anchor point: centre x, y, w, h in px of the input, then class scores 0..1.  Score = best class.
"""

from __future__ import annotations

from edge.model.families.base import (
    RGB_0_TO_1,
    Family,
    centres_problem,
    choose_best,
    level_sizes,
    pyramids,
    write_candidates,
)
from edge.model.onnx_builder import FLOAT, Builder
from edge.model.package import Heads, Input


def heads(target: Input, classes: int, largest_stride: int | None) -> tuple[Heads, ...]:
    """Return a form for each pyramid that the input's sides allow."""
    return tuple(
        Heads(columns=4 + classes, levels=level_sizes(target, strides), layout="columns")
        for strides in pyramids(target, largest_stride)
    )


def decode(build: Builder, raw: str, form: Heads, _target: Input, candidates: int) -> None:
    """(1, 4 + classes, N) -> (K, 6).  Only the best K are transposed."""
    scores = build.largest(build.columns(raw, 4, form.columns, axis=1), axis=1)
    best = choose_best(build, raw, form, scores, candidates)
    boxes = build.corners(build.columns(best.rows, 0, 2), build.columns(best.rows, 2, 4))
    labels = build.add("ArgMax", build.columns(best.rows, 4, form.columns), axis=2, keepdims=1)
    write_candidates(build, boxes, best.scores, build.add("Cast", labels, to=FLOAT))


YOLOV8 = Family(heads, decode, centres_problem, RGB_0_TO_1)
