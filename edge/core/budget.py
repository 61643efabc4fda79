"""Time and distance budgets: what a line's geometry leaves for a verdict.  Pure arithmetic.

Distances are in encoder counts after the trigger's own count, so stops and ramps need no special case.  Formulas are
those of ARCHITECTURE.md, "Budgets"; the gate tolerances follow from the geometry drawn there.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

from edge.config import ActuatorConfig, LineConfig, PlcTimingConfig, PulseConfig
from edge.errors import BudgetError

SERVICE_SHARE = 0.7
"""Largest mean load of a serial resource: beyond it, queues of random arrivals grow out of bounds (M/D/1)."""


MOST_COUNTS = 1 << 30
"""Distances beyond this are ambiguous in 32-bit counters once a fence or a wrap is added."""


@dataclass(frozen=True)
class Budget:
    """The computed numbers of one line.

    Attributes:
        period_ms: shortest time between two parts.
        gate_counts: trigger to gate, N_d.
        lead_counts: how far ahead of the part the gate must act, N_a.
        plc_commit, gateway_commit, station_commit: commit points, in counts after the trigger.
        deadline_ms: what a verdict may take from T0: the ceiling, or less where the station's commit point comes
            first at the highest speed.
        tolerance_ms: by speed (mm/s), how far the gate may miss its time without touching a neighbour.
        needed_ms: by speed, the scatter that the tolerance must exceed.
        match_counts: how far two readings of one part's count may differ.
        slip_counts: how far a part slides between eye and gate.
        pitch_counts: one pitch.
        gap_ms: half the shortest gap between two parts at the highest speed, less what switching the gate off takes.
    """

    period_ms: float
    gate_counts: int
    lead_counts: int
    plc_commit: int
    gateway_commit: int
    station_commit: int
    deadline_ms: float
    tolerance_ms: dict[float, float]
    needed_ms: dict[float, float]
    match_counts: int
    slip_counts: int
    pitch_counts: int
    gap_ms: float


def compute(line: LineConfig, actuator: ActuatorConfig, timing: PlcTimingConfig, ceiling_ms: float) -> Budget:
    """Return the budget of ``line`` with ``actuator``; ``ceiling_ms`` is the configured compute timeout."""
    v_max = line.speed_max_mm_s / 1000  # mm/ms
    k = line.counts_per_mm
    gate = floor(k * line.trigger_to_gate_mm)
    lead = ceil(k * lead_mm(line, actuator))
    plc_ms = actuator.response_max_ms + timing.scan_ms + timing.output_ms + timing.margin_ms
    plc = gate - lead - ceil(k * v_max * plc_ms)
    gateway = plc - ceil(k * v_max * (timing.write_ms + timing.scan_ms))
    station = gateway - ceil(k * v_max * timing.link_ms)
    speeds = sorted({line.speed_min_mm_s, line.speed_max_mm_s})
    return Budget(
        period_ms=line.pitch_min_mm / v_max,
        gate_counts=gate,
        lead_counts=lead,
        plc_commit=plc,
        gateway_commit=gateway,
        station_commit=station,
        deadline_ms=min(ceiling_ms, station / (k * v_max)),
        tolerance_ms={v: tolerance_ms(line, actuator, v) for v in speeds},
        needed_ms={v: needed_ms(line, actuator, timing, v) for v in speeds},
        match_counts=max(0, floor(k * (line.pitch_min_mm / 2 - line.eye_scatter_ms * v_max))),
        slip_counts=ceil(k * line.slip_mm),
        pitch_counts=ceil(k * line.pitch_min_mm),
        gap_ms=(line.pitch_min_mm - line.part_length_max_mm) / (2 * v_max) - actuator.switch_off_ms,
    )


def lead_mm(line: LineConfig, actuator: ActuatorConfig) -> float:
    """Return the lead of the gate window, in mm of belt, at the highest speed."""
    v = line.speed_max_mm_s / 1000
    if actuator.kind == "blow_off":
        return max(0.0, (v * actuator.pulse_ms - line.part_length_min_mm) / 2)
    if actuator.kind == "diverter":
        return max(0.0, (line.pitch_min_mm - line.part_length_min_mm + v * actuator.move_ms) / 2)
    return line.speed_max_mm_s**2 / (2 * actuator.deceleration_mm_s2)  # braking distance


def tolerance_ms(line: LineConfig, actuator: ActuatorConfig, speed_mm_s: float) -> float:
    """Return how early or late the gate may act at ``speed_mm_s`` without touching a neighbour or missing the part."""
    v = speed_mm_s / 1000
    p, length = line.pitch_min_mm, line.part_length_max_mm
    if actuator.kind == "blow_off":
        swept = v * actuator.pulse_ms + actuator.nozzle_mm
        return min((2 * p - length - swept) / (2 * v), (swept - actuator.cover_mm) / (2 * v))
    if actuator.kind == "diverter":
        return ((p - length - actuator.blade_mm) / v - actuator.move_ms) / 2
    return (p - length) / (2 * v)


def needed_ms(line: LineConfig, actuator: ActuatorConfig, timing: PlcTimingConfig, speed_mm_s: float) -> float:
    """Return the scatter in time that the gate's tolerance must exceed at ``speed_mm_s``."""
    return line.eye_scatter_ms + line.slip_mm / (speed_mm_s / 1000) + actuator.response_scatter_ms + timing.scan_ms


