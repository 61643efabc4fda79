"""INT8 by explicit Q and DQ nodes: which tensors, with which scales, and the graph that has them.

Weights are int8, one scale an output channel; activations have one scale a tensor.  Zero points are 0 and biases stay
float32, which engines fuse.  A tensor that is never negative is uint8: on CPUs, int8 there is slower (4.2 against
3.6 ms in OpenVINO, 24 against 9.4 in ONNX Runtime, neu-det), coarser by a bit, and OpenVINO rounds it otherwise than
the graph says.  TensorRT takes int8 alone, so that can be asked for.

A layer whose input comes out of a concatenation, resize or pooling shares its scale with the inputs of that, so that
these nodes move bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.model.quantizing.layers import Network

PASSING = frozenset({"Concat", "MaxPool", "Resize"})
"""Nodes that compute nothing, so that their inputs can have their output's scale."""

SIGNED_LEVELS, UNSIGNED_LEVELS = 127, 255
"""Steps from 0 to the largest magnitude: int8, and uint8 for a tensor that is never negative."""

TINY = 1e-8  # a range of 0 would divide by 0


@dataclass(frozen=True)
class Points:
    """Where activations are quantised.

    Attributes:
        tensors: that get a Q and a DQ node, with the name of their group each; a group has one scale.
        readers: positions of the nodes that read the quantised value; all others read the float one.
    """

    tensors: dict[str, str]
    readers: frozenset[int]


def points(network: Network, layers: Collection[int]) -> Points:
    """Return where to quantise for ``layers``, positions in ``network.nodes``."""
    groups: dict[str, str] = {}
    readers = set(layers)
    waiting = [(network.nodes[at].input[0],) * 2 for at in sorted(layers)]
    while waiting:
        name, group = waiting.pop()
        if name in groups:
            if groups[name] != group:
                groups = {n: groups[name] if g == group else g for n, g in groups.items()}
                waiting = [(n, groups[name] if g == group else g) for n, g in waiting]
            continue
        groups[name] = group
        maker = network.maker.get(name)
        if maker in network.body and network.nodes[maker].op_type in PASSING:
            readers.add(maker)
            node = network.nodes[maker]
            inputs = node.input if node.op_type == "Concat" else node.input[:1]
            waiting += [(i, groups[name]) for i in inputs if i not in network.constants]
    return Points(groups, frozenset(readers))


class Scale(NamedTuple):
    """One step of a tensor, and whether it is quantised as uint8."""

    step: float
    unsigned: bool


def quantized(
    content: bytes, layers: Collection[int], ranges: Mapping[str, float], unsigned: Collection[str] = ()
) -> bytes:
    """Return a prepared graph, given as ONNX bytes, with ``layers`` in INT8.

    Args:
        layers: positions in ``Network(content).nodes``.
        ranges: largest magnitude of each tensor of ``points``; what is beyond is clipped.
        unsigned: tensors that are never negative, to be quantised as uint8 where all of their group are.

    Raises:
        MissingExtra: onnx is not installed.
        ModelError: the result is no valid graph.
    """
    network = Network(content)
    where = points(network, layers)
    scales = _scales(where, ranges, unsigned)
    constants: dict[str, NDArray[Any]] = {}
    nodes: list[Any] = []
    for at, node in enumerate(network.nodes):
        if at in where.readers:
            node.input[:] = [f"{name}_dq" if name in scales else name for name in node.input]
        if at in layers:
            nodes.append(_weights(network, node, constants))
        nodes.append(node)
        for name in node.output:
            if name in scales:
                nodes += _pair(name, scales[name], constants)
    return network.rebuilt(nodes, constants, "edge model quantize --to int8")


def _scales(where: Points, ranges: Mapping[str, float], unsigned: Collection[str]) -> dict[str, Scale]:
    """Return the scale of each tensor: that of its group."""
    members: dict[str, list[str]] = {}
    for name, group in where.tensors.items():
        members.setdefault(group, []).append(name)
    scales: dict[str, Scale] = {}
    for names in members.values():
        positive = all(name in unsigned for name in names)
        widest = max(TINY, *(ranges[name] for name in names))
        scale = Scale(widest / (UNSIGNED_LEVELS if positive else SIGNED_LEVELS), positive)
        scales.update(dict.fromkeys(names, scale))
    return scales


def _pair(name: str, scale: Scale, constants: dict[str, NDArray[Any]]) -> list[Any]:
    """Return the Q and DQ node behind a tensor."""
    from onnx import helper

    step, zero, integers = f"{name}_step", f"{name}_zero", f"{name}_q"
    constants[step] = np.array(scale.step, np.float32)
    constants[zero] = np.array(0, np.uint8 if scale.unsigned else np.int8)
    return [
        helper.make_node("QuantizeLinear", [name, step, zero], [integers], name=f"{name}/Q"),
        helper.make_node("DequantizeLinear", [integers, step, zero], [f"{name}_dq"], name=f"{name}/DQ"),
    ]


def _weights(network: Network, node: Any, constants: dict[str, NDArray[Any]]) -> Any:
    """Quantise the weights of ``node``, (M, ...), by their first axis, and return the DQ node in front of it."""
    from onnx import helper

    name = f"{node.output[0]}_weights"
    weights = network.constants[node.input[1]]
    each = (-1, *[1] * (weights.ndim - 1))
    steps = np.maximum(np.abs(weights).reshape(len(weights), -1).max(axis=1), TINY) / SIGNED_LEVELS
    constants[f"{name}_q"] = np.rint(weights / steps.reshape(each)).astype(np.int8)
    constants[f"{name}_step"] = steps.astype(np.float32)
    constants[f"{name}_zero"] = np.zeros(len(weights), np.int8)
    node.input[1] = f"{name}_dq"
    inputs = [f"{name}_q", f"{name}_step", f"{name}_zero"]
    return helper.make_node("DequantizeLinear", inputs, [f"{name}_dq"], name=f"{name}/DQ", axis=0)
