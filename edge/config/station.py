"""`station.toml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from edge.config.challenge import ChallengeConfig
from edge.config.health import HealthConfig
from edge.config.line import (
    ActuatorConfig,
    Color,
    ControlConfig,
    Endpoint,
    FailSafe,
    FlightConfig,
    JournalConfig,
    LineConfig,
    Mode,
    NotNegative,
    PlcTimingConfig,
    Positive,
    Priority,
    Section,
    SecurityConfig,
    TelemetryConfig,
    stays_on_host,
)
from edge.config.recipe import RecipeConfig


class CameraConfig(Section):
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


class TriggerConfig(Section):
    """Where part edges come from: the plant's eye, or a timer for benches without a line."""

    kind: Literal["plant", "timer"] = "plant"
    endpoint: Endpoint = "tcp://127.0.0.1:5571"
    period_ms: Positive = 100.0


class ModelConfig(Section):
    """Which package decides, on what.  ``auto`` picks among what the package's manifest qualifies."""

    package: str = "models/sim-strip"
    engine: Literal["auto", "onnxruntime", "openvino", "null"] = "auto"
    precision: Literal["auto", "fp32", "fp16", "bf16", "int8"] = "auto"
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    null_ms: NotNegative = 5.0


class LimitsConfig(Section):
    """Bounds of the station's own resources and patience."""

    ceiling_ms: Annotated[float, Field(gt=0, le=10_000)] = 100.0
    frame_timeout_ms: Positive = 60.0
    open_parts: Annotated[int, Field(ge=1, le=4096)] = 64
    pool_slots: Annotated[int, Field(ge=3, le=256)] = 12
    hang_ms: Positive = 3000.0


class GatewayLinkConfig(Section):
    """The station's view of the gateway.  With endpoint "none" the station only inspects: nothing is permitted."""

    endpoint: Annotated[Endpoint | None, BeforeValidator(lambda v: None if v == "none" else v)] = (
        "ipc:///tmp/edge-gateway"
    )
    fail_safe: FailSafe = "reject"
    heartbeat_ms: Annotated[float, Field(ge=1, le=1000)] = 50.0
    stale_ms: Annotated[float, Field(ge=10, le=10_000)] = 300.0


class PositionConfig(Section):
    """Where a part's count comes from, by which the gateway tells it apart from its neighbours."""

    source: Literal["eye", "plc", "camera", "time"] = "eye"
    """``eye``: latched with the trigger.  ``plc``: the PLC's, told by the gateway.  ``camera``: with each frame.
    ``time``: no encoder; a belt of one speed, timed by the monotonic clock of one host."""
    camera_offset_mm: NotNegative = 0.0
    """Belt travel between a part's edge and the exposure, for ``camera``."""


class EvidenceConfig(Section):
    """Pictures of rejects, undecided parts, close passes and a sample; and the live picture."""

    folder: str | None = None
    """None: nothing is kept."""
    keep_days: Annotated[int, Field(ge=1, le=36_500)] = 90
    keep_gb: Annotated[float, Field(gt=0, le=100_000)] = 20.0
    """Whichever bound is met first: the oldest pictures of passes go, then of undecided parts, then of rejects."""
    free_gb: Annotated[float, Field(ge=0, le=100_000)] = 2.0
    """Room that is left to others on the disk: below it, nothing is written."""
    near: Annotated[float, Field(ge=0, le=1)] = 0.1
    """A pass is close where the score of a finding missed a rule by so much at most, wherever it lies; 0: none is."""
    sample_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Of all other passes, drawn at random."""
    format: Literal["jpeg", "png"] = "jpeg"
    quality: Annotated[int, Field(ge=30, le=100)] = 90
    """Of JPEG."""
    live: Endpoint | None = None
    """Where live pictures are published.  None: nowhere."""
    live_per_s: Annotated[float, Field(gt=0, le=5)] = 5.0
    mode: Mode = "0600"
    """File mode of ``live``'s socket: who may look."""

    @model_validator(mode="after")
    def _stays_on_this_host(self) -> EvidenceConfig:
        if self.live is not None and not stays_on_host(self.live):
            raise ValueError(
                f"live {self.live!r} would show pictures to everybody, unprotected: use ipc:// or tcp://127.0.0.1, "
                "and let the monitor serve other hosts"
            )
        return self


class StationConfig(Section):
    """`station.toml`."""

    name: Annotated[str, Field(min_length=1)] = "station-1"
    lane: Annotated[int, Field(ge=0, le=255)] = 0
    realtime_priority: Priority = 20
    line: LineConfig = LineConfig()
    actuator: ActuatorConfig = ActuatorConfig()
    plc_timing: PlcTimingConfig = PlcTimingConfig()
    camera: CameraConfig = CameraConfig()
    trigger: TriggerConfig = TriggerConfig()
    position: PositionConfig = PositionConfig()
    model: ModelConfig = ModelConfig()
    recipe: RecipeConfig
    limits: LimitsConfig = LimitsConfig()
    gateway: GatewayLinkConfig = GatewayLinkConfig()
    control: ControlConfig = ControlConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
    journal: JournalConfig = JournalConfig()
    evidence: EvidenceConfig = EvidenceConfig()
    health: HealthConfig = HealthConfig()
    challenge: ChallengeConfig = ChallengeConfig()
    flight: FlightConfig = FlightConfig()
    security: SecurityConfig = SecurityConfig()

    @model_validator(mode="after")
    def _somebody_tells_the_position(self) -> StationConfig:
        source, line = self.position.source, self.line
        if source == "time" and line.speed_min_mm_s != line.speed_max_mm_s:
            raise ValueError(
                f"position.source 'time' needs a belt of one speed, and line.speed_min_mm_s {line.speed_min_mm_s:g} is "
                f"not line.speed_max_mm_s {line.speed_max_mm_s:g}"
            )
        if source == "time" and self.gateway.endpoint is not None and not stays_on_host(self.gateway.endpoint):
            raise ValueError(f"position.source 'time' needs a gateway on this host, not {self.gateway.endpoint!r}")
        if self.gateway.endpoint is not None and self.trigger.kind == "timer":
            raise ValueError("trigger.kind 'timer' numbers nothing that a PLC counts: set gateway.endpoint = 'none'")
        if source == "plc" and self.gateway.endpoint is None:
            raise ValueError("position.source 'plc' needs gateway.endpoint: the gateway tells what the PLC counted")
        if source == "camera" and self.camera.kind != "plant":
            raise ValueError(f"position.source 'camera' needs counts, which camera.kind {self.camera.kind!r} has not")
        return self

    @model_validator(mode="after")
    def _gate_to_confirm(self) -> StationConfig:
        if self.challenge.folder is not None and self.gateway.endpoint is None:
            raise ValueError("challenge.folder needs gateway.endpoint: no gate would confirm where the pieces went")
        return self

    @model_validator(mode="after")
    def _somebody_ends_a_hold(self) -> StationConfig:
        if (names := self.health.needs_person()) and self.control.path is None:
            raise ValueError(
                f"health holds the line for {names[0]}, and control.path is not set: without parts nothing is "
                "measured, so a person must say that it is over (edge control PATH health clear)"
            )
        return self

    @model_validator(mode="after")
    def _strangers_stay_out(self) -> StationConfig:
        self.security.match(self.gateway.endpoint, "gateway.endpoint", "server_key", "allow")
        return self

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


class ModelFile(Section):
    """A `[model]` alone, for a change at runtime."""

    model: ModelConfig


class RecipeFile(Section):
    """A file that holds a recipe alone, for a change at runtime: the `[recipe]` of a `station.toml`."""

    recipe: RecipeConfig
