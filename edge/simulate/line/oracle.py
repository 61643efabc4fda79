"""What the images would have shown: truth, findings and service times, from a plate's tag alone.

The tag travels as the pixels of a tiny frame through the real frame pool, so a slot that is overwritten while it is
inspected shows another plate, as it would on a line.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.core.outcome import Outcome
from edge.core.part import Finding, Verdict
from edge.core.pool import FramePool, Lease
from edge.core.rules import Rule
from edge.simulate.line.scheduler import Scheduler
from edge.simulate.line.setup import MS
from edge.station.inspection import TOO_LATE, Inspected

SHAPE = (1, 8)
"""A frame: the plate's 64-bit tag as pixels."""

LOW, HIGH = 0.7, 0.95
"""Scores, between and above those that the two recipes ask for."""

_SLICE = 1 << 20
_NAN = float("nan")


@dataclass(frozen=True)
class Rates:
    """Shares of defective plates, of defects that the network misses, and of good plates in which it sees one."""

    defective: float = 0.1
    escape: float = 0.01
    false_alarm: float = 0.01


class Oracle:
    """Draws truth and findings from the tag's own random bits, so that everyone who asks hears the same."""

    def __init__(self, rates: Rates) -> None:
        self._defective = round(rates.defective * _SLICE)
        self._escape = round(rates.escape * _SLICE)
        self._alarm = round(rates.false_alarm * _SLICE)

    def defective(self, tag: str) -> bool:
        """True if the plate is bad."""
        return int(tag, 16) % _SLICE < self._defective

    def shows(self, tag: str) -> bool:
        """True if the network finds something on the plate, rightly or not."""
        bits = int(tag, 16)
        draw = (bits >> 20) % _SLICE
        return draw >= self._escape if bits % _SLICE < self._defective else draw < self._alarm

    def score(self, tag: str) -> float:
        """Return the score of what the network finds, or 0: in half of the cases too low for the stricter recipe."""
        if not self.shows(tag):
            return 0.0
        return LOW if int(tag, 16) >> 40 & 1 else HIGH

    def findings(self, tag: str) -> tuple[Finding, ...]:
        """Return what the network finds on the plate."""
        score = self.score(tag)
        return (Finding("scratch", score, (10.0, 10.0, 40.0, 30.0)),) if score else ()


_NOT_A_NUMBER = (Finding("scratch", _NAN, (10.0, 10.0, 40.0, 30.0)),)


Decide = Callable[[Sequence[Finding], Sequence[Rule], bool], Verdict]
"""The product's decision: findings, rules, and whether the list of candidates was full."""

Job = tuple[int, Lease, int, Sequence[Rule]]
"""Part number, where its frame lies, when it is too late, and by which rules."""


class Inspection:
    """In the place of the inspect thread: one frame after the other, each for a drawn time.

    Attributes:
        slow_ms: added to each service time.
        trouble: "" or what every inspection meets: ``engine_fault``, ``non_finite``, ``saturated``.
        stuck: the present inspection never returns.
    """

    def __init__(
        self,
        sim: Scheduler,
        oracle: Oracle,
        pool: FramePool,
        rng: random.Random,
        post: Callable[[Inspected], None],
        decide: Decide,
    ) -> None:
        self._sim, self._oracle, self._pool, self._rng, self._post = sim, oracle, pool, rng, post
        self._decide = decide
        self._queue: list[Job] = []
        self._busy_since_ns = 0
        self.slow_ms = 0.0
        self.trouble = ""
        self.stuck = False
        self.alive = True
        self.frozen = False
        self._finished: Job | None = None

    def submit(self, number: int, lease: Lease, deadline_ns: int, rules: tuple[Rule, ...]) -> None:
        """Queue the frame in ``lease``, to be judged by ``rules``."""
        self._queue.append((number, lease, deadline_ns, rules))
        if not self._busy_since_ns:
            self._begin()

    def hung(self, before_ns: int) -> bool:
        """True while an inspection runs that began before ``before_ns``."""
        return 0 < self._busy_since_ns < before_ns

    def freeze(self) -> None:
        """Stop with the process."""
        self.frozen = True

    def thaw(self) -> None:
        """Go on with the process; what would have ended meanwhile ends now."""
        self.frozen = False
        if (job := self._finished) is not None:
            self._finished = None
            self._end(job)

    def _begin(self) -> None:
        job = self._queue.pop(0)
        self._busy_since_ns = self._sim.now
        if self._sim.now >= job[2]:
            self._deliver(job, TOO_LATE)
        elif not self.stuck:
            draw = self._rng.random()
            service_ms = 15.0 + 20.0 * draw * draw + self.slow_ms
            self._sim.after(int(service_ms * MS), self._end, job)

    def _end(self, job: Job) -> None:
        if not self.alive:
            return
        if self.frozen:
            self._finished = job
        else:
            self._deliver(job, self._verdict(job))

    def _deliver(self, job: Job, verdict: Verdict) -> None:
        self._busy_since_ns = 0
        self._post(Inspected(job[0], job[1], verdict))
        if self._queue and not self._busy_since_ns:
            self._begin()

    def _verdict(self, job: Job) -> Verdict:
        if self.trouble == "engine_fault":
            return Verdict(Outcome.NO_DECISION, "engine_fault")
        if self.trouble == "non_finite":
            return self._decide(_NOT_A_NUMBER, job[3], False)
        tag = self._pool.frame(job[1]).tobytes().hex()
        return self._decide(self._oracle.findings(tag), job[3], self.trouble == "saturated")


def pixels(tag: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the frame that shows the plate of this tag."""
    return np.frombuffer(bytes.fromhex(tag), np.uint8)
