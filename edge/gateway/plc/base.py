"""What the gateway needs of a PLC: four calls.  Time-outs come from the budget, and nothing is retried inside."""

from __future__ import annotations

from abc import ABC, abstractmethod

from edge.core.session import Permit
from edge.gateway.plc.signals import Control, PlcStatus


class PlcDriver(ABC):
    """One connection to one PLC.  Every call raises ``PlcError`` when the PLC does not do as asked, in time."""

    @abstractmethod
    def read(self) -> PlcStatus:
        """Read the PLC's status, connecting first where there is no connection."""

    @abstractmethod
    def write_control(self, control: Control) -> None:
        """Write heartbeat, sessions, fence and READY."""

    @abstractmethod
    def write_permit(self, slot: int, permit: Permit, sequence: int) -> None:
        """Write one permit into a slot of the ring."""

    @abstractmethod
    def close(self) -> None:
        """Drop the connection."""
