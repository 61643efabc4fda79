"""What the gateway publishes of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge import __version__
from edge.config import GatewayConfig
from edge.core.register import Register
from edge.gateway.link import PlcLink
from edge.gateway.stations import Stations
from edge.wire import messages as wire

if TYPE_CHECKING:
    from edge.gateway.server import Gateway


def in_words(status: wire.GatewayStatus) -> str:
    """Return a gateway's state in one line."""
    plc = "PLC ok" if status.plc_ok else f"PLC: {status.reason}"
    return f"mode {status.mode}, {plc}, station {status.station if status.station_session else 'none'}"


def status_message(
    config: GatewayConfig, register: Register, link: PlcLink, stations: Stations, gateway: Gateway
) -> wire.GatewayStatus:
    """Return the gateway's cumulative counters and state."""
    counts, armed, session = register.counts, register.armed, register.session
    operations = gateway.operations
    return wire.GatewayStatus(
        gateway=config.name,
        lane=config.lane,
        plc_ok=link.armed,
        reason=link.reason,
        station=stations.name,
        station_session=session.station,
        plc_session=session.plc,
        fence=session.fence,
        plc_triggers=counts.plc_triggers,
        announced=counts.announced,
        unannounced=counts.unannounced,
        permitted=armed.taken,
        rejected=dict(counts.rejected),
        pending=register.pending,
        dispositions=dict(counts.dispositions),
        executed=armed.executed,
        voided=dict(armed.voided),
        armed=len(armed),
        wire_errors=gateway.wire_errors,
        plc_errors=gateway.plc_errors,
        sessions_granted=gateway.sessions.granted,
        sessions_lost=gateway.sessions.lost,
        version=__version__,
        mode=operations.mode.value,
        alarms=operations.alarms.standing,
        confirmed=operations.guard.confirmed,
        contradicted=operations.guard.contradicted,
        journal=gateway.recorder.status(),
        strangers=gateway.strangers,
        started_wall=gateway.started_wall,
        latched=operations.alarms.latched,
    )
