"""`edge evidence`: what it lists and verifies, and that its exports are what a training reads."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.commands import evidence as commands
from edge.commands.evidence_export import LEFT_OUT, Box, export, label
from edge.dataset.open import open_dataset
from edge.errors import AnnotationError, EvidenceError
from edge.record.annotations import Annotations, Mark
from edge.record.evidence.reader import Evidence
from edge.record.evidence.store import Store
from edge.wire.messages import FindingRecord
from tests.support_evidence import BOX, LOST, PASS, REJECT, WALL, put, quota, record

ALL = commands.Wanted()
BOXES = (Box("scratch", BOX),)
SKIPPED = object()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six parts: three rejects, a pass of each kind, one undecided, one piece of a challenge."""
    path = tmp_path / "evidence"
    store = Store(new(path), quota())
    for number in (1, 2, 3):
        put(store, record(number, REJECT, minutes=number))
    put(store, record(4, PASS, 4), "sample")
    put(store, record(5, PASS, 5), "near")
    put(store, record(6, LOST, 6), "no_decision")
    put(store, record(7, REJECT, 7), "challenge")
    store.close()
    return path


def new(path: Path) -> Path:
    """Make a folder."""
    path.mkdir()
    return path


def marked(path: Path, **verdicts: str) -> Path:
    """Mark parts, given as ``p1="right"``."""
    annotations = Annotations(path)
    for name, verdict in verdicts.items():
        annotations.mark(Mark("s", 7, int(name[1:]), verdict, "kim", 1, "seen"))
    annotations.close()
    return path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["evidence", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


# -- what a picture teaches -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "mark", "unmarked", "taught"),
    [
        ("REJECT", "right", False, BOXES),
        ("REJECT", "wrong", False, ()),
        ("REJECT", "", False, SKIPPED),
        ("REJECT", "", True, BOXES),
        ("REJECT", "wrong", True, ()),
        ("PASS", "right", False, ()),
        ("PASS", "wrong", False, SKIPPED),
        ("PASS", "wrong", True, SKIPPED),
        ("PASS", "", False, SKIPPED),
        ("PASS", "", True, ()),
        ("NO_DECISION", "right", True, SKIPPED),
        ("NO_DECISION", "", True, SKIPPED),
    ],
)
def test_a_picture_teaches_what_a_person_said_of_it(outcome: str, mark: str, unmarked: bool, taught: object) -> None:
    made = label(outcome, "reject", mark, BOXES, unmarked)
    assert bool(made.left_out) == (taught is SKIPPED)
    if taught is not SKIPPED:
        assert made.boxes == taught


def test_a_piece_of_a_challenge_teaches_nothing_nor_does_a_reject_without_boxes() -> None:
    assert label("REJECT", "challenge", "right", BOXES, True).left_out
    assert label("REJECT", "reject", "right", (), True).left_out


# -- export -----------------------------------------------------------------------------------------------------------


def test_an_export_is_a_data_set_of_what_was_marked(folder: Path, tmp_path: Path) -> None:
    marks = marked(tmp_path / "marks.sqlite", p1="right", p2="wrong", p4="right", p5="wrong")
    done = export(folder, tmp_path / "out", ALL, marks, unmarked=False)
    assert (done.defective, done.good, done.boxes) == (1, 2, {"scratch": 1, "pit": 1})
    assert sum(done.left_out.values()) == 4
    dataset = open_dataset(tmp_path / "out")
    assert (dataset.format, dataset.classes, dataset.boxed) == ("coco", ("pit", "scratch"), True)
    assert [entry.defective for entry in dataset.entries] == [True, False, False], "in time"
    reject = dataset.entries[0]
    np.testing.assert_allclose(reject.boxes, [BOX, BOX])
    evidence = Evidence(folder)
    source = evidence.find(7, 1)
    assert source is not None
    assert reject.picture.read_bytes() == evidence.path(source).read_bytes()
    evidence.close()
    told = json.loads((tmp_path / "out/annotations/instances.json").read_text())["images"]
    assert [(image["session"], image["part"], image["mark"]) for image in told] == [
        (7, 1, "right"), (7, 2, "wrong"), (7, 4, "right")
    ]  # fmt: skip
    with (tmp_path / "out" / LEFT_OUT).open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["part"]) for row in rows) == [3, 5, 6, 7]


def test_with_the_networks_own_word_the_rest_is_taken_too(folder: Path, tmp_path: Path) -> None:
    done = export(folder, tmp_path / "out", ALL, marked(tmp_path / "m", p2="wrong"), unmarked=True)
    assert (done.defective, done.good) == (2, 3)
    assert len(open_dataset(tmp_path / "out").entries) == 5


def test_a_mark_that_was_changed_counts_as_changed(folder: Path, tmp_path: Path) -> None:
    marked(tmp_path / "m", p1="right", p2="right")
    done = export(folder, tmp_path / "out", ALL, marked(tmp_path / "m", p1="wrong", p2="none"), unmarked=False)
    assert (done.defective, done.good) == (0, 1)


