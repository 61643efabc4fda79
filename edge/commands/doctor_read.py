"""Reading any process's configuration: for `edge doctor` and `edge support-bundle`.  Imports little."""

from __future__ import annotations

import sys
from pathlib import Path

from edge.config import GatewayConfig, MonitorConfig, StationConfig, load, load_any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Config = StationConfig | GatewayConfig | MonitorConfig


def read(path: Path) -> Config:
    """Read a station's, a gateway's or a monitor's file, told apart by the keys that only one of them has.

    Raises:
        ConfigError: it cannot be used.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return load_any(path)  # which says what is wrong
    of_monitor = MonitorConfig.model_fields.keys() - StationConfig.model_fields.keys()
    named = isinstance(values.get("station"), str) or isinstance(values.get("gateway"), str)
    return load(path, MonitorConfig) if named or values.keys() & of_monitor else load_any(path)
