"""`edge check`: is this configuration usable, and do its budgets hold on this machine?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge.commands import protection
from edge.config import GatewayConfig, StationConfig, load_any
from edge.core import budget
from edge.core.budget import Budget, Check
from edge.engine.select import choose
from edge.model.package import load_package
from edge.record import qualified
from edge.station.build import rules


@dataclass(frozen=True)
class Report:
    """What was computed for one file.

    Attributes:
        line_digest: the fingerprint of the line's numbers; station and gateway must have the same.
        decides: model, engine and precision in words, empty for a gateway.
        signal_path: what decides who may speak on it, in words.
        gaps: what is open to more than it need be, in words.
    """

    path: str
    kind: str
    line_digest: str
    decides: str
    budget: Budget
    checks: tuple[Check, ...]
    signal_path: str
    gaps: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {**asdict(self), "holds": all(check.holds for check in self.checks)}

    def refuse(self) -> None:
        """Raise for the first check that does not hold.

        Raises:
            BudgetError: naming the number that breaks the budget.
        """
        for check in self.checks:
            check.refuse(self.path)


def check(path: Path) -> Report:
    """Validate the file at ``path`` and compute its budgets.

    Raises:
        ConfigError, ModelError: it cannot be used at all.
    """
    config = load_any(path)
    if isinstance(config, GatewayConfig):
        numbers = budget.compute(config.line, config.actuator, config.plc_timing, ceiling_ms=float("inf"))
        found = budget.line_checks(numbers)
        if config.plc.signal == "pulse":
            found += budget.pulse_checks(numbers, config.pulse, config.plc_timing, config.heartbeat_ms)
        return Report(str(path), "gateway", config.line.digest(), "", numbers, tuple(found), *_protection(config))
    return _station(path, config)


def _station(path: Path, config: StationConfig) -> Report:
    package = load_package(Path(config.model.package))
    rules(config.recipe, package.manifest, config.camera)
    choice = choose(package, config.model.engine, config.model.precision)
    camera = config.camera
    name = qualified.key(
        package.manifest.files["model.onnx"],
        choice.engine,
        choice.precision,
        config.model.threads,
        f"{camera.width}x{camera.height} {camera.color}",
    )
    measured = qualified.read(name)
    numbers = budget.compute(config.line, config.actuator, config.plc_timing, config.limits.ceiling_ms)
    found = budget.checks(
        numbers,
        measured.mean_ms if measured else None,
        measured.p99_ms if measured else None,
        config.limits.frame_timeout_ms,
    )
    decides = f"{package.identity} on {choice.engine} {choice.precision} ({choice.reason})"
    return Report(str(path), "station", config.line.digest(), decides, numbers, tuple(found), *_protection(config))


def _protection(config: StationConfig | GatewayConfig) -> tuple[str, tuple[str, ...]]:
    found = tuple(f"{gap.what}: {gap.detail} (remedy: {gap.remedy})" for gap in protection.gaps(config))
    return protection.signal_path(config), found


def render(report: Report) -> str:
    """Return the report as text for a terminal."""
    b = report.budget
    lines = [
        f"{report.path}: {report.kind}, line digest {report.line_digest}",
        *([f"decides: {report.decides}"] if report.decides else []),
        f"signal path: {report.signal_path}",
        *(f"unprotected: {gap}" for gap in report.gaps),
        f"throughput period      {b.period_ms:.1f} ms",
        f"verdict deadline       {b.deadline_ms:.1f} ms after the trigger",
        f"trigger to gate        {b.gate_counts} counts, lead of the gate window {b.lead_counts} counts",
        f"commit points          station {b.station_commit}, gateway {b.gateway_commit}, PLC {b.plc_commit} counts",
        "",
    ]
    width = max(len(c.name) for c in report.checks)
    for c in report.checks:
        lines.append(f"{'ok  ' if c.holds else 'FAIL'} {c.name:<{width}}  {c.value}  must be {c.limit}")
    return "\n".join(lines)
