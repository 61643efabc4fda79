"""`edge control`: a command to a running gateway or station, over its control socket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.core.modes import Mode
from edge.errors import ControlError
from edge.wire import control

app = typer.Typer(help="Commands to a running gateway or station.", no_args_is_help=True)


@app.callback()
def socket_argument(
    context: typer.Context,
    socket: Annotated[Path, typer.Argument(help="control.path of the gateway or the station.")],
) -> None:
    """Commands to a running gateway or station, over its control socket; each is recorded there."""
    context.obj = socket


@app.command("mode")
def mode_command(context: typer.Context, mode: Annotated[Mode, typer.Argument(help="The new mode.")]) -> None:
    """Change the gateway's mode."""
    print(render(command(context.obj, "mode", mode=mode.value)))


@app.command("reset")
def reset_command(context: typer.Context) -> None:
    """Clear the gateway's latched faults, once their causes are gone."""
    print(render(command(context.obj, "reset")))


@app.command("recipe")
def recipe_command(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The file with the new recipe.")],
) -> None:
    """Let the station judge parts triggered from now on by another recipe."""
    print(render(command(context.obj, "recipe", path=str(path.resolve()))))


@app.command("health")
def health_command(
    context: typer.Context,
    action: Annotated[
        str,
        typer.Argument(
            help="reference: the next pictures become the camera's reference. clear: forget what was measured, and let "
            "parts in again. relearn: learn the baseline of rejects and scores anew."
        ),
    ],
) -> None:
    """Take the station's camera reference, end what its health holds, or learn its baseline anew."""
    print(render(command(context.obj, "health", action=action)))


@app.command("status")
def status_command(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Ask a gateway or a station how it is."""
    answer = command(context.obj, "status")
    print(json.dumps(answer, indent=1) if as_json else render(answer))


@app.command("trace")
def trace_command(context: typer.Context) -> None:
    """Write the last events of every thread of a gateway or a station, to be looked at in ui.perfetto.dev."""
    print(render(command(context.obj, "trace")))


def command(socket: Path, name: str, /, **arguments: control.Scalar) -> dict[str, Any]:
    """Send a command and return the answer to it.

    Raises:
        ControlError: it could not be delivered, or was refused.
    """
    answer = control.request(socket, name, **arguments)
    if not answer["ok"]:
        remedy = answer.get("remedy") or f"see `edge control {socket} status`."
        raise ControlError(f"{socket} refused {name!r}: {answer['text']}", str(remedy))
    return answer


def render(answer: dict[str, Any]) -> str:
    """Return an answer as text for a terminal: its text, then a line for each further key."""
    rows = {key: value for key, value in answer.items() if key not in ("ok", "text")}
    width = max(map(len, rows), default=0)
    lines = [str(answer["text"])] if answer["text"] else []
    for key, value in rows.items():
        if isinstance(value, dict):
            lines += [f"{key}:", *(f"  {name}: {text}" for name, text in value.items())] if value else [f"{key}: none"]
        else:
            lines.append(f"{key:<{width}}  {value}")
    return "\n".join(lines)
