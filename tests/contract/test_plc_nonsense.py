"""Whatever answers where the PLC should be: an error in time, never a crash, and the PLC in its place works again."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from edge.config import PlcConfig
from edge.core.session import Permit, Session
from edge.errors import PlcError
from edge.gateway.plc import signals
from edge.gateway.plc.modbus import ModbusDriver
from edge.gateway.plc.signals import Control

TIMEOUT_MS = 60.0
SLACK_S = 0.3
"""Of a busy machine; the bound itself is two time-outs, and reading what trickles would take seconds."""

CONTROL = Control(7, True, True, 11, 22, 33, 44, 5, "reject", True, 900)
PERMIT = Permit(70_001, 4_000_000, Session(plc=1 << 20, gateway=99, station=3, epoch=5, fence=0))
GOOD = [signals.MAP_VERSION] + [0] * (signals.STATUS_LENGTH - 1)

Answer = Callable[[bytes, socket.socket], None]


def answered(request: bytes) -> bytes:
    """Return what a PLC would answer to a request."""
    transaction, _, _, unit, function, address, count = struct.unpack_from(">HHHBBHH", request)
    body = struct.pack(f">B{count}H", 2 * count, *GOOD[:count]) if function == 3 else struct.pack(">HH", address, count)
    return struct.pack(">HHHBB", transaction, 0, 2 + len(body), unit, function) + body


class Stranger:
    """A TCP server that answers each request by ``answer``."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._stop = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                connection, _ = self._server.accept()
                connection.settimeout(2)
                with connection:
                    if self._stop:
                        return
                    while request := connection.recv(300):
                        self.answer(request, connection)

    def close(self) -> None:
        self._stop = True
        with socket.create_connection(("127.0.0.1", self.port)):
            self._thread.join()
        self._server.close()


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    made = Stranger(lambda request, connection: connection.sendall(answered(request)))
    yield made
    made.close()


@pytest.fixture
def driver(stranger: Stranger) -> Iterator[ModbusDriver]:
    made = ModbusDriver(PlcConfig(port=stranger.port, timeout_ms=TIMEOUT_MS))
    yield made
    made.close()


def says(change: Callable[[bytes], bytes]) -> Answer:
    return lambda request, connection: connection.sendall(change(answered(request)))


def trickles(request: bytes, connection: socket.socket) -> None:
    for byte in answered(request):
        connection.sendall(bytes([byte]))
        time.sleep(TIMEOUT_MS / 1000 / 4)


def chatters(_request: bytes, connection: socket.socket) -> None:
    """Sends for ever, and quickly."""
    with contextlib.suppress(OSError):
        for _ in range(200):
            connection.sendall(b"\x00\x01\x00\x00\x00\x03\x01")
            time.sleep(0.001)


