"""How far one set of outputs lies from another: lists of candidates, and raw heads.  Pure arithmetic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge.model.package import Heads, Tolerance

BOX_COLUMNS = 4
# What counts at least as the response of a column of the heads, so that one which the golden frames leave silent is
# not judged by the rounding of nothing: of scores 0..1, and of boxes in their own unit (cells or px).
LEAST_SCORE_RESPONSE = 0.02
LEAST_BOX_RESPONSE = 1e-3


@dataclass(frozen=True)
class Comparison:
    """Two lists of candidates compared: largest deviations, and what is wrong, or "" where all is in tolerance.

    ``matched`` and ``flipped`` count, by class, the expected candidates that have a partner of their class, and those
    that have one of another class alone.
    """

    matched: Counter[int] = field(default_factory=Counter)
    flipped: Counter[int] = field(default_factory=Counter)
    score_abs: float = 0.0
    box_px: float = 0.0
    problem: str = ""


def compare(expected: NDArray[np.float32], found: NDArray[np.float32], floor: float, limit: Tolerance) -> Comparison:
    """Compare two (K, 6) lists of candidates, whose order may differ.

    The k-th best score can move no further than the scores themselves, so ranked scores are compared one by one.
    Then each candidate above ``floor`` must have a partner within both tolerances in the other list, both ways, of
    its class or else it counts as flipped.  One that lies within the score tolerance of ``floor``, or of the other
    list's end, may lack a partner.
    """
    if found.shape != expected.shape or not np.isfinite(found).all():
        return Comparison(problem=f"the output is not finite, or {found.shape} instead of {expected.shape}")
    ranked = float(np.abs(np.sort(expected[:, 4]) - np.sort(found[:, 4])).max())
    if ranked > limit.score_abs:
        return Comparison(score_abs=ranked, problem=f"a score is off by {ranked:.4f}, tolerance {limit.score_abs:g}")
    there = _partners(expected, found, floor, limit, "expected and missing")
    back = _partners(found, expected, floor, limit, "found and not expected")
    return Comparison(
        there.matched,
        max(there.flipped, back.flipped, key=Counter.total),
        max(ranked, there.score_abs, back.score_abs),
        max(there.box_px, back.box_px),
        there.problem or back.problem,
    )


def _partners(
    ours: NDArray[np.float32], theirs: NDArray[np.float32], floor: float, limit: Tolerance, fate: str
) -> Comparison:
    """Find for each of ``ours`` that needs one the nearest of ``theirs``, in units of the tolerances."""
    due = ours[ours[:, 4] >= max(floor, float(theirs[:, 4].min())) + limit.score_abs]
    if not len(due):
        return Comparison()
    score_off = np.abs(due[:, None, 4] - theirs[None, :, 4])
    box_off = np.abs(due[:, None, :4] - theirs[None, :, :4]).max(axis=2)
    distance = np.maximum(score_off / limit.score_abs, box_off / limit.box_px)  # 1 is the tolerance
    same_class = due[:, None, 5] == theirs[None, :, 5]
    alike = distance <= 1.0
    matched = (alike & same_class).any(axis=1)
    partnered = alike.any(axis=1)
    problem = ""
    if not partnered.all():
        x1, y1, x2, y2, score, label = due[np.flatnonzero(~partnered)[0]].tolist()
        problem = (
            f"{fate}: class {label:.0f}, score {score:.4f}, box {x1:.1f} {y1:.1f} {x2:.1f} {y2:.1f} px, "
            f"tolerances {limit.score_abs:g} and {limit.box_px:g} px"
        )
    # A partner of the own class is preferred to a nearer one of another.
    partner = np.where(alike & same_class, distance, distance + 1.0).argmin(axis=1)
    each, labels = np.arange(len(due)), due[:, 5].astype(int)
    return Comparison(
        Counter(labels[matched].tolist()),
        Counter(labels[partnered & ~matched].tolist()),
        float(score_off[each, partner].max()),
        float(box_off[each, partner].max()),
        problem,
    )


@dataclass(frozen=True)
class HeadsDeviation:
    """The worst block of the raw heads: its relative deviation, and which level and column it is."""

    relative: float
    level: int
    column: int


def heads_deviation(
    expected: NDArray[np.float32], found: NDArray[np.float32], rows: NDArray[np.int64], form: Heads
) -> HeadsDeviation:
    """Compare raw heads, (F, R, columns) each, of anchors ``rows``, level by level and column by column.

    A block's deviation is the root mean square of found - expected over frames and anchors.  Its response is that of
    expected - its mean over the frames: what the network says about the picture, without the grid and the biases that
    it always says.  Returned is the largest ratio of the two; not finite where ``found`` is not.
    """
    strayed = np.square(found.astype(np.float64) - expected)
    response = np.square(expected.astype(np.float64) - expected.mean(axis=0))
    least = np.full(form.columns, LEAST_SCORE_RESPONSE)
    least[:BOX_COLUMNS] = LEAST_BOX_RESPONSE
    ratios = np.stack(
        [
            np.sqrt(strayed[:, block].mean(axis=(0, 1)))
            / np.maximum(np.sqrt(response[:, block].mean(axis=(0, 1))), least)
            for block in level_blocks(rows, form.levels)
        ]
    )
    ratios[~np.isfinite(ratios)] = np.inf
    level, column = divmod(int(ratios.argmax()), form.columns)
    return HeadsDeviation(float(ratios[level, column]), level, column)


def level_blocks(rows: NDArray[np.int64], levels: Sequence[int]) -> list[slice]:
    """Return, for each level, which of the kept anchors ``rows`` (rising) are its own."""
    ends = np.searchsorted(rows, np.cumsum([0, *levels]))
    return [slice(start, end) for start, end in pairwise(ends.tolist())]
