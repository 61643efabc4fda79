"""The part ledger: every trigger opens a part, and every part ends in exactly one outcome.

Pure: no clock, no sockets, no threads.  The signal thread owns it and calls it with the time.  Whatever closes a part
first closes it for good: a verdict, the timeout, a lost or ambiguous frame.  What comes later is counted as late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from edge.core.counter import delta, wrap
from edge.core.outcome import CAUSES, Outcome
from edge.core.part import FrameInfo, Part, Trigger, Verdict


class PartLedger:
    """Opens and closes parts.

    Args:
        capacity: most parts open at a time; also the largest jump of the trigger counter taken for lost triggers.
        timeout_ns: from T0 to the close without a verdict.
        frame_timeout_ns: from T0 to the close without a frame.
        part_counts: length of the inspected interval in encoder counts.

    Attributes:
        triggers: parts opened so far, those of lost triggers included.
        outcomes, causes: closed parts by outcome and by cause.
        late: results that came for a part already closed.
        unknown_triggers: trigger edges at or below the highest number seen: re-passes, or a foreign counter.
        jumps: jumps of the trigger counter too large to be lost triggers.
    """

    def __init__(self, capacity: int, timeout_ns: int, frame_timeout_ns: int, part_counts: int) -> None:
        self._capacity = capacity
        self._timeout_ns = timeout_ns
        self._frame_timeout_ns = frame_timeout_ns
        self._part_counts = part_counts
        self._open: dict[int, Part] = {}
        self._highest: int | None = None
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

    def open(self, trigger: Trigger, recipe: str, now_ns: int) -> list[Part]:
        """Open a part for ``trigger``.  Return the parts that this closes at once, in order of number.

        Numbers that the counter skipped become parts too, closed as ``trigger_lost``.  A trigger whose timeout has
        passed, or for which there is no room, closes at once.  One at or below the highest number opens nothing.
        """
        closed: list[Part] = []
        jumped = False
        if trigger.number in self._open:
            self.unknown_triggers += 1
            return closed
        if self._highest is not None:
            step = delta(trigger.number, self._highest)
            if step <= 0:
                self.unknown_triggers += 1
                return closed
            jumped = step > self._capacity
            self.jumps += jumped
            for lost in (self._lost(trigger, n) for n in range(1, 1 if jumped else step)):
                if lost.number not in self._open:
                    closed.append(self._close_new(lost, recipe, "trigger_lost", now_ns))
        self._highest = trigger.number
        if jumped or trigger.t0_ns > now_ns:  # a T0 in the future is on another clock
            closed.append(self._close_new(trigger, recipe, "not_synchronised", now_ns))
        elif now_ns >= trigger.t0_ns + self._timeout_ns:
            closed.append(self._close_new(trigger, recipe, "trigger_late", now_ns))
        elif len(self._open) >= self._capacity:
            closed.append(self._close_new(trigger, recipe, "too_many_open", now_ns))
        else:
            self._open[trigger.number] = self._part(trigger, recipe)
            self.triggers += 1
        return closed

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

    def close(self, number: int, verdict: Verdict, now_ns: int) -> Part | None:
        """Close a part with ``verdict``.  None where it is closed already: the result is late and changes nothing.

        A verdict that comes at or after the part's deadline is late too, even where the timer has not yet fired: the
        deadline decides, not the order in which a busy thread looks.
        """
        part = self._open.get(number)
        if part is None:
            self.late += 1
            return None
        if now_ns >= part.deadline_ns and verdict.outcome is not Outcome.NO_DECISION:
            self.late += 1
            verdict = Verdict(Outcome.NO_DECISION, "compute_timeout")
        return self._close(part, verdict, now_ns)

    def fail(self, number: int, cause: str, now_ns: int) -> Part | None:
        """Close a part as NO_DECISION for ``cause``; None where it is closed already."""
        return self.close(number, Verdict(Outcome.NO_DECISION, cause), now_ns) if number in self._open else None

    def expire(self, now_ns: int) -> list[Part]:
        """Close every part whose deadline has come."""
        closed = []
        for part in self:
            if now_ns >= part.deadline_ns:
                cause = "frame_missing" if part.frame is None else "compute_timeout"
            elif part.frame is None and now_ns >= part.frame_deadline_ns:
                cause = "frame_missing"
            else:
                continue
            closed.append(self._close(part, Verdict(Outcome.NO_DECISION, cause), now_ns))
        return closed

    def drain(self, cause: str, now_ns: int) -> list[Part]:
        """Close all open parts as NO_DECISION for ``cause``."""
        return [self._close(part, Verdict(Outcome.NO_DECISION, cause), now_ns) for part in self]

    def next_deadline_ns(self) -> int | None:
        """Return when ``expire`` next has something to do, or None."""
        return min((p.deadline_ns if p.frame else p.frame_deadline_ns for p in self._open.values()), default=None)

    def _part(self, trigger: Trigger, recipe: str) -> Part:
        deadline = trigger.t0_ns + self._timeout_ns
        return Part(
            trigger=trigger,
            recipe=recipe,
            count_interval=(wrap(trigger.count - self._part_counts), trigger.count),
            deadline_ns=deadline,
            frame_deadline_ns=min(deadline, trigger.t0_ns + self._frame_timeout_ns),
        )

    def _lost(self, later: Trigger, step: int) -> Trigger:
        # Its own count was never latched here; the later trigger's stands in, and no permit can follow from it.
        assert self._highest is not None
        return Trigger(wrap(self._highest + step), later.count, later.t0_ns, later.lane, later.gate)

    def _close_new(self, trigger: Trigger, recipe: str, cause: str, now_ns: int) -> Part:
        self.triggers += 1
        return self._book(self._part(trigger, recipe), Verdict(Outcome.NO_DECISION, cause), now_ns)

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
