"""Which golden frames a package gets: synthetic ones that make its network show every class, on both sides of its
thresholds.

A fault of one class shows only where that class is found, and a fault of a threshold's neighbourhood only there.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from edge.engine.base import Engine
from edge.errors import ModelError
from edge.model.golden import Seeds, collage, golden_bytes
from edge.model.package import Manifest, ModelPackage

SEARCHED = 96  # single seeds looked at
CLIMB = 120  # further looks for a class and side that none of them shows
CLIMBS = 600  # and for all of these together
BEAM = 4  # frames that are tried in turn to build on
LAYERS = 6  # most seeds of one frame
LEAST_KEPT, MOST_KEPT = 6, 12  # frames of a package: more than the least only for a class or side not yet shown

SIDES = ("above", "below")
"""Of the recommended score: at or above it, and from ``candidate_floor`` up to it."""


def sides(candidates: NDArray[np.float32], manifest: Manifest) -> NDArray[np.int64]:
    """Count the candidates, (..., K, 6), of each class on each of ``SIDES``: (classes, 2)."""
    rows = candidates.reshape(-1, candidates.shape[-1])
    recommended, floor = manifest.score.recommended, manifest.score.candidate_floor
    lowest = floor if floor < recommended else 0.0
    scores, labels = rows[:, 4], rows[:, 5].astype(np.intp)
    found = np.zeros((len(manifest.classes), len(SIDES)), np.int64)
    np.add.at(found[:, 0], labels[scores >= recommended], 1)
    np.add.at(found[:, 1], labels[(scores >= lowest) & (scores < recommended)], 1)
    return found


@dataclass(frozen=True)
class Look:
    """What the network found on one frame: the best score of each class, (classes,), and how many on each side."""

    seeds: Seeds
    best: NDArray[np.float64]
    shown: NDArray[np.int64]


class Search:
    """Looks at synthetic frames through a network, and keeps what it saw."""

    def __init__(self, package: ModelPackage, engine: Engine, progress: Callable[[int, int], None]) -> None:
        self._package, self._manifest = package, package.manifest
        self._engine = engine
        self._progress = progress
        self.looks: list[Look] = []

    def run(self) -> None:
        """Look at every single seed, then climb for each class and side that none of them shows."""
        for seed in range(SEARCHED):
            self._look((seed,))
        for cls, side in product(range(len(self._manifest.classes)), range(len(SIDES))):
            self._climb(cls, side)
        self._progress(1, 1)

    def _look(self, seeds: Seeds) -> Look:
        found = self._engine.run(collage(seeds, self._manifest.input.shape))
        if not np.isfinite(found).all():
            raise ModelError(
                f"{self._package.identity} returns values that are no numbers on synthetic frame {seeds}.",
                "check the export and its training.",
            )
        best = np.zeros(len(self._manifest.classes))
        np.maximum.at(best, found[:, 5].astype(np.intp), found[:, 4])
        comparable = found[found[:, 4] > found[:, 4].min()]  # of a full list, the gate can judge nothing at its end
        look = Look(seeds, best, sides(comparable, self._manifest))
        self.looks.append(look)
        self._progress(len(self.looks), SEARCHED + CLIMBS)
        return look

    def _climb(self, cls: int, side: int) -> None:
        """Lay a window over one of the frames with the class's best scores, look again, and so on."""
        if any(look.shown[cls, side] for look in self.looks):
            return
        for trial in range(min(CLIMB, SEARCHED + CLIMBS - len(self.looks))):
            ranked = heapq.nlargest(BEAM, self.looks, key=lambda look: float(look.best[cls]))
            base = ranked[trial % BEAM].seeds
            if self._look((*base[: LAYERS - 1], len(self.looks))).shown[cls, side]:
                return


def chosen(looks: Sequence[Look]) -> list[Seeds]:
    """Choose frames one after the other: each shows the most classes and sides that none before it did.

    Among equals, the one that shows most of what was shown least: it adds most to the sum of the counts' logarithms.
    """
    picked: list[int] = []
    counts = np.stack([look.shown for look in looks])
    shown = np.zeros_like(counts[0])
    while len(picked) < min(MOST_KEPT, len(looks)):
        news = ((counts > 0) & (shown == 0)).sum(axis=(1, 2))
        more = np.log1p(shown + counts).sum(axis=(1, 2))
        rank = news + more / (1.0 + more.max())
        rank[picked] = -1.0
        best = int(rank.argmax())
        if len(picked) >= LEAST_KEPT and not news[best]:
            break
        picked.append(best)
        shown = shown + counts[best]
    return [looks[index].seeds for index in picked]


def make_golden(package: ModelPackage, engine: Engine, progress: Callable[[int, int], None]) -> bytes:
    """Search for frames that excite the network, and return them with its outputs, as the bytes of ``golden.npz``.

    Args:
        progress: called with (done, of how many at most).

    Raises:
        ModelError: the network returns values that are no numbers.
    """
    search = Search(package, engine, progress)
    search.run()
    frames = [(seeds, collage(seeds, package.manifest.input.shape)) for seeds in chosen(search.looks)]
    candidates = np.stack([engine.run(frame).copy() for _, frame in frames])
    heads = np.stack([engine.heads(frame) for _, frame in frames])
    if not np.isfinite(heads).all():
        raise ModelError(
            f"{package.identity} returns heads that are no numbers on a synthetic frame.", "check the export."
        )
    return golden_bytes(frames, candidates, heads, package.manifest.heads)
