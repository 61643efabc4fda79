"""Plates that show pictures of a list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edge.errors import ConfigError
from edge.simulate.cli import app
from edge.simulate.devices import Shot
from edge.simulate.pictures import ListedScene
from edge.simulate.plant_settings import PlantSettings

SIZE = (6, 4)


def picture(folder: Path, name: str, grey: int, size: tuple[int, int] = SIZE) -> str:
    cv2.imwrite(str(folder / name), np.full((size[1], size[0]), grey, np.uint8))
    return str(folder / name)


def listed(folder: Path, *entries: Any) -> Path:
    file = folder / "list.jsonl"
    file.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    return file


def test_the_list_gives_order_and_truth(tmp_path: Path) -> None:
    b, a, c = (picture(tmp_path, f"{name}.png", grey) for name, grey in (("b", 20), ("a", 10), ("c", 30)))
    file = listed(
        tmp_path,
        {"picture": b, "classes": ["scratches", "crazing", "scratches"]},
        {"picture": a, "classes": []},
        {"picture": c, "classes": None},
    )
    scene = PlantSettings(pictures=file, size=SIZE).scene()

    def told(shot: Shot) -> tuple[int, bool | None, tuple[str, ...]]:
        return int(shot.image[0, 0]), shot.defective, shot.classes

    expected = [(20, True, ("crazing", "scratches")), (10, False, ()), (30, None, ())]
    assert [told(scene.shot(i)) for i in range(6)] == expected * 2
    assert (scene.size, scene.color) == (SIZE, "mono8")


@pytest.mark.parametrize("size", [(12, 8), (3, 2), (6, 8)])
@pytest.mark.parametrize("color", ["mono8", "bgr8"])
def test_a_picture_is_brought_to_the_size_of_the_camera(tmp_path: Path, size: tuple[int, int], color: str) -> None:
    scene = ListedScene(listed(tmp_path, {"picture": picture(tmp_path, "a.png", 50, size), "classes": []}), SIZE, color)
    image = scene.shot(0).image
    assert image.shape == ((4, 6) if color == "mono8" else (4, 6, 3))
    assert image.flags.c_contiguous
    assert (image == 50).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no picture"),
        ("no json\n", "line 1"),
        ('{"picture": "a.png"}\n', "line 1.*classes"),
        ('{"picture": 3, "classes": []}\n', "line 1"),
        ('{"picture": "a.png", "classes": [3]}\n', "line 1"),
        ('{"picture": "a.png", "classes": "crazing"}\n', "line 1.*list of texts"),
        ('{"picture": "gone.png", "classes": []}\n', "gone.png cannot be decoded"),
    ],
)
def test_a_list_that_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "list.jsonl"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        ListedScene(file, SIZE, "mono8")


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.jsonl cannot be read"):
        ListedScene(tmp_path / "gone.jsonl", SIZE, "mono8")


def test_a_folder_and_a_list_are_too_much() -> None:
    result = CliRunner().invoke(app, ["plant", "--images", "a", "--pictures", "b"])
    assert result.exit_code == 2
    assert "--images shows a folder and --pictures a list" in " ".join(result.output.replace("│", " ").split())
