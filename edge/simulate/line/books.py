"""The books of all processes that lived: what they counted must add up, over every death and restart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from edge.core.counter import delta
from edge.core.ledger import PartLedger
from edge.core.register import Register
from edge.gateway.recorder import Recorder
from edge.simulate.line.factbook import FactBook
from edge.simulate.line.join import Join
from edge.simulate.line.referee import Word
from edge.wire.messages import JournalStatus


class Books:
    """Sums over the lives of station and gateway.

    Args:
        clock: virtual time.

    Attributes:
        problems: what did not add up, in words, with how often.
        join: the records of each part.
        facts: what the gateways told the journal.
        triggers, outcomes, causes: of all stations.
        lost_with_process: parts that were open in a station that was killed.
        unowned: parts that the PLC counted while no gateway followed it.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.problems: Counter[str] = Counter()
        self.join = Join(clock, self.problems)
        self.facts = FactBook(self.problems)
        self.triggers = self.acknowledged = self.executed = 0
        self.outcomes: Counter[str] = Counter()
        self.causes: Counter[str] = Counter()
        self.lost_frames: Counter[str] = Counter()
        self.dispositions: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.lost_with_process = self.unowned = self.plc_triggers = 0
        self._ledger: PartLedger | None = None
        self._concluded = 0  # by the living station
        self._register: Register | None = None
        self._highest: int | None = None
        self._counted = 0
        self._plc_session = -1

    # -- station ----------------------------------------------------------------------------------------------------

    def station_started(self, ledger: PartLedger) -> None:
        """A station lives."""
        self._ledger, self._concluded = ledger, 0
        self.join.station_started()

    def concluded(self, number: int, word: Word) -> None:
        """A station came to an outcome."""
        self.join.concluded(number, word.outcome)
        self._concluded += 1
        self.outcomes[word.outcome] += 1
        self.causes[word.cause] += 1

    def station_ended(self, down_ns: int) -> None:
        """The station is gone, and its loop stood since ``down_ns``: what it had open is lost, and nothing else."""
        ledger = self._ledger
        assert ledger is not None
        self.settle_station()
        self.triggers += ledger.triggers
        self.lost_with_process += len(ledger)
        self.join.station_ended(down_ns)
        self._ledger = None

    def settle_station(self) -> None:
        """Compare the ledger's equation and its outcomes with those that were reported."""
        ledger = self._ledger
        if ledger is None:
            return
        if not ledger.reconciles():
            self.problems["the station's ledger does not reconcile"] += 1
        if ledger.triggers != self._concluded + len(ledger):
            self.problems["a trigger of the station has no outcome, or two"] += 1

    # -- gateway ----------------------------------------------------------------------------------------------------

    def gateway_started(self, register: Register) -> None:
        """A gateway lives."""
        self._register, self._counted, self._plc_session = register, 0, -1
        self.join.broken()

    def gateway_polled(self) -> None:
        """The gateway has read the PLC: its register must have followed the PLC's counter part by part."""
        register = self._register
        if register is None:
            return
        highest = register.highest
        if highest is None or (highest == self._highest and self._plc_session == register.session.plc):
            return
        counted, session = register.counts.plc_triggers, register.session.plc
        if self._highest is not None:
            unowned = delta(highest, self._highest) - (counted - self._counted)
            if unowned and session == self._plc_session:
                self.problems["the register lost count of the PLC's parts"] += 1
            self.unowned += unowned
        self._highest, self._counted, self._plc_session = highest, counted, session

    def gateway_ended(self) -> None:
        """The gateway is gone."""
        self.join.broken()
        register = self._register
        assert register is not None
        self.settle_gateway()
        # What it learnt in its last turn went with it, and is told here all the same, so that the sums can be compared.
        Recorder(self.facts.put, JournalStatus, self._clock).parts(register.take_news(), self._clock())
        self.facts.gateway_ended(register)
        self.gateway_polled()
        self.plc_triggers += register.counts.plc_triggers
        self.dispositions.update(register.counts.dispositions)
        self.rejected.update(register.counts.rejected)
        self._register = None

    def settle_gateway(self) -> None:
        """Compare the register's equations."""
        if self._register is not None and not self._register.reconciles():
            self.problems["the gateway's register does not reconcile"] += 1

    # -- the end ----------------------------------------------------------------------------------------------------

    def close(self, edges: int, last_number: int, down_ns: int) -> None:
        """After the line has settled: every edge of the eye must be in the books, on both sides."""
        if self._ledger is not None and len(self._ledger):
            self.problems["parts stay open at the station"] += 1
        if self._register is not None and self._register.pending:
            self.problems["parts stay open at the gateway"] += 1
        if self._ledger is not None:
            self.station_ended(down_ns)
        if self._register is not None:
            self.gateway_ended()
        if self._highest != last_number or self.plc_triggers + self.unowned != edges:
            self.problems["the gateway's parts are not those that the eye counted"] += 1
        self.join.close()
