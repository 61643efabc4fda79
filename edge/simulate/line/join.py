"""The three records of one part, joined by its number: the eye's, the station's and the gateway's, and the gate's.

A record is judged when the line has long gone on.  What processes and sessions that ended took with them is excused
for the parts that were under way then, and for no others.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable

from edge.simulate.line.setup import MS

KEPT = 512
"""Records: far more than parts on the belt, also with a bouncing eye."""

PATIENCE_NS = 250 * MS
"""From the eye's edge to an outcome at the latest: the eye's hello, the compute timeout and a turn of the loop."""

HOLD_NS = 100 * MS
"""A belt that is held is noted that often."""

SETTLED_NS = 1_000 * MS
"""So long after the last word about a part a session that ends may still have cost the next word."""

_SAYS = {"permitted": "PASS", "reject": "REJECT", "no_decision": "NO_DECISION"}
"""What the station must have come to where the gateway says so of a part."""

_ANSWERS = {
    "permitted": {"ACCEPTED"},
    "reject": {"ACCEPTED"},
    "no_decision": {"ACCEPTED"},
    "late": {"LATE"},
    "unanswered": {"LATE"},
    "unannounced": {"LATE", "UNKNOWN"},  # where a slow PLC's count of the part was read too late
    "fenced": {"FENCED"},
    "collateral": {"COLLATERAL"},
    "withheld": {"UNPERMITTED"},
    "ambiguous": {"AMBIGUOUS", "ACCEPTED"},  # where its permit was under way
    "reversed": {"VOIDED", "ACCEPTED"},
    "re_pass": {"UNKNOWN"},
    "unknown_position": {"UNKNOWN"},
}
"""What the station must have been answered, by how the gateway ended the part."""


_MADE_UP = {"UNKNOWN", "DUPLICATE", "OLD_SESSION"}
"""What a verdict that a fault made up may be answered, beside the part's own."""


class Record:
    """What is known of one number."""

    __slots__ = (
        "answers", "booked", "edge_ns", "how", "injected", "last_ns", "life", "met", "outcome", "removed", "sent",
    )  # fmt: skip

    def __init__(self) -> None:
        self.edge_ns = self.last_ns = -1
        self.life = 0  # of the station that owes an outcome; negative: that came to one
        self.outcome = self.how = ""
        self.answers: set[str] = set()
        self.sent = self.injected = self.met = self.booked = self.removed = False


