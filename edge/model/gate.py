"""The golden gate: an engine instance must reproduce its package's golden outputs before it may decide."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.engine.base import Engine
from edge.errors import GoldenMismatch, ModelError
from edge.model.deviation import BOX_COLUMNS, Comparison, HeadsDeviation, compare, heads_deviation
from edge.model.excite import SIDES, sides
from edge.model.golden import GoldenCase, golden_cases
from edge.model.package import Manifest, ModelPackage, Tolerance

# Share of candidates that may differ in class alone, over all, and of one class.  Where two classes of a box score
# alike within the tolerance, rounding decides between them; a confusion shows on every candidate of these classes.
MAX_FLIPPED = 0.05
MAX_FLIPPED_OF_CLASS = 0.5


@dataclass(frozen=True)
class GateReport:
    """How far an engine strayed, at most, and how far it may.

    Attributes:
        cases: golden frames that ran.
        matched: expected candidates that had to be found and were.  With 0, only scores and heads were compared.
        flipped: candidates found in place, with their score, under another class.
        score_abs, box_px: largest deviations of score, and of a box corner in px of the input.
        heads_rel: largest relative deviation of the raw heads, ``edge.model.deviation.heads_deviation``.
        score_abs_limit, box_px_limit, heads_rel_limit: the tolerance.
        shown: by class, the golden candidates above and below the recommended score (``edge.model.excite.SIDES``).
    """

    package: str
    engine: str
    precision: str
    cases: int
    matched: int
    flipped: int
    score_abs: float
    box_px: float
    heads_rel: float
    score_abs_limit: float
    box_px_limit: float
    heads_rel_limit: float
    shown: dict[str, tuple[int, ...]]

    @property
    def unshown(self) -> list[str]:
        """Classes and sides that no golden frame shows, as "crazing above": a fault of theirs alone may pass."""
        return [
            f"{name} {side}"
            for name, counts in self.shown.items()
            for side, count in zip(SIDES, counts, strict=True)
            if not count
        ]


def golden_gate(package: ModelPackage, engine: Engine) -> GateReport:
    """Run every golden case on ``engine`` and compare, within the tolerance that the manifest grants.

    Raises:
        GoldenMismatch: scores, boxes, classes or heads outside the tolerance.
        ModelError: the manifest does not qualify the pair, or the golden file cannot be used.
        EngineError: the engine failed.
    """
    limit = package.manifest.tolerance(engine.name, engine.precision)
    if limit is None:
        raise ModelError(
            f"{package.identity} is not qualified for {engine.name} {engine.precision}.",
            "choose a pair that its manifest lists under [[qualified]].",
        )
    return measure(package, engine, limit)


def measure(package: ModelPackage, engine: Engine, limit: Tolerance) -> GateReport:
    """Do as ``golden_gate`` within ``limit``: for qualifying a pair, whose deviations are yet to be known.

    Raises:
        GoldenMismatch, ModelError, EngineError: as ``golden_gate``.
    """
    cases = list(golden_cases(package))
    floor = _compared_from(package.manifest, cases, limit)
    done: list[Comparison] = []
    for case in cases:
        found = engine.run(case.frame)
        result = compare(case.expected, found, floor, limit)
        problem = result.problem or _misnamed(package.manifest, found, floor)
        if problem:
            raise _mismatch(package, engine, f"on frame {case.seeds}: {problem}")
        done.append(result)
    matched = sum((result.matched for result in done), Counter[int]())
    flipped = sum((result.flipped for result in done), Counter[int]())
    heads = _heads(package.manifest, engine, cases)
    problem = _confused(package.manifest, matched, flipped) or _strayed(package.manifest, heads, limit)
    if problem:
        raise _mismatch(package, engine, problem)
    shown = sides(np.stack([case.expected for case in cases]), package.manifest).tolist()
    return GateReport(
        package=package.identity,
        engine=engine.name,
        precision=engine.precision,
        cases=len(done),
        matched=matched.total(),
        flipped=flipped.total(),
        score_abs=max(result.score_abs for result in done),
        box_px=max(result.box_px for result in done),
        heads_rel=heads.relative,
        score_abs_limit=limit.score_abs,
        box_px_limit=limit.box_px,
        heads_rel_limit=limit.heads_rel,
        shown={name: tuple(counts) for name, counts in zip(package.manifest.classes, shown, strict=True)},
    )


def _compared_from(manifest: Manifest, cases: list[GoldenCase], limit: Tolerance) -> float:
    """Return the score from which candidates are compared: the floor, or 0 where none is above it.

    Nothing would be known of boxes and classes otherwise, of a network that synthetic frames hardly excite, or whose
    manifest has a floor that nothing reaches.
    """
    floor = manifest.score.candidate_floor
    best = max(float(case.expected[:, 4].max()) for case in cases)
    return floor if best >= floor + limit.score_abs else 0.0


def _misnamed(manifest: Manifest, found: NDArray[np.float32], floor: float) -> str:
    """Say which class of a candidate from ``floor`` on does not exist, or ""."""
    named = found[found[:, 4] >= floor, 5]
    wrong = named[~np.isin(named, np.arange(len(manifest.classes)))]
    return f"class {wrong[0]:g} is none of 0 to {len(manifest.classes) - 1}" if len(wrong) else ""


def _heads(manifest: Manifest, engine: Engine, cases: list[GoldenCase]) -> HeadsDeviation:
    """Compare the raw heads.  Ranked ones are a list of candidates already: the candidates have said it all."""
    if manifest.heads.ranked:
        return HeadsDeviation(0.0, 0, 0)
    rows = cases[0].rows
    found = np.stack([engine.heads(case.frame)[rows] for case in cases])
    return heads_deviation(np.stack([case.heads for case in cases]), found, rows, manifest.heads)


def _strayed(manifest: Manifest, heads: HeadsDeviation, limit: Tolerance) -> str:
    if heads.relative <= limit.heads_rel:
        return ""
    place = heads.column - (manifest.heads.columns - len(manifest.classes))
    of_class = f" (class {manifest.classes[place]})" if heads.column >= BOX_COLUMNS and place >= 0 else ""
    return (
        f"column {heads.column}{of_class} of the raw heads, level {heads.level}, is off by {heads.relative:.3g} of "
        f"what it answers, tolerance {limit.heads_rel:g}"
    )


def _confused(manifest: Manifest, matched: Counter[int], flipped: Counter[int]) -> str:
    due = matched + flipped
    if flipped.total() > MAX_FLIPPED * due.total():
        return f"{flipped.total()} of {due.total()} candidates are of another class"
    for cls, count in flipped.items():
        if count > MAX_FLIPPED_OF_CLASS * due[cls]:
            return f"{count} of {due[cls]} candidates of {manifest.classes[cls]} are of another class"
    return ""


def _mismatch(package: ModelPackage, engine: Engine, problem: str) -> GoldenMismatch:
    return GoldenMismatch(
        f"{engine.name} {engine.precision} does not reproduce the golden outputs of {package.identity}: {problem}.",
        "use another qualified engine, and report the library's version and the CPU; widen no tolerance.",
    )
