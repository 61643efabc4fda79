"""Tiny YOLOX-like networks whose outputs depend on the image, and packages made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge.model.package import Color, Input, Licences, ModelPackage, Nms, Output, Qualified, Score
from edge.model.prepare import FP32_PAIRS, PrepareSpec, prepare

CLASSES = ("scratch", "pit", "stain")
LICENCES = Licences(weights="Apache-2.0", training_code="Apache-2.0", pretraining="none", data="synthetic")
BF16 = Qualified(engine="openvino", precision="bf16", score_abs=0.1, box_px=2.0, heads_rel=0.1)
STRIDES = (8, 16, 32)
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of ImageNet's training images in RGB, 0..1, as torchvision documents
IMAGENET_STD = (0.229, 0.224, 0.225)
SPEC = """name = "line"
version = "2"
classes = ["scratch"]
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[input]
width = 64
height = 64
color = "mono8"
[licences]
weights = "Apache-2.0"
training_code = "Apache-2.0"
pretraining = "none"
data = "own"
"""


def head_weights(stride: int, classes: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (5 + classes, 3, stride, stride) and bias of the one convolution of a level.

    Objectness follows brightness: near 1 where a whole cell of 16 or 32 px is white, 0 where it is grey or black;
    cells of 8 px stay silent.  Class 0 is what a plain cell is; odd classes like a first channel above the last and a
    top brighter than the bottom, even ones the opposite and a left brighter than the right.  The box is the cell,
    shifted and stretched a little by the same patterns.
    """
    weights = np.zeros((5 + classes, 3, stride, stride), np.float32)
    bias = np.zeros(5 + classes, np.float32)
    mean = np.full((stride, stride), 1 / stride**2, np.float32)
    top = mean * np.sign(stride / 2 - 0.5 - np.arange(stride))[:, None]
    left = top.T
    weights[0] += left * 0.2
    weights[1] += top * 0.2
    bias[0:2] = 0.5
    weights[2] += mean * 0.05
    weights[3] -= mean * 0.05
    weights[4] += mean * 8 / 3
    bias[4] = -30.0 if stride == 8 else -10.0
    bias[5] = 4.0
    for index in range(1, classes):
        sign, pattern = (1, top) if index % 2 else (-1, left)
        weights[5 + index] += pattern * 4
        weights[5 + index, 0] += sign * mean * 3
        weights[5 + index, 2] -= sign * mean * 3
        bias[5 + index] = -3.0 - 0.1 * index
    return weights, bias


