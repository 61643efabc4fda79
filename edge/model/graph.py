"""ONNX surgery: pre-processing in front of an exported network, box decoding and top-K behind it.

The nodes used exist alike from opset 13 to 20, ``ReduceMax`` excepted, whose axes moved from attribute to input in 18.
All names made here start with ``edge_``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import MissingExtra, ModelError
from edge.model.package import Color, Input

INPUT_NAME = "frame"
OUTPUT_NAME = "candidates"
PREFIX = "edge_"
OPSETS = range(13, 21)  # 13: ReduceSum with axes as input; 20: the last that TensorRT 10.3 (JetPack 6) parses
YOLOX_STRIDES = (8, 16, 32)
FLOAT, UINT8 = 1, 2  # onnx.TensorProto's


@dataclass
class Builder:
    """Collects nodes and constants; each call returns the name of the new tensor."""

    opset: int
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def constant(self, value: NDArray[Any] | Sequence[int]) -> str:
        """Add a constant: float32 arrays as they are, anything else as int64."""
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

    def columns(self, tensor: str, first: int, last: int) -> str:
        """Cut columns ``first`` (included) to ``last`` (excluded) of a rank 3 tensor."""
        return self.add("Slice", tensor, *(self.constant([v]) for v in (first, last, 2)))

    def largest_column(self, tensor: str) -> str:
        """Return the largest value of each row, (1, N)."""
        if self.opset >= 18:
            return self.add("ReduceMax", tensor, self.constant([2]), keepdims=0)
        return self.add("ReduceMax", tensor, axes=[2], keepdims=0)


def add_preprocessing(
    build: Builder, target: Input, network_color: Color, mean: Sequence[float], std: Sequence[float], output: str
) -> None:
    """uint8 (1, H, W, C) -> float32 (1, 3, H, W) = (x / 255 - mean) / std.

    The cast comes first, since TensorRT lets nothing else read a uint8 input.  A mono frame becomes three channels by
    broadcasting in the multiplication, so that it is never tiled.
    """
    scale = 1.0 / (255.0 * np.asarray(std, np.float64))
    shift = -np.asarray(mean, np.float64) / np.asarray(std, np.float64)
    pixels = build.add("Cast", INPUT_NAME, to=FLOAT)
    if target.color == "mono8":
        planes = build.add("Reshape", pixels, build.constant([1, 1, target.height, target.width]))
    else:
        planes = build.add("Transpose", pixels, perm=[0, 3, 1, 2])
        if target.color != network_color:
            planes = build.add("Gather", planes, build.constant([2, 1, 0]), axis=1)
    scaled = build.add("Mul", planes, build.constant(scale.reshape(1, 3, 1, 1).astype(np.float32)))
    build.add("Add", scaled, build.constant(shift.reshape(1, 3, 1, 1).astype(np.float32)), output=output)


def decode_yolox(build: Builder, raw: str, target: Input, classes: int, candidates: int) -> None:
    """(1, N, 5 + classes) -> (K, 6).

    Columns are x, y, w, h, objectness and class scores; N runs over strides 8, 16, 32, each row by row.  By the
    network's definition (YOLOX, arXiv 2107.08430) xy = (xy + grid) stride, wh = exp(wh) stride, score = objectness x
    best class.  The best K are taken first and only they are decoded.

    One non-finite value anywhere in ``raw`` makes every score non-finite: a sort may lose it, and a network that
    computes nonsense must not pass a part.
    """
    grid, strides = yolox_anchors(target)
    best_class = build.largest_column(build.columns(raw, 5, 5 + classes))
    objectness = build.add("Squeeze", build.columns(raw, 4, 5), build.constant([2]))
    all_scores = build.add("Mul", objectness, best_class)
    scores, chosen = build.add_many(
        "TopK", (all_scores, build.constant([candidates])), (f"{PREFIX}scores", f"{PREFIX}chosen"), axis=1, sorted=1
    )
    rows = build.add("Squeeze", chosen, build.constant([0]))
    kept = build.add("Gather", raw, rows, axis=1)
    stride = build.add("Gather", build.constant(strides), rows, axis=1)
    cells = build.add("Add", build.columns(kept, 0, 2), build.add("Gather", build.constant(grid), rows, axis=1))
    centres = build.add("Mul", cells, stride)
    sides = build.add("Mul", build.add("Exp", build.columns(kept, 2, 4)), stride)
    halves = build.add("Mul", sides, build.constant(np.full((1, 1, 1), 0.5, np.float32)))
    labels = build.add("ArgMax", build.columns(kept, 5, 5 + classes), axis=2, keepdims=1)
    total = build.add("ReduceSum", raw, build.constant([0, 1, 2]), keepdims=1)
    nothing = build.add("Mul", total, build.constant(np.zeros((1, 1, 1), np.float32)))  # 0, or NaN
    table = build.add(
        "Concat",
        build.add("Sub", centres, halves),
        build.add("Add", centres, halves),
        build.add("Add", build.add("Unsqueeze", scores, build.constant([2])), nothing),
        build.add("Cast", labels, to=FLOAT),
        axis=2,
    )
    build.add("Squeeze", table, build.constant([0]), output=OUTPUT_NAME)


def yolox_anchors(target: Input) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the grid, (1, N, 2) cells as x, y, and the strides, (1, N, 1) px, of a YOLOX head.

    Raises:
        ModelError: a side of the input is no multiple of the largest stride.
    """
    if target.width % YOLOX_STRIDES[-1] or target.height % YOLOX_STRIDES[-1]:
        raise ModelError(
            f"A YOLOX input of {target.width} x {target.height} px is no multiple of {YOLOX_STRIDES[-1]}.",
            "set input.width and input.height to those of the export.",
        )
    grids, strides = [], []
    for stride in YOLOX_STRIDES:
        y, x = np.mgrid[0 : target.height // stride, 0 : target.width // stride]
        grids.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((x.size, 1), stride))
    return np.concatenate(grids)[None].astype(np.float32), np.concatenate(strides)[None].astype(np.float32)


