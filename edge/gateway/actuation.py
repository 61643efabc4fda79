"""How a permit moves the gate: written to a PLC that times it (`permit`), or timed here, by one output (`pulse`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import ceil

from edge.clock import NS_PER_MS
from edge.core.counter import delta
from edge.core.pulse import GateGeometry, PulseGate
from edge.core.register import Register
from edge.core.session import Permit
from edge.gateway.link import PlcLink
from edge.gateway.permits import PermitRing
from edge.gateway.plc.base import PlcDriver
from edge.gateway.plc.signals import ACTION_GOOD, ARMED, ENCODER_LOST, EXECUTED, PERMIT_STATUS, PlcStatus


class Actuation(ABC):
    """Carries out what the register decided, and tells it what became of each permit.

    Attributes:
        output: what the gateway's own output is to be; always off where the PLC times the gate.
    """

    output = False

    @abstractmethod
    def restart(self, status: PlcStatus) -> None:
        """Begin anew: nothing that was permitted before counts."""

    @abstractmethod
    def counted(self, number: int, count: int) -> None:
        """Take a part that the PLC has counted."""

    @abstractmethod
    def went_back(self) -> None:
        """Withdraw the permits held here: the belt carried parts to where they cannot be followed."""

    @abstractmethod
    def give(self, permit: Permit) -> bool:
        """Pass a permit on, once.  False where it cannot be.

        Raises:
            PlcError: whether it arrived is unknown.
        """

    @abstractmethod
    def follow(self, status: PlcStatus, count_now: int) -> tuple[list[int], str]:
        """Learn what became of permits.  Return the parts newly executed, and what is in doubt, or ""."""

    @abstractmethod
    def switch(self, now_ns: int) -> bool:
        """Bring ``output`` up to date.  True where it changed."""

    @abstractmethod
    def due_ns(self, now_ns: int) -> int | None:
        """Return when ``output`` may have to change next, or None."""


class PermitActuation(Actuation):
    """The PLC times the gate."""

    def __init__(self, driver: PlcDriver, register: Register) -> None:
        self._driver, self._register = driver, register
        self._ring = PermitRing()
        self._echoes: tuple[tuple[int, int], ...] = ()
        self._gated: tuple[tuple[int, int, int], ...] = ()

    def restart(self, status: PlcStatus) -> None:
        """Forget what was sent."""
        self._ring.restart(status.echoes)
        self._echoes, self._gated = (), ()

    def counted(self, _number: int, _count: int) -> None:
        """Nothing: the PLC follows its parts itself."""

    def went_back(self) -> None:
        """Nothing: the PLC withdraws what it holds itself."""

    def give(self, permit: Permit) -> bool:
        """Write the permit into the ring; it is never tried again, so that none arrives after its commit point."""
        placed = self._ring.place(permit)
        if placed is None:
            return False
        self._driver.write_permit(placed[0], permit, placed[1])
        return True

    def follow(self, status: PlcStatus, count_now: int) -> tuple[list[int], str]:
        """Read the echoes and the gate ring."""
        executed: list[int] = []
        if status.echoes is not self._echoes:  # equal rings are one object, see ``signals``
            self._echoes = status.echoes
            self._read_echoes(executed)
        if status.gated is not self._gated:
            self._gated = status.gated
            self._read_gated(executed)
        for permit in self._ring.unanswered():
            if self._register.has_passed(permit, count_now):
                return executed, f"the PLC did not echo the permit of part {permit.number}"
        return executed, ""

    def _read_echoes(self, executed: list[int]) -> None:
        register = self._register
        for echo in self._ring.read(self._echoes):
            if echo.status == ARMED:
                register.permit_written(echo.number)
            elif echo.status == EXECUTED:
                executed.append(echo.number)
            elif echo.number in register.armed:
                register.voided(echo.number, PERMIT_STATUS[echo.status])
            else:
                register.permit_failed(echo.number, PERMIT_STATUS[echo.status])

    def _read_gated(self, executed: list[int]) -> None:
        register = self._register
        for number, action, _ in self._gated:
            if number in register.armed:
                if action == ACTION_GOOD:
                    executed.append(number)
                else:
                    register.voided(number, "rejected_at_gate")

    def switch(self, _now_ns: int) -> bool:
        """Nothing: there is no output."""
        return False

    def due_ns(self, _now_ns: int) -> int | None:
        """Never."""
        return None


class PulseActuation(Actuation):
    """The gateway times the gate: for simulation and slow lines."""

    def __init__(self, geometry: GateGeometry, register: Register, link: PlcLink) -> None:
        self._register, self._link = register, link
        self._gate = PulseGate(geometry)
        self._reach = geometry.gate + geometry.length + geometry.lead
        self._executed: list[int] = []
        self._station = 0  # whose fence has been kept

    def restart(self, status: PlcStatus) -> None:
        """Withdraw every permit; every part that the PLC still shows gets a window in its present counts."""
        for number in self._gate.restart():
            self._register.voided(number, "cleared")
        for number, count in status.parts:
            if 0 <= delta(status.count, count) < self._reach and number not in self._executed:
                self._gate.part(number, count)

    def counted(self, number: int, count: int) -> None:
        """Give the part a window, without a permit as yet."""
        self._gate.part(number, count)

    def went_back(self) -> None:
        """Withdraw every permit."""
        self._withdraw("reversed")

    def give(self, permit: Permit) -> bool:
        """Mark the part's window."""
        if not self._gate.permit(permit.number):
            return False
        self._register.permit_written(permit.number)
        return True

    def follow(self, status: PlcStatus, _count_now: int) -> tuple[list[int], str]:
        """Return the parts for which the output was on; withdraw the permits that a lost encoder or a fence ends."""
        if status.flags & ENCODER_LOST:
            self._withdraw("cleared")
        if (station := self._register.session.station) not in (0, self._station):
            self._station = station
            self._withdraw("fenced")
        executed, self._executed = self._executed, []
        return executed, ""

    def switch(self, now_ns: int) -> bool:
        """Compute the output at the belt's present place and speed."""
        link = self._link
        if link.status is None:
            return False
        before = self.output
        events = self._gate.advance(link.estimate(now_ns), link.counts_per_ms, now_ns)
        for number, what in events:
            if what == "executed":
                self._executed.append(number)
            else:
                self._register.voided(number, what)
        self.output = self._gate.on
        return self.output is not before

    def due_ns(self, now_ns: int) -> int | None:
        """Return when the belt reaches the next edge of a window at its present speed."""
        link = self._link
        if link.status is None or link.counts_per_ms <= 0:
            return None
        counts = self._gate.next_counts(link.estimate(now_ns), link.counts_per_ms)
        return None if counts is None else now_ns + ceil(counts / link.counts_per_ms * NS_PER_MS)

    def _withdraw(self, cause: str) -> None:
        for number in self._gate.clear():
            self._register.voided(number, cause)
