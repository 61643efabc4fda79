"""Keys, a gateway's transport over TCP with CURVE, and stations that may or may not speak to it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import zmq

from edge.gateway.transport import Router
from edge.wire.allow import Allowed, Binding, Fixed, Rights, ServerKeys
from edge.wire.keys import ClientKeys, KeyPair, generate
from edge.wire.sockets import Context, Dealer

PATIENCE_S = 5.0
QUIET_S = 0.25
"""Long enough for a handshake and a message, many times over."""

LANE = 3


def free_port() -> int:
    """Return a TCP port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Cast:
    """The gateway's key, that of its station, and one that is on no list."""

    gateway: KeyPair
    station: KeyPair
    stranger: KeyPair

    @staticmethod
    def new() -> Cast:
        return Cast(generate(), generate(), generate())

    @property
    def binding(self) -> Binding:
        return Binding(self.station.public, "station-1", LANE)

    def client(self, own: KeyPair | None = None) -> ClientKeys:
        return ClientKeys(own or self.station, self.gateway.public)


class Served:
    """A router that is served as the gateway's loop does, and what it has heard."""

    def __init__(self, context: Context, cast: Cast, allowed: Allowed | None = None, lane: int = LANE) -> None:
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        keys = ServerKeys(cast.gateway, allowed or Fixed(Rights([cast.binding])))
        self.router = Router(context, self.endpoint, f"tcp://127.0.0.1:{free_port()}", keys, lane)
        self.heard: list[tuple[bytes, bytes]] = []

    def turn(self) -> None:
        """Wait and work once."""
        self.router.wait(10)
        while (frames := self.router.receive()) is not None:
            if frames:
                self.heard.append((frames[0], frames[1]))

    def until(self, done: Callable[[], bool], timeout_s: float = PATIENCE_S) -> bool:
        """Serve until ``done``, and return whether it was."""
        end = time.monotonic() + timeout_s
        while not done():
            if time.monotonic() > end:
                return False
            self.turn()
        return True

    def hears(self, station: Dealer | zmq.Socket[bytes], data: bytes, timeout_s: float = QUIET_S) -> bytes | None:
        """Let ``station`` say something until it is heard; return the sender, or None where it never was."""
        raw = station.socket if isinstance(station, Dealer) else station
        self.heard.clear()
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and not self.heard:
            if raw.poll(0, zmq.POLLOUT):
                raw.send(data, zmq.NOBLOCK)
            self.turn()
        return next((sender for sender, said in self.heard if said == data), None)
