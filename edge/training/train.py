"""The training loop: `train(recipe, out_dir, resume)`."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from edge import errors
from edge.training import datasets, evaluate, network
from edge.training.augment import augmented
from edge.training.loss import detection_loss
from edge.training.recipe import Input, Recipe, Schedule

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "weights.pt"
HISTORY = "history.json"
_EMA_RAMP = 200  # steps over which the average starts to remember


@dataclass
class State:
    """All that a resumed run needs; learning rates and random numbers follow from the epoch."""

    model: network.Detector
    average: network.Detector
    optimiser: torch.optim.AdamW
    steps: int
    history: list[dict[str, Any]]


def build(recipe: Recipe, classes: int) -> network.Detector:
    """The recipe's detector with its initial weights."""
    torch.manual_seed(recipe.seed)
    shape = recipe.network
    model = network.Detector(classes, shape.width, shape.head_depth, shape.short_backbone)
    if shape.pretrained:
        network.load_pretrained(model.backbone)
    model.backbone.freeze(shape.frozen_stages)
    return model


def train(recipe: Recipe, out_dir: Path, resume: bool) -> evaluate.Quality:
    """Trains to the recipe's last epoch; writes checkpoint.pt each epoch, then weights.pt (the average), history.json.

    A resumed run ends as an uninterrupted one does.  Raises errors.DatasetError, ConfigError, MissingExtra.
    """
    console = Console()
    checkpoint = out_dir / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise errors.ConfigError(f"{checkpoint} exists.", "Pass --resume to go on from it, or give another --out.")
    torch.set_num_threads(recipe.schedule.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    split = datasets.load(recipe)
    state = _initial(recipe, len(split.classes), device)
    if checkpoint.exists():
        _restore(state, checkpoint, recipe)
    console.print(
        f"{recipe.name}: {len(split.train)} training and {len(split.validation)} validation pictures, "
        f"{network.parameter_count(state.model):,} parameters, {device.type}"
    )
    out_dir.mkdir(parents=True, exist_ok=True)
    for epoch in range(len(state.history), recipe.schedule.epochs):
        entry = {"epoch": epoch + 1, **_train_epoch(state, recipe, split.train, epoch, console)}
        if _due(recipe.schedule, epoch):
            quality = validate(state.average, split, recipe.input)
            entry |= {"map50": round(quality.map50, 4), "map": round(quality.map, 4)}
        state.history.append(entry)
        _save(state, checkpoint, recipe)
        console.print("  ".join(f"{key} {value}" for key, value in entry.items()))
    quality = validate(state.average, split, recipe.input)
    write_atomically(out_dir / WEIGHTS, state.average.state_dict())
    (out_dir / HISTORY).write_text(json.dumps(state.history, indent=1) + "\n", encoding="utf-8")
    return quality


def _due(schedule: Schedule, epoch: int) -> bool:
    return (epoch + 1) % schedule.evaluate_every == 0


def _initial(recipe: Recipe, classes: int, device: torch.device) -> State:
    model = build(recipe, classes).to(device)
    average = network.Detector(classes, recipe.network.width, recipe.network.head_depth, recipe.network.short_backbone)
    average.load_state_dict(model.state_dict())
    average.to(device).eval()
    for module in (model, average):
        nn.utils.convert_conv2d_weight_memory_format(module, torch.channels_last)
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            pretrained = recipe.network.pretrained and name.startswith("backbone.") and ".extra." not in name
            groups.setdefault((pretrained, parameter.ndim > 1), []).append(parameter)
    schedule = recipe.schedule
    optimiser = torch.optim.AdamW(
        [
            {
                "params": parameters,
                "factor": schedule.backbone_factor if pretrained else 1.0,
                "weight_decay": schedule.weight_decay if matrix else 0.0,
            }
            for (pretrained, matrix), parameters in groups.items()
        ],
        lr=schedule.learning_rate,
    )
    return State(model, average, optimiser, 0, [])


def _train_epoch(
    state: State, recipe: Recipe, samples: Sequence[datasets.Sample], epoch: int, console: Console
) -> dict[str, float]:
    schedule = recipe.schedule
    rng = np.random.default_rng((recipe.seed, epoch))
    torch.manual_seed(recipe.seed + epoch)
    device = next(state.model.parameters()).device
    cells, strides = (t.to(device) for t in network.grid(recipe.input.height, recipe.input.width))
    steps = len(samples) // min(schedule.batch, len(samples))
    sums = np.zeros(4)
    state.model.train()
    batches = _batches(samples, recipe, rng, epoch)
    for images, boxes, labels, valid in track(
        batches, f"epoch {epoch + 1}", steps, console=console, disable=not console.is_terminal
    ):
        rate = learning_rate(schedule, state.steps, steps)
        for group in state.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        with _autocast(device):
            raw = state.model(images.to(device))
        losses = detection_loss(raw, boxes.to(device), labels.to(device), valid.to(device), cells, strides)
        if not torch.isfinite(losses.total):
            raise errors.ConfigError(
                f"The loss of {recipe.name} became {float(losses.total.detach())} in epoch {epoch + 1}.",
                "Lower schedule.learning_rate and start again.",
            )
        state.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(losses.total)
        nn.utils.clip_grad_norm_(state.model.parameters(), schedule.clip_norm)
        state.optimiser.step()
        state.steps += 1
        _update_average(state, schedule.ema_decay)
        sums += [float(part.detach()) for part in losses[:4]]
    names = ("loss", "box", "objectness", "class")
    return {name: round(float(total) / steps, 4) for name, total in zip(names, sums, strict=True)}


def learning_rate(schedule: Schedule, step: int, steps_per_epoch: int) -> float:
    """Linear warm-up, then half a cosine down to `final_factor`."""
    warmup = schedule.warmup_epochs * steps_per_epoch
    total = schedule.epochs * steps_per_epoch
    if step < warmup:
        return schedule.learning_rate * (step + 1) / warmup
    progress = min((step - warmup) / max(total - warmup, 1), 1.0)
    factor = schedule.final_factor + (1 - schedule.final_factor) * (1 + math.cos(math.pi * progress)) / 2
    return schedule.learning_rate * factor


def _autocast(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 where the processor has it, else float32."""
    fast = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    context: AbstractContextManager[object] = torch.autocast(device.type, torch.bfloat16, enabled=fast)
    return context


def _update_average(state: State, decay: float) -> None:
    rate = decay * (1 - math.exp(-state.steps / _EMA_RAMP))
    for mean, value in zip(state.average.state_dict().values(), state.model.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(value, 1 - rate)
        else:
            mean.copy_(value)


def _batches(
    samples: Sequence[datasets.Sample], recipe: Recipe, rng: np.random.Generator, epoch: int
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Images (B, 3, H, W), padded boxes (B, G, 4), labels (B, G), valid (B, G); no incomplete last batch."""
    size = min(recipe.schedule.batch, len(samples))
    mosaic = epoch < recipe.schedule.epochs - recipe.augment.plain_epochs
    order = rng.permutation(len(samples))
    for start in range(0, len(order) - size + 1, size):
        batch = [augmented(int(i), samples, recipe.augment, rng, mosaic) for i in order[start : start + size]]
        most = max(len(s.labels) for s in batch)
        boxes, labels = torch.zeros(size, most, 4), torch.zeros(size, most, dtype=torch.long)
        valid = torch.zeros(size, most, dtype=torch.bool)
        for row, sample in enumerate(batch):
            count = len(sample.labels)
            boxes[row, :count] = torch.from_numpy(sample.boxes)
            labels[row, :count] = torch.from_numpy(sample.labels)
            valid[row, :count] = True
        yield normalise(np.stack([s.image for s in batch]), recipe.input), boxes, labels, valid


def normalise(images: NDArray[np.uint8], target: Input) -> Tensor:
    """Grey (B, H, W) uint8 to the network's input (B, 3, H, W) float32, three equal channels before normalisation."""
    grey = torch.from_numpy(images).float().div_(255).unsqueeze(1)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (target.mean, target.std))
    out = (grey - mean) / std
    return out.contiguous(memory_format=torch.channels_last)


def predict(
    model: network.Detector, samples: Sequence[datasets.Sample], target: Input, batch: int = 16
) -> list[evaluate.Detections]:
    """float32 detections of each sample, down to evaluate.SCORE_FLOOR."""
    model.eval()
    device = next(model.parameters()).device
    found = []
    for start in range(0, len(samples), batch):
        images = normalise(np.stack([s.image for s in samples[start : start + batch]]), target).to(device)
        cells, strides = (t.to(device) for t in network.grid(images.shape[2], images.shape[3]))
        with torch.no_grad():
            raw = model(images)
        boxes = network.decode(raw, cells, strides).cpu().numpy()
        scores = (raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid()).cpu().numpy()
        found += [evaluate.detect(b, s) for b, s in zip(boxes, scores, strict=True)]
    return found


def validate(model: network.Detector, split: datasets.Split, target: Input) -> evaluate.Quality:
    truth = [evaluate.Truth(s.boxes, s.labels) for s in split.validation]
    return evaluate.evaluate(predict(model, split.validation, target), truth, split.classes)


def write_atomically(path: Path, content: object) -> None:
    """torch.save that leaves either the old file or the whole new one, whatever happens."""
    scratch = path.with_suffix(".tmp")
    with scratch.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def _save(state: State, path: Path, recipe: Recipe) -> None:
    write_atomically(
        path,
        {
            "recipe": recipe.model_dump_json(),
            "model": state.model.state_dict(),
            "average": state.average.state_dict(),
            "optimiser": state.optimiser.state_dict(),
            "steps": state.steps,
            "history": state.history,
        },
    )


def _restore(state: State, path: Path, recipe: Recipe) -> None:
    saved = torch.load(path, map_location=next(state.model.parameters()).device, weights_only=True)
    if saved["recipe"] != recipe.model_dump_json():
        problem = f"{path} was made by another recipe."
        raise errors.ConfigError(problem, "Resume with that recipe, or give another --out.")
    state.model.load_state_dict(saved["model"])
    state.average.load_state_dict(saved["average"])
    state.optimiser.load_state_dict(saved["optimiser"])
    state.steps, state.history = saved["steps"], saved["history"]
