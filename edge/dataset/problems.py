"""What can be wrong with a data set: one table of kinds, and a list that gathers findings and words them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from edge.errors import DatasetError

Severity = Literal["error", "warning"]
_SHOWN = 20


class Kind(NamedTuple):
    severity: Severity
    text: str
    remedy: str


KINDS: dict[str, Kind] = {
    "no_pictures": Kind("error", "no pictures", "give the folder that holds the pictures"),
    "picture_missing": Kind("error", "pictures are missing", "restore them, or remove their annotations"),
    "picture_unreadable": Kind("error", "pictures cannot be decoded", "export them again, or remove them"),
    "picture_twice": Kind("error", "pictures share a name", "rename or remove one of each"),
    "annotation_missing": Kind(
        "error", "annotations are missing", "annotate the pictures (no objects = defect-free), or remove them"
    ),
    "annotation_unreadable": Kind("error", "annotations cannot be understood", "export them again"),
    "box_not_numbers": Kind("error", "boxes are not numbers", "correct them"),
    "box_empty": Kind("error", "boxes are empty", "redraw or remove them"),
    "box_outside": Kind("error", "boxes reach outside their picture", "correct them, or find their right picture"),
    "size_differs": Kind("error", "annotations were made for another size", "annotate the pictures as they are now"),
    "class_unknown": Kind(
        "error",
        "classes are not listed",
        "rename them, list them, or name a folder of defect-free pictures with `good`",
    ),
    "class_names_differ": Kind("error", "class names differ only in spelling", "give each class one name in all files"),
    "defect_in_good": Kind("error", "defect-free pictures have a defect", "move them, or clear their masks"),
    "box_clipped": Kind("warning", "boxes reach out by a pixel or less", "none needed: they were cut to the picture"),
    "class_empty": Kind("warning", "classes have no object", "leave them out, or add pictures: they cannot be learned"),
    "crowd_ignored": Kind("warning", "crowd regions were ignored", "none needed: they are not objects of their own"),
    "mask_empty": Kind(
        "warning", "pictures filed as defective have an empty mask", "draw the masks, or move them; they were left out"
    ),
    "specks_ignored": Kind("warning", "masks have specks of a few pixels", "none needed: they were ignored"),
    "picture_duplicate": Kind("warning", "groups of pictures have the same pixels", "keep one of each"),
    "picture_unlisted": Kind("warning", "pictures are not in the annotations", "list them, or remove them"),
    "image_level_only": Kind(
        "warning", "folders have no masks", "add masks to train a detector: as it is, only whole parts can be judged"
    ),
}


@dataclass(frozen=True)
class Problem:
    """kind: a key of `KINDS`.  found: one text each, which names the file and the value."""

    kind: str
    found: tuple[str, ...]

    def __str__(self) -> str:
        shown = "; ".join(self.found[:_SHOWN])
        more = f"; and {len(self.found) - _SHOWN} more" if len(self.found) > _SHOWN else ""
        kind = KINDS[self.kind]
        return f"{len(self.found)} {kind.text}: {shown}{more} ({kind.remedy})"


@dataclass
class Findings:
    """Gathers what is wrong, in the order of `KINDS`."""

    _found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, text: str) -> None:
        if kind not in KINDS:
            raise KeyError(kind)
        self._found.setdefault(kind, []).append(text)

    def of(self, severity: Severity) -> tuple[Problem, ...]:
        return tuple(
            Problem(kind, tuple(self._found[kind]))
            for kind, entry in KINDS.items()
            if kind in self._found and entry.severity == severity
        )

    def refuse(self, folder: Path) -> None:
        """Raises errors.DatasetError that names every error, with counts and files."""
        problems = self.of("error")
        if problems:
            raise DatasetError(
                f"{folder} cannot be used:{listed(problems)}",
                "Mend what is listed; `edge dataset check --json` lists all.",
            )


def listed(problems: Iterable[Problem]) -> str:
    """A line each, indented, with a line break before it."""
    return "".join(f"\n  {problem}" for problem in problems)
