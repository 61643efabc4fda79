"""Training recipes: one TOML file, typed, frozen, unknown keys refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge import errors

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Positive = Annotated[float, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
NumberRange = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VocData(_Section):
    """A folder with images/ and annotations/ (Pascal VOC), one `<class>_<number>` file each.

    Blocks are inclusive ranges of numbers; the gap between them keeps overlapping neighbours out of validation.
    """

    kind: Literal["voc"]
    folder: str
    classes: tuple[str, ...] = Field(min_length=1)
    train: NumberRange
    validation: NumberRange

    @model_validator(mode="after")
    def _disjoint(self) -> VocData:
        for first, last in (self.train, self.validation):
            if last < first:
                raise ValueError(f"block [{first}, {last}] is empty; give [first, last]")
        if self.train[1] >= self.validation[0] and self.validation[1] >= self.train[0]:
            raise ValueError(f"train {self.train} and validation {self.validation} overlap; separate them")
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
    width: int = Field(default=96, gt=0)
    head_depth: int = Field(default=2, ge=1)
    short_backbone: bool = False
    pretrained: bool = True
    frozen_stages: int = Field(default=2, ge=0, le=5)


class Augment(_Section):
    """Ranges are [low, high]; `scale` multiplies the picture's size, `shift` is a share of the input's size."""

    flip_horizontal: Probability = 0.5
    flip_vertical: Probability = 0.5
    mosaic: Probability = 0.5
    scale: tuple[float, float] = (0.75, 1.4)
    mosaic_scale: tuple[float, float] = (0.5, 1.1)
    shift: Probability = 0.1
    gain: tuple[float, float] = (0.7, 1.3)
    offset: float = Field(default=25.0, ge=0)
    gamma: tuple[float, float] = (0.75, 1.33)
    noise: float = Field(default=4.0, ge=0)
    plain_epochs: int = Field(default=3, ge=0)


class Schedule(_Section):
    epochs: int = Field(gt=0)
    batch: int = Field(default=16, gt=0)
    learning_rate: float = Field(default=2e-3, gt=0)
    backbone_factor: float = Field(default=0.1, gt=0)
    final_factor: float = Field(default=0.02, gt=0, le=1)
    weight_decay: float = Field(default=0.02, ge=0)
    warmup_epochs: float = Field(default=1.0, ge=0)
    ema_decay: float = Field(default=0.997, gt=0, lt=1)
    clip_norm: float = Field(default=10.0, gt=0)
    threads: int = Field(default=2, ge=1)
    evaluate_every: int = Field(default=1, ge=1)


class Recipe(_Section):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(ge=0)
    input: Input
    data: Annotated[VocData | SimData, Field(discriminator="kind")]
    network: Network = Network()
    augment: Augment = Augment()
    schedule: Schedule


def load_recipe(path: Path) -> Recipe:
    """Reads a recipe.  Raises errors.ConfigError that names file, key and value."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = f"Recipe {path} cannot be read: {error.strerror}."
        raise errors.ConfigError(problem, "Give the path of a recipe.") from error
    except tomllib.TOMLDecodeError as error:
        raise errors.ConfigError(f"Recipe {path} is not TOML: {error}.", "Correct the line named.") from error
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise errors.ConfigError(
            f"Recipe {path}: {key} = {first['input']!r}: {first['msg']}.", "Correct or remove this key."
        ) from error
