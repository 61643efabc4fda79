"""The pure core of a station, of the sizes that its configuration asks for."""

from __future__ import annotations

from edge.capture.base import frame_shape
from edge.clock import NS_PER_MS
from edge.config import StationConfig
from edge.core import budget
from edge.core.ledger import PartLedger
from edge.core.match import Matcher
from edge.core.pool import FramePool, Purpose

CAPTURE_RESERVE = 2
"""Slots that inspection can never hold: one that the camera fills, one that waits for its trigger."""

EVIDENCE_SLOTS = 4
"""Slots beyond `limits.pool_slots`, for frames that are written to disk after their verdict."""


def compute_budget(config: StationConfig) -> budget.Budget:
    """Return the station's budget."""
    return budget.compute(config.line, config.actuator, config.plc_timing, config.limits.ceiling_ms)


def frame_pool(config: StationConfig) -> FramePool:
    """Return the station's frame pool.  Evidence has slots of its own: a stalled disk costs the line none."""
    slots, camera = config.limits.pool_slots, config.camera
    quotas = {
        Purpose.CAPTURE: slots,
        Purpose.INSPECTION: slots - CAPTURE_RESERVE,
        Purpose.EVIDENCE: EVIDENCE_SLOTS,
    }
    return FramePool(slots + EVIDENCE_SLOTS, frame_shape(camera.width, camera.height, camera.color), quotas)


def part_ledger(config: StationConfig, budgeted: budget.Budget) -> PartLedger:
    """Return the station's part ledger."""
    limits = config.limits
    return PartLedger(
        limits.open_parts,
        int(limits.ceiling_ms * NS_PER_MS),
        int(limits.frame_timeout_ms * NS_PER_MS),
        int(config.line.counts_per_mm * config.line.part_length_max_mm),
        budgeted.station_commit,
        budgeted.match_counts,
    )


def frame_matcher(config: StationConfig) -> Matcher:
    """Return what finds the part of each frame."""
    camera = config.camera
    return Matcher(int(camera.window_early_ms * NS_PER_MS), int(camera.window_late_ms * NS_PER_MS), camera.sync_pairs)
