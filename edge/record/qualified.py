"""Inspection times measured on this machine: `edge bench` writes them, `edge check` reads them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge.errors import ConfigError


@dataclass(frozen=True)
class Qualified:
    """Measured time of one inspection, frame in its slot to verdict, in ms."""

    mean_ms: float
    p99_ms: float
    parts: int
    measured: str


def state_file() -> Path:
    """Return where measurements are kept: ``$EDGE_STATE``, else ``edge`` under ``$XDG_STATE_HOME``."""
    if folder := os.environ.get("EDGE_STATE"):
        return Path(folder) / "qualified.json"
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "edge" / "qualified.json"


def key(model_sha256: str, engine: str, precision: str, threads: int, frame: str) -> str:
    """Return the name under which a measurement is kept; ``frame`` is the frame's geometry, as in 1280x1024 mono8."""
    return f"{model_sha256[:16]} {engine} {precision} x{threads} {frame}"


def read(name: str) -> Qualified | None:
    """Return a measurement of this machine, or None where there is none.

    Raises:
        ConfigError: the file holds something else.
    """
    path = state_file()
    if not os.path.exists(path):  # nor where this user may not look: Path.exists() would raise there
        return None
    try:
        return _measurements(path).get(name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: is damaged ({error}).", "delete it and run `edge bench overhead`.") from None


def write(name: str, measured: Qualified) -> Path:
    """Keep a measurement, atomically.  Return the file."""
    path = state_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        values = _measurements(path) if path.exists() else {}
    except ValueError:
        values = {}  # a damaged file is replaced: what it held can be measured again
    values[name] = measured
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(values), indent=1) + b"\n")
    fresh.replace(path)
    return path


def _measurements(path: Path) -> dict[str, Qualified]:
    """Read the file; ``ValueError`` where it holds something else (msgspec's errors are ValueErrors)."""
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Qualified])
