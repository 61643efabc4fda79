"""The gateway's register: which part may get a permit.  Pure: no clock, no sockets; positions are encoder counts.

The PLC counts parts with its own eye, and the register follows *its* counter: a part that the PLC has counted is
rejected unless, before the commit point, a PASS arrives that names its number, its latched count and the present
session, for a part triggered after the fence.  Everything else ends in a disposition without a permit.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from edge.core.counter import delta, wrap
from edge.core.outcome import Disposition, Outcome

D = Disposition

_FENCE_AGE = 1 << 30


@dataclass(frozen=True)
class Geometry:
    """Distances in encoder counts: trigger to gate, trigger to the gateway's commit point, one pitch, and how far two
    readings of the count of one part may differ."""

    gate: int
    commit: int
    pitch: int
    match: int


@dataclass(frozen=True)
class Session:
    """Under what permits are given.  ``station`` is 0 while no station holds the lane."""

    plc: int
    gateway: int
    station: int
    epoch: int
    fence: int


@dataclass(frozen=True)
class Permit:
    """The right of one part to pass the gate, honoured once."""

    number: int
    count: int
    session: Session


@dataclass(frozen=True)
class Decision:
    """What became of a message or of a part.

    Attributes:
        number: of the part.
        disposition: see ``Disposition``.
        permit: to be written to the PLC, for an accepted PASS alone.
        answers: True where this answers a verdict, so that the station is told.
    """

    number: int
    disposition: Disposition
    permit: Permit | None = None
    answers: bool = False


@dataclass
class _Slot:
    """A part that the PLC has counted and that has not ended.  ``permitted``: its permit is on the way to the PLC."""

    count: int
    announced: bool = False
    verdict: Outcome | None = None
    permitted: bool = False


@dataclass(frozen=True)
class _Waiting:
    """A verdict for a part that the PLC has not counted yet, as far as has been read."""

    session: int
    count: int
    outcome: Outcome


@dataclass
class Counts:
    """Cumulative.  ``plc_triggers = announced + unannounced + (pending, not announced)``, and ``plc_triggers =
    permitted + rejected + pending``."""

    plc_triggers: int = 0
    announced: int = 0
    unannounced: int = 0
    permitted: int = 0
    executed: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    dispositions: Counter[str] = field(default_factory=lambda: Counter({d.value: 0 for d in Disposition}))


class Register:
    """Holds the session and the parts between eye and commit point.

    Args:
        geometry: of the line.
        gateway_session: this gateway's present session, non-zero.
        waiting: most verdicts and announcements held for parts that the PLC has not been seen to count.
    """

    def __init__(self, geometry: Geometry, gateway_session: int, waiting: int = 32) -> None:
        self._g = geometry
        self._room = waiting
        self._most = 4 * (geometry.commit // max(1, geometry.pitch) + waiting)
        self.session = Session(0, gateway_session, 0, 0, 0)
        self.counts = Counts()
        self._slots: dict[int, _Slot] = {}
        self._ended: dict[int, Disposition] = {}  # the last few, to tell late and doubled messages from unknown ones
        self._announced: dict[int, int] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._highest: int | None = None

    @property
    def pending(self) -> int:
        """Parts counted by the PLC that have not ended."""
        return len(self._slots)

    def reconciles(self) -> bool:
        """True while both equations of ``Counts`` hold."""
        c = self.counts
        open_unannounced = sum(not s.announced for s in self._slots.values())
        return (
            c.plc_triggers == c.announced + c.unannounced + open_unannounced
            and c.plc_triggers == c.permitted + sum(c.rejected.values()) + self.pending
        )

    # -- sessions ---------------------------------------------------------------------------------------------------

    @property
    def highest(self) -> int | None:
        """The highest part number that the PLC was seen to count, or None before the first."""
        return self._highest

    def suspend(self) -> None:
        """Something is in doubt: no part keeps a claim, and no station holds the lane."""
        for number in list(self._slots):
            self._end(number, "session_lost", D.OLD_SESSION)
        self.revoke()

    def restart(self, plc: int, gateway: int, epoch: int, last_part: int) -> None:
        """Begin anew under new sessions of PLC or gateway.

        Parts up to ``last_part`` have no permit and can get none.  Those that the same PLC session counted since this
        register last heard of it are booked as lost; what was counted before it first did is nobody's.
        """
        self.suspend()
        if self._highest is not None and plc == self.session.plc:
            self._count_unread(delta(last_part, self._highest), "session_lost")
        self.session = Session(plc, gateway, 0, epoch, self.session.fence)
        self._highest = last_part
        self._ended.clear()

    def fence(self, count: int) -> int:
        """Return the fence of a session granted at ``count``: trigger-to-gate and one pitch ahead."""
        return wrap(count + self._g.gate + self._g.pitch)

    def grant(self, station: int, count: int) -> Session:
        """Give the lane to a station session; parts on the belt stay behind the fence."""
        self.session = replace(self.session, station=station, fence=self.fence(count))
        self._announced.clear()
        self._waiting.clear()
        return self.session

    def revoke(self) -> None:
        """Take the lane from its station: its further messages are of an old session."""
        self.session = replace(self.session, station=0)
        self._announced.clear()
        self._waiting.clear()

    # -- events -----------------------------------------------------------------------------------------------------

    def plc_part(self, number: int, count: int, count_now: int) -> Decision | None:
        """Take a part that the PLC has counted at ``count``; known and older numbers are ignored.

        Returns:
            The answer to a verdict that was waiting for this part, if there was one.
        """
        if self._highest is not None and delta(number, self._highest) <= 0:
            return None
        if self._highest is not None:
            self._count_unread(delta(number, self._highest) - 1, "not_read")
        self._make_room()
        self._highest = number
        self.counts.plc_triggers += 1
        slot = self._slots[number] = _Slot(count)
        announced = self._announced.pop(number, None)
        waiting = self._waiting.pop(number, None)
        if announced is not None and self._agree(announced, count):
            self._mark_announced(slot)
        if waiting is None:
            return None
        return self.verdict(waiting.session, number, waiting.count, waiting.outcome, count_now)

    def announce(self, session: int, number: int, count: int) -> None:
        """Note that the station has opened a part."""
        if session == 0 or session != self.session.station:
            self.counts.dispositions[D.OLD_SESSION.value] += 1
            return
        slot = self._slots.get(number)
        if slot is not None and self._agree(count, slot.count):
            self._mark_announced(slot)
        elif self._is_ahead(number) and len(self._announced) < self._room:
            self._announced[number] = count

    def verdict(self, session: int, number: int, count: int, outcome: Outcome, count_now: int) -> Decision:
        """Take the station's word on a part.

        Args:
            session: the station session under which it was sent.
            number, count: of the part, as the station knows them.
            outcome: only PASS can lead to a permit.
            count_now: the encoder count that the belt has reached at most.

        Returns:
            The answer.  Its disposition is UNKNOWN where it must wait for the PLC's own count, with ``answers`` False.
        """
        if session == 0 or session != self.session.station:
            return self._answer(number, D.OLD_SESSION)
        slot = self._slots.get(number)
        if slot is None:
            return self._without_slot(session, number, count, outcome)
        if not self._agree(count, slot.count):
            return self._answer(number, D.UNKNOWN)
        if slot.verdict is not None:
            return self._answer(number, D.DUPLICATE)
        self._mark_announced(slot)
        slot.verdict = outcome
        if self._past_commit(slot.count, count_now):
            return self._refuse(number, D.LATE)
        if outcome is not Outcome.PASS:
            self._end(number, outcome.value.lower(), D.ACCEPTED)
            return self._answer(number, D.ACCEPTED)
        if self._before_fence(slot.count):
            return self._refuse(number, D.FENCED)
        slot.permitted = True
        return self._answer(number, D.ACCEPTED, Permit(number, slot.count, self.session))

    def advance(self, count_now: int) -> list[Decision]:
        """End every part whose commit point the belt has passed without a permit, and verdicts that nothing claims."""
        self._trail_fence(count_now)
        decisions = []
        for number, slot in list(self._slots.items()):
            if self._past_commit(slot.count, count_now) and not slot.permitted:
                disposition = D.UNANSWERED if slot.announced else D.UNANNOUNCED
                self._end(number, disposition.value.lower(), disposition)
                decisions.append(Decision(number, disposition))
        for number, waiting in list(self._waiting.items()):
            if self._past_commit(waiting.count, count_now):
                del self._waiting[number]
                decisions.append(self._answer(number, D.UNKNOWN))
        for number, count in list(self._announced.items()):
            if self._past_commit(count, count_now):
                del self._announced[number]
                self.counts.dispositions[D.UNKNOWN.value] += 1
        return decisions

    def permit_written(self, number: int) -> None:
        """Note that the PLC armed the permit: the part has ended as permitted."""
        slot = self._slots.get(number)
        if slot is not None and slot.permitted:
            del self._slots[number]
            self.counts.permitted += 1
            self._remember(number, D.ACCEPTED)

    def permit_failed(self, number: int, cause: str = "unwritten") -> Decision | None:
        """Note that a permit could not be written, or was refused for ``cause``: the part has no permit."""
        slot = self._slots.get(number)
        if slot is None or not slot.permitted:
            return None
        self._end(number, f"permit_{cause}", D.UNPERMITTED)
        self.counts.dispositions[D.UNPERMITTED.value] += 1
        return Decision(number, D.UNPERMITTED)

    def has_passed(self, permit: Permit, count_now: int) -> bool:
        """True once the permit's part has met the gate."""
        return delta(count_now, wrap(permit.count + self._g.gate)) > 0

    def executed(self, number: int) -> Decision:
        """Note that the PLC opened the gate for a permitted part."""
        self.counts.executed += 1
        self.counts.dispositions[D.EXECUTED.value] += 1
        return Decision(number, D.EXECUTED)

    # -- details ----------------------------------------------------------------------------------------------------

    def _agree(self, a: int, b: int) -> bool:
        return abs(delta(a, b)) <= self._g.match

    def _before_fence(self, count: int) -> bool:
        return delta(wrap(count + self._g.gate), self.session.fence) < 0

    def _past_commit(self, count: int, count_now: int) -> bool:
        return delta(count_now, wrap(count + self._g.commit)) > 0

    def _trail_fence(self, count_now: int) -> None:
        """Let an old fence follow the belt: at half the counter's range, far ahead and long past look alike."""
        if self.session.station and delta(count_now, self.session.fence) >= _FENCE_AGE:
            self.session = replace(self.session, fence=wrap(count_now - self._g.gate))

    def _is_ahead(self, number: int) -> bool:
        return self._highest is not None and delta(number, self._highest) > 0

    def _count_unread(self, parts: int, cause: str) -> None:
        """Book parts whose counts were never read: no permit can follow for them."""
        if parts > 0:
            self.counts.plc_triggers += parts
            self.counts.unannounced += parts
            self.counts.rejected[cause] += parts

    def _make_room(self) -> None:
        """End the oldest part where more are pending than fit on the belt: an eye that bounces while it stands."""
        if len(self._slots) >= self._most:
            oldest = next(iter(self._slots))
            self._end(oldest, "crowded_out", D.UNPERMITTED)

    def _without_slot(self, session: int, number: int, count: int, outcome: Outcome) -> Decision:
        ended = self._ended.get(number)
        if ended is not None:
            answered = ended in (D.ACCEPTED, D.LATE, D.FENCED, D.UNPERMITTED)
            return self._answer(number, D.DUPLICATE if answered else D.LATE)
        if number in self._waiting:
            return self._answer(number, D.DUPLICATE)
        if not self._is_ahead(number) or len(self._waiting) >= self._room:
            return self._answer(number, D.UNKNOWN)
        self._waiting[number] = _Waiting(session, count, outcome)
        return Decision(number, D.UNKNOWN)

    def _mark_announced(self, slot: _Slot) -> None:
        if not slot.announced:
            slot.announced = True
            self.counts.announced += 1

    def _answer(self, number: int, disposition: Disposition, permit: Permit | None = None) -> Decision:
        self.counts.dispositions[disposition.value] += 1
        return Decision(number, disposition, permit, answers=True)

    def _refuse(self, number: int, disposition: Disposition) -> Decision:
        self._end(number, disposition.value.lower(), disposition)
        return self._answer(number, disposition)

    def _end(self, number: int, cause: str, disposition: Disposition) -> None:
        slot = self._slots.pop(number)
        if not slot.announced:
            self.counts.unannounced += 1
        self.counts.rejected[cause] += 1
        if disposition in (D.UNANSWERED, D.UNANNOUNCED):
            self.counts.dispositions[disposition.value] += 1
        self._remember(number, disposition)

    def _remember(self, number: int, disposition: Disposition) -> None:
        self._ended[number] = disposition
        while len(self._ended) > 4 * self._room:
            del self._ended[next(iter(self._ended))]
