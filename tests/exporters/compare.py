"""Compare prepared graphs with the frameworks' own decoding and suppression; run by check.py in its environment."""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.core.nms import iou_matrix, nms
from edge.engine.onnxruntime import OnnxRuntimeEngine
from edge.model.package import MODEL_FILE, Manifest, ModelPackage, Nms
from edge.model.prepare import PrepareSpec, prepare_graph
from tests.exporters.networks import HEIGHT, NAMES, WIDTH, Detections, Exported, Image, Network, made_up_image, networks

BOX_PX, SCORE = 1.0, 1e-3  # what may be off
SURVIVORS = 50  # and how many there must be
OVERLAPS = 0.4, 0.7  # between these is the largest overlap that both of two detections survive
RANKS = slice(150, 290)  # which of the best is the last: YOLOv7 returns at most 300

COUNTS = "theirs / ours / alike"
HEADER = (
    f"| network | framework | family | score above | IoU | before suppression: {COUNTS} | box, px | score "
    f"| after: {COUNTS} | box, px | score | result |"
)


@dataclass(frozen=True)
class Difference:
    """Two lists of detections: how many there are, how many found their like, and how far these are apart."""

    framework: int
    ours: int
    matched: int
    box_px: float
    score: float

    @property
    def fine(self) -> bool:
        """All have their like, and there are enough."""
        return self.framework == self.ours == self.matched >= SURVIVORS


def widest_gap(values: NDArray[np.float64]) -> float:
    """Return the middle of the widest gap between ``values``: a threshold across which rounding moves none."""
    ranked = np.sort(values)
    gap = int(np.diff(ranked).argmax())
    return float(ranked[gap] + ranked[gap + 1]) / 2


def thresholds(exported: Exported, image: Image) -> tuple[float, float]:
    """Return a score and an overlap at which rounding decides nothing."""
    every = exported.detect(image, 0.0, 1.0)
    score = widest_gap(np.sort(every[:, 4])[::-1][RANKS])
    found = exported.detect(image, score, 1.0)
    pairs = np.triu(found[:, None, 5] == found[None, :, 5], 1)
    boxes = found[:, :4].astype(np.float32)
    overlaps = iou_matrix(boxes, boxes)[pairs]
    return score, widest_gap(overlaps[(overlaps > OVERLAPS[0]) & (overlaps < OVERLAPS[1])].astype(np.float64))


def difference(theirs: Detections, ours: NDArray[np.float32]) -> Difference:
    """Find for each of the framework's detections one of ours, one to one: nearest of its class first."""
    free = list(range(len(ours)))
    box_px, score, matched = 0.0, 0.0, 0
    for row in theirs[np.argsort(-theirs[:, 4], kind="stable")]:
        if not free:
            break
        off = np.abs(ours[free] - row)
        distance = np.maximum(off[:, :4].max(axis=1) / BOX_PX, off[:, 4] / SCORE) + 1e9 * (off[:, 5] != 0)
        nearest = int(distance.argmin())
        if distance[nearest] <= 1.0:
            box_px = max(box_px, float(off[nearest, :4].max()))
            score = max(score, float(off[nearest, 4]))
            matched += 1
            free.pop(nearest)
    return Difference(len(theirs), len(ours), matched, box_px, score)


def spec_of(network: Network, exported: Exported, overlap: float) -> PrepareSpec:
    """Say of an export what it does not say itself, and no more."""
    fields: dict[str, object] = {
        "name": network.name.replace(" ", "-"),
        "version": "1",
        "input": {"width": WIDTH, "height": HEIGHT, "color": "bgr8"},
        "output": {"candidates": 300},
        "licences": dict.fromkeys(("weights", "training_code", "pretraining", "data"), "none: random weights"),
    }
    if exported.suppresses:
        fields["nms"] = Nms(iou=overlap)
    return PrepareSpec.model_validate(fields | exported.told)


def package_of(export: Path, spec: PrepareSpec, folder: Path) -> ModelPackage:
    """Return a package without golden outputs, whose search would take most of the time."""
    graph, fields = prepare_graph(export, spec)
    folder.mkdir()
    (folder / MODEL_FILE).write_bytes(graph)
    return ModelPackage(folder, Manifest(**fields, files={MODEL_FILE: hashlib.sha256(graph).hexdigest()}))


def ours(package: ModelPackage, image: Image, score: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what the prepared graph finds above the threshold, before and after our suppression."""
    with OnnxRuntimeEngine(package) as engine:
        candidates = engine.run(image)
        before = candidates[candidates[:, 4] > score]
    settings = package.manifest.nms
    kept = nms(before[:, :4], before[:, 4], before[:, 5].astype(np.intp), settings.iou, settings.class_aware)
    return before, before[kept]


def compared(network: Network, folder: Path) -> tuple[float, float, Difference, Difference]:
    """Export, prepare and run a network: score and overlap chosen, differences before and after suppression."""
    exported = network.export()
    image = made_up_image(5)
    score, overlap = thresholds(exported, image)
    package = package_of(exported.path, spec_of(network, exported, overlap), folder / network.name)
    if (package.manifest.family, package.manifest.classes) != (network.family, NAMES):
        raise ValueError(f"it was taken for {package.manifest.family} with classes {package.manifest.classes}")
    before, after = ours(package, image, score)
    return (
        score,
        overlap,
        difference(exported.detect(image, score, 1.0), before),
        difference(exported.detect(image, score, overlap), after),
    )


def row(network: Network, folder: Path) -> tuple[str, bool]:
    """Compare a network and return its row of the table, and whether all is fine."""
    start = f"| {network.name} | {network.framework} | {network.family}"
    try:
        score, overlap, *both = compared(network, folder)
    except Exception:  # noqa: BLE001 (one network's failure must not hide the others')
        traceback.print_exc()
        return f"{start} | FAILED, see above |", False
    cells = [f"{d.framework} / {d.ours} / {d.matched} | {d.box_px:.5f} | {d.score:.7f}" for d in both]
    fine = all(d.fine for d in both)
    return f"{start} | {score:.3f} | {overlap:.3f} | {' | '.join(cells)} | {'equal' if fine else 'OFF'} |", fine


def main() -> int:
    """Compare all networks of the frameworks named, print a table, and return 1 where anything is off."""
    parser = argparse.ArgumentParser()
    parser.add_argument("frameworks", nargs="*")
    parser.add_argument("--only", action="append", default=[])
    arguments = parser.parse_args()
    wanted = [n for n in networks(arguments.frameworks) if any(part in n.name for part in arguments.only or [""])]
    with tempfile.TemporaryDirectory() as folder:
        rows = [row(network, Path(folder)) for network in wanted]
    print(HEADER)
    print("|" + "---|" * (HEADER.count("|") - 1))
    print("\n".join(text for text, _ in rows))
    return int(not rows or not all(fine for _, fine in rows))


if __name__ == "__main__":
    sys.exit(main())
