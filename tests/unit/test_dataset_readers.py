from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.dataset import Dataset, open_dataset
from edge.dataset.yolo_names import parse_yaml_names
from edge.errors import DatasetError
from tests.support_dataset import (
    HEIGHT,
    WIDTH,
    Objects,
    picture,
    write_coco,
    write_folders,
    write_picture,
    write_voc,
    write_yolo,
)

WHOLE = (0.0, 0.0, float(WIDTH), float(HEIGHT))
DENT, STAIN = (4.0, 2.0, 15.0, 9.0), (20.0, 5.0, 31.0, 19.0)
PICTURES: dict[str, Objects] = {
    "a_1": [("dent", DENT), ("stain", STAIN)],
    "a_2": [("stain", WHOLE)],
    "a_10": [],
}
WRITERS: dict[str, Callable[[Path], Path]] = {
    "voc": lambda root: write_voc(root, PICTURES),
    "coco": lambda root: write_coco(root, PICTURES, {"dent": 7, "stain": 90}),
    "yolo": lambda root: write_yolo(root, PICTURES, ["dent", "stain"]),
}


def truth(dataset: Dataset) -> dict[str, list[tuple[str, list[float]]]]:
    return {
        e.name: [(dataset.classes[i], b.round(3).tolist()) for i, b in zip(e.labels, e.boxes, strict=True)]
        for e in dataset.entries
    }


@pytest.mark.parametrize("format", WRITERS)
def test_every_format_tells_the_same_truth_and_is_recognised(tmp_path: Path, format: str) -> None:
    dataset = open_dataset(WRITERS[format](tmp_path))
    assert dataset.format == format
    assert dataset.classes == ("dent", "stain")
    assert [entry.name for entry in dataset.entries] == ["a_1", "a_2", "a_10"]
    assert truth(dataset) == {name: [(c, list(b)) for c, b in objects] for name, objects in PICTURES.items()}
    assert [entry.present for entry in dataset.entries] == [(0, 1), (1,), ()]
    assert [entry.defective for entry in dataset.entries] == [True, True, False]
    assert dataset.boxed
    assert dataset.warnings == ()


@pytest.mark.parametrize("format", WRITERS)
def test_labels_follow_the_classes_that_are_asked_for(tmp_path: Path, format: str) -> None:
    dataset = open_dataset(WRITERS[format](tmp_path), classes=["scratch", "stain", "dent"])
    assert [e.labels.tolist() for e in dataset.entries] == [[2, 1], [1], []]
    assert [str(w) for w in dataset.warnings] == [
        "1 classes have no object: scratch (leave them out, or add pictures: they cannot be learned)"
    ]


def test_a_picture_is_read_in_grey_or_in_colour(tmp_path: Path) -> None:
    entry = open_dataset(write_voc(tmp_path, PICTURES)).entries[0]
    grey, colour = entry.read(grey=True), entry.read(grey=False)
    np.testing.assert_array_equal(grey.image, picture(0))
    assert colour.image.shape == (HEIGHT, WIDTH, 3)
    assert grey.boxes is entry.boxes
    assert entry.size == (WIDTH, HEIGHT)
    entry.picture.write_bytes(b"gone")
    with pytest.raises(DatasetError, match="not the picture of 40 x 20 px that was checked"):
        entry.read(grey=True)


def test_voc_may_lie_in_one_folder_and_name_no_size(tmp_path: Path) -> None:
    write_picture(tmp_path / "one.png", picture(1))
    text = "<annotation><object><name>dent</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>40</xmax><ymax>20</ymax>"
    (tmp_path / "one.xml").write_text(text + "</bndbox></object></annotation>")
    assert truth(open_dataset(tmp_path)) == {"one": [("dent", list(WHOLE))]}


def test_coco_ignores_crowds_and_says_so(tmp_path: Path) -> None:
    write_coco(tmp_path, PICTURES, {"dent": 7, "stain": 90})
    file = tmp_path / "annotations" / "instances_all.json"
    file.write_text(file.read_text().replace('"iscrowd": 0', '"iscrowd": 1', 1))
    write_picture(tmp_path / "images" / "stranger.png", picture(50))
    dataset = open_dataset(tmp_path)
    assert dataset.entries[0].labels.tolist() == [1]
    assert [w.kind for w in dataset.warnings] == ["class_empty", "crowd_ignored", "picture_unlisted"]


def test_yolo_splits_into_folders_of_either_order(tmp_path: Path) -> None:
    for number, (images, labels) in enumerate((("images/train", "labels/train"), ("valid/images", "valid/labels"))):
        write_picture(tmp_path / images / "a.png", picture(number))
        (tmp_path / labels).mkdir(parents=True)
        (tmp_path / labels / "a.txt").write_text("1 0.5 0.5 1 1\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nnc: 2\nnames: ['dent', 'stain']\n")
    dataset = open_dataset(tmp_path)
    assert truth(dataset) == {"train/a": [("stain", list(WHOLE))], "valid/a": [("stain", list(WHOLE))]}


