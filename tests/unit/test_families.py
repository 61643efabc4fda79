"""Prepared graphs against the decoding and suppression that each family's own framework defines, on made-up exports."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from edge.core.nms import nms
from edge.engine.onnxruntime import OnnxRuntimeEngine
from edge.engine.openvino import OpenVinoEngine
from edge.model.families import FAMILIES
from edge.model.package import MODEL_FILE, Color, Manifest, ModelPackage, Nms
from edge.model.prepare import PrepareSpec, prepare_graph
from tests.support_families import (
    ANCHOR_BOXES,
    BARE_YOLOX,
    CLASSES,
    HEIGHT,
    OPSET,
    WIDTH,
    cells,
    made_up_export,
    made_up_spec,
)

Table = NDArray[np.float64]

CONFIDENCE, IOU = 0.25, 0.4
PYRAMID = (8, 16, 32)
ONE = ((1.0, 1.0),)


def frame(color: Color) -> NDArray[np.uint8]:
    shape = HEIGHT, WIDTH, 1 if color == "mono8" else 3
    return np.random.RandomState(3).randint(0, 256, shape).astype(np.uint8)


def framework_raw(export: Path, family: str, image: NDArray[np.uint8], color: Color) -> Table:
    """Run an export as its framework would: YOLOX on BGR 0..255, all others on RGB 0..1."""
    rgb = {"mono8": np.broadcast_to(image, (*image.shape[:2], 3)), "bgr8": image[..., ::-1], "rgb8": image}[color]
    pixels = rgb[..., ::-1].astype(np.float32) if family == "yolox" else rgb / np.float32(255.0)
    session = onnxruntime.InferenceSession(str(export), providers=["CPUExecutionProvider"])
    (raw,) = session.run(None, {"images": np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])})
    return np.asarray(raw[0], np.float64)


def framework_decoding(family: str, raw: Table, strides: tuple[int, ...] = PYRAMID) -> Table:
    """All rows as x1, y1, x2, y2, score, class, by the definitions of the families' papers and codes."""
    if family == "yolov10":
        return raw
    rows = []
    boxes = ANCHOR_BOXES if family == "yolov5" else ONE
    where = cells(strides, boxes)
    for index, values in enumerate(raw.T if family == "yolov8" else raw):
        x, y, w, h = values[:4]
        if family == "yolox":
            stride = where.stride[0, index]
            x, y = (x + where.grid[0, index]) * stride, (y + where.grid[1, index]) * stride
            w, h = np.exp(w) * stride, np.exp(h) * stride
        scores = values[4:] if family == "yolov8" else values[4] * values[5:]
        rows.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2, scores.max(), scores.argmax()])
    return np.array(rows)


def framework_suppression(table: Table) -> Table:
    """Greedy suppression with classes moved apart by an offset, as the frameworks do it."""
    left = table[table[:, 4] > CONFIDENCE]
    left = left[np.argsort(-left[:, 4])]
    boxes = left[:, :4] + left[:, 5:] * 7680
    kept: list[int] = []
    for rank, box in enumerate(boxes):
        others = boxes[kept]
        sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
        shared = np.maximum(sides, 0).prod(axis=1)
        union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - shared
        if (shared <= IOU * union).all():
            kept.append(rank)
    return np.asarray(left[kept])


def assert_same(found: NDArray[np.float32], expected: Table) -> None:
    """One to one: class alike, boxes within 1 px, scores within 0.001."""
    assert len(found) == len(expected)
    free = list(range(len(found)))
    for row in expected:
        off = np.abs(found[free] - row)
        fits = (off[:, :4].max(axis=1) <= 1.0) & (off[:, 4] <= 1e-3) & (off[:, 5] == 0)
        assert fits.any(), f"nobody is {row}"
        free.pop(int(fits.argmax()))


def survivors(export: Path, spec: PrepareSpec, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
    """The prepared graph's candidates above the threshold, before and after suppression by its manifest."""
    graph, fields = prepare_graph(export, spec)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    candidates = session.run(None, {"frame": image[None]})[0]
    before = candidates[candidates[:, 4] > CONFIDENCE]
    assert len(before) < len(candidates), "the list is saturated: nothing can be compared"
    settings = fields["nms"]
    kept = nms(before[:, :4], before[:, 4], before[:, 5].astype(np.intp), settings.iou, settings.class_aware)
    return before, before[kept]


def spec_of(family: str, color: Color, candidates: int) -> PrepareSpec:
    bare = BARE_YOLOX if family == "yolox" else {}
    told = {} if FAMILIES[family].end_to_end else {"nms": Nms(iou=IOU)}
    return made_up_spec(color, candidates, family=family, **bare, **told)


USUAL = [(family, PYRAMID, OPSET, color) for family in FAMILIES for color in ("mono8", "bgr8", "rgb8")]


@pytest.mark.parametrize(
    ("family", "strides", "opset", "color"),
    [
        *USUAL,
        ("yolov5", (16, 32), 13, "rgb8"),
        ("yolov8", (4, 8, 16, 32), 13, "rgb8"),
        ("yolov10", PYRAMID, 13, "rgb8"),
        ("yolov8", PYRAMID, 20, "rgb8"),
    ],
)
def test_it_decodes_and_suppresses_as_the_framework_does(
    tmp_path: Path, family: str, strides: tuple[int, ...], opset: int, color: Color
) -> None:
    export = made_up_export(tmp_path / "export.onnx", family, strides, opset=opset, rows=300)
    rows = 300 if family == "yolov10" else cells(strides, ANCHOR_BOXES if family == "yolov5" else ONE).stride.size
    expected = framework_decoding(family, framework_raw(export, family, frame(color), color), strides)
    before, after = survivors(export, spec_of(family, color, min(rows, 1000)), frame(color))
    assert len(before) >= 50
    assert_same(before, expected[expected[:, 4] > CONFIDENCE])
    if FAMILIES[family].end_to_end:
        assert len(after) == len(before)
    else:
        assert 50 <= len(after) < len(before)
        assert_same(after, framework_suppression(expected))
    assert set(after[:, 5].tolist()) == set(range(CLASSES))


@pytest.mark.parametrize("family", FAMILIES)
def test_both_engines_run_it_alike(tmp_path: Path, family: str) -> None:
    export = made_up_export(tmp_path / "export.onnx", family, rows=300)
    graph, fields = prepare_graph(export, spec_of(family, "bgr8", 100))
    (tmp_path / MODEL_FILE).write_bytes(graph)
    manifest = Manifest(**fields, files={MODEL_FILE: hashlib.sha256(graph).hexdigest()})
    package = ModelPackage(tmp_path, manifest)
    with OnnxRuntimeEngine(package) as one, OpenVinoEngine(package, "fp32") as other:
        image = frame("bgr8")
        raw = framework_raw(export, family, image, "bgr8")
        rows = raw.T if family == "yolov8" else raw
        for engine in (one, other):
            np.testing.assert_allclose(engine.heads(image), rows, rtol=1e-3, atol=1e-3)
        assert_same(other.run(image), one.run(image).astype(np.float64))
