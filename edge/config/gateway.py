"""`gateway.toml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.config.line import (
    ActuatorConfig,
    ControlConfig,
    Endpoint,
    FailSafe,
    FlightConfig,
    JournalConfig,
    LineConfig,
    PlcTimingConfig,
    Positive,
    Priority,
    Section,
    SecurityConfig,
    TelemetryConfig,
)


class PlcConfig(Section):
    """The PLC that the gateway talks to."""

    driver: Literal["modbus"] = "modbus"
    signal: Literal["permit", "pulse"] = "permit"
    """Who times the gate: the PLC (permit), or the gateway through one output (pulse)."""
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Better an address: a name is looked up once, as the gateway starts, and one address is kept, IPv4 before IPv6."""
    port: Annotated[int, Field(ge=1, le=65535)] = 5020
    unit: Annotated[int, Field(ge=0, le=247)] = 1
    timeout_ms: Annotated[float, Field(ge=1, le=1000)] = 50.0
    poll_ms: Annotated[float, Field(ge=1, le=100)] = 10.0
    stale_ms: Annotated[float, Field(ge=10, le=10_000)] = 150.0
    counts_parts: Literal[True] = True
    """The PLC counts parts with its own eye.  A line that nothing counts independently of the station is refused."""


class PulseConfig(Section):
    """What the `pulse` signal must know before it may be used: how late a write can be, and what ends it."""

    link_p999_ms: Positive | None = None
    output_watchdog_ms: Positive | None = None


Reaction = Literal["off", "alarm", "stop", "reject_all"]
"""``alarm`` only tells.  ``reject_all`` and ``stop`` (of the belt) are latched until a reset."""


class GuardConfig(Section):
    """What is watched beside the verdicts, and what follows.  A limit of 0 is not watched."""

    consecutive_rejects: Annotated[int, Field(ge=0)] = 50
    on_consecutive_rejects: Reaction = "alarm"
    consecutive_no_decisions: Annotated[int, Field(ge=0)] = 30
    on_consecutive_no_decisions: Reaction = "stop"
    consecutive_unannounced: Annotated[int, Field(ge=0)] = 10
    on_consecutive_unannounced: Reaction = "alarm"
    reject_rate: Annotated[float, Field(ge=0, le=1)] = 0.5
    reject_rate_parts: Annotated[int, Field(ge=10, le=10_000)] = 200
    on_reject_rate: Reaction = "alarm"
    on_contradicted: Reaction = "stop"
    on_missing: Reaction = "alarm"
    on_bin_full: Reaction = "stop"
    on_air_low: Reaction = "reject_all"
    on_eye_blocked: Reaction = "alarm"
    touching_parts: Annotated[int, Field(ge=0)] = 5
    on_touching_parts: Reaction = "alarm"
    on_encoder_lost: Reaction = "alarm"


class GatewayConfig(Section):
    """`gateway.toml`."""

    name: Annotated[str, Field(min_length=1)] = "gateway-1"
    lane: Annotated[int, Field(ge=0, le=255)] = 0
    realtime_priority: Priority = 30
    bind: Endpoint = "ipc:///tmp/edge-gateway"
    fail_safe: FailSafe = "reject"
    heartbeat_ms: Annotated[float, Field(ge=1, le=1000)] = 20.0
    stale_ms: Annotated[float, Field(ge=10, le=10_000)] = 300.0
    accept_escapes: bool = False
    """Allows what could let a part through that nobody inspected: the mode bypass, a gate that rests in pass."""
    line: LineConfig = LineConfig()
    actuator: ActuatorConfig = ActuatorConfig()
    plc_timing: PlcTimingConfig = PlcTimingConfig()
    plc: PlcConfig = PlcConfig()
    pulse: PulseConfig = PulseConfig()
    guard: GuardConfig = GuardConfig()
    control: ControlConfig = ControlConfig(path="/tmp/edge-gateway.control")
    telemetry: TelemetryConfig = TelemetryConfig(endpoint="ipc:///tmp/edge-gateway-telemetry")
    journal: JournalConfig = JournalConfig()
    flight: FlightConfig = FlightConfig()
    security: SecurityConfig = SecurityConfig()

    @model_validator(mode="after")
    def _strangers_stay_out(self) -> GatewayConfig:
        self.security.match(self.bind, "bind", "allow", "server_key")
        return self

    @model_validator(mode="after")
    def _pulse_is_declared(self) -> GatewayConfig:
        if self.actuator.deenergised_state == "pass" and not (self.accept_escapes and self.plc.signal == "pulse"):
            raise ValueError(
                "actuator.deenergised_state = 'pass' lets parts through when power fails: it needs plc.signal = "
                "'pulse' and accept_escapes = true"
            )
        if self.actuator.deenergised_state == "pass" and self.actuator.max_energised_ms:
            raise ValueError("actuator.max_energised_ms would end the REJECT of a gate that rests in pass")
        if self.plc.signal == "pulse" and None in (self.pulse.link_p999_ms, self.pulse.output_watchdog_ms):
            raise ValueError(
                "plc.signal = 'pulse' needs pulse.link_p999_ms as measured, and pulse.output_watchdog_ms of the output"
            )
        return self

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
