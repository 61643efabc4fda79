from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge import errors
from edge.dataset import Sample
from edge.dataset.audit import Audit, Pair
from edge.dataset.leakage import write_audit
from edge.training import datasets
from edge.training.recipe import FolderData, Recipe, load_recipe
from tests.support_dataset import write_folders

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


def write(root: Path, cls: str, number: int, text: str | None = None) -> None:
    """A 40 x 20 px picture like no other, and its annotation: one box over all of it."""
    image = np.random.default_rng((CLASSES.index(cls), number)).integers(0, 256, (20, 40, 3), np.uint8)
    cv2.imwrite(str(root / "images" / f"{cls}_{number}.png"), image)
    text = annotation((cls, (1, 1, 40, 20))) if text is None else text
    (root / "annotations" / f"{cls}_{number}.xml").write_text(text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound set of 40 x 20 px pictures, numbers 1 to 36 of both classes."""
    root = tmp_path / "steel"
    for sub in ("images", "annotations"):
        (root / sub).mkdir(parents=True)
    for cls in CLASSES:
        for number in range(1, 37):
            write(root, cls, number)
    monkeypatch.setenv(datasets.DATASETS_VARIABLE, str(tmp_path))
    return root


def recipe_of(**split: Any) -> Recipe:
    data = {"kind": "voc", "folder": "steel", "classes": CLASSES, **split}
    return Recipe.model_validate({**VOC, "data": data})


def numbers(samples: tuple[Sample, ...], cls: str) -> list[int]:
    return [int(s.name.rpartition("_")[2]) for s in samples if s.name.startswith(cls)]


def test_voc_boxes_become_0_based_and_scale_with_the_picture(folder: Path) -> None:
    write(folder, "dent", 1, annotation(("stain", (1, 1, 40, 20)), ("dent", (11, 6, 20, 10))))
    split = datasets.load(Recipe.model_validate(VOC))
    assert sorted(s.name for s in split.train) == ["dent_1", "dent_2", "stain_1", "stain_2"]
    assert sorted(s.name for s in split.validation) == ["dent_4", "stain_4"]
    first = next(s for s in split.train if s.name == "dent_1")
    assert first.image.shape == (32, 64)
    np.testing.assert_allclose(first.boxes, [[0, 0, 64, 32], [16, 8, 32, 16]], rtol=1e-6)
    assert first.labels.tolist() == [1, 0]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("split", "train", "validation"),
    [
        ({"train": [1, 4], "validation": [6, 7]}, [1, 2, 3, 4], [6, 7]),
        ({"folds": 3, "fold": 1, "gap": 2}, [*range(15, 37)], [*range(1, 13)]),
        ({"folds": 3, "fold": 2, "gap": 1}, [*range(1, 12), *range(26, 37)], [*range(13, 25)]),
        ({"folds": 3, "fold": 3, "gap": 0}, [*range(1, 25)], [*range(25, 37)]),
        ({"validation": 0.25, "gap": 1}, [*range(1, 27)], [*range(28, 37)]),
        ({"validation": "none"}, [*range(1, 37)], []),
        ({"validation": "none", "train": [3, 5]}, [3, 4, 5], []),
    ],
)
def test_the_recipe_says_what_is_validated_on(split: dict[str, Any], train: list[int], validation: list[int]) -> None:
    found = datasets.load(recipe_of(**split))
    assert found.classes == CLASSES
    for cls in CLASSES:
        assert sorted(numbers(found.train, cls)) == train
        assert sorted(numbers(found.validation, cls)) == validation


def test_pictures_that_overlap_stay_in_one_part(folder: Path, tmp_path: Path) -> None:
    pair = Pair("dent_1", "dent_30", "overlap", "none", (0, 0), 0.5, 0.99)
    write_audit(Audit(72, 0, (pair,), ()), tmp_path / "audit.json")
    found = datasets.load(recipe_of(folds=3, fold=1, gap=0, audit=str(tmp_path / "audit.json")))
    parts = [{"dent_1", "dent_30"} & {s.name for s in part} for part in (found.train, found.validation)]
    assert sorted(map(len, parts)) == [0, 2]
    assert folder.is_dir()


@pytest.mark.usefixtures("folder")
def test_a_shuffled_split_has_parts_of_the_same_sizes() -> None:
    blocks, once, again, other = (
        datasets.load(recipe_of(train=[1, 24], validation=[29, 36], shuffle=seed)) for seed in (None, 0, 0, 1)
    )
    for cls in CLASSES:
        assert len(numbers(once.train, cls)) == len(numbers(blocks.train, cls)) == 24
        assert len(numbers(once.validation, cls)) == len(numbers(blocks.validation, cls)) == 8
        assert numbers(once.train, cls) == numbers(again.train, cls) != numbers(other.train, cls)
        assert not set(numbers(once.train, cls)) & set(numbers(once.validation, cls))


def test_bad_files_are_named_before_training(folder: Path) -> None:
    write(folder, "dent", 2, annotation(("dent", (5, 1, 41, 9)), ("rust", (1, 1, 5, 5))))
    (folder / "annotations" / "stain_4.xml").unlink()
    (folder / "images" / "dent_7.png").write_bytes(b"no picture")
    with pytest.raises(errors.DatasetError) as caught:
        datasets.load(Recipe.model_validate(VOC))
    for named in ("dent_2.xml", "rust", "stain_4", "dent_7.png"):
        assert named in str(caught.value)


def test_a_part_without_boxes_of_a_class_is_refused_with_counts(folder: Path) -> None:
    for number in (6, 7):
        write(folder, "stain", number, annotation())
    with pytest.raises(errors.DatasetError, match="validation has 4 pictures with boxes of dent 2, stain 0"):
        datasets.load(recipe_of(train=[1, 4], validation=[6, 7]))
    with pytest.raises(errors.DatasetError, match="training has 0 pictures with boxes of dent 0, stain 0"):
        datasets.load(recipe_of(train=[100, 200], validation=[1, 2]))


def test_pictures_without_boxes_cannot_train_a_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for name in ("dent/a", "dent/b", "good/c"):
        path = tmp_path / "tiles" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (20, 40), np.uint8))
    monkeypatch.setenv(datasets.DATASETS_VARIABLE, str(tmp_path))
    data = {"kind": "folders", "folder": "tiles", "classes": ["dent"], "validation": "none"}
    with pytest.raises(errors.DatasetError, match="and not where"):
        datasets.load(Recipe.model_validate({**VOC, "data": data}))


def test_the_recipe_names_the_folders_of_good_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folders(tmp_path / "tiles", {"dent/a": [("", (4, 2, 15, 9))], "sound/b": []})
    (tmp_path / "tiles" / "sound" / "b.png").unlink()
    monkeypatch.setenv(datasets.DATASETS_VARIABLE, str(tmp_path))
    data = {"kind": "folders", "folder": "tiles", "classes": ["dent"], "validation": "none"}
    with pytest.raises(errors.DatasetError, match="'sound'"):
        datasets.load(Recipe.model_validate({**VOC, "data": data}))
    loaded = datasets.load(Recipe.model_validate({**VOC, "data": {**data, "good": ["sound"]}}))
    assert {sample.name: len(sample.boxes) for sample in loaded.train} == {"dent/a": 1, "sound/b": 0}


def test_a_recipe_is_read_again_from_a_checkpoint() -> None:
    """Where it names every key: those too that only another kind of dataset may set."""
    for recipe in (Recipe.model_validate(VOC), Recipe.model_validate(SIM)):
        assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    with pytest.raises(ValueError, match="good is for"):
        Recipe.model_validate({**VOC, "data": {**VOC["data"], "good": ["sound"]}})


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
        ({"data": {**VOC["data"], "validation": [4, 3]}}, "empty"),
        ({"data": {**VOC["data"], "validation": 0.2}}, "in pairs"),
        ({"data": {**VOC["data"], "validation": "some"}}, "data.voc.validation"),
        ({"data": {k: v for k, v in VOC["data"].items() if k != "train"}}, "in pairs"),
        ({"data": {**VOC["data"], "folds": 3, "fold": 1}}, "remove train and validation"),
        ({"data": {"kind": "voc", "folder": "steel", "classes": CLASSES}}, "nothing says"),
        ({"data": {"kind": "voc", "folder": "steel", "classes": CLASSES, "folds": 3, "fold": 4}}, "from 1 to folds"),
        ({"data": {**VOC["data"], "audit": "audit.json"}}, "audit needs folds"),
        ({"augment": {"scale": [1.2, 0.8]}}, "no range"),
        ({"augment": {"turn": 0.5}}, "square input"),
        ({"distill": {"teachers": []}}, "distill.teachers"),
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


def test_paths_in_a_recipe_start_at_its_folder(tmp_path: Path) -> None:
    tomli_w = pytest.importorskip("tomli_w")
    data = {"kind": "voc", "folder": "steel", "classes": CLASSES, "validation": 0.2, "audit": "LEAKAGE.json"}
    path = tmp_path / "recipe.toml"
    path.write_text(tomli_w.dumps({**VOC, "data": data, "distill": {"teachers": ["../a", "/b"]}}))
    recipe = load_recipe(path)
    assert isinstance(recipe.data, FolderData)
    assert recipe.data.audit == str(tmp_path / "LEAKAGE.json")
    assert recipe.distill is not None
    assert recipe.distill.teachers == (str(tmp_path / "../a"), "/b")


@pytest.mark.parametrize(("folder", "file", "name"), [
    ("neu-det", "recipe.toml", "neu-det"),
    ("neu-det", "recipe-distilled.toml", "neu-det-distilled"),
    ("neu-det", "recipe-all.toml", "neu-det-all"),
    ("neu-det", "recipe-short.toml", "neu-det-short"),
    ("sim-strip", "recipe.toml", "sim-strip"),
])  # fmt: skip
def test_the_shipped_recipes_load(folder: str, file: str, name: str) -> None:
    assert load_recipe(Path(__file__).parents[2] / "models" / folder / file).name == name


def test_what_is_doubtful_in_a_folder_is_kept_to_be_told(folder: Path) -> None:
    assert datasets.load(Recipe.model_validate(VOC)).warnings == ()
    (folder / "images" / "dent_2.png").write_bytes((folder / "images" / "dent_1.png").read_bytes())
    (warning,) = datasets.load(Recipe.model_validate(VOC)).warnings
    assert "dent_1, dent_2" in str(warning)
