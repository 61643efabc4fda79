"""`edge challenge`: known pieces over the running line, and the signed records of that."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from edge.commands.control import command
from edge.errors import ChallengeError
from edge.record.challenge import Entry, RunSummary, read_entry, read_runs
from edge.record.challenge_heads import KIND, head_of
from edge.record.challenge_keys import Verifier, write_pair
from edge.record.challenge_verify import Verified, verify
from edge.record.journal.reader import Folder as Journal
from edge.wire.messages import ChallengePiece, ChallengeStatus

app = typer.Typer(
    help="Challenge parts: known defective pieces must be rejected, known good ones passed, and the gate must show it.",
    no_args_is_help=True,
)

LOOK_S = 0.5
"""How often `status --follow` asks; the station's own word is a second old at most."""

Socket = Annotated[Path, typer.Argument(help="The station's control socket, control.path.")]
Folder = Annotated[Path, typer.Argument(help="The station's challenge.folder.")]
Operator = Annotated[str, typer.Option(help="Who is responsible; without it, the account that commands.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("start")
def start_command(
    socket: Socket,
    operator: Operator = "",
    note: Annotated[str, typer.Option(help="For the record, such as why it is made now.")] = "",
) -> None:
    """Hold the infeed and begin a challenge; `status --follow` says what to do next."""
    print(command(socket, "challenge", action="start", operator=operator, note=note)["text"])


@app.command("returned")
def returned_command(
    socket: Socket,
    operator: Operator = "",
    missing: Annotated[list[str] | None, typer.Option(help="A piece that was not found again.")] = None,
) -> None:
    """Say that all pieces are back from both sides of the gate, which ends the challenge."""
    names = ",".join(missing or [])
    print(command(socket, "challenge", action="returned", operator=operator, missing=names)["text"])


@app.command("abort")
def abort_command(socket: Socket, operator: Operator = "") -> None:
    """Give the challenge up.  It stays due, and what was wrong until now stays wrong."""
    print(command(socket, "challenge", action="abort", operator=operator)["text"])


@app.command("status")
def status_command(
    socket: Socket,
    follow: Annotated[bool, typer.Option(help="Go on until the challenge that runs has ended.")] = False,
    as_json: Json = False,
) -> None:
    """Say how far a challenge is, what is due, and how the last one ended."""
    for status in _statuses(socket, follow):
        print(json.dumps(msgspec.to_builtins(status)) if as_json else render_status(status), flush=True)


@app.command("list")
def list_command(
    folder: Folder,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List challenges that ended or were skipped; see `verify` for whether the records can be trusted."""
    runs = read_runs(folder, limit)
    print(json.dumps([asdict(run) for run in runs], indent=1) if as_json else "\n".join(map(render_run, runs)))


@app.command("show")
def show_command(
    folder: Folder, number: Annotated[int, typer.Argument(min=1, help="Of the record.")], as_json: Json = False
) -> None:
    """Show one record."""
    entry = read_entry(folder, number)
    print(json.dumps(msgspec.to_builtins(entry), indent=1) if as_json else render_entry(entry))


@app.command("verify")
def verify_command(
    folder: Folder,
    key: Annotated[list[Path], typer.Option(help="Public key file; again for each key that was ever used.")],
    head: Annotated[str, typer.Option(help="NUMBER:SHA256 of a record, as noted elsewhere, that must be there.")] = "",
    journal: Annotated[
        Path | None, typer.Option(help="The station's journal: all that it noted must be there.")
    ] = None,
    allow_empty: Annotated[bool, typer.Option(help="No record is no problem: the line is new.")] = False,
    as_json: Json = False,
) -> None:
    """Find every change, deletion and reordering of the records."""
    noted = [head] if head else []
    if journal is not None:
        noted += [head_of(event.data) for event in Journal(journal).events() if event.kind == KIND]
    found = verify(folder, Verifier(key), noted, allow_empty)
    print(json.dumps(asdict(found), indent=1) if as_json else render_verified(found))
    if found.problems:
        raise ChallengeError(f"{folder} has {len(found.problems)} problems.", "treat these records as not trusted.")


@app.command("key")
def key_command(
    path: Annotated[Path, typer.Argument(help="Private key file to make; its public one goes beside.")],
) -> None:
    """Make the key pair that signs the records."""
    public, fingerprint = write_pair(path)
    print(f"{path}  private, mode 0600: challenge.key of the station")
    print(f"{public}  public, {fingerprint}: keep a copy where the station's users cannot change it, for `verify`")


def _statuses(socket: Path, follow: bool) -> Iterator[ChallengeStatus]:
    """Yield the status, and where it is followed, each that shows something new until no challenge runs."""
    shown: ChallengeStatus | None = None
    while True:
        details = command(socket, "status").get("challenge")
        if details is None:
            raise ChallengeError("No challenge is configured there.", "see docs/challenge.md, [challenge].")
        status = msgspec.convert(details, ChallengeStatus)
        if shown is None or (status.phase, status.pieces, status.last) != (shown.phase, shown.pieces, shown.last):
            yield status
            shown = status
        if not follow or not status.phase:
            return
        time.sleep(LOOK_S)


def render_status(status: ChallengeStatus) -> str:
    """Return a status for a terminal."""
    lines = [status.text or ("A challenge is due." if status.due else "No challenge is due.")]
    lines += [f"  due: {text}" for text in status.due.values()]
    if status.hours_left is not None and not status.due:
        lines.append(f"  due in {status.hours_left:.2f} h of running")
    lines += [f"  {_piece(piece)}" for piece in status.pieces]
    if status.last is not None:
        last = status.last
        lines.append(f"  last: {_when(last.wall_ms)}  {last.result.upper()}  {last.operator}  record {last.number}")
    if status.problem:
        lines.append(f"  NO RECORD: {status.problem}")
    return "\n".join(lines)


def _piece(piece: ChallengePiece) -> str:
    word = {None: "-", True: "ok", False: "WRONG"}[piece.ok]
    part = "" if piece.part is None else f"part {piece.part}"
    seen = "  ".join(text for text in (part, piece.outcome, piece.gate, piece.sensor, *piece.faults) if text)
    return f"{word:5}  {piece.name:16} must {piece.expect:6}  {seen}".rstrip()


def render_run(run: RunSummary) -> str:
    """Return one challenge as a line."""
    pieces = f"{run.pieces_ok}/{run.pieces} pieces"
    head = f"{run.number:>8}  {_when(run.wall_ms)}  {run.result.upper():11}  {pieces:13}  {run.operator}".rstrip()
    return "\n".join([head, *(f"          {fault}" for fault in run.faults)])


def render_entry(entry: Entry) -> str:
    """Return one record for a terminal."""
    rows: dict[str, Any] = {
        "record": entry.number,
        "kind": entry.kind,
        "written": entry.wall,
        "station": f"{entry.station}, lane {entry.lane}",
        "sha256": entry.sha256(),
        "previous": entry.previous,
        "key": entry.key,
        **entry.data,
    }
    lines = []
    for name, value in rows.items():
        if isinstance(value, list) and value:
            lines += [f"{name}:", *(f"  {_pairs(item)}" if isinstance(item, dict) else f"  {item}" for item in value)]
        else:
            lines.append(f"{name:13} {_pairs(value) if isinstance(value, dict) else value}")
    return "\n".join(lines)


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value not in ("", [], None))


def render_verified(found: Verified) -> str:
    """Return what a verification came to."""
    good = f"{found.entries} records, unchanged and complete up to {found.head}." if found.entries else "No records."
    return "\n".join(found.problems) if found.problems else good


def _when(wall_ms: int) -> str:
    return datetime.fromtimestamp(wall_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