def tiny_export(
    path: Path,
    size: int = 64,
    classes: int = len(CLASSES),
    opset: int = 17,
    swap_channels: bool = False,
    class_order: Sequence[int] | None = None,
    nan_when_black: bool = False,
) -> Path:
    """Write a YOLOX-like export, ``images`` (1, 3, S, S) float32 -> (1, N, 5 + classes), and return its path.

    Args:
        size: side of the input in px, a multiple of 32.
        swap_channels: as if it had been exported for BGR.
        class_order: as if the classes had been listed in another order.
        nan_when_black: make x of the very last anchor NaN where its cell is black.
    """
    nodes: list[Any] = []
    constants: list[Any] = []
    levels: list[str] = []
    for stride in STRIDES:
        weights, bias = head_weights(stride, classes)
        if swap_channels:
            weights = weights[:, ::-1]
        if class_order is not None:
            order = [0, 1, 2, 3, 4, *(5 + index for index in class_order)]
            weights, bias = weights[order], bias[order]
        constants += [
            numpy_helper.from_array(np.ascontiguousarray(weights), f"w{stride}"),
            numpy_helper.from_array(bias, f"b{stride}"),
        ]
        nodes.append(
            helper.make_node(
                "Conv", ["images", f"w{stride}", f"b{stride}"], [f"conv{stride}"],
                kernel_shape=[stride, stride], strides=[stride, stride],
            )
        )  # fmt: skip
        nodes.append(helper.make_node("Reshape", [f"conv{stride}", "flat"], [f"level{stride}"]))
        levels.append(f"level{stride}")
    constants += [
        numpy_helper.from_array(np.array([1, 5 + classes, -1]), "flat"),
        numpy_helper.from_array(np.array([4, 1 + classes]), "parts"),
    ]
    nodes += [
        helper.make_node("Concat", levels, ["all"], axis=2),
        helper.make_node("Transpose", ["all"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("Split", ["rows", "parts"], ["boxes", "logits"], axis=2),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["joined"], axis=2),
    ]
    if nan_when_black:
        nodes += _nan_tail(constants, size, classes)
    else:
        nodes.append(helper.make_node("Identity", ["joined"], ["output"]))
    anchors = sum((size // stride) ** 2 for stride in STRIDES)
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, [1, anchors, 5 + classes])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, str(path))
    return path


def _nan_tail(constants: list[Any], size: int, classes: int) -> list[Any]:
    """Nodes that put sqrt(mean of its cell + 1.95) into x of the last anchor; black is -1.986 after normalisation."""
    anchors = sum((size // stride) ** 2 for stride in STRIDES)
    mask = np.zeros((1, anchors, 5 + classes), np.float32)
    mask[0, -1, 0] = 1.0
    constants += [
        numpy_helper.from_array(mask > 0, "last"),
        numpy_helper.from_array(np.full((1, 3, 32, 32), 1 / 3072, np.float32), "cell"),
        numpy_helper.from_array(np.array([1.95], np.float32), "lift"),
        numpy_helper.from_array(np.array([1, 1, -1]), "line"),
        numpy_helper.from_array(np.array([(size // 32) ** 2 - 1]), "corner"),
    ]
    return [
        helper.make_node("Conv", ["images", "cell", "lift"], ["light"], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("Reshape", ["light", "line"], ["lights"]),
        helper.make_node("Gather", ["lights", "corner"], ["light_last"], axis=2),
        helper.make_node("Sqrt", ["light_last"], ["root"]),
        helper.make_node("Where", ["last", "root", "joined"], ["output"]),
    ]


def tiny_spec(
    size: int = 64,
    color: Color = "mono8",
    resize: str = "stretch",
    classes: Sequence[str] = CLASSES,
    candidates: int = 20,
    name: str = "tiny",
    qualified: Sequence[Qualified] = (*FP32_PAIRS, BF16),
) -> PrepareSpec:
    """Return what ``tiny_export`` does not say of itself."""
    return PrepareSpec.model_validate(
        {
            "name": name,
            "version": "1.0.0",
            "classes": tuple(classes),
            "input": Input.model_validate({"width": size, "height": size, "color": color, "resize": resize}),
            "output": Output(candidates=candidates),
            "nms": Nms(class_aware=True, iou=0.5),
            "score": Score(recommended=0.5, candidate_floor=0.05),
            "qualified": tuple(qualified),
            "licences": LICENCES,
            "network_color": "rgb8",
            "mean": IMAGENET_MEAN,
            "std": IMAGENET_STD,
        }
    )


def tiny_package(
    tmp_path: Path,
    size: int = 64,
    color: Color = "mono8",
    resize: str = "stretch",
    classes: Sequence[str] = CLASSES,
    candidates: int = 20,
    name: str = "tiny",
    qualified: Sequence[Qualified] = (*FP32_PAIRS, BF16),
    nan_when_black: bool = False,
) -> ModelPackage:
    """Prepare a package in ``tmp_path / name`` and return it.

    Seen at the network's size, a grey or black frame is clean, a white square of 16 px at a multiple of 16 on it is
    exactly one finding of the first class with a score above 0.9, and an all white frame fills the default list of
    candidates.
    """
    export = tiny_export(tmp_path / f"{name}.onnx", size, len(classes), nan_when_black=nan_when_black)
    spec = tiny_spec(size, color, resize, classes, candidates, name, qualified)
    return prepare(export, tmp_path / name, spec)


def blob_frame(
    shape: tuple[int, ...], x: int, y: int, side: int, ground: int = 90, level: int = 255
) -> NDArray[np.uint8]:
    """Return a uint8 frame of ``shape`` with a square of ``side`` px at (x, y)."""
    frame = np.full(shape, ground, np.uint8)
    frame[y : y + side, x : x + side] = level
    return frame
