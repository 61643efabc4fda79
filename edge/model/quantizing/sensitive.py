"""Which layers of an INT8 graph stay in float: those that pictures show to be sensitive, and what golden frames need.

Pictures alone do not tell all.  Golden frames are synthetic, and a network that is half trained answers to them with
large boxes and from other layers than to pictures; so where they do not hold, it is they that rank the layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from edge.errors import ModelError
from edge.model.quantizing.effect import Effect
from edge.model.quantizing.ranges import Progress

SENSITIVE = 0.01
"""A layer stays in float if it alone, in INT8, loses more than this share of the FP32 candidates on pictures."""

SCANNED = 12
"""Pictures that each layer's own effect is measured on."""

LEAST_INT8 = 0.25
"""Golden frames may take layers out of INT8 as long as this share of all stays in it."""

FloatFor = Literal["pictures", "golden frames", "none"]
Graphs = Callable[[Collection[int]], bytes]
"""Makes a graph with the layers at these positions in INT8."""


@dataclass(frozen=True)
class LayerEffect:
    """What quantising one layer alone loses of the FP32 candidates (``edge.model.quantizing.effect.lost``), 0..1.

    Attributes:
        lost: on pictures.
        golden_lost: on the golden frames; None where they held with the layers that pictures chose.
        float_for: whose loss keeps it in float; none stays in INT8.
    """

    layer: str
    lost: float
    golden_lost: float | None
    float_for: FloatFor


def choose(
    layers: Sequence[tuple[int, str]],
    graphs: Graphs,
    pictures: Effect,
    golden: Effect,
    shortfall: Callable[[bytes], str],
    progress: Progress,
) -> tuple[bytes, tuple[LayerEffect, ...]]:
    """Return the graph with as many layers in INT8 as may be, and each layer's effect, the largest on pictures first.

    Args:
        layers: position and name of each.
        pictures, golden: the effect on pictures, and on the golden frames.
        shortfall: says what of a graph misses the golden outputs, or "".
        progress: called with (what, done, of how many).

    Raises:
        ModelError: every layer is sensitive, or the golden outputs do not hold with the most in float that is allowed.
    """
    lost = _alone(layers, graphs, lambda graph: pictures.of(graph, SCANNED), "Quantising each layer alone", progress)
    rest = [at for at, _ in layers if lost[at] <= SENSITIVE]
    if not rest:
        raise ModelError(
            f"Each of {len(layers)} layers alone loses more than {SENSITIVE:.0%} of the candidates in INT8.",
            "check that the pictures are of the kind that the network was trained on.",
        )
    graph = graphs(rest)
    golden_lost: dict[int, float] = {}
    further: list[int] = []
    if shortfall(graph):
        golden_lost = _alone(layers, graphs, golden.of, "Each layer alone on golden frames", progress)
        rest.sort(key=lambda at: golden_lost[at], reverse=True)
        count = _held(rest, len(layers), graphs, shortfall, progress)
        further, graph = rest[:count], graphs(rest[count:])

    def effect(at: int, name: str) -> LayerEffect:
        float_for: FloatFor = "pictures" if lost[at] > SENSITIVE else "golden frames" if at in further else "none"
        return LayerEffect(name, lost[at], golden_lost.get(at), float_for)

    return graph, tuple(effect(*layer) for layer in sorted(layers, key=lambda layer: lost[layer[0]], reverse=True))


def _held(
    ranked: Sequence[int], layers: int, graphs: Graphs, shortfall: Callable[[bytes], str], progress: Progress
) -> int:
    """Return how many of ``ranked``, from the first on, must be in float for the golden outputs to hold."""
    most = max(0, len(ranked) - math.ceil(LEAST_INT8 * layers))
    count = fewest(lambda first: not shortfall(graphs(ranked[first:])), most, progress)
    if count is None:
        raise ModelError(
            f"INT8 does not keep to the golden outputs, even with {layers - len(ranked) + most} of {layers} layers in "
            f"float: {shortfall(graphs(ranked[most:]))}.",
            "train the network for more epochs, prepare it and try again, or with other pictures (--frames) that show "
            "every kind of defect; or make it faster in bf16 (edge model qualify).",
        )
    return count


def fewest(holds: Callable[[int], bool], most: int, progress: Progress) -> int | None:
    """Return the fewest of 1 to ``most`` with which something holds, or None where it does not with ``most``.

    It bisects, as if more held wherever fewer do: log2(``most``) + 2 tries at most.  What is returned has held.
    """
    if most < 1 or not holds(most):
        return None
    fails, held, tries, bound = 0, most, 1, most.bit_length() + 1
    while held - fails > 1:
        progress("Holding to the golden outputs", tries, bound)
        middle = (fails + held) // 2
        fails, held = (fails, middle) if holds(middle) else (middle, held)
        tries += 1
    return held


def _alone(
    layers: Sequence[tuple[int, str]], graphs: Graphs, effect: Callable[[bytes], float], what: str, progress: Progress
) -> dict[int, float]:
    """Return what each layer alone loses, by its position."""
    lost: dict[int, float] = {}
    for at, _ in layers:
        lost[at] = effect(graphs([at]))
        progress(what, len(lost), len(layers))
    return lost
