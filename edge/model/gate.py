"""The golden gate: an engine instance must reproduce its package's golden outputs before it may decide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.engine.base import Engine
from edge.errors import GoldenMismatch, ModelError
from edge.model.golden import golden_cases
from edge.model.package import ModelPackage, Qualified

# Share of candidates that may differ in class alone.  Where two classes of a box score alike within the tolerance,
# rounding decides between them; a confusion of classes shows on every candidate of these classes.
MAX_FLIPPED = 0.05


@dataclass(frozen=True)
class GateReport:
    """How far an engine strayed, at most, and how far it may.

    Attributes:
        cases: golden frames that ran.
        matched: expected candidates that had to be found and were.  With 0, only scores were compared.
        flipped: candidates found in place, with their score, under another class.
        score_abs, box_px: largest deviations of score, and of a box corner in px of the input.
        score_abs_limit, box_px_limit: of the manifest for this engine and precision.
    """

    package: str
    engine: str
    precision: str
    cases: int
    matched: int
    flipped: int
    score_abs: float
    box_px: float
    score_abs_limit: float
    box_px_limit: float


@dataclass(frozen=True)
class Comparison:
    """Two lists of candidates compared: largest deviations, and what is wrong, or "" where all is in tolerance."""

    matched: int = 0
    flipped: int = 0
    score_abs: float = 0.0
    box_px: float = 0.0
    problem: str = ""


def golden_gate(package: ModelPackage, engine: Engine) -> GateReport:
    """Run every golden case on ``engine`` and compare.

    Raises:
        GoldenMismatch: scores, boxes or classes outside the tolerance that the manifest grants this pair.
        ModelError: the manifest does not qualify the pair, or the golden file cannot be used.
        EngineError: the engine failed.
    """
    limit = package.manifest.tolerance(engine.name, engine.precision)
    if limit is None:
        raise ModelError(
            f"{package.identity} is not qualified for {engine.name} {engine.precision}.",
            "choose a pair that its manifest lists under [[qualified]].",
        )
    done: list[Comparison] = []
    for case in golden_cases(package):
        result = compare(case.expected, engine.run(case.frame), package.manifest.score.candidate_floor, limit)
        if result.problem:
            raise _mismatch(package, engine, f"on frame {case.seed}: {result.problem}")
        done.append(result)
    matched, flipped = sum(result.matched for result in done), sum(result.flipped for result in done)
    if flipped > MAX_FLIPPED * (matched + flipped):
        raise _mismatch(package, engine, f"{flipped} of {matched + flipped} candidates are of another class")
    return GateReport(
        package=package.identity,
        engine=engine.name,
        precision=engine.precision,
        cases=len(done),
        matched=matched,
        flipped=flipped,
        score_abs=max(result.score_abs for result in done),
        box_px=max(result.box_px for result in done),
        score_abs_limit=limit.score_abs,
        box_px_limit=limit.box_px,
    )


def compare(expected: NDArray[np.float32], found: NDArray[np.float32], floor: float, limit: Qualified) -> Comparison:
    """Compare two (K, 6) lists of candidates, whose order may differ.

    The k-th best score can move no further than the scores themselves, so ranked scores are compared one by one.
    Then each candidate above ``floor`` must have a partner within both tolerances in the other list, both ways, of
    its class or else it counts as flipped.  One that lies within the score tolerance of ``floor``, or of the other
    list's end, may lack a partner.
    """
    if found.shape != expected.shape or not np.isfinite(found).all():
        return Comparison(problem=f"the output is not finite, or {found.shape} instead of {expected.shape}")
    ranked = float(np.abs(np.sort(expected[:, 4]) - np.sort(found[:, 4])).max())
    if ranked > limit.score_abs:
        return Comparison(score_abs=ranked, problem=f"a score is off by {ranked:.4f}, tolerance {limit.score_abs:g}")
    there = _partners(expected, found, floor, limit, "expected and missing")
    back = _partners(found, expected, floor, limit, "found and not expected")
    return Comparison(
        there.matched,
        max(there.flipped, back.flipped),
        max(ranked, there.score_abs, back.score_abs),
        max(there.box_px, back.box_px),
        there.problem or back.problem,
    )


def _partners(
    ours: NDArray[np.float32], theirs: NDArray[np.float32], floor: float, limit: Qualified, fate: str
) -> Comparison:
    """Find for each of ``ours`` that needs one the nearest of ``theirs``, in units of the tolerances."""
    due = ours[ours[:, 4] >= max(floor, float(theirs[:, 4].min())) + limit.score_abs]
    if not len(due):
        return Comparison()
    score_off = np.abs(due[:, None, 4] - theirs[None, :, 4])
    box_off = np.abs(due[:, None, :4] - theirs[None, :, :4]).max(axis=2)
    distance = np.maximum(score_off / limit.score_abs, box_off / limit.box_px)  # 1 is the tolerance
    same_class = due[:, None, 5] == theirs[None, :, 5]
    alike = distance <= 1.0
    matched = (alike & same_class).any(axis=1)
    alone = np.flatnonzero(~alike.any(axis=1))
    problem = ""
    if len(alone):
        x1, y1, x2, y2, score, label = due[alone[0]].tolist()
        problem = (
            f"{fate}: class {label:.0f}, score {score:.4f}, box {x1:.1f} {y1:.1f} {x2:.1f} {y2:.1f} px, "
            f"tolerances {limit.score_abs:g} and {limit.box_px:g} px"
        )
    # A partner of the own class is preferred to a nearer one of another.
    partner = np.where(alike & same_class, distance, distance + 1.0).argmin(axis=1)
    each = np.arange(len(due))
    return Comparison(
        int(matched.sum()),
        len(due) - int(matched.sum()) - len(alone),
        float(score_off[each, partner].max()),
        float(box_off[each, partner].max()),
        problem,
    )


def _mismatch(package: ModelPackage, engine: Engine, problem: str) -> GoldenMismatch:
    return GoldenMismatch(
        f"{engine.name} {engine.precision} does not reproduce the golden outputs of {package.identity}: {problem}.",
        "use another qualified engine, and report the library's version and the CPU; widen no tolerance.",
    )
