"""YOLOv5 and YOLOv7, exported with their decoding (YOLOv7: ``--grid``), without suppression.

Rows, one an anchor box (three a cell): centre x, y, w, h in px of the input, objectness and class scores, both 0..1.
Score = objectness x best class.
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

ANCHORS = 3  # boxes a cell


def heads(target: Input, classes: int, largest_stride: int | None) -> tuple[Heads, ...]:
    """Return a form for each pyramid that the input's sides allow."""
    return tuple(
        Heads(columns=5 + classes, levels=tuple(ANCHORS * cells for cells in level_sizes(target, strides)))
        for strides in pyramids(target, largest_stride)
    )


def decode(build: Builder, raw: str, form: Heads, _target: Input, candidates: int) -> None:
    """(1, N, 5 + classes) -> (K, 6)."""
    objectness = build.add("Squeeze", build.columns(raw, 4, 5), build.constant([2]))
    scores = build.add("Mul", objectness, build.largest(build.columns(raw, 5, form.columns)))
    best = choose_best(build, raw, form, scores, candidates)
    boxes = build.corners(build.columns(best.rows, 0, 2), build.columns(best.rows, 2, 4))
    labels = build.add("ArgMax", build.columns(best.rows, 5, form.columns), axis=2, keepdims=1)
    write_candidates(build, boxes, best.scores, build.add("Cast", labels, to=FLOAT))


YOLOV5 = Family(heads, decode, centres_problem, RGB_0_TO_1)
