"""The check that all formats share: pictures decode, boxes lie in them, class names agree; then entries."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.dataset.naming import spelled_alike, spelling
from edge.dataset.problems import Findings
from edge.dataset.raw import Corners, Found, Listed, Marked
from edge.dataset.sample import Dataset, Entry, read_picture

TOLERANCE_PX = 1.0
"""A box that reaches out by no more is cut to the picture: conventions of corners differ by a pixel."""
_ROUNDING_PX = 0.01
_SHOWN_FILES = 3


def check(folder: Path, format: str, found: Found, wanted: Sequence[str] | None, findings: Findings) -> Dataset:
    """Entries of all sound pictures; what is wrong goes to `findings`."""
    if not found.pictures:
        findings.add("no_pictures", str(folder))
    classes = _classes(found, wanted, findings)
    entries = [entry for listed in found.pictures if (entry := _entry(listed, classes, findings)) is not None]
    _note_duplicates(entries, findings)
    counts = Counter(cls for entry in entries for cls in entry.present)
    for index, cls in enumerate(classes):
        if not counts[index]:
            findings.add("class_empty", cls)
    return Dataset(folder, format, classes, tuple(entries), found.boxed, findings.of("warning"))


def _classes(found: Found, wanted: Sequence[str] | None, findings: Findings) -> tuple[str, ...]:
    """The classes in force."""
    files: dict[str, list[str]] = {}
    for listed in found.pictures:
        for cls in {marked.cls for marked in listed.objects} | ({listed.present} if listed.present else set()):
            files.setdefault(cls, []).append(listed.annotation)
    classes = tuple(wanted) if wanted is not None else found.classes
    for group in spelled_alike([*files, *(classes or ())]):
        if wanted is None or sum(cls in wanted for cls in group) != len(
            group
        ):  # told apart on purpose where all are wanted
            findings.add("class_names_differ", " and ".join(_told(cls, files.get(cls, [])) for cls in group))
    if classes is None:
        return tuple(sorted(files))
    _note_unknown(files, classes, findings)
    return classes


def _note_unknown(files: dict[str, list[str]], classes: tuple[str, ...], findings: Findings) -> None:
    """Each class once, however many objects it has; those that differ in spelling are told by `class_names_differ`."""
    spellings = {spelling(cls) for cls in classes}
    unknown = [cls for cls in sorted(files) if cls not in classes and spelling(cls) not in spellings]
    for cls in unknown:
        close = difflib.get_close_matches(cls, classes, 1)
        meant = f", meant {close[0]!r}?" if close else ""
        listed = f"; listed are {', '.join(classes)}" if cls == unknown[-1] else ""
        findings.add("class_unknown", f"{_told(cls, files[cls])}{meant}{listed}")


def _told(cls: str, files: Sequence[str]) -> str:
    more = ", ..." if len(files) > _SHOWN_FILES else ""
    return f"{cls!r} ({len(files)} files: {', '.join(files[:_SHOWN_FILES])}{more})" if files else f"{cls!r} (as listed)"


def _entry(listed: Listed, classes: tuple[str, ...], findings: Findings) -> Entry | None:
    """None if the picture is missing or unreadable."""
    if not listed.picture.is_file():
        findings.add("picture_missing", f"{listed.picture} of {listed.annotation}")
        return None
    image = read_picture(listed.picture, grey=False)
    if image is None:
        findings.add("picture_unreadable", str(listed.picture))
        return None
    size = (image.shape[1], image.shape[0])
    if listed.size is not None and listed.size != size:
        findings.add("size_differs", f"{listed.annotation}: {_by(listed.size)}, but the picture has {_by(size)} px")
    kept = [(marked, box) for marked in listed.objects if (box := _box(marked, listed.relative, size, findings))]
    known = [(classes.index(m.cls), box) for m, box in kept if m.cls in classes]  # others: `_note_unknown`
    boxes = np.array([box for _, box in known], np.float32).reshape(-1, 4)
    labels = np.array([label for label, _ in known], np.int64)
    present = tuple(sorted(set(labels.tolist())))
    if listed.present is not None:
        present = (classes.index(listed.present),) if listed.present in classes else ()
    return Entry(listed.name, listed.picture, size, boxes, labels, present, digest(image), listed.file)


def digest(image: NDArray[np.uint8]) -> str:
    """SHA-256 of shape and pixels."""
    return hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def _box(marked: Marked, relative: bool, size: tuple[int, int], findings: Findings) -> Corners | None:
    """The box in px, cut to the picture; None if it is empty or reaches out by more than the tolerance."""
    width, height = size
    x1, y1, x2, y2 = marked.corners
    if relative:
        x1, y1, x2, y2 = x1 * width, y1 * height, x2 * width, y2 * height
    told = f"{marked.where}: ({x1:g}, {y1:g}, {x2:g}, {y2:g})"
    if x2 <= x1 or y2 <= y1:
        findings.add("box_empty", told)
        return None
    out = max(-x1, -y1, x2 - width, y2 - height)
    if out > TOLERANCE_PX:
        findings.add("box_outside", f"{told} of {_by(size)} px")
        return None
    if out > _ROUNDING_PX:
        findings.add("box_clipped", f"{told} of {_by(size)} px")
    cut = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        findings.add("box_empty", f"{told} of {_by(size)} px")
        return None
    return cut


def _note_duplicates(entries: Sequence[Entry], findings: Findings) -> None:
    by_digest: dict[str, list[Entry]] = {}
    for entry in entries:
        by_digest.setdefault(entry.digest, []).append(entry)
    for group in by_digest.values():
        if len(group) > 1:
            first = group[0]
            same = all(np.array_equal(first.boxes, e.boxes) and first.present == e.present for e in group[1:])
            names = ", ".join(entry.name for entry in group)
            findings.add("picture_duplicate", names if same else f"{names} (with different annotations)")


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
