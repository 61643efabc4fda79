"""Simulated plates as a data set on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from edge.commands.dataset_simulate import simulate, simulate_command, write_voc
from edge.dataset.open import open_dataset
from edge.errors import DatasetError
from edge.simulate.surface import Surface


def test_what_is_written_is_read_back_as_it_was(tmp_path: Path) -> None:
    defective = simulate(tmp_path, 12, 3_000_000, 128, 128, 0.5)
    dataset = open_dataset(tmp_path)
    surface = Surface(128, 128, 3_000_000, 0.5)
    assert dataset.format == "voc"
    assert sum(entry.defective for entry in dataset.entries) == defective
    assert 0 < defective < 12
    for index, entry in enumerate(dataset.entries):
        plate, sample = surface.plate(index), entry.read(grey=True)
        assert (sample.image == plate.image).all()
        assert sample.boxes == pytest.approx(np.array([d.box for d in plate.defects]).reshape(-1, 4), rel=1e-5)
        assert [dataset.classes[label] for label in sample.labels] == [d.cls for d in plate.defects]


def test_each_300_plates_are_of_another_steel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.commands.dataset_simulate.PLATES_PER_SURFACE", 2)
    simulate(tmp_path, 5, 7, 128, 128, 0.0)
    names = [entry.name for entry in open_dataset(tmp_path, ("crazing",)).entries]
    assert names == ["7_000", "7_001", "8_000", "8_001", "9_000"]


def test_coloured_pictures_keep_their_depth(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    write_voc(tmp_path, "one", image, [("dent", (0, 0, 30, 20))])
    text = (tmp_path / "annotations" / "one.xml").read_text()
    assert "<width>30</width>" in text
    assert "<depth>3</depth>" in text
    sample = open_dataset(tmp_path).entries[0].read(grey=False)
    assert (sample.image == image).all()
    assert sample.boxes.tolist() == [[0, 0, 30, 20]]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    (tmp_path / "file").write_text("")
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(DatasetError, match="no empty folder"):
            simulate(taken, 1, 7, 128, 128, 0.5)
    with pytest.raises(DatasetError, match="cannot be written"):
        write_voc(tmp_path / "file", "one", np.zeros((4, 4), np.uint8), [])


def test_the_command_says_what_it_wrote(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(simulate_command)
    options = ["--plates", "2", "--width", "128", "--height", "128", "--defect-rate", "1"]
    done = CliRunner().invoke(app, [str(tmp_path / "out"), *options], catch_exceptions=False)
    assert done.exit_code == 0
    assert "2 plates, 2 of them defective" in done.stdout.replace("\n", " ")
    small = CliRunner().invoke(app, [str(tmp_path / "small"), "--width", "127"], catch_exceptions=False)
    assert small.exit_code == 2  # of the command line, with the least that is possible
    assert "128" in small.output
