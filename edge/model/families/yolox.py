"""YOLOX (arXiv 2107.08430), exported without its decoding (``decode_in_inference`` off).

Raw rows, one an anchor: x and y from the cell's corner in cells, logarithms of w and h in strides, objectness and class
scores, both 0..1.  By the network's definition xy = (xy + grid) stride, wh = exp(wh) stride, score = objectness x best
class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.model.families.base import Family, Rows, choose_best, level_sizes, pyramids, write_candidates
from edge.model.onnx_builder import FLOAT, Builder
from edge.model.package import Heads, Input

STRIDES = (8, 16, 32)
FAR_CELLS = 8.0  # a box belongs to the cell in which its centre lies, or to one next to it


def heads(target: Input, classes: int, largest_stride: int | None) -> tuple[Heads, ...]:
    """Return the one form of a YOLOX head, if the input's sides allow it."""
    if STRIDES not in pyramids(target, largest_stride):
        return ()
    return (Heads(columns=5 + classes, levels=level_sizes(target, STRIDES)),)


def decode(build: Builder, raw: str, form: Heads, target: Input, candidates: int) -> None:
    """(1, N, 5 + classes) -> (K, 6).  The best K are taken first and only they are decoded."""
    grid, strides = anchors(target)
    objectness = build.add("Squeeze", build.columns(raw, 4, 5), build.constant([2]))
    scores = build.add("Mul", objectness, build.largest(build.columns(raw, 5, form.columns)))
    best = choose_best(build, raw, form, scores, candidates)
    stride = build.add("Gather", build.constant(strides), best.chosen, axis=1)
    cells = build.add("Gather", build.constant(grid), best.chosen, axis=1)
    centres = build.add("Mul", build.add("Add", build.columns(best.rows, 0, 2), cells), stride)
    sides = build.add("Mul", build.add("Exp", build.columns(best.rows, 2, 4)), stride)
    labels = build.add("ArgMax", build.columns(best.rows, 5, form.columns), axis=2, keepdims=1)
    write_candidates(build, build.corners(centres, sides), best.scores, build.add("Cast", labels, to=FLOAT))


def box_problem(rows: Rows) -> str:
    """Tell why boxes are not relative to their cells, or return ""."""
    offset = float(np.median(np.abs(rows[:, :2])))
    if offset > FAR_CELLS:
        return f"half of the boxes lie {offset:.0f} cells or more from their own, as if they were decoded already"
    return ""


def anchors(target: Input) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the grid, (1, N, 2) cells as x, y, and the strides, (1, N, 1) px: levels in order, each row by row."""
    grids, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[0 : target.height // stride, 0 : target.width // stride]
        grids.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((x.size, 1), stride))
    return np.concatenate(grids)[None].astype(np.float32), np.concatenate(strides)[None].astype(np.float32)


# Exports take RGB or BGR, 0..255 or normalised, by the version of the training code: it must be told.
YOLOX = Family(heads, decode, box_problem, normalisation=None)
