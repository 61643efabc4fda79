"""How the gateway hears its stations and is heard: a ROUTER and a PUB socket, or whatever stands in for them.

A sender is told apart by its connection and, on TCP, by what its key is bound to.  A key that is revoked, or bound to
something else, is no sender any more from its next message on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol

import zmq

from edge.clock import NS_PER_S, now_ns
from edge.config import GatewayConfig
from edge.gateway.door import Door
from edge.wire.allow import TOKEN_BYTES, AllowFile, ServerKeys
from edge.wire.keys import read_secret
from edge.wire.sockets import IPC_MODE, Context, bind, listen, receive, send_data, unbound
from edge.wire.zap import Doorkeeper

_log = logging.getLogger(__name__)

_SAY_NS = 10 * NS_PER_S
_STRANGERS_A_CALL = 64
"""Messages of revoked keys that one call of ``receive`` may drop."""


class Transport(Protocol):
    """What the gateway needs of a network.  Only ``wait`` may wait."""

    @property
    def strangers(self) -> int:
        """Return how many connections and messages were refused because of who sent them."""

    def wait(self, most_ms: int) -> None:
        """Return when a message is there, or after ``most_ms``."""

    def receive(self) -> list[bytes] | None:
        """Return the next message as [sender, data], or None where there is none."""

    def admits(self, sender: bytes, station: str, lane: int, /) -> bool:
        """True where ``sender`` may speak for that station and lane; else it is counted as a stranger."""

    def send(self, identity: bytes, data: bytes) -> bool:
        """Send to one sender.  False where it is gone or its queue is full."""

    def publish(self, topic: bytes, data: bytes) -> None:
        """Send to whoever listens."""

    def close(self) -> None:
        """Close the sockets."""


class Router:
    """The transport over ZeroMQ.

    Args:
        context: for the sockets; with ``keys`` it may have no other doorkeeper.
        endpoint: of the signal path.
        telemetry: where to publish.
        keys: of the gateway, for TCP; over ipc the file's mode says who may speak.
        lane: of the gateway.
        ipc_mode: file permissions of ipc sockets.

    Raises:
        PortBusy: an endpoint is taken.
        ConfigError: one cannot be used, or not without keys.
    """

    def __init__(
        self,
        context: Context,
        endpoint: str,
        telemetry: str,
        keys: ServerKeys | None = None,
        lane: int = 0,
        ipc_mode: int = IPC_MODE,
    ) -> None:
        self._keys = keys
        self._said_ns = -_SAY_NS
        self._refused = 0
        with ExitStack() as stack:
            self._keeper = None
            if keys is not None:
                self._keeper = stack.enter_context(closing(Doorkeeper(context, keys, lane)))
            self._router = stack.enter_context(closing(unbound(context, zmq.ROUTER, keys)))
            self._router.set(zmq.ROUTER_MANDATORY, 1)
            self._door = stack.enter_context(closing(Door(context, self._router)))
            listen(self._router, endpoint, ipc_mode)
            self._publisher = stack.enter_context(closing(bind(context, zmq.PUB, telemetry, ipc_mode=ipc_mode)))
            self._stack = stack.pop_all()

    @property
    def strangers(self) -> int:
        """Connections that were refused or failed, messages under revoked keys, stations that a key is not bound to."""
        return self._refused + self._door.failed

    def wait(self, most_ms: int) -> None:
        """Poll the ROUTER; then see to whoever comes or goes, with a bounded effort: strangers never wake the loop."""
        self._router.poll(most_ms, zmq.POLLIN)
        if self._keeper is not None:
            self._keeper.answer()
            for who in self._keeper.turned_away:
                self._say(who)
            self._keeper.turned_away.clear()
        self._door.watch()

    def receive(self) -> list[bytes] | None:
        """Receive from the ROUTER what the sender has a right to say."""
        if self._keys is None:
            return receive(self._router)
        for _ in range(_STRANGERS_A_CALL):
            try:
                frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return None
            token = self._keys.allowed.rights.token(_key(frames[-1]))
            if token is not None:
                return [token + frames[0].bytes, *(frame.bytes for frame in frames[1:])]
            self._refused += 1
        return None

    def admits(self, sender: bytes, station: str, lane: int, /) -> bool:
        """Compare with what the sender's key is bound to.  Over ipc the file's mode has decided."""
        if self._keys is None:
            return True
        bound = self._keys.allowed.rights.of_token(sender[:TOKEN_BYTES])
        if bound is not None and (bound.station, bound.lane) == (station, lane):
            return True
        self._refused += 1
        if bound is not None:
            self._say(f"the key of station {bound.station}, lane {bound.lane}, says it were {station}, lane {lane}")
        return False

    def send(self, identity: bytes, data: bytes) -> bool:
        """Send through the ROUTER, which refuses rather than waits."""
        return send_data(self._router, identity if self._keys is None else identity[TOKEN_BYTES:], data)

    def publish(self, topic: bytes, data: bytes) -> None:
        """Send through the PUB socket, which drops rather than waits."""
        self._publisher.send_multipart([topic, data], zmq.NOBLOCK)

    def close(self) -> None:
        """Close all sockets."""
        self._stack.close()

    def _say(self, who: str) -> None:
        """Log what an integrator must know, at a rate that no stranger can raise."""
        if now_ns() - self._said_ns >= _SAY_NS:
            self._said_ns = now_ns()
            _log.warning("A stranger was refused: %s.", who)


def _key(frame: zmq.Frame) -> str:
    """Return the public key that the doorkeeper let in, with which the connection of ``frame`` is encrypted, or ""."""
    try:
        return str(frame.get("User-Id"))
    except zmq.ZMQError:  # none was noted: nobody
        return ""


@contextmanager
def router(context: Context, config: GatewayConfig) -> Iterator[Router]:
    """Open the gateway's transport as configured; leaving it closes it.

    Raises:
        PortBusy: an endpoint is taken.
        ConfigError: an endpoint, a key or the allow-list cannot be used.
    """
    security = config.security
    with ExitStack() as stack:
        keys = None
        if security.key is not None and security.allow is not None:
            allowed = stack.enter_context(closing(AllowFile(Path(security.allow))))
            keys = ServerKeys(read_secret(Path(security.key)), allowed)
        mode = int(security.ipc_mode, 8)
        made = Router(context, config.bind, config.telemetry.endpoint, keys, config.lane, mode)
        yield stack.enter_context(closing(made))
