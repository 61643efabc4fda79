"""A folder of classes: `<class>/<name>.jpg`, with the mask `<name>.png` (or `<name>_mask.png`) where defects were
outlined.

Boxes are those of a mask's connected components (8-neighbours; defect > 127).  Pictures of the classes listed as good
are defect-free.  Without any mask, a picture tells its class and not the place of the defect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.dataset.problems import Findings
from edge.dataset.raw import SUFFIXES, Corners, Found, Listed, Marked, files_below, name_below
from edge.dataset.sample import read_picture

GOOD_NAMES = ("free", "good", "ok")
LEAST_REGION_PX = 10
"""A region of fewer pixels is a slip of the brush: nothing that a detector could find."""
MASK_THRESHOLD = 127
"""Pixels of a mask above it are defect: masks are drawn in 0 and 255, and edges may have been smoothed."""


def looks_like(folder: Path) -> bool:
    return any(path.suffix.lower() in SUFFIXES for sub in _class_folders(folder) for path in sub.iterdir())


def read(folder: Path, findings: Findings, good: Sequence[str] = GOOD_NAMES) -> Found:
    pictures, masks = _sorted_out(folder, findings)
    listed = [
        Listed(name, path, f"folder {path.parent.name}", present=None if path.parent.name in good else path.parent.name)
        for name, path in pictures.items()
    ]
    classes = tuple(sub.name for sub in _class_folders(folder) if sub.name not in good)
    if not masks:
        findings.add("image_level_only", f"{folder.name}/{{{','.join(classes)}}}")
        return Found(tuple(listed), classes, boxed=False)
    masked = [_with_mask(folder, one, masks.get(one.name), findings) for one in listed]
    return Found(tuple(one for one in masked if one is not None), classes)


def boxes_of(mask: NDArray[np.uint8]) -> tuple[list[Corners], int]:
    """Boxes of the connected components of an (H, W) mask, and how many specks were too small to be one."""
    import cv2  # as in `edge.dataset.sample`

    _, _, statistics, _ = cv2.connectedComponentsWithStats((mask > MASK_THRESHOLD).astype(np.uint8), connectivity=8)
    regions = [tuple(map(float, row)) for row in statistics[1:]]
    boxes = [(x, y, x + w, y + h) for x, y, w, h, area in regions if area >= LEAST_REGION_PX]
    return boxes, len(regions) - len(boxes)


def _class_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _sorted_out(folder: Path, findings: Findings) -> tuple[dict[str, Path], dict[str, Path]]:
    """Pictures and masks by name.  A PNG is a mask if it is called `_mask`, or lies beside a picture of its name."""
    files = {path: name_below(folder, path) for sub in _class_folders(folder) for path in files_below(sub)}
    files = {path: name for path, name in files.items() if path.suffix.lower() in SUFFIXES}
    others = {name for path, name in files.items() if path.suffix.lower() != ".png"}
    pictures: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for path, name in files.items():
        if path.suffix.lower() == ".png" and (name.endswith("_mask") or name in others):
            masks[name.removesuffix("_mask")] = path
        elif name in pictures:
            findings.add("picture_twice", f"{pictures[name].relative_to(folder)} and {path.relative_to(folder)}")
        else:
            pictures[name] = path
    for name, path in masks.items():
        if name not in pictures:
            findings.add("picture_missing", f"of {path.relative_to(folder)}")
    return pictures, masks


def _with_mask(folder: Path, listed: Listed, path: Path | None, findings: Findings) -> Listed | None:
    """None where a picture filed as defective has an empty mask: it is neither defective nor sound for certain."""
    if path is None:
        if listed.present is not None:
            findings.add("annotation_missing", f"mask of {listed.picture.relative_to(folder)}")
        return listed
    label = str(path.relative_to(folder))
    mask = read_picture(path, grey=True)
    if mask is None:
        findings.add("annotation_unreadable", f"{label}: not a picture")
        return listed
    boxes, specks = boxes_of(mask)
    if specks:
        findings.add("specks_ignored", f"{label}: {specks}")
    if listed.present is None and boxes:
        findings.add("defect_in_good", label)
    elif listed.present is not None and not boxes:
        findings.add("mask_empty", label)
        return None
    objects = tuple(Marked(str(listed.present), box, f"{label} region {n}") for n, box in enumerate(boxes, 1))
    return replace(listed, annotation=label, objects=objects, size=(mask.shape[1], mask.shape[0]), file=path)
