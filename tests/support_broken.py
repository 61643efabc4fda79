"""Exports that are broken without a trace: name, shapes, classes and hashes are right, only what is computed is wrong.

Each fault changes the prepared graph of a YOLOX package in place.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.model.package import (
    HEADS_NAME,
    MANIFEST_FILE,
    MODEL_FILE,
    ModelPackage,
    load_package,
    read_manifest,
    write_manifest,
)

Fault = Callable[[onnx.ModelProto], None]
OURS = "edge_"


def broken(package: ModelPackage, fault: str | Fault, folder: Path) -> ModelPackage:
    """Copy ``package`` into ``folder`` with a fault in its graph, golden outputs as they were and all hashes right."""
    shutil.copytree(package.path, folder)
    model = onnx.load_from_string(package.read(MODEL_FILE))
    (FAULTS[fault] if isinstance(fault, str) else fault)(model)
    onnx.checker.check_model(model)
    return rehashed(folder, MODEL_FILE, model.SerializeToString())


def rehashed(folder: Path, file: str, content: bytes) -> ModelPackage:
    """Replace a file of a package and its hash: an intact package with other content."""
    manifest = read_manifest(folder / MANIFEST_FILE)
    files = {**manifest.files, file: hashlib.sha256(content).hexdigest()}
    (folder / file).write_bytes(content)
    write_manifest(folder / MANIFEST_FILE, manifest.model_copy(update={"files": files}))
    return load_package(folder)


# -- surgery ----------------------------------------------------------------------------------------------------------


def nodes(model: onnx.ModelProto, op: str, ours: bool) -> list[onnx.NodeProto]:
    """Return the nodes of one kind: those that ``edge model prepare`` added, or the network's own."""
    return [node for node in model.graph.node if node.op_type == op and node.name.startswith(OURS) == ours]


