"""The PLC's Modbus TCP port: a real server, in a thread of its own, and the ways in which such a port fails."""

from __future__ import annotations

import asyncio
import random
import threading
from dataclasses import dataclass
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

from edge import clock, errors
from edge.simulate.registers import RegisterBank

READ_FUNCTIONS = (3,)
WRITE_FUNCTIONS = (6, 16)
START_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 2.0
MAP_VERSIONS = 0x1_0000


@dataclass
class Trouble:
    """How the port behaves; set from any thread.

    Attributes:
        silent: requests are lost, and the connection stays.
        answer_ms: from a request to its answer; it takes effect just before the answer.
        refusing: every request is answered by an exception.
        nonsense: reads return random registers.
        foreign: reads return the registers of a PLC with another register map: all but the version are true.
    """

    silent: bool = False
    answer_ms: float = 0.0
    refusing: bool = False
    nonsense: bool = False
    foreign: bool = False


class _Handler(ServerRequestHandler):
    """One connection, with the port's trouble."""

    trouble: Trouble

    async def handle_request(self) -> None:
        """Serve the last request, unless it gets lost, and as late as the trouble says."""
        pdu = self.last_pdu
        if self.trouble.silent:
            return
        if self.trouble.answer_ms:
            await asyncio.sleep(self.trouble.answer_ms / 1000)
            self.last_pdu = pdu  # another may have come meanwhile
        await super().handle_request()  # type: ignore[no-untyped-call]


class _Server(ModbusTcpServer):
    """A server whose connections have trouble."""

    trouble: Trouble

    def callback_new_connection(self) -> _Handler:
        """Make the handler of a new connection."""
        handler = _Handler(self, self.trace_packet, self.trace_pdu, self.trace_connect)  # type: ignore[no-untyped-call]
        handler.trouble = self.trouble
        return handler


class ModbusServer:
    """Serves a ``RegisterBank`` as holding registers of unit 1, in a thread of its own.

    Args:
        bank: the registers.
        host, port: where to listen; port 0 takes a free one.

    Attributes:
        trouble: how the port fails.
    """

    def __init__(self, bank: RegisterBank, host: str = "127.0.0.1", port: int = 5020) -> None:
        self.trouble = Trouble()
        self._bank = bank
        self._host = host
        self.port = port
        self._random = random.Random(0)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: ModbusTcpServer | None = None
        self._serving: asyncio.Task[None] | None = None
        self._opened: asyncio.Event | None = None
        self._ended = False
        self._up = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="modbus", daemon=True)

    def start(self) -> None:
        """Listen.

        Raises:
            PortBusy: the address cannot be bound.
        """
        self._thread.start()
        if not self._up.wait(START_TIMEOUT_S) or self._failure is not None:
            raise errors.PortBusy(
                f"The Modbus server cannot listen on {self._host}:{self.port}.",
                "choose another --modbus port, or stop the process that holds it",
            ) from self._failure

    def stop(self) -> None:
        """Close the port and all connections, and end the thread."""
        self._ended = True
        if self._loop and self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(STOP_TIMEOUT_S)
        self._thread.join(STOP_TIMEOUT_S)

    def close_port(self) -> None:
        """Close the port and all connections; never waits."""
        if self._loop:
            asyncio.run_coroutine_threadsafe(self._shut(), self._loop)

    def open_port(self) -> None:
        """Listen again, on the same port; never waits."""
        if self._loop and self._opened:
            self._loop.call_soon_threadsafe(self._opened.set)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (OSError, RuntimeError) as error:  # handed to start(); pymodbus raises the latter
            if self._up.is_set():
                raise
            self._failure = error
            self._up.set()

    async def _serve(self) -> None:
        self._loop, self._serving = asyncio.get_running_loop(), asyncio.current_task()
        self._opened = asyncio.Event()
        while not self._ended:
            self._opened.clear()
            self._server = server = _Server(self._device(), address=(self._host, self.port))
            server.trouble = self.trouble
            await server.serve_forever(background=True)
            self.port = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
            self._up.set()
            await server.serving
            if not self._ended:
                await self._opened.wait()

    async def _shut(self) -> None:
        """Close everything, once no connection is half made: asyncio would forget to close that one's socket."""
        while others := asyncio.all_tasks() - {asyncio.current_task(), self._serving}:
            await asyncio.wait(others)
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
        if self._ended and self._opened is not None:
            self._opened.set()

    def _device(self) -> SimDevice:
        bank = self._bank
        low = SimData(0, count=bank.writable_from, values=0, datatype=DataType.REGISTERS, readonly=True)
        high = SimData(bank.writable_from, count=bank.size - bank.writable_from, values=0, datatype=DataType.REGISTERS)
        return SimDevice(id=1, simdata=[low, high], action=self._serve_request)

    async def _serve_request(  # the signature is pymodbus's
        self,
        function_code: int,
        start_address: int,
        address: int,
        count: int,
        registers: list[int],
        values: Any,
    ) -> ExcCodes | None:
        """Serve one request from the bank; ``registers`` is what pymodbus answers a read from."""
        if self.trouble.refusing:
            return ExcCodes.DEVICE_BUSY
        if values is None and function_code in (*READ_FUNCTIONS, *WRITE_FUNCTIONS):  # FC6 reads its echo back
            registers[address - start_address : address - start_address + count] = self._read(address, count)
            return None
        if values is not None and function_code in WRITE_FUNCTIONS:
            self._bank.write(address, list(values), clock.now_ns())
            return None
        return ExcCodes.ILLEGAL_FUNCTION

    def _read(self, address: int, count: int) -> list[int]:
        if self.trouble.nonsense:
            return [self._random.randrange(0x1_0000) for _ in range(count)]
        registers = self._bank.read(address, count)
        if self.trouble.foreign and address == 0:
            registers[0] = (registers[0] + 1) % MAP_VERSIONS
        return registers
