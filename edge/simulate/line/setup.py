"""One line, told to everyone who must know it: world, PLC, referee, station and gateway."""

from __future__ import annotations

from dataclasses import dataclass

from edge.config import (
    ActuatorConfig,
    GatewayConfig,
    GatewayLinkConfig,
    LimitsConfig,
    LineConfig,
    PlcConfig,
    PlcTimingConfig,
    RecipeConfig,
    RuleConfig,
    StationConfig,
)
from edge.simulate.plc_io import PlcSettings
from edge.simulate.rights import JudgeSettings
from edge.simulate.world import COUNTER_SPAN, Line

MS = 1_000_000
PITCH_MM, JITTER_MM, PITCH_MIN_MM = 66.0, 2.0, 60.0
LENGTH_MM, LENGTH_MAX_MM = 25.0, 27.0
GATE_MM, INFEED_MM, CONFIRM_MM = 500.0, 200.0, 100.0
V_MAX, V_MIN = 1000.0, 300.0
COUNTS_PER_MM = 10
EYE_SCATTER_MM, EYE_JITTER_COUNTS = 2.0, 5
PLC_LEAD_MM = 3.0
SCAN_MS, WRITE_MS, LINK_MS = 10.0, 8.0, 2.0
RESPONSE_MS, OUTPUT_MS, MARGIN_MS = 10.0, 2.0, 5.0
PLC_WATCHDOG_MS = 150.0
POLL_MS, GATEWAY_BEAT_MS = 20.0, 50.0
STATION_BEAT_MS, STATION_STALE_MS = 75.0, 240.0
MIN_SCORES = 0.5, 0.9
"""Of the two recipes."""

PARTS_TO_WRAP = {"count": 180, "number": 120, "camera": 70}
"""How many parts after the start encoder count, eye number and camera counter wrap."""

COUNT_START = COUNTER_SPAN - round(PARTS_TO_WRAP["count"] * PITCH_MM * COUNTS_PER_MM)
FIRST_NUMBER = COUNTER_SPAN - PARTS_TO_WRAP["number"]
CAMERA_START = COUNTER_SPAN - PARTS_TO_WRAP["camera"]


@dataclass(frozen=True)
class Setup:
    """Everything that is configured."""

    line: Line
    plc: PlcSettings
    judge: JudgeSettings
    station: StationConfig
    gateway: GatewayConfig
    recipes: tuple[RecipeConfig, RecipeConfig]


def setup(seed: int, confirms: bool) -> Setup:
    """Return the line of this simulation: 63.5 mm pitch, 500 mm from eye to gate, up to 1 m/s.

    Args:
        seed: of plates and scatter.
        confirms: there is a sensor behind the gate.
    """
    confirm_mm = CONFIRM_MM if confirms else 0.0
    line = LineConfig(
        pitch_min_mm=PITCH_MIN_MM,
        part_length_min_mm=20.0,
        part_length_max_mm=LENGTH_MM,
        speed_min_mm_s=V_MIN,
        speed_max_mm_s=V_MAX,
        trigger_to_gate_mm=GATE_MM,
        counts_per_mm=COUNTS_PER_MM,
    )
    actuator = ActuatorConfig(response_max_ms=RESPONSE_MS, move_ms=5.0)
    timing = PlcTimingConfig(
        scan_ms=SCAN_MS, output_ms=OUTPUT_MS, write_ms=WRITE_MS, margin_ms=MARGIN_MS, link_ms=LINK_MS
    )
    recipes = (_recipe("steel", MIN_SCORES[0]), _recipe("steel-2", MIN_SCORES[1]))
    station = StationConfig(
        line=line,
        actuator=actuator,
        plc_timing=timing,
        recipe=recipes[0],
        limits=LimitsConfig(hang_ms=400.0),
        gateway=GatewayLinkConfig(heartbeat_ms=STATION_BEAT_MS, stale_ms=STATION_STALE_MS),
    )
    gateway = GatewayConfig(
        line=line,
        actuator=actuator,
        plc_timing=timing,
        heartbeat_ms=GATEWAY_BEAT_MS,
        stale_ms=STATION_STALE_MS,
        plc=PlcConfig(poll_ms=POLL_MS, stale_ms=PLC_WATCHDOG_MS),
    )
    plc = PlcSettings(
        brake_mm_s2=20_000.0,
        counts_per_mm=COUNTS_PER_MM,
        gate_mm=GATE_MM,
        lead_mm=PLC_LEAD_MM,
        v_max_mm_s=V_MAX,
        length_max_mm=LENGTH_MAX_MM,
        pitch_min_mm=PITCH_MIN_MM,
        response_ms=RESPONSE_MS,
        scan_ms=SCAN_MS,
        output_ms=OUTPUT_MS,
        margin_ms=MARGIN_MS,
        watchdog_ms=PLC_WATCHDOG_MS,
        eye_scatter_mm=EYE_SCATTER_MM,
        confirm_mm=confirm_mm,
    )
    judge = JudgeSettings(
        counts_per_mm=COUNTS_PER_MM,
        gate_mm=GATE_MM,
        lead_mm=plc.lead_mm,
        v_max_mm_s=V_MAX,
        response_ms=RESPONSE_MS,
        scan_ms=SCAN_MS,
        output_ms=OUTPUT_MS,
        margin_ms=MARGIN_MS,
        pitch_min_mm=PITCH_MIN_MM,
        eye_scatter_mm=EYE_SCATTER_MM,
    )
    return Setup(_belt(seed, confirm_mm), plc, judge, station, gateway, recipes)


def _belt(seed: int, confirm_mm: float) -> Line:
    return Line(
        speed_mm_s=V_MAX,
        pitch_mm=PITCH_MM,
        pitch_jitter_mm=JITTER_MM,
        length_mm=LENGTH_MM,
        infeed_mm=INFEED_MM,
        gate_mm=GATE_MM,
        confirm_mm=confirm_mm,
        counts_per_mm=COUNTS_PER_MM,
        eye_jitter_counts=EYE_JITTER_COUNTS,
        count_start=COUNT_START,
        first_number=FIRST_NUMBER,
        output_ms=OUTPUT_MS,
        response_ms=RESPONSE_MS,
        seed=seed,
    )


def _recipe(name: str, min_score: float) -> RecipeConfig:
    return RecipeConfig(name=name, rules=(RuleConfig(name="any defect", min_score=min_score),))
