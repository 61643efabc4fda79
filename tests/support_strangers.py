"""Those who would like to speak to a gateway: impostors, forgers, fuzz and floods."""

from __future__ import annotations

import multiprocessing
import random
import re
import socket
import threading
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import zmq

from edge.commands.processes import Line
from edge.config import GatewayConfig, StationConfig, load
from edge.errors import WireError
from edge.wire import messages as wire
from edge.wire.allow import Binding, write_allowed
from edge.wire.keys import ClientKeys, KeyPair, generate, read_secret, write_pair
from edge.wire.sockets import connect, receive
from tests.support_curve import free_port

NAME = "station-1"
BEAT_S = 0.05


class Network:
    """A line whose signal path is TCP with CURVE: its endpoint, its keys, and who holds others."""

    def __init__(self, line: Line) -> None:
        """Rewrite the configurations of ``line``, whose plant runs."""
        self._line, self._folder = line, line.folder
        self.port = free_port()
        self.endpoint = f"tcp://127.0.0.1:{self.port}"
        self.gateway, self.station, self.other, self.elsewhere = (generate() for _ in range(4))
        for name, pair in (("gateway", self.gateway), (NAME, self.station)):
            write_pair(pair, name, self._folder)
        self.allowed = self._folder / "allow.toml"
        self.allow(self.station)
        security = f'[security]\nkey = "{self._folder}/%s.key"\n'
        self._edit("gateway.toml", "bind", security % "gateway" + f'allow = "{self.allowed}"\n')
        self._edit("station.toml", "endpoint", security % NAME + f'server_key = "{self._folder}/gateway.pub"\n')
        station = load(self._folder / "station.toml", StationConfig)
        self.lane, self._digest = station.lane, station.line.digest()
        assert load(self._folder / "gateway.toml", GatewayConfig).bind == self.endpoint
        assert read_secret(self._folder / "gateway.key") == self.gateway

    def allow(self, station: KeyPair | None) -> None:
        """Bind the others' keys as always, and that of the station, or none."""
        bindings = [Binding(self.other.public, "station-2", 0), Binding(self.elsewhere.public, NAME, 1)]
        write_allowed(self.allowed, [*bindings, *([Binding(station.public, NAME, 0)] if station else [])])

    def keys(self, own: KeyPair) -> ClientKeys:
        """Return ``own`` for use with the gateway."""
        return ClientKeys(own, self.gateway.public)

    def hello(self) -> wire.Hello:
        """Return what the right station would say, but that it wants to be told each part's count."""
        return wire.Hello(
            station=NAME, lane=self.lane, instance="impostor", recipe="test", recipe_number=7,
            line_digest=self._digest, fail_safe="reject", wants_counts=True,
        )  # fmt: skip

    def _edit(self, file: str, key: str, more: str) -> None:
        path = self._folder / file
        text, times = re.subn(rf'(?m)^{key} = "ipc://[^"]*/gateway"$', f'{key} = "{self.endpoint}"', path.read_text())
        assert times == 1, text
        path.write_text(text + more)


class Impostor(threading.Thread):
    """Asks for the lane as the right station would, and passes every part that it is told of.

    Attributes:
        granted: sessions that it was given.
    """

    def __init__(self, network: Network, keys: ClientKeys | None) -> None:
        super().__init__(name="impostor", daemon=True)
        self._network, self._keys = network, keys
        self._over = threading.Event()
        self._session = 0
        self.granted = 0

    def __enter__(self) -> Impostor:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        with zmq.Context[zmq.Socket[bytes]]() as context, dealer(context, self._network.endpoint, self._keys) as link:
            beat = 0
            while not self._over.is_set():
                beat += 1
                self._say(link, beat)
                end = time.monotonic() + BEAT_S
                while (left := end - time.monotonic()) > 0 and link.poll(int(1000 * left) + 1):
                    while (frames := receive(link)) is not None:
                        self._hear(link, frames[-1])

    def _say(self, link: zmq.Socket[bytes], beat: int) -> None:
        message: wire.ToGateway = self._network.hello()
        if self._session:
            session = self._session
            message = wire.Heartbeat(session=session, beat=beat, ready=True, triggers=0, frames=0, closed=0, open=0)
        with suppress(zmq.Again):
            link.send(wire.encode(message), zmq.NOBLOCK)

    def _hear(self, link: zmq.Socket[bytes], data: bytes) -> None:
        message = wire.decode_to_station(data)
        if isinstance(message, wire.Grant):
            self._session, self.granted = message.session, self.granted + 1
        elif isinstance(message, wire.Revoke):
            self._session = 0
        elif isinstance(message, wire.Counted):
            with suppress(zmq.Again):
                link.send(passed(message.session, message.part, message.count), zmq.NOBLOCK)