def yolox_raw_shape(target: Input, classes: int) -> tuple[int, int, int]:
    """Return the shape of a YOLOX network's raw output."""
    return 1, yolox_anchors(target)[0].shape[1], 5 + classes


@dataclass(frozen=True)
class Family:
    """How the networks of one family are read: the shape of their raw output, and what decodes it."""

    raw_shape: Callable[[Input, int], tuple[int, int, int]]
    decode: Callable[[Builder, str, Input, int, int], None]
    color: Color = "rgb8"  # the channel order that the network was trained with


FAMILIES: dict[str, Family] = {
    "yolox": Family(yolox_raw_shape, decode_yolox),
}


def splice(
    source: Path,
    family: Family,
    target: Input,
    classes: int,
    candidates: int,
    mean: Sequence[float],
    std: Sequence[float],
) -> bytes:
    """Return the prepared graph of an exported network, as ONNX bytes.

    Raises:
        MissingExtra: onnx is not installed.
        ModelError: ``source`` is no ONNX file, or not an export of that family, size and number of classes.
    """
    try:
        import onnx
        from onnx import helper
    except ImportError as error:
        raise MissingExtra("onnx", "model") from error
    model = _load(onnx, source)
    graph = model.graph
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset not in OPSETS:
        raise ModelError(
            f"{source} has opset {opset}, not one of {OPSETS[0]} to {OPSETS[-1]}.", "export it again with opset 17."
        )
    network_input, raw = _ports(source, graph)
    raw_shape = family.raw_shape(target, classes)
    _check_shape(source, network_input, (1, 3, target.height, target.width), "input")
    _check_shape(source, raw, raw_shape, "output")
    if candidates > raw_shape[1]:
        raise ModelError(
            f"{source} yields {raw_shape[1]} candidates, fewer than {candidates}.",
            f"set output.candidates to at most {raw_shape[1]}.",
        )
    build = Builder(opset)
    add_preprocessing(build, target, family.color, mean, std, network_input.name)
    split = len(build.nodes)
    family.decode(build, raw.name, target, classes, candidates)
    prepared = helper.make_graph(
        [*build.nodes[:split], *graph.node, *build.nodes[split:]],
        OUTPUT_NAME,
        [helper.make_tensor_value_info(INPUT_NAME, UINT8, [1, *target.shape])],
        [helper.make_tensor_value_info(OUTPUT_NAME, FLOAT, [candidates, 6])],
        [*graph.initializer, *build.constants],
    )
    result = helper.make_model(
        prepared, opset_imports=model.opset_import, functions=model.functions, ir_version=model.ir_version
    )
    result.producer_name = "edge model prepare"
    return _checked(onnx, source, result)


def _load(onnx: Any, source: Path) -> Any:
    if not source.is_file():
        raise ModelError(f"{source} is not a file.", "give the path of an exported ONNX network.")
    try:
        model = onnx.load(str(source))
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, onnx and the file system each raise classes of their own
        raise ModelError(f"{source} is no valid ONNX file: {error}.", "export the network again.") from error
    return model


def _ports(source: Path, graph: Any) -> tuple[Any, Any]:
    constants = {c.name for c in graph.initializer}
    inputs = [i for i in graph.input if i.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ModelError(
            f"{source} has {len(inputs)} inputs and {len(graph.output)} outputs, not one of each.",
            "export the bare network, without its post-processing.",
        )
    taken = [n for node in graph.node for n in node.output if n.startswith(PREFIX) or n in (INPUT_NAME, OUTPUT_NAME)]
    if taken:
        raise ModelError(f"{source} was prepared already: it computes {taken[0]!r}.", "give the export itself.")
    return inputs[0], graph.output[0]


def _check_shape(source: Path, port: Any, expected: tuple[int, ...], what: str) -> None:
    """Check a port's type and its dimensions, of which those that the export left open are taken as expected."""
    tensor = port.type.tensor_type
    found = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim)
    fits = len(found) == len(expected) and all(f in (-1, e) for f, e in zip(found, expected, strict=False))
    if tensor.elem_type != FLOAT or not fits:
        shape = " x ".join("?" if d == -1 else str(d) for d in found)
        raise ModelError(
            f"The {what} {port.name!r} of {source} is {shape} of type {tensor.elem_type}, "
            f"not {' x '.join(map(str, expected))} of type {FLOAT} (float32).",
            "check input.width, input.height, classes and family against the export.",
        )


def _checked(onnx: Any, source: Path, model: Any) -> bytes:
    try:
        onnx.checker.check_model(model, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:  # onnx raises classes of its own
        raise ModelError(
            f"The graph prepared from {source} is not valid: {error}.", "export the network again with opset 17."
        ) from error
    content: bytes = inferred.SerializeToString(deterministic=True)
    return content
