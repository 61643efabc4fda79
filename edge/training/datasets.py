"""Training data: a Pascal VOC folder, or simulated plates.  Everything is read and checked before training starts."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge import errors
from edge.simulate.surface import CLASSES, TRAINING_SEEDS_FROM, Plate, Surface
from edge.training.recipe import Recipe, SimData, VocData

DATASETS_VARIABLE = "EDGE_DATASETS"
DATASETS_DEFAULT = Path("../shared/datasets")
_SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class Sample:
    """image: (H, W) uint8 grey; boxes: (G, 4) float32 xyxy px, 0-based, far edges exclusive; labels: (G,) int64."""

    name: str
    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]


def load(recipe: Recipe, train: bool = True) -> Split:
    """Both parts of the recipe's data, or validation alone, at the network's size.  Raises errors.DatasetError."""
    size = (recipe.input.width, recipe.input.height)
    if isinstance(recipe.data, VocData):
        return _load_voc(recipe.data, size, train)
    return _load_sim(recipe.data, size, train)


def datasets_root() -> Path:
    return Path(os.environ.get(DATASETS_VARIABLE, DATASETS_DEFAULT))


def resize(sample: Sample, size: tuple[int, int]) -> Sample:
    """To `size` (width, height) as the station stages a frame: bilinear, no border, each axis on its own scale."""
    height, width = sample.image.shape
    scale = np.array([size[0] / width, size[1] / height] * 2, np.float32)
    image = np.empty((size[1], size[0]), np.uint8)
    cv2.resize(sample.image, size, dst=image, interpolation=cv2.INTER_LINEAR)
    return Sample(sample.name, image, sample.boxes * scale, sample.labels)


def read_voc(folder: Path, names: Iterable[str], classes: Sequence[str]) -> list[Sample]:
    """Reads `images/<name>.jpg` and `annotations/<name>.xml` for each name.

    Raises errors.DatasetError that lists every bad file: missing, unreadable, unknown class, empty box, box outside.
    """
    samples, problems = [], []
    for name in names:
        try:
            samples.append(_read_pair(folder, name, classes))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        shown = "; ".join(problems[:_SHOWN_PROBLEMS])
        more = f"; and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
        raise errors.DatasetError(
            f"{folder} has {len(problems)} bad files: {shown}{more}.",
            "Repair or remove these files, or narrow the blocks.",
        )
    return samples


def _read_pair(folder: Path, name: str, classes: Sequence[str]) -> Sample:
    """One picture and its annotation; ValueError says what is wrong with which file."""
    picture, annotation = folder / "images" / f"{name}.jpg", folder / "annotations" / f"{name}.xml"
    for path in (picture, annotation):
        if not path.is_file():
            raise ValueError(f"{path.relative_to(folder)} is missing")
    image = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise ValueError(f"images/{name}.jpg is not a readable picture")
    label = f"annotations/{name}.xml"
    try:
        objects = ET.parse(annotation).getroot().findall("object")
    except ET.ParseError as error:
        raise ValueError(f"{label} is not XML ({error})") from error
    height, width = image.shape
    boxes, labels = [], []
    for number, item in enumerate(objects, 1):
        cls = (item.findtext("name") or "").strip()
        if cls not in classes:
            raise ValueError(f"{label} object {number}: unknown class {cls!r}")
        boxes.append(_read_box(item, width, height, f"{label} object {number}"))
        labels.append(classes.index(cls))
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    return Sample(name, np.asarray(image, np.uint8), corners, np.array(labels, np.int64))


def _read_box(item: ET.Element, width: int, height: int, where: str) -> tuple[float, float, float, float]:
    """VOC corners are 1-based and inclusive: (1, 1, w, h) covers the picture, here (0, 0, w, h)."""
    texts = [item.findtext(f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax")]
    try:
        x1, y1, x2, y2 = (float(text or "") for text in texts)
    except ValueError:
        raise ValueError(f"{where}: box {texts} is not four numbers") from None
    if x2 <= x1 or y2 <= y1:
        raise ValueError(f"{where}: empty box ({x1:g}, {y1:g}, {x2:g}, {y2:g})")
    if x1 < 1 or y1 < 1 or x2 > width or y2 > height:
        raise ValueError(f"{where}: box ({x1:g}, {y1:g}, {x2:g}, {y2:g}) outside the {width} x {height} picture")
    return x1 - 1, y1 - 1, x2, y2


def _load_voc(data: VocData, size: tuple[int, int], train: bool) -> Split:
    folder = datasets_root() / data.folder
    if not folder.is_dir():
        raise errors.DatasetError(
            f"Data set folder {folder} does not exist.",
            f"Set {DATASETS_VARIABLE} to the folder that holds {data.folder!r}.",
        )

    def block(first: int, last: int) -> list[str]:
        return [f"{cls}_{number}" for cls in data.classes for number in range(first, last + 1)]

    train_names, validation_names = block(*data.train) if train else [], block(*data.validation)
    samples = [resize(s, size) for s in read_voc(folder, train_names + validation_names, data.classes)]
    return Split(data.classes, tuple(samples[: len(train_names)]), tuple(samples[len(train_names) :]))


def sim_sample(plate: Plate, name: str) -> Sample:
    boxes = np.array([d.box for d in plate.defects], np.float32).reshape(-1, 4)
    return Sample(name, plate.image, boxes, np.array([CLASSES.index(d.cls) for d in plate.defects], np.int64))


def sim_samples(data: SimData, seed: int, plates: int, size: tuple[int, int]) -> list[Sample]:
    """The first plates of each of `data.surfaces` seeds from `seed` on.  Raises errors.DatasetError for a demo seed."""
    if seed < TRAINING_SEEDS_FROM:
        raise errors.DatasetError(
            f"Simulated seed {seed} is kept for the demo.",
            f"Train and validate on seeds of {TRAINING_SEEDS_FROM} and above.",
        )
    samples = []
    for number in range(seed, seed + data.surfaces):
        surface = Surface(data.frame_width, data.frame_height, number, defect_rate=data.defect_rate)
        for index in range(plates // data.surfaces):
            samples.append(resize(sim_sample(surface.plate(index), f"{number}/{index}"), size))
    return samples


def _load_sim(data: SimData, size: tuple[int, int], train: bool) -> Split:
    samples = sim_samples(data, data.seed, data.plates, size) if train else []
    validation = sim_samples(data, data.validation_seed, data.validation_plates, size)
    return Split(CLASSES, tuple(samples), tuple(validation))
