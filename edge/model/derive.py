"""Packages made from packages: another graph, or one more qualified pair, with tolerances that were measured."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.engine.base import Engine
from edge.engine.select import Choice, build, obstacle
from edge.errors import EngineError, GoldenMismatch, ModelError
from edge.model.folder import whole_folder
from edge.model.gate import GateReport, measure
from edge.model.golden import GOLDEN_FILE
from edge.model.package import (
    GOLDEN_FOLDER,
    MANIFEST_FILE,
    MODEL_FILE,
    README_FILE,
    Manifest,
    ModelPackage,
    Precision,
    Qualified,
    Tolerance,
    load_package,
    write_manifest,
)
from edge.model.prepare import FP32_TOLERANCE

MARGIN = 2.0
"""A new pair's tolerance: so many times what was measured, and FP32's own tolerance on top, since another CPU sums and
rounds in another order; at most the cap of its precision (``TOLERANCE_CAPS``)."""

WIDENED = 1.25
"""A tolerance at which the golden outputs do not hold is widened by so much at a time."""


@dataclass(frozen=True)
class Tried:
    """A pair that was to be qualified: what the golden gate measured, or why it is not qualified.

    ``strayed``: it ran here, and left the cap of its precision.
    """

    engine: str
    precision: str
    report: GateReport | None
    problem: str = ""
    strayed: bool = False


def child(
    parent: ModelPackage,
    out: Path,
    graph: bytes,
    precision: Precision,
    pairs: Sequence[tuple[str, str]],
    card: Callable[[Manifest, Sequence[Tried]], str],
) -> tuple[ModelPackage, list[Tried]]:
    """Make the package ``out``: ``graph`` of ``precision``, held to the golden outputs of ``parent``.

    Args:
        pairs: engine and precision, to be qualified where they run here and stay within the caps.
        card: returns the model card, README.md.

    Raises:
        ModelError: ``out`` exists, or no pair could be qualified, with the reason for each.
    """
    return _made(parent, out, graph, _manifest(parent, precision), pairs, (), card)


def shortfall(parent: ModelPackage, graph: bytes, precision: Precision, pairs: Sequence[tuple[str, str]]) -> str:
    """Say what keeps a ``child`` from its golden outputs with the whole ``MARGIN``, or "".  No package is kept.

    Pairs that cannot run here are left out.
    """
    with tempfile.TemporaryDirectory() as folder:
        draft, caps = _draft(Path(folder), parent, graph, _manifest(parent, precision), pairs, ())
        tried = [_tried(draft, cap) for cap in caps]
    if any(t.strayed for t in tried):
        return _reasons([t for t in tried if t.strayed])
    cap = draft.manifest.cap(precision).model_dump()
    return "; ".join(
        f"{t.engine} {t.precision}: {name} with its margin is {wanted:.2g}, above {cap[name]:g}"
        for t in tried
        if t.report is not None
        for name, wanted in _wanted(t.report).items()
        if wanted > cap[name]
    )


def _manifest(parent: ModelPackage, precision: Precision) -> Manifest:
    return parent.manifest.model_copy(
        update={
            "version": f"{parent.manifest.version}-{precision}",
            "precision": precision,
            "parent": parent.identity,
        }
    )


def with_pair(parent: ModelPackage, out: Path, engine: str, precision: str) -> tuple[ModelPackage, Tried]:
    """Make the package ``out``: ``parent`` with one more qualified pair, its graph and golden outputs unchanged.

    Raises:
        ModelError: ``out`` exists, the pair is qualified already, cannot run here, or strays beyond its cap.
    """
    if parent.manifest.tolerance(engine, precision) is not None:
        raise ModelError(f"{parent.identity} is qualified for {engine} {precision}.", "use it as it is.")
    readme = (parent.path / README_FILE).read_text(encoding="utf-8")
    package, tried = _made(
        parent,
        out,
        parent.read(MODEL_FILE),
        parent.manifest,
        [(engine, precision)],
        parent.manifest.qualified,
        lambda *_: readme,
    )
    return package, tried[0]


def _made(
    parent: ModelPackage,
    out: Path,
    graph: bytes,
    manifest: Manifest,
    pairs: Sequence[tuple[str, str]],
    kept: tuple[Qualified, ...],
    card: Callable[[Manifest, Sequence[Tried]], str],
) -> tuple[ModelPackage, list[Tried]]:
    with whole_folder(out) as folder:
        draft, caps = _draft(folder, parent, graph, manifest, pairs, kept)
        tried = [_tried(draft, cap, settle=True) for cap in caps]
        found = tuple(_limits(t.report) for t in tried if t.report is not None)
        if not found:
            raise ModelError(f"No pair of {draft.identity} could be qualified: {_reasons(tried)}.", _remedy(tried))
        final = Manifest(**{**draft.manifest.model_dump(), "qualified": (*kept, *found)})
        write_manifest(folder / MANIFEST_FILE, final)
        (folder / README_FILE).write_text(card(final, tried), encoding="utf-8")
    return load_package(out), tried


def _draft(
    folder: Path,
    parent: ModelPackage,
    graph: bytes,
    manifest: Manifest,
    pairs: Sequence[tuple[str, str]],
    kept: tuple[Qualified, ...],
) -> tuple[ModelPackage, list[Qualified]]:
    """Write graph and golden outputs, and return the package with each of ``pairs`` at its cap, and these entries."""
    golden = parent.read(GOLDEN_FILE)
    (folder / MODEL_FILE).write_bytes(graph)
    (folder / GOLDEN_FOLDER).mkdir()
    (folder / GOLDEN_FILE).write_bytes(golden)
    files = {MODEL_FILE: hashlib.sha256(graph).hexdigest(), GOLDEN_FILE: hashlib.sha256(golden).hexdigest()}
    caps = [_entry(engine, precision, manifest.cap(precision)) for engine, precision in pairs]
    fields = {**manifest.model_dump(), "files": files, "qualified": (*kept, *caps)}
    return ModelPackage(folder, Manifest(**fields)), caps


def _reasons(tried: Sequence[Tried]) -> str:
    """Return why pairs are not qualified, in words, without a full stop."""
    return "; ".join(f"{t.engine} {t.precision}: {t.problem.rstrip('.')}" for t in tried if t.problem)


def _remedy(tried: Sequence[Tried]) -> str:
    if any(t.strayed for t in tried):
        return "use the package as it is, or train the network for more epochs, prepare it and try again."
    return "do it where such an engine runs."


def _entry(engine: str, precision: str, tolerance: Tolerance) -> Qualified:
    return Qualified(engine=engine, precision=precision, **tolerance.model_dump())


def _tried(draft: ModelPackage, cap: Qualified, settle: bool = False) -> Tried:
    """Measure a pair against the golden outputs, refusing what lies beyond ``cap``; if ``settle``, at its tolerance."""
    why_not = obstacle(draft, cap.engine, cap.precision)
    if why_not is not None:
        return Tried(cap.engine, cap.precision, None, why_not)
    try:
        with build(draft, Choice(cap.engine, cap.precision, "to be qualified")) as engine:
            report = measure(draft, engine, cap)
            if settle:
                report = _settled(draft, engine, cap, report)
            return Tried(cap.engine, cap.precision, report)
    except (GoldenMismatch, EngineError) as error:  # the other pairs may still be right
        return Tried(cap.engine, cap.precision, None, error.problem, isinstance(error, GoldenMismatch))


def _settled(draft: ModelPackage, engine: Engine, cap: Qualified, report: GateReport) -> GateReport:
    """Measure again at the tolerance that follows from ``report``, until it holds with its margin.

    The smaller the tolerance of scores, the more candidates are due a partner, and the further some of them are off.
    A tolerance that does not hold is widened; at the cap, where ``report`` is from, it does.
    """
    granted = _granted(draft.manifest, report)
    while granted != cap:
        try:
            again = measure(draft, engine, granted)
        except GoldenMismatch:
            granted = _wider(granted, cap, {name: WIDENED * value for name, value in _figures(granted).items()})
            continue
        wanted = _figures(_granted(draft.manifest, again))
        if all(wanted[name] <= value for name, value in _figures(granted).items()):
            return again
        granted = _wider(granted, cap, wanted)
    return report


def _wider(granted: Qualified, cap: Qualified, wanted: Mapping[str, float]) -> Qualified:
    most = _figures(cap)
    figures = {name: min(most[name], max(value, wanted[name])) for name, value in _figures(granted).items()}
    return _entry(cap.engine, cap.precision, Tolerance(**figures))


def _figures(tolerance: Tolerance) -> dict[str, float]:
    return tolerance.model_dump(include=set(Tolerance.model_fields))


def _granted(manifest: Manifest, report: GateReport) -> Qualified:
    """Return the tolerance for what was measured, to two significant digits."""
    cap = manifest.cap(report.precision).model_dump()
    granted = {name: min(cap[name], float(f"{wanted:.2g}")) for name, wanted in _wanted(report).items()}
    return _entry(report.engine, report.precision, Tolerance(**granted))


def _limits(report: GateReport) -> Qualified:
    """Return the tolerance that ``report`` was measured at."""
    limits = Tolerance(score_abs=report.score_abs_limit, box_px=report.box_px_limit, heads_rel=report.heads_rel_limit)
    return _entry(report.engine, report.precision, limits)


def _wanted(report: GateReport) -> dict[str, float]:
    """Return the tolerance for what was measured, before any cap (``MARGIN``), by its names."""
    own = FP32_TOLERANCE
    figures = {
        "score_abs": (report.score_abs, own.score_abs),
        "box_px": (report.box_px, own.box_px),
        "heads_rel": (report.heads_rel, own.heads_rel),
    }
    return {name: MARGIN * found + base for name, (found, base) in figures.items()}
