"""What a reader of a format hands to the common check: pictures and objects as annotated, nothing verified."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edge.dataset.naming import natural
from edge.dataset.problems import Findings

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
Corners = tuple[float, float, float, float]


class Marked(NamedTuple):
    """An object as annotated.  corners: xyxy, 0-based, far edges exclusive; px, or shares of the picture's sides."""

    cls: str
    corners: Corners
    where: str


@dataclass(frozen=True)
class Listed:
    """A picture as annotated.

    size: (width, height) px that the annotation claims; None if it claims none.  relative: corners are shares of the
    sides.
    present: the class that the picture is filed under, where its annotation has no boxes to say so.
    file: that annotates this picture alone; None if there is none, or one for many pictures.
    """

    name: str
    picture: Path
    annotation: str
    objects: tuple[Marked, ...] = ()
    size: tuple[int, int] | None = None
    relative: bool = False
    present: str | None = None
    file: Path | None = None


@dataclass(frozen=True)
class Found:
    """pictures: in natural order of name.  classes: in the order that the format declares; None if it declares none."""

    pictures: tuple[Listed, ...]
    classes: tuple[str, ...] | None
    boxed: bool = True


def pictures_by_name(root: Path, findings: Findings) -> dict[str, Path]:
    """All pictures below `root` by their relative path without suffix, in natural order."""
    found: dict[str, Path] = {}
    for path in files_below(root):
        if path.suffix.lower() not in SUFFIXES:
            continue
        name = name_below(root, path)
        if name in found:
            findings.add("picture_twice", f"{found[name].relative_to(root)} and {path.relative_to(root)}")
        found[name] = path
    return found


def name_below(root: Path, path: Path) -> str:
    return path.relative_to(root).with_suffix("").as_posix()


def files_below(root: Path) -> Iterator[Path]:
    """All files below a folder in natural order, hidden ones left out."""
    for path in sorted(root.rglob("*"), key=lambda p: natural(p.as_posix())):
        if path.is_file() and not path.name.startswith("."):
            yield path


def first_folder(folder: Path, names: tuple[str, ...]) -> Path:
    """The first of the sub-folders that exists, or the folder itself."""
    return next((folder / name for name in names if (folder / name).is_dir()), folder)
