"""Reading a file as one of the trees."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from edge.config.gateway import GatewayConfig
from edge.config.monitor import MonitorConfig
from edge.config.station import ModelFile, RecipeFile, StationConfig
from edge.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Tree = TypeVar("Tree", StationConfig, GatewayConfig, RecipeFile, ModelFile, MonitorConfig)


def load(path: Path, tree: type[Tree]) -> Tree:
    """Read a TOML file as ``tree``.

    Raises:
        ConfigError: it is missing, is no TOML, or holds a value or key that cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).", "give the path of a config file.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text ({error}).", "save it as UTF-8.") from None
    try:
        return parse(tomllib.loads(text), tree, str(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}.", "correct that line.") from None


def parse(values: dict[str, Any], tree: type[Tree], origin: str) -> Tree:
    """Check ``values`` against ``tree``; ``origin`` names their source in errors.

    Raises:
        ConfigError: a value or key that cannot be used, with its path.
    """
    try:
        return tree.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_problem(e) for e in error.errors())
        raise ConfigError(
            f"{origin}: {problems}.", "correct the keys named; `edge schema station|gateway|monitor` lists all."
        ) from None


def _problem(error: Any) -> str:
    path = ".".join(str(p) for p in error["loc"]) or "(top level)"
    if error["type"] == "extra_forbidden":
        return f"{path}: unknown key"
    if error["type"] == "missing":
        return f"{path}: is required"
    return f"{path} = {error['input']!r}: {error['msg']}"


def load_any(path: Path) -> StationConfig | GatewayConfig:
    """Read either kind of file, told apart by the keys that only one of them has.

    Raises:
        ConfigError: as ``load``.
    """
    try:
        keys = tomllib.loads(path.read_text(encoding="utf-8")).keys()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return load(path, StationConfig)  # which says what is wrong
    of_gateway = GatewayConfig.model_fields.keys() - StationConfig.model_fields.keys()
    return load(path, GatewayConfig) if keys & of_gateway else load(path, StationConfig)
