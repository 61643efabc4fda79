"""Open a data set: find its format, read it, check all of it, and only then hand it out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from edge.dataset import coco, folders, voc, yolo
from edge.dataset.check import check
from edge.dataset.folders import GOOD_NAMES
from edge.dataset.problems import Findings
from edge.dataset.raw import Found
from edge.dataset.sample import Dataset
from edge.errors import DatasetError

FORMATS = ("auto", "voc", "coco", "yolo", "folders")
_RECOGNISED = {"voc": voc.looks_like, "coco": coco.looks_like, "yolo": yolo.looks_like}


def open_dataset(
    folder: Path, classes: Sequence[str] | None = None, format: str = "auto", good: Sequence[str] = GOOD_NAMES
) -> Dataset:
    """Read and check a whole data set; every picture is decoded once, and one at a time.

    Args:
        folder: of the data set; each format's layout is told at the head of its module.
        classes: names in the order of the labels wanted.  Left out, those that the format declares, or of the
            objects, sorted.
        format: one of `FORMATS`.
        good: folders of a folder of classes whose pictures are defect-free.

    Raises:
        DatasetError: the folder cannot be read or its format not be told; or it lists every error, with counts and
            files.
    """
    findings = Findings()
    dataset = inspect(folder, findings, classes, format, good)
    findings.refuse(folder)
    return dataset


def inspect(
    folder: Path,
    findings: Findings,
    classes: Sequence[str] | None = None,
    format: str = "auto",
    good: Sequence[str] = GOOD_NAMES,
) -> Dataset:
    """As `open_dataset`, but errors are left in `findings`, and what has one is left out."""
    if not folder.is_dir():
        raise DatasetError(f"Data set folder {folder} does not exist.", "Give the folder that holds the data set.")
    chosen = recognise(folder) if format == "auto" else format
    return check(folder, chosen, _read(folder, chosen, findings, good), classes, findings)


def recognise(folder: Path) -> str:
    """The one format whose marks the folder shows.  Raises errors.DatasetError where it shows none, or several."""
    found = [name for name, looks_like in _RECOGNISED.items() if looks_like(folder)]
    if len(found) == 1:
        return found[0]
    if found:
        raise DatasetError(f"{folder} looks like {' and '.join(found)}.", f"Say which: --format {' or '.join(found)}.")
    if folders.looks_like(folder):
        return "folders"
    raise DatasetError(
        f"{folder} has no XML, JSON or label files, and no folders of classes with pictures.",
        "Give a data set in VOC, COCO or YOLO format, or a folder with a folder of pictures for each class.",
    )


def _read(folder: Path, format: str, findings: Findings, good: Sequence[str]) -> Found:
    readers: dict[str, Callable[[Path, Findings], Found]] = {
        "voc": voc.read,
        "coco": coco.read,
        "yolo": yolo.read,
        "folders": partial(folders.read, good=good),
    }
    if format not in readers:
        raise DatasetError(f"Data set format {format!r} is not known.", f"Give one of {', '.join(FORMATS)}.")
    return readers[format](folder, findings)
