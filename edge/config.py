"""Configuration: one frozen typed tree, read once.  Ranges in the types, units in the names, unknown keys refused."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Endpoint = Annotated[str, Field(pattern=r"^(ipc:///?.+|tcp://[^:]+:\d{1,5}|tcp://\[[0-9a-fA-F:]+\]:\d{1,5})$")]
Priority = Annotated[int, Field(ge=0, le=80)]
"""Of SCHED_FIFO; 0 leaves the process as it is.  Without the right to it, a warning and an ordinary process."""

FailSafe = Literal["reject", "stop_line"]
Color = Literal["mono8", "bgr8", "rgb8"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LineConfig(_Section):
    """The belt.  Station, gateway and PLC must mean the same line, so its digest travels with every session."""

    pitch_min_mm: Positive = 100.0
    part_length_min_mm: Positive = 60.0
    part_length_max_mm: Positive = 60.0
    speed_min_mm_s: Positive = 1000.0
    speed_max_mm_s: Positive = 1000.0
    trigger_to_gate_mm: Positive = 500.0
    counts_per_mm: Positive = 10.0
    eye_scatter_ms: NotNegative = 0.5
    slip_mm: NotNegative = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> LineConfig:
        if self.speed_min_mm_s > self.speed_max_mm_s:
            raise ValueError(f"speed_min_mm_s {self.speed_min_mm_s} exceeds speed_max_mm_s {self.speed_max_mm_s}")
        if self.part_length_min_mm > self.part_length_max_mm:
            raise ValueError(
                f"part_length_min_mm {self.part_length_min_mm} exceeds part_length_max_mm {self.part_length_max_mm}"
            )
        if self.part_length_max_mm >= self.pitch_min_mm:
            raise ValueError(
                f"part_length_max_mm {self.part_length_max_mm} leaves no gap within pitch_min_mm {self.pitch_min_mm}"
            )
        return self

    def digest(self) -> str:
        """Return a short fingerprint of the line's numbers."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class ActuatorConfig(_Section):
    """The device at the gate.  Which fields count depends on ``kind``; see ARCHITECTURE.md and `edge check`."""

    kind: Literal["blow_off", "diverter", "stop"] = "diverter"
    response_max_ms: NotNegative = 10.0
    response_scatter_ms: NotNegative = 2.0
    pulse_ms: NotNegative = 70.0
    nozzle_mm: NotNegative = 10.0
    cover_mm: NotNegative = 20.0
    blade_mm: NotNegative = 0.0
    move_ms: NotNegative = 10.0
    deceleration_mm_s2: Positive = 2000.0


class PlcTimingConfig(_Section):
    """How long a permit takes from the gateway to the output."""

    scan_ms: Positive = 10.0
    output_ms: NotNegative = 2.0
    write_ms: NotNegative = 8.0
    margin_ms: NotNegative = 5.0
    link_ms: NotNegative = 2.0


class CameraConfig(_Section):
    """Where frames come from."""

    kind: Literal["plant", "folder", "video"] = "plant"
    endpoint: Endpoint = "tcp://127.0.0.1:5572"
    source: str = ""
    width: Annotated[int, Field(ge=16, le=16384)] = 640
    height: Annotated[int, Field(ge=16, le=16384)] = 512
    color: Color = "mono8"
    silent_ms: Annotated[float, Field(gt=0, le=1000)] = 1000.0
    window_early_ms: NotNegative = 1.0
    window_late_ms: Positive = 25.0
    loop: bool = False
    sync_pairs: Annotated[int, Field(ge=1, le=16)] = 1
    """Agreeing pairs before the offset of the counters is trusted: 1 where the camera stamps its exposures on this
    host's clock, 3 or more where only the arrival of a frame is known."""

    @model_validator(mode="after")
    def _source_given(self) -> CameraConfig:
        if self.kind != "plant" and not self.source:
            raise ValueError(f"kind {self.kind!r} needs source (a folder, a file, or a device number)")
        return self


class TriggerConfig(_Section):
    """Where part edges come from: the plant's eye, or a timer for benches without a line."""

    kind: Literal["plant", "timer"] = "plant"
    endpoint: Endpoint = "tcp://127.0.0.1:5571"
    period_ms: Positive = 100.0


class ModelConfig(_Section):
    """Which package decides, on what.  ``auto`` picks among what the package's manifest qualifies."""

    package: str = "models/sim-strip"
    engine: Literal["auto", "onnxruntime", "openvino", "null"] = "auto"
    precision: Literal["auto", "fp32", "fp16", "bf16", "int8"] = "auto"
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    null_ms: NotNegative = 5.0


class RuleConfig(_Section):
    """A condition that rejects.  AND within a rule, OR across rules.  Bounds are inclusive, pixels are the frame's."""

    name: Annotated[str, Field(min_length=1)]
    classes: tuple[str, ...] = ()
    min_score: Annotated[float, Field(gt=0, le=1)] = 0.5
    min_area_px: NotNegative = 0.0
    min_longer_side_px: NotNegative = 0.0


class RecipeConfig(_Section):
    """What makes a part bad."""

    name: Annotated[str, Field(min_length=1)] = "default"
    rules: tuple[RuleConfig, ...] = Field(min_length=1)

    def number(self) -> int:
        """Return the 16-bit number under which PLC and gateway echo this recipe (never 0)."""
        digest = hashlib.sha256(self.model_dump_json().encode()).digest()
        return int.from_bytes(digest[:2], "big") or 1


