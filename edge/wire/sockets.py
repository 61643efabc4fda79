"""ZeroMQ sockets with the defaults that bite replaced: nothing lingers, queues to the absent, or blocks."""

from __future__ import annotations

import contextlib
import errno
import socket as os_socket
from collections.abc import Callable
from pathlib import Path

import zmq

from edge.clock import NS_PER_MS, now_ns
from edge.errors import ConfigError, PortBusy
from edge.wire.messages import MAX_BYTES, Message, encode

Socket = zmq.Socket[bytes]
Context = zmq.Context[Socket]

_HIGH_WATER = 256
HEARTBEAT_MS = 1000
_LAST_WORDS_MS = 50


def _new(context: Context, kind: int) -> Socket:
    socket = context.socket(kind)
    socket.linger = 0
    socket.sndtimeo = 0
    socket.rcvhwm = socket.sndhwm = _HIGH_WATER
    socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)  # a cut cable is noticed; whether the peer works is another matter
    socket.set(zmq.HEARTBEAT_TIMEOUT, 3 * HEARTBEAT_MS)
    if kind in (zmq.ROUTER, zmq.DEALER):
        socket.set(zmq.MAXMSGSIZE, MAX_BYTES)
        socket.set(zmq.IMMEDIATE, 1)
    return socket


def bind(context: Context, kind: int, endpoint: str, router_mandatory: bool = False) -> Socket:
    """Return a bound socket.

    Raises:
        PortBusy: another process holds the endpoint.
        ConfigError: the endpoint cannot be used on this machine.
    """
    socket = _new(context, kind)
    if router_mandatory:
        socket.set(zmq.ROUTER_MANDATORY, 1)
    try:
        if endpoint.startswith("ipc://"):
            _refuse_busy_path(endpoint)
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close()
        if error.errno == errno.EADDRINUSE:
            raise PortBusy(f"{endpoint} is in use.", "stop the other process, or choose another endpoint.") from None
        raise ConfigError(f"{endpoint} cannot be bound ({error}).", "choose an endpoint of this machine.") from None
    except PortBusy:
        socket.close()
        raise
    return socket


def _refuse_busy_path(endpoint: str) -> None:
    """libzmq takes over an ipc path silently, even from a living process; ask whether somebody listens."""
    path = endpoint.removeprefix("ipc://")
    if not Path(path).exists():
        return
    with contextlib.closing(os_socket.socket(os_socket.AF_UNIX, os_socket.SOCK_STREAM)) as probe:
        try:
            probe.connect(path)
        except OSError:
            return  # left behind by a process that is gone
    raise PortBusy(f"{endpoint} is in use.", "stop the other process, or choose another endpoint.")


def connect(context: Context, kind: int, endpoint: str) -> Socket:
    """Return a connected socket; a SUB socket takes every topic."""
    socket = _new(context, kind)
    if kind == zmq.SUB:
        socket.set(zmq.SUBSCRIBE, b"")
    socket.connect(endpoint)
    return socket


def receive(socket: Socket) -> list[bytes] | None:
    """Return the next multipart message, or None where there is none."""
    try:
        return socket.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:
        return None


def send(router: Socket, identity: bytes, message: Message) -> bool:
    """Send a message to one peer of a ROUTER, as ``send_data``."""
    return send_data(router, identity, encode(message))


def send_data(router: Socket, identity: bytes, data: bytes) -> bool:
    """Send to one peer of a ROUTER, which refuses rather than waits.  False where it is gone or its queue is full."""
    try:
        router.send_multipart([identity, data], zmq.NOBLOCK)
    except zmq.Again:
        return False
    except zmq.ZMQError as error:
        if error.errno != errno.EHOSTUNREACH:
            raise
        return False
    return True


class Dealer:
    """A station's transport to one gateway, over a DEALER socket.

    Args:
        context: for the socket.
        endpoint: where the gateway listens.

    Attributes:
        socket: for a poller; nothing else should touch it.
    """

    def __init__(self, context: Context, endpoint: str) -> None:
        self.socket = connect(context, zmq.DEALER, endpoint)

    def send(self, data: bytes) -> bool:
        """Queue one message.  False where no gateway is connected, or the queue is full."""
        try:
            self.socket.send(data, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def receive(self) -> bytes | None:
        """Return the next message, or None where there is none."""
        frames = receive(self.socket)
        return None if frames is None else frames[-1]

    def close(self) -> None:
        """Close the socket; what was just sent still has ``_LAST_WORDS_MS`` to leave."""
        self.socket.close(linger=_LAST_WORDS_MS)


def waiter(*sources: Socket | int) -> Callable[[int], None]:
    """Return what waits until a monotonic time (ns), or until one of ``sources`` (sockets, descriptors) is readable."""
    poller = zmq.Poller()
    for source in sources:
        poller.register(source, zmq.POLLIN)

    def wait(until_ns: int) -> None:
        poller.poll(max(0, -(-(until_ns - now_ns()) // NS_PER_MS)))

    return wait
