"""The monitor process: hears station and gateway, and serves what it heard and what they recorded over HTTP."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from edge.clock import now_ns
from edge.config import MonitorConfig
from edge.errors import MissingExtra
from edge.monitor.exposure import warnings
from edge.monitor.line import Line
from edge.monitor.listener import Listener
from edge.monitor.metrics import LineCollector
from edge.monitor.sources import Sources, resolve

if TYPE_CHECKING:
    from edge.monitor.web.serve import WebThread
    from edge.monitor.web.site import Site

_log = logging.getLogger(__name__)


class Monitor:
    """Listens and serves, from ``start`` to ``close``.

    Args:
        config: of the monitor.

    Attributes:
        line: what was heard.
        registry: the Prometheus registry that ``/metrics`` renders.
        sources: where it reads.

    Raises:
        ConfigError: a file that the configuration names cannot be used.
    """

    def __init__(self, config: MonitorConfig, sources: Sources | None = None) -> None:
        self.config = config
        self.sources = resolve(config) if sources is None else sources
        self.line = Line(self.sources.gateway_expected, self.sources.rests_in_pass)
        self.registry = CollectorRegistry()
        LineCollector(self.line.state, self.registry, self.line.lock, lambda: self.line.malformed)
        self._listener = Listener(self.sources, self.line, self._is_watched)
        self._site: Site | None = None
        self._web: WebThread | None = None
        self._port = config.port

    def __enter__(self) -> Monitor:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The TCP port that it serves on."""
        return self._port

    def start(self) -> None:
        """Begin to listen and serve.

        Raises:
            MissingExtra: the web server's libraries are not installed.
            PortBusy: another process serves on that port.
            ConfigError: the address, an endpoint or a file cannot be used.
        """
        try:
            from edge.monitor.web import app, serve
        except ModuleNotFoundError as error:
            raise MissingExtra(error.name or "starlette", "monitor") from None
        listener: socket.socket | None = None
        try:
            listener = serve.listen(self.config.host, self.config.port)
            self._port = int(listener.getsockname()[1])
            self._listener.start()
            self._site = self._build_site()
            for warning in warnings(self.config, bool(self._site.users)):
                _log.warning("%s", warning)
            self._web = serve.WebThread(app.build(self._site), listener, self.config.certificate, self.config.key)
            self._web.start()
        except BaseException:
            if listener is not None:
                listener.close()
            self.close()
            raise

    def close(self) -> None:
        """End the threads, and give back sockets, files and port."""
        if self._site is not None:
            self._site.hub.close()
        if self._web is not None:
            self._web.close()
            self._web = None
        self._listener.close()
        if self._site is not None:
            self._site.close()
            self._site = None

    @property
    def turns(self) -> dict[str, int]:
        """How often each thread has turned: all grow at least once a second while they work."""
        return {"listener": self._listener.turns, "http": self._site.hub.turns if self._site else 0}

    def health(self) -> dict[str, object]:
        """Return the monitor's own health, and what it knows of the line."""
        with self.line.lock:
            now, state = now_ns(), self.line.state
            station, gateway = state.station, state.gateway
            return {
                "listening": self._listener.alive,
                "station_up": state.station_up(now),
                "station_state": station.state if station else None,
                "station_reason": station.reason if station else None,
                "station_unreconciled_parts": state.station_unreconciled(),
                "gateway_up": state.gateway_up(now),
                "gateway_unreconciled_parts": state.gateway_unreconciled(),
                "plc_ok": gateway.plc_ok if gateway else None,
            }

    def _is_watched(self) -> bool:
        return self._site is not None and self._site.hub.viewers > 0

    def _build_site(self) -> Site:
        from edge.monitor.web.history import History
        from edge.monitor.web.hub import Hub
        from edge.monitor.web.sessions import Sessions
        from edge.monitor.web.site import Site
        from edge.monitor.web.users import Users
        from edge.record.annotations import Annotations

        config, line = self.config, self.line
        return Site(
            config=config,
            sources=self.sources,
            line=line,
            hub=Hub(line.snapshot, line.signature, line.drain, line.live),
            history=History(self.sources.journals, self.sources.evidence, config.zone(), config.shifts),
            users=Users(Path(config.users) if config.users else None),
            sessions=Sessions(),
            annotations=Annotations(Path(config.annotations)) if config.annotations else None,
            registry=self.registry,
            health=self.health,
        )
