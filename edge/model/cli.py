"""``edge model``: prepare, show and verify model packages."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from edge.engine.select import Choice, build, obstacle
from edge.errors import EngineError, GoldenMismatch, ModelError
from edge.model.gate import GateReport, golden_gate
from edge.model.package import ModelPackage, load_package

app = typer.Typer(help="Prepare, show and verify model packages.", no_args_is_help=True)

Package = Annotated[Path, typer.Argument(help="Folder of the model package.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]


@app.command()
def prepare(
    source: Annotated[Path, typer.Argument(help="Exported ONNX network.")],
    out: Annotated[Path, typer.Argument(help="Folder to create.")],
    spec: Annotated[Path, typer.Option(help="TOML file: name, version, classes, input, licences...")],
    as_json: AsJson = False,
) -> None:
    """Make a model package from an exported network."""
    from edge.model.prepare import prepare as make
    from edge.model.prepare import read_spec

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Searching golden frames", total=None)
        package = make(source, out, read_spec(spec), lambda done, total: bar.update(task, completed=done, total=total))
    _show(package, as_json)


@app.command()
def show(package: Package, as_json: AsJson = False) -> None:
    """Show what a package is, after checking every file's sha256."""
    _show(load_package(package), as_json)


@app.command()
def verify(
    package: Package,
    threads: Annotated[int, typer.Option(min=0, help="Threads of the engine; 0 leaves it to the library.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Run the golden gate on every qualified engine that can run here: candidates and raw heads.

    Each line says how far the engine strayed, at most, of how far it may, and which classes no golden frame lifts above
    the recommended score or leaves below it.
    """
    loaded = load_package(package)
    console = Console(stderr=True)
    results: list[dict[str, Any]] = []
    for pair in loaded.manifest.qualified:
        with console.status(f"Verifying {pair.engine} {pair.precision}"):
            results.append(_verify(loaded, pair.engine, pair.precision, threads))
    if as_json:
        typer.echo(json.dumps({"package": loaded.identity, "results": results}, indent=2))
    else:
        for result in results:
            typer.echo(f"{result['status']:8} {result['engine']} {result['precision']}: {result['text']}")
    if any(result["status"] == "failed" for result in results):
        raise typer.Exit(GoldenMismatch.exit_code)
    if all(result["status"] == "skipped" for result in results):
        raise ModelError(
            f"Nothing was verified: no qualified engine of {loaded.identity} can run here.",
            "install one of the engines named above.",
        )


@app.command()
def quantize(
    package: Package,
    frames: Annotated[Path, typer.Option(help="Pictures from the line, good and bad parts: a folder, or a data set.")],
    out: Annotated[Path, typer.Option(help="Folder to create.")],
    to: Annotated[str, typer.Option(help="int8 or fp16.")] = "int8",
    signed: Annotated[bool, typer.Option("--signed", help="Signed activations alone, as TensorRT needs them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a package in INT8 or FP16 from one in FP32, and say what it loses."""
    from edge.model.quantizing.make import precision_of, render
    from edge.model.quantizing.make import quantize as make

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Reading pictures", total=None)
        result = make(
            load_package(package), frames, precision_of(to), out, signed,
            lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
        )  # fmt: skip
    typer.echo(json.dumps(result.as_dict(), indent=2) if as_json else render(result))


@app.command()
def qualify(
    package: Package,
    engine: Annotated[str, typer.Option(help="As manifests name it.")],
    precision: Annotated[str, typer.Option(help="As manifests name it.")],
    out: Annotated[Path, typer.Option(help="Folder to create.")],
    as_json: AsJson = False,
) -> None:
    """Make a package with one more qualified pair, whose tolerance is measured against the golden outputs."""
    from edge.model.derive import with_pair

    made, tried = with_pair(load_package(package), out, engine, precision)
    if as_json:
        typer.echo(json.dumps({"package": made.identity, **asdict(tried)}, indent=2))
    else:
        typer.echo(f"{made.identity} in {out}: qualified for {engine} {precision}. Check it: edge model verify {out}")


def _verify(package: ModelPackage, engine: str, precision: str, threads: int) -> dict[str, Any]:
    result: dict[str, Any] = {"engine": engine, "precision": precision}
    why_not = obstacle(package, engine, precision)
    if why_not is not None:
        return {**result, "status": "skipped", "text": why_not}
    try:
        with build(package, Choice(engine, precision, "to verify"), threads) as instance:
            report = golden_gate(package, instance)
    except (ModelError, EngineError) as error:  # one pair's failure must not hide the others' results
        return {**result, "status": "failed", "text": str(error)}
    text = (
        f"{report.cases} frames, {report.matched} candidates, {report.flipped} of another class; "
        f"score off by at most {report.score_abs:.6f} "
        f"of {report.score_abs_limit:g}, box by {report.box_px:.4f} of {report.box_px_limit:g} px, "
        f"raw heads by {report.heads_rel:.6f} of {report.heads_rel_limit:g}; {_shown(report)}"
    )
    return {**result, "status": "passed", "text": text, "report": asdict(report)}


def _shown(report: GateReport) -> str:
    if not report.unshown:
        return "every class on both sides of the recommended score"
    return f"no frame shows {', '.join(report.unshown)} the recommended score"


def _show(package: ModelPackage, as_json: bool) -> None:
    manifest = package.manifest
    if as_json:
        content = {"identity": package.identity, "path": str(package.path), **manifest.model_dump(mode="json")}
        typer.echo(json.dumps(content, indent=2))
        return
    target, nms = manifest.input, manifest.nms
    rows = {
        "identity": package.identity,
        "task, family": f"{manifest.task}, {manifest.family}",
        "precision": manifest.precision + (f", made from {manifest.parent}" if manifest.parent else ""),
        "classes": ", ".join(manifest.classes),
        "input": f"{target.width} x {target.height} px, {target.color}, {target.resize}, border {target.border}",
        "candidates": f"{manifest.output.candidates} of {manifest.heads.rows}",
        "nms": f"IoU {nms.iou:g}, {'within a class' if nms.class_aware else 'across classes'}"
        + (f", boxes vote from IoU {nms.vote:g}" if nms.vote is not None else ""),
        "score": f"recommended {manifest.score.recommended:g}, floor {manifest.score.candidate_floor:g}",
        "qualified": ", ".join(f"{q.engine} {q.precision}" for q in manifest.qualified),
        **{f"licence: {what}".replace("_", " "): text for what, text in manifest.licences.model_dump().items()},
    }
    table = Table(show_header=False, box=None)
    for key, value in rows.items():
        table.add_row(key, value)
    Console().print(table)