def test_boxes_end_with_the_picture(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    found = [("a", (-3.0, 2.0, 10.0, 9.0)), ("a", (20.0, 3.0, 40.0, 30.0)), ("b", (40.0, 3.0, 50.0, 30.0))]
    put(store, record(1, findings=[FindingRecord(cls, 0.9, box) for cls, box in found]))
    store.close()
    export(tmp_path, tmp_path / "out", ALL, None, unmarked=True)
    dataset = open_dataset(tmp_path / "out")
    assert dataset.classes == ("a",)
    np.testing.assert_allclose(dataset.entries[0].boxes, [[0, 2, 10, 9], [20, 3, 32, 24]])


def test_parts_without_a_session_are_told_apart_by_their_time(tmp_path: Path) -> None:
    store = Store(new(tmp_path / "e"), quota())
    for minutes in range(3):
        put(store, record(1, minutes=minutes, session=0))
    store.close()
    second_ms = int(WALL.timestamp() * 1000) + 60_000
    annotations = Annotations(tmp_path / "m")
    annotations.mark(Mark("s", 0, 1, "wrong", "kim", 1, "", second_ms))
    annotations.mark(Mark("s", 0, 1, "right", "kim", 1, "", second_ms + 1))  # a part that has no picture
    annotations.close()
    done = export(tmp_path / "e", tmp_path / "out", ALL, tmp_path / "m", unmarked=False)
    assert (done.defective, done.good, done.left_out) == (0, 1, {"not marked": 2})
    (image,) = json.loads((tmp_path / "out/annotations/instances.json").read_text())["images"]
    assert image["file_name"].startswith("20261122T060000")


def test_an_export_with_nothing_in_it_is_told_and_so_is_a_folder_in_use(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match=r"None of the 7 pictures.*5 not marked") as error:
        export(folder, tmp_path / "out", ALL, None, unmarked=False)
    assert "--unmarked" in error.value.remedy
    with pytest.raises(EvidenceError, match="no empty folder"):
        export(folder, folder, ALL, None, unmarked=True)
    with pytest.raises(AnnotationError):
        export(folder, tmp_path / "other", ALL, tmp_path / "nothing", unmarked=True)


def test_a_picture_that_is_gone_or_damaged_is_left_out(folder: Path, tmp_path: Path) -> None:
    evidence = Evidence(folder)
    one, other = evidence.find(7, 1), evidence.find(7, 2)
    assert one is not None
    assert other is not None
    evidence.path(one).unlink()
    evidence.path(other).with_suffix(".json").write_text("{")
    evidence.close()
    done = export(folder, tmp_path / "out", ALL, None, unmarked=True)
    assert (done.defective, done.good) == (1, 2)
    assert len(open_dataset(tmp_path / "out").entries) == 3


def test_a_training_reads_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = pytest.importorskip("edge.training.recipe")
    datasets = pytest.importorskip("edge.training.datasets")
    export(folder, tmp_path / "out", ALL, None, unmarked=True)
    monkeypatch.setenv("EDGE_DATASETS", str(tmp_path))
    data = recipe.FolderData(kind="coco", folder="out", classes=("scratch", "pit"), validation="none")
    split = datasets._load_folder(data, (32, 24))
    assert len(split.train) == 5
    assert sorted(len(sample.boxes) for sample in split.train) == [0, 0, 2, 2, 2]


# -- list, show, verify -----------------------------------------------------------------------------------------------


def test_list_filters_and_tells_all_in_json(folder: Path) -> None:
    lines = run("list", folder).splitlines()
    assert len(lines) == 8
    assert lines[1].split()[2:5] == ["7", "7", "REJECT"]
    told = [json.loads(line) for line in run("list", folder, "--json", "--outcome", "PASS").splitlines()]
    assert [(row["part"], row["reason"]) for row in told] == [(5, "near"), (4, "sample")]
    since = f"{WALL:%Y-%m-%dT%H:%M:%S}"
    assert len(run("list", folder, "--json", "--until", since).splitlines()) == 0
    assert len(run("list", folder, "--json", "--since", since, "--limit", 2).splitlines()) == 2
    assert len(run("list", folder, "--json", "--class", "scratch", "--reason", "challenge").splitlines()) == 1
    with pytest.raises(EvidenceError, match="'reject' is none of PASS"):
        run("list", folder, "--outcome", "reject")


def test_every_picture_is_listed_however_many_pages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_PAGE", 2)
    assert [p.part for p in commands.pictures(Evidence(folder), ALL)] == [7, 6, 5, 4, 3, 2, 1]


def test_show_tells_what_is_known_and_what_somebody_said(folder: Path, tmp_path: Path) -> None:
    marks = marked(tmp_path / "m", p2="wrong")
    told = json.loads(run("show", folder, "7/2", "--annotations", marks))
    assert (told["part"], told["mark"]["verdict"], told["mark"]["who"]) == (2, "wrong", "kim")
    assert Path(told["path"]).exists()
    assert json.loads(run("show", folder, told["id"]))["mark"] is None
    for name, said in (("7/99", "no picture 7/99"), ("99", "no picture 99"), ("x", "names no picture")):
        with pytest.raises(EvidenceError, match=said):
            run("show", folder, name)


def test_verify_finds_what_is_missing_changed_or_unknown(folder: Path) -> None:
    assert "7 pictures, 0 problems" in run("verify", folder)
    evidence = Evidence(folder)
    paths = {picture.part: evidence.path(picture) for picture in evidence.search()}
    evidence.close()
    paths[1].write_bytes(b"changed")
    paths[2].unlink()
    paths[3].with_suffix(".json").unlink()
    (paths[4].parent / "9-9.png").write_bytes(b"unknown")
    (paths[4].parent / "holiday.jpg").write_bytes(b"unknown")
    verified = commands.verify(folder)
    assert verified.pictures == 7
    assert [Path(text.partition(":")[0]).name for text in verified.problems] == [
        "7-3.png", "7-2.png", "7-1.png", "9-9.png", "holiday.jpg"
    ]  # fmt: skip
    with pytest.raises(EvidenceError, match="5 pictures"):
        run("verify", folder, "--json")
