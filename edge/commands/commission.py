"""`edge commission`: measure the line, and write what was measured into its configuration.

The steps are the same on a real line and on the simulated one, and go over Modbus both times.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge.clock import NS_PER_S, now_ns
from edge.commands import config_edit
from edge.commands.commission_measure import (
    Distances,
    Estimate,
    Patience,
    Switching,
    collect_pieces,
    cycle_gate,
    distances,
    switching,
)
from edge.config import GatewayConfig, StationConfig, load, load_any, parse
from edge.errors import CommissionError, ConfigError
from edge.gateway.plc.commissioning import CommissioningDriver
from edge.gateway.plc.signals import GATEWAY_ALIVE
from edge.simulate.commissioning import RunningRig, Truth

Progress = Callable[[str], None]
ANSWER_MS = 1000.0
"""Least time that the PLC is given for an answer: no part waits for it here, and a busy machine ends no measurement."""


@dataclass(frozen=True)
class Plan:
    """What to measure with.

    Attributes:
        lengths_mm: of the two test pieces.
        error_mm: of either length.
        pieces, cycles: how many of each.
        sensor_behind_mm: how far behind the gate's place of action the sensor is that sees the pieces there.
        piece_s: how long to wait for the next piece.
    """

    lengths_mm: tuple[float, float]
    error_mm: float = 0.1
    pieces: int = 24
    cycles: int = 24
    sensor_behind_mm: float = 0.0
    piece_s: float = 60.0


@dataclass(frozen=True)
class Report:
    """What was measured, and the values that follow from it, by (table, key) of the configuration."""

    distances: Distances
    on: Switching
    off: Switching
    values: dict[tuple[str, str], float]
    before: dict[tuple[str, str], float]
    truth: Truth | None

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "counts_per_mm": asdict(self.distances.counts_per_mm),
            "trigger_to_gate_counts": asdict(self.distances.gate_counts),
            "trigger_to_gate_error_mm": self.distances.gate_error_mm,
            "eye_excess_mm": self.distances.eye_excess_mm,
            "discarded_pieces": self.distances.discarded,
            "switch_on": {**asdict(self.on), "scatter_ms": self.on.scatter_ms},
            "switch_off": {**asdict(self.off), "scatter_ms": self.off.scatter_ms},
            "values": {".".join(name): value for name, value in self.values.items()},
            "before": {".".join(name): value for name, value in self.before.items()},
            "truth": asdict(self.truth) if self.truth else None,
        }


def measure(config: GatewayConfig, plan: Plan, progress: Progress) -> Report:
    """Measure the line behind ``config.plc``.

    Raises:
        PlcError: the PLC does not do as asked, or has no commissioning block.
        CommissionError: something measured cannot be right, or a gateway is at work.
    """
    patience = Patience(lambda: now_ns() / NS_PER_S, time.sleep, plan.piece_s, progress=progress)
    patient = config.plc.model_copy(update={"timeout_ms": max(config.plc.timeout_ms, ANSWER_MS)})
    with closing(CommissioningDriver(patient)) as line:
        if line.read().flags & GATEWAY_ALIVE:
            raise CommissionError("A gateway is at work on this PLC.", "stop it first; the gate will be moved.")
        line.measured()  # a PLC without the block is told at once
        progress(f"Put on pieces of {plan.lengths_mm[0]:g} and {plan.lengths_mm[1]:g} mm, one at a time")
        pieces, discarded = collect_pieces(line, plan.pieces, patience)
        found = distances(pieces, plan.lengths_mm, plan.error_mm, discarded)
        cycles = cycle_gate(line, plan.cycles, patience)
    resolution_ms = max(cycle.resolution_ms for cycle in cycles)
    on = switching([cycle.on_ms for cycle in cycles], resolution_ms, "switch-on")
    off = switching([cycle.off_ms for cycle in cycles], resolution_ms, "switch-off")
    values = _values(config, plan, found, on, off)
    return Report(found, on, off, values, {name: _present(config, name) for name in values}, None)


def measure_simulated(config: GatewayConfig, plan: Plan, seed: int, progress: Progress) -> Report:
    """Measure a simulated line, which differs from ``config`` by chance, over a Modbus port of its own."""
    chance = random.Random(seed)
    line, actuator, output_ms = config.line, config.actuator, config.plc_timing.output_ms
    truth = Truth(
        counts_per_mm=line.counts_per_mm * chance.uniform(0.97, 1.03),
        gate_mm=line.trigger_to_gate_mm * chance.uniform(0.97, 1.03),
        speed_mm_s=line.speed_max_mm_s,
        lengths_mm=plan.lengths_mm,
        eye_excess_mm=chance.uniform(0.0, 1.5),
        on_ms=output_ms + actuator.response_max_ms * chance.uniform(0.7, 1.0),
        off_ms=output_ms + actuator.response_max_ms * chance.uniform(0.7, 1.2),
        seed=seed,
    )
    with RunningRig(truth) as rig:
        where = config.plc.model_copy(update={"host": "127.0.0.1", "port": rig.port, "unit": 1})
        report = measure(config.model_copy(update={"plc": where}), plan, progress)
    return Report(report.distances, report.on, report.off, report.values, report.before, truth)


def _values(
    config: GatewayConfig, plan: Plan, found: Distances, on: Switching, off: Switching
) -> dict[tuple[str, str], float]:
    """Return the configuration's new values.  Times are rounded up, and less the output's share, which budgets add."""
    # The distance in counts is what was measured; divided by the same k, it stays right whatever k's error.
    counts_per_mm = round(found.counts_per_mm.value, 4)
    gate_mm = found.gate_counts.value / counts_per_mm - plan.sensor_behind_mm
    if not gate_mm > 0:
        raise CommissionError(f"The gate lies {-gate_mm:g} mm before the eye.", "check --sensor-behind.")

    def up(ms: float) -> float:
        return math.ceil(round(max(0.0, ms) * 10, 6)) / 10

    output_ms = config.plc_timing.output_ms
    return {
        ("line", "counts_per_mm"): counts_per_mm,
        ("line", "trigger_to_gate_mm"): round(gate_mm, 2),
        ("actuator", "response_max_ms"): up(on.high_ms - output_ms),
        ("actuator", "response_scatter_ms"): up(max(on.scatter_ms, off.scatter_ms)),
        ("actuator", "switch_off_ms"): up(off.high_ms - output_ms),
    }


def _present(config: GatewayConfig, name: tuple[str, str]) -> float:
    value: float = getattr(getattr(config, name[0]), name[1])
    return value


def load_all(paths: list[Path]) -> GatewayConfig:
    """Return the gateway's configuration, the first of ``paths``; the others must be configurations of its line.

    Raises:
        ConfigError: one cannot be used, or the first is no gateway's.
    """
    gateway = load(paths[0], GatewayConfig)
    for path in paths[1:]:
        if load_any(path).line.digest() != gateway.line.digest():
            raise ConfigError(f"{path}: [line] differs from that of {paths[0]}.", "make them equal first.")
    return gateway


def write(paths: list[Path], values: dict[tuple[str, str], float]) -> None:
    """Write ``values`` into every file, or into none where one cannot be edited or would no longer be valid.

    Raises:
        ConfigError: a file cannot be read, edited or written, or a value cannot be used.
    """
    texts = {}
    for path in paths:
        texts[path] = config_edit.edited(config_edit.read(path), values, str(path))
        meaning = config_edit.meaning(texts[path], str(path))
        if isinstance(load_any(path), GatewayConfig):
            parse(meaning, GatewayConfig, str(path))
        else:
            parse(meaning, StationConfig, str(path))
    for path, text in texts.items():
        config_edit.write(path, text)


def render(report: Report) -> str:
    """Return the report as text for a terminal."""
    d = report.distances
    lines = [
        _estimate("counts per mm", d.counts_per_mm, ""),
        _estimate("trigger to gate", d.gate_counts, "counts"),
        f"                     {d.gate_mm:.2f} +- {d.gate_error_mm:.2f} mm",
        f"the eye sees pieces  {d.eye_excess_mm:+.2f} mm too long; {d.discarded} pieces were not alone",
        _switching("switch-on", report.on),
        _switching("switch-off", report.off),
        "",
        *(f"{f'{table}.{key}':<29} {report.before[table, key]:g} -> {value:g}" for (table, key), value in
          report.values.items()),
    ]  # fmt: skip
    if report.truth:
        t = report.truth
        lines += [
            "",
            f"the simulated line   {t.counts_per_mm:.4f} counts/mm, {t.gate_mm:.2f} mm, on {t.on_ms:.1f}, "
            f"off {t.off_ms:.1f} ms, each +- {t.on_scatter_ms / 2:g}",
        ]
    return "\n".join(lines)


def _estimate(name: str, estimate: Estimate, unit: str) -> str:
    left_out = f", {estimate.left_out} left out" if estimate.left_out else ""
    return (
        f"{name:<20} {estimate.value:.4f} +- {estimate.error:.4f} {unit} "
        f"(1 sigma of one: {estimate.scatter:.4f}; {estimate.samples} pieces{left_out})"
    )


def _switching(name: str, found: Switching) -> str:
    return (
        f"{name:<20} {found.median_ms:.1f} ms, from {found.low_ms:.1f} to {found.high_ms:.1f} ({found.samples} cycles)"
    )