def convolutions(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the network's convolutions, in the order of computation."""
    return nodes(model, "Conv", ours=False)


def value(model: onnx.ModelProto, name: str) -> NDArray[Any]:
    """Return a constant."""
    return numpy_helper.to_array(next(c for c in model.graph.initializer if c.name == name))


def replace(model: onnx.ModelProto, name: str, content: NDArray[Any]) -> None:
    """Replace a constant by one of the same shape and type."""
    old = next(c for c in model.graph.initializer if c.name == name)
    array = np.array(content, numpy_helper.to_array(old).dtype, order="C")
    assert list(array.shape) == list(old.dims)
    old.CopyFrom(numpy_helper.from_array(array, name))


def add_constant(model: onnx.ModelProto, content: NDArray[Any] | Sequence[int]) -> str:
    """Add a constant and return its name."""
    name = f"fault_c{len(model.graph.initializer)}"
    array = content if isinstance(content, np.ndarray) else np.asarray(content, np.int64)
    model.graph.initializer.append(numpy_helper.from_array(array, name))
    return name


def behind(model: onnx.ModelProto, tensor: str, *steps: tuple[str, Sequence[str], dict[str, Any]]) -> None:
    """Put a chain of nodes behind ``tensor``: each step's first input is what comes before it, the last one's output is
    ``tensor`` to everything that read it."""
    place = next(i for i, node in enumerate(model.graph.node) if tensor in node.output)
    producer = model.graph.node[place]
    current = f"{tensor}_sound"
    producer.output[list(producer.output).index(tensor)] = current
    for number, (op, inputs, attributes) in enumerate(steps):
        last = number == len(steps) - 1
        output = tensor if last else f"{tensor}_step{number}"
        node = helper.make_node(op, [current, *inputs], [output], name=f"fault_{op}_{tensor}_{number}", **attributes)
        model.graph.node.insert(place + 1 + number, node)
        current = output


def normalisation(model: onnx.ModelProto) -> tuple[str, str]:
    """Return the names of the scale and the shift, (1, 3, 1, 1) each, of (pixels x scale) + shift."""
    scale = next(node.input[1] for node in nodes(model, "Mul", ours=True))
    shift = next(node.input[1] for node in nodes(model, "Add", ours=True))
    assert value(model, scale).shape == value(model, shift).shape == (1, 3, 1, 1)
    return scale, shift


def rows_of(model: onnx.ModelProto) -> tuple[int, int]:
    """Return (N, columns) of the raw heads."""
    port = next(out for out in model.graph.output if out.name == HEADS_NAME)
    _, rows, columns = (d.dim_value for d in port.type.tensor_type.shape.dim)
    return rows, columns


def reordered(order: Callable[[int, int], Sequence[int]], axis: int) -> Fault:
    """Return the fault that reorders the raw heads along an axis: ``order(N, columns)``."""

    def fault(model: onnx.ModelProto) -> None:
        chosen = add_constant(model, list(order(*rows_of(model))))
        behind(model, HEADS_NAME, ("Gather", [chosen], {"axis": axis}))

    return fault


def normalised(mean: Sequence[float], std: Sequence[float], pixel: float = 255.0) -> Fault:
    """Return the fault of another normalisation."""

    def fault(model: onnx.ModelProto) -> None:
        scale, shift = normalisation(model)
        deviation = np.array(std).reshape(1, 3, 1, 1)
        replace(model, scale, 1 / (pixel * deviation))
        replace(model, shift, -np.array(mean).reshape(1, 3, 1, 1) / deviation)

    return fault


def weights(at: float, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Fault:
    """Return the fault that changes the weights of one convolution: the one at a share of the way through."""

    def fault(model: onnx.ModelProto) -> None:
        found = convolutions(model)
        name = found[int(at * (len(found) - 1))].input[1]
        replace(model, name, change(value(model, name)))

    return fault


# -- faults -----------------------------------------------------------------------------------------------------------


def channels_swapped(model: onnx.ModelProto) -> None:
    """The export was for BGR: its first layer reads the channels backwards."""
    first = {node.input[0] for node in convolutions(model)[:1]}
    for node in convolutions(model):  # a network may read the image in several places
        if node.input[0] in first:
            replace(model, node.input[1], value(model, node.input[1])[:, ::-1])


def rows_for_columns(model: onnx.ModelProto) -> None:
    """The frame's memory is read column by column."""
    cast = nodes(model, "Cast", ours=True)[0]
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    turned = add_constant(model, [shape[0], shape[2], shape[1], shape[3]])
    behind(model, cast.output[0], ("Reshape", [turned], {}), ("Transpose", [], {"perm": [0, 2, 1, 3]}))


def float16_overflow(model: onnx.ModelProto) -> None:
    """A tensor leaves float16's range; the clipping activation behind it hides the infinities."""
    _through_float16(model, 1e7)


def float16_underflow(model: onnx.ModelProto) -> None:
    """A tensor is so small that float16 makes it zero."""
    _through_float16(model, 1e-10)


def _through_float16(model: onnx.ModelProto, scale: float) -> None:
    found = convolutions(model)
    there = add_constant(model, np.array(scale, np.float32))
    back = add_constant(model, np.array(1 / scale, np.float32))
    behind(
        model,
        found[len(found) // 3].output[0],
        ("Mul", [there], {}),
        ("Cast", [], {"to": TensorProto.FLOAT16}),
        ("Cast", [], {"to": TensorProto.FLOAT}),
        ("Mul", [back], {}),
    )


def activation_clipped(model: onnx.ModelProto) -> None:
    """An activation is quantised to 8 bits with a scale that was calibrated on next to nothing."""
    found = convolutions(model)
    scale = add_constant(model, np.array(1e-4, np.float32))
    zero = add_constant(model, np.array(128, np.uint8))
    behind(
        model,
        found[len(found) // 2].output[0],
        ("QuantizeLinear", [scale, zero], {}),
        ("DequantizeLinear", [scale, zero], {}),
    )


def sigmoid_missing(model: onnx.ModelProto) -> None:
    """The scores are logits."""
    for node in nodes(model, "Sigmoid", ours=False):
        node.op_type = "Identity"


def sigmoid_twice(model: onnx.ModelProto) -> None:
    """The scores went through the sigmoid function once too often."""
    for node in nodes(model, "Sigmoid", ours=False):
        behind(model, node.output[0], ("Sigmoid", [], {}))


def level_dropped(model: onnx.ModelProto) -> None:
    """The coarsest level says nothing."""
    rows, columns = rows_of(model)
    mask = np.ones((1, rows, columns), np.float32)
    mask[:, -(rows // 21) :, 4:] = 0.0  # a third level has 1 anchor to 4 and 16 of the others
    behind(model, HEADS_NAME, ("Mul", [add_constant(model, mask)], {}))


def stride_wrong(model: onnx.ModelProto) -> None:
    """The finest level is decoded with twice its stride."""
    name = next(
        c.name for c in model.graph.initializer if c.name.startswith(OURS) and list(c.dims) == [1, rows_of(model)[0], 1]
    )
    strides = value(model, name).copy()
    strides[strides == strides.min()] *= 2
    replace(model, name, strides)


def labels_off_by_one(model: onnx.ModelProto) -> None:
    """Labels count a background class."""
    (argmax,) = nodes(model, "ArgMax", ours=True)
    classes = add_constant(model, [rows_of(model)[1] - 5])
    behind(model, argmax.output[0], ("Add", [add_constant(model, [1])], {}), ("Mod", [classes], {}))


def smallest_first(model: onnx.ModelProto) -> None:
    """The candidates are the worst, not the best."""
    (top,) = nodes(model, "TopK", ours=True)
    top.attribute.append(helper.make_attribute("largest", 0))


def few_searched(model: onnx.ModelProto) -> None:
    """The best are taken of the first half of the anchors only."""
    (top,) = nodes(model, "TopK", ours=True)
    rows, _ = rows_of(model)
    mask = np.ones((1, rows), np.float32)
    mask[:, rows // 2 :] = 0.0
    behind(model, top.input[0], ("Mul", [add_constant(model, mask)], {}))


def few_candidates(model: onnx.ModelProto) -> None:
    """The list is shorter than the manifest says, and so is the port: an engine finds that when it loads the graph."""
    port = model.graph.output[0]
    short = port.type.tensor_type.shape.dim[0].dim_value - 10
    ends = (add_constant(model, [0]), add_constant(model, [short]), add_constant(model, [0]))
    behind(model, port.name, ("Slice", ends, {}))
    port.type.tensor_type.shape.dim[0].dim_value = short


def boxes_of_one(model: onnx.ModelProto) -> None:
    """Boxes are shares of the input, not pixels."""
    height, width = (d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[1:3])
    unit = np.array([1 / width, 1 / height, 1 / width, 1 / height, 1, 1], np.float32)
    behind(model, model.graph.output[0].name, ("Mul", [add_constant(model, unit)], {}))


def boxes_by_centre(model: onnx.ModelProto) -> None:
    """Boxes are centre, width and height, not corners."""
    turn = np.eye(6, dtype=np.float32)
    for low, high in ((0, 2), (1, 3)):
        turn[[low, high], low] = 0.5
        turn[low, high], turn[high, high] = -1.0, 1.0
    behind(model, model.graph.output[0].name, ("MatMul", [add_constant(model, turn)], {}))


def int8_weights_doubled(model: onnx.ModelProto) -> None:
    """Of an INT8 graph: the weights of one layer are dequantised with twice their scale."""
    scales = [
        node.input[1] for node in nodes(model, "DequantizeLinear", ours=False) if _is_kernel(model, node.input[0])
    ]
    name = scales[len(scales) // 2]
    replace(model, name, 2.0 * value(model, name))


def int8_range_too_small(model: onnx.ModelProto) -> None:
    """Of an INT8 graph: the range of one activation is an eighth of what it should be, so that it saturates."""
    pairs = nodes(model, "QuantizeLinear", ours=False)
    name = pairs[len(pairs) // 2].input[1]
    replace(model, name, value(model, name) / 8.0)


def _is_kernel(model: onnx.ModelProto, name: str) -> bool:
    return any(c.name == name and len(c.dims) == 4 for c in model.graph.initializer)


def noisy(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return weights that a faulty conversion has blurred."""
    random = np.random.RandomState(0)
    noise: NDArray[np.float64] = random.standard_normal(kernel.shape)
    return kernel + (0.3 * float(kernel.std()) * noise).astype(np.float32)


def _swap(columns: int, first: int, second: int) -> list[int]:
    order = list(range(columns))
    order[first], order[second] = second, first
    return order


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

FAULTS: dict[str, Fault] = {
    "channels swapped": channels_swapped,
    "not divided by 255": normalised(*IMAGENET, pixel=1.0),
    "not normalised": normalised((0, 0, 0), (1, 1, 1)),
    "another network's mean and deviation": normalised((0.4, 0.6, 0.5), (0.3, 0.2, 0.3)),
    "rows read as columns": rows_for_columns,
    "classes shuffled": reordered(lambda _, n: [*range(5), *range(6, n), 5], axis=2),
    "two classes swapped": reordered(lambda _, n: _swap(n, n - 2, n - 1), axis=2),
    "objectness swapped with a class": reordered(lambda _, n: _swap(n, 4, 5), axis=2),
    "width swapped with height": reordered(lambda _, n: _swap(n, 2, 3), axis=2),
    "levels in another order": reordered(lambda rows, _: [*range(rows // 21, rows), *range(rows // 21)], axis=1),
    "level dropped": level_dropped,
    "float16 overflow": float16_overflow,
    "float16 underflow": float16_underflow,
    "int8 scale of one tensor doubled": weights(0.5, lambda kernel: 2.0 * kernel),
    "int8 activation clipped": activation_clipped,
    "weights blurred": weights(0.4, noisy),
    "kernel transposed": weights(0.0, lambda kernel: kernel.transpose(0, 1, 3, 2)),
    "sigmoid missing": sigmoid_missing,
    "sigmoid twice": sigmoid_twice,
    "stride wrong": stride_wrong,
    "labels off by one": labels_off_by_one,
    "worst candidates taken": smallest_first,
    "half the anchors searched": few_searched,
    "boxes as shares": boxes_of_one,
    "boxes by centre": boxes_by_centre,
}
