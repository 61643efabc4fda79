"""Exports that have a family's shape and another meaning are refused before they become a package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edge.errors import ModelError
from edge.model.package import Manifest
from edge.model.plausible import implausible
from edge.model.prepare import prepare, prepare_graph
from tests.support_families import BARE_YOLOX, CLASSES, HEIGHT, WIDTH, made_up_export, made_up_spec

FAMILIES = ("yolox", "yolov5", "yolov8", "yolov10")


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    folder = tmp_path_factory.mktemp("exports")
    found = {}
    for family in FAMILIES:
        export = made_up_export(folder / f"{family}.onnx", family, rows=300)
        _, fields = prepare_graph(export, made_up_spec(family=family, **BARE_YOLOX))
        found[family] = Manifest(**fields, files={"model.onnx": "0" * 64})
    return found


def rows_of(manifest: Manifest, seed: int = 0) -> NDArray[np.float32]:
    """Rows as a network of the family gives them, objects of 8 to 60 px all over the input."""
    random = np.random.RandomState(seed)
    heads = manifest.heads
    rows = random.uniform(0, 1, (heads.rows, heads.columns))
    centres = random.uniform(0, 1, (heads.rows, 2)) * [WIDTH, HEIGHT]
    sides = random.uniform(8, 60, (heads.rows, 2))
    rows[:, :4] = {
        "yolox": np.hstack([random.uniform(-1, 2, (heads.rows, 2)), np.log(sides / 16)]),
        "yolov5": np.hstack([centres, sides]),
        "yolov8": np.hstack([centres, sides]),
        "yolov10": np.hstack([centres - sides / 2, centres + sides / 2]),
    }[manifest.family]
    if heads.ranked:
        rows[:, 5] = random.randint(0, CLASSES, heads.rows)
    return rows.astype(np.float32)


def corners(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.hstack([rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2, rows[:, 4:]])


def centres(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.hstack([(rows[:, :2] + rows[:, 2:4]) / 2, rows[:, 2:4] - rows[:, :2], rows[:, 4:]])


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_network_of_the_family_gives_is_plausible(manifests: dict[str, Manifest], family: str) -> None:
    for seed in range(20):
        assert implausible(manifests[family], rows_of(manifests[family], seed)) == ""


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("score", "refused"), [(-0.0005, False), (-0.002, True), (1.0005, False), (1.002, True)])
def test_scores_lie_in_0_to_1(manifests: dict[str, Manifest], family: str, score: float, refused: bool) -> None:
    for column in (4,) if family == "yolov10" else (4, 3 + CLASSES):
        rows = rows_of(manifests[family])
        rows[7, column] = score
        assert ("its last sigmoid" in implausible(manifests[family], rows)) == refused


@pytest.mark.parametrize("family", ["yolov5", "yolov8", "yolov10"])
def test_boxes_are_no_shares_of_the_input(manifests: dict[str, Manifest], family: str) -> None:
    rows = rows_of(manifests[family])
    rows[:, :4] /= [WIDTH, HEIGHT, WIDTH, HEIGHT]
    assert "shares of the input" in implausible(manifests[family], rows)


@pytest.mark.parametrize("family", ["yolov5", "yolov8"])
def test_boxes_are_no_corners_where_centres_are_due(manifests: dict[str, Manifest], family: str) -> None:
    assert "two corners" in implausible(manifests[family], corners(rows_of(manifests[family])))


def test_boxes_are_no_centres_where_corners_are_due(manifests: dict[str, Manifest]) -> None:
    assert "centre and sides" in implausible(manifests["yolov10"], centres(rows_of(manifests["yolov10"])))


def test_a_yolox_is_not_decoded_already(manifests: dict[str, Manifest]) -> None:
    rows = rows_of(manifests["yolox"])
    rows[:, :4] = rows_of(manifests["yolov5"])[: len(rows), :4]
    assert "decoded already" in implausible(manifests["yolox"], rows)


@pytest.mark.parametrize(
    ("label", "refused"), [(0, False), (CLASSES - 1, False), (CLASSES, True), (1.5, True), (-1, True)]
)
def test_every_class_of_an_nms_free_network_has_a_name(
    manifests: dict[str, Manifest], label: float, refused: bool
) -> None:
    rows = rows_of(manifests["yolov10"])
    rows[-1, 5] = label
    assert (f"returns class {label:g}, and 4 classes are named" in implausible(manifests["yolov10"], rows)) == refused


def test_an_export_without_its_sigmoid_becomes_no_package(tmp_path: Path) -> None:
    export = made_up_export(tmp_path / "export.onnx", "yolov8", score_gain=8.0)
    with pytest.raises(ModelError, match=r"no output of family yolov8: its scores reach from .* to [5678]"):
        prepare(export, tmp_path / "package", made_up_spec())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.onnx"]


def test_too_few_names_for_an_nms_free_export_are_refused(tmp_path: Path) -> None:
    """Its shape does not tell how many classes it has."""
    export = made_up_export(tmp_path / "export.onnx", "yolov10")
    with pytest.raises(ModelError, match=r"returns class [23], and 2 classes are named"):
        prepare(export, tmp_path / "package", made_up_spec(family="yolov10", classes=("a", "b")))


def test_a_decoded_yolox_becomes_no_package(tmp_path: Path) -> None:
    export = made_up_export(tmp_path / "export.onnx", "yolox")
    model = onnx.load(str(export))
    model.graph.node[-1].output[0] = "bare"
    scale = np.ones((1, 1, 5 + CLASSES), np.float32)
    scale[..., :4] = 100.0
    model.graph.initializer.append(onnx.numpy_helper.from_array(scale, "scale"))
    model.graph.node.append(onnx.helper.make_node("Mul", ["bare", "scale"], ["output0"]))
    onnx.save(model, str(export))
    with pytest.raises(ModelError, match="decoded already"):
        prepare(export, tmp_path / "package", made_up_spec(family="yolox", **BARE_YOLOX))