@dataclass(frozen=True)
class Check:
    """One line of `edge check`: what was compared, and whether it holds."""

    name: str
    value: str
    limit: str
    holds: bool
    remedy: str

    def refuse(self, origin: str) -> None:
        """Raise ``BudgetError`` unless the condition holds; ``origin`` names the configuration."""
        if not self.holds:
            raise BudgetError(f"{origin}: {self.name} is {self.value}, and must be {self.limit}.", f"{self.remedy}.")


def line_checks(budget: Budget) -> list[Check]:
    """Return the conditions that geometry, actuator and PLC must meet together."""
    out = [
        Check(
            "station commit point",
            f"{budget.station_commit} counts",
            "> 0 counts",
            budget.station_commit > 0,
            "raise line.trigger_to_gate_mm, or cut plc_timing and actuator times",
        ),
        Check(
            "trigger to gate",
            f"{budget.gate_counts} counts",
            f"< {MOST_COUNTS} counts (of a 32-bit counter)",
            budget.gate_counts + budget.pitch_counts < MOST_COUNTS,
            "use fewer counts per mm",
        ),
        Check(
            "count tolerance",
            f"{budget.match_counts} counts",
            f"> {budget.slip_counts} counts (slip)",
            budget.match_counts > budget.slip_counts,
            "widen line.pitch_min_mm, or use an eye that scatters less",
        ),
    ]
    for speed, tolerance in budget.tolerance_ms.items():
        out.append(
            Check(
                f"gate tolerance at {speed:g} mm/s",
                f"{tolerance:.1f} ms",
                f"> {budget.needed_ms[speed]:.1f} ms (scatter of eye, slip, response, scan)",
                tolerance > budget.needed_ms[speed],
                "widen the pitch, slow the line, or use a quicker actuator",
            )
        )
    return out


def pulse_checks(budget: Budget, pulse: PulseConfig, timing: PlcTimingConfig, heartbeat_ms: float) -> list[Check]:
    """Return the conditions under which the gateway itself may time the gate.

    Its output stays on for as long as the watchdog after the last write, and must be off before the next part comes.
    """
    tolerance = min(budget.tolerance_ms.values())
    late_ms = (pulse.link_p999_ms or 0.0) + 2 * timing.scan_ms
    watchdog_ms = pulse.output_watchdog_ms or 0.0
    return [
        Check(
            "pulse",
            f"{late_ms:.1f} ms (p99.9 of the link and two scans)",
            f"< {tolerance:.1f} ms (gate tolerance)",
            late_ms < tolerance,
            'use plc.signal = "permit", or slow the line',
        ),
        Check(
            "output watchdog",
            f"{watchdog_ms:g} ms",
            f">= {3 * heartbeat_ms:g} ms (three heartbeats) and <= {budget.gap_ms:.1f} ms (before the next part)",
            3 * heartbeat_ms <= watchdog_ms <= budget.gap_ms,
            "set the output's watchdog, or heartbeat_ms, or slow the line",
        ),
    ]


def held(budget: Budget, name: str) -> Budget:
    """Return ``budget`` if its line can work at all.

    Raises:
        BudgetError: naming the number that breaks it; ``name`` says whose.
    """
    for check in line_checks(budget):
        check.refuse(name)
    return budget


def checks(budget: Budget, service_ms: float | None, p99_ms: float | None, frame_timeout_ms: float) -> list[Check]:
    """Return every condition that a station must meet: those of its line, and those of its inspection.

    Args:
        budget: from ``compute``.
        service_ms, p99_ms: mean and 99th percentile of inspection measured on this machine, or None if unmeasured.
        frame_timeout_ms: after which a missing frame closes its part.
    """
    unmeasured = "unmeasured (run `edge bench overhead`)"
    return [
        *line_checks(budget),
        Check(
            "frame timeout",
            f"{frame_timeout_ms:g} ms",
            f"< {budget.deadline_ms:.1f} ms (deadline)",
            frame_timeout_ms < budget.deadline_ms,
            "lower limits.frame_timeout_ms",
        ),
        Check(
            "mean inspection time",
            unmeasured if service_ms is None else f"{service_ms:.1f} ms",
            f"<= {SERVICE_SHARE * budget.period_ms:.1f} ms (0.7 of the period)",
            service_ms is None or service_ms <= SERVICE_SHARE * budget.period_ms,
            "use a faster engine, precision or model, or a slower line",
        ),
        Check(
            "p99 inspection time",
            unmeasured if p99_ms is None else f"{p99_ms:.1f} ms",
            f"< {budget.deadline_ms:.1f} ms (deadline)",
            p99_ms is None or p99_ms < budget.deadline_ms,
            "use a faster engine, precision or model",
        ),
    ]
