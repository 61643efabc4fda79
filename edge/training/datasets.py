"""Training data: a folder on disk, or simulated plates.  Everything is read and checked before training starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge import errors
from edge.dataset import Dataset, Entry, Sample, open_dataset, split
from edge.dataset.leakage import read_groups
from edge.dataset.naming import number
from edge.dataset.problems import Problem
from edge.simulate.options import TRAINING_SEEDS_FROM
from edge.simulate.surface import CLASSES, Plate, Surface
from edge.training.recipe import FolderData, NumberRange, Recipe, SimData

DATASETS_VARIABLE = "EDGE_DATASETS"
DATASETS_DEFAULT = Path("../shared/datasets")


@dataclass(frozen=True)
class Split:
    """Grey samples of the network's size; no validation where the recipe says "none".

    `warnings`: what was found in the folder and can be lived with.
    """

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]
    warnings: tuple[Problem, ...] = ()


def load(recipe: Recipe) -> Split:
    """Both parts of the recipe's data.  Raises errors.DatasetError for data that cannot be trained on."""
    size = (recipe.input.width, recipe.input.height)
    parts = _load_sim(recipe.data, size) if isinstance(recipe.data, SimData) else _load_folder(recipe.data, size)
    _refuse_empty(parts, recipe)
    return parts


def datasets_root() -> Path:
    return Path(os.environ.get(DATASETS_VARIABLE, DATASETS_DEFAULT))


def resize(sample: Sample, size: tuple[int, int]) -> Sample:
    """To `size` (width, height) as the station stages a frame: bilinear, no border, each axis on its own scale."""
    height, width = sample.image.shape
    scale = np.array([size[0] / width, size[1] / height] * 2, np.float32)
    image = np.empty((size[1], size[0]), np.uint8)
    cv2.resize(sample.image, size, dst=image, interpolation=cv2.INTER_LINEAR)
    return Sample(sample.name, image, sample.boxes * scale, sample.labels)


def _load_folder(data: FolderData, size: tuple[int, int]) -> Split:
    folder = datasets_root() / data.folder
    if not folder.is_dir():
        raise errors.DatasetError(
            f"Data set folder {folder} does not exist.",
            f"Set {DATASETS_VARIABLE} to the folder that holds {data.folder!r}.",
        )
    dataset = open_dataset(folder, data.classes, data.kind, data.good)
    if not dataset.boxed:
        raise errors.DatasetError(
            f"{folder} says which pictures show which class, and not where.", "Add masks or boxes to train a detector."
        )
    parts = _split(data, dataset)
    if data.shuffle is not None:
        parts = split.random_like(dataset, parts, data.shuffle)
    return Split(dataset.classes, _read(parts.train, size), _read(parts.validation, size), dataset.warnings)


def _split(data: FolderData, dataset: Dataset) -> split.Split:
    """What to train and to validate on; see `FolderData`."""
    groups = read_groups(Path(data.audit)) if data.audit is not None else ()
    if data.folds is not None and data.fold is not None:
        return split.block_folds(dataset, data.folds, data.gap, groups)[data.fold - 1]
    if isinstance(data.validation, float):
        return split.block_split(dataset, data.validation, data.gap, groups)
    whole = split.whole(dataset).train
    train = _numbered(whole, data.train) if data.train is not None else whole
    validation = _numbered(whole, data.validation) if isinstance(data.validation, tuple) else ()
    used = {entry.name for entry in (*train, *validation)}
    return split.Split(train, validation, tuple(entry for entry in whole if entry.name not in used))


def _numbered(entries: Sequence[Entry], block: NumberRange) -> tuple[Entry, ...]:
    return tuple(e for e in entries if block[0] <= (number(e.name) or 0) <= block[1])


def _read(entries: Sequence[Entry], size: tuple[int, int]) -> tuple[Sample, ...]:
    return tuple(resize(entry.read(grey=True), size) for entry in entries)


def _refuse_empty(loaded: Split, recipe: Recipe) -> None:
    """Raises errors.DatasetError: a class has no box in a part, or a part has no picture; with the counts."""
    parts = {"training": loaded.train}
    if not (isinstance(recipe.data, FolderData) and recipe.data.validation == "none"):
        parts["validation"] = loaded.validation
    lacking = []
    for name, samples in parts.items():
        boxes = np.bincount(
            np.concatenate([np.zeros(0, np.int64), *(s.labels for s in samples)]), minlength=len(loaded.classes)
        )
        if not boxes.all():
            counts = ", ".join(f"{cls} {count}" for cls, count in zip(loaded.classes, boxes, strict=True))
            lacking.append(f"{name} has {len(samples)} pictures with boxes of {counts}")
    if lacking and isinstance(recipe.data, FolderData):
        raise errors.DatasetError(
            f"The data of {recipe.name} is too small: {'; '.join(lacking)}.",
            "Add pictures of the classes without boxes, leave these classes out, or choose other blocks.",
        )


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
    for own in range(seed, seed + data.surfaces):
        surface = Surface(data.frame_width, data.frame_height, own, defect_rate=data.defect_rate)
        for index in range(plates // data.surfaces):
            samples.append(resize(sim_sample(surface.plate(index), f"{own}/{index}"), size))
    return samples


def _load_sim(data: SimData, size: tuple[int, int]) -> Split:
    samples = sim_samples(data, data.seed, data.plates, size)
    validation = sim_samples(data, data.validation_seed, data.validation_plates, size)
    return Split(CLASSES, tuple(samples), tuple(validation))
