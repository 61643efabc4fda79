"""`edge bench`: each command measures one thing on this machine, and prints what came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from edge import config

app = typer.Typer(help="Measurements on this machine.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.callback()
def bench_group() -> None:
    """Measurements on this machine."""


@app.command("overhead")
def overhead_command(
    path: Annotated[Path | None, typer.Option("--config", help="A station's configuration.")] = None,
    parts: Annotated[int, typer.Option(min=1, help="Parts of the run that watches memory.")] = 2000,
    as_json: Json = False,
) -> None:
    """Measure what the station adds to the bare engine call, and keep this machine's qualified times."""
    from rich.console import Console

    from edge.commands import bench

    chosen = config.load(path, config.StationConfig) if path else bench.default_config()
    with Console(stderr=True).status("Measuring") as status:
        report = bench.overhead(chosen, parts, status.update)
    print(json.dumps(report.as_dict(), indent=1) if as_json else bench.render(report))


@app.command("plc")
def plc_command(
    path: Annotated[Path | None, typer.Option("--config", help="A station's configuration.")] = None,
    blocks: Annotated[int, typer.Option(min=2, help="Blocks of each fault.")] = 6,
    parts: Annotated[int, typer.Option(min=10, help="Parts of each block.")] = 250,
    as_json: Json = False,
) -> None:
    """Measure what a PLC that is down, slow or refusing adds to the time of a verdict.  Exits 1 where it is 1 ms."""
    from edge.commands import bench, bench_effects, bench_plc

    chosen = config.load(path, config.StationConfig) if path else bench.default_config()
    report = bench_plc.measure(chosen, blocks, parts)
    print(json.dumps(report.as_dict(), indent=1) if as_json else bench_effects.render(report))
    if not report.holds:
        raise typer.Exit(1)


@app.command("gateway")
def bench_gateway_command(
    parts: Annotated[int, typer.Option(min=10, help="Parts to take through it.")] = 1_000_000,
    as_json: Json = False,
) -> None:
    """Measure whether the gateway's memory stays flat over many parts.  Exits 1 where it grows by more than 1 MB."""
    from edge.commands import bench_gateway

    report = bench_gateway.measure(parts)
    print(json.dumps(report.as_dict(), indent=1) if as_json else bench_gateway.render(report))
    if not report.holds:
        raise typer.Exit(1)


@app.command("journal")
def journal_command(
    path: Annotated[Path | None, typer.Option("--config", help="A station's configuration.")] = None,
    blocks: Annotated[int, typer.Option(min=2, help="Blocks of each fault.")] = 6,
    parts: Annotated[int, typer.Option(min=10, help="Parts of each block.")] = 250,
    as_json: Json = False,
) -> None:
    """Measure what a full or stalled journal, or a hung monitor, adds to a verdict.  Exits 1 where it is 1 ms."""
    from edge.commands import bench, bench_effects, bench_journal

    chosen = config.load(path, config.StationConfig) if path else bench.default_config()
    report = bench_journal.measure(chosen, blocks, parts)
    print(json.dumps(report.as_dict(), indent=1) if as_json else bench_effects.render(report))
    if not report.holds:
        raise typer.Exit(1)


@app.command("handover")
def handover_command(
    path: Annotated[Path | None, typer.Option("--config", help="A station's configuration.")] = None,
    messages: Annotated[int, typer.Option(min=100, help="On each way.")] = 4000,
    as_json: Json = False,
) -> None:
    """Measure the way of a verdict to the gateway, over TCP with CURVE, beside bare sockets.  Exits 1 on a miss."""
    from edge.commands import bench, bench_handover

    chosen = config.load(path, config.StationConfig) if path else bench.default_config()
    report = bench_handover.measure(chosen, messages)
    print(json.dumps(report.as_dict(), indent=1) if as_json else bench_handover.render(report))
    if not report.holds:
        raise typer.Exit(1)
