"""The commands `edge record` and `edge replay`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def record_command(
    path: Annotated[Path, typer.Argument(help="The running station's configuration, station.toml.")],
    out: Annotated[Path, typer.Option(help="A new folder; the station writes it.")],
    parts: Annotated[int, typer.Option(min=1, help="Stop after this many parts.")] = 300,
    max_mb: Annotated[float, typer.Option(min=1, help="Stop at this size; frames are packed afterwards.")] = 1000.0,
    seconds: Annotated[float, typer.Option(min=1, help="Stop after this time.")] = 120.0,
) -> None:
    """Have a running station keep frames, events and verdicts; it goes on inspecting."""
    from rich.console import Console

    from edge import config
    from edge.commands.record import record
    from edge.record.recorder import Bounds

    settings = config.load(path, config.StationConfig)
    with Console(stderr=True).status("Asking the station") as status:
        header = record(settings, out, Bounds(parts, max_mb, seconds), status.update)
    print(f"{out}: {header.parts} parts, {header.frames} frames; {header.dropped} not kept; ended: {header.ended}")
    if header.lead_in_ns is None:
        print("warning: it ended before its lead-in did, and cannot be replayed: record more parts.", file=sys.stderr)


def replay_command(
    folder: Annotated[Path, typer.Argument(help="A folder that `edge record` made.")],
    config: Annotated[Path | None, typer.Option(help="Another station.toml; its recipe holds throughout.")] = None,
    package: Annotated[Path | None, typer.Option(help="Another model package.")] = None,
    engine: Annotated[str, typer.Option(help="Another engine, or auto.")] = "",
    precision: Annotated[str, typer.Option(help="Another precision, or auto.")] = "",
    update: Annotated[bool, typer.Option("--update", help="Accept what comes out as the new reference.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run a recording through the production code and compare each part's verdict with the recorded one."""
    from edge.commands.replay import Changes, run

    report = run(folder, Changes(config, package, engine, precision), update)
    print(json.dumps(report.as_dict(), indent=1) if as_json else report)
    report.refuse()
