"""What the gateway tells the journal: the facts of every part, what happened to the lane, and its counters.

A part begins with "counted" or is "unread", and has exactly one end: "ended", "executed" or "voided".  Until then its
facts carry the sessions under which it was counted: a permit is never given under others, see the fence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import msgspec

from edge.clock import NS_PER_MS, NS_PER_S
from edge.core.outcome import Disposition
from edge.core.session import Permit, Session
from edge.core.slots import News
from edge.gateway.plc.signals import ACTION_GOOD, CONFIRMED, PlcStatus
from edge.record.journal.rows import Counts, Event, Fact, Row
from edge.wire.messages import GatewayStatus, JournalStatus

COUNTS_NS = 60 * NS_PER_S
CHANGES_NS = 200 * NS_PER_MS
"""Sessions that begin and end faster than this do not fill the journal with counters."""

_GATED = 64
"""Parts of the gate ring that are remembered: eight times what it shows."""


class Recorder:
    """Makes rows of what the gateway learns.  Called by the gateway's loop alone, and never waits.

    Args:
        put: takes a row, without waiting.
        status: how the journal keeps up.
        clock: monotonic nanoseconds.
    """

    def __init__(
        self,
        put: Callable[[Row], None],
        status: Callable[[], JournalStatus],
        clock: Callable[[], int],
    ) -> None:
        self._put, self._clock = put, clock
        self.status = status
        self._open: dict[int, Session] = {}  # parts without an end
        self._gated: dict[int, int] = {}  # part -> what the sensor behind the gate said
        self._ring: tuple[tuple[int, int, int], ...] = ()
        self._plc_session: int | None = None
        self._plc_answers = True
        self._counts_ns: int | None = None

    # -- facts ------------------------------------------------------------------------------------------------------

    def parts(self, news: Iterable[News], now_ns: int) -> None:
        """Tell what the register has learnt."""
        for fact, number, present, detail, value in news:
            session = present
            if fact == "counted":
                self._open[number] = session
            elif fact == "armed":
                if detail:
                    continue  # T5 is the PLC's echo, and there was none
                session = self._open.get(number, present)
            elif fact != "unread":
                session = self._open.pop(number, present)
            self._fact(session, number, fact, detail, now_ns, value)

    def answered(self, session: Session, number: int, disposition: Disposition, now_ns: int) -> None:
        """Tell the answer to a verdict that was given under ``session``."""
        self._fact(session, number, "answered", disposition.value, now_ns)

    def permit(self, permit: Permit, detail: str, now_ns: int) -> None:
        """Tell that a permit was written to the PLC, or that writing it "failed"."""
        self._fact(permit.session, permit.number, "permit", detail, now_ns)

    def gate(self, status: PlcStatus, session: Session, now_ns: int) -> list[tuple[int, str]]:
        """Tell what the PLC newly says of parts at the gate, and return it as (part, fact).

        What it says first of all, it had said before.  The facts: "good", "rejected", "confirmed", "contradicted".
        """
        news: list[tuple[int, str]] = []
        if status.gated is self._ring:  # equal rings are one object, see ``signals``
            return news
        known = self._plc_session == status.session
        told = known or self._plc_session is not None
        self._ring, self._plc_session = status.gated, status.session
        gated = self._gated = self._gated if known else {}
        for number, action, confirmation in status.gated:
            if not action:
                continue
            if told and number not in gated:
                news.append((number, "good" if action == ACTION_GOOD else "rejected"))
                self._fact(session, number, "gated", news[-1][1], now_ns)
            if told and confirmation and not gated.get(number):
                fact = "confirmed" if confirmation == CONFIRMED else "contradicted"
                news.append((number, fact))
                self._fact(session, number, fact, "", now_ns)
            gated[number] = confirmation
        while len(gated) > _GATED:
            del gated[next(iter(gated))]
        return news

    def _fact(self, session: Session, number: int, fact: str, detail: str, now_ns: int, count: int = 0) -> None:
        row = Fact(session.plc, session.gateway, session.station, session.epoch, number, count, fact, detail, now_ns)
        self._put(row)

    # -- events -----------------------------------------------------------------------------------------------------

    def event(self, kind: str, text: str, **data: Any) -> None:
        """Tell something that happened to the lane."""
        self._put(Event(kind, text, data, self._clock()))

    def session(self, what: str, session: Session, text: str, **data: Any) -> None:
        """Tell of a session: "begun" or "ended" of the gateway, "granted" or "revoked" of a station."""
        self.event("session", text, what=what, **msgspec.to_builtins(session), **data)

    def plc_answers(self, answers: bool, text: str) -> None:
        """Tell where the PLC begins or ceases to answer."""
        if answers is not self._plc_answers:
            self._plc_answers = answers
            self.event("plc", text, answers=answers)

    def counts(self, status: GatewayStatus, plc: PlcStatus | None, now_ns: int) -> None:
        """Tell all counters, the PLC's own as last read included."""
        self._counts_ns = now_ns
        data = msgspec.to_builtins(status)
        data["plc"] = None if plc is None else {name: getattr(plc, name) for name in _PLC_COUNTS}
        self._put(Counts(data, now_ns))

    def counts_due(self, now_ns: int, after_ns: int) -> bool:
        """True where the counters were told longer than ``after_ns`` ago."""
        return self._counts_ns is None or now_ns - self._counts_ns >= after_ns


_PLC_COUNTS = ("session", "last_part", "opened", "without_permit", "met_gate")


def said_under(session: Session, station: int | None) -> Session:
    """Return the present sessions, with the station's session that a verdict named, if it named another."""
    return session if station in (None, session.station) else replace(session, station=station)


def silent(clock: Callable[[], int]) -> Recorder:
    """Return a recorder without a journal."""
    return Recorder(lambda _: None, JournalStatus, clock)
