"""`edge evidence export`: pictures and what people said of them, as a COCO data set that `edge train` reads.

A network that learns from its own word learns its own mistakes.  So only what a person has marked is taken for true,
unless the caller asks for the rest too.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from edge.commands.evidence import Wanted, mark_on, marks_of, pictures
from edge.core.outcome import Outcome
from edge.errors import EvidenceError
from edge.record.evidence.reader import Evidence, Picture

IMAGES, ANNOTATIONS, LEFT_OUT = "images", "annotations/instances.json", "left_out.csv"

LEAST_PX = 1.0
"""Smallest side of a box."""


class Box(NamedTuple):
    """A defect: class, and x1, y1, x2, y2 in px of the picture."""

    cls: str
    corners: tuple[float, float, float, float]


class Label(NamedTuple):
    """What a picture is a picture of.  ``left_out`` says why it is of no use, or is "" where it is."""

    boxes: tuple[Box, ...] = ()
    left_out: str = ""


@dataclass
class Exported:
    """What came of an export: pictures with and without defects, boxes by class, pictures left out by reason."""

    defective: int = 0
    good: int = 0
    boxes: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


def label(outcome: str, reason: str, mark: str, boxes: Iterable[Box], unmarked: bool) -> Label:
    """Return what to teach of a picture.

    Args:
        outcome: the station's.
        reason: why the picture was kept.
        mark: a person's word on that outcome: "right", "wrong", or "" where nobody said.
        boxes: the network's findings.
        unmarked: without a person's word, take the network's.
    """
    if reason == "challenge":
        return Label(left_out="a challenge's piece, which comes again and again")
    if outcome == Outcome.NO_DECISION.value:
        return Label(left_out="undecided")
    if not mark and not unmarked:
        return Label(left_out="not marked")
    if outcome == Outcome.PASS.value:
        return Label(left_out="a defect that was missed: nobody said where") if mark == "wrong" else Label()
    if mark == "wrong":
        return Label()
    found = tuple(boxes)
    return Label(found) if found else Label(left_out="no finding lies in the picture")


def export(
    folder: Path, out: Path, wanted: Wanted, annotations: Path | None, unmarked: bool, limit: int | None = None
) -> Exported:
    """Write pictures of an evidence folder as a data set.

    Args:
        folder: ``evidence.folder`` of a station.
        out: a new folder.
        wanted: which pictures.
        annotations: what people said, or None.
        unmarked: as for ``label``.
        limit: the newest so many.

    Raises:
        EvidenceError: ``out`` is in use or cannot be written, or there is nothing to write.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise EvidenceError(f"{out} is no empty folder.", "give a new one with --out.")
    evidence, done = Evidence(folder), Exported()
    try:
        marks = marks_of(annotations)
        writer = _CocoWriter(out)
        for picture in reversed(list(pictures(evidence, wanted, limit))):  # in time, so that a split by blocks is one
            mark = mark_on(picture, marks)
            _add(writer, done, evidence, picture, "" if mark is None else mark.verdict, unmarked)
        if not done.defective + done.good:
            raise EvidenceError(
                f"None of the {sum(done.left_out.values())} pictures has a label: {_told(done.left_out)}.",
                "mark some in the dashboard and name its file with --annotations, or take the network's own word with "
                "--unmarked.",
            )
        writer.finish()
    except OSError as error:
        raise EvidenceError(f"{out} cannot be written: {error.strerror}.", "choose another folder.") from None
    finally:
        evidence.close()
    return done


def render(out: Path, done: Exported) -> str:
    """Return what came of an export, in words."""
    lines = [f"{out}: {done.defective} pictures with defects, {done.good} without"]
    lines += [f"  {cls}: {count} boxes" for cls, count in sorted(done.boxes.items())]
    if done.left_out:
        lines.append(f"  left out, see {LEFT_OUT}: {_told(done.left_out)}")
    return "\n".join(lines)


def _add(writer: _CocoWriter, done: Exported, evidence: Evidence, picture: Picture, mark: str, unmarked: bool) -> None:
    try:
        told = evidence.sidecar(picture)
        made = label(picture.outcome, picture.reason, mark, _boxes(told), unmarked)
        if not made.left_out:
            writer.add(evidence.path(picture), picture, told, made.boxes, mark)
    except (EvidenceError, FileNotFoundError):
        made = Label(left_out="the picture or its sidecar is gone or damaged")
    if made.left_out:
        done.left_out[made.left_out] += 1
        writer.leave_out(picture, mark, made.left_out)
        return
    done.defective += bool(made.boxes)
    done.good += not made.boxes
    done.boxes.update(box.cls for box in made.boxes)


def _boxes(told: dict[str, Any]) -> list[Box]:
    """Return the findings as far as they lie in the picture."""
    width, height = told["picture"]["width"], told["picture"]["height"]
    boxes = []
    for finding in told["findings"]:
        x1, y1, x2, y2 = finding["box"]
        corners = (max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2))
        if corners[2] - corners[0] >= LEAST_PX and corners[3] - corners[1] >= LEAST_PX:
            boxes.append(Box(finding["cls"], corners))
    return boxes


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.most_common()) or "there are none"


class _CocoWriter:
    """Writes a data set: pictures as they are, one JSON of instances, and a list of what was left out."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._images: list[dict[str, Any]] = []
        self._found: list[tuple[int, Box]] = []  # image id
        self._left_out: list[tuple[Any, ...]] = []

    def add(self, source: Path, picture: Picture, told: dict[str, Any], boxes: tuple[Box, ...], mark: str) -> None:
        """Copy a picture, and note its boxes; the names' order is that of time."""
        wall = datetime.fromtimestamp(picture.wall_ms / 1000, timezone.utc)
        name = f"{wall:%Y%m%dT%H%M%S}_{picture.id:08}{source.suffix}"
        (self._out / IMAGES).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, self._out / IMAGES / name)
        number = len(self._images) + 1
        size = {key: told["picture"][key] for key in ("width", "height")}
        of_part = {key: told[key] for key in ("station", "session", "part", "outcome", "model")}
        self._images.append({"id": number, "file_name": name, **size, **of_part, "mark": mark})
        self._found += [(number, box) for box in boxes]

    def leave_out(self, picture: Picture, mark: str, why: str) -> None:
        """Note a picture that is not part of the data set."""
        self._left_out.append((picture.file, picture.session, picture.part, picture.outcome, mark, why))

    def finish(self) -> None:
        """Write the annotations."""
        classes = {cls: number for number, cls in enumerate(sorted({box.cls for _, box in self._found}), 1)}
        content = {
            "categories": [{"id": number, "name": cls} for cls, number in classes.items()],
            "images": self._images,
            "annotations": [
                _instance(number, image, classes[box.cls], box) for number, (image, box) in enumerate(self._found, 1)
            ],
        }
        path = self._out / ANNOTATIONS
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
        if self._left_out:
            with (self._out / LEFT_OUT).open("w", newline="", encoding="utf-8") as file:
                rows = csv.writer(file)
                rows.writerow(("file", "session", "part", "outcome", "mark", "why"))
                rows.writerows(self._left_out)


def _instance(number: int, image: int, category: int, box: Box) -> dict[str, Any]:
    x1, y1, x2, y2 = box.corners
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
        "iscrowd": 0,
    }
