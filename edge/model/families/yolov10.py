"""YOLOv10, YOLO26 and others without suppression ("NMS-free", "end-to-end").

The network sorts by itself.  Rows, usually 300, best first: x1, y1, x2, y2 in px of the input, score 0..1, class.
"""

from __future__ import annotations

from edge.model.families.base import RGB_0_TO_1, Family, choose_best, corners_problem, write_candidates
from edge.model.onnx_builder import Builder
from edge.model.package import CANDIDATE_WIDTH, Heads, Input

USUAL_ROWS = 300


def heads(_target: Input, _classes: int, _largest_stride: int | None) -> tuple[Heads, ...]:
    """Return the one form; its number of rows is a choice of the export (``max_det``)."""
    return (Heads(columns=CANDIDATE_WIDTH, levels=(USUAL_ROWS,), ranked=True),)


def decode(build: Builder, raw: str, form: Heads, _target: Input, candidates: int) -> None:
    """(1, M, 6) -> (K, 6).  Sorted again: nobody vouches for the order of an export."""
    scores = build.add("Squeeze", build.columns(raw, 4, 5), build.constant([2]))
    best = choose_best(build, raw, form, scores, candidates)
    write_candidates(build, build.columns(best.rows, 0, 4), best.scores, build.columns(best.rows, 5, 6))


YOLOV10 = Family(heads, decode, corners_problem, RGB_0_TO_1, end_to_end=True)