NONSENSE: dict[str, Answer] = {
    "web server": lambda _, c: c.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "ssh": lambda _, c: c.sendall(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "echo": lambda request, c: c.sendall(request),
    "zeros": lambda _, c: c.sendall(bytes(300)),
    "ones": lambda _, c: c.sendall(b"\xff" * 300),
    "silence": lambda _, _c: None,
    "closes": lambda _, c: c.close(),
    "half closes": lambda _, c: c.shutdown(socket.SHUT_WR),
    "trickles": trickles,
    "chatters": chatters,
    "no header": says(lambda a: a[:5]),
    "cut off": says(lambda a: a[:-1]),
    "another transaction": says(lambda a: bytes([a[0] ^ 1]) + a[1:]),
    "no transaction": says(lambda a: b"\0\0" + a[2:]),
    "another protocol": says(lambda a: a[:2] + b"\0\1" + a[4:]),
    "another unit": says(lambda a: a[:6] + bytes([a[6] ^ 1]) + a[7:]),
    "another function": says(lambda a: a[:7] + bytes([19 - a[7]]) + a[8:]),
    "input registers": says(lambda a: a[:7] + b"\4" + a[8:]),
    "an unknown function": says(lambda a: a[:7] + b"\x2b" + a[8:]),
    "a length too short": says(lambda a: a[:4] + struct.pack(">H", len(a) - 7) + a[6:]),
    "a length too long": says(lambda a: a[:4] + struct.pack(">H", len(a) - 5) + a[6:] + b"\0"),
    "an endless length": says(lambda a: a[:4] + b"\xff\xff" + a[6:]),
    "another body": says(lambda a: a[:8] + bytes([a[8] ^ 2]) + a[9:]),
    "an exception": says(lambda a: a[:4] + b"\0\3" + a[6:7] + bytes([a[7] | 0x80, 2])),
    "another's exception": says(lambda a: a[:4] + b"\0\3" + a[6:7] + b"\x81\2"),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE.keys())
@pytest.mark.parametrize("call", ["read", "control", "permit"])
def test_nonsense_is_an_error_in_time(stranger: Stranger, driver: ModbusDriver, answer: Answer, call: str) -> None:
    calls: dict[str, Callable[[], object]] = {
        "read": driver.read,
        "control": lambda: driver.write_control(CONTROL),
        "permit": lambda: driver.write_permit(3, PERMIT, 9),
    }
    sane, stranger.answer = stranger.answer, answer
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(PlcError) as caught:
            calls[call]()
        assert time.monotonic() - began < 2 * TIMEOUT_MS / 1000 + SLACK_S
        assert caught.value.remedy
        assert str(stranger.port) in caught.value.problem
    stranger.answer = sane
    driver.close()
    calls[call]()  # a PLC in its place is taken at once


def test_random_bytes(stranger: Stranger, driver: ModbusDriver) -> None:
    rng = random.Random(4)

    def mutated(request: bytes, connection: socket.socket) -> None:
        answer = bytearray(answered(request))
        for _ in range(rng.randrange(1, 4)):
            answer[rng.randrange(len(answer))] = rng.randrange(256)
        connection.sendall(bytes(answer[: rng.choice([len(answer)] * 9 + [rng.randrange(len(answer))])]))

    stranger.answer = mutated
    ends = {True: 0, False: 0}
    for _ in range(400):
        try:
            status = driver.read()
            assert len(status.parts) <= signals.TRIGGERS
            ends[True] += 1
        except PlcError:
            ends[False] += 1
    assert ends[False] > 20
    assert ends[True] > 20, "a word that may have any value is no nonsense"


def test_more_than_the_answer_spoils_the_next_one(stranger: Stranger, driver: ModbusDriver) -> None:
    stranger.answer = says(lambda a: a + b"\x00" * 12)
    driver.read()
    with pytest.raises(PlcError):
        driver.read()
    driver.read()


def test_a_connection_that_is_half_open_is_given_up_and_made_anew() -> None:
    """A peer that vanished without a word: the system takes what is sent, and nothing comes back."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as server:
        driver = ModbusDriver(PlcConfig(port=server.getsockname()[1], timeout_ms=TIMEOUT_MS))
        with contextlib.closing(driver):
            for _ in range(3):  # the second and third wait in the backlog, or are not even taken
                began = time.monotonic()
                with pytest.raises(PlcError, match=r"did not answer|cannot be reached"):
                    driver.read()
                assert time.monotonic() - began < 2 * TIMEOUT_MS / 1000 + SLACK_S


def test_what_timed_out_is_not_sent_again_behind_the_gateways_back() -> None:
    """A connection that ends by a reset keeps nothing to send; one that is closed has its bytes sent for minutes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        driver = ModbusDriver(PlcConfig(port=server.getsockname()[1], timeout_ms=TIMEOUT_MS))
        with pytest.raises(PlcError, match="did not answer"):
            driver.write_permit(3, PERMIT, 9)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(2)
            assert connection.recv(300), "the permit itself"
            with pytest.raises(ConnectionResetError):
                connection.recv(300)
