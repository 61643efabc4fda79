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
from edge.wire.allow import TOKEN_BYTES, AllowFile, Rights, ServerKeys
from edge.wire.keys import read_secret
from edge.wire.sockets import IPC_MODE, Context, bind, listen, send_data, unbound
from edge.wire.zap import Doorkeeper

_log = logging.getLogger(__name__)

_SAY_NS = 10 * NS_PER_S
_SHOWN = 100
"""Characters of a name that a stranger gives himself."""

_FRAMES_A_CALL = 512
"""Frames that one call of ``receive`` may read: of messages under revoked keys, and of messages that never end."""

_MOST_FRAMES = 3
"""A message has two, sender and data; a third says that it has too many, and more are not kept."""


class Transport(Protocol):
    """What the gateway needs of a network.  Only ``wait`` may wait."""

    @property
    def strangers(self) -> int:
        """Return how many connections and messages were refused because of who sent them."""

    def wait(self, most_ms: int) -> None:
        """Return when a message is there, or after ``most_ms``."""

    def receive(self) -> list[bytes] | None:
        """Return the next message as [sender, data]; None where there is none, [] where one may wait behind others."""

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
        ipc_mode, telemetry_mode: file permissions of ``endpoint`` and ``telemetry`` over ipc.

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
        telemetry_mode: int = IPC_MODE,
    ) -> None:
        self._keys = keys
        self._said_ns = -_SAY_NS
        self._refused = 0
        self._frames: list[zmq.Frame] = []
        self._rights = None if keys is None else keys.allowed.rights
        with ExitStack() as stack:
            self._keeper = None
            if keys is not None:
                self._keeper = stack.enter_context(closing(Doorkeeper(context, keys, lane)))
            self._router = stack.enter_context(closing(unbound(context, zmq.ROUTER, keys)))
            self._router.set(zmq.ROUTER_MANDATORY, 1)
            self._door = stack.enter_context(closing(Door(context, self._router)))
            listen(self._router, endpoint, ipc_mode)
            self._publisher = stack.enter_context(closing(bind(context, zmq.PUB, telemetry, ipc_mode=telemetry_mode)))
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
        if self._keys is not None:
            self._take_up(self._keys.allowed.rights)

    def _take_up(self, rights: Rights) -> None:
        """Let everybody connect anew where somebody has lost his rights: his connections must not fill the house."""
        if rights is not self._rights and self._rights is not None and rights.lacks_any_of(self._rights):
            self._door.hang_up()
        self._rights = rights

    def receive(self) -> list[bytes] | None:
        """Receive from the ROUTER what the sender has a right to say, with a bounded effort."""
        for _ in range(_FRAMES_A_CALL):
            try:
                frame = self._router.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return None
            if len(self._frames) < _MOST_FRAMES:
                self._frames.append(frame)
            if frame.more:
                continue
            frames, self._frames = self._frames, []
            said = self._heard(frames)
            if said is not None:
                return said
            self._refused += 1
        return []

    def _heard(self, frames: list[zmq.Frame]) -> list[bytes] | None:
        """Return a message with its sender's token, or None where its key has no rights."""
        sender, *rest = [frame.bytes for frame in frames]
        if self._keys is None:
            return [sender, *rest]
        token = self._keys.allowed.rights.token(_key(frames[-1]))
        return None if token is None else [token + sender, *rest]

    def admits(self, sender: bytes, station: str, lane: int, /) -> bool:
        """Compare with what the sender's key is bound to.  Over ipc the file's mode has decided."""
        if self._keys is None:
            return True
        bound = self._keys.allowed.rights.of_token(sender[:TOKEN_BYTES])
        if bound is not None and (bound.station, bound.lane) == (station, lane):
            return True
        self._refused += 1
        if bound is not None:
            shown = station[:_SHOWN]
            self._say(f"the key of station {bound.station!r}, lane {bound.lane}, says it were {shown!r}, lane {lane}")
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
        modes = int(security.ipc_mode, 8), int(config.telemetry.mode, 8)
        made = Router(context, config.bind, config.telemetry.endpoint, keys, config.lane, *modes)
        yield stack.enter_context(closing(made))
