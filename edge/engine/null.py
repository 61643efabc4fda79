"""An engine that finds nothing, or what a script says, after a fixed time: for benches and tests alone."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge.engine.base import Engine
from edge.model.package import CANDIDATE_WIDTH

Script = Callable[[int], NDArray[np.float32]]


class NullEngine(Engine):
    """Sleeps, with the GIL released, instead of computing.  It looks at nothing, so no manifest may qualify it.

    Args:
        input_shape: (H, W, C).
        candidates: K.
        duration_ms: how long each run takes.
        script: called with the number of the run, 0 first; returns its (K, 6) candidates.  Without one, all zeros.
    """

    name = "null"
    precision = "none"

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        candidates: int = 100,
        duration_ms: float = 0.0,
        script: Script | None = None,
    ) -> None:
        super().__init__(input_shape)
        self._output: NDArray[np.float32] = np.zeros((candidates, CANDIDATE_WIDTH), np.float32)
        self._duration_s = duration_ms / 1e3
        self._script = script
        self._runs = 0

    def _run(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:  # noqa: ARG002 (it looks at nothing)
        if self._duration_s > 0:
            time.sleep(self._duration_s)
        if self._script is not None:
            self._output[...] = self._script(self._runs)
        self._runs += 1
        return self._output

    def _close(self) -> None:
        pass
