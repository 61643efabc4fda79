"""Probability of detection (POD) against the size of a defect.

The hit/miss model of MIL-HDBK-1823A: logit POD(a) = b0 + b1 ln a.  a90 is the size that is found nine times out of ten,
and a90/95 its upper bound with 95 % confidence, by the profile of the likelihood: the largest size a for which the best
curve through POD(a) = 0.9 lies no more than ``CRITICAL`` / 2 below the best of all.

The likelihood carries Firth's penalty (Biometrika 80, 1993; for profiles Heinze and Schemper, Statistics in Medicine
21, 2002), which removes the first-order bias of the slope.  Without it the slope comes out too steep, and the bound
covered the true a90 in 92, 93 and 94 % of 2,000 simulated experiments with 50, 100 and 300 boxes; with it in 97, 96
and 96 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import MissingExtra
from edge.quality.average_precision import Detections, Truth, assign
from edge.quality.intervals import Proportion

Values = NDArray[np.float64]
Measure = Literal["sqrt_area", "longer_side"]
Status = Literal["fitted", "separated", "no_slope", "all_found", "none_found", "no_boxes"]

CRITICAL = 2.705543454095404  # 90 % quantile of chi-squared with one degree of freedom: 95 % on one side
RECOMMENDED_BOXES = 60  # the handbook's least number of targets for hit/miss data
FOUND_IOU = 0.5
FARTHEST = log(10)  # a bound of more than ten times the largest box is none
STEPS, GAIN_END, STEP_END = 100, 1e-10, 1e-12
LARGEST_LOGIT = 500.0
TINY = 1e-300


@dataclass(frozen=True)
class Curve:
    """POD(a) = 1 / (1 + exp(-(intercept + slope ln a)))."""

    intercept: float
    slope: float

    def size(self, probability: float) -> float:
        """The size that is found with ``probability``."""
        return exp((logit(probability) - self.intercept) / self.slope)

    def probability(self, sizes: Values) -> Values:
        """POD at ``sizes``."""
        value: Values = 1.0 / (1.0 + np.exp(-(self.intercept + self.slope * np.log(sizes))))
        return value


@dataclass(frozen=True)
class Pod:
    """What hits and misses tell about one class.

    Attributes:
        found: boxes found, of all.
        status: why there is, or is not, a curve.
        curve, a50, a90: of the best fit; None where there is none.
        a90_95: upper bound of a90, or None where the data give no bound.
        smallest, largest: box, in the unit of the sizes; None without boxes.
        note: what a reader must know, "" if nothing.
    """

    found: Proportion
    status: Status
    curve: Curve | None = None
    a50: float | None = None
    a90: float | None = None
    a90_95: float | None = None
    smallest: float | None = None
    largest: float | None = None
    note: str = ""


def hits_and_sizes(
    found: Sequence[Detections], truth: Sequence[Truth], label: int, score: float, measure: Measure, scale: float = 1.0
) -> tuple[Values, NDArray[np.bool_]]:
    """Sizes (B,) of all true boxes of a class, px times ``scale``, and whether each was found (B,).

    Found means: a detection of the class with at least ``score`` and IoU 0.5 is matched to it.
    """
    sizes, hits = [np.zeros(0)], [np.zeros(0, bool)]
    for detections, true in zip(found, truth, strict=True):
        boxes = true.boxes[true.labels == label]
        mine = (detections.labels == label) & (detections.scores >= score)
        chosen = assign(detections.boxes[mine], boxes, (FOUND_IOU,))[0]
        sizes.append(box_sizes(boxes, measure) * scale)
        hits.append(np.isin(np.arange(len(boxes)), chosen))
    return np.concatenate(sizes), np.concatenate(hits)


def box_sizes(boxes: NDArray[np.float32], measure: Measure) -> Values:
    """Size (B,) of boxes (B, 4) xyxy: the square root of the area, or the longer side."""
    sides = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64)
    sizes: Values = np.sqrt(sides.prod(axis=1)) if measure == "sqrt_area" else sides.max(axis=1, initial=0.0)
    return sizes


def fit(sizes: Values, hits: NDArray[np.bool_]) -> Pod:
    """Fit the curve to sizes (B,), positive, and hits (B,).

    Raises:
        ValueError: a size is not positive.
        MissingExtra: SciPy is not installed.
    """
    found = Proportion(int(hits.sum()), len(hits))
    if not len(sizes):
        return Pod(found, "no_boxes", note="no boxes")
    if not (sizes > 0).all():
        raise ValueError(f"a size of {sizes.min()} is not positive")
    smallest, largest = float(sizes.min()), float(sizes.max())
    status, note = _unfit(sizes, hits)
    if status != "fitted":
        return Pod(found, status, smallest=smallest, largest=largest, note=note)
    data = _HitMiss(np.log(sizes), hits.astype(np.float64))
    curve, likelihood = data.best()
    if curve.slope <= 0 or 2 * (likelihood - data.without_slope()) <= CRITICAL:
        note = "larger boxes are not found significantly more often: size does not explain what is missed"
        return Pod(found, "no_slope", smallest=smallest, largest=largest, note=note)
    a90, bound = curve.size(0.9), data.bound(curve, likelihood, 0.9)
    notes = [
        f"fewer than {RECOMMENDED_BOXES} boxes" if len(sizes) < RECOMMENDED_BOXES else "",
        "a90 lies beyond the largest box, so it is an extrapolation" if a90 > largest else "",
        "these data do not bound a90" if bound is None else "",
        "a90/95 lies beyond the largest box" if bound is not None and a90 <= largest < bound else "",
    ]
    note = "; ".join(filter(None, notes))
    return Pod(found, "fitted", curve, curve.size(0.5), a90, bound, smallest, largest, note)


def upper_sizes(sizes: Values, hits: NDArray[np.bool_], probabilities: Values) -> Values:
    """The 95 % upper bound of the size that is found with each of ``probabilities``, of data that ``fit`` fits.

    NaN where there is none.
    """
    data = _HitMiss(np.log(sizes), hits.astype(np.float64))
    curve, likelihood = data.best()
    bounds = [data.bound(curve, likelihood, float(probability)) for probability in probabilities]
    return np.array([np.nan if bound is None else bound for bound in bounds])


def logit(probability: float) -> float:
    """ln(p / (1 - p))."""
    return log(probability / (1 - probability))


def _unfit(sizes: Values, hits: NDArray[np.bool_]) -> tuple[Status, str]:
    """Why no curve can be fitted: then the likelihood has no maximum at a finite slope."""
    if hits.all():
        return "all_found", "every box was found: a90 lies below these sizes or nowhere"
    if not hits.any():
        return "none_found", "no box was found"
    missed, found = sizes[~hits], sizes[hits]
    if missed.max() <= found.min() and sizes.min() < sizes.max():
        gap = f"{missed.max():.4g} and {found.min():.4g}"
        return "separated", f"everything missed is smaller than everything found: a90 lies between {gap}"
    if missed.min() >= found.max():
        return "no_slope", "everything missed is at least as large as everything found"
    return "fitted", ""


@dataclass(frozen=True)
class _HitMiss:
    """x: (B,) ln of the sizes; y: (B,) 1 for found, 0 for missed.  Both occur, and their sizes overlap."""

    x: Values
    y: Values

    def best(self) -> tuple[Curve, float]:
        """The curve of the greatest likelihood, and its logarithm."""
        centre = float(self.x.mean())
        design = np.column_stack([np.ones(len(self.x)), self.x - centre])
        beta, value = self._climb(design, np.zeros(len(self.x)), np.array([self._level(), 0.0]))
        return Curve(float(beta[0] - beta[1] * centre), float(beta[1])), value

    def without_slope(self) -> float:
        """Log-likelihood of the best curve without a slope."""
        return self._climb(np.ones((len(self.x), 1)), np.zeros(len(self.x)), np.array([self._level()]))[1]

    def profile(self, ln_size: float, level: float, slope: float) -> float:
        """Log-likelihood of the best curve with logit ``level`` at ``ln_size``; the search begins at ``slope``."""
        return self._climb((self.x - ln_size)[:, None], np.full(len(self.x), level), np.array([slope]))[1]

    def bound(self, curve: Curve, likelihood: float, probability: float) -> float | None:
        """The largest size that can be found with ``probability``, at 95 % confidence; None where it is unbounded."""
        try:
            from scipy.optimize import brentq
        except ImportError as error:
            raise MissingExtra("scipy", "model") from error
        level, start = logit(probability), log(curve.size(probability))

        def excess(ln_size: float) -> float:
            return 2 * (likelihood - self.profile(ln_size, level, curve.slope)) - CRITICAL

        end = float(self.x.max()) + FARTHEST
        if start >= end or excess(end) <= 0:
            return None
        return exp(float(brentq(excess, start, end, xtol=1e-9)))

    def _level(self) -> float:
        return logit(float(self.y.mean()))

    def _climb(self, design: Values, offset: Values, beta: Values) -> tuple[Values, float]:
        """Maximise the log-likelihood of offset + design @ beta by scoring, halving steps that overshoot."""
        value = self._likelihood(offset + design @ beta)
        for _ in range(STEPS):
            p, weights = _binomial(offset + design @ beta)
            gradient = design.T @ (self.y - p + self._leverage(weights) * (0.5 - p))
            step = np.linalg.lstsq((design * weights[:, None]).T @ design, gradient, rcond=None)[0]
            if float(gradient @ step) < GAIN_END:
                break
            reached = self._likelihood(offset + design @ (beta + step))
            while reached < value and float(np.abs(step).max()) > STEP_END:
                step = step / 2
                reached = self._likelihood(offset + design @ (beta + step))
            beta, value = beta + step, reached
        return beta, value

    def _likelihood(self, eta: Values) -> float:
        """Log-likelihood of logits ``eta`` (B,), and half the logarithm of the information's determinant."""
        total, _mean, spread = self._information(_binomial(eta)[1])
        return float(self.y @ eta - np.logaddexp(0.0, eta).sum() + 0.5 * np.log(max(total * spread, TINY)))

    def _leverage(self, weights: Values) -> Values:
        """Diagonal (B,) of the hat matrix of intercept and slope under ``weights``."""
        total, mean, spread = self._information(weights)
        leverage: Values = weights * (1 / max(total, TINY) + (self.x - mean) ** 2 / max(spread, TINY))
        return leverage

    def _information(self, weights: Values) -> tuple[float, float, float]:
        """Sum of the weights, mean of x and sum of squares about it; the determinant is the first times the last."""
        total = float(weights.sum())
        mean = float(weights @ self.x) / max(total, TINY)
        return total, mean, float(weights @ (self.x - mean) ** 2)


def _binomial(eta: Values) -> tuple[Values, Values]:
    """Probability and variance (B,) at logits ``eta``."""
    p = 1.0 / (1.0 + np.exp(-np.clip(eta, -LARGEST_LOGIT, LARGEST_LOGIT)))
    return p, p * (1 - p)
