"""The options of `edge soak`."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

EXIT_FAILED = 20


def soak_command(
    parts: Annotated[int, typer.Option(min=100, help="Plates.")] = 100_000,
    rate: Annotated[float, typer.Option(min=1, help="Plates a second; `edge check` refuses what cannot hold.")] = 150.0,
    seed: Annotated[int, typer.Option(min=0, max=999_999, help="Of plates and faults.")] = 1,
    fault_every: Annotated[float, typer.Option(min=0, help="Mean time between faults, s; 0: none.")] = 3.0,
    keep_gb: Annotated[float, typer.Option(min=0.01, help="Bound of each journal, filled before.")] = 0.2,
    out: Annotated[Path | None, typer.Option(help="Keep logs, journals and the referee's records here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run real processes in fast motion under random faults, and ask the referee.  Exits 20 unless all holds."""
    from rich.console import Console

    from edge.commands.soak import soak
    from edge.commands.soak_plan import Plan
    from edge.commands.soak_result import render

    _leave_on_signals()
    with Console(stderr=True).status("Starting") as status:
        report = soak(Plan(parts, rate, seed, fault_every, keep_gb, out), status.update)
    if as_json:
        print(json.dumps(report.as_dict(), indent=1))
    else:
        Console().print(*render(report))
    if report.problems:
        raise typer.Exit(EXIT_FAILED)


def _leave_on_signals() -> None:
    """Let SIGTERM and SIGHUP end the soak as Ctrl-C does: all that it started is ended, and every mount given back.

    The first one is enough: a second changes nothing.
    """

    def leave(number: int, _: object) -> None:
        for each in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
