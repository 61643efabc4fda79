"""The training loop: `train(recipe, out_dir, resume)`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn

from edge import errors
from edge.dataset import Sample
from edge.dataset.problems import listed
from edge.quality.average_precision import Quality, evaluate
from edge.training import datasets, network
from edge.training.augment import Augmentation, padded
from edge.training.compose import Composer
from edge.training.distill import Teachers, distillation_loss
from edge.training.loss import detection_loss, image_level_loss
from edge.training.plots import write_plots
from edge.training.predict import normalise, predict, to_grey, truth
from edge.training.progress import Progress
from edge.training.recipe import Recipe, Schedule
from edge.training.sampling import epoch_length, epoch_order, repeat_factors
from edge.training.state import CHECKPOINT, HISTORY, WEIGHTS, State, initial, restore, save, write_atomically


class Batch(NamedTuple):
    """images (B, 1, H, W) float32 0..1; boxes (B, G, 4) xyxy px, labels (B, G) and which are valid (B, G)."""

    images: Tensor
    boxes: Tensor
    labels: Tensor
    valid: Tensor


class Course:
    """What every epoch of a training needs and none changes."""

    def __init__(self, recipe: Recipe, samples: Sequence[Sample], device: torch.device) -> None:
        """Raises errors.DatasetError for too few pictures, errors.ConfigError for a teacher that cannot teach."""
        self.recipe = recipe
        self.samples = samples
        self.device = device
        self.augmentation = Augmentation(recipe.augment)
        self.repeats: NDArray[np.float64] = repeat_factors([s.labels for s in samples], recipe.schedule.oversample)
        self.steps = epoch_length(self.repeats) // recipe.schedule.batch
        if self.steps == 0:
            raise errors.DatasetError(
                f"{len(samples)} training pictures of {recipe.name} do not fill one batch of {recipe.schedule.batch}.",
                "Add pictures, or lower schedule.batch.",
            )
        cells, strides = network.grid(recipe.input.height, recipe.input.width)
        self.cells, self.strides = cells.to(device), strides.to(device)
        distill = recipe.distill
        self.teachers = Teachers(distill, recipe, device) if distill else None


def train(recipe: Recipe, out_dir: Path, resume: bool) -> Quality | None:
    """Trains to the recipe's last epoch.  Returns the validation figures; None where the recipe validates on nothing.

    Writes checkpoint.pt each epoch, then weights.pt (the average), history.json and the plots.  On a CPU the recipe,
    its seed and what it starts from or is taught by decide every bit of the weights, and a resumed run ends as an
    uninterrupted one does; a GPU adds up in no fixed order.  Raises errors.DatasetError, ConfigError, MissingExtra.
    """
    console = Console()
    checkpoint = out_dir / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise errors.ConfigError(f"{checkpoint} exists.", "Pass --resume to go on from it, or give another --out.")
    torch.set_num_threads(recipe.schedule.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    split = datasets.load(recipe)
    if split.warnings:
        console.print(f"Warnings:{listed(split.warnings)}", markup=False)
    course = Course(recipe, split.train, device)
    state = initial(recipe, device)
    if checkpoint.exists():
        restore(state, checkpoint, recipe)
    console.print(
        f"{recipe.name}: {len(split.train)} training and {len(split.validation)} validation pictures, "
        f"{network.parameter_count(state.model):,} parameters, {device.type}"
    )
    out_dir.mkdir(parents=True, exist_ok=True)
    with Progress(console, recipe.schedule.epochs, len(state.history), course.steps) as progress:
        for epoch in range(len(state.history), recipe.schedule.epochs):
            entry = {"epoch": epoch + 1, **_train_epoch(state, course, epoch, progress)}
            if split.validation and _due(recipe.schedule, epoch):
                found = predict(state.average, split.validation, recipe.input, recipe.validation)
                quality = evaluate(found, truth(split.validation), split.classes)
                entry |= {"map50": round(quality.map50, 4), "map": round(quality.map, 4)}
            state.history.append(entry)
            save(state, checkpoint, recipe)
            progress.epoch_done(entry)
    write_atomically(out_dir / WEIGHTS, state.average.state_dict())
    (out_dir / HISTORY).write_text(json.dumps(state.history, indent=1) + "\n", encoding="utf-8")
    found = predict(state.average, split.validation, recipe.input, recipe.validation)
    true = truth(split.validation)
    write_plots(out_dir, state.history, found, true, split.classes)
    return evaluate(found, true, split.classes) if split.validation else None


def _due(schedule: Schedule, epoch: int) -> bool:
    return (epoch + 1) % schedule.evaluate_every == 0


def _train_epoch(state: State, course: Course, epoch: int, progress: Progress) -> dict[str, float]:
    """One epoch; the mean of each part of the loss, by name."""
    recipe = course.recipe
    torch.manual_seed(recipe.seed + epoch)
    sums: dict[str, float] = {}
    state.model.train()
    for batch in _batches(course, epoch):
        rate = learning_rate(recipe.schedule, state.steps, course.steps)
        for group in state.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        parts = _losses(state, course, batch)
        total = parts["loss"]
        if not torch.isfinite(total):
            raise errors.ConfigError(
                f"The loss of {recipe.name} became {float(total.detach())} in epoch {epoch + 1}.",
                "Lower schedule.learning_rate and start again.",
            )
        state.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        nn.utils.clip_grad_norm_(state.learning, recipe.schedule.clip_norm)
        state.optimiser.step()
        state.steps += 1
        state.update_average(recipe.schedule.ema_decay)
        for name, part in parts.items():
            sums[name] = sums.get(name, 0.0) + float(part.detach())
        progress.step_done()
    return {name: round(value / course.steps, 4) for name, value in sums.items()}


def _losses(state: State, course: Course, batch: Batch) -> dict[str, Tensor]:
    """The loss of a batch under "loss", then its parts; one that the recipe does not ask for is absent."""
    recipe, cells, strides = course.recipe, course.cells, course.strides
    images = normalise(batch.images, recipe.input)
    with network.autocast(course.device):
        features = state.model.backbone(images)
        raw = state.model.answer(features)
    hard = detection_loss(raw, batch.boxes, batch.labels, batch.valid, cells, strides, recipe.loss)
    total = hard.total
    parts = {"box": hard.box, "objectness": hard.objectness, "class": hard.classes}
    if course.teachers and recipe.distill:
        soft = course.teachers(images, cells, strides)
        parts["teachers"] = distillation_loss(raw, soft, cells, strides, recipe.loss)
        total = total.lerp(parts["teachers"], recipe.distill.weight)
    if state.image_head:
        parts["image"] = image_level_loss(state.image_head(features[2].float()), batch.labels, batch.valid)
        total = total + recipe.loss.image_level * parts["image"]
    return {"loss": total, **parts}


def learning_rate(schedule: Schedule, step: int, steps_per_epoch: int) -> float:
    """Linear warm-up, then half a cosine down to `final_factor`."""
    warmup = schedule.warmup_epochs * steps_per_epoch
    total = schedule.epochs * steps_per_epoch
    if step < warmup:
        return schedule.learning_rate * (step + 1) / warmup
    progress = min((step - warmup) / max(total - warmup, 1), 1.0)
    factor = schedule.final_factor + (1 - schedule.final_factor) * (1 + math.cos(math.pi * progress)) / 2
    return schedule.learning_rate * factor


def _batches(course: Course, epoch: int) -> Iterator[Batch]:
    """The epoch's batches on the device, augmented; no incomplete last one.

    Each picture is composed from a generator of its own, so that what it becomes does not hang on those before it.
    """
    recipe = course.recipe
    config = recipe.augment
    if epoch >= recipe.schedule.epochs - config.plain_epochs:
        config = config.model_copy(update={"mosaic": 0.0, "copy_paste": 0.0, "mixup": 0.0})
    composer = Composer(course.samples, config)
    order = epoch_order(course.repeats, np.random.default_rng((recipe.seed, epoch)))
    for step in range(course.steps):
        places = range(step * recipe.schedule.batch, (step + 1) * recipe.schedule.batch)
        composed = [
            composer.compose(int(order[place]), np.random.default_rng((recipe.seed, epoch, place))) for place in places
        ]
        boxes, labels, valid = padded(
            [torch.from_numpy(s.boxes) for s in composed], [torch.from_numpy(s.labels) for s in composed]
        )
        images, boxes, valid = course.augmentation(
            to_grey(composed, course.device), boxes.to(course.device), valid.to(course.device)
        )
        yield Batch(images, boxes, labels.to(course.device), valid)
