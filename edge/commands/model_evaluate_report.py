"""An evaluation as plain values, as text for a terminal, and as files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from rich.console import Console
from rich.table import Table

from edge.commands.model_evaluate import Evaluation, Step
from edge.errors import ConfigError
from edge.quality import plots
from edge.quality.detection import Measure, Pod
from edge.quality.intervals import CONFIDENCE, NOT_MEASURABLE, RESAMPLES, SEED, Proportion
from edge.quality.rates import escape_ppm
from edge.quality.repeatability import Repeatability

DIGITS = 6
NO_GOOD = f"{NOT_MEASURABLE}: the data set has no defect-free pictures"
NO_DEFECTIVE = f"{NOT_MEASURABLE}: the data set has no defective pictures"
NO_BOXES = f"{NOT_MEASURABLE}: the data set has no boxes"
MEASURES: dict[Measure, str] = {"sqrt_area": "square root of the box's area", "longer_side": "longer side of the box"}
SWEEP_COLUMNS = (
    "score", "escape_rate", "escape_low", "escape_high", "overkill_rate", "overkill_low", "overkill_high",
    "undecided", "box_precision", "box_recall", "f1",
)  # fmt: skip


def as_dict(evaluation: Evaluation) -> dict[str, Any]:
    """Return everything as plain values; what could not be measured is null, and ``notes`` says why."""
    request, boxes = evaluation.request, evaluation.boxes
    quality = boxes.quality if boxes else None
    rounded: dict[str, Any] = _rounded(
        {
            "package": evaluation.package.identity,
            "engine": evaluation.choice.engine,
            "precision": evaluation.choice.precision,
            "dataset": str(request.dataset),
            "format": evaluation.dataset.format,
            "images": len(evaluation.dataset.entries),
            "boxes": sum(len(entry.labels) for entry in evaluation.dataset.entries),
            "map50": quality.map50 if quality else None,
            "map50_95": quality.map if quality else None,
            "interval": list(boxes.interval) if boxes else None,
            "bootstrap": _bootstrap(evaluation),
            "per_class": _per_class(evaluation),
            "at": _at(evaluation),
            "sweep": [sweep_row(step) for step in evaluation.sweep],
            "repeatability": _repeatability(evaluation.repeatability),
            "pod": _pods(evaluation),
            "notes": _notes(evaluation),
            "warnings": [str(problem) for problem in evaluation.dataset.warnings],
        }
    )
    return rounded


def sweep_row(step: Step) -> dict[str, float | None]:
    """Return a row of the sweep, by ``SWEEP_COLUMNS``."""
    parts, boxes = step.parts, step.boxes
    return dict(
        zip(
            SWEEP_COLUMNS,
            (
                parts.score,
                *_with_bounds(parts.escape),
                *_with_bounds(parts.overkill),
                parts.undecided,
                boxes.precision.rate if boxes else None,
                boxes.recall.rate if boxes else None,
                boxes.f1 if boxes else None,
            ),
            strict=True,
        )
    )


def _with_bounds(share: Proportion) -> tuple[float | None, float | None, float | None]:
    bounds = share.bounds()
    return (share.rate, *bounds) if bounds is not None else (None, None, None)


def _share(share: Proportion) -> dict[str, Any]:
    bounds = share.bounds()
    return {
        "rate": share.rate,
        "clopper_pearson": list(bounds) if bounds is not None else None,
        "count": share.count,
        "of": share.of,
    }


def _at(evaluation: Evaluation) -> dict[str, Any]:
    step, prevalence = evaluation.at, evaluation.request.prevalence
    parts, boxes = step.parts, step.boxes
    ppm = escape_ppm(parts.escape, prevalence) if prevalence is not None else None
    return {
        "score": parts.score,
        "recipe": str(evaluation.request.recipe) if evaluation.request.recipe else None,
        "escape_rate": parts.escape.rate,
        "escape": _share(parts.escape),
        "overkill_rate": parts.overkill.rate,
        "overkill": _share(parts.overkill),
        "undecided": parts.undecided,
        "prevalence": prevalence,
        "escape_ppm": dict(zip(("value", "low", "high"), ppm, strict=True)) if ppm else None,
        "box_precision": _share(boxes.precision) if boxes else None,
        "box_recall": _share(boxes.recall) if boxes else None,
        "f1": boxes.f1 if boxes else None,
    }


def _bootstrap(evaluation: Evaluation) -> dict[str, Any] | None:
    if evaluation.boxes is None:
        return None
    audit = evaluation.request.audit
    return {
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
        "seed": SEED,
        "unit": "image" if audit is None else "group of overlapping images",
        "units": evaluation.boxes.drawn,
        "audit": None if audit is None else str(audit),
    }


def _per_class(evaluation: Evaluation) -> dict[str, Any]:
    quality = evaluation.boxes.quality if evaluation.boxes else None
    return {
        cls: {
            "ap50": quality.ap50.get(cls) if quality else None,
            "ap": quality.ap.get(cls) if quality else None,
            "boxes": quality.boxes.get(cls, 0) if quality else 0,
        }
        for cls in evaluation.package.manifest.classes
    }


def _repeatability(result: Repeatability | None) -> dict[str, Any] | None:
    if result is None:
        return None
    groups = {
        name: {
            "decisions": spread.flips.of,
            "flips": spread.flips.count,
            "flip_rate": spread.flips.rate,
            "to_pass": spread.to_pass,
            "score_change": {"mean": spread.mean, "p95": spread.p95, "largest": spread.largest},
        }
        for name, spread in result.groups.items()
    }
    return {"images": result.unstable.of, "unstable": _share(result.unstable), "groups": groups}


def _pods(evaluation: Evaluation) -> dict[str, Any] | None:
    if evaluation.boxes is None:
        return None
    request = evaluation.request
    classes = {cls: _pod(pod) for cls, pod in evaluation.boxes.pods.items()}
    return {"measure": request.measure, "unit": _unit(evaluation), "score": request.score, "classes": classes}


def _pod(pod: Pod) -> dict[str, Any]:
    curve = pod.curve
    return {
        "status": pod.status,
        "found": _share(pod.found),
        "a50": pod.a50,
        "a90": pod.a90,
        "a90_95": pod.a90_95,
        "intercept": curve.intercept if curve else None,
        "slope": curve.slope if curve else None,
        "smallest": pod.smallest,
        "largest": pod.largest,
        "note": pod.note,
    }


def _unit(evaluation: Evaluation) -> str:
    return "px" if evaluation.request.mm_per_px is None else "mm"


def _notes(evaluation: Evaluation) -> list[str]:
    parts = evaluation.at.parts
    return [
        *([f"map50, pod: {NO_BOXES}"] if evaluation.boxes is None else []),
        *([f"escape_rate: {NO_DEFECTIVE}"] if not parts.escape.of else []),
        *([f"overkill_rate: {NO_GOOD}"] if not parts.overkill.of else []),
    ]


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def make_folder(folder: Path) -> None:
    """Make the folder for ``write``, so that a wrong one is told before the work and not after it.

    Raises:
        ConfigError: it cannot be made, or not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"--out {folder}: cannot be written ({error.strerror}).", "give another folder.") from error


