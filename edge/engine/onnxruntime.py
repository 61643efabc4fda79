"""ONNX Runtime on the CPU, in the graph's own precision: in FP32 the reference that golden outputs are made with."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.engine.anonymous import anonymous_file
from edge.engine.base import Engine, check_port, outputs, rows_first
from edge.errors import EngineError, MissingExtra, ModelError
from edge.model.package import CANDIDATE_WIDTH, CANDIDATES_NAME, HEADS_NAME, MODEL_FILE, ModelPackage

PROVIDER = "CPUExecutionProvider"


class OnnxRuntimeEngine(Engine):
    """Runs a package by ONNX Runtime's CPU provider.

    Args:
        package: what to run.
        threads: of the library; 0 leaves it to the library (one a physical core).

    The image is bound by address for each run (7 us) and the candidates once, so nothing is copied or allocated here.
    Runs release the GIL.

    Raises:
        MissingExtra: onnxruntime is not installed.
        ModelError: the graph is none, or not the one that the manifest describes.
        EngineError: another provider than the CPU's took the graph.
    """

    name = "onnxruntime"

    def __init__(self, package: ModelPackage, threads: int = 0) -> None:
        manifest = package.manifest
        super().__init__(manifest.input.shape)
        self.precision = manifest.precision
        session = _session(package, threads)
        port = session.get_inputs()[0]
        found = tuple((out.name, out.type, *out.shape) for out in session.get_outputs())
        self._input_shape = (1, *manifest.input.shape)
        check_port(package.identity, "input", (port.type, *port.shape), ("tensor(uint8)", *self._input_shape))
        check_port(package.identity, "output", found, outputs(manifest, "tensor(float)"))
        self._output: NDArray[np.float32] = np.zeros((manifest.output.candidates, CANDIDATE_WIDTH), np.float32)
        self._heads_form = manifest.heads
        self._input_name = port.name
        self._session: Any = session
        self._binding: Any = session.io_binding()
        self._binding.bind_output(CANDIDATES_NAME, "cpu", 0, np.float32, self._output.shape, self._output.ctypes.data)
        self.run(self.input)  # the first run allocates; no part shall wait for it

    def _run(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        self._binding.bind_input(self._input_name, "cpu", 0, np.uint8, self._input_shape, image.ctypes.data)
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # the library's own classes derive from Exception alone
            raise EngineError(f"ONNX Runtime failed: {error}.", "run edge model verify on the package.") from error
        return self._output

    def _heads(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            (raw,) = self._session.run([HEADS_NAME], {self._input_name: image[None]})
        except Exception as error:  # the library's own classes derive from Exception alone
            raise EngineError(f"ONNX Runtime failed: {error}.", "run edge model verify on the package.") from error
        return rows_first(self._heads_form, raw)

    def _close(self) -> None:
        self._binding = self._session = None


def library() -> Any:
    """Import ONNX Runtime, without its telemetry.

    Left alone, the wheels of 1.32 write usage data below the user's cache folder at the first session, to be uploaded.

    Raises:
        MissingExtra: onnxruntime is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when the library is loaded
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("onnxruntime", "cpu") from error
    return onnxruntime


def _session(package: ModelPackage, threads: int) -> Any:
    onnxruntime = library()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads steal the cores from capture and signal threads, and were slower themselves (46 ms against 18).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        with anonymous_file(package.read(MODEL_FILE)) as path:
            session = onnxruntime.InferenceSession(path, options, providers=[PROVIDER])
    except ModelError:
        raise
    except Exception as error:  # the library's own classes derive from Exception alone
        raise ModelError(
            f"ONNX Runtime cannot load {package.path / MODEL_FILE}: {error}.", "prepare the package again."
        ) from error
    if session.get_providers() != [PROVIDER]:
        raise EngineError(
            f"ONNX Runtime runs on {session.get_providers()}, not on {PROVIDER}.",
            "install the plain onnxruntime wheel.",
        )
    return session
