"""`edge monitor`: the monitor as a command."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from edge.clock import now_ns
from edge.config import MonitorConfig, load
from edge.notify import Notifier
from edge.watchdog import Feeder, name_the_culprit


def monitor_command(
    config: Annotated[Path | None, typer.Option(help="monitor.toml; the options below come before it.")] = None,
    station: Annotated[Path | None, typer.Option(help="The station's config file, for its telemetry endpoint.")] = None,
    gateway: Annotated[Path | None, typer.Option(help="The gateway's config file, likewise.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to serve on; 127.0.0.1.  Whoever reaches it can read everything.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="TCP port to serve on; 9464. 0 takes a free one.")
    ] = None,
) -> None:
    """Serve the dashboard, metrics and health of one line until interrupted."""
    from edge.monitor.memory import spare
    from edge.monitor.progress import END_S, PATIENCE_NS
    from edge.monitor.server import Monitor

    spare()
    notifier = Notifier.from_environment()
    name_the_culprit()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    given = {"station": station and str(station), "gateway": gateway and str(gateway), "host": host, "port": port}
    settings = MonitorConfig() if config is None else load(config, MonitorConfig)
    settings = settings.model_copy(update={key: value for key, value in given.items() if value is not None})
    with Monitor(settings) as monitor:
        sources, scheme = monitor.sources, "https" if settings.certificate else "http"
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        serving = f"Serving on {scheme}://{host}:{monitor.port}/"
        typer.echo(f"{serving} (station {sources.station}, gateway {sources.gateway}).")
        feeder = Feeder(notifier, PATIENCE_NS, lambda: monitor.turns, lambda: serving)
        notifier.ready(serving)
        while not stop.wait(0.1):
            feeder.turn(now_ns())
        notifier.stopping(END_S)
