"""`edge monitor`: the monitor as a command."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from edge.config import GatewayConfig, StationConfig, TelemetryConfig, load


def monitor_command(
    station: Annotated[Path | None, typer.Option(help="The station's config file, for its telemetry endpoint.")] = None,
    gateway: Annotated[Path | None, typer.Option(help="The gateway's config file, likewise.")] = None,
    host: Annotated[
        str, typer.Option(help="Address to serve on. Whoever reaches it can read everything.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port to serve on; 0 takes a free one.")] = 9464,
) -> None:
    """Serve metrics, health and a status page of one line until interrupted."""
    from edge.monitor.server import Monitor

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    station_endpoint, gateway_endpoint = _endpoints(station, gateway)
    monitor = Monitor(station_endpoint, gateway_endpoint, host, port)
    with monitor:
        typer.echo(
            f"Serving on http://{host}:{monitor.port}/ (station {station_endpoint}, gateway {gateway_endpoint})."
        )
        while not stop.wait(0.1):
            pass


def _endpoints(station: Path | None, gateway: Path | None) -> tuple[str, str]:
    """Return the telemetry endpoints of station and gateway, the defaults for a file that is not given."""
    of_station = TelemetryConfig() if station is None else load(station, StationConfig).telemetry
    of_gateway = GatewayConfig().telemetry if gateway is None else load(gateway, GatewayConfig).telemetry
    return of_station.endpoint, of_gateway.endpoint
