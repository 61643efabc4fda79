"""A line to commission: belt, eye, sensor at the gate, gate with feedback, and the PLC's commissioning block.

Its true values are known, so that what `edge commission` measures can be compared with them.  The register numbers are
this program's own; a test compares them with the gateway's.
"""

from __future__ import annotations

import math
import random
import threading
import time
from dataclasses import dataclass

from edge import clock
from edge.simulate.modbus import ModbusServer
from edge.simulate.registers import RegisterBank

REGISTERS = 340
MAP_VERSION, BLOCK_VERSION = 1, 1
RUNNING = 1
VERSION, HEARTBEAT, FLAGS, PLC_SESSION_W, COUNT_W, LAST_PART_W = 0, 1, 2, 4, 6, 8
READ_ONLY_END = 120
G_SESSION_W = 202
BLOCK, STATE, PIECE_W, FRONT_W, TAIL_W, GATE_W, DISCARDED = 320, 321, 322, 324, 326, 328, 330
CYCLE, ON_TIME, OFF_TIME, RESOLUTION = 331, 332, 333, 334
COMMAND, SEQUENCE = 336, 337
IDLE, CYCLING, DONE, NO_FEEDBACK, REFUSED = range(5)
CYCLE_GATE = 1

NS_PER_UNIT = 100_000  # 0.1 ms
PATIENCE_NS = clock.NS_PER_S  # for the gate's feedback
REST_NS = 50 * clock.NS_PER_MS  # between switching on and off


@dataclass(frozen=True)
class Truth:
    """The line as it is.

    Attributes:
        counts_per_mm: of the encoder; need not be whole.
        gate_mm: from the eye to the sensor at the gate.
        speed_mm_s: of the belt; a negative one counts backwards.
        lengths_mm: of the pieces, which come by turns.
        gap_mm: from one piece's front at the gate to the next one's front at the eye.
        eye_excess_mm: how much too long the eye sees every piece.
        eye_scatter_mm, slip_mm: normal scatter (1 sigma) of each edge of the eye, and of the way to the gate.
        on_ms, off_ms: mean switching times, from the output to the feedback.
        on_scatter_ms, off_scatter_ms: from the quickest to the slowest, uniform between.
        feedback: False: the feedback is not wired.
        count_start, first_number: readings at the start, 32 bit.
    """

    counts_per_mm: float = 10.0
    gate_mm: float = 500.0
    speed_mm_s: float = 1000.0
    lengths_mm: tuple[float, ...] = (60.0, 120.0)
    gap_mm: float = 100.0
    eye_excess_mm: float = 0.8
    eye_scatter_mm: float = 0.1
    slip_mm: float = 0.2
    on_ms: float = 12.0
    off_ms: float = 15.0
    on_scatter_ms: float = 2.0
    off_scatter_ms: float = 2.0
    feedback: bool = True
    count_start: int = 0xFFFF_F000
    first_number: int = 1
    scan_ms: float = 10.0
    seed: int = 0


@dataclass(frozen=True)
class _Edges:
    """What becomes of one piece: when each sensor sees it, and the count that is latched then."""

    number: int
    front: tuple[int, int]
    tail: tuple[int, int]
    gate: tuple[int, int]


