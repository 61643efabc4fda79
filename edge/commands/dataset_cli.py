"""The options of `edge dataset`."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any

import typer

from edge import clock
from edge.dataset.folders import GOOD_NAMES
from edge.dataset.open import FORMATS, inspect
from edge.dataset.problems import Findings, listed
from edge.dataset.sample import Dataset, Entry
from edge.dataset.split import DEFAULT_GAP, Split, block_folds
from edge.errors import DatasetError

app = typer.Typer(
    help="Check a data set, split it without leakage, and find pictures that overlap.", no_args_is_help=True
)

Folder = Annotated[Path, typer.Argument(help="The data set.")]
Format = Annotated[str, typer.Option(help=f"{', '.join(FORMATS)}.")]
Classes = Annotated[str | None, typer.Option(help="Names in the wanted order, with commas between.")]
Good = Annotated[str, typer.Option(help="Folders of defect-free pictures in a folder of classes, with commas between.")]
Folds = Annotated[int, typer.Option(min=2, help="Block folds.")]
Gap = Annotated[int, typer.Option(min=0, help="Pictures left out on either side of a block.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_GOOD = ",".join(GOOD_NAMES)


@app.command("check")
def check_command(
    folder: Folder, format: Format = "auto", classes: Classes = None, good: Good = _GOOD, as_json: Json = False
) -> None:
    """Read the whole data set and report what it holds and what is wrong with it."""
    findings = Findings()
    dataset = _inspect(folder, findings, classes, format, good)
    if as_json:
        problems = {p.kind: list(p.found) for severity in ("error", "warning") for p in findings.of(severity)}
        print(json.dumps({**summary(dataset), "problems": problems}, indent=1))
    else:
        print(render(dataset))
        if dataset.warnings:
            print("Warnings:" + listed(dataset.warnings))
    findings.refuse(folder)


@app.command("split")
def split_command(
    folder: Folder,
    folds: Folds = 3,
    gap: Gap = DEFAULT_GAP,
    audit: Annotated[
        Path | None, typer.Option(help="JSON file of `edge dataset audit`: its groups stay whole.")
    ] = None,
    fold: Annotated[int | None, typer.Option(min=1, help="Only this one of the folds.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for `train` and `validation` of --fold, as data sets of links.")
    ] = None,
    format: Format = "auto",
    classes: Classes = None,
    good: Good = _GOOD,
    as_json: Json = False,
) -> None:
    """Cut the data set into block folds and show how much of each class each part has; --json lists the pictures."""
    from edge.dataset.leakage import read_groups
    from edge.dataset.parts import write_part

    if fold is not None and fold > folds:
        raise DatasetError(f"--fold {fold} of {folds} does not exist.", f"Give 1 to {folds}.")
    if out is not None:
        _refuse_parts(folder, out, fold)
    dataset = _open(folder, classes, format, good)
    splits = dict(enumerate(block_folds(dataset, folds, gap, read_groups(audit) if audit is not None else ()), 1))
    if fold is not None:
        splits = {fold: splits[fold]}
    if out is not None:
        for part, entries in _parts(out, splits):
            write_part(dataset, entries, part)
    if as_json:
        print(
            json.dumps(
                [{part: [e.name for e in entries] for part, entries in vars(s).items()} for s in splits.values()],
                indent=1,
            )
        )
    else:
        for number, split in splits.items():
            print(render_split(dataset, split, f"fold {number} of {folds}"))
        if out is not None:
            print("\n".join(f"{part}: {len(entries)} pictures" for part, entries in _parts(out, splits)))


@app.command("audit")
def audit_command(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="Folder for LEAKAGE.md and LEAKAGE.json.")],
    defective_only: Annotated[
        bool, typer.Option(help="Leave out defect-free pictures: pairs grow by the square.")
    ] = False,
    folds: Folds = 3,
    gap: Gap = DEFAULT_GAP,
    format: Format = "auto",
    classes: Classes = None,
    good: Good = _GOOD,
) -> None:
    """Find pictures that show the same surface, and say what that does to random and to block splits."""
    from edge.dataset.audit import audit
    from edge.dataset.leakage import compare_splits, write_audit
    from edge.dataset.report import render as render_report

    _make_folder(out)
    dataset = _open(folder, classes, format, good)
    audited = audit(_defective(dataset) if defective_only else dataset, _Progress())
    write_audit(audited, out / "LEAKAGE.json")
    leaks = compare_splits(dataset, audited, folds, gap)
    name = folder.resolve().name
    options = {"--out": out, "--folds": folds, "--gap": gap, "--format": format, "--classes": classes, "--good": good}
    unusual = {"--format": "auto", "--classes": None, "--good": _GOOD}
    told = [str(word) for key, value in options.items() if unusual.get(key, "") != value for word in (key, value)]
    told += ["--defective-only"] * defective_only
    command = shlex.join(["edge", "dataset", "audit", f"/path/to/{name}", *told])
    report = out / "LEAKAGE.md"
    report.write_text(render_report(name, audited, leaks, command), encoding="utf-8")
    print(f"{report}: {len(audited.pairs)} pairs in {len(audited.groups)} groups")


def summary(dataset: Dataset) -> dict[str, Any]:
    """What a data set holds, as plain values."""
    boxes = Counter(label for entry in dataset.entries for label in entry.labels.tolist())
    pictures = Counter(label for entry in dataset.entries for label in entry.present)
    sizes = Counter(entry.size for entry in dataset.entries)
    return {
        "format": dataset.format,
        "boxed": dataset.boxed,
        "pictures": len(dataset.entries),
        "defect_free": sum(not entry.defective for entry in dataset.entries),
        "classes": {cls: {"pictures": pictures[i], "boxes": boxes[i]} for i, cls in enumerate(dataset.classes)},
        "sizes": {f"{width}x{height}": count for (width, height), count in sizes.most_common()},
    }


def render(dataset: Dataset) -> str:
    """The summary as text."""
    held = summary(dataset)
    sizes = ", ".join(f"{size} ({count})" for size, count in list(held["sizes"].items())[:3])
    lines = [
        f"{dataset.folder}: {held['format']}, {held['pictures']} pictures, {held['defect_free']} of them defect-free",
        f"sizes: {sizes}{', ...' if len(held['sizes']) > 3 else ''}",
        f"{'class':24} {'pictures':>9} {'boxes':>7}",
    ]
    lines += [f"{cls:24} {counts['pictures']:9} {counts['boxes']:7}" for cls, counts in held["classes"].items()]
    return "\n".join(lines)


def render_split(dataset: Dataset, split: Split, called: str) -> str:
    """Pictures of each class in each part."""
    parts = {"train": split.train, "validation": split.validation, "left out": split.left_out}
    lines = [f"{called:24} " + " ".join(f"{part:>10}" for part in parts)]
    for index, cls in enumerate(dataset.classes):
        lines.append(f"{cls:24} " + " ".join(f"{sum(index in e.present for e in p):10}" for p in parts.values()))
    return "\n".join([*lines, f"{'pictures':24} " + " ".join(f"{len(entries):10}" for entries in parts.values())])


def _make_folder(out: Path) -> None:
    """Tells a wrong folder before the work and not after it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise DatasetError(f"--out {out} cannot be written: {error.strerror}.", "Give another folder.") from error


