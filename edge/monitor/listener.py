"""The thread that hears station and gateway.  It waits for nothing but messages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import zmq

from edge.errors import ConfigError, WireError
from edge.monitor.line import Line
from edge.monitor.sources import Sources
from edge.wire.messages import GatewayStatus, PartRecord, StationStatus, decode_live, decode_published

TOPICS: dict[bytes, type[PartRecord] | type[StationStatus] | type[GatewayStatus]] = {
    b"part": PartRecord,
    b"station": StationStatus,
    b"gateway": GatewayStatus,
}
"""What each topic carries."""

_POLL_MS = 100
_PARTS = 2
_LIVE_WAITING = 2
"""Live pictures that may wait: one is 100 KB."""

_log = logging.getLogger(__name__)


class Listener:
    """Hears telemetry and live pictures, from ``start`` to ``close``.

    Args:
        sources: where to listen.
        line: takes what was heard.
        is_watched: says whether anybody looks; else no live pictures are asked for, and the station makes none.

    Attributes:
        turns: how often it has looked for messages.
    """

    def __init__(self, sources: Sources, line: Line, is_watched: Callable[[], bool]) -> None:
        self._sources, self._line, self._is_watched = sources, line, is_watched
        self.turns = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._sockets: list[zmq.Socket[bytes]] = []

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin to listen.

        Raises:
            ConfigError: an endpoint cannot be used.
        """
        self._context = zmq.Context()
        try:
            telemetry = self._connect([e for e in (self._sources.station, self._sources.gateway) if e is not None])
            telemetry.subscribe(b"")  # to all: an unknown topic is counted, not overlooked
            live = None
            if self._sources.live is not None:
                live = self._connect([self._sources.live], _LIVE_WAITING)
        except BaseException:
            self.close()
            raise
        self._stopping.clear()
        self._thread = threading.Thread(target=self._listen, args=(telemetry, live), name="monitor-listen", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and give back the sockets."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for socket in self._sockets:
            socket.close(linger=0)
        self._sockets.clear()
        if self._context is not None:
            self._context.term()
            self._context = None

    def _connect(self, endpoints: list[str], waiting: int | None = None) -> zmq.Socket[bytes]:
        assert self._context is not None
        socket = self._context.socket(zmq.SUB)
        self._sockets.append(socket)
        socket.set(zmq.LINGER, 0)
        if waiting is not None:
            socket.set(zmq.RCVHWM, waiting)
        for endpoint in endpoints:
            try:
                socket.connect(endpoint)
            except zmq.ZMQError as error:
                raise ConfigError(
                    f"Endpoint {endpoint!r} cannot be used: {error}.", "correct telemetry.endpoint."
                ) from None
        return socket

    def _listen(self, telemetry: zmq.Socket[bytes], live: zmq.Socket[bytes] | None) -> None:
        poller = zmq.Poller()
        for socket in (telemetry, live):
            if socket is not None:
                poller.register(socket, zmq.POLLIN)
        asked = False
        while not self._stopping.is_set():
            self.turns += 1
            if live is not None and self._is_watched() is not asked:
                asked = self._ask(live, not asked)
            for socket, _ in poller.poll(_POLL_MS):
                try:
                    self._take(socket.recv_multipart(), is_live=socket is live)
                except WireError as error:
                    self._line.malformed += 1
                    _log.debug("Skipped a message: %s", error)

    def _ask(self, live: zmq.Socket[bytes], wanted: bool) -> bool:
        """Ask the station for live pictures, or for none any more; return which."""
        if wanted:
            live.subscribe(b"")
        else:
            live.unsubscribe(b"")
            self._line.forget_live()
        return wanted

    def _take(self, parts: list[bytes], is_live: bool) -> None:
        if is_live:
            self._line.take_live(*decode_live(parts))
            return
        if len(parts) != _PARTS or parts[0] not in TOPICS:
            raise WireError(f"{len(parts)} parts with topic {parts[0][:20]!r}.", "find who sends them.")
        message = decode_published(parts[1])
        if not isinstance(message, TOPICS[parts[0]]):
            raise WireError(f"A {type(message).__name__} with topic {parts[0]!r}.", "find who sends it.")
        self._line.take(message)
