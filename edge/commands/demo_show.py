"""What the demo's camera sees: simulated steel, or a user's own pictures with what is on them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.commands.processes import MODELS
from edge.dataset import voc
from edge.dataset.open import open_dataset
from edge.errors import ConfigError, DatasetError
from edge.simulate.pictures import IMAGE_SUFFIXES

SURFACES = ("steel", "neu")
PLATES = 300
"""Shown where nobody says how many; fewer where there are fewer pictures."""

NEU_PX = 200
"""Both sides of a picture of NEU-DET (Song and Yan, 2013); pictures of other sizes are brought to it."""


@dataclass(frozen=True)
class Picture:
    """classes: of the defects on it, none on a good plate; None where nobody knows."""

    file: Path
    classes: tuple[str, ...] | None


@dataclass(frozen=True)
class Show:
    """package: what inspects.  frame: (width, height, colour).  pictures: in their order, none for simulated plates."""

    package: Path
    frame: tuple[int, int, str]
    plates: int
    pictures: tuple[Picture, ...] = ()

    def options(self, folder: Path, seed: int) -> tuple[str, ...]:
        """Return what tells the plant to show it; a list of pictures is written into ``folder``."""
        if not self.pictures:
            return "--seed", str(seed)
        file = folder / "pictures.jsonl"
        entries = ({"picture": str(p.file.resolve()), "classes": p.classes} for p in self.pictures)
        file.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries), encoding="utf-8")
        return "--pictures", str(file)


def show(surface: str, images: Path | None, package: Path | None, plates: int | None, seed: int) -> Show:
    """Return what is to be shown.

    Args:
        surface: ``steel``, simulated; or ``neu``, the pictures of ``images``.
        images: a folder with ``images/`` and ``annotations/`` (Pascal VOC), or one of pictures alone.
        package: None takes the one that belongs to the surface.
        plates: how many; None takes ``PLATES``, or as many as there are pictures where there are fewer.
        seed: of the order of the pictures, for their names are mostly in the order of their classes.

    Raises:
        ConfigError: an unknown surface, or pictures where there should be none, or the other way round.
        DatasetError: a folder without pictures, or one whose annotations cannot be used.
    """
    if surface not in SURFACES:
        raise ConfigError(f"There is no surface {surface!r}.", f"use one of {', '.join(SURFACES)}.")
    if surface == "steel":
        if images is not None:
            raise ConfigError("Surface 'steel' is simulated and shows no pictures.", "add --surface neu to --images.")
        return Show(package or MODELS / "sim-strip", (640, 512, "mono8"), plates or PLATES)
    if images is None:
        raise ConfigError("Surface 'neu' shows pictures of yours.", "name their folder with --images.")
    found = _pictures(images)
    random.Random(seed).shuffle(found)
    shown = tuple(found[: plates or PLATES])
    return Show(package or MODELS / "neu-det", (NEU_PX, NEU_PX, "mono8"), plates or len(shown), shown)


def _pictures(folder: Path) -> list[Picture]:
    if voc.looks_like(folder):
        dataset = open_dataset(folder, format="voc")
        return [
            Picture(entry.picture, tuple(dataset.classes[label] for label in entry.present))
            for entry in dataset.entries
        ]
    inner = folder / "images"
    files = sorted(_files(inner if inner.is_dir() else folder))
    if not files:
        raise DatasetError(
            f"{folder} holds no picture.",
            "name a folder with images/ and annotations/ (Pascal VOC), or of pictures alone "
            f"({', '.join(sorted(IMAGE_SUFFIXES))}).",
        )
    return [Picture(file, None) for file in files]


def _files(folder: Path) -> Sequence[Path]:
    try:
        return [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read ({error.strerror}).", "name a folder of pictures.") from None
