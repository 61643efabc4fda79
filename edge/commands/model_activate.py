"""`edge model activate`, `edge model rollback`: another model, with its recipe, for a station that runs."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.commands.control import command
from edge.errors import ControlError

LOOK_S = 0.2

Socket = Annotated[Path, typer.Argument(help="control.path of the station.")]


def activate_command(
    socket: Socket,
    package: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of the model package.")],
    recipe: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="File with the recipe; else the one in force.")
    ] = None,
    engine: Annotated[str, typer.Option(help="auto, onnxruntime, openvino.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, fp16, bf16, int8.")] = "auto",
) -> None:
    """Let a running station judge parts triggered from the change on by another model."""
    print(activate(socket, package, recipe, engine, precision))


def rollback_command(socket: Socket) -> None:
    """Let a running station judge by the model and the recipe that were in force before the last activation."""
    print(command(socket, "rollback")["text"])


def activate(
    socket: Path, package: Path, recipe: Path | None = None, engine: str = "auto", precision: str = "auto"
) -> str:
    """Have the station at ``socket`` load ``package`` and put it in force; return its word once it is.

    Interrupted, it leaves the station to it: ``edge control SOCKET status`` tells the end.

    Raises:
        ControlError: the station cannot be reached, refuses, or keeps the model that it has, and why.
    """
    arguments: dict[str, str] = {"package": str(package.resolve()), "engine": engine, "precision": precision}
    if recipe is not None:
        arguments["recipe"] = str(recipe.resolve())
    begun = command(socket, "activate", **arguments)
    print(begun["text"], file=sys.stderr)
    told: dict[str, Any] = begun["activation"]
    while told["state"] == "loading":
        time.sleep(LOOK_S)
        number, told = told["number"], command(socket, "status").get("activation") or {}
        if told.get("number") != number:
            raise ControlError(
                f"The station at {socket} does not follow this activation any more.",
                "see its log: it restarted, or another model was asked for.",
            )
    if told["state"] == "rolled back":
        raise ControlError(f"{package} was put in force and withdrawn again: {told['text']}", "activate it again.")
    if told["state"] != "active":
        raise ControlError(f"{package} was not activated: {told['text']}", str(told["remedy"]))
    return str(told["text"])
