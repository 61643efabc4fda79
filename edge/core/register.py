"""The gateway's register: which part may get a permit.  Pure: no clock, no sockets; positions are encoder counts.

The PLC counts parts with its own eye, and the register follows *its* counter: a part that the PLC has counted is
rejected unless, before the commit point, a PASS arrives that names its number, its latched count and the present
session, for a part triggered after the fence.  Everything else ends in a disposition without a permit.
"""

from __future__ import annotations

from dataclasses import replace

from edge.core.armed import Armed
from edge.core.belt import Belt
from edge.core.counter import delta, wrap
from edge.core.outcome import Disposition, Outcome
from edge.core.session import Decision, Geometry, Permit, Session
from edge.core.slots import Counts, Ended, News, Slot, Waiting

D = Disposition

_FENCE_AGE = 1 << 30
_ANY = (1 << 31) - 1

_COUNTED_AT_THE_END = (D.UNANSWERED, D.UNANNOUNCED)
"""Dispositions of parts that no message asks about; the others are counted with their answer."""


class Register:
    """Holds the session and the parts between eye and commit point.

    Args:
        geometry: of the line.
        gateway_session: this gateway's present session, non-zero.
        waiting: most verdicts and announcements held for parts that the PLC has not been seen to count.

    Attributes:
        session: the present one.
        counts: cumulative.
        armed: permits that the PLC holds.
        withheld: no PASS leads to a permit, whatever it says (mode inspect-only, a latched fault).
        bypass: every part that the PLC counts gets a permit, uninspected.
        ambiguous: why identity is in doubt, or "".  Whoever reads it re-synchronises and clears it.
    """

    def __init__(self, geometry: Geometry, gateway_session: int, waiting: int = 32) -> None:
        self._g = geometry
        self._room = waiting
        self._most = 4 * (geometry.commit // max(1, geometry.pitch) + waiting)
        self.session = Session(0, gateway_session, 0, 0, 0)
        self.counts = Counts()
        self.armed = Armed(geometry.gate + 2 * geometry.pitch)
        self.withheld = self.bypass = False
        self.ambiguous = ""
        self._slots: dict[int, Slot] = {}
        self._ended: dict[int, Ended] = {}
        self._news: list[News] = []
        self._announced: dict[int, int] = {}
        self._waiting: dict[int, Waiting] = {}
        self._highest: int | None = None
        self._belt = Belt(geometry)
        self._newest: tuple[int, int] | None = None  # number and count of the last part counted

    @property
    def pending(self) -> int:
        """Parts counted by the PLC that have not ended."""
        return len(self._slots)

    @property
    def highest(self) -> int | None:
        """The highest part number that the PLC was seen to count, or None before the first."""
        return self._highest

    def reconciles(self) -> bool:
        """True while both equations of ``Counts`` hold, and every permit is accounted for."""
        c, a = self.counts, self.armed
        open_unannounced = sum(not s.announced for s in self._slots.values())
        return (
            c.plc_triggers == c.announced + c.unannounced + open_unannounced
            and c.plc_triggers == a.taken + sum(c.rejected.values()) + self.pending
            and a.taken == a.executed + sum(a.voided.values()) + len(a)
        )

    def take_news(self) -> list[News]:
        """Return what became of parts since the last call, in order."""
        news, self._news = self._news, []
        return news

    # -- sessions ---------------------------------------------------------------------------------------------------

    def suspend(self) -> None:
        """Something is in doubt: no part keeps a claim, and no station holds the lane."""
        for number, slot in list(self._slots.items()):
            if slot.permitted:
                self.permit_written(number, "unheard")  # the gate will tell
            else:
                self._end(number, "session_lost", D.OLD_SESSION)
        self.revoke()

    def restart(self, plc: int, gateway: int, epoch: int, last_part: int, most: int = _ANY) -> int:
        """Begin anew under new sessions of PLC or gateway.

        Parts up to ``last_part`` have no permit and can get none.  Those that the same PLC session counted since this
        register last heard of it are booked as lost; what was counted before it first did is nobody's.

        Args:
            plc, gateway, epoch: of the new session.
            last_part: the number that the PLC gave last.
            most: parts that can have come since this register last heard of the PLC.

        Returns:
            How many parts are booked nowhere because they are more than ``most``, else 0.
        """
        self.suspend()
        same_plc = plc == self.session.plc
        unread = delta(last_part, self._highest) if self._highest is not None and same_plc else 0
        if unread <= most:
            self._count_unread(unread, last_part, "session_lost")
        went_back = self._highest is not None and delta(last_part, self._highest) < 0
        if not same_plc or epoch != self.session.epoch or went_back:
            self._void(self.armed.forget("session_lost"), "session_lost")
        self.session = Session(plc, gateway, 0, epoch, self.session.fence)
        self._belt.restart()
        self._highest, self._newest = last_part, None
        self._ended.clear()
        return unread if unread > most else 0

    def stop(self) -> None:
        """Nobody will follow the PLC from here on: every part ends, and of permits no word will come."""
        self.suspend()
        self._void(self.armed.forget("no_word"), "no_word")

    def fence(self, count: int) -> int:
        """Return the count at which every part that is on the belt at ``count`` has met the gate."""
        return self._belt.fence(count)

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

    # -- the belt and its parts -------------------------------------------------------------------------------------

    def moved(self, count: int) -> bool:
        """Take the belt's reading, after the parts that were counted before it.  True where it has just gone back.

        A belt that goes back by more than the backlash carries parts to places where they cannot be followed: those
        that have no permit get none, and whoever holds permits withdraws them.
        """
        went_back = self._belt.moved(count)
        if went_back:
            for number in list(self._slots):
                self._end(number, "reversed", D.VOIDED)
        return went_back

    def plc_part(self, number: int, count: int, count_now: int) -> Decision | None:
        """Take a part that the PLC has counted at ``count``; known and older numbers are ignored.

        An edge behind the furthest that the belt has come is a part that comes again, or nobody's: it has no claim.

        Returns:
            The answer to a verdict that was waiting for this part, or the permit of a bypass, if there is one.
        """
        if self._highest is not None and delta(number, self._highest) <= 0:
            return None
        if self._highest is not None:
            self._count_unread(delta(number, self._highest) - 1, wrap(number - 1), "not_read")
        self._make_room()
        self._highest = number
        self.counts.plc_triggers += 1
        self._tell("counted", number, value=count)
        slot = self._slots[number] = Slot(count)
        announced = self._announced.pop(number, None)
        waiting = self._waiting.pop(number, None)
        if self._belt.is_behind(count):
            cause = "re_pass" if self._is_known(count) else "unknown_position"
            self._end(number, cause, D.UNKNOWN, answered=waiting is not None)
            return self._answer(number, D.UNKNOWN) if waiting is not None else None
        self._keep_distance(number, slot)
        if announced is not None:
            self.announce(self.session.station, number, announced)
        if waiting is not None:
            return self.verdict(waiting.session, number, waiting.count, waiting.outcome, count_now)
        return self._let_through(number, slot, count_now) if self.bypass and number in self._slots else None

    def announce(self, session: int, number: int, count: int) -> None:
        """Note that the station has opened a part."""
        if session == 0 or session != self.session.station:
            self.counts.dispositions[D.OLD_SESSION.value] += 1
            return
        slot = self._slots.get(number)
        if slot is None:
            if self._is_ahead(number) and len(self._announced) < self._room:
                self._announced[number] = count
        elif self._belt.agree(count, slot.count):
            self._mark_announced(slot)
        else:
            self._doubt(number, count, answered=False)

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
        if not self._belt.agree(count, slot.count):
            self._doubt(number, count, answered=True)
            return self._answer(number, D.AMBIGUOUS)
        if slot.permitted:
            return self._answer(number, D.DUPLICATE)
        self._mark_announced(slot)
        if self._belt.past_commit(slot.count, count_now):
            return self._refuse(number, D.LATE)
        if outcome is not Outcome.PASS:
            return self._refuse(number, D.ACCEPTED, outcome.value.lower())
        if self._belt.before_fence(slot.count, self.session.fence):
            return self._refuse(number, D.FENCED)
        if slot.barred:
            return self._refuse(number, D.COLLATERAL)
        if self.withheld:
            return self._refuse(number, D.UNPERMITTED, "withheld")
        slot.permitted = True
        return self._answer(number, D.ACCEPTED, Permit(number, slot.count, self.session))

    def advance(self, count_now: int) -> list[Decision]:
        """End every part whose commit point the belt has passed without a permit, and verdicts that nothing claims."""
        self._trail_fence(count_now)
        decisions = []
        for number, slot in list(self._slots.items()):
            if not self._belt.past_commit(slot.count, count_now):
                break  # the parts lie in order
            if not slot.permitted:
                disposition = D.UNANSWERED if slot.announced else D.UNANNOUNCED
                self._end(number, disposition.value.lower(), disposition)
                decisions.append(Decision(number, disposition))
        for number, waiting in list(self._waiting.items()):
            if self._belt.past_commit(waiting.count, count_now):
                del self._waiting[number]
                decisions.append(self._answer(number, D.UNKNOWN))
        for number, count in list(self._announced.items()):
            if self._belt.past_commit(count, count_now):
                del self._announced[number]
                self.counts.dispositions[D.UNKNOWN.value] += 1
        for number in self.armed.overdue(self._belt.reading):
            self.voided(number, "no_word")
        return decisions

    # -- permits ----------------------------------------------------------------------------------------------------

    def permit_written(self, number: int, detail: str = "") -> None:
        """Note that the PLC armed the permit; ``detail`` as for the news of it."""
        slot = self._slots.get(number)
        if slot is not None and slot.permitted:
            del self._slots[number]
            self.armed.take(number, slot.count)
            self._remember(number, Ended(D.ACCEPTED, slot.count, answered=True))
            self._tell("armed", number, detail)
            if not slot.announced:
                self.counts.unannounced += 1

    def permit_failed(self, number: int, cause: str = "unwritten") -> None:
        """Note that a permit could not be written, or was refused for ``cause``: the part has no permit."""
        slot = self._slots.get(number)
        if slot is not None and slot.permitted:
            self._end(number, f"permit_{cause}", D.UNPERMITTED)
            self.counts.dispositions[D.UNPERMITTED.value] += 1

    def has_passed(self, permit: Permit, count_now: int) -> bool:
        """True once the permit's part has met the gate."""
        return self._belt.past_gate(permit.count, count_now)

    def executed(self, number: int) -> bool:
        """Note that the PLC opened the gate for a permitted part.  False where that is known, or it had no permit."""
        self.permit_written(number)  # executed before its echo was read
        done = self.armed.execute(number)
        if done:
            self.counts.dispositions[D.EXECUTED.value] += 1
            self._tell("executed", number)
        return done

    def voided(self, number: int, cause: str) -> None:
        """Note that the PLC withdrew a permit that it had armed."""
        self.permit_written(number)
        if self.armed.void(number, cause):
            self._void([number], cause)

    # -- details ----------------------------------------------------------------------------------------------------

    def _is_known(self, count: int) -> bool:
        return any(self._belt.agree(count, known.count) for known in self._ended.values())

    def _is_ahead(self, number: int) -> bool:
        return self._highest is not None and delta(number, self._highest) > 0

    def _trail_fence(self, count_now: int) -> None:
        """Let an old fence follow the belt: at half the counter's range, far ahead and long past look alike."""
        if self.session.station and delta(count_now, self.session.fence) >= _FENCE_AGE:
            self.session = replace(self.session, fence=wrap(count_now - self._g.gate))

    def _keep_distance(self, number: int, slot: Slot) -> None:
        """Bar a part and its forerunner that the gate cannot tell apart."""
        before, self._newest = self._newest, (number, slot.count)
        if before is not None and abs(delta(slot.count, before[1])) < self._g.spacing:
            self.counts.crowded += 1
            slot.barred = True
            if (neighbour := self._slots.get(before[0])) is not None:
                neighbour.barred = True

    def _let_through(self, number: int, slot: Slot, count_now: int) -> Decision | None:
        belt = self._belt
        fenced = belt.before_fence(slot.count, self.session.fence)
        if fenced or slot.barred or self.session.station == 0 or belt.past_commit(slot.count, count_now):
            return None
        slot.permitted = True
        return Decision(number, D.ACCEPTED, Permit(number, slot.count, self.session))

    def _doubt(self, number: int, count: int, answered: bool) -> None:
        """Number and count name different parts: none of them may pass, and identity must be found anew."""
        self.ambiguous = f"the station places part {number} at count {count}, and the PLC does not"
        for candidate, slot in list(self._slots.items()):
            if candidate == number or self._belt.agree(count, slot.count):
                self._end(candidate, "ambiguous", D.AMBIGUOUS, answered and candidate == number)

    def _count_unread(self, parts: int, last: int, cause: str) -> None:
        """Book parts up to ``last`` whose counts were never read: no permit can follow for them."""
        if parts > 0:
            self.counts.plc_triggers += parts
            self.counts.unannounced += parts
            self.counts.rejected[cause] += parts
            self._tell("unread", last, cause, parts)

    def _make_room(self) -> None:
        """End the oldest part where more are pending than fit on the belt: an eye that bounces while it stands."""
        if len(self._slots) >= self._most:
            self._end(next(iter(self._slots)), "crowded_out", D.UNPERMITTED)

    def _without_slot(self, session: int, number: int, count: int, outcome: Outcome) -> Decision:
        ended = self._ended.get(number)
        if ended is not None:
            if ended.answered:
                return self._answer(number, D.DUPLICATE)
            ended.answered = True
            return self._answer(number, D.LATE if ended.disposition in _COUNTED_AT_THE_END else ended.disposition)
        if number in self._waiting:
            return self._answer(number, D.DUPLICATE)
        if not self._is_ahead(number) or self._belt.is_far(count) or len(self._waiting) >= self._room:
            return self._answer(number, D.UNKNOWN)
        self._waiting[number] = Waiting(session, count, outcome)
        return Decision(number, D.UNKNOWN)

    def _mark_announced(self, slot: Slot) -> None:
        if not slot.announced:
            slot.announced = True
            self.counts.announced += 1

    def _answer(self, number: int, disposition: Disposition, permit: Permit | None = None) -> Decision:
        self.counts.dispositions[disposition.value] += 1
        return Decision(number, disposition, permit, answers=True)

    def _refuse(self, number: int, disposition: Disposition, cause: str = "") -> Decision:
        self._end(number, cause or disposition.value.lower(), disposition, answered=True)
        return self._answer(number, disposition)

    def _void(self, numbers: list[int], cause: str) -> None:
        self.counts.dispositions[D.VOIDED.value] += len(numbers)
        for number in numbers:
            self._tell("voided", number, cause)

    def _end(self, number: int, cause: str, disposition: Disposition, answered: bool = False) -> None:
        slot = self._slots.pop(number)
        if not slot.announced:
            self.counts.unannounced += 1
        self.counts.rejected[cause] += 1
        if disposition in _COUNTED_AT_THE_END:
            self.counts.dispositions[disposition.value] += 1
        # A verdict that led to a permit was answered with it.
        self._remember(number, Ended(disposition, slot.count, answered or slot.permitted))
        self._tell("ended", number, cause)

    def _tell(self, fact: str, number: int, detail: str = "", value: int = 0) -> None:
        self._news.append(News(fact, number, self.session, detail, value))

    def _remember(self, number: int, ended: Ended) -> None:
        self._ended[number] = ended
        while len(self._ended) > 4 * self._room:
            del self._ended[next(iter(self._ended))]
