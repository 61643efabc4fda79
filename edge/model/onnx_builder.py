"""A small writer of ONNX nodes.  All names made here start with ``edge_``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import ModelError

PREFIX = "edge_"
FLOAT, UINT8 = 1, 2  # onnx.TensorProto's


@dataclass
class Builder:
    """Collects nodes and constants; each call returns the name of the new tensor.

    The nodes used exist alike from opset 13 to 20, ``ReduceMax`` excepted, whose axes moved from attribute to input
    in 18.
    """

    opset: int
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def constant(self, value: NDArray[Any] | Sequence[int]) -> str:
        """Add a constant: arrays as they are, anything else as int64."""
        from onnx import numpy_helper

        name = f"{PREFIX}c{len(self.constants)}"
        array = value if isinstance(value, np.ndarray) else np.asarray(value, np.int64)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        return self.add_many(op, inputs, (output or f"{PREFIX}t{len(self.nodes)}",), **attributes)[0]

    def add_many(self, op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Sequence[str]:
        """Add a node with several outputs."""
        from onnx import helper

        name = f"{PREFIX}{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), list(outputs), name=name, **attributes))
        return outputs

    def columns(self, tensor: str, first: int, last: int, axis: int = 2) -> str:
        """Cut ``first`` (included) to ``last`` (excluded) of a tensor's ``axis``, its columns by default."""
        return self.add("Slice", tensor, *(self.constant([v]) for v in (first, last, axis)))

    def largest(self, tensor: str, axis: int = 2) -> str:
        """Return the largest values along ``axis``, which is dropped."""
        if self.opset >= 18:
            return self.add("ReduceMax", tensor, self.constant([axis]), keepdims=0)
        return self.add("ReduceMax", tensor, axes=[axis], keepdims=0)

    def corners(self, centres: str, sides: str) -> str:
        """Return boxes x1, y1, x2, y2, (1, K, 4), from centres x, y and sides w, h, (1, K, 2) each."""
        halves = self.add("Mul", sides, self.constant(np.full((1, 1, 1), 0.5, np.float32)))
        return self.add("Concat", self.add("Sub", centres, halves), self.add("Add", centres, halves), axis=2)


def checked(model: Any, problem: str, remedy: str) -> bytes:
    """Return a finished graph, with the shapes of all its tensors, as bytes.

    Raises:
        ModelError: it is no valid graph; ``problem`` and ``remedy`` say so to a user.
    """
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:  # onnx raises classes of its own
        raise ModelError(f"{problem}: {error}.", remedy) from error
    content: bytes = inferred.SerializeToString(deterministic=True)
    return content
