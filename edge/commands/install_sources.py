"""Where the files that are shipped beside the code lie: in a checkout, or in the environment of a wheel."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from edge.errors import ConfigError

_CHECKOUT = Path(__file__).resolve().parents[2]
_ENVIRONMENT = Path(sysconfig.get_path("data"))
_SHARED = _ENVIRONMENT / "share" / "edge"

# name of a set -> its folder in a checkout; a wheel puts it into share/edge/NAME of its environment (pyproject.toml).
_SETS = {"systemd": Path("systemd"), "udev": Path("deploy/udev"), "config": Path("deploy")}


def folder(name: str, checkout: Path = _CHECKOUT, shared: Path = _SHARED) -> Path:
    """Return the folder of a set of files.

    Raises:
        ConfigError: it is in neither place.
    """
    candidates = checkout / _SETS[name], shared / name
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise ConfigError(
        f"The files of {name} are neither in {candidates[0]} nor in {candidates[1]}.",
        "install edge-inspect again, from a checkout or a complete wheel.",
    )


def models() -> Path:
    """Return where the shipped model packages lie: in the checkout, else where bundle and images put them."""
    beside = _CHECKOUT / "models"
    return beside if beside.is_dir() else _ENVIRONMENT / "models"


def read(name: str, file: str) -> str:
    """Return the text of one file of a set.

    Raises:
        ConfigError: it is not there.
    """
    path = folder(name) / file
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).", "install edge-inspect again.") from None