def write(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write ``evaluation.json``, ``sweep.csv`` and the plots into ``folder``, and return their paths.

    Raises:
        MissingExtra: Matplotlib is not installed.
    """
    ran = f"{evaluation.package.identity} on {evaluation.choice.engine} {evaluation.choice.precision}"
    written = [folder / "evaluation.json", folder / "sweep.csv", folder / "sweep.png"]
    written[0].write_text(json.dumps(as_dict(evaluation), indent=2) + "\n", encoding="utf-8")
    with written[1].open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, SWEEP_COLUMNS)
        table.writeheader()
        table.writerows(_rounded(sweep_row(step)) for step in evaluation.sweep)
    plots.sweep(written[2], [step.parts for step in evaluation.sweep], evaluation.at.parts.score, ran)
    if (boxes := evaluation.boxes) is not None:
        written += [folder / "precision-recall.png", folder / "pod.png"]
        title = f"{ran}: mAP@0.5 {boxes.quality.map50:.3f}"
        plots.precision_recall(written[3], boxes.rankings, boxes.quality.ap50, title)
        label = f"{MEASURES[evaluation.request.measure]}, {_unit(evaluation)}"
        title = f"{ran}, score {evaluation.at.parts.score:g}"
        plots.pod(written[4], boxes.pods, boxes.sizes, label, title)
    return written


def show(evaluation: Evaluation, console: Console) -> None:
    """Print the evaluation for a person."""
    choice, dataset = evaluation.choice, evaluation.dataset
    count = sum(len(entry.labels) for entry in dataset.entries)
    console.print(f"{evaluation.package.identity} on {choice.engine} {choice.precision}")
    console.print(f"{dataset.folder}: {len(dataset.entries)} pictures, {count} boxes", highlight=False)
    for problem in dataset.warnings:
        console.print(f"warning: {problem}")
    if (boxes := evaluation.boxes) is None:
        console.print(f"mAP: {NO_BOXES}")
    else:
        low, high = boxes.interval
        console.print(
            f"mAP@0.5 {boxes.quality.map50:.4f} (95 % {low:.4f} to {high:.4f}), mAP@0.5:0.95 {boxes.quality.map:.4f}"
        )
    _show_at(evaluation, console)
    console.print(_sweep_table(evaluation))
    if boxes is not None:
        console.print(_class_table(evaluation))
        for cls, pod in boxes.pods.items():
            if pod.note:
                console.print(f"  {cls}: {pod.note}")
    if evaluation.repeatability is not None:
        console.print(f"Pictures decided otherwise after a small disturbance: {evaluation.repeatability.unstable}")
        console.print(_repeatability_table(evaluation.repeatability))


def _show_at(evaluation: Evaluation, console: Console) -> None:
    parts, prevalence = evaluation.at.parts, evaluation.request.prevalence
    console.print(f"At score {parts.score:g}:")
    console.print(f"  escape   {parts.escape if parts.escape.of else NO_DEFECTIVE}")
    console.print(f"  overkill {parts.overkill if parts.overkill.of else NO_GOOD}")
    if parts.undecided:
        console.print(f"  undecided {parts.undecided} (rejected on a line)")
    if prevalence is not None and (ppm := escape_ppm(parts.escape, prevalence)):
        console.print(f"  escapes  {ppm[0]:.0f} ppm ({ppm[1]:.0f} to {ppm[2]:.0f}) where {prevalence:g} are defective")


def _sweep_table(evaluation: Evaluation) -> Table:
    headers = ("score", "escape % (95 % bounds)", "overkill % (95 % bounds)", "precision %", "recall %", "F1 %")
    table = Table(*headers, box=None)
    for row in (sweep_row(step) for step in evaluation.sweep):
        table.add_row(
            f"{row['score']:.2f}",
            _bounded(row["escape_rate"], row["escape_low"], row["escape_high"]),
            _bounded(row["overkill_rate"], row["overkill_low"], row["overkill_high"]),
            *(_percent(row[key]) for key in ("box_precision", "box_recall", "f1")),
        )
    return table


def _bounded(rate: float | None, low: float | None, high: float | None) -> str:
    return _percent(rate) if rate is None else f"{_percent(rate)} ({_percent(low)} to {_percent(high)})"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.3g}"


def _class_table(evaluation: Evaluation) -> Table:
    unit = _unit(evaluation)
    headers = ("class", "boxes", "AP@0.5", "AP", "found %", f"a50 {unit}", f"a90 {unit}", f"a90/95 {unit}")
    table = Table(*headers, box=None)
    boxes = evaluation.boxes
    assert boxes is not None
    for cls, pod in boxes.pods.items():
        quality = boxes.quality
        table.add_row(
            cls,
            str(pod.found.of),
            *(f"{values[cls]:.3f}" if cls in values else "-" for values in (quality.ap50, quality.ap)),
            _percent(pod.found.rate),
            *("-" if size is None else f"{size:.1f}" for size in (pod.a50, pod.a90, pod.a90_95)),
        )
    return table


def _repeatability_table(result: Repeatability) -> Table:
    headers = ("disturbance", "decisions", "flips", "%", "to PASS", "score: mean", "95 %", "largest")
    table = Table(*headers, box=None)
    for name, spread in result.groups.items():
        counts = (str(spread.flips.of), str(spread.flips.count), _percent(spread.flips.rate), str(spread.to_pass))
        table.add_row(name, *counts, *(f"{value:.3f}" for value in (spread.mean, spread.p95, spread.largest)))
    return table
