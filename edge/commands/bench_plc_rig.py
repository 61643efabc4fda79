"""The PLC of `edge bench plc`: the simulated program behind a real Modbus port, which fails when it is told to.

It runs in a process of its own, as a PLC would.  No belt moves: the count follows the clock, and parts meet its eye on
the schedule of the station's timer.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from enum import Enum
from multiprocessing.connection import Connection
from typing import Any

from pymodbus.constants import ExcCodes

from edge.clock import NS_PER_MS, NS_PER_S, now_ns
from edge.simulate.modbus import ModbusServer
from edge.simulate.plc import READ_ONLY_END, REGISTERS, PlcProgram
from edge.simulate.plc_io import Edge, Inputs, PlcSettings
from edge.simulate.registers import RegisterBank

HOST = "127.0.0.1"
EPOCH = 1


class Condition(str, Enum):
    """How the PLC does."""

    HEALTHY = "healthy"
    DOWN = "down"
    SLOW = "slow"
    OVERLOADED = "overloaded"
    SILENT = "silent"
    REFUSING = "refusing"


ANSWERS_MS = {Condition.SLOW: 15.0, Condition.OVERLOADED: 40.0, Condition.SILENT: 80.0}
"""How long each answer takes.  The gateway waits for 50 ms: its session outlives the first, it cannot do its work in
time with the second, and hears nothing with the third."""


class Rig:
    """Program and port.

    Args:
        settings: of the program.
        period_ms, length_mm: of the parts.
    """

    def __init__(self, settings: PlcSettings, period_ms: float, length_mm: float) -> None:
        self._period_ns = round(period_ms * NS_PER_MS)
        self._counts_per_s = round(settings.counts_per_mm * settings.v_max_mm_s)
        self._length = settings.counts(length_mm)
        self._scan_ns = round(settings.scan_ms * NS_PER_MS)
        self._bank = RegisterBank(REGISTERS, READ_ONLY_END)
        self._program = PlcProgram(settings, self._bank.registers)
        self._condition = Condition.HEALTHY
        self._start_ns: int | None = None  # of the timer; the program waits for it
        self._next_ns = 0
        self._fronts = self._tails = 0
        self._server = self._open(0)
        self.port = self._server.port

    def start(self, start_ns: int) -> None:
        """Run the program from now on.  Part 1 meets the eye one period after ``start_ns``."""
        self._start_ns, self._next_ns = start_ns, now_ns()

    def become(self, condition: Condition) -> None:
        """Change the condition.

        Raises:
            PortBusy: the port cannot be opened again.
        """
        if condition is Condition.DOWN:
            self._server.stop()
        elif self._condition is Condition.DOWN:
            self._server = self._open(self.port)
        self._condition = condition

    def close(self) -> None:
        """Close the port."""
        if self._condition is not Condition.DOWN:
            self._server.stop()

    def scan(self) -> float:
        """Run the program if it is time to.  Return the time until then, in seconds."""
        now = now_ns()
        if self._start_ns is None:
            return 1.0
        if now >= self._next_ns:
            self._next_ns += self._scan_ns * ((now - self._next_ns) // self._scan_ns + 1)
            count = self._count(now - self._start_ns)
            self._bank.begin_scan(now)
            edges = self._edges(count)
            self._program.scan(now, Inputs(count, self._fronts, EPOCH, edges, eye_covered=self._fronts > self._tails))
            self._bank.end_scan()
        return max(0.0, (self._next_ns - now_ns()) / NS_PER_S)

    def _count(self, since_ns: int) -> int:
        return since_ns * self._counts_per_s // NS_PER_S

    def _edges(self, count: int) -> list[Edge]:
        """Return the eye's edges up to ``count``, in order."""
        edges: list[Edge] = []
        while True:
            if self._tails < self._fronts:
                place = self._count(self._fronts * self._period_ns) + self._length
            else:
                place = self._count((self._fronts + 1) * self._period_ns)
            if place > count:
                return edges
            rising = self._tails == self._fronts
            self._fronts += rising
            self._tails += not rising
            edges.append(Edge(rising, self._fronts, place))

    def _open(self, port: int) -> ModbusServer:
        server = _Server(self._bank, port, lambda: self._condition)
        server.start()
        return server


class _Server(ModbusServer):
    """Answers as the condition has it."""

    def __init__(self, bank: RegisterBank, port: int, condition: Callable[[], Condition]) -> None:
        super().__init__(bank, HOST, port)
        self._condition = condition

    async def _serve_request(
        self, function_code: int, start_address: int, address: int, count: int, registers: list[int], values: Any
    ) -> ExcCodes | None:
        condition = self._condition()
        if condition is Condition.REFUSING:
            return ExcCodes.DEVICE_BUSY
        if condition in ANSWERS_MS:
            await asyncio.sleep(ANSWERS_MS[condition] / 1000)
        return await super()._serve_request(function_code, start_address, address, count, registers, values)


def serve(commands: Connection, settings: PlcSettings, period_ms: float, length_mm: float) -> None:
    """Run a rig as a process.

    Args:
        commands: sends the port first; then takes a ``Condition``, or an int (the start of the timer), and answers each
            with True when it is done.
        settings, period_ms, length_mm: as for ``Rig``.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to end
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it logs each request that its client gave up
    rig = Rig(settings, period_ms, length_mm)
    commands.send(rig.port)
    try:
        while True:
            if not commands.poll(rig.scan()):
                continue
            command = commands.recv()
            if isinstance(command, Condition):
                rig.become(command)
            else:
                rig.start(command)
            commands.send(True)
    except EOFError:
        return  # the parent is gone
    finally:
        rig.close()
