"""Training recipes: one TOML file, typed, frozen, unknown keys refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge import errors
from edge.dataset.folders import GOOD_NAMES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Positive = Annotated[float, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
NumberRange = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


def _ascending(limits: tuple[float, float]) -> tuple[float, float]:
    if not 0 < limits[0] <= limits[1]:
        raise ValueError(f"[{limits[0]:g}, {limits[1]:g}] is no range of positive numbers; give [low, high]")
    return limits


Range = Annotated[tuple[float, float], AfterValidator(_ascending)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FolderData(_Section):
    """A data set on disk, below the folder named by EDGE_DATASETS, in one of the formats of `edge.dataset`.

    What is validated on, one of:

    - `train` and `validation` as inclusive ranges of the numbers that end the pictures' names (`<class>_<number>`);
      the numbers between them are left out, as neighbours may be overlapping crops of one surface;
    - `validation = 0.2`: the last block of each class, that share of it;
    - `folds = k` and `fold = n`, 1 to k: the n-th of k blocks of each class;
    - `validation = "none"`: nothing; every picture (of the range `train`, if given) is trained on.

    `gap` pictures are left out at each border of a share or fold, and pictures that overlap according to `audit`, a
    JSON file of `edge dataset audit`, stay in one part.  `shuffle` is the seed of a random split into parts of the
    same sizes instead: overlapping pictures flatter its figures, and by how much is all that it is good for.

    `good` names the folders of defect-free pictures in a folder of classes.
    """

    kind: Literal["voc", "coco", "yolo", "folders"]
    folder: str
    classes: tuple[str, ...] = Field(min_length=1)
    train: NumberRange | None = None
    validation: NumberRange | Share | Literal["none"] | None = None
    folds: int | None = Field(default=None, ge=2)
    fold: int | None = Field(default=None, ge=1)
    gap: int = Field(default=5, ge=0)
    audit: str | None = None
    shuffle: int | None = Field(default=None, ge=0)
    good: tuple[str, ...] = GOOD_NAMES

    @model_validator(mode="after")
    def _one_split(self) -> FolderData:
        ranges = isinstance(self.validation, tuple)
        if self.folds is not None or self.fold is not None:
            if self.folds is None or self.fold is None or self.fold > self.folds:
                raise ValueError(f"folds = {self.folds} and fold = {self.fold}; give both, fold from 1 to folds")
            if self.validation is not None or self.train is not None:
                raise ValueError("folds say what is trained and validated on; remove train and validation")
        elif self.validation is None:
            raise ValueError('nothing says what is validated on; give validation, or folds and fold, or "none"')
        elif ranges != (self.train is not None) and self.validation != "none":
            raise ValueError("number ranges come in pairs; give both train and validation as [first, last]")
        if self.audit is not None and self.folds is None and not isinstance(self.validation, float):
            raise ValueError("audit needs folds, or validation as a share: ranges and everything are taken as they are")
        return self

    @model_validator(mode="after")
    def _good_of_folders(self) -> FolderData:
        if self.good != GOOD_NAMES and self.kind != "folders":  # a checkpoint's recipe names every key
            raise ValueError(f'good is for kind = "folders"; {self.kind} annotates defect-free pictures itself')
        if self.kind == "folders" and set(self.good) & set(self.classes):
            raise ValueError(f"{sorted(set(self.good) & set(self.classes))} cannot be classes and good at once")
        return self

    @model_validator(mode="after")
    def _disjoint(self) -> FolderData:
        for block in (self.train, self.validation):
            if isinstance(block, tuple) and block[1] < block[0]:
                raise ValueError(f"block [{block[0]}, {block[1]}] is empty; give [first, last]")
        train, validation = self.train, self.validation
        if train and isinstance(validation, tuple) and train[1] >= validation[0] and validation[1] >= train[0]:
            raise ValueError(f"train {train} and validation {validation} overlap; separate them")
        return self


class SimData(_Section):
    """Simulated plates (`edge.simulate.surface`), resized to the network's input as the station does.

    Plates come in equal shares from `surfaces` consecutive seeds, from `seed` (validation: `validation_seed`) on.
    """

    kind: Literal["sim"]
    frame_width: int = Field(default=640, gt=0)
    frame_height: int = Field(default=512, gt=0)
    surfaces: int = Field(default=1, gt=0)
    seed: int
    plates: int = Field(gt=0)
    validation_seed: int
    validation_plates: int = Field(gt=0)
    defect_rate: Probability = 0.6

    @model_validator(mode="after")
    def _consistent(self) -> SimData:
        if abs(self.seed - self.validation_seed) < self.surfaces:
            raise ValueError(f"seeds {self.seed} and {self.validation_seed} share surfaces; move validation_seed")
        if self.plates % self.surfaces or self.validation_plates % self.surfaces:
            raise ValueError(f"plates and validation_plates must be multiples of surfaces = {self.surfaces}")
        return self


class Input(_Section):
    """The network's input: sides in px, multiples of the coarsest stride; pixels become (p / 255 - mean) / std, in RGB.

    EfficientNet-Lite was pretrained on pixels in -1..1, hence the default.
    """

    width: int = Field(gt=0, multiple_of=32)
    height: int = Field(gt=0, multiple_of=32)
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[Positive, Positive, Positive] = (0.5, 0.5, 0.5)


class Network(_Section):
    """`frozen_stages` of the backbone keep their weights and statistics.

    What it starts from: `start`, the folder of a finished training of the same network and classes, or else a backbone
    `pretrained` on ImageNet.
    """

    backbone: Literal["lite0", "lite1"] = "lite0"
    width: int = Field(default=96, gt=0)
    head_depth: int = Field(default=2, ge=1)
    short_backbone: bool = False
    pretrained: bool = True
    frozen_stages: int = Field(default=2, ge=0, le=5)
    start: str | None = None


class Augment(_Section):
    """How a picture is varied.  Ranges are [low, high]; without a word to the contrary a probability is a picture's.

    First a picture is composed: `mosaic` of four, each at a `mosaic_scale`; `copy_paste` of up to `paste_count` defects
    cut from other pictures, which hold the same classes unless `paste_any`; `mixup` with a second picture.  The last
    `plain_epochs` leave this out.

    Then it is placed: flips, turns by 90 degrees (`turn`; square inputs only), up to `rotate` degrees, `scale` times
    its size, up to `shift` of its size to each side.  Then it is lit: contrast times `gain` about the picture's mean,
    up to `offset` grey levels more or less, to the power `gamma` (of 0..1), and on every second picture normal noise
    with a standard deviation of `noise` grey levels.
    """

    mosaic: Probability = 0.5
    mosaic_scale: Range = (0.5, 1.1)
    copy_paste: Probability = 0.0
    paste_count: int = Field(default=3, ge=1)
    paste_any: bool = False
    mixup: Probability = 0.0
    plain_epochs: int = Field(default=3, ge=0)
    flip_horizontal: Probability = 0.5
    flip_vertical: Probability = 0.5
    turn: Probability = 0.0
    rotate: float = Field(default=0.0, ge=0, le=45)
    scale: Range = (0.75, 1.4)
    shift: Probability = 0.1
    gain: Range = (0.7, 1.3)
    offset: float = Field(default=25.0, ge=0)
    gamma: Range = (0.75, 1.33)
    noise: float = Field(default=4.0, ge=0)


class Loss(_Section):
    """Weights of the parts of the loss, and the exponents of focal loss (0 = plain cross-entropy).

    image_level: weight of the auxiliary loss that asks of the whole picture which classes it shows; 0 = without.
    """

    box: float = Field(default=5.0, gt=0)
    objectness_gamma: float = Field(default=0.0, ge=0)
    class_gamma: float = Field(default=0.0, ge=0)
    image_level: float = Field(default=0.0, ge=0)


class Distill(_Section):
    """Soft targets: the mean answer of finished trainings, each a folder that `edge train` wrote.

    The loss is (1 - weight) times that of the labels plus weight times that of the teachers (Hinton et al. 2015).
    `mirrored`: each teacher also answers for the picture mirrored along x, along y and along both.
    """

    teachers: tuple[str, ...] = Field(min_length=1)
    weight: Probability = 0.5
    mirrored: bool = False


class Validation(_Section):
    """How detections are made for the figures: `iou` and `vote` as `nms` of the package's manifest will have them."""

    iou: Share = 0.5
    vote: Share | None = None


