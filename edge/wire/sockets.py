"""ZeroMQ sockets with the defaults that bite replaced: nothing lingers, queues to the absent, or blocks."""

from __future__ import annotations

import ctypes
import errno
import logging
import secrets
from collections.abc import Callable
from pathlib import Path

import zmq

from edge.clock import NS_PER_MS, now_ns
from edge.errors import ConfigError, PortBusy
from edge.wire import unix
from edge.wire.allow import ServerKeys
from edge.wire.keys import ClientKeys
from edge.wire.messages import MAX_BYTES, Message, encode
from edge.wire.zap import DOMAIN

Socket = zmq.Socket[bytes]
Context = zmq.Context[Socket]

_log = logging.getLogger(__name__)

_HIGH_WATER = 256
_BACKLOG = 100
_CURVE_BYTES = 33
"""What CURVE adds to a message (https://rfc.zeromq.org/spec/26/), and libzmq counts: name 8, nonce 8, box 17."""

HEARTBEAT_MS = 1000
HANDSHAKE_MS = 1000
"""A connection that has not proved itself by then is closed (libzmq's own patience is 30 s)."""

CONNECT_MS = 500
"""Then a connection is tried anew: the kernel's own waits double, up to a minute after a long cut of the cable."""

IPC_MODE = 0o600
_LAST_WORDS_MS = 50


def _new(context: Context, kind: int) -> Socket:
    if kind == zmq.ROUTER:
        # It names nameless peers by a counter that begins at libc's rand(), and ends the process where a peer has
        # named itself as the next one: nobody may know the count.
        ctypes.CDLL(None).srand(secrets.randbits(32))
    socket = context.socket(kind)
    socket.linger = 0
    socket.sndtimeo = 0
    socket.rcvhwm = socket.sndhwm = _HIGH_WATER
    socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)  # a cut cable is noticed; whether the peer works is another matter
    socket.set(zmq.HEARTBEAT_TIMEOUT, 3 * HEARTBEAT_MS)
    socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    socket.set(zmq.CONNECT_TIMEOUT, CONNECT_MS)
    if kind in (zmq.ROUTER, zmq.DEALER):
        socket.set(zmq.MAXMSGSIZE, MAX_BYTES + _CURVE_BYTES)
        socket.set(zmq.IMMEDIATE, 1)
    return socket


def unbound(context: Context, kind: int, keys: ServerKeys | None = None) -> Socket:
    """Return a socket for ``listen``.

    Args:
        context: for the socket.  With ``keys`` it needs a `Doorkeeper`; without one nobody is let in.
        kind: of socket.
        keys: of the gateway: what is not encrypted for it, or comes from a key not allowed, does not connect.
    """
    socket = _new(context, kind)
    if keys is not None:
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_SECRETKEY, keys.own.secret.encode())
        socket.set(zmq.ZAP_DOMAIN, DOMAIN)
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without a doorkeeper nobody is let in, instead of everybody
    return socket


def listen(socket: Socket, endpoint: str, ipc_mode: int = IPC_MODE) -> None:
    """Bind a socket of ``unbound``.

    Args:
        socket: a ROUTER listens on TCP with keys only.
        endpoint: where to listen.
        ipc_mode: file permissions of an ipc socket: who may write to the file may connect.

    Raises:
        PortBusy: another process holds the endpoint.
        ConfigError: the endpoint cannot be used on this machine, or not without keys.
    """
    _refuse_open(socket, endpoint)
    socket.set(zmq.IPV6, int("[" in endpoint))
    try:
        if endpoint.startswith("ipc://"):
            _bind_file(socket, endpoint, ipc_mode)
        else:
            socket.bind(endpoint)
    except zmq.ZMQError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortBusy(f"{endpoint} is in use.", "stop the other process, or choose another endpoint.") from None
        raise ConfigError(f"{endpoint} cannot be bound ({error}).", "choose an endpoint of this machine.") from None


def bind(
    context: Context, kind: int, endpoint: str, keys: ServerKeys | None = None, ipc_mode: int = IPC_MODE
) -> Socket:
    """Return a bound socket: ``unbound`` and ``listen``, with their arguments and errors."""
    socket = unbound(context, kind, keys)
    try:
        listen(socket, endpoint, ipc_mode)
    except BaseException:
        socket.close()
        raise
    return socket


def _bind_file(socket: Socket, endpoint: str, mode: int) -> None:
    """Bind to a Unix socket of our own making: libzmq's is open to all until it can be closed, and takes over any."""
    with unix.listen(Path(endpoint.removeprefix("ipc://")), mode, _BACKLOG, "endpoint") as listener:
        listener.setblocking(False)
        socket.set(zmq.USE_FD, listener.fileno())
        socket.bind(endpoint)
        listener.detach()  # it is libzmq's now


def _refuse_open(socket: Socket, endpoint: str) -> None:
    """Asked of the socket itself, so that keys which were accepted and not applied would be noticed."""
    if socket.type in (zmq.ROUTER, zmq.DEALER) and endpoint.startswith("tcp://") and socket.mechanism != zmq.CURVE:
        raise ConfigError(
            f"{endpoint} would carry verdicts unprotected.",
            "set [security] (see `edge keys`), or use ipc:// on one host.",
        )


def connect(context: Context, kind: int, endpoint: str, keys: ClientKeys | None = None) -> Socket:
    """Return a connected socket; a SUB socket takes every topic.

    Raises:
        ConfigError: a DEALER is to use TCP without ``keys``.
    """
    socket = _new(context, kind)
    if kind == zmq.SUB:
        socket.set(zmq.SUBSCRIBE, b"")
    if keys is not None:
        socket.set(zmq.CURVE_SERVERKEY, keys.server.encode())
        socket.set(zmq.CURVE_PUBLICKEY, keys.own.public.encode())
        socket.set(zmq.CURVE_SECRETKEY, keys.own.secret.encode())
    try:
        _refuse_open(socket, endpoint)
        socket.set(zmq.IPV6, int("[" in endpoint))
        socket.connect(endpoint)
    except BaseException:
        socket.close()
        raise
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
        keys: the station's, for TCP; without them only ipc is used.

    Where every user may put a socket of his own in the gateway's place, as in /tmp, only root and this process's user
    are taken for the gateway.

    Attributes:
        socket: for a poller; nothing else should touch it.

    Raises:
        ConfigError: TCP without keys.
    """

    def __init__(self, context: Context, endpoint: str, keys: ClientKeys | None = None) -> None:
        self.socket = connect(context, zmq.DEALER, endpoint, keys)
        self._doubted = endpoint.startswith("ipc://") and unix.is_open(Path(endpoint.removeprefix("ipc://")))
        self._told = False

    def send(self, data: bytes) -> bool:
        """Queue one message.  False where no gateway is connected, or the queue is full."""
        try:
            self.socket.send(data, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def receive(self) -> bytes | None:
        """Return the next message, or None where there is none."""
        if not self._doubted:
            frames = receive(self.socket)
            return None if frames is None else frames[-1]
        try:
            message = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)[-1]
        except zmq.Again:
            return None
        if unix.is_trusted(int(message.get(zmq.SRCFD))):
            return message.bytes
        if not self._told:
            self._told = True
            _log.error("Another user's process stands where the gateway should: put its socket into /run/edge.")
        return None

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
