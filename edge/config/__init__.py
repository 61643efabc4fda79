"""Configuration: one frozen typed tree, read once.  Ranges in the types, units in the names, unknown keys refused."""

from edge.config.challenge import ChallengeConfig, PieceConfig
from edge.config.gateway import GatewayConfig, GuardConfig, PlcConfig, PulseConfig, Reaction
from edge.config.health import HealthConfig
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
from edge.config.monitor import MonitorConfig, SourcesConfig
from edge.config.recipe import RecipeConfig, RuleConfig, ZoneConfig
from edge.config.station import (
    CameraConfig,
    EvidenceConfig,
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
    "ChallengeConfig",
    "Color",
    "ControlConfig",
    "EvidenceConfig",
    "FailSafe",
    "FlightConfig",
    "GatewayConfig",
    "GatewayLinkConfig",
    "GuardConfig",
    "HealthConfig",
    "JournalConfig",
    "LimitsConfig",
    "LineConfig",
    "ModelConfig",
    "ModelFile",
    "MonitorConfig",
    "PieceConfig",
    "PlcConfig",
    "PlcTimingConfig",
    "PositionConfig",
    "PulseConfig",
    "Reaction",
    "RecipeConfig",
    "RecipeFile",
    "RuleConfig",
    "SecurityConfig",
    "SourcesConfig",
    "StationConfig",
    "TelemetryConfig",
    "TriggerConfig",
    "ZoneConfig",
    "load",
    "load_any",
    "parse",
]
