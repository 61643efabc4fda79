"""`edge bench handover`: what does the way of a verdict from station to gateway cost beyond the bare sockets?

The station's publisher speaks to `edge gateway` in a process of its own, over TCP with CURVE; beside it a bare DEALER
and ROUTER exchange messages of the same sizes, with CURVE too, in a process that does nothing else.  Blocks alternate,
so that a slow spell of the machine meets both.  One way is measured, which one host's monotonic clock allows: from the
call that sends to the moment at which the receiver has the message.
"""

from __future__ import annotations

import multiprocessing
import random
import socket as os_socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import zmq

from edge.clock import NS_PER_MS, NS_PER_S, now_ns
from edge.commands.bench_blocks import PATIENCE_S, gateway, gateway_config, rig, station_config
from edge.commands.bench_measure import TOO_BUSY
from edge.config import GatewayConfig, SecurityConfig, StationConfig
from edge.core.outcome import Outcome
from edge.core.part import Part, Trigger, Verdict
from edge.errors import EngineError
from edge.realtime import prioritise, settle
from edge.wire import messages as wire
from edge.wire.allow import Binding, write_allowed
from edge.wire.keys import ClientKeys, generate, write_pair
from edge.wire.publisher import Progress, Publisher
from edge.wire.sockets import Dealer

MESSAGES = 4000
BLOCK = 250
PAUSE_MS = (2.0, 6.0)
"""Between two messages, at random: no phase of the gateway's polls is met more often than another."""

RATIO = 1.5
MORE_MS = 0.3
_ANSWER_MS = 1000
_LOST_MOST = 0.01


@dataclass(frozen=True)
class Way:
    """One way, ms: ``p50`` and ``p99`` of ``messages``."""

    messages: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Handover:
    """The measurement."""

    raw: Way
    gateway: Way

    @property
    def ratio(self) -> float:
        """Medians, the gateway's to the bare sockets'."""
        return self.gateway.p50_ms / self.raw.p50_ms

    @property
    def more_ms(self) -> float:
        """How much later the gateway's p99 is."""
        return self.gateway.p99_ms - self.raw.p99_ms

    @property
    def holds(self) -> bool:
        """True where both targets are met."""
        return self.ratio <= RATIO and self.more_ms <= MORE_MS

    def as_dict(self) -> dict[str, Any]:
        """Return the measurement as plain values."""
        return {
            "raw": asdict(self.raw),
            "gateway": asdict(self.gateway),
            "p50_ratio": round(self.ratio, 3),
            "p50_ratio_most": RATIO,
            "p99_more_ms": round(self.more_ms, 4),
            "p99_more_ms_most": MORE_MS,
            "holds": self.holds,
        }


def measure(config: StationConfig, messages: int = MESSAGES) -> Handover:
    """Measure both ways in one run; this process is the station's, with its priority.

    Args:
        config: whose priority is taken; the line is the bench's own.
        messages: on each way.

    Raises:
        EngineError: a process does not start, or messages get lost.
    """
    pauses = random.Random(1)
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        context = stack.enter_context(zmq.Context[zmq.Socket[bytes]]())
        bare = stack.enter_context(_bare(context))
        publisher, socket = stack.enter_context(_publisher(config, context, folder))
        prioritise(config.realtime_priority)
        settle()
        raw: list[int] = []
        handed: list[int] = []
        while len(handed) < messages:
            raw += bare(BLOCK, pauses)
            handed += _hand_over(publisher, socket, BLOCK, len(handed), pauses)
    return Handover(_way(raw), _way(handed))


def render(report: Handover) -> str:
    """Return the measurement as text for a terminal."""
    rows = [("bare sockets", report.raw), ("publisher to gateway", report.gateway)]
    lines = [f"{'one way, TCP and CURVE':<24} {'messages':>9} {'p50':>8} {'p99':>8}  ms"]
    lines += [f"{name:<24} {way.messages:>9} {way.p50_ms:>8.3f} {way.p99_ms:>8.3f}" for name, way in rows]
    lines += [
        "",
        f"p50 ratio {report.ratio:.2f} (at most {RATIO:g}), p99 more {report.more_ms:.3f} ms (at most {MORE_MS:g})",
    ]
    return "\n".join([*lines, "" if report.holds else "misses the target"]).rstrip()


def _way(spans_ns: list[int]) -> Way:
    ms = np.array(spans_ns) / NS_PER_MS
    return Way(len(spans_ns), round(median(ms.tolist()), 4), round(float(np.percentile(ms, 99)), 4))


# -- publisher and gateway --------------------------------------------------------------------------------------------


@contextmanager
def _publisher(
    config: StationConfig, context: zmq.Context[zmq.Socket[bytes]], folder: Path
) -> Iterator[tuple[Publisher, zmq.Socket[bytes]]]:
    """Run PLC and gateway; yield a publisher that has a session, and its socket."""
    station = station_config(config, folder)
    theirs, ours = generate(), generate()
    key, _ = write_pair(theirs, "gateway", folder)
    write_allowed(folder / "allow.toml", [Binding(ours.public, station.name, station.lane)])
    with rig() as (port, plc), _port() as free:
        security = SecurityConfig(key=str(key), allow=str(folder / "allow.toml"))
        endpoint = f"tcp://127.0.0.1:{free}"
        other = gateway_config(folder, port).model_copy(update={"bind": endpoint, "security": security})
        with gateway(other, folder):
            plc.send(now_ns())
            plc.recv()
            dealer = Dealer(context, endpoint, ClientKeys(ours, theirs.public))
            with closing(Publisher(station, dealer, "bench")) as publisher:
                _until_session(publisher, dealer.socket)
                yield publisher, dealer.socket


