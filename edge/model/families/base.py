"""What families of networks share: pyramid levels, and the choice of the best candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.model.onnx_builder import PREFIX, Builder
from edge.model.package import CANDIDATES_NAME, Color, Heads, Input

# Strides of pyramid levels, px: as published, with a level more at either end (P6, P2), or one less ("tiny").
STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32))


NORMALISED = 2.0  # px: boxes that are all nearer to the origin are shares of the input

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Normalisation:
    """What a network takes: pixels scaled to 0..1, less ``mean``, over ``std``, in the channel order of ``color``."""

    color: Color
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


RGB_0_TO_1 = Normalisation("rgb8", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@dataclass(frozen=True)
class Family:
    """How the networks of one family are read.

    Attributes:
        heads: of an input, a number of classes and the largest stride, where it is known: every form that the raw
            output may have, the usual one first.  The number of rows of a ranked form is free.
        decode: writes the nodes from the raw output, of one of these forms, to the best K candidates.
        box_problem: of raw rows, (N, columns): why columns 0..3 cannot be what the family has there, or "".
        normalisation: of every network of the family; None where exports differ, so that it must be told.
        end_to_end: the network suppresses by itself; nothing is left to suppress.
    """

    heads: Callable[[Input, int, int | None], tuple[Heads, ...]]
    decode: Callable[[Builder, str, Heads, Input, int], None]
    box_problem: Callable[[Rows], str]
    normalisation: Normalisation | None
    end_to_end: bool = False


def level_sizes(target: Input, strides: Sequence[int]) -> tuple[int, ...]:
    """Return the number of cells of each pyramid level."""
    return tuple((target.height // stride) * (target.width // stride) for stride in strides)


def pyramids(target: Input, largest_stride: int | None) -> tuple[tuple[int, ...], ...]:
    """Return those of ``STRIDES`` that an input can have: its sides are multiples of the largest one."""
    return tuple(
        strides
        for strides in STRIDES
        if largest_stride in (None, strides[-1]) and not target.width % strides[-1] and not target.height % strides[-1]
    )


@dataclass(frozen=True)
class Best:
    """Names of tensors: the best K ``rows`` (1, K, columns), their index ``chosen`` (K,), ``scores`` (1, K, 1)."""

    rows: str
    chosen: str
    scores: str


def choose_best(build: Builder, raw: str, heads: Heads, scores: str, candidates: int) -> Best:
    """Choose the K anchors with the best ``scores``, (1, N), so that only they need decoding.

    One non-finite value anywhere in ``raw`` makes every score non-finite: a sort may lose it, and a network that
    computes nonsense must not pass a part.
    """
    values, index = build.add_many(
        "TopK", (scores, build.constant([candidates])), (f"{PREFIX}scores", f"{PREFIX}chosen"), axis=1, sorted=1
    )
    chosen = build.add("Squeeze", index, build.constant([0]))
    rows = build.add("Gather", raw, chosen, axis=1 if heads.layout == "rows" else 2)
    if heads.layout == "columns":
        rows = build.add("Transpose", rows, perm=[0, 2, 1])
    total = build.add("ReduceSum", raw, build.constant([0, 1, 2]), keepdims=1)
    nothing = build.add("Mul", total, build.constant(np.zeros((1, 1, 1), np.float32)))  # 0, or NaN
    return Best(rows, chosen, build.add("Add", build.add("Unsqueeze", values, build.constant([2])), nothing))


def write_candidates(build: Builder, boxes: str, scores: str, labels: str) -> None:
    """Join boxes (1, K, 4), scores and labels (1, K, 1), all float32, to the output, (K, 6)."""
    table = build.add("Concat", boxes, scores, labels, axis=2)
    build.add("Squeeze", table, build.constant([0]), output=CANDIDATES_NAME)


def centres_problem(rows: Rows) -> str:
    """Tell why boxes are no centre x, y, w, h in px, or return "".

    Anchors lie all over the input, so that some centres are far from the origin, and some boxes smaller than that.
    """
    if float(np.abs(rows[:, :4]).max()) <= NORMALISED:
        return "all boxes lie within 2 px of the origin, as if they were shares of the input"
    if (rows[:, 2:4] >= rows[:, :2]).all():
        return "no box is smaller than its centre is far, as if it were given by two corners"
    return ""


def corners_problem(rows: Rows) -> str:
    """Tell why boxes are no x1, y1, x2, y2 in px, or return ""."""
    if float(np.abs(rows[:, :4]).max()) <= NORMALISED:
        return "all boxes lie within 2 px of the origin, as if they were shares of the input"
    if float((rows[:, 2:4] < rows[:, :2]).any(axis=1).mean()) > 0.5:
        return "most boxes end before they begin, as if they were given by centre and sides"
    return ""
