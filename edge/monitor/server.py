"""The monitor process: listens to station and gateway, and serves what it heard over HTTP."""

from __future__ import annotations

import errno
import json
import logging
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import cast

import zmq
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from edge.clock import now_ns
from edge.errors import ConfigError, PortBusy, WireError
from edge.monitor.metrics import LineCollector
from edge.monitor.page import render
from edge.monitor.state import LineState
from edge.wire.messages import GatewayStatus, PartRecord, StationStatus, decode_published

TOPICS: dict[bytes, type[PartRecord] | type[StationStatus] | type[GatewayStatus]] = {
    b"part": PartRecord,
    b"station": StationStatus,
    b"gateway": GatewayStatus,
}
"""What each topic carries."""

DEFAULT_PORT = 9464

_POLL_MS = 100
_PARTS = 2
_REQUEST_TIMEOUT_S = 5.0
_log = logging.getLogger(__name__)


class Monitor:
    """Listens and serves, from ``start`` to ``close``.

    Args:
        station_endpoint: where the station publishes.
        gateway_endpoint: where the gateway publishes; None where there is none.
        host: address to serve on.  Whoever reaches it can read everything.
        port: TCP port to serve on; 0 takes a free one.

    Attributes:
        state: what was heard; guarded by ``lock``.
        registry: the Prometheus registry that ``/metrics`` renders.
        malformed: messages that could not be understood and were skipped.
    """

    def __init__(
        self, station_endpoint: str, gateway_endpoint: str | None, host: str = "127.0.0.1", port: int = DEFAULT_PORT
    ) -> None:
        self.state = LineState()
        self.lock = threading.Lock()
        self.malformed = 0
        self.registry = CollectorRegistry()
        LineCollector(self.state, self.registry, self.lock, lambda: self.malformed)
        self._endpoints = [e for e in (station_endpoint, gateway_endpoint) if e is not None]
        self._address = (host, port)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._server: _Server | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None

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
        return self._address[1] if self._server is None else int(self._server.server_address[1])

    @property
    def listening(self) -> bool:
        """Whether the thread that takes in messages runs."""
        return bool(self._threads) and self._threads[0].is_alive()

    def start(self) -> None:
        """Begin to listen and serve.

        Raises:
            PortBusy: another process serves on that port.
            ConfigError: the address or an endpoint cannot be used.
        """
        try:
            self._server = _serve(self._address, self)
            self._socket = self._subscribe()
        except BaseException:
            self.close()
            raise
        self._stopping.clear()
        listen = threading.Thread(target=self._listen, args=(self._socket,), name="monitor-listen", daemon=True)
        serve = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="monitor-http", daemon=True)
        self._threads = [listen, serve]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the threads, and give back socket and port."""
        self._stopping.set()
        if self._server is not None and self._threads:
            self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._threads = []
        if self._server is not None:
            self._server.server_close()
            self._server = None
        if self._socket is not None:
            self._socket.close(linger=0)
            self._socket = None
        if self._context is not None:
            self._context.term()
            self._context = None

    def health(self) -> dict[str, object]:
        """Return the monitor's own health, and what it knows of the line."""
        with self.lock:
            now, station, gateway = now_ns(), self.state.station, self.state.gateway
            return {
                "listening": self.listening,
                "station_up": self.state.station_up(now),
                "station_state": station.state if station else None,
                "station_reason": station.reason if station else None,
                "station_unreconciled_parts": self.state.station_unreconciled(),
                "gateway_up": self.state.gateway_up(now),
                "gateway_unreconciled_parts": self.state.gateway_unreconciled(),
                "plc_ok": gateway.plc_ok if gateway else None,
            }

    def page(self) -> str:
        """Return the status page."""
        with self.lock:
            return render(self.state, now_ns())

    def _subscribe(self) -> zmq.Socket[bytes]:
        self._context = zmq.Context()
        socket = self._context.socket(zmq.SUB)
        self._socket = socket
        socket.set(zmq.LINGER, 0)
        socket.subscribe(b"")  # to all: an unknown topic is counted, not overlooked
        for endpoint in self._endpoints:
            try:
                socket.connect(endpoint)
            except zmq.ZMQError as error:
                raise ConfigError(
                    f"Endpoint {endpoint!r} cannot be used: {error}.", "correct telemetry.endpoint."
                ) from None
        return socket

    def _listen(self, socket: zmq.Socket[bytes]) -> None:
        while not self._stopping.is_set():
            if socket.poll(_POLL_MS):
                self._take(socket.recv_multipart())

    def _take(self, parts: list[bytes]) -> None:
        try:
            if len(parts) != _PARTS or parts[0] not in TOPICS:
                raise WireError(f"{len(parts)} parts with topic {parts[0][:20]!r}.", "find who sends them.")
            message = decode_published(parts[1])
            if not isinstance(message, TOPICS[parts[0]]):
                raise WireError(f"A {type(message).__name__} with topic {parts[0]!r}.", "find who sends it.")
        except WireError as error:
            self.malformed += 1
            _log.debug("Skipped a message: %s", error)
            return
        with self.lock:
            self.state.take(message, now_ns())


class _Server(ThreadingHTTPServer):
    """The HTTP server, which knows its monitor."""

    daemon_threads = True
    block_on_close = False  # a client that keeps its connection open must not hold the shutdown
    monitor: Monitor

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """Log what went wrong with a request, such as a client that went away."""
        _log.debug("A request of %s failed.", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """``/metrics``, ``/healthz`` and ``/``, to be read only."""

    timeout = _REQUEST_TIMEOUT_S
    server_version = "edge-monitor"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a request."""
        monitor = cast("_Server", self.server).monitor
        path = self.path.partition("?")[0]
        if path == "/metrics":
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, content_type, encode(monitor.registry))
        elif path == "/healthz":
            # The monitor's own health: restarting it does not help a station that is down.
            status = HTTPStatus.OK if monitor.listening else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, "application/json", json.dumps(monitor.health()).encode())
        elif path == "/":
            self._answer(HTTPStatus.OK, "text/html; charset=utf-8", monitor.page().encode())
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"See /, /metrics and /healthz.\n")

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Keep requests out of standard error."""
        _log.debug(format, *args)

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _serve(address: tuple[str, int], monitor: Monitor) -> _Server:
    try:
        server = _Server(address, _Handler)
    except OSError as error:
        host, port = address
        if error.errno == errno.EADDRINUSE:
            raise PortBusy(
                f"Port {port} of {host} is in use by another process.", "stop it, or choose another with --port."
            ) from None
        raise ConfigError(f"Cannot serve on {host}, port {port} ({error}).", "correct --host or --port.") from None
    server.monitor = monitor
    return server
