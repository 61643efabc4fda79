"""Where a monitor reads, as its own configuration and those of station and gateway say together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.config import GatewayConfig, StationConfig, TelemetryConfig, load
from edge.config.monitor import MonitorConfig


@dataclass(frozen=True)
class Sources:
    """Endpoints and folders; None for what there is not.

    Attributes:
        station, gateway: where they publish.
        gateway_expected: the configuration names a gateway, so that one never heard of is a fault.
        live: where the station publishes pictures.
        journals: folders of the journals, the station's first.
        evidence: the folder of the station's pictures.
        control: the station's control socket, for the challenge procedure.
        challenge: the folder of the records of challenges.
        rests_in_pass: the gateway's file says that the gate lets parts through when nobody drives it.
    """

    station: str
    gateway: str | None
    gateway_expected: bool = False
    live: str | None = None
    journals: tuple[Path, ...] = ()
    evidence: Path | None = None
    control: Path | None = None
    challenge: Path | None = None
    rests_in_pass: bool = False


def resolve(config: MonitorConfig) -> Sources:
    """Return the sources of ``config``: what it names itself comes before what the other files say.

    Raises:
        ConfigError: a file of station or gateway cannot be used.
    """
    own = config.sources
    station = None if config.station is None else load(Path(config.station), StationConfig)
    gateway = None if config.gateway is None else load(Path(config.gateway), GatewayConfig)
    evidence = own.evidence or (station and station.evidence.folder)
    challenge = own.challenge or (station and station.challenge.folder)
    control = own.station_control or (station and station.control.path if challenge else None)
    journals = (
        own.station_journal or (station and station.journal.folder),
        own.gateway_journal or (gateway and gateway.journal.folder),
    )
    return Sources(
        station=own.station_telemetry or (station.telemetry if station else TelemetryConfig()).endpoint,
        gateway=own.gateway_telemetry or _gateway_endpoint(station, gateway),
        gateway_expected=gateway is not None or own.gateway_telemetry is not None,
        live=own.live or (station.evidence.live if station else None),
        journals=tuple(Path(folder) for folder in journals if folder),
        evidence=Path(evidence) if evidence else None,
        control=Path(control) if control else None,
        challenge=Path(challenge) if challenge else None,
        rests_in_pass=gateway is not None and gateway.actuator.deenergised_state == "pass",
    )


def _gateway_endpoint(station: StationConfig | None, gateway: GatewayConfig | None) -> str | None:
    if gateway is not None:
        return gateway.telemetry.endpoint
    if station is not None and station.gateway.endpoint is None:
        return None
    return GatewayConfig().telemetry.endpoint