class LimitsConfig(_Section):
    """Bounds of the station's own resources and patience."""

    ceiling_ms: Annotated[float, Field(gt=0, le=10_000)] = 100.0
    frame_timeout_ms: Positive = 60.0
    open_parts: Annotated[int, Field(ge=1, le=4096)] = 64
    pool_slots: Annotated[int, Field(ge=3, le=256)] = 12
    hang_ms: Positive = 3000.0


class GatewayLinkConfig(_Section):
    """The station's view of the gateway.  Without an endpoint the station only inspects: nothing is permitted."""

    endpoint: Endpoint | None = "ipc:///tmp/edge-gateway"
    fail_safe: FailSafe = "reject"
    heartbeat_ms: Annotated[float, Field(ge=1, le=1000)] = 50.0
    stale_ms: Annotated[float, Field(ge=10, le=10_000)] = 300.0


class TelemetryConfig(_Section):
    """Where counters and part records are published."""

    endpoint: Endpoint = "tcp://127.0.0.1:5573"


class StationConfig(_Section):
    """`station.toml`."""

    name: Annotated[str, Field(min_length=1)] = "station-1"
    lane: Annotated[int, Field(ge=0, le=255)] = 0
    realtime_priority: Priority = 20
    line: LineConfig = LineConfig()
    actuator: ActuatorConfig = ActuatorConfig()
    plc_timing: PlcTimingConfig = PlcTimingConfig()
    camera: CameraConfig = CameraConfig()
    trigger: TriggerConfig = TriggerConfig()
    model: ModelConfig = ModelConfig()
    recipe: RecipeConfig
    limits: LimitsConfig = LimitsConfig()
    gateway: GatewayLinkConfig = GatewayLinkConfig()
    telemetry: TelemetryConfig = TelemetryConfig()

    @model_validator(mode="after")
    def _patience(self) -> StationConfig:
        if self.limits.hang_ms <= self.limits.ceiling_ms:
            raise ValueError(
                f"limits.hang_ms {self.limits.hang_ms:g} must exceed limits.ceiling_ms {self.limits.ceiling_ms:g}"
            )
        if 3 * self.gateway.heartbeat_ms > self.gateway.stale_ms:
            raise ValueError(
                f"gateway.heartbeat_ms {self.gateway.heartbeat_ms:g} must be at most a third of "
                f"gateway.stale_ms {self.gateway.stale_ms:g}"
            )
        return self

    @model_validator(mode="after")
    def _window_within_period(self) -> StationConfig:
        period_ms = 1000 * self.line.pitch_min_mm / self.line.speed_max_mm_s
        window_ms = self.camera.window_early_ms + self.camera.window_late_ms
        if window_ms >= period_ms:
            raise ValueError(
                f"camera.window_early_ms + window_late_ms is a window of {window_ms:g} ms, and must be shorter than "
                f"the period of {period_ms:g} ms, or a frame fits two parts"
            )
        return self


class PlcConfig(_Section):
    """The PLC that the gateway talks to."""

    driver: Literal["modbus"] = "modbus"
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 5020
    unit: Annotated[int, Field(ge=0, le=247)] = 1
    timeout_ms: Annotated[float, Field(ge=1, le=1000)] = 50.0
    poll_ms: Annotated[float, Field(ge=1, le=100)] = 10.0
    stale_ms: Annotated[float, Field(ge=10, le=10_000)] = 150.0
    counts_parts: Literal[True] = True
    """The PLC counts parts with its own eye.  A line that nothing counts independently of the station is refused."""


class GatewayConfig(_Section):
    """`gateway.toml`."""

    name: Annotated[str, Field(min_length=1)] = "gateway-1"
    lane: Annotated[int, Field(ge=0, le=255)] = 0
    realtime_priority: Priority = 30
    bind: Endpoint = "ipc:///tmp/edge-gateway"
    fail_safe: FailSafe = "reject"
    heartbeat_ms: Annotated[float, Field(ge=1, le=1000)] = 20.0
    stale_ms: Annotated[float, Field(ge=10, le=10_000)] = 300.0
    line: LineConfig = LineConfig()
    actuator: ActuatorConfig = ActuatorConfig()
    plc_timing: PlcTimingConfig = PlcTimingConfig()
    plc: PlcConfig = PlcConfig()
    telemetry: TelemetryConfig = TelemetryConfig(endpoint="tcp://127.0.0.1:5574")

    @model_validator(mode="after")
    def _patience_beyond_a_turn(self) -> GatewayConfig:
        plc = self.plc
        turn_ms = plc.poll_ms + 2 * plc.timeout_ms
        if turn_ms >= plc.stale_ms:
            raise ValueError(
                f"plc.poll_ms + 2 plc.timeout_ms is {turn_ms:g} ms, and must be below plc.stale_ms {plc.stale_ms:g}, "
                f"or a slow answer looks like a dead PLC"
            )
        if 3 * self.heartbeat_ms > plc.stale_ms:
            raise ValueError(
                f"heartbeat_ms {self.heartbeat_ms:g} must be at most a third of plc.stale_ms {plc.stale_ms:g}"
            )
        return self


Tree = TypeVar("Tree", StationConfig, GatewayConfig)


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
            f"{origin}: {problems}.", "correct the keys named; `edge schema station|gateway` lists all."
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
