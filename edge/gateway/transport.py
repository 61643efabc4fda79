"""How the gateway hears its stations and is heard: a ROUTER and a PUB socket, or whatever stands in for them."""

from __future__ import annotations

from typing import Protocol

import zmq

from edge.wire.sockets import Context, bind, receive, send_data


class Transport(Protocol):
    """What the gateway needs of a network.  Only ``wait`` may wait."""

    def wait(self, most_ms: int) -> None:
        """Return when a message is there, or after ``most_ms``."""

    def receive(self) -> list[bytes] | None:
        """Return the next message as [sender, data], or None where there is none."""

    def send(self, identity: bytes, data: bytes) -> bool:
        """Send to one station.  False where it is gone or its queue is full."""

    def publish(self, topic: bytes, data: bytes) -> None:
        """Send to whoever listens."""

    def close(self) -> None:
        """Close the sockets."""


class Router:
    """The transport over ZeroMQ.

    Raises:
        PortBusy: an endpoint is taken.
    """

    def __init__(self, context: Context, endpoint: str, telemetry: str) -> None:
        self._router = bind(context, zmq.ROUTER, endpoint, router_mandatory=True)
        try:
            self._publisher = bind(context, zmq.PUB, telemetry)
        except BaseException:
            self._router.close()
            raise

    def wait(self, most_ms: int) -> None:
        """Poll the ROUTER."""
        self._router.poll(most_ms, zmq.POLLIN)

    def receive(self) -> list[bytes] | None:
        """Receive from the ROUTER."""
        return receive(self._router)

    def send(self, identity: bytes, data: bytes) -> bool:
        """Send through the ROUTER, which refuses rather than waits."""
        return send_data(self._router, identity, data)

    def publish(self, topic: bytes, data: bytes) -> None:
        """Send through the PUB socket, which drops rather than waits."""
        self._publisher.send_multipart([topic, data], zmq.NOBLOCK)

    def close(self) -> None:
        """Close both sockets."""
        self._router.close()
        self._publisher.close()
