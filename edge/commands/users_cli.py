"""`edge users`: who may log in to the monitor's pages."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from edge.errors import MissingExtra

app = typer.Typer(help="Users of the dashboard: who may mark parts and acknowledge alarms.", no_args_is_help=True)

File = Annotated[Path, typer.Option("--file", help="The monitor's file of users, `users` in monitor.toml.")]
Name = Annotated[str, typer.Argument(help="Of the user, as it stands beside marks and acknowledgements.")]


@app.command("add")
def add_command(name: Name, file: File) -> None:
    """Add a user, or change a password.  It is asked for, or read from standard input where that is no terminal."""
    users = _users()
    new = users.add(file, name, _password(name))
    print(f"{file}: {name} {'may log in' if new else 'has a new password'}; a running monitor knows it at once.")


@app.command("list")
def list_command(
    file: File, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Show who may log in."""
    names = sorted(_users().read(file))
    print(json.dumps({"users": names}) if as_json else "\n".join(names) or "Nobody may log in.")


@app.command("remove")
def remove_command(name: Name, file: File) -> None:
    """Remove a user; whoever is logged in under that name is out at once."""
    _users().remove(file, name)
    print(f"{file}: {name} may log in no more.")


def _users() -> ModuleType:
    try:
        from edge.monitor.web import users
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "argon2", "monitor") from None
    return users


def _password(name: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password: str = typer.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True)
    return password
