"""The configurations of a line, made of the examples: their texts, with the line's own paths in them.  Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import PurePosixPath

from edge.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_HEADER = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_.-]+)\s*\]\]?")
_KEY = re.compile(r"#?\s*([A-Za-z0-9_]+)\s*=\s*(\"[^\"]*\"|[^#]*?)\s*(#.*)?$")
_KEY_FILE = re.compile(r"/etc/edge/(station|gateway)-\d+\.(key|pub)")
_SOCKET = re.compile(r"/run/edge/(station|gateway)[.-]([a-z]+)")
_PATH = re.compile(r"(/etc/edge|/var/lib/edge)/(?=[a-z])")

Values = Mapping[tuple[str, str], "str | int"]
"""By (table, key); "" is the top."""


class Places:
    """Where everything of one line lies.

    Args:
        line: its name.
    """

    def __init__(self, line: str) -> None:
        self.line = line
        self.settings = PurePosixPath("/etc/edge") / line
        self.keys = self.settings / "keys"
        self.state = PurePosixPath("/var/lib/edge") / line
        self.of_station = PurePosixPath("/run/edge") / f"{line}-station"  # RuntimeDirectory= of the units
        self.of_gateway = PurePosixPath("/run/edge") / f"{line}-gateway"


def station(text: str, places: Places, models: PurePosixPath) -> str:
    """Return `station.toml` of a line, made of the example ``text``; the shipped packages lie in ``models``."""
    return _made(text, places, _of_station(places, models))


def gateway(text: str, places: Places) -> str:
    """Return `gateway.toml` of a line, made of the example ``text``."""
    return _made(text, places, _of_gateway(places))


def monitor(text: str, places: Places, port: int) -> str:
    """Return `monitor.toml` of a line, made of the example ``text``."""
    return _made(text, places, _of_monitor(places, port))


def _of_station(places: Places, models: PurePosixPath) -> Values:
    return {
        ("", "name"): f"station-{places.line}",
        ("model", "package"): str(models / "sim-strip"),
        ("gateway", "endpoint"): f"ipc://{places.of_gateway}/link",
        ("control", "path"): f"{places.of_station}/control",
        ("control", "record"): f"{places.state}/station/commands.jsonl",
        ("telemetry", "endpoint"): f"ipc://{places.of_station}/telemetry",
        ("telemetry", "mode"): "0660",
        ("journal", "folder"): f"{places.state}/station/journal",
        ("flight", "folder"): f"{places.state}/flight",
        ("health", "folder"): f"{places.state}/health",
        ("evidence", "folder"): f"{places.state}/evidence",
        ("evidence", "live"): f"ipc://{places.of_station}/live",
        ("evidence", "mode"): "0660",
    }


def _of_gateway(places: Places) -> Values:
    return {
        ("", "name"): f"gateway-{places.line}",
        ("", "bind"): f"ipc://{places.of_gateway}/link",
        ("control", "path"): f"{places.of_gateway}/control",
        ("control", "record"): f"{places.state}/gateway/commands.jsonl",
        ("telemetry", "endpoint"): f"ipc://{places.of_gateway}/telemetry",
        ("telemetry", "mode"): "0660",
        ("journal", "folder"): f"{places.state}/gateway/journal",
        ("flight", "folder"): f"{places.state}/flight",
    }


def _of_monitor(places: Places, port: int) -> Values:
    return {
        ("", "port"): port,
        ("", "station"): f"{places.settings}/station.toml",
        ("", "gateway"): f"{places.settings}/gateway.toml",
        ("", "users"): f"{places.settings}/users.toml",
        ("", "annotations"): f"{places.state}/monitor/annotations.sqlite",
    }


def _made(text: str, places: Places, values: Values) -> str:
    """Return the example with ``values`` in it; in what it says besides, paths are the line's own as well.

    Raises:
        ConfigError: the example has no place for one of them.
    """
    lines = [_own_paths(line, places) for line in text.splitlines()]
    for (table, key), value in values.items():
        _put(lines, table, key, f'"{value}"' if isinstance(value, str) else str(value))
    made = "\n".join([*lines, ""])
    said = tomllib.loads(made)
    for (table, key), value in values.items():
        if (said.get(table, {}) if table else said).get(key) != value:
            raise ConfigError(f"The example has no place for {table}.{key}.", "install edge-inspect again.")
    return made


def _put(lines: list[str], table: str, key: str, value: str) -> None:
    """Give ``key`` of ``table`` a value, in the line where the example has it, commented out or not."""
    inside = table == ""
    for n, line in enumerate(lines):
        if header := _HEADER.match(line):
            inside = header[1] == table
        elif inside and (found := _KEY.match(line)) and found[1] == key:
            put = f"{key} = {value}"
            lines[n] = f"{put:<31} {found[3]}" if found[3] else put
            return


def _own_paths(line: str, places: Places) -> str:
    line = _KEY_FILE.sub(rf"/etc/edge/keys/\1-{places.line}.\2", line)
    line = _SOCKET.sub(rf"/run/edge/{places.line}-\1/\2", line)
    return _PATH.sub(rf"\1/{places.line}/", line)
