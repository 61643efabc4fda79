"""The thread that serves HTTP."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import threading
import time

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from edge.errors import ConfigError, PortBusy

CONNECTIONS = 256
"""At once; what comes beyond is closed, so that the process keeps file descriptors for its own work."""

PATIENCE_S = 10.0
"""A connection that asks for nothing for so long is closed, and one that takes in nothing of what it is sent; within
twice as long where it did so before."""

_BACKLOG = 128
_SEND_BYTES = 128 * 1024
"""What may be under way to one browser: a slow one shall not see what was long ago."""

_GRACE_S = 1
_START_S = 30.0


class Connection(H11Protocol):
    """A connection that must ask in time, and take in what it is sent, and of which there are not too many."""

    _patience: asyncio.TimerHandle | None = None
    _answered: RequestResponseCycle | None = None  # the last request, as of the last look
    _left: int | None = None  # bytes that wait for the browser, as of the last look; None where more may have come

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        if self._patience is not None:
            self._patience.cancel()

    def resume_writing(self) -> None:
        """Go on: the browser has taken in most of what waited."""
        super().resume_writing()
        self._left = None

    def _wait(self) -> None:
        self._patience = self.loop.call_later(PATIENCE_S, self._look)

    def _look(self) -> None:
        left = self.transport.get_write_buffer_size()
        only_shrinks = self.transport.is_closing() or self.flow.write_paused
        stuck = only_shrinks and self._left is not None and left >= self._left
        idle = self.cycle is None or self.cycle.response_complete
        asks_nothing = not left and (self.transport.is_closing() or (idle and self.cycle is self._answered))
        if stuck or asks_nothing:
            self.transport.abort()  # pieces of a request buy no time for the rest
            return
        self._answered, self._left = self.cycle, left if only_shrinks else None
        self._wait()


class WebThread:
    """Serves an application on a socket, from ``start`` to ``close``.

    Args:
        app: what answers.
        listener: from ``listen``; closed at the end.
        certificate, key: PEM files for HTTPS, or None.

    Raises:
        ConfigError: certificate or key cannot be used.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket, certificate: str | None, key: str | None) -> None:
        self._listener = listener
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            loop="asyncio",
            http=Connection,
            ws="none",
            lifespan="on",
            forwarded_allow_ips="127.0.0.1,::1",  # a proxy on this host says who asks, and whether by HTTPS
            timeout_graceful_shutdown=_GRACE_S,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"certificate {certificate} and key {key} cannot be used ({error}).", "give two PEM files that match."
            ) from None
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="monitor-http", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to serve; requests are answered at return.

        Raises:
            ConfigError: it did not begin.
        """
        self._thread.start()
        end = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                raise ConfigError("The web server did not start.", "see the log.")
            time.sleep(0.005)

    def close(self) -> None:
        """End the thread and give back the port."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        await self._server.serve(sockets=[self._listener])
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()  # of a browser that does not take in what it was sent
        await asyncio.sleep(0)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        PortBusy: another process serves on that port.
        ConfigError: the address cannot be used.
    """
    listener: socket.socket | None = None
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # asyncio switches Nagle's algorithm off only where the protocol is named; with it, each answer waits 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        if listener is not None:
            listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortBusy(
                f"Port {port} of {host} is in use by another process.", "stop it, or choose another with --port."
            ) from None
        raise ConfigError(f"Cannot serve on {host}, port {port} ({error}).", "correct --host or --port.") from None
    return listener
