"""Which pictures an epoch shows, how often, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def repeat_factors(labels: Sequence[NDArray[np.int64]], threshold: float) -> NDArray[np.float64]:
    """How often an epoch shows each picture, at least 1 (Gupta et al. 2019, LVIS, appendix B).

    A class that a share f of the pictures shows asks for max(1, sqrt(threshold / f)); a picture follows the class that
    asks for most.  labels: of each picture's boxes.
    """
    shown = [np.unique(own) for own in labels]
    counts = np.bincount(np.concatenate(shown)) if shown else np.zeros(0, int)
    wanted = np.sqrt(threshold * len(labels) / np.maximum(counts, 1)).clip(min=1.0)
    return np.array([wanted[own].max(initial=1.0) for own in shown])


def epoch_order(factors: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of one epoch, shuffled: each picture `floor` or `ceil` of its factor times; all epochs are as long."""
    ends = np.cumsum(factors)
    draws = np.arange(epoch_length(factors)) + rng.random() * ends[-1]
    order = np.searchsorted(ends, draws % ends[-1], side="right")
    return rng.permutation(order.astype(np.int64))


def epoch_length(factors: NDArray[np.float64]) -> int:
    return int(factors.sum())
