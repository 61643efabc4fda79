"""Scores a packaged model on its recipe's validation data, through the prepared graph that stations run.

python -m edge.training.score models/neu-det [--seed 3000000 --plates 4000] [--floor 0.01]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from edge import errors
from edge.core.nms import nms
from edge.engine.base import Engine
from edge.engine.onnxruntime import OnnxRuntimeEngine
from edge.model.package import ModelPackage, load_package
from edge.training import datasets, evaluate
from edge.training.recipe import Recipe, SimData, load_recipe

RECIPE_FILE = "recipe.toml"
THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(2, 19))


@dataclass(frozen=True)
class Rates:
    """At one score threshold: detected / defective and rejected / good plates; box precision and recall at IoU 0.5."""

    threshold: float
    detected: float
    false_rejects: float
    precision: float
    recall: float


def run_package(
    package: ModelPackage, engine: Engine, samples: Sequence[datasets.Sample], floor: float
) -> list[evaluate.Detections]:
    """Detections down to `floor`, with the package's own suppression, of samples of its input's size (mono8)."""
    found = []
    for sample in samples:
        rows = engine.run(sample.image[..., None])
        rows = rows[rows[:, 4] >= floor].copy()
        suppression = package.manifest.nms
        labels = rows[:, 5].astype(np.int64)
        kept = nms(rows[:, :4], rows[:, 4], labels, suppression.iou, suppression.class_aware)
        found.append(evaluate.Detections(rows[kept, :4], rows[kept, 4], labels[kept]))
    return found


def rates(found: Sequence[evaluate.Detections], truth: Sequence[evaluate.Truth], threshold: float) -> Rates:
    """Plate-level and box-level rates; a rate without a denominator is NaN."""
    defective = np.array([len(t.labels) > 0 for t in truth])
    rejected = np.array([bool((d.scores >= threshold).any()) for d in found])
    hits = boxes = 0
    for detections, true in zip(found, truth, strict=True):
        above = detections.scores >= threshold
        boxes += int(above.sum())
        for label in np.unique(true.labels):
            mine = above & (detections.labels == label)
            hits += int(evaluate.match(detections.boxes[mine], true.boxes[true.labels == label], 0.5).sum())
    total = sum(len(t.labels) for t in truth)
    return Rates(
        threshold,
        _ratio(int(rejected[defective].sum()), int(defective.sum())),
        _ratio(int(rejected[~defective].sum()), int((~defective).sum())),
        _ratio(hits, boxes),
        _ratio(hits, total),
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def samples_of(recipe: Recipe, seed: int | None, plates: int | None) -> tuple[datasets.Sample, ...]:
    """The recipe's validation block, or for simulated data the plates of other seeds from `seed` on."""
    if seed is None and plates is None:
        return datasets.load(recipe, train=False).validation
    if not isinstance(recipe.data, SimData):
        raise errors.ConfigError(f"Recipe {recipe.name} has no simulated data.", "Leave --seed and --plates away.")
    size = (recipe.input.width, recipe.input.height)
    start = recipe.data.validation_seed if seed is None else seed
    return tuple(datasets.sim_samples(recipe.data, start, plates or recipe.data.validation_plates, size))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Score a packaged model on held-out data.")
    parser.add_argument("package", type=Path, help="model package with its recipe.toml")
    parser.add_argument("--seed", type=int, help="simulated data: first seed to draw plates from")
    parser.add_argument("--plates", type=int, help="simulated data: how many")
    parser.add_argument("--floor", type=float, default=evaluate.SCORE_FLOOR, help="lowest score that counts")
    options = parser.parse_args(arguments)
    package = load_package(options.package)
    recipe = load_recipe(options.package / RECIPE_FILE)
    samples = samples_of(recipe, options.seed, options.plates)
    truth = [evaluate.Truth(s.boxes, s.labels) for s in samples]
    with OnnxRuntimeEngine(package) as engine:
        found = run_package(package, engine, samples, options.floor)
    _report(package, found, truth)


def _report(package: ModelPackage, found: Sequence[evaluate.Detections], truth: Sequence[evaluate.Truth]) -> None:
    console = Console()
    quality = evaluate.evaluate(found, truth, package.manifest.classes)
    boxes = sum(len(t.labels) for t in truth)
    console.print(f"{package.identity}: {quality.images} pictures, {boxes} boxes")
    console.print(f"mAP@0.5 {quality.map50:.4f}, mAP@0.5:0.95 {quality.map:.4f}")
    console.print("  ".join(f"{cls} {value:.3f}" for cls, value in quality.ap50.items()))
    table = Table("score", "detected", "false rejects", "box precision", "box recall", "F1")
    for row in (rates(found, truth, threshold) for threshold in THRESHOLDS):
        f1 = 2 * row.precision * row.recall / max(row.precision + row.recall, 1e-9)
        values = (row.detected, row.false_rejects, row.precision, row.recall, f1)
        table.add_row(f"{row.threshold:.2f}", *(f"{value:.4f}" for value in values))
    console.print(table)


if __name__ == "__main__":
    main()
