"""Configuration: one frozen typed tree, read once.  Ranges in the types, units in the names, unknown keys refused."""

from edge.config.gateway import GatewayConfig, GuardConfig, PlcConfig, PulseConfig, Reaction
from edge.config.line import (
    ActuatorConfig,
    Color,
    ControlConfig,
    FailSafe,
    FlightConfig,
    JournalConfig,
    LineConfig,
    PlcTimingConfig,
    SecurityConfig,
    TelemetryConfig,
)
from edge.config.load import load, load_any, parse
from edge.config.recipe import RecipeConfig, RuleConfig, ZoneConfig
from edge.config.station import (
    CameraConfig,
    GatewayLinkConfig,
    LimitsConfig,
    ModelConfig,
    ModelFile,
    PositionConfig,
    RecipeFile,
    StationConfig,
    TriggerConfig,
)

__all__ = [
    "ActuatorConfig",
    "CameraConfig",
    "Color",
    "ControlConfig",
    "FailSafe",
    "FlightConfig",
    "GatewayConfig",
    "GatewayLinkConfig",
    "GuardConfig",
    "JournalConfig",
    "LimitsConfig",
    "LineConfig",
    "ModelConfig",
    "ModelFile",
    "PlcConfig",
    "PlcTimingConfig",
    "PositionConfig",
    "PulseConfig",
    "Reaction",
    "RecipeConfig",
    "RecipeFile",
    "RuleConfig",
    "SecurityConfig",
    "StationConfig",
    "TelemetryConfig",
    "TriggerConfig",
    "ZoneConfig",
    "load",
    "load_any",
    "parse",
]
