"""YOLO: one text file a picture, a line an object: class index and centre x, centre y, width, height as shares of the
sides.

`images/` has `labels/` beside it, above or below folders of splits (`images/train/a.jpg` or `train/images/a.jpg`), or
text files lie beside the pictures.  An empty file says that a picture is defect-free; a missing one says nothing, and
is an error.
"""

from __future__ import annotations

import math
from pathlib import Path

from edge.dataset import yolo_names
from edge.dataset.problems import Findings
from edge.dataset.raw import Found, Listed, Marked, files_below, pictures_by_name

_NO_LABELS = frozenset({"classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "readme.txt", "license.txt"})


def looks_like(folder: Path) -> bool:
    return yolo_names.find(folder) is not None or any(p.is_dir() for p in folder.rglob("labels"))


def read(folder: Path, findings: Findings) -> Found:
    """Raises errors.DatasetError if no file names the classes, or it cannot be understood."""
    classes = yolo_names.read(folder)
    listed: dict[str, Listed] = {}
    labels: set[Path] = set()
    for picture in pictures_by_name(folder, findings).values():
        name, path = _name(folder, picture), _label_path(folder, picture)
        if name in listed:
            findings.add(
                "picture_twice", f"{listed[name].picture.relative_to(folder)} and {picture.relative_to(folder)}"
            )
        if not path.is_file():
            findings.add("annotation_missing", f"{path.relative_to(folder)} of {picture.relative_to(folder)}")
            continue
        labels.add(path)
        label = str(path.relative_to(folder))
        objects = _objects(path, label, classes, findings)
        listed[name] = Listed(name, picture, label, objects, relative=True, file=path)
    for path in files_below(folder):
        if path.suffix == ".txt" and path.name.lower() not in _NO_LABELS and path not in labels:
            findings.add("picture_missing", f"of {path.relative_to(folder)}")
    return Found(tuple(listed.values()), classes)


def _name(folder: Path, picture: Path) -> str:
    return Path(*(part for part in picture.relative_to(folder).parts if part != "images")).with_suffix("").as_posix()


def _label_path(folder: Path, picture: Path) -> Path:
    """The last `images` of the path becomes `labels`."""
    parts = list(picture.relative_to(folder).parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return folder.joinpath(*parts).with_suffix(".txt")


def _objects(path: Path, label: str, classes: tuple[str, ...], findings: Findings) -> tuple[Marked, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        findings.add("annotation_unreadable", f"{label}: {error}")
        return ()
    objects = []
    for count, line in enumerate(lines, 1):
        where, words = f"{label} line {count}", line.split()
        if not words:
            continue
        if len(words) != 5:
            text = f"{where}: {len(words)} values; class, centre x, centre y, width and height are wanted"
            findings.add("annotation_unreadable", text)
        elif not words[0].isdecimal():
            findings.add("annotation_unreadable", f"{where}: {words[0]!r} is not the index of a class")
        elif int(words[0]) >= len(classes):
            findings.add("class_unknown", f"{where}: index {words[0]}, but there are {len(classes)} classes")
        else:
            objects.extend(_object(words, where, classes, findings))
    return tuple(objects)


def _object(words: list[str], where: str, classes: tuple[str, ...], findings: Findings) -> list[Marked]:
    try:
        x, y, width, height = (float(word) for word in words[1:])
        finite = all(math.isfinite(value) for value in (x, y, width, height))
    except ValueError:
        finite = False
    if not finite:
        findings.add("box_not_numbers", f"{where}: {' '.join(words[1:])}")
        return []
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return [Marked(classes[int(words[0])], corners, where)]
