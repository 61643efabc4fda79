"""Pascal VOC: one XML file a picture, in `annotations/` beside `images/`, or all in one folder.

Paired by file name; what `<filename>` says is often out of date.  Corners are 1-based and inclusive: (1, 1, w, h)
covers the picture (The PASCAL Visual Object Classes Challenge 2012 Development Kit, section 8).
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path

from edge.dataset.problems import Findings
from edge.dataset.raw import Corners, Found, Listed, Marked, files_below, first_folder, name_below, pictures_by_name

PICTURE_FOLDERS = ("images", "JPEGImages")
ANNOTATION_FOLDERS = ("annotations", "Annotations")


def looks_like(folder: Path) -> bool:
    return next(first_folder(folder, ANNOTATION_FOLDERS).rglob("*.xml"), None) is not None


def read(folder: Path, findings: Findings) -> Found:
    """Classes are not declared in VOC: those of the objects, by whoever asks."""
    pictures_root, annotations_root = first_folder(folder, PICTURE_FOLDERS), first_folder(folder, ANNOTATION_FOLDERS)
    pictures = pictures_by_name(pictures_root, findings)
    files = {name_below(annotations_root, p): p for p in files_below(annotations_root) if p.suffix.lower() == ".xml"}
    for name, path in files.items():
        if name not in pictures:
            findings.add("picture_missing", f"{name} of {path.relative_to(folder)}")
    listed = []
    for name, picture in pictures.items():
        if name not in files:
            findings.add("annotation_missing", f"of {picture.relative_to(folder)}")
            continue
        try:
            listed.append(_picture(name, picture, files[name], str(files[name].relative_to(folder)), findings))
        except (ET.ParseError, ValueError, OSError) as error:
            findings.add("annotation_unreadable", f"{files[name].relative_to(folder)}: {error}")
    return Found(tuple(listed), None)


def _picture(name: str, picture: Path, path: Path, label: str, findings: Findings) -> Listed:
    root = ET.parse(path).getroot()
    if root.tag != "annotation":
        raise ValueError(f"its root is <{root.tag}>, not <annotation>")
    objects = []
    for count, item in enumerate(root.findall("object"), 1):
        where = f"{label} object {count}"
        corners = _corners(item, where, findings)
        if corners is not None:
            objects.append(Marked((item.findtext("name") or "").strip(), corners, where))
    return Listed(name, picture, label, tuple(objects), _claimed_size(root), file=path)


def _corners(item: ET.Element, where: str, findings: Findings) -> Corners | None:
    texts = [item.findtext(f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax")]
    try:
        x1, y1, x2, y2 = (float(text or "") for text in texts)
    except ValueError:
        findings.add("box_not_numbers", f"{where}: {texts}")
        return None
    if not all(math.isfinite(value) for value in (x1, y1, x2, y2)):
        findings.add("box_not_numbers", f"{where}: {texts}")
        return None
    if x2 <= x1 or y2 <= y1:  # equal corners are one pixel by the letter, and a slip of the mouse in practice
        findings.add("box_empty", f"{where}: ({x1:g}, {y1:g}, {x2:g}, {y2:g})")
        return None
    return x1 - 1, y1 - 1, x2, y2


def _claimed_size(root: ET.Element) -> tuple[int, int] | None:
    """Some tools leave the size out, or write zeros."""
    width, height = (int(root.findtext(f"size/{key}") or 0) for key in ("width", "height"))
    return (width, height) if width > 0 and height > 0 else None
