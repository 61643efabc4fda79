"""What a training came to, as pictures: learning curves, confusion matrix, precision against recall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from edge.quality import plots
from edge.quality.average_precision import Detections, Truth, assign, quality_of, rank

LEARNING, CONFUSION, PRECISION_RECALL = "learning.png", "confusion.png", "precision_recall.png"
CONFUSION_SCORE = 0.3
CONFUSION_IOU = 0.5
_NONE = "nothing"
_PRECISIONS = ("map50", "map")


def write_plots(
    out_dir: Path,
    history: Sequence[Mapping[str, float]],
    found: Sequence[Detections],
    truth: Sequence[Truth],
    classes: Sequence[str],
) -> None:
    """Writes learning.png and, if there are validation pictures, confusion.png and precision_recall.png."""
    learning_curves(out_dir / LEARNING, history)
    if truth:
        confusion_matrix(out_dir / CONFUSION, confusion(found, truth, len(classes)), classes)
        rankings = {cls: rank(found, truth, index) for index, cls in enumerate(classes)}
        quality = quality_of(rankings)
        title = f"Validation, mAP@0.5 {quality.map50:.3f}"
        plots.precision_recall(out_dir / PRECISION_RECALL, rankings, quality.ap50, title)


def learning_curves(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """The parts of the loss and, where it was measured, the validation's average precision, by epoch."""
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    losses, precisions = figure.subplots(1, 2)
    names = [name for name in history[0] if name not in ("epoch", *_PRECISIONS)] if history else []
    for name in names:
        _curve(losses, history, name)
    for name in _PRECISIONS:
        _curve(precisions, history, name)
    losses.set(xlabel="epoch", ylabel="mean over the epoch", yscale="log", title="Loss")
    precisions.set(xlabel="epoch", ylabel="average precision", ylim=(0, 1), title="Validation")
    for axes in (losses, precisions):
        axes.grid(True, alpha=0.3)
        if axes.lines:
            axes.legend(frameon=False)
    figure.savefig(path)


def _curve(axes: Axes, history: Sequence[Mapping[str, float]], name: str) -> None:
    points = [(entry["epoch"], entry[name]) for entry in history if name in entry]
    if points:
        axes.plot(*zip(*points, strict=True), label=name, marker="." if len(points) < 10 else None)


def confusion(
    found: Sequence[Detections], truth: Sequence[Truth], classes: int, score: float = CONFUSION_SCORE
) -> NDArray[np.int64]:
    """(classes + 1, classes + 1): true boxes by row, what found them by column; the last of either is nothing.

    Detections from `score` on are matched to true boxes of any class at IoU 0.5, best score first, each box once.
    """
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    for detections, true in zip(found, truth, strict=True):
        sure = detections.scores >= score
        labels = detections.labels[sure]
        chosen = assign(detections.boxes[sure], true.boxes, (CONFUSION_IOU,))[0]
        hit = chosen >= 0
        missed = np.setdiff1d(np.arange(len(true.labels)), chosen[hit])
        np.add.at(matrix, (true.labels[chosen[hit]], labels[hit]), 1)
        np.add.at(matrix, (classes, labels[~hit]), 1)
        np.add.at(matrix, (true.labels[missed], classes), 1)
    return matrix


def confusion_matrix(path: Path, matrix: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Counts, shaded by their share of the true boxes of a class (of the false detections, in the last row)."""
    names = [*classes, _NONE]
    figure = Figure(figsize=(2.5 + 0.8 * len(names), 2.0 + 0.7 * len(names)), layout="constrained")
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        color = "white" if shares[row, column] > 0.6 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=color)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="found", ylabel="true", title=f"Boxes at score {CONFUSION_SCORE:g}, IoU {CONFUSION_IOU:g}")
    figure.savefig(path)
