"""The range of each tensor that a quantised layer reads, from what the network computes on given frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.model.export import INPUT_NAME
from edge.model.onnx_builder import FLOAT
from edge.model.quantizing.effect import session

BINS = 2048
CLIPS = np.linspace(0.2, 1.0, 81)
"""Shares of the largest magnitude that `finest` tries."""

PERCENTILE = 99.99
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Spread:
    """How the values of a tensor spread.

    Attributes:
        largest: magnitude.
        signed: some value is negative.
        counts: (BINS,) values by magnitude, in equal bins from 0 to ``largest``.
    """

    largest: float
    signed: bool
    counts: NDArray[np.int64]


def spreads(
    graph: bytes, tensors: Sequence[str], frames: Sequence[NDArray[np.uint8]], progress: Progress
) -> dict[str, Spread]:
    """Run ``frames``, (H, W, C) uint8 each, twice through an FP32 graph: for the largest values, then to count.

    Args:
        tensors: names of float32 tensors of ``graph``, given as ONNX bytes.
        progress: called with (what, done, of how many).
    """
    runs = session(_with_outputs(graph, tensors))
    largest = dict.fromkeys(tensors, 0.0)
    lowest = dict.fromkeys(tensors, 0.0)
    counts = {name: np.zeros(BINS, np.int64) for name in tensors}
    for turn, counting in enumerate((False, True)):
        for done, frame in enumerate(frames):
            values = runs.run(list(tensors), {INPUT_NAME: frame[None]})
            for name, value in zip(tensors, values, strict=True):
                if counting:
                    bins = np.abs(value).ravel() * np.float32((BINS - 1) / max(largest[name], 1e-30))
                    counts[name] += np.bincount(bins.astype(np.int32), minlength=BINS)
                else:
                    largest[name] = max(largest[name], float(np.abs(value).max()))
                    lowest[name] = min(lowest[name], float(value.min()))
            progress("Calibrating", turn * len(frames) + done + 1, 2 * len(frames))
    return {name: Spread(largest[name], lowest[name] < 0.0, counts[name]) for name in tensors}


def _with_outputs(graph: bytes, tensors: Sequence[str]) -> bytes:
    import onnx
    from onnx import helper

    model = onnx.load_from_string(graph)
    model.graph.output.extend(helper.make_tensor_value_info(name, FLOAT, None) for name in tensors)
    content: bytes = model.SerializeToString()
    return content


def largest(spread: Spread, levels: int) -> float:  # noqa: ARG001 (the others need it)
    """Return the largest magnitude seen: nothing is clipped."""
    return spread.largest


def percentile(spread: Spread, levels: int) -> float:  # noqa: ARG001
    """Return the magnitude that ``PERCENTILE`` of all values do not exceed."""
    passed = np.cumsum(spread.counts)
    at = int(np.searchsorted(passed, passed[-1] * PERCENTILE / 100))
    return spread.largest * (at + 1) / BINS


def finest(spread: Spread, levels: int) -> float:
    """Return the magnitude to clip at for the smallest mean square error of rounding and clipping together.

    Args:
        levels: steps from 0 to that magnitude.
    """
    middles = (np.arange(BINS) + 0.5) / BINS * spread.largest
    errors = []
    for clip in CLIPS * spread.largest:
        step = max(clip / levels, 1e-30)
        rounded = np.minimum(np.rint(middles / step), levels) * step
        errors.append(float((spread.counts * (rounded - middles) ** 2).sum()))
    return float(CLIPS[int(np.argmin(errors))] * spread.largest)


METHODS: dict[str, Callable[[Spread, int], float]] = {
    "largest": largest,
    "percentile": percentile,
    "finest": finest,
}
"""How a range is chosen: the ways that `edge model quantize` tries."""
