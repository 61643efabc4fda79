"""Modbus TCP: two functions over one connection.  Unprotected: give it a network of its own, see docs/signal.md.

Written out here because of what the gateway needs and a general client does not promise: no retry, since a permit
that is not through in time must not be written later, not by the system either; an exchange ends within one time-out
however slowly its bytes trickle in; and an answer counts only if every byte of its head is the one that answers this
request.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from edge.clock import NS_PER_S, now_ns
from edge.config import PlcConfig
from edge.core.session import Permit
from edge.errors import ConfigError, PlcError
from edge.gateway.plc import signals
from edge.gateway.plc.base import PlcDriver

_UNREACHABLE = "check that the PLC runs, its address in [plc], the cable, and the PLC's allow-list."
_NONSENSE = "check that [plc] names the PLC and not another device; see docs/signal.md."

_HEADER = struct.Struct(">HHHBB")  # transaction, protocol 0, bytes that follow, unit, function
_COUNTED = 2  # bytes after the length: unit and function
_READ, _WRITE, _EXCEPTION = 3, 16, 0x80
_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: closing throws away what is not through yet; else the system goes on sending it, for minutes."""
_EXCEPTIONS = {1: "illegal function", 2: "illegal address", 3: "illegal value", 4: "device failure", 6: "device busy"}


def resolved(config: PlcConfig) -> PlcConfig:
    """Return ``config`` with a numeric ``host``: of a name, an address that it has now.

    Looking a name up can take seconds, so it is done once, before the loop begins.  IPv4 comes first: few PLCs speak
    anything else, and many systems give `localhost` as ::1.

    Raises:
        ConfigError: the name has no address.
    """
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"plc.host = {config.host!r} cannot be resolved: {error}.", "name the PLC by its IP address."
        ) from None
    chosen = min(found, key=lambda address: address[0] != socket.AF_INET)
    return config.model_copy(update={"host": str(chosen[4][0])})


class ModbusDriver(PlcDriver):
    """A PLC behind Modbus TCP.

    Args:
        config: address and time-out.  A call takes at most one time-out, and one more where it must connect first.
    """

    def __init__(self, config: PlcConfig) -> None:
        self._address = config.host, config.port
        self._where = f"{config.host}:{config.port}"
        self._unit, self._timeout_s = config.unit, config.timeout_ms / 1000
        self._socket: socket.socket | None = None
        self._transaction = 0

    def read(self) -> signals.PlcStatus:
        """Read the status block in one request."""
        return signals.parse_status(self.read_registers(signals.STATUS_BASE, signals.STATUS_LENGTH))

    def write_control(self, control: signals.Control) -> None:
        """Write the control block in one request."""
        self.write_registers(signals.CONTROL_BASE, signals.control_words(control))

    def write_permit(self, slot: int, permit: Permit, sequence: int) -> None:
        """Write one slot of the permit ring in one request."""
        address = signals.PERMIT_BASE + slot * signals.PERMIT_LENGTH
        self.write_registers(address, signals.permit_words(permit, sequence))

    def close(self) -> None:
        """Drop the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def read_registers(self, address: int, count: int) -> Sequence[int]:
        """Return ``count`` holding registers, by function 3."""
        body = self._exchange(_READ, struct.pack(">HH", address, count), 1 + 2 * count)
        if body[0] != 2 * count:
            raise self._nonsense(f"{body[0]} bytes of registers where {2 * count} were asked")
        return struct.unpack_from(f">{count}H", body, 1)

    def write_registers(self, address: int, values: Sequence[int]) -> None:
        """Write holding registers, by function 16."""
        head = struct.pack(">HH", address, len(values))
        data = struct.pack(f">B{len(values)}H", 2 * len(values), *values)
        if (body := self._exchange(_WRITE, head + data, len(head))) != head:
            raise self._nonsense(f"a write to {body.hex()} where {head.hex()} was asked")

    # -- the wire ---------------------------------------------------------------------------------------------------

    def _exchange(self, function: int, request: bytes, length: int) -> bytes:
        """Send a request and return the ``length`` bytes that follow the function in its answer."""
        self._transaction = self._transaction % 0xFFFF + 1
        header = _HEADER.pack(self._transaction, 0, _COUNTED + len(request), self._unit, function)
        connection = self._connected()
        deadline_ns = now_ns() + int(self._timeout_s * NS_PER_S)
        try:
            connection.settimeout(self._timeout_s)
            connection.sendall(header + request)
            answer = _receive(connection, _HEADER.size + 1, deadline_ns)  # as long as the answer of a refusal
            self._check(answer, function, length)
            return answer[_HEADER.size :] + _receive(connection, length - 1, deadline_ns)
        except OSError as error:
            # A late answer would be taken for the next one's, so the connection goes with the request.
            self.close()
            raise PlcError(f"The PLC at {self._where} did not answer ({type(error).__name__}).", _UNREACHABLE) from None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            try:
                self._socket = socket.create_connection(self._address, self._timeout_s)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            except OSError:
                self.close()
                raise PlcError(f"The PLC at {self._where} cannot be reached.", _UNREACHABLE) from None
        return self._socket

    def _check(self, answer: bytes, function: int, length: int) -> None:
        """Compare every byte of an answer's head with what must stand there."""
        transaction, protocol, follows, unit, said = _HEADER.unpack_from(answer)
        told = transaction, protocol, unit
        if told == (self._transaction, 0, self._unit) and (said, follows) == (function | _EXCEPTION, _COUNTED + 1):
            self.close()
            code = answer[_HEADER.size]
            problem = f"The PLC at {self._where} refused function {function}: {_EXCEPTIONS.get(code, f'code {code}')}."
            raise PlcError(problem, "see docs/signal.md.")
        if told != (self._transaction, 0, self._unit) or (said, follows) != (function, _COUNTED + length):
            raise self._nonsense(f"{answer[: _HEADER.size].hex()} to function {function}")

    def _nonsense(self, what: str) -> PlcError:
        self.close()
        return PlcError(f"What answers at {self._where} is no PLC with this signal map: {what}.", _NONSENSE)


def _receive(connection: socket.socket, length: int, deadline_ns: int) -> bytes:
    """Return exactly ``length`` bytes.

    Raises:
        OSError: they were not there by ``deadline_ns``, or the connection is gone.
    """
    data = b""
    while len(data) < length:
        left_ns = deadline_ns - now_ns()
        if left_ns <= 0:
            raise TimeoutError
        connection.settimeout(left_ns / NS_PER_S)
        part = connection.recv(length - len(data))
        if not part:
            raise ConnectionResetError
        data += part
    return data
