"""Modbus TCP, through pymodbus.  Unprotected by nature: give it a network of its own (docs/signal.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.config import PlcConfig
from edge.core.session import Permit
from edge.errors import MissingExtra, PlcError
from edge.gateway.plc import signals
from edge.gateway.plc.base import PlcDriver

_UNREACHABLE = "check that the PLC runs, its address in [plc], the cable, and the PLC's allow-list."


class ModbusDriver(PlcDriver):
    """A PLC behind Modbus TCP.

    Args:
        config: address and time-out.  pymodbus' own 3 s time-out and 3 retries are replaced: a permit that is not
            through in time must not be written later.

    Raises:
        MissingExtra: pymodbus is not installed.
    """

    def __init__(self, config: PlcConfig) -> None:
        try:
            from pymodbus.client import ModbusTcpClient
            from pymodbus.exceptions import ModbusException
        except ImportError:
            raise MissingExtra("pymodbus", "plc") from None
        self._where = f"{config.host}:{config.port}"
        self._unit = config.unit
        self._failures = (ModbusException, OSError)
        self._client: Any = ModbusTcpClient(
            config.host, port=config.port, timeout=config.timeout_ms / 1000, retries=0, reconnect_delay=0
        )

    def read(self) -> signals.PlcStatus:
        """Read the status block in one request."""
        response = self._call(self._client.read_holding_registers, signals.STATUS_BASE, count=signals.STATUS_LENGTH)
        return signals.parse_status(response.registers)

    def write_control(self, control: signals.Control) -> None:
        """Write the control block in one request."""
        self._call(self._client.write_registers, signals.CONTROL_BASE, signals.control_words(control))

    def write_permit(self, slot: int, permit: Permit, sequence: int) -> None:
        """Write one slot of the permit ring in one request."""
        address = signals.PERMIT_BASE + slot * signals.PERMIT_LENGTH
        self._call(self._client.write_registers, address, signals.permit_words(permit, sequence))

    def close(self) -> None:
        """Drop the connection."""
        self._client.close()

    def _call(self, method: Callable[..., Any], address: int, *args: Any, **kwargs: Any) -> Any:
        try:
            if not self._client.connected and not self._client.connect():
                raise PlcError(f"The PLC at {self._where} cannot be reached.", _UNREACHABLE)
            response = method(address, *args, device_id=self._unit, **kwargs)
        except self._failures as error:
            # A late answer would be taken for the next one's, so the connection goes with the request.
            self._client.close()
            raise PlcError(f"The PLC at {self._where} did not answer ({type(error).__name__}).", _UNREACHABLE) from None
        if response.isError():
            self._client.close()
            raise PlcError(f"The PLC at {self._where} refused register {address}: {response}.", "see docs/signal.md.")
        return response
