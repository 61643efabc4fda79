"""ONNX surgery: pre-processing in front of an exported network, box decoding and top-K behind it.

All names made here start with ``edge_``, the graph's own input and outputs excepted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.errors import ModelError
from edge.model.export import INPUT_NAME, Export
from edge.model.families import Family, Normalisation
from edge.model.onnx_builder import FLOAT, UINT8, Builder, checked
from edge.model.package import CANDIDATE_WIDTH, CANDIDATES_NAME, HEADS_NAME, Heads, Input


def add_preprocessing(build: Builder, target: Input, normalisation: Normalisation, output: str) -> None:
    """uint8 (1, H, W, C) -> float32 (1, 3, H, W) = (x / 255 - mean) / std.

    The cast comes first, since TensorRT lets nothing else read a uint8 input.  A mono frame becomes three channels by
    broadcasting in the multiplication, so that it is never tiled.
    """
    std = np.asarray(normalisation.std, np.float64)
    scale = 1.0 / (255.0 * std)
    shift = -np.asarray(normalisation.mean, np.float64) / std
    pixels = build.add("Cast", INPUT_NAME, to=FLOAT)
    if target.color == "mono8":
        planes = build.add("Reshape", pixels, build.constant([1, 1, target.height, target.width]))
    else:
        planes = build.add("Transpose", pixels, perm=[0, 3, 1, 2])
        if target.color != normalisation.color:
            planes = build.add("Gather", planes, build.constant([2, 1, 0]), axis=1)
    scaled = build.add("Mul", planes, build.constant(scale.reshape(1, 3, 1, 1).astype(np.float32)))
    build.add("Add", scaled, build.constant(shift.reshape(1, 3, 1, 1).astype(np.float32)), output=output)


def splice(
    export: Export, family: Family, heads: Heads, target: Input, normalisation: Normalisation, candidates: int
) -> bytes:
    """Return the prepared graph of an exported network, as ONNX bytes.

    Outputs: the best K ``candidates``, (K, 6), and the network's own output as it is, ``heads``.

    Raises:
        ModelError: the result is not valid, or the network yields fewer than K ``candidates``.
    """
    from onnx import helper

    if candidates > heads.rows:
        raise ModelError(
            f"{export.source} yields {heads.rows} candidates, fewer than {candidates}.",
            f"set output.candidates to at most {heads.rows}.",
        )
    network = _renamed(export.model.graph.node, export.output_name, HEADS_NAME)
    build = Builder(export.opset)
    add_preprocessing(build, target, normalisation, export.input_name)
    split = len(build.nodes)
    family.decode(build, HEADS_NAME, heads, target, candidates)
    prepared = helper.make_graph(
        [*build.nodes[:split], *network, *build.nodes[split:]],
        CANDIDATES_NAME,
        [helper.make_tensor_value_info(INPUT_NAME, UINT8, [1, *target.shape])],
        [
            helper.make_tensor_value_info(CANDIDATES_NAME, FLOAT, [candidates, CANDIDATE_WIDTH]),
            helper.make_tensor_value_info(HEADS_NAME, FLOAT, list(heads.port_shape)),
        ],
        [*export.model.graph.initializer, *build.constants],
    )
    result = helper.make_model(
        prepared,
        opset_imports=export.model.opset_import,
        functions=export.model.functions,
        ir_version=export.model.ir_version,
    )
    result.producer_name = "edge model prepare"
    problem = f"The graph prepared from {export.source} is not valid"
    return checked(result, problem, "export the network again with opset 17.")


def _renamed(nodes: Any, old: str, new: str) -> list[Any]:
    """Return copies of nodes with a tensor renamed wherever it is made or read; subgraphs may not read it."""
    copies = []
    for node in nodes:
        copy = type(node)()
        copy.CopyFrom(node)
        for names in (copy.input, copy.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
        copies.append(copy)
    return copies
