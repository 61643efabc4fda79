from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge.dataset import Dataset, open_dataset
from edge.dataset.parts import write_part
from edge.errors import DatasetError
from tests.support_dataset import Objects, write_coco, write_folders, write_voc, write_yolo

BOX = (4.0, 2.0, 15.0, 9.0)
PICTURES: dict[str, Objects] = {
    "dent/a_1": [("dent", BOX)],
    "dent/a_2": [("dent", BOX)],
    "free/b_1": [],
    "free/b_2": [],
}
WRITERS: dict[str, Callable[[Path], Path]] = {
    "voc": lambda root: write_voc(root, PICTURES),
    "coco": lambda root: write_coco(root, PICTURES, {"dent": 7}),
    "yolo": lambda root: write_yolo(root, PICTURES, ["dent"]),
    "folders": lambda root: write_folders(root, PICTURES),
}


def truth(dataset: Dataset) -> dict[str, tuple[str, list[list[float]], tuple[int, ...]]]:
    return {entry.name: (entry.digest, entry.boxes.tolist(), entry.present) for entry in dataset.entries}


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("format", WRITERS)
def test_a_part_tells_of_its_pictures_what_its_source_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, links: bool
) -> None:
    source = open_dataset(WRITERS[format](tmp_path / "source"))
    if not links:

        def refuse(_place: Path, _target: Path) -> None:
            raise OSError("no links here")

        monkeypatch.setattr(Path, "symlink_to", refuse)
    write_part(source, source.entries[1:3], tmp_path / "part")
    part = open_dataset(tmp_path / "part")
    assert (part.format, part.classes, part.boxed) == (format, ("dent",), True)
    assert part.warnings == ()
    assert truth(part) == {name: told for name, told in truth(source).items() if name in ("dent/a_2", "free/b_1")}
    assert all(entry.picture.is_symlink() == links for entry in part.entries)


@pytest.mark.parametrize("outside", ["elsewhere/a.png", "source/../elsewhere/a.png"])
def test_a_picture_outside_its_data_set_is_refused(tmp_path: Path, outside: str) -> None:
    source = open_dataset(write_voc(tmp_path / "source", PICTURES))
    entry = replace(source.entries[0], picture=tmp_path / outside)
    with pytest.raises(DatasetError, match="lies outside"):
        write_part(source, [entry], tmp_path / "part")


def test_no_source_is_written_over_through_a_link_that_is_there(tmp_path: Path) -> None:
    source = open_dataset(write_voc(tmp_path / "source", PICTURES))
    first, second = source.entries[:2]
    there = tmp_path / "part" / "images" / "dent" / "a_1.png"
    there.parent.mkdir(parents=True)
    there.symlink_to(second.picture)
    before = second.picture.read_bytes()
    with pytest.raises(DatasetError, match="cannot be written"):
        write_part(source, [first], tmp_path / "part")
    assert second.picture.read_bytes() == before
