"""The books of all processes that lived: what they counted must add up, over every death and restart."""

from __future__ import annotations

from collections import Counter, deque

from edge.core.counter import delta
from edge.core.ledger import PartLedger
from edge.core.register import Register
from edge.simulate.line.referee import Word

_RECENT = 512

_SAYS = {"permitted": "PASS", "reject": "REJECT", "no_decision": "NO_DECISION"}
"""What the station must have come to where the gateway says so of a part."""


class Books:
    """Sums over the lives of station and gateway.

    Attributes:
        problems: what did not add up, in words, with how often.
        triggers, outcomes, causes: of all stations.
        lost_with_process: parts that were open in a station that was killed.
        unowned: parts that the PLC counted while no gateway followed it.
    """

    def __init__(self) -> None:
        self.problems: Counter[str] = Counter()
        self.triggers = self.acknowledged = self.executed = 0
        self.outcomes: Counter[str] = Counter()
        self.causes: Counter[str] = Counter()
        self.lost_frames: Counter[str] = Counter()
        self.dispositions: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.lost_with_process = self.unowned = self.plc_triggers = 0
        self._ledger: PartLedger | None = None
        self._owed: set[int] = set()  # triggers that the living station took and has not concluded
        self._recent: deque[int] = deque(maxlen=_RECENT)  # concluded
        self._outcome: dict[int, str] = {}  # of those
        self._counted_by_eye: set[int] = set()  # and not yet ended at the gateway
        self._concluded = 0  # by the living station
        self._register: Register | None = None
        self._highest: int | None = None
        self._counted = 0
        self._plc_session = -1

    # -- station ----------------------------------------------------------------------------------------------------

    def station_started(self, ledger: PartLedger) -> None:
        """A station lives."""
        self._ledger, self._concluded = ledger, 0

    def triggered(self, number: int) -> None:
        """A station took a trigger: it owes an outcome."""
        if number not in self._outcome:
            self._owed.add(number)

    def concluded(self, number: int, word: Word) -> None:
        """A station came to an outcome."""
        self._owed.discard(number)
        if len(self._recent) == _RECENT:
            self._outcome.pop(self._recent[0], None)
        self._recent.append(number)
        self._outcome[number] = word.outcome
        self._concluded += 1
        self.outcomes[word.outcome] += 1
        self.causes[word.cause] += 1

    def station_ended(self) -> None:
        """The station is gone: what it had open is lost, and nothing else."""
        ledger = self._ledger
        assert ledger is not None
        self.settle_station()
        self.triggers += ledger.triggers
        self.lost_with_process += len(ledger)
        self._owed.clear()
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

    # -- the join by part number ------------------------------------------------------------------------------------

    def edge(self, number: int) -> None:
        """The eye counted a part."""
        self._counted_by_eye.add(number)

    def ended(self, number: int, how: str) -> None:
        """The gateway ended a part: once, one that the eye counted, and as the station said if it says so."""
        if number in self._counted_by_eye:
            self._counted_by_eye.remove(number)
        else:
            self.problems["the gateway ended a part twice, or one that the eye never counted"] += 1
        if how in _SAYS and self._outcome.get(number) != _SAYS[how]:
            self.problems[f"the gateway took a part for {how}, and the station did not"] += 1

    # -- gateway ----------------------------------------------------------------------------------------------------

    def gateway_started(self, register: Register) -> None:
        """A gateway lives."""
        self._register, self._counted, self._plc_session = register, 0, -1

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
        register = self._register
        assert register is not None
        self.settle_gateway()
        register.take_ended()
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

    def close(self, edges: int, last_number: int) -> None:
        """After the line has settled: every edge of the eye must be in the books, on both sides."""
        if self._ledger is not None and (len(self._ledger) or self._owed):
            self.problems["parts stay open at the station"] += 1
        if self._register is not None and self._register.pending:
            self.problems["parts stay open at the gateway"] += 1
        if self._ledger is not None:
            self.station_ended()
        if self._register is not None:
            self.gateway_ended()
        if self._highest != last_number or self.plc_triggers + self.unowned != edges:
            self.problems["the gateway's parts are not those that the eye counted"] += 1
