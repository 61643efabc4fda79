"""How sure a figure is: exact bounds of a proportion, and the bootstrap of a mean average precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.errors import MissingExtra
from edge.quality.average_precision import Ranking, weighted_precision

CONFIDENCE = 0.95
RESAMPLES = 1000
SEED = 0
NOT_MEASURABLE = "not measurable"


@dataclass(frozen=True)
class Proportion:
    """``count`` of ``of``, with exact bounds."""

    count: int
    of: int

    @property
    def rate(self) -> float | None:
        """The share, or None of nothing."""
        return self.count / self.of if self.of else None

    def bounds(self) -> tuple[float, float] | None:
        """Clopper-Pearson bounds of the rate at ``CONFIDENCE``, or None of nothing.  Raises ``MissingExtra``."""
        return clopper_pearson(self.count, self.of) if self.of else None

    def __str__(self) -> str:
        bounds = self.bounds()
        if self.rate is None or bounds is None:
            return NOT_MEASURABLE
        return f"{self.rate:.2%} ({self.count} of {self.of}; {bounds[0]:.2%} to {bounds[1]:.2%})"


def clopper_pearson(count: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Two-sided exact bounds of a binomial proportion (Clopper and Pearson, Biometrika 26, 1934).

    Raises:
        ValueError: ``count`` is not within 0..``of``, or ``of`` is 0.
        MissingExtra: SciPy is not installed.
    """
    if not 0 <= count <= of or not of:
        raise ValueError(f"{count} of {of} is no proportion")
    try:
        from scipy.special import betaincinv
    except ImportError as error:
        raise MissingExtra("scipy", "model") from error
    tail = (1 - confidence) / 2
    low = float(betaincinv(count, of - count + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, of - count, 1 - tail)) if count < of else 1.0
    return low, high


def bootstrap_map(
    rankings: Mapping[str, Ranking],
    resamples: int = RESAMPLES,
    seed: int = SEED,
    confidence: float = CONFIDENCE,
    groups: NDArray[np.int64] | None = None,
) -> tuple[float, float]:
    """Percentile interval of the mean average precision at each ranking's first IoU, by drawing pictures anew.

    As many as there are, with replacement, ``resamples`` times.  A class that a draw lacks is left out of its mean.
    Pictures that resemble one another (crops of one strip) make the interval too narrow where each is drawn alone.

    Args:
        groups: (I,) which group each picture is of, numbered from 0; whole groups are drawn, as many as there are.
            None: each picture is one of its own.

    Raises:
        ValueError: no true box at all.
    """
    present = [ranking for ranking in rankings.values() if ranking.positives.any()]
    if not present:
        raise ValueError("no truth to evaluate against")
    group_of = np.arange(len(present[0].positives)) if groups is None else groups
    units = int(group_of.max()) + 1
    random = np.random.default_rng(seed)
    means = []
    for _ in range(resamples):
        drawn = np.bincount(random.integers(0, units, units), minlength=units)[group_of].astype(np.float64)
        precisions = [_precision(ranking, drawn) for ranking in present if drawn @ ranking.positives]
        means += [float(np.mean(precisions))] if precisions else []  # a draw without any box has no figure
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return low, high


def _precision(ranking: Ranking, drawn: NDArray[np.float64]) -> float:
    weights = drawn[ranking.pictures]
    return weighted_precision(ranking.hits[0].astype(np.float64), weights, float(drawn @ ranking.positives))
