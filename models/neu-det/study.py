"""Where a finished training loses, and what else it could be read with: figures of the model card.

    EDGE_DATASETS=FOLDER python models/neu-det/study.py out/neu-det-distilled

Prints mAP@0.5 on the recipe's validation pictures: by how boxes vote, at other sizes of the input, with the answers for
the four mirrored pictures joined, and with errors of one kind taken away.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from edge.dataset import Sample
from edge.quality.average_precision import Detections, Truth, evaluate
from edge.training import datasets, network
from edge.training.predict import detections, normalise, predict, to_grey, truth
from edge.training.recipe import Input, Recipe
from edge.training.state import CHECKPOINT, finished

Floats = NDArray[np.float32]
MIRRORS: tuple[tuple[int, ...], ...] = ((), (3,), (2,), (2, 3))
NEAR, APART = 0.1, 0.1
"""IoU from which a finding is meant for a defect, and below which it lies on clean ground."""


class Study(NamedTuple):
    """A network, what it is read with, and the pictures it is judged by."""

    model: network.Detector
    recipe: Recipe
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    true: list[Truth]

    def score(self, found: Sequence[Detections]) -> float:
        return evaluate(list(found), self.true, self.classes).map50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("training", type=Path, help="folder that edge train wrote")
    folder = parser.parse_args().training
    recipe = Recipe.model_validate_json(torch.load(folder / CHECKPOINT, weights_only=True)["recipe"])
    model = finished(folder, recipe, "training").eval()
    torch.set_num_threads(recipe.schedule.threads)
    base = _study(model, recipe)
    for vote in (None, 0.5, 0.6, 0.7):
        how = recipe.validation.model_copy(update={"vote": vote})
        print(f"{'without voting' if vote is None else f'voting above {vote}':32}", end="")
        print(f"{base.score(predict(model, base.samples, recipe.input, how)):.4f}")
    for side in (224, 288, 320):
        other = _study(model, recipe.model_copy(update={"input": _sized(recipe.input, side)}))
        found = predict(model, other.samples, other.recipe.input, recipe.validation)
        print(f"{f'{side} px, not trained for':32}{other.score(found):.4f}")
    print(f"{'four mirrored answers joined':32}{base.score(_mirrored(base)):.4f}")
    found = predict(model, base.samples, recipe.input, recipe.validation)
    placed = [_placed(f, t) for f, t in zip(found, base.true, strict=True)]
    print(f"{'each near box put in its place':32}{base.score(placed):.4f}")
    clean = [_without_ground(f, t) for f, t in zip(found, base.true, strict=True)]
    print(f"{'without findings on clean ground':32}{base.score(clean):.4f}")


def _study(model: network.Detector, recipe: Recipe) -> Study:
    split = datasets.load(recipe)
    return Study(model, recipe, split.classes, split.validation, truth(split.validation))


def _sized(target: Input, side: int) -> Input:
    return target.model_copy(update={"width": side, "height": side})


def _mirrored(study: Study) -> list[Detections]:
    """Candidates of the four mirrored pictures, put back, in one suppression and vote."""
    return [found for at in range(0, len(study.samples), 16) for found in _batch(study, study.samples[at : at + 16])]


def _batch(study: Study, samples: Sequence[Sample]) -> list[Detections]:
    target, validation = study.recipe.input, study.recipe.validation
    images = normalise(to_grey(samples, torch.device("cpu")), target)
    cells, strides = network.grid(target.height, target.width)
    boxes, scores = [], []
    for mirror in MIRRORS:
        with torch.no_grad():
            raw = study.model(images.flip(mirror))
        found = network.decode(raw, cells, strides).numpy().copy()
        for axis in mirror:
            low, size = (0, target.width) if axis == 3 else (1, target.height)
            found[..., [low, low + 2]] = size - found[..., [low + 2, low]]
        boxes.append(found)
        scores.append((raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid()).numpy())
    pairs = zip(np.concatenate(boxes, 1), np.concatenate(scores, 1), strict=True)
    return [detections(b, s, target, validation) for b, s in pairs]


def _placed(found: Detections, true: Truth) -> Detections:
    """Each box near a defect of its class, and not on one yet, put on it; a second one for a defect is dropped."""
    boxes, keep, taken = found.boxes.copy(), np.ones(len(found.boxes), bool), set[int]()
    for at in np.argsort(-found.scores, kind="stable"):
        overlap = np.where(true.labels == found.labels[at], _iou(found.boxes[at], true.boxes), 0.0)
        if not len(overlap) or overlap.max() < NEAR:
            continue
        best = int(overlap.argmax())
        if overlap[best] < 0.5:
            keep[at] = best not in taken
            boxes[at] = true.boxes[best]
        taken.add(best)
    return Detections(boxes[keep], found.scores[keep], found.labels[keep])


def _without_ground(found: Detections, true: Truth) -> Detections:
    near = [len(true.boxes) > 0 and float(_iou(box, true.boxes).max()) >= APART for box in found.boxes]
    keep = np.array(near, bool)
    return Detections(found.boxes[keep], found.scores[keep], found.labels[keep])


def _iou(box: Floats, others: Floats) -> Floats:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    inner = np.clip(high - low, 0, None).prod(axis=1)
    whole = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - inner
    return np.asarray(inner / whole, np.float32)


if __name__ == "__main__":
    main()
