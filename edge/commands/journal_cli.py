"""The options of `edge journal`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from edge.commands import journal
from edge.record.journal.reconcile import reconcile
from edge.record.journal.records import Filter

EXIT_NOT_RECONCILED = 20

app = typer.Typer(help="What the journals of station and gateway recorded.", no_args_is_help=True)

Folders = Annotated[list[Path], typer.Argument(help="journal.folder of a station, of its gateway, or both.")]
Since = Annotated[str | None, typer.Option(help="From this time on: 2026-11-22T06:00 (UTC), or an age: 90m, 12h, 7d.")]
Until = Annotated[str | None, typer.Option(help="Before this time.")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Outcome = Annotated[str | None, typer.Option(help="PASS, REJECT or NO_DECISION.")]
Cause = Annotated[str | None, typer.Option(help="As in docs/signal.md: rule, frame_missing, ...")]
Part = Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Number of the part.")]
Session = Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Of the station; 0 for parts without one.")]
Recipe = Annotated[str | None, typer.Option(help="Name of the recipe.")]


def _filter(
    since: str | None,
    until: str | None,
    outcome: str | None = None,
    cause: str | None = None,
    part: int | None = None,
    session: int | None = None,
    recipe: str | None = None,
) -> Filter:
    times = [None if text is None else journal.parse_time(text) for text in (since, until)]
    return Filter(times[0], times[1], outcome, cause, part, session, recipe)


@app.command("list")
def list_command(
    folders: Folders,
    since: Since = None,
    until: Until = None,
    outcome: Outcome = None,
    cause: Cause = None,
    part: Part = None,
    session: Session = None,
    recipe: Recipe = None,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """List parts; with the folders of a station and its gateway, one line a part from T0 to T6."""
    wanted = _filter(since, until, outcome, cause, part, session, recipe)
    found = journal.parts(folders, wanted, limit)
    if not as_json:
        print(journal.HEADING)
    for line in found:
        print(journal.as_json(line) if as_json else journal.render(line))


@app.command("events")
def events_command(
    folders: Folders,
    since: Since = None,
    until: Until = None,
    kind: Annotated[str | None, typer.Option(help="started, session, alarm, command, missing, ...")] = None,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """List what happened to the processes and the line."""
    for row in journal.events(folders, _filter(since, until), kind, limit):
        print(journal.as_json(row) if as_json else journal.render_event(row))


@app.command("export")
def export_command(
    folders: Folders,
    out: Annotated[Path, typer.Option(help="The file, .csv or .parquet; Parquet needs the extra `parquet`.")],
    since: Since = None,
    until: Until = None,
    outcome: Outcome = None,
    cause: Cause = None,
    part: Part = None,
    session: Session = None,
    recipe: Recipe = None,
    limit: Limit = None,
) -> None:
    """Write parts to a file, the same as `list` shows."""
    wanted = _filter(since, until, outcome, cause, part, session, recipe)
    print(f"{out}: {journal.export(journal.parts(folders, wanted, limit), out)} parts")


@app.command("reconcile")
def reconcile_command(
    station: Annotated[Path, typer.Argument(help="journal.folder of the station.")],
    gateway: Annotated[Path, typer.Argument(help="journal.folder of its gateway.")],
    since: Since = None,
    until: Until = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Join what station, gateway and PLC know of every part; exit with 20 if anything is left over."""
    result = reconcile(station, gateway, _filter(since, until))
    if as_json:
        print(json.dumps(journal.reconciliation_as_dict(result), indent=1))
    else:
        print(journal.render_reconciliation(result))
    if not result.reconciled:
        raise typer.Exit(EXIT_NOT_RECONCILED)


@app.command("check")
def check_command(
    folder: Annotated[Path, typer.Argument(help="journal.folder of a station or a gateway.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Examine every file of a journal for damage."""
    checked = journal.check(folder)
    if as_json:
        print(json.dumps(msgspec.to_builtins(checked), indent=1))
    else:
        for one in checked:
            rows = ", ".join(f"{number} {table}" for table, number in one.rows.items() if number)
            print(f"{one.file:32} {one.bytes / 1e6:9.1f} MB  {one.problem or 'ok'}  {rows}")
    journal.refuse(checked)
