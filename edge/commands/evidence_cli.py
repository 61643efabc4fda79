"""The options of `edge evidence`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from edge.commands import evidence, evidence_export
from edge.commands.journal import parse_time
from edge.record.evidence.reader import Evidence

app = typer.Typer(help="Pictures that stations keep: see docs/evidence.md.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="evidence.folder of a station.")]
Since = Annotated[str | None, typer.Option(help="From this time on: 2026-11-22T06:00 (UTC), or an age: 90m, 12h, 7d.")]
Until = Annotated[str | None, typer.Option(help="Before this time.")]
Class = Annotated[str, typer.Option("--class", help="Of the strongest finding.")]
Outcome = Annotated[str, typer.Option(help="PASS, REJECT or NO_DECISION.")]
Reason = Annotated[str, typer.Option(help="reject, no_decision, near, sample or challenge.")]
Limit = Annotated[int | None, typer.Option(min=1, help="The newest so many.")]
Marks = Annotated[Path | None, typer.Option("--annotations", help="The monitor's file of people's marks.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _wanted(since: str | None, until: str | None, cls: str, outcome: str, reason: str) -> evidence.Wanted:
    evidence.check_words(outcome, reason)
    times = [None if text is None else parse_time(text) for text in (since, until)]
    return evidence.Wanted(times[0], times[1], cls, outcome, reason)


@app.command("list")
def list_command(
    folder: Folder,
    since: Since = None,
    until: Until = None,
    cls: Class = "",
    outcome: Outcome = "",
    reason: Reason = "",
    limit: Limit = 60,
    as_json: Json = False,
) -> None:
    """List pictures, newest first; with --json one object a line."""
    wanted = _wanted(since, until, cls, outcome, reason)
    if not as_json:
        print(evidence.HEADING)
    for picture in evidence.pictures(Evidence(folder), wanted, limit):
        print(evidence.as_json(picture) if as_json else evidence.render(picture))


@app.command("show")
def show_command(
    folder: Folder,
    which: Annotated[str, typer.Argument(help="Id of the picture, or SESSION/PART.")],
    marks: Marks = None,
) -> None:
    """Print all that is known of a picture, as JSON."""
    reader = Evidence(folder)
    print(json.dumps(evidence.shown(reader, evidence.named(reader, which), evidence.marks_of(marks)), indent=1))


@app.command("export")
def export_command(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="The data set's folder, to be made.")],
    marks: Marks = None,
    unmarked: Annotated[
        bool, typer.Option("--unmarked", help="Take the network's word where nobody has marked a part.")
    ] = False,
    since: Since = None,
    until: Until = None,
    cls: Class = "",
    outcome: Outcome = "",
    reason: Reason = "",
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Write a labelled data set (COCO) that `edge train` reads, people's right-or-wrong marks included."""
    wanted = _wanted(since, until, cls, outcome, reason)
    done = evidence_export.export(folder, out, wanted, marks, unmarked, limit)
    print(json.dumps(asdict(done), indent=1) if as_json else evidence_export.render(out, done))


@app.command("verify")
def verify_command(folder: Folder, as_json: Json = False) -> None:
    """Compare every picture with its SHA-256, and the files with the index."""
    verified = evidence.verify(folder)
    if as_json:
        print(json.dumps(asdict(verified), indent=1))
    else:
        print(*verified.problems, f"{verified.pictures} pictures, {len(verified.problems)} problems", sep="\n")
    verified.refuse()
