"""What a data set is once it was read: entries, whose pictures are decoded one at a time, when somebody asks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.dataset.problems import Problem
from edge.errors import DatasetError


@dataclass(frozen=True, eq=False)
class Sample:
    """A decoded picture with its truth.

    image: (H, W) uint8 grey, or (H, W, 3) uint8 BGR, as read; boxes: (G, 4) float32 xyxy px, 0-based, far edges
    exclusive; labels: (G,) int64, indices into the data set's classes.
    """

    name: str
    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Entry:
    """A picture of a data set, undecoded.

    name: the file's path below its folder of pictures, without suffix, with `/`; unique in its data set.
    size: (width, height) px as decoded.  boxes, labels: as in `Sample`.
    present: indices of the classes that the picture shows, ascending.  With boxes they are those of the labels; a
    folder of classes without masks tells no more than this.
    digest: SHA-256 of the size and the decoded pixels; equal for duplicates, whatever their files' bytes.
    annotation: file that annotates this picture alone; None if there is none, or one for many pictures.
    """

    name: str
    picture: Path
    size: tuple[int, int]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    present: tuple[int, ...]
    digest: str
    annotation: Path | None = None

    @property
    def defective(self) -> bool:
        return bool(self.present)

    def read(self, grey: bool) -> Sample:
        """Decode the picture.  Raises errors.DatasetError if it can no longer be read, or has another size by now."""
        image = read_picture(self.picture, grey)
        if image is None or (image.shape[1], image.shape[0]) != self.size:
            raise DatasetError(
                f"{self.picture} is not the picture of {self.size[0]} x {self.size[1]} px that was checked before.",
                "Leave a data set alone while it is in use; run the command again.",
            )
        return Sample(self.name, image, self.boxes, self.labels)


@dataclass(frozen=True)
class Dataset:
    """A data set without errors.

    boxed: whether its pictures have boxes; without, it serves figures of whole parts and not the training of a
    detector.
    warnings: what was found and can be lived with.
    """

    folder: Path
    format: str
    classes: tuple[str, ...]
    entries: tuple[Entry, ...]
    boxed: bool = True
    warnings: tuple[Problem, ...] = ()


def read_picture(path: Path, grey: bool) -> NDArray[np.uint8] | None:
    """(H, W) or (H, W, 3) BGR uint8, turned as its EXIF orientation says; None if it is not a readable picture."""
    import cv2  # half a second and 20 MB, and every `edge` command imports this module

    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(image, np.uint8)
