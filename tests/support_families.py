"""Made-up exports of every family: one seeded convolution a pyramid level, then the head of the family's exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge.model.package import Color
from edge.model.prepare import PrepareSpec
from tests.support_models import LICENCES

WIDTH, HEIGHT, CLASSES = 160, 128, 4  # not square: a swap of axes shows
ANCHOR_BOXES = ((0.6, 1.4), (1.5, 0.9), (2.2, 2.4))  # YOLOv5's, in strides
OPSET = 17
BARE_YOLOX = {"network_color": "bgr8", "mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)}


@dataclass
class Head:
    """Nodes and constants of a made-up export."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def constant(self, value: Any, kind: type = np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), f"const{len(self.constants)}"))
        return str(self.constants[-1].name)

    def add(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        names = [f"t{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, **attributes))
        return names[-1]

    def part(self, tensor: str, first: int, last: int, axis: int = 1) -> str:
        return self.add("Slice", tensor, *(self.constant([v], np.int64) for v in (first, last, axis)))


@dataclass(frozen=True)
class Cells:
    """Of each anchor in the order of exports: cell x and y, (2, N), stride px, (1, N), and anchor box, (2, N)."""

    grid: NDArray[np.float64]
    stride: NDArray[np.float64]
    box: NDArray[np.float64]


def cells(strides: Sequence[int], boxes: Sequence[tuple[float, float]] = ((1.0, 1.0),)) -> Cells:
    rows = [
        (x, y, stride, *box)
        for stride in strides
        for box in boxes
        for y in range(HEIGHT // stride)
        for x in range(WIDTH // stride)
    ]
    table = np.array(rows).T
    return Cells(table[:2], table[2:3], table[3:])


def made_up_export(
    path: Path,
    family: str,
    strides: Sequence[int] = (8, 16, 32),
    metadata: Mapping[str, str] | None = None,
    opset: int = OPSET,
    rows: int = 60,
    score_gain: float = 1.0,
    seed: int = 1,
) -> Path:
    """Write an export ``images`` (1, 3, HEIGHT, WIDTH) -> ``output0`` and return its path.

    Args:
        rows: of an NMS-free one (``max_det``).
        score_gain: multiplies the scores, as a head without its sigmoid would.
    """
    head = Head()
    boxes = ANCHOR_BOXES if family == "yolov5" else ((1.0, 1.0),)
    values = _convolutions(head, strides, len(boxes), seed, 255.0 if family == "yolox" else 1.0)
    where = cells(strides, boxes)
    scores = head.add("Mul", head.add("Sigmoid", head.part(values, 4, 5 + CLASSES)), head.constant(score_gain))
    output = {"yolox": _yolox, "yolov5": _yolov5, "yolov8": _yolov8, "yolov10": _yolov10}[family]
    shape = output(head, values, scores, where, rows)
    head.nodes[-1].output[0] = "output0"
    graph = helper.make_graph(
        head.nodes,
        "made_up",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info("output0", onnx.TensorProto.FLOAT, list(shape))],
        head.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.save(model, str(path))
    return path


def _convolutions(head: Head, strides: Sequence[int], boxes: int, seed: int, full_scale: float) -> str:
    """(1, 5 + classes, N): levels in order, in each the anchor boxes, in each the cells row by row."""
    random = np.random.RandomState(seed)
    columns = 5 + CLASSES
    spread = np.tile([2.0] * 4 + [6.0] * (1 + CLASSES), boxes)[:, None, None, None]
    middle = np.tile([0.0, 0.0, 1.4, 1.4, 0.5, *[-3.0] * CLASSES], boxes)
    levels = []
    for stride in strides:
        weights = (
            random.normal(0, 1 / (np.sqrt(3) * stride * full_scale), (boxes * columns, 3, stride, stride)) * spread
        )
        bias = middle - weights.sum(axis=(1, 2, 3)) * full_scale / 2  # of a medium grey frame the middle is left
        convolution = head.add("Conv", "images", head.constant(weights), head.constant(bias), strides=[stride, stride])
        split = head.add("Reshape", convolution, head.constant([boxes, columns, -1], np.int64))
        moved = head.add("Transpose", split, perm=[1, 0, 2])
        levels.append(head.add("Reshape", moved, head.constant([1, columns, -1], np.int64)))
    return head.add("Concat", *levels, axis=2)


def _yolox(head: Head, values: str, scores: str, where: Cells, _rows: int) -> tuple[int, ...]:
    joined = head.add("Concat", head.part(values, 0, 4), scores, axis=1)
    head.add("Transpose", joined, perm=[0, 2, 1])
    return 1, where.stride.size, 5 + CLASSES


def _yolov5(head: Head, values: str, scores: str, where: Cells, _rows: int) -> tuple[int, ...]:
    twice = head.add("Mul", head.add("Sigmoid", head.part(values, 0, 4)), head.constant(2.0))
    cell = head.add("Add", head.part(twice, 0, 2), head.constant(where.grid[None] - 0.5))
    centres = head.add("Mul", cell, head.constant(where.stride[None]))
    wide = head.part(twice, 2, 4)
    sides = head.add("Mul", head.add("Mul", wide, wide), head.constant((where.box * where.stride)[None]))
    joined = head.add("Concat", centres, sides, scores, axis=1)
    head.add("Transpose", joined, perm=[0, 2, 1])
    return 1, where.stride.size, 5 + CLASSES


def _corners(head: Head, values: str, where: Cells) -> tuple[str, str]:
    """Corners, (1, 2, N) px each, at distances of 0 to 6 strides from the cell's centre."""
    reach = head.add("Mul", head.add("Sigmoid", head.part(values, 0, 4)), head.constant(6 * where.stride[None]))
    centre = head.constant((where.grid + 0.5)[None] * where.stride[None])
    return (
        head.add("Sub", centre, head.part(reach, 0, 2)),
        head.add("Add", centre, head.part(reach, 2, 4)),
    )


def _yolov8(head: Head, values: str, scores: str, where: Cells, _rows: int) -> tuple[int, ...]:
    first, last = _corners(head, values, where)
    centres = head.add("Mul", head.add("Add", first, last), head.constant(0.5))
    head.add("Concat", centres, head.add("Sub", last, first), head.part(scores, 1, 1 + CLASSES), axis=1)
    return 1, 4 + CLASSES, where.stride.size


def _yolov10(head: Head, values: str, scores: str, where: Cells, rows: int) -> tuple[int, ...]:
    """The best (box, class) pairs of all, as the exports sort them."""
    first, last = _corners(head, values, where)
    boxes = head.add("Transpose", head.add("Concat", first, last, axis=1), perm=[0, 2, 1])
    table = head.add("Transpose", head.part(scores, 1, 1 + CLASSES), perm=[0, 2, 1])
    flat = head.add("Reshape", table, head.constant([1, -1], np.int64))
    index = head.add("TopK", flat, head.constant([rows], np.int64), outputs=2, axis=1)
    best = index.replace("_1", "_0")
    classes = head.constant([CLASSES], np.int64)
    box = head.add("Squeeze", head.add("Div", index, classes), head.constant([0], np.int64))
    label = head.add("Cast", head.add("Mod", index, classes), to=onnx.TensorProto.FLOAT)
    last_axis = head.constant([2], np.int64)
    head.add(
        "Concat",
        head.add("Gather", boxes, box, axis=1),
        head.add("Unsqueeze", best, last_axis),
        head.add("Unsqueeze", label, last_axis),
        axis=2,
    )
    return 1, rows, 6


def made_up_spec(color: Color = "bgr8", candidates: int = 60, **change: object) -> PrepareSpec:
    """Return a spec for ``made_up_export`` that leaves out what an export may say itself."""
    fields: dict[str, object] = {
        "name": "made-up",
        "version": "1",
        "input": {"width": WIDTH, "height": HEIGHT, "color": color},
        "output": {"candidates": candidates},
        "classes": tuple(f"class {index}" for index in range(CLASSES)),
        "licences": LICENCES,
    }
    return PrepareSpec.model_validate(fields | change)
