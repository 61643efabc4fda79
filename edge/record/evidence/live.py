"""Live pictures on a PUB socket of their own.  A slow viewer loses pictures; nobody waits for one."""

from __future__ import annotations

import threading

import zmq

from edge.wire.messages import LIVE, LiveFrame, encode
from edge.wire.sockets import Context, listen, receive, unbound

_QUEUE = 4
"""Pictures that wait for a viewer: an old one is worth nothing."""


class LivePublisher:
    """Publishes [b"live", JSON, JPEG].  Nothing in it waits; once closed, it does nothing.

    Args:
        context: for the socket.
        endpoint: where viewers subscribe.
        ipc_mode: file permissions of an ipc endpoint.

    Attributes:
        watched: somebody has subscribed; without a viewer no picture need be made.

    Raises:
        PortBusy: another process holds the endpoint.
        ConfigError: it cannot be used.
    """

    def __init__(self, context: Context, endpoint: str, ipc_mode: int) -> None:
        self.watched = False
        self._topics: set[bytes] = set()  # that are subscribed to
        self._lock = threading.Lock()  # libzmq ends the process where two threads meet in a socket
        self._socket = unbound(context, zmq.XPUB)  # which tells of its subscribers
        try:
            self._socket.sndhwm = _QUEUE
            listen(self._socket, endpoint, ipc_mode)
        except BaseException:
            self._socket.close()
            raise

    def look(self) -> None:
        """Take notice of viewers that came or went: XPUB tells of the first and the last of each topic."""
        with self._lock:
            while not self._socket.closed and (told := receive(self._socket)) is not None:
                kind, topic = told[0][:1], told[0][1:]
                if kind == b"\x01":
                    self._topics.add(topic)
                else:
                    self._topics.discard(topic)
        self.watched = any(LIVE.startswith(topic) for topic in self._topics)

    def publish(self, frame: LiveFrame, jpeg: bytes) -> None:
        """Send a picture to whoever looks."""
        parts = [LIVE, encode(frame), jpeg]
        with self._lock:
            if not self._socket.closed:
                self._socket.send_multipart(parts, zmq.NOBLOCK)  # it drops rather than waits

    def close(self) -> None:
        """Close the socket.  Any thread may."""
        with self._lock:
            self._socket.close(linger=0)