def _refuse_parts(folder: Path, out: Path, fold: int | None) -> None:
    """Pictures of another fold, or parts that the data set itself would hold, must not get among those written."""
    if fold is None:
        raise DatasetError(f"--out {out} is for the parts of one fold.", "Say which with --fold.")
    if out.resolve().is_relative_to(folder.resolve()):
        raise DatasetError(f"--out {out} lies in the data set itself.", "Give a folder outside.")
    _make_folder(out)
    for part in (out / "train", out / "validation"):
        if part.exists():
            raise DatasetError(f"{part} exists already.", "Remove it, or give another folder with --out.")


def _parts(out: Path, splits: dict[int, Split]) -> list[tuple[Path, tuple[Entry, ...]]]:
    """The folder and the pictures of each part of the one fold."""
    (split,) = splits.values()
    return [(out / "train", split.train), (out / "validation", split.validation)]


def _inspect(folder: Path, findings: Findings, classes: str | None, format: str, good: str) -> Dataset:
    wanted = [cls.strip() for cls in classes.split(",")] if classes is not None else None
    return inspect(folder, findings, wanted, format, [name.strip() for name in good.split(",")])


def _defective(dataset: Dataset) -> Dataset:
    return replace(dataset, entries=tuple(entry for entry in dataset.entries if entry.defective))


def _open(folder: Path, classes: str | None, format: str, good: str) -> Dataset:
    findings = Findings()
    dataset = _inspect(folder, findings, classes, format, good)
    findings.refuse(folder)
    if dataset.warnings:
        print("Warnings:" + listed(dataset.warnings), file=sys.stderr)
    return dataset


class _Progress:
    """Says on stderr how far an audit is, and how long it will take at this pace."""

    def __init__(self) -> None:
        self._began_ns = clock.now_ns()

    def __call__(self, share: float) -> None:
        left_s = (clock.now_ns() - self._began_ns) / 1e9 * (1 - share) / share
        left = f", {left_s / 60:.0f} min left " if share < 1 else " " * 16 + "\n"
        print(f"\rcompared {share:4.0%}{left}", end="", file=sys.stderr, flush=True)
