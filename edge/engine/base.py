"""The narrow interface behind which every engine sits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edge.errors import EngineError, ModelError
from edge.model.package import CANDIDATE_WIDTH, CANDIDATES_NAME, HEADS_NAME, Heads, Manifest


class Engine(ABC):
    """Runs one prepared graph.  One thread at a time.

    Attributes:
        name: of the library, as manifests name it.
        precision: of the arithmetic that really runs, as manifests name it.
        input: (H, W, C) uint8, the engine's own input buffer, allocated once.
    """

    name: str
    precision: str

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        self.input: NDArray[np.uint8] = np.zeros(input_shape, np.uint8)
        self._closed = False

    def run(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the K candidates of one image, (K, 6) float32: x1, y1, x2, y2 in px of the input, score, class.

        Args:
            image: (H, W, C) uint8, C-contiguous: ``input`` or any other memory, which is read in place.

        The result is a view that the next run overwrites.

        Raises:
            EngineError: another shape, type or layout, a closed engine, or the library failed.
        """
        self._check(image)
        return self._run(image)

    def heads(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run one image and return the network's raw heads, (N, columns) float32, a copy: for the golden gate alone.

        Raises:
            EngineError: as ``run``, or this engine runs no network.
        """
        self._check(image)
        return self._heads(image)

    def convolutions(self) -> dict[str, int]:
        """Return how many convolutions run at each precision by the library's own account; nothing where it gives none.

        What was asked for says nothing of it: a graph in 8 bits may run in float.
        """
        return {}

    def _check(self, image: NDArray[np.uint8]) -> None:
        if self._closed:
            raise EngineError(f"Engine {self.name} is closed.", "build a new one with edge.engine.select.build.")
        if image.shape != self.input.shape or image.dtype != np.uint8 or not image.flags.c_contiguous:
            layout = "contiguous" if image.flags.c_contiguous else "non-contiguous"
            raise EngineError(
                f"Engine {self.name} got a {layout} {image.dtype} image of shape {image.shape}.",
                f"give it a C-contiguous uint8 image of shape {self.input.shape}, as edge.engine.stage does.",
            )

    def close(self) -> None:
        """Free what the library holds.  A second call does nothing."""
        if not self._closed:
            self._closed = True
            self._close()

    @abstractmethod
    def _run(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``run`` for an image that was checked."""

    def _heads(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:  # noqa: ARG002 (no network, no use for it)
        """``heads`` for an image that was checked."""
        raise EngineError(f"Engine {self.name} runs no network.", "name a qualified engine, or 'auto'.")

    @abstractmethod
    def _close(self) -> None:
        """``close``, called once."""

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def outputs(manifest: Manifest, float_type: str) -> tuple[tuple[object, ...], ...]:
    """Return what the manifest promises of the graph's outputs, as (name, type, dimensions...) each."""
    return (
        (CANDIDATES_NAME, float_type, manifest.output.candidates, CANDIDATE_WIDTH),
        (HEADS_NAME, float_type, *manifest.heads.port_shape),
    )


def rows_first(form: Heads, raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a copy of the graph's raw heads, ``form.port_shape``, as (N, columns)."""
    return np.array(raw[0] if form.layout == "rows" else raw[0].T, np.float32, order="C")


def check_port(package: str, what: str, found: tuple[object, ...], expected: tuple[object, ...]) -> None:
    """Check one end of a graph against what the manifest promises: one port as (type, dimensions...), or several.

    Raises:
        ModelError: they differ.
    """
    if found != expected:
        raise ModelError(
            f"The {what} of model package {package} is {found}, not {expected} as its manifest says.",
            "prepare the package again (edge model prepare).",
        )