def passed(session: int, part: int, count: int) -> bytes:
    """Return a PASS."""
    return wire.encode(wire.Verdict(session=session, part=part, count=count, outcome="PASS", cause="clean"))


def dealer(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, keys: ClientKeys | None) -> zmq.Socket[bytes]:
    """Return a socket towards the gateway; without keys a bare one, which the product's own code refuses to make."""
    if keys is not None:
        return connect(context, zmq.DEALER, endpoint, keys)
    bare = context.socket(zmq.DEALER)
    bare.linger = 0
    bare.connect(endpoint)
    return bare


class Listener(threading.Thread):
    """Reads the station's telemetry: its session and where its parts are, as whoever can read it may.

    Attributes:
        session: the station's.
        seen: number and count of a part.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__(name="listener", daemon=True)
        self._endpoint = endpoint
        self._over = threading.Event()
        self.session = 0
        self.seen = (0, 0)

    def __enter__(self) -> Listener:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        with zmq.Context[zmq.Socket[bytes]]() as context, connect(context, zmq.SUB, self._endpoint) as link:
            while not self._over.is_set():
                if not link.poll(50) or (frames := receive(link)) is None:
                    continue
                with suppress(WireError):
                    message = wire.decode_published(frames[-1])
                    if isinstance(message, wire.StationStatus | wire.PartRecord):
                        self.session = message.session or self.session
                    if isinstance(message, wire.PartRecord) and message.count is not None:
                        self.seen = (message.part, message.count)


def mutated(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Return a message with something wrong, or nothing."""
    at, to = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    how = rng.randrange(8)
    if how == 0:
        return data[:at] + rng.randbytes(rng.randrange(1, 9)) + data[at:]
    if how == 1:
        return data[:at] + data[to:]
    if how == 2:
        return data[:to] + data[at:]
    if how == 3:
        return data[:at] + other[at:]
    if how == 4:
        return bytes(b ^ (1 << rng.randrange(8)) if rng.random() < 0.05 else b for b in data)
    if how == 5:
        extreme = rng.choice(
            [b"-1", b"0", b"4294967295", b"4294967296", b"1e999", b"NaN", b"null", b'"1"', b"[]", b"9" * 400]
        )
        return re.sub(rb"\d+", lambda m: extreme if rng.random() < 0.5 else m[0], data)
    if how == 6:
        return rng.choice(
            [b"", b"[" * 5000, b"{" * 5000, rng.randbytes(rng.randrange(1, 2000)), data * rng.randrange(1, 60)]
        )
    return data


def connections(port: int, seconds: float, most: int = 4000) -> None:
    """Open connections as fast as possible, say nothing or nonsense, and keep them open."""
    rng = random.Random(port)
    held: list[socket.socket] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        made = socket.socket()
        made.setblocking(False)
        with suppress(OSError):
            made.connect(("127.0.0.1", port))
        held.append(made)
        if rng.random() < 0.3:
            with suppress(OSError):
                rng.choice(held).send(rng.randbytes(64))
        if len(held) >= most:
            held.pop(0).close()


def messages(endpoint: str, keys: ClientKeys, seconds: float) -> None:
    """Send as fast as possible, under a key that is let in."""
    rng = random.Random(1)
    some = [rng.randbytes(200), b"{" + b" " * 16_000 + b"}", passed(1, 2, 3), wire.encode(wire.Goodbye(session=1))]
    end = time.monotonic() + seconds
    with zmq.Context[zmq.Socket[bytes]]() as context, connect(context, zmq.DEALER, endpoint, keys) as link:
        while time.monotonic() < end:
            if link.poll(10, zmq.POLLOUT):
                with suppress(zmq.Again):
                    link.send(rng.choice(some), zmq.NOBLOCK)
            while receive(link) is not None:
                pass


def flood(network: Network, seconds: float) -> list[BaseProcess]:
    """Start a flood of connections and one of messages, in processes of their own."""
    spawn = multiprocessing.get_context("spawn")
    started: list[BaseProcess] = [
        spawn.Process(target=connections, args=(network.port, seconds)),
        spawn.Process(target=messages, args=(network.endpoint, network.keys(network.other), seconds)),
    ]
    for process in started:
        process.start()
    return started


def descriptors(pid: int) -> int:
    """Return how many files a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
