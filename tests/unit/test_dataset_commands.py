import json
import os
from functools import partial
from pathlib import Path

import pytest

from edge.commands.dataset_cli import audit_command, check_command, split_command
from edge.dataset import open_dataset
from edge.errors import DatasetError
from tests.support_dataset import Objects, surface, write_picture, write_voc, write_xml

BOX = (4.0, 2.0, 15.0, 9.0)
PICTURES: dict[str, Objects] = {
    **{f"dent_{n}": [("dent", BOX)] for n in range(1, 41)},
    **{f"stain_{n}": [("stain", BOX), ("stain", (0.0, 0.0, 9.0, 9.0))] for n in range(1, 41)},
    **{f"sound_{n}": [] for n in range(1, 4)},
}


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    return write_voc(tmp_path / "steel", PICTURES)


def test_check_tells_what_a_data_set_holds(voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_command(voc, as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "format": "voc",
        "boxed": True,
        "pictures": 83,
        "defect_free": 3,
        "classes": {"dent": {"pictures": 40, "boxes": 40}, "stain": {"pictures": 40, "boxes": 80}},
        "sizes": {"40x20": 83},
        "problems": {},
    }
    check_command(voc, classes="dent, stain,rust")
    out = capsys.readouterr().out
    assert "voc, 83 pictures, 3 of them defect-free" in out
    assert "1 classes have no object: rust" in out


def test_check_fails_on_errors_and_lists_all_of_them_as_json(voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(1, 31):
        write_xml(voc / "annotations" / f"dent_{number}.xml", [("dent", (0, 0, 99, 9))])
    with pytest.raises(DatasetError, match="30 boxes reach outside"):
        check_command(voc, as_json=True)
    assert len(json.loads(capsys.readouterr().out)["problems"]["box_outside"]) == 30


def test_split_shows_counts_and_lists_pictures(voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split_command(voc, folds=2, gap=3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["fold", "1", "of", "2", "train", "validation", "left", "out"]
    assert lines[1].split() == ["dent", "17", "20", "3"]
    split_command(voc, folds=2, gap=3, as_json=True)
    first, second = json.loads(capsys.readouterr().out)
    assert first["validation"][:2] == ["dent_1", "dent_2"]
    assert "dent_24" in first["train"]
    assert second["left_out"][:3] == ["dent_18", "dent_19", "dent_20"]


def test_an_audit_is_written_and_holds_groups_together(
    tmp_path: Path, voc: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strip = surface(1, 40 * 30, 60)
    for n in range(1, 41):  # of fine noise, but for a few crops of one strip; all larger than the boxes
        write_picture(voc / "images" / f"dent_{n}.png", surface(100 + n, 80, 60))
        write_xml(voc / "annotations" / f"dent_{n}.xml", [("dent", BOX)], size=(80, 60))
    for n in (18, 19, 21):
        write_picture(voc / "images" / f"dent_{n}.png", strip[:, 10 * n : 10 * n + 80])
    out = tmp_path / "out"
    audit_command(voc, out=out, folds=2, gap=0)
    captured = capsys.readouterr()
    assert "3 pairs in 1 groups" in captured.out
    assert "compared 100%" in captured.err
    text = (out / "LEAKAGE.md").read_text()
    assert "# Leakage audit of steel" in text
    assert f"    edge dataset audit /path/to/steel --out {out} --folds 2 --gap 0\n" in text
    assert "| blocks, gap of 0, groups whole | " in text
    audit_command(voc, out=out, folds=2, gap=0, defective_only=True)
    assert "of 80 pictures" in (out / "LEAKAGE.md").read_text()
    assert "--gap 0 --defective-only\n" in (out / "LEAKAGE.md").read_text()
    capsys.readouterr()
    split_command(voc, folds=2, gap=0, audit=out / "LEAKAGE.json", as_json=True)
    first, _ = json.loads(capsys.readouterr().out)
    assert {"dent_18", "dent_19", "dent_21"} <= set(first["validation"])


def test_a_folder_that_cannot_be_written_is_told_before_the_data_set_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for command in (audit_command, partial(split_command, fold=1)):
        with pytest.raises(DatasetError, match="cannot be written"):
            command(tmp_path / "none", out=tmp_path / "file")
    made = tmp_path / "deep" / "er"
    with pytest.raises(DatasetError, match="none does not exist"):
        audit_command(tmp_path / "none", out=made)
    assert made.is_dir()


def test_a_part_is_written_as_a_data_set(voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "parts"
    split_command(voc, folds=2, gap=3, fold=2, out=out, as_json=True)
    (listed,) = json.loads(capsys.readouterr().out)
    for part in ("train", "validation"):
        assert [entry.name for entry in open_dataset(out / part).entries] == listed[part]
    with pytest.raises(DatasetError, match="train exists already"):
        split_command(voc, folds=2, gap=3, fold=1, out=out)
    split_command(voc, folds=2, gap=3, fold=2, out=tmp_path / "again")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("fold 2 of 2")
    assert lines[-1] == f"{tmp_path / 'again' / 'validation'}: {len(listed['validation'])} pictures"
    assert not any(line.startswith("fold 1") for line in lines)


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"fold": 4}, "--fold 4 of 3"), ({}, "for the parts of one fold"), ({"fold": 1, "inside": True}, "itself")],
)
def test_parts_that_cannot_be_are_refused(voc: Path, tmp_path: Path, options: dict[str, int], problem: str) -> None:
    out = (voc if options.get("inside") else tmp_path) / "parts"
    with pytest.raises(DatasetError, match=problem):
        split_command(voc, out=out, fold=options.get("fold"))
    assert not out.exists()


@pytest.mark.dataset
def test_neu_det_and_the_magnetic_tiles_can_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(os.environ.get("EDGE_DATASETS", ""))
    if not (root / "neu-det").is_dir() or not (root / "magnetic-tile").is_dir():
        pytest.skip(f"EDGE_DATASETS names no folder with neu-det and magnetic-tile: {root}")
    check_command(root / "neu-det", as_json=True)
    steel = json.loads(capsys.readouterr().out)
    assert (steel["pictures"], steel["defect_free"], list(steel["problems"])) == (1440, 0, ["picture_duplicate"])
    check_command(root / "magnetic-tile", as_json=True)
    tiles = json.loads(capsys.readouterr().out)
    assert (tiles["format"], tiles["pictures"], tiles["defect_free"]) == ("folders", 965, 683)
    assert len(tiles["problems"]["mask_empty"]) == 4  # three are black, one has a speck
