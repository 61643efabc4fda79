"""The command line of `edge model evaluate`."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Measure(str, Enum):
    """What the size of a box is."""

    SQRT_AREA = "sqrt_area"
    LONGER_SIDE = "longer_side"


def evaluate_command(
    package: Annotated[Path, typer.Argument(help="Folder of the model package.")],
    dataset: Annotated[Path, typer.Option(help="Folder of the data set.")],
    format: Annotated[str, typer.Option(help="auto, voc, coco, yolo or folders.")] = "auto",
    engine: Annotated[str, typer.Option(help="auto, onnxruntime or openvino.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, or one that the package is qualified for.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="Threads of the engine; 0 leaves it to the library.")] = 0,
    score: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="From which a finding rejects; else the recipe's or package's."),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="File whose rules decide; else any finding rejects.")] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share of defective parts on the line, for escapes per million."),
    ] = None,
    scale_mm_per_px: Annotated[
        float | None, typer.Option(min=1e-6, help="Gives sizes in mm; else the recipe's mm_per_px, or sizes are in px.")
    ] = None,
    size: Annotated[Measure, typer.Option(help="Size of a box, for the probability of detection.")] = Measure.SQRT_AREA,
    repeat: Annotated[int, typer.Option(min=0, help="Pictures on which repeatability is tried.")] = 100,
    audit: Annotated[
        Path | None,
        typer.Option(help="LEAKAGE.json of the data set: the interval draws overlapping pictures together."),
    ] = None,
    good: Annotated[
        str, typer.Option(help="Folders of defect-free pictures in a folder of classes, with commas between.")
    ] = "free,good,ok",
    out: Annotated[
        Path | None, typer.Option(help="Folder for plots, the sweep as CSV, and everything as JSON.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure a model on a data set: precision of boxes, escapes, overkill, repeatability, detection against size."""
    from rich.console import Console
    from rich.progress import Progress

    from edge.commands import model_evaluate, model_evaluate_report

    request = model_evaluate.Request(
        package, dataset, format, engine, precision, threads, score, recipe, prevalence, scale_mm_per_px, size.value,
        repeat, audit, tuple(name.strip() for name in good.split(",")),
    )  # fmt: skip
    if out is not None:
        model_evaluate_report.make_folder(out)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total)

        evaluation = model_evaluate.evaluate(request, progress)
    written = model_evaluate_report.write(evaluation, out) if out is not None else []
    if as_json:
        print(json.dumps(model_evaluate_report.as_dict(evaluation), indent=2))
        return
    model_evaluate_report.show(evaluation, Console(markup=False))
    for path in written:
        print(f"wrote {path}")
