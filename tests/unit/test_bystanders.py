"""What a process does not do on the side: load libraries that it has no use for, or tell anybody that it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HEAVY = (
    "cv2",
    "pymodbus",
    "onnx",
    "onnxruntime",
    "openvino",
    "torch",
    "matplotlib",
    "scipy",
    "starlette",
    "cryptography",
)
SESSION = """
from onnx import TensorProto, helper
from edge.engine.onnxruntime import library

x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
library().InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
"""


def python(code: str, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    return subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, capture_output=True, text=True, check=True
    ).stdout


def test_the_command_line_loads_no_heavy_library() -> None:
    loaded = python("import sys, edge.cli; print(*sys.modules)").split()
    assert "typer" in loaded
    assert set(HEAVY).isdisjoint(loaded)


def test_a_session_of_onnx_runtime_leaves_no_usage_data(tmp_path: Path) -> None:
    python(SESSION, XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path))
    assert not list(tmp_path.rglob("*"))
