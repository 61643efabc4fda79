"""Parts of a split as folders of their own, laid out as their source, so that every reader finds in them what it
found there.

Pictures and the annotations of one picture are linked, or copied where links cannot be made.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from edge.dataset import coco, yolo_names
from edge.dataset.sample import Dataset, Entry
from edge.errors import DatasetError


def write_part(source: Dataset, entries: Sequence[Entry], out: Path) -> None:
    """Write `entries` of `source` as a data set of the same format.

    Raises:
        DatasetError: a picture lies outside the source's folder, or something cannot be written.
    """
    try:
        for entry in entries:
            for path in (entry.picture, entry.annotation):
                if path is not None:
                    _link(path, out / _below(source.folder, path))
        names = yolo_names.find(source.folder) if source.format == "yolo" else None
        if names is not None:
            _link(names, out / _below(source.folder, names))
        if source.format == "coco":
            _write_coco(source.folder, {entry.name for entry in entries}, out)
    except OSError as error:
        raise DatasetError(f"{out} cannot be written: {error}.", "Give another folder with --out.") from error


def _below(folder: Path, path: Path) -> Path:
    """Where a file lies in its data set, whatever its links lead to."""
    if not path.is_relative_to(folder) or ".." in path.relative_to(folder).parts:
        raise DatasetError(f"{path} lies outside {folder}.", "Move or link it into the data set.")
    return path.relative_to(folder)


def _link(path: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.symlink_to(path.resolve())
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        shutil.copyfile(path, place)


def _write_coco(folder: Path, names: set[str], out: Path) -> None:
    for path in coco.files(folder):
        place = out / _below(folder, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        content = coco.thinned(json.loads(path.read_text(encoding="utf-8")), names)
        place.write_text(json.dumps(content), encoding="utf-8")
