"""Plates that show pictures from files: a folder of them, or those that a file lists with what is on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from edge import errors
from edge.simulate.devices import MONO8, Image, Shot

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}


def _read(file: Path, color: str) -> Image:
    image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE if color == MONO8 else cv2.IMREAD_COLOR)
    if image is None:
        raise errors.ConfigError(f"The image {file} cannot be decoded.", "remove or replace the file")
    return np.ascontiguousarray(image, np.uint8)


class FolderScene:
    """The user's pictures in order of their names, over and over; the truth is unknown.

    Raises:
        ConfigError: a folder without images, a file that is none, or one of another size.
    """

    def __init__(self, folder: Path, color: str) -> None:
        self.color = color
        self._files = sorted(p for p in folder.glob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        if not self._files:
            raise errors.ConfigError(f"The folder {folder} holds no image.", "name a folder with .png or .jpg files")
        first = _read(self._files[0], color)
        self.size = (first.shape[1], first.shape[0])
        for file in self._files[1:]:
            self._check(file, _read(file, color))

    def shot(self, index: int) -> Shot:
        """Decode the picture that plate ``index`` shows."""
        file = self._files[index % len(self._files)]
        image = _read(file, self.color)
        self._check(file, image)
        return Shot(image, None, ())

    def _check(self, file: Path, image: Image) -> None:
        size = (image.shape[1], image.shape[0])
        if size != self.size:
            raise errors.ConfigError(
                f"The image {file} is {size[0]} x {size[1]} px, the first one {self.size[0]} x {self.size[1]}.",
                "bring all images of the folder to one size",
            )


class _Listed(NamedTuple):
    """A picture, and the classes of the defects on it: none on a good plate, None where nobody knows."""

    file: Path
    classes: tuple[str, ...] | None


class ListedScene:
    """Pictures in the order of a list, over and over, brought to the camera's size, with the truth that the list tells.

    Args:
        file: JSON lines ``{"picture": PATH, "classes": [NAME...]}``.  ``[]`` is a good plate; null: it is not known.
        size: (width, height) px of the frames.
        color: of the frames.

    Raises:
        ConfigError: a list that cannot be read or is empty, or a picture that cannot be decoded.
    """

    def __init__(self, file: Path, size: tuple[int, int], color: str) -> None:
        self.size, self.color = size, color
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise errors.ConfigError(
                f"The list {file} cannot be read ({error}).", "name a file of JSON lines"
            ) from None
        self._pictures = [_listed(line, f"{file}, line {number}") for number, line in enumerate(lines, 1)]
        if not self._pictures:
            raise errors.ConfigError(f"The list {file} names no picture.", "give it a JSON line a picture")
        for picture in self._pictures:
            _read(picture.file, color)

    def shot(self, index: int) -> Shot:
        """Decode the picture that plate ``index`` shows."""
        picture = self._pictures[index % len(self._pictures)]
        image = _read(picture.file, self.color)
        if (image.shape[1], image.shape[0]) != self.size:
            how = cv2.INTER_AREA if image.shape[1] > self.size[0] else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, self.size, interpolation=how), np.uint8)
        return Shot(image, None if picture.classes is None else bool(picture.classes), picture.classes or ())


def _listed(line: str, origin: str) -> _Listed:
    try:
        entry = json.loads(line)
        picture, classes = entry["picture"], entry["classes"]
        listed = classes is None or (isinstance(classes, list) and all(isinstance(name, str) for name in classes))
        if not isinstance(picture, str) or not listed:
            raise TypeError("picture is a text, classes is a list of texts or null")
    except (ValueError, KeyError, TypeError) as error:
        raise errors.ConfigError(f"{origin} is no picture of a list ({error}).", "correct that line") from None
    return _Listed(Path(picture), None if classes is None else tuple(sorted(set(classes))))
