"""The PLC's Modbus TCP port: a real server, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge import clock, errors
from edge.simulate.registers import RegisterBank

READ_FUNCTIONS = (3,)
WRITE_FUNCTIONS = (6, 16)
START_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 2.0


class ModbusServer:
    """Serves a ``RegisterBank`` as holding registers of unit 1, in a thread of its own.

    Args:
        bank: the registers.
        host, port: where to listen; port 0 takes a free one.
    """

    def __init__(self, bank: RegisterBank, host: str = "127.0.0.1", port: int = 5020) -> None:
        self._bank = bank
        self._host = host
        self.port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: ModbusTcpServer | None = None
        self._serving: asyncio.Task[None] | None = None
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
        if self._loop and self._server and self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._shut(self._server), self._loop).result(STOP_TIMEOUT_S)
        self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (OSError, RuntimeError) as error:  # handed to start(); pymodbus raises the latter
            self._failure = error
            self._up.set()

    async def _serve(self) -> None:
        self._loop, self._serving = asyncio.get_running_loop(), asyncio.current_task()
        self._server = ModbusTcpServer(self._device(), address=(self._host, self.port))
        await self._server.serve_forever(background=True)
        self.port = self._server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        self._up.set()
        await self._server.serving

    async def _shut(self, server: ModbusTcpServer) -> None:
        """Close everything, once no connection is half made: asyncio would forget to close that one's socket."""
        while others := asyncio.all_tasks() - {asyncio.current_task(), self._serving}:
            await asyncio.wait(others)
        await server.shutdown()  # type: ignore[no-untyped-call]

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
        if values is None and function_code in (*READ_FUNCTIONS, *WRITE_FUNCTIONS):  # FC6 reads its echo back
            registers[address - start_address : address - start_address + count] = self._bank.read(address, count)
            return None
        if values is not None and function_code in WRITE_FUNCTIONS:
            self._bank.write(address, list(values), clock.now_ns())
            return None
        return ExcCodes.ILLEGAL_FUNCTION
