"""FP16: the layers and all that feeds them in float16, ends and decoding in float32.

A TensorRT engine is typed as its graph is, so FP16 there begins with a graph of float16 tensors.  Decoding stays in
float32: at 640 px a float16 coordinate is up to 0.25 px off, and an index above 2048 is no whole number any more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import ModelError
from edge.model.onnx_builder import FLOAT, PREFIX
from edge.model.quantizing.layers import Network

FLOAT16 = 10  # onnx.TensorProto's
STAY_FLOAT = {"Resize": (1, 2)}  # inputs that ONNX defines as float32 whatever the data are: its region and scales


def to_float16(content: bytes) -> bytes:
    """Return a prepared graph, given as ONNX bytes, whose layers and all that feeds them compute in float16.

    Raises:
        MissingExtra: onnx is not installed.
        ModelError: no layers, a weight beyond float16, or a node that cannot take it.
    """
    network = Network(content)
    made = {name for at in network.body for name in network.nodes[at].output if network.is_float(name)}
    outside = {name for at, node in enumerate(network.nodes) if at not in network.body for name in node.input} | {
        port.name for port in network.model.graph.output
    }
    halves: dict[str, NDArray[Any]] = {}
    cast: set[str] = set()  # tensors from outside, once each
    nodes: list[Any] = []
    for at, node in enumerate(network.nodes):
        if at not in network.body:
            nodes.append(node)
            continue
        for position, name in enumerate(node.input):
            if not network.is_float(name) or position in STAY_FLOAT.get(node.op_type, ()):
                continue
            if name in network.constants:
                halves[_half(name)] = _weights(name, network.constants[name])
            elif name not in made and name not in cast:
                cast.add(name)
                nodes.append(_cast(name, _half(name), FLOAT16))
            node.input[position] = _half(name)
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == FLOAT:
                attribute.i = FLOAT16
        results = [name for name in node.output if name in made]
        node.output[:] = [_half(name) if name in made else name for name in node.output]
        nodes.append(node)
        nodes += [_cast(_half(name), name, FLOAT) for name in results if name in outside]
    return network.rebuilt(nodes, halves, "edge model quantize --to fp16")


def _half(name: str) -> str:
    return f"{name}_fp16"


def _cast(source: str, target: str, to: int) -> Any:
    from onnx import helper

    return helper.make_node("Cast", [source], [target], name=f"{PREFIX}cast_{target}", to=to)


def _weights(name: str, value: NDArray[np.float32]) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)
    if not np.isfinite(half[np.isfinite(value)]).all():
        raise ModelError(
            f"Constant {name!r} reaches {np.abs(value).max():g}, beyond float16's 65504.",
            "keep the package in FP32, or quantise it to INT8.",
        )
    return half
