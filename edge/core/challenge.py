"""A challenge: known pieces go over the line in a known order, and each must meet its end, at the gate too.  Pure.

The procedure only looks on.  It has no way to a verdict, a permit or a rule; all that it asks for is that production
is held.  Its phases::

    CLEARING    the infeed is held, until no part has come for `clear_ns` and none is open
    PLACING     the next N parts are the N pieces, in order
    CONFIRMING  until the gate has said of each piece what it did, and no further part came
    RETURNING   until somebody has said that all pieces are back, however long: a good one lies among the good parts
    ENDED
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from edge.core.challenge_judge import Fault, Piece, Seen, judge
from edge.core.outcome import Outcome


class Phase(str, Enum):
    """How far a challenge is."""

    CLEARING = "clearing"
    PLACING = "placing"
    CONFIRMING = "confirming"
    RETURNING = "returning"
    ENDED = "ended"


class Result(str, Enum):
    """How a challenge ends, or why there was none."""

    PASSED = "passed"
    FAILED = "failed"
    ESCAPED = "escaped"  # failed, and a piece that must be rejected went, or may have gone, to the good side
    ABORTED = "aborted"  # given up before anything was wrong
    SKIPPED = "skipped"  # it was due, and was not made in time
    INTERRUPTED = "interrupted"  # the station ended in its midst


@dataclass(frozen=True)
class Limits:
    """Times in ns, see ``edge.config.challenge``.

    Attributes:
        clear_ns, piece_ns, confirm_ns, return_ns: of the phases.
        sensor: the sensor behind the gate must agree as well.
        through_infeed: the infeed is open while pieces are placed.
    """

    clear_ns: int
    piece_ns: int
    confirm_ns: int
    return_ns: int
    sensor: bool = False
    through_infeed: bool = False


@dataclass
class Challenge:
    """One challenge, from its start to its result.  Told what happens, with the time; asks nobody.

    Args:
        pieces: in the order in which they are placed.
        limits: of the phases.
        started_ns: now.

    Attributes:
        phase: how far it is.
        seen: what became of the pieces, in their order.
        faults: found so far, in the order in which they were; the list only grows.
        is_recorded: its beginning is on the disk.  No piece is asked for before that, so that a station which starts
            again knows whether pieces may be about.
        session: with the gateway, under which all pieces must pass; 0 before the first may come.
    """

    pieces: Sequence[Piece]
    limits: Limits
    started_ns: int
    phase: Phase = Phase.CLEARING
    seen: list[Seen] = field(init=False)
    faults: list[Fault] = field(default_factory=list)
    aborted: bool = False
    is_recorded: bool = False

    def __post_init__(self) -> None:
        self.seen = [Seen() for _ in self.pieces]
        self._by_number: dict[int, int] = {}
        self._since_ns = self.started_ns  # of the phase, or of the last piece
        self._edge_ns = self.started_ns  # of the last part, piece or not
        self.session = 0

    @property
    def placed(self) -> int:
        """Pieces that have met the eye."""
        return len(self._by_number)

    @property
    def admits(self) -> bool:
        """True while parts may be let in: the pieces themselves."""
        return self.phase is Phase.PLACING and self.limits.through_infeed

    @property
    def result(self) -> Result | None:
        """How it ended, or None before its end."""
        if self.phase is not Phase.ENDED:
            return None
        if any(fault.escape for fault in self.faults):
            return Result.ESCAPED
        if self.faults:
            return Result.FAILED
        return Result.ABORTED if self.aborted else Result.PASSED

    def piece_of(self, number: int) -> Piece | None:
        """Return the piece that part ``number`` is, or None."""
        index = self._by_number.get(number)
        return None if index is None else self.pieces[index]

    # -- what happens -----------------------------------------------------------------------------------------------

    def opened(self, number: int, now: int) -> None:
        """Take a part that a trigger opened, in the order of the parts; one that was lost before its edge counts."""
        if number in self._by_number or self.phase is Phase.ENDED:
            return
        self._edge_ns = now
        if self.phase is Phase.PLACING:
            self.seen[self.placed].number = number
            self._by_number[number] = self.placed
            self._since_ns = now
            if self.placed == len(self.pieces):
                self.phase = Phase.CONFIRMING
        elif self.phase is not Phase.CLEARING:
            self._fault("extra_part")

    def closed(self, number: int, outcome: Outcome, cause: str, rule: str, fired: frozenset[str], now: int) -> None:
        """Take what a part came to at the station.

        Args:
            number: of the part.
            outcome, cause, rule: the station's.
            fired: classes for which a rule fired, see ``fired_classes``.
            now: the time.
        """
        self.opened(number, now)
        if (seen := self._seen(number)) is not None:
            seen.outcome, seen.cause, seen.rule, seen.fired = outcome, cause, rule, fired
            self._look()

    def answered(self, number: int, disposition: str) -> None:
        """Take the gateway's answer to a verdict."""
        if (seen := self._seen(number)) is not None:
            seen.disposition = disposition
            self._look()

    def executed(self, number: int) -> None:
        """Take that the PLC opened the gate for a part."""
        if (seen := self._seen(number)) is not None:
            seen.executed = True
            self._look()

    def gated(self, number: int, good: bool) -> None:
        """Take where the gate stood for a part; its first word counts, another is of another part of this number."""
        if (seen := self._seen(number)) is not None and seen.gate_good is None:
            seen.gate_good = good
            self._look()

    def confirmed(self, number: int, agrees: bool) -> None:
        """Take what the sensor behind the gate says; its first word counts."""
        if (seen := self._seen(number)) is not None and seen.confirmed is None:
            seen.confirmed = agrees
            self._look()

    def changed(self) -> None:
        """Take that another model or recipe came into force."""
        if self.phase in (Phase.PLACING, Phase.CONFIRMING):
            self._fault("changed")

    def unrecorded(self, now: int) -> None:
        """Take that its record cannot be written: it proves nothing any more, and where none was placed it ends."""
        self._fault("unrecorded")
        if self.phase is Phase.CLEARING:
            self._end(now)

    def returned(self, missing: Sequence[str], now: int) -> bool:
        """Take that all pieces are back, but for ``missing``.  False, and nothing changes, while that is not asked."""
        if self.phase is not Phase.RETURNING:
            return False
        for name in missing:
            self._fault("missing", name)
        self._end(now)
        return True

    def abort(self, now: int) -> bool:
        """Give it up.  What was wrong stays wrong, and pieces on the belt must be brought back.  False: too late."""
        if self.phase in (Phase.RETURNING, Phase.ENDED):
            return False
        self.aborted = True
        self._retrieve(now)
        return True

    def tick(self, now: int, session: int, open_parts: int) -> None:
        """Take the time, the session with the gateway (0 for none) and how many parts are open."""
        if self.phase is Phase.CLEARING:
            self._clear(now, session, open_parts)
        elif self.phase in (Phase.PLACING, Phase.CONFIRMING):
            if session != self.session:
                self._fault("session_lost")
            self._follow(now)
        elif self.phase is Phase.RETURNING and now - self._since_ns >= self.limits.return_ns:
            self._fault("not_returned")  # and the line stays held: nobody knows where they are

    # -- details ----------------------------------------------------------------------------------------------------

    def _seen(self, number: int) -> Seen | None:
        index = self._by_number.get(number)
        return None if index is None or self.phase is Phase.ENDED else self.seen[index]

    def _clear(self, now: int, session: int, open_parts: int) -> None:
        if open_parts:
            self._edge_ns = now
        is_clear = bool(session) and now - self._edge_ns >= self.limits.clear_ns
        if is_clear and self.is_recorded:
            self.phase, self._since_ns, self.session = Phase.PLACING, now, session
        elif now - self.started_ns >= self.limits.clear_ns + self.limits.piece_ns:
            self._fault("unrecorded" if is_clear else "not_cleared")
            self._end(now)

    def _follow(self, now: int) -> None:
        if self.phase is Phase.PLACING:
            if now - self._since_ns >= self.limits.piece_ns:
                self.phase = Phase.CONFIRMING  # of what was placed; the rest is missing
            return
        quiet_ns = now - self._edge_ns
        told = all(not judge(p, s, self.limits.sensor, final=True) for p, s in zip(self.pieces, self.seen, strict=True))
        patient_ns = self.limits.clear_ns if told else max(self.limits.clear_ns, self.limits.confirm_ns)
        if quiet_ns >= patient_ns:
            self._look(final=True)
            self._retrieve(now)

    def _retrieve(self, now: int) -> None:
        """Ask for the pieces, unless none was asked for yet: one that no eye has seen may lie on the belt as well."""
        if self.phase is Phase.CLEARING:
            self._end(now)
        else:
            self.phase, self._since_ns = Phase.RETURNING, now

    def _end(self, now: int) -> None:
        self.phase, self._since_ns = Phase.ENDED, now

    def _look(self, final: bool = False) -> None:
        for piece, seen in zip(self.pieces, self.seen, strict=True):
            for name in judge(piece, seen, self.limits.sensor, final):
                self._fault(name, piece.name)

    def _fault(self, name: str, piece: str = "") -> None:
        if (fault := Fault(name, piece)) not in self.faults:
            self.faults.append(fault)
