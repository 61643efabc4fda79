"""`edge bench`: each command measures one thing on this machine, and prints what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import typer

from edge import config

app = typer.Typer(help="Measurements on this machine.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


class _Report(Protocol):
    """What a measurement with a target returns."""

    @property
    def holds(self) -> bool:
        """True where the target is met."""

    def as_dict(self) -> dict[str, Any]:
        """Return the measurement as plain values."""


_Measured = TypeVar("_Measured", bound=_Report)


def _chosen(path: Path | None) -> config.StationConfig:
    from edge.commands import bench

    return config.load(path, config.StationConfig) if path else bench.default_config()


def _conclude(report: _Measured, render: Callable[[_Measured], str], as_json: bool) -> None:
    """Print a measurement, and exit 1 where it misses its target."""
    print(json.dumps(report.as_dict(), indent=1) if as_json else render(report))
    if not report.holds:
        raise typer.Exit(1)


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

    with Console(stderr=True).status("Measuring") as status:
        report = bench.overhead(_chosen(path), parts, status.update)
    print(json.dumps(report.as_dict(), indent=1) if as_json else bench.render(report))


@app.command("plc")
def plc_command(
    path: Annotated[Path | None, typer.Option("--config", help="A station's configuration.")] = None,
    blocks: Annotated[int, typer.Option(min=2, help="Blocks of each fault.")] = 6,
    parts: Annotated[int, typer.Option(min=10, help="Parts of each block.")] = 250,
    as_json: Json = False,
) -> None:
    """Measure what a PLC that is down, slow or refusing adds to the time of a verdict.  Exits 1 where it is 1 ms."""
    from edge.commands import bench_effects, bench_plc

    _conclude(bench_plc.measure(_chosen(path), blocks, parts), bench_effects.render, as_json)


@app.command("gateway")
def bench_gateway_command(
    parts: Annotated[int, typer.Option(min=10, help="Parts to take through it.")] = 1_000_000,
    as_json: Json = False,
) -> None:
    """Measure whether the gateway's memory stays flat over many parts.  Exits 1 where it grows by more than 1 MB."""
    from edge.commands import bench_gateway

    _conclude(bench_gateway.measure(parts), bench_gateway.render, as_json)


@app.command("journal")
def journal_command(
    path: Annotated[Path | None, typer.Option("--config", help="A station's configuration.")] = None,
    blocks: Annotated[int, typer.Option(min=2, help="Blocks of each fault.")] = 6,
    parts: Annotated[int, typer.Option(min=10, help="Parts of each block.")] = 250,
    as_json: Json = False,
) -> None:
    """Measure what a full or stalled journal, or a hung monitor, adds to a verdict.  Exits 1 where it is 1 ms."""
    from edge.commands import bench_effects, bench_journal

    _conclude(bench_journal.measure(_chosen(path), blocks, parts), bench_effects.render, as_json)


@app.command("monitor")
def monitor_command(
    path: Annotated[Path | None, typer.Option("--config", help="A station's configuration.")] = None,
    blocks: Annotated[int, typer.Option(min=2, help="Blocks with viewers.")] = 8,
    parts: Annotated[int, typer.Option(min=10, help="Parts of each block.")] = 400,
    as_json: Json = False,
) -> None:
    """Measure what five viewers and a scrape a second add to a verdict's time.  Exits 1 where a target is missed."""
    from edge.commands import bench_monitor

    _conclude(bench_monitor.measure(_chosen(path), blocks, parts), bench_monitor.render, as_json)


@app.command("handover")
def handover_command(
    path: Annotated[Path | None, typer.Option("--config", help="A station's configuration.")] = None,
    messages: Annotated[int, typer.Option(min=100, help="On each way.")] = 4000,
    as_json: Json = False,
) -> None:
    """Measure the way of a verdict to the gateway, over TCP with CURVE, beside bare sockets.  Exits 1 on a miss."""
    from edge.commands import bench_handover

    _conclude(bench_handover.measure(_chosen(path), messages), bench_handover.render, as_json)


@app.command("precision")
def precision_command(
    packages: Annotated[list[Path], typer.Argument(help="Model packages: the one in FP32, and those made from it.")],
    width: Annotated[int, typer.Option(min=1, help="Of the frames, px.")] = 200,
    height: Annotated[int, typer.Option(min=1, help="Of the frames, px.")] = 200,
    threads: Annotated[int, typer.Option(min=0, help="Of each engine; 0 leaves it to the library.")] = 2,
    blocks: Annotated[int, typer.Option(min=2, help="Of each engine, in alternation.")] = 20,
    as_json: Json = False,
) -> None:
    """Measure one frame at each precision, engines in processes of their own.  Exits 1 on a miss."""
    from edge.commands import bench_precision

    wanted = bench_precision.pairs(packages)
    _conclude(bench_precision.measure(wanted, width, height, threads, blocks), bench_precision.render, as_json)