class Rig:
    """The line and the PLC's scan over a ``RegisterBank``.  Pure: time is an argument."""

    def __init__(self, truth: Truth, start_ns: int) -> None:
        self.truth = truth
        self.bank = RegisterBank(REGISTERS, READ_ONLY_END)
        self._reg = self.bank.registers
        self._start_ns = start_ns
        self._random = random.Random(truth.seed)
        self._fed = 0
        self._front_mm = 0.5 * truth.gap_mm  # of the next piece, at the start's belt
        self._piece = self._feed()
        self._program = _GateCycle(truth, self._random)

    def scan(self, now_ns: int) -> None:
        """Run the PLC's program once."""
        self.bank.begin_scan(now_ns)
        while self._piece.gate[0] <= now_ns:
            self._report(self._piece)
            self._piece = self._feed()
        self._program.scan(now_ns, self._reg)
        self._publish(now_ns)
        self.bank.end_scan()

    def _feed(self) -> _Edges:
        t, length = self.truth, self.truth.lengths_mm[self._fed % len(self.truth.lengths_mm)]
        front = self._front_mm + self._random.gauss(0, t.eye_scatter_mm)
        tail = self._front_mm + length + t.eye_excess_mm + self._random.gauss(0, t.eye_scatter_mm)
        gate = self._front_mm + t.gate_mm + self._random.gauss(0, t.slip_mm)
        number = (t.first_number + self._fed) % (1 << 32)
        self._fed += 1
        self._front_mm += max(t.gate_mm, length) + t.gap_mm
        return _Edges(number, self._latched(front), self._latched(tail), self._latched(gate))

    def _latched(self, travel_mm: float) -> tuple[int, int]:
        at_ns = self._start_ns + round(travel_mm / abs(self.truth.speed_mm_s) * clock.NS_PER_S)
        return at_ns, self._count(math.copysign(travel_mm, self.truth.speed_mm_s))

    def _count(self, travel_mm: float) -> int:
        return (self.truth.count_start + math.floor(travel_mm * self.truth.counts_per_mm)) % (1 << 32)

    def _report(self, piece: _Edges) -> None:
        _put32(self._reg, PIECE_W, piece.number)
        for at, (_, count) in ((FRONT_W, piece.front), (TAIL_W, piece.tail), (GATE_W, piece.gate)):
            _put32(self._reg, at, count)

    def _publish(self, now_ns: int) -> None:
        reg = self._reg
        reg[VERSION], reg[FLAGS], reg[BLOCK] = MAP_VERSION, RUNNING, BLOCK_VERSION
        reg[HEARTBEAT] = (reg[HEARTBEAT] + 1) % 0x1_0000
        _put32(reg, PLC_SESSION_W, 1)
        _put32(reg, COUNT_W, self._count((now_ns - self._start_ns) / clock.NS_PER_S * self.truth.speed_mm_s))
        seen = self._fed if self._piece.front[0] <= now_ns else self._fed - 1
        _put32(reg, LAST_PART_W, (self.truth.first_number + seen - 1) % (1 << 32))


class _GateCycle:
    """The part of the PLC's program that cycles the gate, and the gate itself."""

    def __init__(self, truth: Truth, randomness: random.Random) -> None:
        self._truth, self._random = truth, randomness
        self._sequence = 0
        self._commanded_ns: int | None = None  # when the present half of the cycle was commanded
        self._feedback_ns = 0
        self._off = False  # the present half switches off

    def scan(self, now_ns: int, reg: list[int]) -> None:
        reg[RESOLUTION] = 1
        if self._commanded_ns is not None:
            self._go_on(now_ns, reg)
        elif reg[COMMAND] == CYCLE_GATE and reg[SEQUENCE] not in (0, self._sequence):
            self._sequence = reg[SEQUENCE]
            if reg[G_SESSION_W] or reg[G_SESSION_W + 1]:
                self._end(reg, REFUSED)  # a gateway is at work
                return
            reg[STATE] = CYCLING
            self._command(now_ns, off=False)

    def _command(self, now_ns: int, off: bool) -> None:
        t = self._truth
        mean, scatter = (t.off_ms, t.off_scatter_ms) if off else (t.on_ms, t.on_scatter_ms)
        took_ms = mean + self._random.uniform(-scatter / 2, scatter / 2)
        self._commanded_ns, self._off = now_ns, off
        self._feedback_ns = now_ns + round(took_ms * clock.NS_PER_MS)

    def _go_on(self, now_ns: int, reg: list[int]) -> None:
        assert self._commanded_ns is not None
        if not self._truth.feedback:
            if now_ns - self._commanded_ns > PATIENCE_NS:
                self._end(reg, NO_FEEDBACK)
            return
        if now_ns < self._feedback_ns:
            return
        reg[OFF_TIME if self._off else ON_TIME] = (self._feedback_ns - self._commanded_ns) // NS_PER_UNIT
        if self._off:
            self._end(reg, DONE)
        elif now_ns >= self._feedback_ns + REST_NS:
            self._command(now_ns, off=True)

    def _end(self, reg: list[int], state: int) -> None:
        self._commanded_ns = None
        reg[STATE], reg[CYCLE] = state, self._sequence


def _put32(reg: list[int], at: int, value: int) -> None:
    reg[at], reg[at + 1] = value >> 16 & 0xFFFF, value & 0xFFFF


class RunningRig:
    """A rig on a real Modbus port, in real time, in a thread of its own.  Use it as a context.

    Raises:
        PortBusy: the port cannot be bound.
    """

    def __init__(self, truth: Truth, host: str = "127.0.0.1", port: int = 0) -> None:
        self.rig = Rig(truth, clock.now_ns())
        self._server = ModbusServer(self.rig.bank, host, port)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rig", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    def __enter__(self) -> RunningRig:
        self.rig.scan(clock.now_ns())
        self._server.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._server.stop()

    def _run(self) -> None:
        period_s = self.rig.truth.scan_ms / 1000
        while not self._stop.is_set():
            self.rig.scan(clock.now_ns())
            time.sleep(period_s)