@pytest.mark.parametrize(
    "text",
    [
        "nc: 2\nnames:\n  0: dent\n  1: water stain  # as of old\nroboflow:\n  0: x\n",
        "names:\n- dent\n\n- water stain\ntrain: images\n",
        "names: [dent, 'water stain']\nnc: 2\n",
        'names: ["dent",\n  "water stain"]\n',
        "names: {0: dent, 1: 'water stain'} # two\n",
        "names:\n  - dent # a comment\n  - 'water stain'\n",
    ],
)
def test_yaml_names_in_their_usual_forms(text: str) -> None:
    assert parse_yaml_names(text) == ["dent", "water stain"]


@pytest.mark.parametrize(
    "text", ["nc: 2\n", "names: *anchor\n", "names:\n  1: dent\n", "names: {1: dent}\n", "names: [dent\n"]
)
def test_yaml_names_in_another_form_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="names"):
        parse_yaml_names(text)


def test_yolo_without_class_names_is_refused(tmp_path: Path) -> None:
    write_yolo(tmp_path, PICTURES, ["dent", "stain"])
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(DatasetError, match="names its classes"):
        open_dataset(tmp_path)


FILED: dict[str, Objects] = {"dent/a_1": [("", DENT), ("", STAIN)], "dent/a_2": [("", WHOLE)], "free/b_1": []}


def test_masks_become_boxes_and_good_folders_are_defect_free(tmp_path: Path) -> None:
    dataset = open_dataset(write_folders(tmp_path, FILED))
    assert (dataset.format, dataset.classes, dataset.boxed) == ("folders", ("dent",), True)
    assert truth(dataset) == {
        "dent/a_1": [("dent", list(DENT)), ("dent", list(STAIN))],
        "dent/a_2": [("dent", list(WHOLE))],
        "free/b_1": [],
    }
    assert [entry.defective for entry in dataset.entries] == [True, True, False]


def test_specks_of_a_mask_are_ignored_and_empty_masks_left_out(tmp_path: Path) -> None:
    write_folders(tmp_path, {**FILED, "dent/a_3": []})
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[2:5, 3:6] = 255  # 9 px
    mask[10:12, 3:8] = 255  # 10 px
    mask[15:, 20:] = 127
    write_picture(tmp_path / "dent" / "a_2.png", mask)
    dataset = open_dataset(tmp_path)
    assert truth(dataset)["dent/a_2"] == [("dent", [3.0, 10.0, 8.0, 12.0])]
    assert "dent/a_3" not in truth(dataset)
    assert [(w.kind, w.found) for w in dataset.warnings] == [
        ("mask_empty", ("dent/a_3.png",)),
        ("specks_ignored", ("dent/a_2.png: 1",)),
    ]


def test_folders_without_masks_tell_classes_only(tmp_path: Path) -> None:
    dataset = open_dataset(write_folders(tmp_path, FILED, masks=False), good=["free"])
    assert not dataset.boxed
    assert [w.kind for w in dataset.warnings] == ["image_level_only"]
    assert [(entry.present, len(entry.boxes)) for entry in dataset.entries] == [((0,), 0), ((0,), 0), ((), 0)]


def test_pictures_that_are_png_take_masks_by_their_ending(tmp_path: Path) -> None:
    write_picture(tmp_path / "dent" / "a.png", picture(1))
    write_picture(tmp_path / "dent" / "a_mask.png", np.full((HEIGHT, WIDTH), 255, np.uint8))
    assert truth(open_dataset(tmp_path)) == {"dent/a": [("dent", list(WHOLE))]}


def test_a_folder_of_two_formats_must_be_told_apart(tmp_path: Path) -> None:
    write_voc(tmp_path, PICTURES)
    write_yolo(tmp_path, PICTURES, ["dent", "stain"])
    with pytest.raises(DatasetError, match="looks like voc and yolo"):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path, format="voc").format == "voc"
    with pytest.raises(DatasetError, match="'darknet' is not known"):
        open_dataset(tmp_path, format="darknet")


def test_a_folder_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folders of classes"):
        open_dataset(tmp_path)
    with pytest.raises(DatasetError, match="does not exist"):
        open_dataset(tmp_path / "nowhere")


def test_no_more_than_one_picture_is_held_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gc
    import weakref

    decoded: list[weakref.ref[np.ndarray]] = []
    real = cv2.imread

    def watched(*arguments: object) -> np.ndarray:
        gc.collect()
        assert sum(ref() is not None for ref in decoded) <= 1
        image = real(*arguments)
        decoded.append(weakref.ref(image))
        return image

    monkeypatch.setattr(cv2, "imread", watched)
    dataset = open_dataset(write_voc(tmp_path, {f"a_{n}": [("dent", WHOLE)] for n in range(5)}))
    gc.collect()
    assert len(decoded) == 5
    assert all(ref() is None for ref in decoded)
    assert len(dataset.entries) == 5
