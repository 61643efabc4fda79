"""What the demo shows: folders as users have them, and those that it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.commands.demo_show import NEU_PX, PLATES, Picture, show
from edge.commands.processes import MODELS
from edge.errors import ConfigError, DatasetError
from edge.simulate.pictures import ListedScene

OBJECT = "<object><name>{}</name><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></object>"


def voc(folder: Path, pictures: dict[str, tuple[str, ...]]) -> Path:
    """Make a data set of pictures with these defects."""
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    for number, (name, classes) in enumerate(pictures.items()):
        image = np.full((40, 40), 10 * number, np.uint8)
        image[:, :number] = 200
        cv2.imwrite(str(folder / "images" / f"{name}.png"), image)
        objects = "".join(OBJECT.format(cls) for cls in classes)
        (folder / "annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.png</filename><size><width>40</width><height>40</height><depth>1</depth></size>"
            f"{objects}</annotation>"
        )
    return folder


STEEL = {f"{cls}_{n}": (cls,) for cls in ("crazing", "scratches") for n in range(8)}


def test_annotations_are_the_truth(tmp_path: Path) -> None:
    folder = voc(tmp_path, {"a": ("crazing", "scratches", "crazing"), "b": ("patches",), "c": ()})
    shown = show("neu", folder, None, None, seed=7)
    truth = {p.file.stem: p.classes if p.classes is None else set(p.classes) for p in shown.pictures}
    assert truth == {"a": {"crazing", "scratches"}, "b": {"patches"}, "c": set()}
    assert (shown.plates, shown.frame, shown.package) == (3, (NEU_PX, NEU_PX, "mono8"), MODELS / "neu-det")


def test_the_seed_mixes_the_classes_and_nothing_else_does(tmp_path: Path) -> None:
    folder = voc(tmp_path, STEEL)
    first, again, other = (show("neu", folder, None, 6, seed) for seed in (1, 1, 2))
    assert first == again
    assert first.pictures != other.pictures
    assert len(first.pictures) == first.plates == 6
    everything = show("neu", folder, None, None, seed=1)
    assert {p.file.stem for p in everything.pictures} == STEEL.keys()
    assert everything.pictures[:6] == first.pictures
    names = [p.classes for p in everything.pictures]
    assert names != sorted(names, key=str)


def test_more_plates_than_pictures_are_shown_in_turn(tmp_path: Path) -> None:
    shown = show("neu", voc(tmp_path, STEEL), None, 40, seed=1)
    assert (shown.plates, len(shown.pictures)) == (40, 16)


@pytest.mark.parametrize("inner", ["", "images"])
def test_pictures_alone_have_no_truth(tmp_path: Path, inner: str) -> None:
    folder = tmp_path / inner
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "a.JPG"), np.zeros((8, 8), np.uint8))
    (folder / "notes.txt").write_text("no picture")
    shown = show("neu", tmp_path, tmp_path / "package", None, seed=1)
    assert shown.pictures == (Picture(folder / "a.JPG", None),)
    assert shown.package == tmp_path / "package"


def test_the_plant_reads_what_is_written_for_it(tmp_path: Path) -> None:
    shown = show("neu", voc(tmp_path, {"a": ("crazing",), "b": ()}), None, None, seed=1)
    name, file = shown.options(tmp_path, seed=1)
    assert name == "--pictures"
    scene = ListedScene(Path(file), shown.frame[:2], shown.frame[2])
    assert [scene.shot(i).classes for i in range(2)] == [p.classes for p in shown.pictures]
    assert scene.shot(0).image.shape == (NEU_PX, NEU_PX)
    assert all(Path(json.loads(line)["picture"]).is_absolute() for line in Path(file).read_text().splitlines())


def test_steel_is_simulated(tmp_path: Path) -> None:
    shown = show("steel", None, None, None, seed=7)
    assert (shown.plates, shown.package, shown.pictures) == (PLATES, MODELS / "sim-strip", ())
    assert shown.options(tmp_path, 7) == ("--seed", "7")
    assert show("steel", None, None, 5, seed=7).plates == 5


def test_what_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no surface 'rust'.*steel, neu"):
        show("rust", None, None, None, 1)
    with pytest.raises(ConfigError, match=r"'neu' shows pictures of yours.*--images"):
        show("neu", None, None, None, 1)
    with pytest.raises(ConfigError, match="'steel' is simulated"):
        show("steel", tmp_path, None, None, 1)
    with pytest.raises(DatasetError, match="holds no picture"):
        show("neu", tmp_path, None, None, 1)
    with pytest.raises(DatasetError, match="gone cannot be read"):
        show("neu", tmp_path / "gone", None, None, 1)


def test_annotations_that_are_wrong_are_refused_by_name(tmp_path: Path) -> None:
    folder = voc(tmp_path, STEEL)
    (folder / "annotations" / "crazing_3.xml").write_text("<annotation>")
    with pytest.raises(DatasetError, match="crazing_3"):
        show("neu", folder, None, None, 1)
