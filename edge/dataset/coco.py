"""COCO: instances in JSON (`annotations/*.json`, or beside the pictures), boxes (x, y, width, height) px, 0-based.

Ids of categories need not be contiguous; classes stand in the order of ids.  Regions marked `iscrowd` are ignored,
and said. A listed picture without annotations is defect-free (https://cocodataset.org/#format-data).
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

from edge.dataset.naming import natural
from edge.dataset.problems import Findings
from edge.dataset.raw import Corners, Found, Listed, Marked, pictures_by_name


def looks_like(folder: Path) -> bool:
    return bool(files(folder))


def read(folder: Path, findings: Findings) -> Found:
    classes: dict[int, str] = {}
    listed: dict[str, Listed] = {}
    for path in files(folder):
        label = str(path.relative_to(folder))
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            categories = {int(c["id"]): str(c["name"]).strip() for c in content["categories"]}
            pictures = _pictures(folder, path, content, categories, findings)
        except (OSError, ValueError, KeyError, TypeError) as error:
            findings.add("annotation_unreadable", f"{label}: {type(error).__name__} {error}")
            continue
        for number, cls in categories.items():
            if classes.setdefault(number, cls) != cls:
                text = f"{label}: category {number} is {cls!r} here and {classes[number]!r} in another file"
                findings.add("annotation_unreadable", text)
        for picture in pictures:
            if picture.name in listed:
                findings.add("picture_twice", f"{picture.name} in {listed[picture.name].annotation} and {label}")
            listed[picture.name] = picture
    _unlisted(folder, listed, findings)
    ordered = tuple(sorted(listed.values(), key=lambda one: natural(one.name)))
    return Found(ordered, tuple(dict.fromkeys(classes[number] for number in sorted(classes))))


def files(folder: Path) -> list[Path]:
    """Annotation files: JSON that lists categories, in `annotations/`, the folder itself or those of its splits."""
    files = [
        path for pattern in ("annotations/*.json", "*.json", "*/*.coco.json") for path in sorted(folder.glob(pattern))
    ]
    return [path for path in files if b'"categories"' in path.read_bytes()]


def _pictures(
    folder: Path, path: Path, content: dict[str, Any], categories: dict[int, str], findings: Findings
) -> list[Listed]:
    label = str(path.relative_to(folder))
    objects: dict[int, list[Marked]] = {int(image["id"]): [] for image in content["images"]}
    for annotation in content["annotations"]:
        where = f"{label} annotation {annotation['id']}"
        if annotation.get("iscrowd", 0):
            findings.add("crowd_ignored", where)
        elif int(annotation["image_id"]) not in objects:
            findings.add("picture_missing", f"image {annotation['image_id']} of {where}")
        elif int(annotation["category_id"]) not in categories:
            findings.add("class_unknown", f"{where}: category {annotation['category_id']} is not in categories")
        else:
            corners = _corners(annotation.get("bbox"), where, findings)
            if corners is not None:
                cls = categories[int(annotation["category_id"])]
                objects[int(annotation["image_id"])].append(Marked(cls, corners, where))
    listed = []
    for image in content["images"]:
        name = _name(image)
        width, height = int(image.get("width") or 0), int(image.get("height") or 0)
        size = (width, height) if width > 0 and height > 0 else None
        picture = _locate(folder, path, str(image["file_name"]))
        listed.append(Listed(name, picture, f"{label} image {image['id']}", tuple(objects[int(image["id"])]), size))
    return listed


def thinned(content: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """What an annotation file says about the pictures of these names; all else as it is."""
    images = [image for image in content["images"] if _name(image) in names]
    ids = {int(image["id"]) for image in images}
    annotations = [one for one in content["annotations"] if int(one["image_id"]) in ids]
    return {**content, "images": images, "annotations": annotations}


def _name(image: dict[str, Any]) -> str:
    return Path(str(image["file_name"])).with_suffix("").as_posix()


def _corners(bbox: Any, where: str, findings: Findings) -> Corners | None:
    try:
        x, y, width, height = (float(value) for value in bbox)
        finite = all(math.isfinite(value) for value in (x, y, width, height))
    except (TypeError, ValueError):
        finite = False
    if not finite:
        findings.add("box_not_numbers", f"{where}: {bbox!r}")
        return None
    return x, y, x + width, y + height


def _roots(folder: Path, path: Path) -> tuple[Path, ...]:
    """Where pictures of an annotation file may lie, with and without a folder of the split's name."""
    split = path.stem.removeprefix("instances_")
    return folder / "images", folder / "images" / split, folder / split, path.parent, folder


def _locate(folder: Path, path: Path, file_name: str) -> Path:
    roots = _roots(folder, path)
    return next((root / file_name for root in roots if (root / file_name).is_file()), roots[0] / file_name)


def _unlisted(folder: Path, listed: dict[str, Listed], findings: Findings) -> None:
    known = {one.picture.resolve() for one in listed.values()}
    for path in pictures_by_name(folder, Findings()).values():
        if path.resolve() not in known:
            findings.add("picture_unlisted", str(path.relative_to(folder)))