@contextmanager
def _port() -> Iterator[int]:
    """Yield a TCP port that nobody uses."""
    with closing(os_socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    yield port


def _until_session(publisher: Publisher, socket: zmq.Socket[bytes]) -> None:
    give_up = now_ns() + int(PATIENCE_S * NS_PER_S)
    while not publisher.session:
        _keep_up(publisher, socket, now_ns() + 10 * NS_PER_MS)
        if now_ns() > give_up:
            raise EngineError(f"The gateway gave no session in {PATIENCE_S:g} s ({publisher.refusal}).", TOO_BUSY)


def _keep_up(publisher: Publisher, socket: zmq.Socket[bytes], until_ns: int) -> list[wire.Ack]:
    """Take what comes and beat the heart until ``until_ns``; return the answers to verdicts."""
    answers: list[wire.Ack] = []
    while (left_ns := until_ns - now_ns()) > 0:
        socket.poll(max(1, left_ns // NS_PER_MS))
        answers += [m for m in publisher.receive(now_ns()) if isinstance(m, wire.Ack)]
        publisher.tick(now_ns(), True, Progress(0, 0, 0, 0))
    return answers


def _hand_over(
    publisher: Publisher, socket: zmq.Socket[bytes], messages: int, first: int, pauses: random.Random
) -> list[int]:
    """Send verdicts on parts of long ago, which the gateway answers at once; return the time of each on its way, ns."""
    sent: dict[int, int] = {}
    answers: list[wire.Ack] = []
    for index in range(first, first + messages):
        answers += _keep_up(publisher, socket, now_ns() + _pause_ns(pauses))
        part = _part(0xFFFF_FFFF - index)
        sent[part.number] = now_ns()
        publisher.verdict(part)
    answers += _keep_up(publisher, socket, now_ns() + 100 * NS_PER_MS)
    spans = [answer.accepted_ns - sent[answer.part] for answer in answers if answer.part in sent]
    if len(spans) < (1 - _LOST_MOST) * messages:
        raise EngineError(f"The gateway answered {len(spans)} of {messages} verdicts.", TOO_BUSY)
    return spans


def _part(number: int) -> Part:
    verdict = Verdict(Outcome.PASS, "clean")
    return Part(Trigger(number, 0, 0), "bench", deadline_ns=0, frame_deadline_ns=0, count=0, verdict=verdict)


def _pause_ns(pauses: random.Random) -> int:
    return int(pauses.uniform(*PAUSE_MS) * NS_PER_MS)


# -- bare sockets -----------------------------------------------------------------------------------------------------


@contextmanager
def _bare(context: zmq.Context[zmq.Socket[bytes]]) -> Iterator[Callable[[int, random.Random], list[int]]]:
    """Run the bare ROUTER; yield what sends messages to it and returns the time of each on its way, ns."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    public, secret = zmq.curve_keypair()
    process = spawn.Process(target=_answer, args=(theirs, secret), name="bare", daemon=True)
    process.start()
    theirs.close()
    if not ours.poll(PATIENCE_S):
        raise EngineError("The bare sockets did not start.", TOO_BUSY)
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    dealer.curve_serverkey = public
    dealer.curve_publickey, dealer.curve_secretkey = zmq.curve_keypair()
    dealer.connect(f"tcp://127.0.0.1:{ours.recv()}")
    data = wire.encode(wire.Verdict(session=(1 << 31) - 1, part=0xFFFF_FFFF, count=0, outcome="PASS", cause="clean"))

    def exchange(messages: int, pauses: random.Random) -> list[int]:
        spans = []
        for _ in range(messages):
            _sleep_until(now_ns() + _pause_ns(pauses))
            sent_ns = now_ns()
            dealer.send(data)
            if not dealer.poll(_ANSWER_MS):
                raise EngineError("The bare sockets lost a message.", TOO_BUSY)
            spans.append(int(dealer.recv().rstrip()) - sent_ns)
        return spans

    try:
        yield exchange
    finally:
        dealer.close()
        process.terminate()
        process.join()
        process.close()
        ours.close()


def _sleep_until(until_ns: int) -> None:
    poller = zmq.Poller()
    while (left_ns := until_ns - now_ns()) > 0:
        poller.poll(max(1, left_ns // NS_PER_MS))


def _answer(commands: Connection, secret: bytes) -> None:
    """Answer each message with the time at which it came, in a message as long as an acknowledgement."""
    answer = wire.Ack(session=(1 << 31) - 1, part=0xFFFF_FFFF, disposition="UNKNOWN", accepted_ns=1 << 60)
    length = len(wire.encode(answer))
    prioritise(GatewayConfig().realtime_priority)
    with zmq.Context[zmq.Socket[bytes]]() as context, context.socket(zmq.ROUTER) as router:
        router.curve_server = True
        router.curve_secretkey = secret
        commands.send(router.bind_to_random_port("tcp://127.0.0.1"))
        settle()
        while True:
            router.poll()
            identity, _ = router.recv_multipart()
            router.send_multipart([identity, str(now_ns()).encode().ljust(length)])
