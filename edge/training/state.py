"""The state of a training, and its checkpoints."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edge import errors
from edge.training import network
from edge.training.recipe import FolderData, Network, Recipe, SimData

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "weights.pt"
HISTORY = "history.json"
_EMA_RAMP = 200  # steps over which the average starts to remember


@dataclass
class State:
    """All that a resumed run needs; learning rates and random numbers follow from the epoch."""

    model: network.Detector
    average: network.Detector
    image_head: network.ImageHead | None
    optimiser: torch.optim.AdamW
    steps: int
    history: list[dict[str, Any]]

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def learning(self) -> list[Tensor]:
        """The parameters that are not frozen, the image-level head's among them."""
        return [parameter for group in self.optimiser.param_groups for parameter in group["params"]]

    def update_average(self, decay: float) -> None:
        """Moves the exponential moving average on by one step; a decay of 0 makes it the model."""
        rate = decay * (1 - math.exp(-self.steps / _EMA_RAMP))
        for mean, value in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1 - rate)
            else:
                mean.copy_(value)


def build(recipe: Recipe) -> network.Detector:
    """The recipe's detector with its initial weights.  Raises errors.ConfigError for a start that does not fit."""
    torch.manual_seed(recipe.seed)
    shape = recipe.network
    model = network.build(shape, len(recipe.classes))
    if shape.start is not None:
        _start_from(Path(shape.start), model, recipe)
    elif shape.pretrained:
        network.load_pretrained(model.backbone)
    model.backbone.freeze(shape.frozen_stages)
    return model


def _start_from(folder: Path, model: network.Detector, recipe: Recipe) -> None:
    try:
        model.load_state_dict(finished(folder, recipe, "network.start").state_dict())
    except RuntimeError as error:
        raise errors.ConfigError(
            f"network.start {folder} holds another network ({str(error).splitlines()[0]}).",
            "Give the same backbone, short_backbone, width and head_depth.",
        ) from error


def finished(folder: Path, recipe: Recipe, key: str) -> network.Detector:
    """The detector that a finished training left in its folder, which `key` of `recipe` names.

    Raises errors.ConfigError where there is none, or one of other classes, or one that may have seen what `recipe`
    validates on: its figures would flatter.
    """
    for name in (CHECKPOINT, WEIGHTS):
        if not (folder / name).is_file():
            raise errors.ConfigError(f"{key}: {folder} has no {name}.", "Give the folder of a finished training.")
    saved = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)
    earlier = Recipe.model_validate_json(saved["recipe"])
    if earlier.classes != recipe.classes:
        raise errors.ConfigError(
            f"{key}: {folder} knows the classes {list(earlier.classes)}, and the recipe has {list(recipe.classes)}.",
            "Give a training of the same classes in the same order.",
        )
    _refuse_seen(earlier.data, recipe.data, f"{key}: {folder}")
    model = network.build(earlier.network, len(earlier.classes))
    model.load_state_dict(torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True))
    return model


def _refuse_seen(earlier: FolderData | SimData, data: FolderData | SimData, what: str) -> None:
    """Raises errors.ConfigError: `what`, trained on `earlier`, may have seen pictures that `data` validates on.

    Audits are taken for equal: their paths say nothing.
    """
    if not isinstance(earlier, FolderData) or not isinstance(data, FolderData) or data.validation == "none":
        return
    if earlier.folder == data.folder and earlier.model_dump(exclude={"audit"}) != data.model_dump(exclude={"audit"}):
        raise errors.ConfigError(
            f"{what} was trained on another part of {data.folder!r}, and may have seen what this recipe validates on.",
            'Give a training of the same split, or validate on nothing (validation = "none").',
        )


def initial(recipe: Recipe, device: torch.device) -> State:
    """The state before the first step."""
    model = build(recipe).to(device)
    average = network.build(recipe.network, len(recipe.classes))
    average.load_state_dict(model.state_dict())
    average.to(device).eval()
    for module in (model, average):
        nn.utils.convert_conv2d_weight_memory_format(module, torch.channels_last)
    head = None
    if recipe.loss.image_level:
        head = network.ImageHead(model.backbone.channels[-1], len(recipe.classes)).to(device)
    return State(model, average, head, _optimiser(recipe, model, head), 0, [])


def _optimiser(recipe: Recipe, model: network.Detector, head: network.ImageHead | None) -> torch.optim.AdamW:
    """A backbone trained before learns at its own rate; biases and normalisation do not decay."""
    named = [*model.named_parameters(), *(head.named_parameters("image_head") if head else ())]
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            groups.setdefault((_trained_before(recipe.network, name), parameter.ndim > 1), []).append(parameter)
    schedule = recipe.schedule
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "factor": schedule.backbone_factor if before else 1.0,
                "weight_decay": schedule.weight_decay if matrix else 0.0,
            }
            for (before, matrix), parameters in groups.items()
        ],
        lr=schedule.learning_rate,
    )


def _trained_before(shape: Network, name: str) -> bool:
    if not name.startswith("backbone."):
        return False
    return shape.start is not None or (shape.pretrained and ".extra." not in name)


def save(state: State, path: Path, recipe: Recipe) -> None:
    write_atomically(
        path,
        {
            "recipe": recipe.model_dump_json(),
            "model": state.model.state_dict(),
            "average": state.average.state_dict(),
            "image_head": state.image_head.state_dict() if state.image_head else None,
            "optimiser": state.optimiser.state_dict(),
            "steps": state.steps,
            "history": state.history,
        },
    )


def restore(state: State, path: Path, recipe: Recipe) -> None:
    """Raises errors.ConfigError for a checkpoint of another recipe."""
    saved = torch.load(path, map_location=state.device, weights_only=True)
    if Recipe.model_validate_json(saved["recipe"]) != recipe:
        problem = f"{path} was made by another recipe."
        raise errors.ConfigError(problem, "Resume with that recipe, or give another --out.")
    state.model.load_state_dict(saved["model"])
    state.average.load_state_dict(saved["average"])
    if state.image_head:
        state.image_head.load_state_dict(saved["image_head"])
    state.optimiser.load_state_dict(saved["optimiser"])
    state.steps, state.history = saved["steps"], saved["history"]


def write_atomically(path: Path, content: object) -> None:
    """torch.save that leaves either the old file or the whole new one, whatever happens."""
    scratch = path.with_suffix(".tmp")
    with scratch.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
