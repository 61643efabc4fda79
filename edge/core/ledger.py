"""The part ledger: every trigger opens a part, and every part ends in exactly one outcome.

Pure: no clock, no sockets, no threads.  The signal thread owns it and calls it with the time.  Whatever closes a part
first closes it for good: a verdict, the timeout, its commit point, a lost or ambiguous frame.  What comes later is
counted as late.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator

from edge.core.counter import delta, wrap
from edge.core.outcome import CAUSES, Outcome
from edge.core.part import UNNAMED, FrameInfo, Identity, Part, Trigger, Verdict


class PartLedger:
    """Opens and closes parts.

    Args:
        capacity: most parts open at a time; also the largest jump of the trigger counter taken for lost triggers.
        timeout_ns: from T0 to the close without a verdict.
        frame_timeout_ns: from T0 to the close without a frame.
        part_counts: length of the inspected interval in encoder counts.
        commit_counts: from the part's count to its commit point.
        match_counts: how far two readings of the count of one part may differ.

    Attributes:
        triggers: parts opened so far, those of lost triggers included.
        outcomes, causes: closed parts by outcome and by cause.
        late: results that came for a part already closed.
        unknown_triggers: trigger edges no later than one taken before: they came twice, or out of order.
        jumps: jumps of the trigger counter, back or too far ahead to be lost triggers: it began anew.
    """

    def __init__(
        self,
        capacity: int,
        timeout_ns: int,
        frame_timeout_ns: int,
        part_counts: int,
        commit_counts: int,
        match_counts: int,
    ) -> None:
        self._capacity = capacity
        self._timeout_ns, self._frame_timeout_ns = timeout_ns, frame_timeout_ns
        self._part_counts, self._commit_counts, self._match_counts = part_counts, commit_counts, match_counts
        self._open: dict[int, Part] = {}
        self._highest: int | None = None
        self._newest_t0_ns = -1  # outlives every resynchronisation: it tells an edge that comes twice
        self._booked: deque[tuple[int, int]] = deque(maxlen=capacity)  # number, latest T0: edges that it cannot tell
        self._known: deque[int] = deque(maxlen=capacity)  # counts of the last parts, to recognise a re-pass
        self.triggers = 0
        self.outcomes: Counter[str] = Counter({o.value: 0 for o in Outcome})
        self.causes: Counter[str] = Counter()
        self.late = 0
        self.unknown_triggers = 0
        self.jumps = 0

    def __len__(self) -> int:
        """Number of open parts."""
        return len(self._open)

    def __iter__(self) -> Iterator[Part]:
        return iter(list(self._open.values()))

    def get(self, number: int) -> Part | None:
        """Return the open part of that number, or None."""
        return self._open.get(number)

    def reconciles(self) -> bool:
        """True while triggers = pass + reject + no_decision + open, and the causes add up to the outcomes."""
        closed = sum(self.outcomes.values())
        return self.triggers == closed + len(self._open) and closed == sum(self.causes.values())

    def resynchronise(self) -> None:
        """Forget the highest number: the next trigger's counter is taken as it comes (a new session of the PLC)."""
        self._highest = None
        self._known.clear()

    def open(
        self, trigger: Trigger, recipe: str, now_ns: int, misplaced: bool = False, identity: Identity = UNNAMED
    ) -> list[Part]:
        """Open a part for ``trigger``.  Return the parts that this closes at once, in order of number.

        Numbers that the counter skipped become parts too, closed as ``trigger_lost``.  A trigger whose timeout has
        passed, for which there is no room, or that is ``misplaced`` (behind the belt's high-water count, or without a
        count where the eye should have latched one) closes at once.  So does one whose number lies behind, or far
        ahead, or is open: the counter began anew, and all open parts close before their numbers come again.  One whose
        T0 is no later than another's, or that was booked as lost, is that edge again, and opens nothing.
        """
        if self._is_known(trigger):
            self.unknown_triggers += 1
            return []
        follows = self._highest is None or 0 < delta(trigger.number, self._highest) <= self._capacity
        jumped = not follows or trigger.number in self._open
        if jumped:
            self.jumps += 1
            closed = self.drain("not_synchronised", now_ns)
        else:
            closed = self.lose(wrap(trigger.number - 1), recipe, trigger.t0_ns, now_ns, identity)
        self._highest = trigger.number
        if trigger.t0_ns <= now_ns:
            self._newest_t0_ns = trigger.t0_ns
        else:  # it is on another clock, and must not make those on this one look old
            self._booked.append((trigger.number, trigger.t0_ns))
        cause = self._refusal(trigger, jumped, misplaced, now_ns)
        part = self._part(trigger, recipe, identity)
        self.triggers += 1
        if cause:
            closed.append(self._book(part, Verdict(Outcome.NO_DECISION, cause), now_ns))
        else:
            self._open[trigger.number] = part
        if trigger.count is not None and not misplaced:
            self._known.append(trigger.count)
        return closed

    def lose(self, last: int, recipe: str, t0_ns: int, now_ns: int, identity: Identity = UNNAMED) -> list[Part]:
        """Open and close, as ``trigger_lost``, the parts after the highest number up to ``last``; return them.

        Nobody knows their counts, so no message can name them to the gateway.  Where no number has been seen yet, or
        the distance is no gap but a jump, nothing is known to be lost: ``last`` may lie before the ledger's time.
        """
        if self._highest is None or not 0 < delta(last, self._highest) < self._capacity:
            return []
        closed = []
        while self._highest != last:
            self._highest = wrap(self._highest + 1)
            if self._highest not in self._open:
                self.triggers += 1
                part = self._part(Trigger(self._highest, None, t0_ns), recipe, identity)
                self._booked.append((self._highest, t0_ns))
                closed.append(self._book(part, Verdict(Outcome.NO_DECISION, "trigger_lost"), now_ns))
        return closed

    def locate(self, number: int, count: int, now_ns: int, misplaced: bool = False) -> Part | None:
        """Give an open part the count that came after its trigger.  Return the part where this closes it."""
        part = self._open.get(number)
        if part is None:
            return None
        self._place(part, count)
        if misplaced:
            return self.fail(number, self._misplacement(count), now_ns)
        self._known.append(count)
        return None

    def attach(self, number: int, info: FrameInfo) -> Part | None:
        """Give an open part its frame.  None where the part is closed (counted late) or has one."""
        part = self._open.get(number)
        if part is None:
            self.late += 1
            return None
        if part.frame is not None:
            return None
        part.frame = info
        return part

    def close(self, number: int, verdict: Verdict, now_ns: int, count_at_most: int | None = None) -> Part | None:
        """Close a part with ``verdict``.  None where it is closed already: the result is late and changes nothing.

        A verdict that comes at or after the part's deadline, or when the belt may have come to its commit point, is
        late too, even where the timer has not yet fired: the limit decides, not the order in which a busy thread looks.
        """
        part = self._open.get(number)
        if part is None:
            self.late += 1
            return None
        if verdict.outcome is not Outcome.NO_DECISION:
            cause = "compute_timeout" if now_ns >= part.deadline_ns else self._passed(part, count_at_most)
            if cause:
                self.late += 1
                verdict = Verdict(Outcome.NO_DECISION, cause)
        return self._close(part, verdict, now_ns)

    def fail(self, number: int, cause: str, now_ns: int) -> Part | None:
        """Close a part as NO_DECISION for ``cause``; None where it is closed already."""
        return self.close(number, Verdict(Outcome.NO_DECISION, cause), now_ns) if number in self._open else None

    def expire(self, now_ns: int, count_at_most: int | None = None) -> list[Part]:
        """Close every part whose deadline has come, or whose commit point the belt may have reached.

        Args:
            now_ns: the time.
            count_at_most: the count that the belt has reached at most, or None where nobody knows.
        """
        closed = []
        for part in self:
            waits = part.frame is None
            if now_ns >= (part.frame_deadline_ns if waits else part.deadline_ns):
                cause = "frame_missing" if waits else "compute_timeout"
            else:
                cause = self._passed(part, count_at_most)
            if cause:
                closed.append(self._close(part, Verdict(Outcome.NO_DECISION, cause), now_ns))
        return closed

    def drain(self, cause: str, now_ns: int) -> list[Part]:
        """Close all open parts as NO_DECISION for ``cause``."""
        return [self._close(part, Verdict(Outcome.NO_DECISION, cause), now_ns) for part in self]

    def next_deadline_ns(self, earliest_ns: Callable[[int], int | None] | None = None) -> int | None:
        """Return when ``expire`` next has something to do, or None.

        Args:
            earliest_ns: says when the belt can first reach a count; without it, commit points are left out.
        """
        due: list[int] = []
        for part in self._open.values():
            due.append(part.frame_deadline_ns if part.frame is None else part.deadline_ns)
            if earliest_ns is not None and part.commit_count is not None:
                commit_ns = earliest_ns(part.commit_count)
                if commit_ns is not None:
                    due.append(commit_ns)
        return min(due) if due else None

    def _is_known(self, trigger: Trigger) -> bool:
        """Return whether the edge of ``trigger`` has its part already."""
        is_booked = any(n == trigger.number and trigger.t0_ns <= latest_ns for n, latest_ns in self._booked)
        return trigger.t0_ns <= self._newest_t0_ns or is_booked

    def _refusal(self, trigger: Trigger, jumped: bool, misplaced: bool, now_ns: int) -> str:
        """Return why the part of ``trigger`` must close at once, or "" where it need not."""
        if jumped or trigger.t0_ns > now_ns:  # a T0 in the future is on another clock
            return "not_synchronised"
        if misplaced:
            return self._misplacement(trigger.count)
        if now_ns >= trigger.t0_ns + self._timeout_ns:
            return "trigger_late"
        return "too_many_open" if len(self._open) >= self._capacity else ""

    def _misplacement(self, count: int | None) -> str:
        known = count is not None and any(abs(delta(count, other)) <= self._match_counts for other in self._known)
        return "re_pass" if known else "unknown_position"

    def _passed(self, part: Part, count_at_most: int | None) -> str:
        if part.commit_count is None or count_at_most is None:
            return ""
        return "commit_passed" if delta(count_at_most, part.commit_count) >= 0 else ""

    def _part(self, trigger: Trigger, recipe: str, identity: Identity) -> Part:
        deadline = trigger.t0_ns + self._timeout_ns
        part = Part(
            trigger=trigger,
            recipe=recipe,
            deadline_ns=deadline,
            frame_deadline_ns=min(deadline, trigger.t0_ns + self._frame_timeout_ns),
            identity=identity,
        )
        if trigger.count is not None:
            self._place(part, trigger.count)
        return part

    def _place(self, part: Part, count: int) -> None:
        part.count = count
        part.count_interval = (wrap(count - self._part_counts), count)
        part.commit_count = wrap(count + self._commit_counts)

    def _close(self, part: Part, verdict: Verdict, now_ns: int) -> Part:
        if verdict.cause not in CAUSES or CAUSES[verdict.cause].outcome is not verdict.outcome:
            raise ValueError(f"Cause {verdict.cause!r} does not lead to {verdict.outcome.value}.")
        del self._open[part.number]
        return self._book(part, verdict, now_ns)

    def _book(self, part: Part, verdict: Verdict, now_ns: int) -> Part:
        part.verdict, part.t2_ns = verdict, now_ns
        self.outcomes[verdict.outcome.value] += 1
        self.causes[verdict.cause] += 1
        return part
