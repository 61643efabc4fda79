"""A prepared graph seen as layers: what has weights, what feeds it, and what only decodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import MissingExtra, ModelError
from edge.model.onnx_builder import FLOAT, PREFIX, checked


class Network:
    """The nodes of a prepared graph, in order, to be rewritten.

    Attributes:
        nodes: ONNX nodes, a copy that may be changed.
        constants: initializers and outputs of Constant nodes, by name.
        layers: positions in ``nodes`` of the convolutions with constant weights, which take nearly all the time.
        body: positions of the layers and of all of the network that feeds one.  The rest is what ``edge model prepare``
            added (its names start with ``edge_``), and the network's own decoding behind its last layers.

    Raises:
        MissingExtra: onnx is not installed.
        ModelError: there is no layer.
    """

    def __init__(self, content: bytes) -> None:
        try:
            import onnx
            from onnx import numpy_helper
        except ImportError as error:
            raise MissingExtra("onnx", "model") from error
        self.model: Any = onnx.load_from_string(content)
        graph = self.model.graph
        self.nodes: list[Any] = list(graph.node)
        self.constants: dict[str, NDArray[Any]] = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        ports = [*graph.value_info, *graph.input, *graph.output]
        self._types: dict[str, int] = {port.name: port.type.tensor_type.elem_type for port in ports}
        self.maker: dict[str, int] = {name: at for at, node in enumerate(self.nodes) for name in node.output}
        self.layers = tuple(at for at, node in enumerate(self.nodes) if self._is_layer(node))
        if not self.layers:
            raise ModelError("The graph has no convolution with constant weights.", "nothing here can be quantised.")
        self.body = self._body()

    def is_float(self, name: str) -> bool:
        """Say whether a tensor or constant is float32."""
        if name in self.constants:
            return self.constants[name].dtype == np.float32
        return self._types.get(name) == FLOAT

    def _is_layer(self, node: Any) -> bool:
        return bool(node.op_type == "Conv" and node.input[1] in self.constants and not node.name.startswith(PREFIX))

    def _body(self) -> frozenset[int]:
        found: set[int] = set()
        open_ends = list(self.layers)
        while open_ends:
            at = open_ends.pop()
            node = self.nodes[at]
            if at in found or node.name.startswith(PREFIX) or node.op_type == "Constant":
                continue
            found.add(at)
            open_ends += [self.maker[name] for name in node.input if name in self.maker]
        return frozenset(found)

    def rebuilt(self, nodes: Sequence[Any], added: dict[str, NDArray[Any]], producer: str) -> bytes:
        """Return the graph with other ``nodes`` and more constants, as ONNX bytes; ports stay, what is unused goes.

        Raises:
            ModelError: the result is no valid graph.
        """
        from onnx import helper, numpy_helper

        graph = self.model.graph
        used = {name for node in nodes for name in node.input}
        kept = [node for node in nodes if node.op_type != "Constant" or node.output[0] in used]
        constants = [i for i in graph.initializer if i.name in used]
        constants += [numpy_helper.from_array(value, name) for name, value in added.items()]
        model = helper.make_model(
            helper.make_graph(kept, graph.name, graph.input, graph.output, constants),
            opset_imports=self.model.opset_import,
            functions=self.model.functions,
            ir_version=self.model.ir_version,
        )
        model.producer_name = producer
        return checked(model, f"The graph does not survive {producer}", "keep the package's own precision.")
