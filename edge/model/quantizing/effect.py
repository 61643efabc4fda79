"""What a change of a graph does to what it finds: the measure by which a quantisation is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.engine.onnxruntime import library
from edge.errors import ModelError
from edge.model.export import INPUT_NAME
from edge.model.package import CANDIDATES_NAME

Candidates = NDArray[np.float32]


class Effect:
    """Compares graphs with one in FP32, on the same frames.

    Args:
        graph: in FP32, as ONNX bytes.
        frames: (H, W, C) uint8 each, of the network's input.
        floor: candidates of ``graph`` below this score do not count.

    Raises:
        ModelError: there is no candidate above ``floor`` in any frame.
    """

    def __init__(self, graph: bytes, frames: Sequence[NDArray[np.uint8]], floor: float) -> None:
        expected = candidates_of(graph, frames)
        self._frames = [frame for frame, rows in zip(frames, expected, strict=True) if (rows[:, 4] >= floor).any()]
        self._expected = [rows[rows[:, 4] >= floor] for rows in expected if (rows[:, 4] >= floor).any()]
        if not self._frames:
            raise ModelError(
                f"The network finds nothing above {floor:g} on {len(frames)} pictures.",
                "give pictures that show defects, so that an effect can be measured.",
            )

    @property
    def frames(self) -> int:
        """How many frames show something."""
        return len(self._frames)

    def of(self, graph: bytes, frames: int | None = None) -> float:
        """Return the share that ``graph`` loses of the FP32 candidates, 0..1, on the first ``frames`` frames or all."""
        found = candidates_of(graph, self._frames[:frames])
        return lost(self._expected[: len(found)], found)


def lost(expected: Sequence[Candidates], found: Sequence[Candidates]) -> float:
    """Return the share of ``expected`` candidates that is lost in ``found``, weighted by score, 0..1.

    A candidate is kept to the degree of IoU x (1 - |difference of scores|) with its best partner of the same class.

    Args:
        expected, found: (K, 6) a frame.
    """
    weight = sum(float(rows[:, 4].sum()) for rows in expected)
    kept = sum(float((a[:, 4] * _likeness(a, b)).sum()) for a, b in zip(expected, found, strict=True))
    return 1.0 - kept / weight


def _likeness(ours: Candidates, theirs: Candidates) -> NDArray[np.float64]:
    """Return for each of ``ours`` the likeness of the best of ``theirs``, 0..1."""
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    sides = np.minimum(a[:, None, 2:4], b[None, :, 2:4]) - np.maximum(a[:, None, :2], b[None, :, :2])
    inter = sides.clip(0).prod(axis=2)
    area_a, area_b = ((r[:, 2] - r[:, 0]) * (r[:, 3] - r[:, 1]) for r in (a, b))
    union = np.maximum(area_a[:, None] + area_b[None] - inter, 1e-9)
    close = (1.0 - np.abs(a[:, None, 4] - b[None, :, 4])).clip(0)
    same: NDArray[np.bool_] = a[:, None, 5] == b[None, :, 5]
    best: NDArray[np.float64] = np.nan_to_num(inter / union * close * same).max(axis=1)
    return best


def candidates_of(graph: bytes, frames: Sequence[NDArray[np.uint8]]) -> list[Candidates]:
    """Return the candidates of each frame, (K, 6), as the graph's nodes define them, by ONNX Runtime."""
    runs = session(graph)
    return [runs.run([CANDIDATES_NAME], {INPUT_NAME: frame[None]})[0] for frame in frames]


def session(graph: bytes) -> Any:
    """Return an ONNX Runtime session that computes quantised layers in float between their Q and DQ nodes.

    So the effect is the graph's, and not that of a CPU whose 8-bit sums saturate.

    Raises:
        MissingExtra: onnxruntime is not installed.
    """
    onnxruntime = library()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
