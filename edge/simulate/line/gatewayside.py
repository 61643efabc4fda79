"""The gateway's process: production gateway, register and link, with a PLC driver that moves simulated registers."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from edge.core.register import Register
from edge.core.session import Permit, Session
from edge.core.slots import News
from edge.errors import PlcError
from edge.gateway.geometry import geometry
from edge.gateway.operations import Operations
from edge.gateway.plc import signals
from edge.gateway.plc.base import PlcDriver
from edge.gateway.recorder import Recorder
from edge.simulate.line.books import Books
from edge.simulate.line.components import Components
from edge.simulate.line.net import GatewayEnd, Network
from edge.simulate.line.process import Process
from edge.simulate.line.scheduler import Scheduler
from edge.simulate.line.setup import MS, Setup
from edge.simulate.line.trace import Trace
from edge.simulate.registers import RegisterBank
from edge.wire.messages import JournalStatus


class SimDriver(PlcDriver):
    """Moves words between the gateway and the PLC's network image.

    Attributes:
        trouble: "" or what is wrong: ``unreachable`` (no answer until the time-out), ``refused`` (at once).
        slow_ms: how long an answer takes.
    """

    trouble = ""
    slow_ms = 0.0

    def __init__(self, bank: RegisterBank, sim: Scheduler, timeout_ms: float) -> None:
        self._bank, self._sim, self._timeout_ns = bank, sim, int(timeout_ms * MS)
        self.process: Process | None = None

    def read(self) -> signals.PlcStatus:
        """Read the status block."""
        words = self._bank.read(signals.STATUS_BASE, signals.STATUS_LENGTH)
        self._answer()
        return signals.parse_status(words)

    def write_control(self, control: signals.Control) -> None:
        """Write the control block."""
        self._write(signals.CONTROL_BASE, signals.control_words(control))

    def write_permit(self, slot: int, permit: Permit, sequence: int) -> None:
        """Write one slot of the permit ring."""
        address = signals.PERMIT_BASE + slot * signals.PERMIT_LENGTH
        self._write(address, signals.permit_words(permit, sequence))

    def close(self) -> None:
        """There is no connection."""

    def _write(self, address: int, values: list[int]) -> None:
        if not self.trouble and not self.slow_ms:
            self._bank.write(address, values, self._sim.now)
            return
        if not self.trouble:
            self._sim.after(int(self.slow_ms * MS / 2), self._arrive, (address, values))
        self._answer()

    def _arrive(self, request: tuple[int, list[int]]) -> None:
        self._bank.write(*request, self._sim.now)

    def _answer(self) -> None:
        if not self.trouble and not self.slow_ms:
            return
        assert self.process is not None
        if self.trouble == "refused":
            raise PlcError("The PLC refuses.", "a fault of the simulation.")
        wait_ns = self._timeout_ns if self.trouble else min(int(self.slow_ms * MS), self._timeout_ns)
        self.process.wait_until(self._sim.now + wait_ns)
        if self.trouble or wait_ns >= self._timeout_ns:
            raise PlcError("The PLC did not answer.", "a fault of the simulation.")


def watched(base: type[Register], books: Books) -> type[Register]:
    """Return ``base``, with every part that it ends noted in the books."""

    join = books.join

    class Watched(base):  # type: ignore[misc, valid-type]  # whichever register this run uses
        def take_news(self) -> list[News]:
            news: list[News] = super().take_news()
            for told in news:
                if told.fact in ("armed", "ended"):
                    join.ended(told.number, "permitted" if told.fact == "armed" else told.detail)
            books.gateway_polled()
            return news

        def executed(self, number: int) -> bool:
            done: bool = super().executed(number)
            if done:
                join.booked(number)
            return done

        def suspend(self) -> None:
            join.broken()
            super().suspend()

        def grant(self, station: int, count: int) -> Session:
            join.broken()
            session: Session = super().grant(station, count)
            return session

        def revoke(self) -> None:
            join.broken()
            super().revoke()

    return Watched


class GatewayProcess(Process):
    """The gateway, as a process that can be killed, stopped and restarted."""

    def __init__(
        self,
        setup: Setup,
        sim: Scheduler,
        rng: random.Random,
        network: Network,
        driver: SimDriver,
        books: Books,
        components: Components,
        trace: Trace | None,
    ) -> None:
        super().__init__(sim)
        self._config, self._rng, self._network, self._driver = setup.gateway, rng, network, driver
        self._books, self._components, self._trace = books, components, trace
        self._geometry = geometry(setup.gateway)
        self._kept: dict[str, Any] = {}  # mode and alarms, which a restart does not clear
        driver.process = self

    def _build(self) -> tuple[Callable[[], None], Callable[[], int]]:
        self.register = watched(self._components.register, self._books)(self._geometry, self._rng.getrandbits(30) + 1)
        self._books.gateway_started(self.register)
        self.end: GatewayEnd = self._network.join_gateway(self)
        make = self._components
        recorder = Recorder(self._books.facts.put, JournalStatus, self._sim.clock)
        self.operations = Operations(self._config, self._kept.update, recorder.event)
        if self._kept:
            self.operations.restore(self._kept)
        self.gateway = make.gateway(
            self._config,
            self._driver,
            make.link(self._config),
            make.actuation(self._driver, self.register),
            self.register,
            self.operations,
            self.end,
            recorder,
            self._sim.clock,
            self._new_session,
        )
        if self._trace is not None:
            self._trace.note(None, f"gateway: process {self.life} starts")
        return self.gateway.work, self.gateway.next_ns

    def _tear_down(self) -> None:
        self._network.gateway_gone(self.end)
        self._books.gateway_ended()
        if self._trace is not None:
            self._trace.note(None, f"gateway: process {self.life} is gone")

    def _tell(self, problem: str) -> None:
        self._books.problems[problem] += 1

    def _new_session(self, previous: int) -> int:
        session = self._rng.getrandbits(30) + 1
        return session if session != previous else session + 1
