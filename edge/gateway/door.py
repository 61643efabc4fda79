"""Watches who connects to the gateway, and shuts the door while too many are there.

libzmq bounds neither how many may connect nor how many may be in their handshakes, and once the process has no file
descriptor left, its I/O thread turns in circles.  So beyond ``MOST`` connections over TCP the kernel drops new ones,
until enough have gone; those that stand go on undisturbed.  Over ipc the file's mode decides who may connect at all.
"""

from __future__ import annotations

import ctypes
import logging
import os
import socket
import struct

import zmq

from edge.wire.sockets import Context, Socket

_log = logging.getLogger(__name__)

MOST = 64
"""A lane has one station; the rest is room for those that come again, and for those who look in."""

_EVENTS_AT_ONCE = 512
_EVENT = struct.Struct("=hi")  # zmq_socket_monitor(3): number and value; for a connection its file descriptor
_FAILED = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
_WATCHED = zmq.EVENT_LISTENING | zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | _FAILED

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27  # socket(7)
_DROP = struct.pack("=HBBI", 0x06, 0, 0, 0)
"""A socket filter (linux/filter.h) of one instruction: of each packet to the listener, take 0 bytes."""


class Door:
    """Watches a ROUTER.  It must be made before the ROUTER is bound, and closed before it is closed.

    Attributes:
        failed: handshakes that ended without a connection.
        inside: connections that stand or are in their handshake.
        shut: no new connection is taken.
    """

    def __init__(self, context: Context, router: Socket) -> None:
        self._router = router
        address = f"inproc://door-{id(self)}"
        router.monitor(address, int(_WATCHED))
        self._events = context.socket(zmq.PAIR)
        self._events.linger = 0
        self._events.rcvhwm = 0  # libzmq's I/O thread would wait for room, and hold a lock that closing needs
        self._events.connect(address)
        self._listener: socket.socket | None = None
        self._connections: set[int] = set()
        self.failed = 0
        self.shut = False

    @property
    def inside(self) -> int:
        """How many are connected, or about to be."""
        return len(self._connections)

    def watch(self) -> None:
        """Take note of who came and went, with a bounded effort, and open or shut the door."""
        for _ in range(_EVENTS_AT_ONCE):
            try:
                head, endpoint = self._events.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            event, value = _EVENT.unpack(head)
            if event == zmq.EVENT_ACCEPTED:
                self._connections.add(value)
            elif event == zmq.EVENT_DISCONNECTED:
                self._connections.discard(value)
            elif event != zmq.EVENT_LISTENING:
                self.failed += 1
            elif endpoint.startswith(b"tcp://"):
                self._listener = socket.socket(fileno=os.dup(value))
        if self.shut is not (self.inside >= MOST):
            self._turn()

    def hang_up(self) -> None:
        """End all connections over TCP: who has the right to will come again, and be asked anew."""
        if self._listener is None:
            return
        ours = self._listener.getsockname()[1]
        for descriptor in self._connections:
            try:
                with socket.socket(fileno=os.dup(descriptor)) as connection:
                    if connection.getsockname()[1] == ours:  # else libzmq has closed it, and it is another's by now
                        connection.shutdown(socket.SHUT_RDWR)
            except (OSError, TypeError, IndexError) as error:
                _log.debug("Connection %d had ended: %s.", descriptor, error)

    def close(self) -> None:
        """Watch no more."""
        self._router.monitor(None, 0)
        self._events.close()
        if self._listener is not None:
            self._listener.close()

    def _turn(self) -> None:
        if self._listener is None:
            return
        self.shut = not self.shut
        if self.shut:
            _log.warning("%d connections to the gateway: no more are taken until some have gone.", self.inside)
            instructions = ctypes.create_string_buffer(_DROP, len(_DROP))
            program = struct.pack("@HP", 1, ctypes.addressof(instructions))
            self._set(_SO_ATTACH_FILTER, program)
        else:
            self._set(_SO_DETACH_FILTER, bytes(4))

    def _set(self, option: int, value: bytes) -> None:
        """Set an option of the listener; a kernel that refuses leaves the door open, and says so."""
        assert self._listener is not None
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, option, value)
        except OSError as error:
            _log.error("Connections to the gateway cannot be bounded: %s.", error)
