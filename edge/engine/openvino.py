"""OpenVINO on the CPU, at a precision that is always named: its default is bfloat16 wherever the CPU has it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.engine.anonymous import anonymous_file
from edge.engine.base import Engine, check_port, outputs, rows_first
from edge.errors import EngineError, MissingExtra, ModelError
from edge.model.package import CANDIDATE_WIDTH, HEADS_NAME, MODEL_FILE, ModelPackage

DEVICE = "CPU"
# Precision in manifests -> INFERENCE_PRECISION_HINT: of what the graph itself leaves in float.  A float16 graph is
# computed in float32 from its float16 weights.
HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f32", "int8": "f32"}
CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP32", "int8": "INT8"}  # -> OPTIMIZATION_CAPABILITIES


class OpenVinoEngine(Engine):
    """Runs a package by OpenVINO's CPU plugin.

    Args:
        package: what to run.
        precision: the graph's own, or ``bf16`` for one in FP32.
        threads: of the library; 0 leaves it to the library (one a physical core).

    A tensor over the image's memory is made for each run (6 us) and the candidates' once, so nothing is copied.
    Runs release the GIL.

    Raises:
        MissingExtra: openvino is not installed.
        ModelError: the graph is none, or not the one that the manifest describes.
        EngineError: the precision is unknown, or this CPU does not have it, or the plugin chose another.
    """

    name = "openvino"

    def __init__(self, package: ModelPackage, precision: str = "fp32", threads: int = 0) -> None:
        manifest = package.manifest
        super().__init__(manifest.input.shape)
        self.precision = precision
        openvino = _library()
        if precision not in supported_precisions():
            raise EngineError(
                f"OpenVINO cannot run {precision} on this CPU, only {', '.join(supported_precisions())}.",
                "choose one of these, or precision 'auto'.",
            )
        compiled = _compile(openvino, package, precision, threads)
        _check_ports(package, compiled)
        self._tensor = openvino.Tensor
        self._output: NDArray[np.float32] = np.zeros((manifest.output.candidates, CANDIDATE_WIDTH), np.float32)
        self._heads_form = manifest.heads
        self._request: Any = compiled.create_infer_request()
        self._request.set_output_tensor(0, openvino.Tensor(self._output, shared_memory=True))
        self.run(self.input)  # the first run allocates; no part shall wait for it

    def _run(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        self._request.set_input_tensor(self._tensor(image[None], shared_memory=True))
        try:
            self._request.infer(share_outputs=True)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed: {error}.", "run edge model verify on the package.") from error
        return self._output

    def _heads(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        self._run(image)
        return rows_first(self._heads_form, self._request.get_tensor(HEADS_NAME).data)

    def convolutions(self) -> dict[str, int]:
        """Return how many convolutions the plugin runs at each precision, by its names (u8, i8, bf16, f32)."""
        layers = [layer.get_rt_info() for layer in self._request.get_compiled_model().get_runtime_model().get_ops()]
        convolutions = [layer for layer in layers if layer["layerType"].astype(str) == "Convolution"]
        return dict(Counter(layer["runtimePrecision"].astype(str) for layer in convolutions))

    def _close(self) -> None:
        self._request = None


def supported_precisions() -> tuple[str, ...]:
    """Return the precisions that this CPU has.

    Raises:
        MissingExtra: openvino is not installed.
    """
    found = _library().Core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    return tuple(precision for precision, capability in CAPABILITIES.items() if capability in found)


def _library() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise MissingExtra("openvino", "cpu") from error
    return openvino


def _compile(openvino: Any, package: ModelPackage, precision: str, threads: int) -> Any:
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": HINTS[precision]}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    content = package.read(MODEL_FILE)
    try:
        core = openvino.Core()
        with anonymous_file(content) as path:
            compiled = core.compile_model(core.read_model(path), DEVICE, settings)
    except RuntimeError as error:
        raise ModelError(
            f"OpenVINO cannot load {package.path / MODEL_FILE}: {error}.", "prepare the package again."
        ) from error
    runs = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if runs != HINTS[precision]:
        raise EngineError(f"OpenVINO runs {runs} where {HINTS[precision]} was asked for.", "use precision fp32.")
    return compiled


def _check_ports(package: ModelPackage, compiled: Any) -> None:
    manifest = package.manifest
    check_port(package.identity, "input", _form(compiled.input(0)), ("u8", 1, *manifest.input.shape))
    found = tuple((port.get_any_name(), *_form(port)) for port in compiled.outputs)
    check_port(package.identity, "output", found, outputs(manifest, "f32"))


def _form(port: Any) -> tuple[object, ...]:
    return port.get_element_type().get_type_name(), *port.get_partial_shape().to_shape()
