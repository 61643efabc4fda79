"""Each kind of bad input, in the data set as a user meets it: named with file and count before anything starts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.dataset import open_dataset
from edge.dataset.naming import natural, series, spelled_alike
from edge.dataset.open import inspect
from edge.dataset.problems import KINDS, Findings
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
    write_xml,
    write_yolo,
)

DENT: Objects = [("dent", (4.0, 2.0, 15.0, 9.0))]
SOUND: dict[str, Objects] = {"a_1": DENT, "a_2": DENT, "a_3": DENT}


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    return write_voc(tmp_path, SOUND)


def xml(root: Path, name: str) -> Path:
    return root / "annotations" / f"{name}.xml"


def found(root: Path, **options: object) -> dict[str, tuple[str, ...]]:
    findings = Findings()
    inspect(root, findings, **options)  # type: ignore[arg-type]
    return {problem.kind: problem.found for problem in findings.of("error") + findings.of("warning")}


def test_a_sound_data_set_has_no_findings(voc: Path) -> None:
    assert found(voc) == {}


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((-1, 0, 40, 20), "box_clipped"),
        ((-1.02, 0, 40, 20), "box_outside"),
        ((0, -1, 40, 20), "box_clipped"),
        ((0, -2, 40, 20), "box_outside"),
        ((0, 0, 41, 20), "box_clipped"),
        ((0, 0, 42, 20), "box_outside"),
        ((0, 0, 40, 21), "box_clipped"),
        ((0, 0, 40, 22), "box_outside"),
        ((60, 0, 70, 9), "box_outside"),
        ((4, 4, 5, 9), "box_empty"),
        ((9, 4, 5, 9), "box_empty"),
        ((4, 9, 9, 5), "box_empty"),
        (("x", 1, 5, 9), "box_not_numbers"),
        (("nan", 1, 5, 9), "box_not_numbers"),
        ((1, 1, "inf", 9), "box_not_numbers"),
        (("", 1, 5, 9), "box_not_numbers"),
    ],
)
def test_boxes_are_held_against_their_picture(voc: Path, box: tuple[object, ...], kind: str) -> None:
    write_xml(xml(voc, "a_2"), [("dent", box)])
    assert list(found(voc)) == [kind]
    (text,) = found(voc)[kind]
    assert text.startswith("annotations/a_2.xml object 1: ")


def test_a_box_that_reaches_out_by_a_pixel_is_cut(voc: Path) -> None:
    write_xml(xml(voc, "a_2"), [("dent", (-1, -1, 41, 21))])
    dataset = open_dataset(voc)
    assert dataset.entries[1].boxes.tolist() == [[0, 0, WIDTH, HEIGHT]]


def _remove_annotation(root: Path) -> None:
    xml(root, "a_2").unlink()


def _remove_picture(root: Path) -> None:
    (root / "images" / "a_2.png").unlink()


def _spoil_picture(root: Path) -> None:
    (root / "images" / "a_2.png").write_bytes(b"\x89PNG but not really")


def _cut_annotation(root: Path) -> None:
    xml(root, "a_2").write_text("<annotation><object>")


def _swap_annotation(root: Path) -> None:
    xml(root, "a_2").write_text("<html></html>")


def _same_name(root: Path) -> None:
    write_picture(root / "images" / "a_2.jpg", picture(9))


def _other_size(root: Path) -> None:
    write_xml(xml(root, "a_2"), DENT, size=(HEIGHT, WIDTH))


def _duplicate(root: Path) -> None:
    write_picture(root / "images" / "a_2.png", picture(0))


@pytest.mark.parametrize(
    ("harm", "kind", "text"),
    [
        (_remove_annotation, "annotation_missing", "of images/a_2.png"),
        (_remove_picture, "picture_missing", "a_2 of annotations/a_2.xml"),
        (_spoil_picture, "picture_unreadable", "a_2.png"),
        (_cut_annotation, "annotation_unreadable", "annotations/a_2.xml: no element found"),
        (_swap_annotation, "annotation_unreadable", "its root is <html>"),
        (_same_name, "picture_twice", "a_2.jpg and a_2.png"),
        (_other_size, "size_differs", "annotations/a_2.xml: 20 x 40, but the picture has 40 x 20 px"),
        (_duplicate, "picture_duplicate", "a_1, a_2"),
    ],
)
def test_files_that_are_missing_broken_or_double(voc: Path, harm: Callable[[Path], None], kind: str, text: str) -> None:
    harm(voc)
    assert list(found(voc)) == [kind]
    assert text in found(voc)[kind][0]
    if KINDS[kind].severity == "error":
        with pytest.raises(DatasetError, match=f"1 {KINDS[kind].text}"):
            open_dataset(voc)
    else:
        assert len(open_dataset(voc).warnings) == 1


def test_duplicates_that_are_annotated_differently_are_told(voc: Path) -> None:
    _duplicate(voc)
    write_xml(xml(voc, "a_2"), [])
    assert found(voc)["picture_duplicate"] == ("a_1, a_2 (with different annotations)",)


def test_class_names_that_differ_in_spelling_are_told_with_their_files(voc: Path) -> None:
    write_xml(xml(voc, "a_2"), [("Dents", DENT[0][1])])
    (text,) = found(voc)["class_names_differ"]
    assert (
        text == "'Dents' (1 files: annotations/a_2.xml) and 'dent' (2 files: annotations/a_1.xml, annotations/a_3.xml)"
    )
    assert "class_names_differ" in found(voc, classes=["dent"])
    assert found(voc, classes=["dent", "Dents"]) == {}


def test_an_unknown_class_is_told_with_what_may_be_meant(voc: Path) -> None:
    write_xml(xml(voc, "a_2"), [("dnet", DENT[0][1]), ("rust", DENT[0][1])])
    assert found(voc, classes=["dent"]) == {
        "class_unknown": (
            "'dnet' (1 files: annotations/a_2.xml), meant 'dent'?",
            "'rust' (1 files: annotations/a_2.xml); listed are dent",
        )
    }


def test_an_unknown_class_is_told_once_however_many_regions_it_has(tmp_path: Path) -> None:
    regions: Objects = [("", (0.0, 0.0, 9.0, 9.0)), ("", (20.0, 0.0, 29.0, 9.0))]
    write_folders(tmp_path, {f"blowhole/a_{n}": regions for n in range(1, 6)})
    (text,) = found(tmp_path, classes=["crazing", "patches"])["class_unknown"]
    files = "blowhole/a_1.png, blowhole/a_2.png, blowhole/a_3.png, ..."
    assert text == f"'blowhole' (5 files: {files}); listed are crazing, patches"


def test_a_class_without_objects_is_a_warning(voc: Path) -> None:
    assert found(voc, classes=["dent", "stain"]) == {"class_empty": ("stain",)}


def test_all_problems_are_listed_at_once_with_counts(voc: Path) -> None:
    for name in ("a_1", "a_2"):
        write_xml(xml(voc, name), [("dent", (0, 0, 99, 9))])
    _ = (voc / "images" / "a_3.png").write_bytes(b"")
    with pytest.raises(DatasetError) as raised:
        open_dataset(voc)
    lines = raised.value.problem.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("  1 pictures cannot be decoded: ")
    assert lines[2].startswith("  2 boxes reach outside their picture: annotations/a_1.xml object 1")
    assert "annotations/a_2.xml object 1" in lines[2]


def test_a_long_list_is_cut_but_counted() -> None:
    findings = Findings()
    for number in range(25):
        findings.add("box_empty", f"file {number}")
    (problem,) = findings.of("error")
    assert "25 boxes are empty" in str(problem)
    assert "file 19; and 5 more" in str(problem)
    assert len(problem.found) == 25


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("0 0.5 0.5 0.2", "annotation_unreadable"),
        ("0 0.5 0.5 0.2 0.2 0.9", "annotation_unreadable"),
        ("dent 0.5 0.5 0.2 0.2", "annotation_unreadable"),
        ("-1 0.5 0.5 0.2 0.2", "annotation_unreadable"),
        ("1 0.5 0.5 0.2 0.2", "class_unknown"),
        ("0 0.5 x 0.2 0.2", "box_not_numbers"),
        ("0 0.5 nan 0.2 0.2", "box_not_numbers"),
        ("0 0.5 0.5 0 0.2", "box_empty"),
        ("0 0.5 0.5 0.2 -0.2", "box_empty"),
        ("0 8 4 2 2", "box_outside"),
    ],
)
def test_bad_lines_of_yolo(tmp_path: Path, line: str, kind: str) -> None:
    write_yolo(tmp_path, SOUND, ["dent"])
    (tmp_path / "labels" / "a_2.txt").write_text(f"\n{line}\n")
    assert list(found(tmp_path)) == [kind]
    assert found(tmp_path)[kind][0].startswith("labels/a_2.txt line 2")


def test_missing_files_of_yolo(tmp_path: Path) -> None:
    write_yolo(tmp_path, SOUND, ["dent"])
    (tmp_path / "labels" / "a_2.txt").unlink()
    (tmp_path / "images" / "a_3.png").unlink()
    assert found(tmp_path) == {
        "annotation_missing": ("labels/a_2.txt of images/a_2.png",),
        "picture_missing": ("of labels/a_3.txt",),
    }


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ('"bbox": [4.0', '"bbox": ["x"', "box_not_numbers"),
        ('"bbox": [4.0, 2.0, 11.0, 7.0]', '"bbox": null', "box_not_numbers"),
        ('"bbox": [4.0, 2.0, 11.0', '"bbox": [4.0, 2.0, 0', "box_empty"),
        ('"bbox": [4.0', '"bbox": [400.0', "box_outside"),
        ('"category_id": 7', '"category_id": 8', "class_unknown"),
        ('"image_id": 100', '"image_id": 1', "picture_missing"),
        ('"file_name": "a_1.png"', '"file_name": "b.png"', "picture_missing"),
        ('"width": 40', '"width": 41', "size_differs"),
        ('"images"', '"pictures"', "annotation_unreadable"),
    ],
)
def test_bad_entries_of_coco(tmp_path: Path, old: str, new: str, kind: str) -> None:
    write_coco(tmp_path, SOUND, {"dent": 7})
    file = tmp_path / "annotations" / "instances_all.json"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    assert kind in found(tmp_path)


def test_an_empty_data_set_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    write_xml(xml(tmp_path, "a"), [])
    assert set(found(tmp_path)) == {"no_pictures", "picture_missing"}


def test_names_are_ordered_as_people_count() -> None:
    assert sorted(["a_10", "a_2", "a", "b_1", "a_2_3", "7"], key=natural) == ["7", "a", "a_2", "a_2_3", "a_10", "b_1"]
    assert [series(name) for name in ("a_10", "x/a10b3", "plain", "12")] == ["a_", "x/a10b", "plain", ""]


def test_spellings_of_one_name() -> None:
    names = ["scratch", "Scratches", "rolled-in_scale", "Rolled in scale", "hole", "holes", "crack", "glass", "gas"]
    assert spelled_alike(names) == [["Rolled in scale", "rolled-in_scale"], ["Scratches", "scratch"], ["hole", "holes"]]
