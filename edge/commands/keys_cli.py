"""`edge keys`: key pairs of gateways and stations, and the gateway's allow-list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from edge.errors import ConfigError
from edge.wire.allow import Binding, change_allowed, read_allowed
from edge.wire.keys import generate, read_public, write_pair

app = typer.Typer(
    help="Keys of a signal path that leaves its host: who may speak to a gateway, for which station and lane.",
    no_args_is_help=True,
)

AllowFile = Annotated[Path, typer.Argument(help="The gateway's allow-list, security.allow.")]
Public = Annotated[Path, typer.Argument(help="A public key file, NAME.pub.")]


@app.command("new")
def new_command(
    name: Annotated[str, typer.Argument(help="Of the gateway or station that will use the key.")],
    out: Annotated[Path, typer.Option(help="Folder for NAME.key and NAME.pub.")] = Path("."),
) -> None:
    """Make a key pair.  NAME.key stays where it is used and is read by its process alone; NAME.pub may be shown."""
    secret, public = write_pair(generate(), name, out)
    print(f"{secret}  secret, mode 0600: security.key of {name}")
    print(f"{public}  for the other end: `edge keys allow` at the gateway, security.server_key at a station")


@app.command("allow")
def allow_command(
    path: AllowFile,
    public: Public,
    station: Annotated[str, typer.Option(help="The station's name, as in its station.toml.")],
    lane: Annotated[int, typer.Option(min=0, max=255, help="Its lane.")],
) -> None:
    """Let a key speak for one station on one lane.  A running gateway takes it up at once."""
    print(allow(path, read_public(public), station, lane))


@app.command("revoke")
def revoke_command(path: AllowFile, public: Public) -> None:
    """Take a key's rights.  A running gateway drops its messages from then on, of connections that stand as well."""
    print(revoke(path, read_public(public)))


@app.command("list")
def list_command(
    path: AllowFile, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Show who may speak."""
    bindings = sorted(read_allowed(path).bindings, key=lambda b: (b.lane, b.station, b.key))
    if as_json:
        print(json.dumps({"allow": [{"key": b.key, "station": b.station, "lane": b.lane} for b in bindings]}, indent=1))
    else:
        print("\n".join(f"{b.key}  lane {b.lane:<3}  {b.station}" for b in bindings) or "Nobody may speak.")


def allow(path: Path, key: str, station: str, lane: int) -> str:
    """Add a binding, or replace that of the same key; return what was done.

    Raises:
        ConfigError: the file cannot be read or written.
    """
    wanted = Binding(key, station, lane)
    change_allowed(path, lambda bindings: [*(b for b in bindings if b.key != key), wanted])
    return f"{path}: {key} may speak for station {station}, lane {lane}."


def revoke(path: Path, key: str) -> str:
    """Remove a key's binding; return what was done.

    Raises:
        ConfigError: the key is not listed, or the file cannot be read or written.
    """

    def without(bindings: tuple[Binding, ...]) -> list[Binding]:
        kept = [b for b in bindings if b.key != key]
        if len(kept) == len(bindings):
            raise ConfigError(f"{path} does not list {key}.", f"see `edge keys list {path}`.")
        return kept

    change_allowed(path, without)
    return f"{path}: {key} may speak no more."