class Join:
    """Follows every number from the eye to the gate.

    Args:
        clock: virtual time.
        problems: counts what does not fit, in words.
    """

    def __init__(self, clock: Callable[[], int], problems: Counter[str]) -> None:
        self._clock, self._problems = clock, problems
        self._records: OrderedDict[int, Record] = OrderedDict()
        self._breaks: deque[int] = deque(maxlen=4 * KEPT)
        self._holds: deque[int] = deque(maxlen=KEPT)
        self._life = 0
        self._lives = False

    def __len__(self) -> int:
        """Number of records."""
        return len(self._records)

    # -- lives ------------------------------------------------------------------------------------------------------

    def broken(self) -> None:
        """A process, or a session between two of them, begins or ends, or the cable between them is cut."""
        self._breaks.append(self._clock())

    def belt_held(self) -> None:
        """The belt stands or runs backwards, or the PLC has lost its encoder.

        A plate for which the gate has opened may not have come through it, and one whose permit the PLC withdrew at
        the gate may have.
        """
        now = self._clock()
        if not self._holds or now - self._holds[-1] > HOLD_NS:
            self._holds.append(now)

    def station_started(self) -> None:
        """A station lives: it owes an outcome for each edge from now on."""
        self._life += 1
        self._lives = True
        self.broken()

    def station_ended(self, down_ns: int) -> None:
        """The station is gone, and its loop stood since ``down_ns``: edges shortly before may be lost with it."""
        self._lives = False
        self.broken()
        for record in self._records.values():
            if record.life == self._life:
                if record.edge_ns < down_ns - PATIENCE_NS:
                    self._problems["an edge of the eye has no outcome"] += 1
                record.life = 0

    # -- the part ---------------------------------------------------------------------------------------------------

    def edge(self, number: int) -> None:
        """The eye counted a part."""
        namesake = self._records.pop(number, None)
        record = self._records[number] = Record()
        if namesake is not None:
            self._judge(namesake)
            # The answer may be still to come.
            record.injected = namesake.injected and namesake.edge_ns < 0 and not namesake.answers
        record.edge_ns = record.last_ns = self._clock()
        if self._lives:
            record.life = self._life
        while len(self._records) > KEPT:
            self._judge(self._records.popitem(last=False)[1])

    def triggered(self, number: int) -> None:
        """The living station took a trigger: it owes an outcome, unless it came to one."""
        record = self._of(number)
        if abs(record.life) != self._life:
            record.life = self._life

    def concluded(self, number: int, outcome: str) -> None:
        """The living station came to an outcome: its only one for this edge."""
        record = self._of(number)
        if record.life == -self._life:
            self._problems["a part has a second outcome"] += 1
        record.life, record.outcome = -self._life, outcome

    def sent(self, number: int) -> None:
        """The station sent its verdict."""
        self._of(number).sent = True

    def injected(self, number: int) -> None:
        """A fault made up a verdict, which is answered like the part's own: that answer is no one's fault."""
        self._records.setdefault(number, Record()).injected = True

    def answered(self, number: int, disposition: str) -> None:
        """The gateway's answer reached the station."""
        self._of(number).answers.add(disposition)

    def ended(self, number: int, how: str) -> None:
        """The gateway ended a part: once, one that the eye counted, and as the station said if it says so."""
        record = self._of(number)
        if record.edge_ns < 0 or record.how:
            self._problems["the gateway ended a part twice, or one that the eye never counted"] += 1
        if how in _SAYS and record.outcome != _SAYS[how]:
            self._problems[f"the gateway took a part for {how}, and the station did not"] += 1
        record.how = how

    def booked(self, number: int) -> None:
        """The gateway booked a part as executed."""
        record = self._of(number)
        if record.booked:
            self._problems["the gateway booked a part as executed twice"] += 1
        record.booked = True

    def met(self, number: int) -> None:
        """A plate met an open gate, with a permit of its own under this number."""
        self._of(number).met = True

    def removed(self, number: int) -> None:
        """A hand took the plate off the belt."""
        self._of(number).removed = True

    # -- judgement --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Judge what is left."""
        while self._records:
            self._judge(self._records.popitem(last=False)[1])

    def _of(self, number: int) -> Record:
        record = self._records.get(number)
        if record is None:
            record = self._records[number] = Record()
        record.last_ns = self._clock()
        return record

    def _judge(self, record: Record) -> None:
        if record.edge_ns < 0:
            return  # a number of a fault's invention
        problems = self._problems
        if record.life > 0:
            problems["an edge of the eye has no outcome"] += 1
        how, answers = record.how, record.answers
        allowed = _ANSWERS.get(how)
        if record.injected:
            answers = answers - _MADE_UP
        if allowed is not None and answers and not answers & allowed:
            problems[f"the gateway ended a part as {how}, and answered {'/'.join(sorted(answers))}"] += 1
        unsaid = how == "unanswered" and bool(record.outcome) and not record.sent
        unheard = how in _SAYS and not answers
        doubtful = _within(record, self._holds)
        unbooked = record.met and not record.booked and not doubtful
        unmet = record.booked and not record.met and not record.removed and not doubtful
        if not (unsaid or unheard or unbooked or unmet) or _within(record, self._breaks):
            return
        if unsaid:
            problems["the station announced a part, came to an outcome, and never said so"] += 1
        if unheard:
            problems["the gateway took the station's word on a part, and the station heard nothing of it"] += 1
        if unbooked:
            problems["a plate met an open gate with its own permit, and the gateway did not book it as executed"] += 1
        if unmet:
            problems["the gateway booked a part as executed that met no open gate with its own permit"] += 1


def _within(record: Record, times: Iterable[int]) -> bool:
    return any(record.edge_ns <= ns <= record.last_ns + SETTLED_NS for ns in times)
