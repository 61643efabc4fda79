"""What the machine tells of itself: temperatures and clocks, from Linux's sysfs.  Many machines tell nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SYS = Path("/sys")
_POSSIBLE_C = (-40.0, 150.0)
"""Zones without a sensor behind them tell values far beyond."""

_UNMEASURED = ("PMIC-Die",)
"""Types of zones that tell a constant: a Jetson's power chip 100 degrees, always."""


@dataclass(frozen=True)
class Machine:
    """What could be read; None where the machine does not tell.

    Attributes:
        temperature_c: of the hottest thermal zone.
        clock_mhz: present clock of the slowest core.
        clock_share: the clock up to which the slowest core may run, as a share of what its hardware can do.
    """

    temperature_c: float | None = None
    clock_mhz: float | None = None
    clock_share: float | None = None


def read(sys: Path = SYS) -> Machine:
    """Return the machine's present state.  It may take milliseconds: some zones ask a chip.

    Kernel documentation: driver-api/thermal/sysfs-api (millidegrees Celsius), admin-guide/pm/cpufreq (kHz; a lowered
    ``scaling_max_freq`` is the ceiling that heat, a power mode or a person has set).
    """
    paths = sys.glob("class/thermal/thermal_zone*/temp")
    zones = [_number(path) for path in paths if _text(path.with_name("type")) not in _UNMEASURED]
    low, high = _POSSIBLE_C
    temperatures = [c for zone in zones if zone is not None and low <= (c := zone / 1000) <= high]
    clocks: list[float] = []
    shares: list[float] = []
    for core in sys.glob("devices/system/cpu/cpu[0-9]*/cpufreq"):
        now, ceiling, most = (_number(core / f"{n}_freq") for n in ("scaling_cur", "scaling_max", "cpuinfo_max"))
        if now is not None:
            clocks.append(now / 1000)
        if ceiling is not None and most:
            shares.append(ceiling / most)
    return Machine(max(temperatures, default=None), min(clocks, default=None), min(shares, default=None))


def _number(path: Path) -> float | None:
    """Return the number in a file of sysfs, or None: a sensor that is asleep or absent is no fault of the station."""
    try:
        return float(_text(path))
    except ValueError:
        return None


def _text(path: Path) -> str:
    """Return what a file of sysfs holds, or ""."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