class Schedule(_Section):
    """`oversample`: pictures with a class that fewer than this share of the pictures show are repeated; 0 = none."""

    epochs: int = Field(gt=0)
    batch: int = Field(default=16, gt=0)
    oversample: Probability = 0.0
    learning_rate: float = Field(default=2e-3, gt=0)
    backbone_factor: float = Field(default=0.1, gt=0)
    final_factor: float = Field(default=0.02, gt=0, le=1)
    weight_decay: float = Field(default=0.02, ge=0)
    warmup_epochs: float = Field(default=1.0, ge=0)
    ema_decay: float = Field(default=0.997, ge=0, lt=1)  # 0 = no averaging
    clip_norm: float = Field(default=10.0, gt=0)
    threads: int = Field(default=2, ge=1)
    evaluate_every: int = Field(default=1, ge=1)


class Recipe(_Section):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(ge=0)
    input: Input
    data: Annotated[FolderData | SimData, Field(discriminator="kind")]
    network: Network = Network()
    augment: Augment = Augment()
    loss: Loss = Loss()
    distill: Distill | None = None
    schedule: Schedule
    validation: Validation = Validation()

    @property
    def classes(self) -> tuple[str, ...]:
        if isinstance(self.data, FolderData):
            return self.data.classes
        from edge.simulate.surface import CLASSES

        return CLASSES

    @model_validator(mode="after")
    def _square_if_turned(self) -> Recipe:
        if self.augment.turn and self.input.width != self.input.height:
            raise ValueError(f"augment.turn needs a square input, not {self.input.width} x {self.input.height}")
        return self


def load_recipe(path: Path) -> Recipe:
    """Reads a recipe; its paths start at its own folder.  Raises errors.ConfigError that names file, key and value."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = f"Recipe {path} cannot be read: {error.strerror}."
        raise errors.ConfigError(problem, "Give the path of a recipe.") from error
    except tomllib.TOMLDecodeError as error:
        raise errors.ConfigError(f"Recipe {path} is not TOML: {error}.", "Correct the line named.") from error
    try:
        return _beside(path.parent, Recipe.model_validate(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise errors.ConfigError(
            f"Recipe {path}: {key} = {first['input']!r}: {first['msg']}.", "Correct or remove this key."
        ) from error


def _beside(folder: Path, recipe: Recipe) -> Recipe:
    """The recipe with its relative paths put behind `folder`."""
    data, distill, network = recipe.data, recipe.distill, recipe.network
    if isinstance(data, FolderData) and data.audit is not None:
        data = data.model_copy(update={"audit": str(folder / data.audit)})
    if distill is not None:
        distill = distill.model_copy(update={"teachers": tuple(str(folder / teacher) for teacher in distill.teachers)})
    if network.start is not None:
        network = network.model_copy(update={"start": str(folder / network.start)})
    return recipe.model_copy(update={"data": data, "distill": distill, "network": network})
