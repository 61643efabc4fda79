"""`edge train RECIPE.toml [--out DIR] [--resume]`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from edge import errors
from edge.training.recipe import load_recipe


def train_command(recipe: Path, out: Path | None, resume: bool) -> None:
    """Trains the recipe into `out`, or out/NAME, exports its `raw.onnx` and prints the validation figures, if any."""
    try:
        from edge.training.export import export
        from edge.training.train import train
    except ModuleNotFoundError as error:
        raise errors.MissingExtra(error.name or "torch", "train") from error

    parsed = load_recipe(recipe)
    out = out or Path("out") / parsed.name
    quality = train(parsed, out, resume)
    target = export(parsed, out)
    console = Console()
    if quality is None:
        console.print(f"wrote {target}; no validation figures, as the recipe trains on everything")
        return
    table = Table("class", "boxes", "AP@0.5", "AP@0.5:0.95")
    for cls, value in quality.ap50.items():
        table.add_row(cls, str(quality.boxes[cls]), f"{value:.3f}", f"{quality.ap[cls]:.3f}")
    console.print(table)
    figures = f"mAP@0.5 {quality.map50:.3f}, mAP@0.5:0.95 {quality.map:.3f} on {quality.images} pictures"
    console.print(f"{figures}; wrote {target}")
