from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge import errors
from edge.training import augment, datasets, evaluate
from edge.training.recipe import Augment, Recipe, load_recipe

CLASSES = ("dent", "stain")
VOC: dict[str, Any] = {
    "name": "voc",
    "seed": 0,
    "input": {"width": 64, "height": 32},
    "data": {"kind": "voc", "folder": "steel", "classes": CLASSES, "train": [1, 2], "validation": [4, 4]},
    "schedule": {"epochs": 1},
}
SIM: dict[str, Any] = {
    **VOC,
    "data": {
        "kind": "sim",
        "frame_width": 128,
        "frame_height": 128,
        "seed": 1_000_000,
        "plates": 4,
        "validation_seed": 1_000_010,
        "validation_plates": 2,
    },
}


def annotation(*objects: tuple[str, tuple[float, float, float, float]]) -> str:
    body = "".join(
        f"<object><name>{cls}</name><bndbox><xmin>{b[0]}</xmin><ymin>{b[1]}</ymin><xmax>{b[2]}</xmax>"
        f"<ymax>{b[3]}</ymax></bndbox></object>"
        for cls, b in objects
    )
    return f"<annotation>{body}</annotation>"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound set of 40 x 20 px pictures, numbers 1, 2 and 4 of both classes."""
    root = tmp_path / "steel"
    for sub in ("images", "annotations"):
        (root / sub).mkdir(parents=True)
    for cls in CLASSES:
        for number in (1, 2, 4):
            cv2.imwrite(str(root / "images" / f"{cls}_{number}.jpg"), np.full((20, 40, 3), 90, np.uint8))
            (root / "annotations" / f"{cls}_{number}.xml").write_text(annotation((cls, (1, 1, 40, 20))))
    monkeypatch.setenv(datasets.DATASETS_VARIABLE, str(tmp_path))
    return root


def test_voc_boxes_become_0_based_and_scale_with_the_picture(folder: Path) -> None:
    text = annotation(("stain", (1, 1, 40, 20)), ("dent", (11, 6, 20, 10)))
    (folder / "annotations" / "dent_1.xml").write_text(text)
    split = datasets.load(Recipe.model_validate(VOC))
    assert [s.name for s in split.train] == ["dent_1", "dent_2", "stain_1", "stain_2"]
    assert [s.name for s in split.validation] == ["dent_4", "stain_4"]
    first = split.train[0]
    assert first.image.shape == (32, 64)
    np.testing.assert_allclose(first.boxes, [[0, 0, 64, 32], [16, 8, 32, 16]], rtol=1e-6)
    assert first.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (annotation(("rust", (1, 1, 5, 5))), "unknown class 'rust'"),
        (annotation(("dent", (5, 1, 5, 9))), "empty box"),
        (annotation(("dent", (9, 1, 5, 9))), "empty box"),
        (annotation(("dent", (0, 1, 5, 9))), "outside the 40 x 20"),
        (annotation(("dent", (1, 1, 41, 9))), "outside the 40 x 20"),
        (annotation(("dent", (1, 1, 40, 21))), "outside the 40 x 20"),
        ("<annotation><object><name>dent</name></object></annotation>", "not four numbers"),
        ("<annotation>", "not XML"),
    ],
)
def test_bad_annotations_are_named_before_training(folder: Path, text: str, problem: str) -> None:
    (folder / "annotations" / "dent_2.xml").write_text(text)
    (folder / "annotations" / "stain_4.xml").unlink()
    with pytest.raises(errors.DatasetError, match=problem) as caught:
        datasets.load(Recipe.model_validate(VOC))
    assert "annotations/dent_2.xml" in str(caught.value)
    assert "annotations/stain_4.xml is missing" in str(caught.value)
    assert "2 bad files" in str(caught.value)


def test_a_missing_or_broken_picture_is_named(folder: Path) -> None:
    (folder / "images" / "dent_1.jpg").unlink()
    (folder / "images" / "stain_1.jpg").write_bytes(b"no picture")
    with pytest.raises(errors.DatasetError, match=r"images/dent_1\.jpg is missing; images/stain_1\.jpg is not"):
        datasets.load(Recipe.model_validate(VOC))


def test_a_missing_folder_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(datasets.DATASETS_VARIABLE, str(tmp_path))
    with pytest.raises(errors.DatasetError, match=datasets.DATASETS_VARIABLE):
        datasets.load(Recipe.model_validate(VOC))


def test_demo_seeds_are_refused() -> None:
    with pytest.raises(errors.DatasetError, match="999999"):
        datasets.load(Recipe.model_validate({**SIM, "data": {**SIM["data"], "seed": 999_999}}))
    split = datasets.load(Recipe.model_validate(SIM))
    assert (len(split.train), len(split.validation)) == (4, 2)
    assert split.train[0].image.shape == (32, 64)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"surprise": 1}, "surprise"),
        ({"input": {"width": 60, "height": 32}}, "input.width"),
        ({"data": {**VOC["data"], "validation": [2, 4]}}, "overlap"),
        ({"data": {**SIM["data"], "validation_seed": 1_000_001, "surfaces": 2}}, "share surfaces"),
    ],
)
def test_bad_recipes_are_refused(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    tomli_w = pytest.importorskip("tomli_w")
    path = tmp_path / "recipe.toml"
    path.write_text(tomli_w.dumps({**VOC, **change}))
    with pytest.raises(errors.ConfigError, match=problem) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["neu-det", "sim-strip"])
def test_the_shipped_recipes_load(name: str) -> None:
    assert load_recipe(Path(__file__).parents[2] / "models" / name / "recipe.toml").name == name


def test_augmented_boxes_stay_inside_and_on_their_marks() -> None:
    image = np.full((64, 96), 60, np.uint8)
    image[20:40, 30:70] = 220
    sample = datasets.Sample("a", image, np.array([[30, 20, 70, 40]], np.float32), np.array([0]))
    config = Augment(gain=(1, 1), offset=0, gamma=(1, 1), noise=0)
    rng = np.random.default_rng(1)
    for _ in range(60):
        out = augment.augmented(0, [sample], config, rng, mosaic=True)
        assert out.image.shape == image.shape
        marked = np.zeros(image.shape, bool)
        for x1, y1, x2, y2 in out.boxes:
            assert 0 <= x1 < x2 <= 96
            assert 0 <= y1 < y2 <= 64
            inner = out.image[int(y1) + 2 : max(int(y2) - 2, 0), int(x1) + 2 : max(int(x2) - 2, 0)]
            assert inner.size == 0 or inner.mean() > 200
            marked[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1] = True
        assert len(out.boxes) == 0 or out.image[~marked].mean() < 140


def test_clipping_keeps_boxes_by_visible_share() -> None:
    boxes = np.array([[-80, 0, 20, 10], [-79, 0, 21, 10], [0, 0, 3.9, 50], [-5, -5, 500, 500]], np.float32)
    clipped, labels = augment.clip(boxes, np.arange(4), (200, 100))
    assert labels.tolist() == [0, 1]
    np.testing.assert_allclose(clipped[0], [0, 0, 20, 10])


def one_class(scores: list[float], hits: list[bool], positives: int) -> float:
    return evaluate.average_precision(np.array(scores, np.float32), np.array(hits, bool), positives)


def test_average_precision_by_hand() -> None:
    assert one_class([], [], 3) == 0.0
    assert one_class([0.9, 0.8], [True, True], 2) == 1.0
    # Recall points 0 .. 0.50 have precision 1, those above none.
    assert one_class([0.9], [True], 2) == pytest.approx(51 / 101)
    # A miss between two hits: precision 1 up to recall 0.5, then 2/3 up to 1.
    assert one_class([0.9, 0.8, 0.7], [True, False, True], 2) == pytest.approx((51 + 50 * 2 / 3) / 101)
    # Order goes by score, whatever the order given.
    assert one_class([0.7, 0.9, 0.8], [True, True, False], 2) == pytest.approx((51 + 50 * 2 / 3) / 101)
    with pytest.raises(ValueError, match="without truth"):
        one_class([0.5], [False], 0)


def test_matching_takes_the_best_free_box_once_and_counts_the_threshold_in() -> None:
    truth = np.array([[0, 0, 10, 10]], np.float32)
    found = np.array([[0, 0, 10, 5], [0, 0, 10, 10]], np.float32)
    assert evaluate.match(found, truth, 0.5).tolist() == [True, False]
    assert evaluate.match(found, truth, 0.51).tolist() == [False, True]
    assert evaluate.match(found, np.zeros((0, 4), np.float32), 0.5).tolist() == [False, False]
    assert evaluate.match(np.zeros((0, 4), np.float32), truth, 0.5).tolist() == []


def test_map_averages_classes_with_truth_and_thresholds() -> None:
    truth = [evaluate.Truth(np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32), np.array([0, 1]))]
    found = [
        evaluate.Detections(
            np.array([[0, 0, 10, 8], [50, 50, 60, 60]], np.float32), np.array([0.9, 0.8], np.float32), np.array([0, 2])
        )
    ]
    quality = evaluate.evaluate(found, truth, ("a", "b", "c"))
    assert quality.ap50 == {"a": 1.0, "b": 0.0}
    assert quality.map50 == 0.5
    assert quality.map == pytest.approx(0.5 * 7 / 10)  # IoU 0.8 counts at 0.5, 0.55, ..., 0.8
    with pytest.raises(ValueError, match="no truth"):
        evaluate.evaluate([], [], ("a",))


def test_detections_are_suppressed_within_a_class_only() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 10], [40, 0, 50, 10]], np.float32)
    scores = np.array([[0.6, 0], [0.9, 0], [0, 0.5], [0.005, 0]], np.float32)
    found = evaluate.detect(boxes, scores)
    assert found.labels.tolist() == [0, 1]
    np.testing.assert_allclose(found.scores, [0.9, 0.5])
    empty = evaluate.detect(np.zeros((0, 4), np.float32), np.zeros((0, 2), np.float32))
    assert len(empty.scores) == 0
