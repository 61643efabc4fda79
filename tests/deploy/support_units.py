"""The units as `edge install` renders them, for the tests that look at them and that run under them."""

from __future__ import annotations

import sys
from pathlib import Path

from edge.commands.install_layout import PACKAGED_PROGRAM, ROLES, unit

SYSTEMD = Path(__file__).resolve().parents[2] / "systemd"


def render(folder: Path) -> dict[str, Path]:
    """Write the units with this environment's `edge` into a folder; return them by role."""
    folder.mkdir(exist_ok=True)
    found = {}
    for role in ROLES:
        text = (SYSTEMD / unit(role)).read_text()
        assert text.count(PACKAGED_PROGRAM) == 1
        found[role] = folder / unit(role)
        found[role].write_text(text.replace(PACKAGED_PROGRAM, f"{sys.prefix}/bin/edge"))
    return found


def settings(role: str) -> dict[str, list[str]]:
    """Return the settings of a role's unit, all values of each key in their order."""
    found: dict[str, list[str]] = {}
    for line in (SYSTEMD / unit(role)).read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def seconds(text: str) -> float:
    """Return a time span of a unit in seconds."""
    for ending, factor in (("min", 60.0), ("ms", 0.001), ("s", 1.0)):
        if text.endswith(ending):
            return float(text.removesuffix(ending)) * factor
    return float(text)
