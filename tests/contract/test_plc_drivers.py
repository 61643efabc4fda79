"""Every PLC driver, against a real server: does what is asked in time, or says that it did not."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from edge import clock
from edge.config import PlcConfig
from edge.core.session import Permit, Session
from edge.errors import PlcError
from edge.gateway.plc import signals
from edge.gateway.plc.base import PlcDriver
from edge.gateway.plc.modbus import ModbusDriver
from edge.gateway.plc.signals import Control
from edge.simulate.modbus import ModbusServer
from edge.simulate.plc import READ_ONLY_END, REGISTERS
from edge.simulate.registers import RegisterBank

CONTROL = Control(7, True, True, 11, 22, 33, 44, 5, "reject", True, 900)
PERMIT = Permit(70_001, 4_000_000, Session(plc=1 << 20, gateway=99, station=3, epoch=5, fence=0))


@contextlib.contextmanager
def served(bank: RegisterBank) -> Iterator[ModbusServer]:
    server = ModbusServer(bank, "127.0.0.1", 0)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def driver_to(port: int) -> Iterator[PlcDriver]:
    driver = ModbusDriver(PlcConfig(port=port, timeout_ms=300))
    try:
        yield driver
    finally:
        driver.close()


@pytest.fixture
def bank() -> RegisterBank:
    bank = RegisterBank(REGISTERS, READ_ONLY_END)
    bank.registers[0] = signals.MAP_VERSION
    bank.registers[6:8] = [0x3D, 0x0900]
    bank.end_scan()
    return bank


def test_what_is_written_arrives_where_the_map_says(bank: RegisterBank) -> None:
    with served(bank) as server, driver_to(server.port) as driver:
        assert driver.read().count == 0x3D0900
        driver.write_control(CONTROL)
        driver.write_permit(3, PERMIT, 65_535)
        bank.begin_scan(clock.now_ns())
    control = signals.control_words(CONTROL)
    assert bank.registers[200 : 200 + len(control)] == control
    assert bank.registers[220 + 3 * 11 : 220 + 4 * 11] == signals.permit_words(PERMIT, 65_535)


def test_a_closed_port_is_an_error_and_opens_again(bank: RegisterBank) -> None:
    with served(bank) as server:
        port = server.port
        with driver_to(port) as driver:
            driver.read()
            server.stop()
            with pytest.raises(PlcError, match=f"127.0.0.1:{port}.*Remedy"):
                driver.read()
            with pytest.raises(PlcError, match="cannot be reached"):
                driver.write_control(CONTROL)
            again = ModbusServer(bank, "127.0.0.1", port)
            again.start()
            try:
                assert driver.read().count == 0x3D0900
            finally:
                again.stop()


def test_a_plc_that_accepts_and_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, driver_to(silent.getsockname()[1]) as driver:
        for call in (driver.read, lambda: driver.write_permit(0, PERMIT, 1)):
            with pytest.raises(PlcError, match="did not answer"):
                call()


def test_a_plc_that_answers_nonsense_is_given_up() -> None:
    def babble(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"\xff" * 300)
                connection.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as server, driver_to(server.getsockname()[1]) as driver:
        thread = threading.Thread(target=babble, args=(server,))
        thread.start()
        with pytest.raises(PlcError):
            driver.read()
        driver.close()
        thread.join()


def test_another_map_version_is_refused(bank: RegisterBank) -> None:
    bank.registers[0] = 2
    bank.end_scan()
    with served(bank) as server, driver_to(server.port) as driver, pytest.raises(PlcError, match="version 2"):
        driver.read()


def test_a_unit_that_is_not_there_is_an_error(bank: RegisterBank) -> None:
    with served(bank) as server:
        driver = ModbusDriver(PlcConfig(port=server.port, unit=9, timeout_ms=300))
        with contextlib.closing(driver), pytest.raises(PlcError):
            driver.read()
