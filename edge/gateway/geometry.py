"""Distances of the configured line, in encoder counts, as register and gate need them."""

from __future__ import annotations

from math import ceil

from edge.config import GatewayConfig
from edge.core import budget
from edge.core.pulse import GateGeometry
from edge.core.session import Geometry


def geometry(config: GatewayConfig) -> Geometry:
    """Return the register's distances for the configured line.

    Raises:
        BudgetError: they cannot hold.
    """
    line = config.line
    b = budget.held(budget.compute(line, config.actuator, config.plc_timing, ceiling_ms=1e9), config.name)
    scatter_mm = line.eye_scatter_ms * line.speed_max_mm_s / 1000
    return Geometry(
        gate=b.gate_counts,
        commit=b.gateway_commit,
        pitch=b.pitch_counts,
        match=b.match_counts,
        spacing=int(line.counts_per_mm * (line.pitch_min_mm - 2 * scatter_mm)),
        backlash=round(line.counts_per_mm * line.backlash_mm),
    )


def gate_geometry(config: GatewayConfig) -> GateGeometry:
    """Return the windows' distances and times for the configured line.

    Raises:
        BudgetError: the gateway cannot time this gate.
    """
    b = budget.compute(config.line, config.actuator, config.plc_timing, ceiling_ms=1e9)
    for check in budget.pulse_checks(b, config.pulse, config.plc_timing, config.heartbeat_ms):
        check.refuse(config.name)
    timing, actuator, line = config.plc_timing, config.actuator, config.line
    v_max = line.speed_max_mm_s / 1000  # mm/ms
    slower_on_ms = max(0.0, actuator.response_max_ms - actuator.switch_off_ms)
    # The gate changes over between two parts: a window must not reach into the next, even as the eye scatters.
    gap_mm = line.pitch_min_mm - line.part_length_max_mm - v_max * (2 * line.eye_scatter_ms + slower_on_ms)
    transport_ms = timing.write_ms + timing.scan_ms + timing.output_ms
    return GateGeometry(
        gate=b.gate_counts,
        lead=max(0, min(b.lead_counts, int(line.counts_per_mm * gap_mm / 2) - 1)),
        length=ceil(line.counts_per_mm * line.part_length_max_mm),
        on_ms=actuator.response_max_ms + transport_ms,
        off_ms=actuator.switch_off_ms + transport_ms,
        most_on_ms=actuator.max_energised_ms,
        rests_in_pass=actuator.deenergised_state == "pass",
    )
