"""Has a rate left its baseline?  Sequential tests, a part at a time, with a bound on their false alarms.  Pure.

The baseline is learnt from the line itself.  A rate counts as known only within the limits that its sample leaves, and
the tests start from those limits, so that a short baseline costs sensitivity and no false alarms.

- **CUSUM** of log-likelihood ratios (Page 1954, Biometrika 41, 100-115), for single yes-or-no parts (Reynolds and
  Stoumbos 1999, J. Quality Technology 31, 87-108).  Its mean time to a false alarm is at least ``exp(threshold)`` parts
  (Lorden 1971, Ann. Math. Statist. 42, 1897-1908): by Wald's inequality, ratios that are summed from 0 on ever reach
  the threshold with a probability of ``exp(-threshold)`` at most.  That needs E[exp(ratio)] <= 1, which holds for every
  true rate on the harmless side of ``rate``, not only for ``rate`` itself.
- **Limits** of a rate by Chernoff's bound (Chernoff 1952, Ann. Math. Statist. 23, 493-507; in this form Hoeffding
  1963, J. Amer. Statist. Assoc. 58, 13-30): P(hits/parts >= x) <= exp(-parts * KL(x, rate)), for any number of parts.
- **Scores** are compared with the baseline's median alone, as in a sign test, so that nothing is assumed of how they
  are distributed (Amin, Reynolds and Bakir 1995, Commun. Statist. Theory Methods 24, 1597-1623).  The limits of the
  share above a median that comes from the same sample are Massart's (1990, Annals of Probability 18, 1269-1283; the
  inequality of Dvoretzky, Kiefer and Wolfowitz): P(sup(F_n - F) > e) <= exp(-2 n e^2), however many scores are equal.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log, sqrt

MISS = 1e-3
"""How often a baseline's limits may miss the true rate, on either side."""

RECENT = 500
"""Parts over which the present rate is averaged, exponentially, for people to read; it decides nothing."""

LEAST_FACTOR = 1.2
"""Of the odds of the baseline's limit: to test for less would take more parts than a line makes."""

ONE_SIDED_TESTS = 4
"""Share of rejects and scores, each upwards and downwards."""

_STEPS = 60
"""Of a bisection: beyond what a float can tell apart."""


def divergence(x: float, rate: float) -> float:
    """Return the Kullback-Leibler divergence of yes-or-no trials of rate ``x`` from those of ``rate``, in nats."""
    hit = x * log(x / rate) if x > 0 else 0.0
    miss = (1 - x) * log((1 - x) / (1 - rate)) if x < 1 else 0.0
    return hit + miss


def limits(hits: int, parts: int, miss: float = MISS) -> tuple[float, float]:
    """Return the lowest and highest rate that ``hits`` of ``parts`` leave open, each wrong with at most ``miss``."""
    seen, room = hits / parts, log(1 / miss) / parts

    def furthest(end: float) -> float:
        inside, outside = seen, end
        for _ in range(_STEPS):
            middle = (inside + outside) / 2
            if middle in (0.0, 1.0) or divergence(seen, middle) > room:
                outside = middle
            else:
                inside = middle
        return outside

    return (0.0 if hits == 0 else furthest(0.0)), (1.0 if hits == parts else furthest(1.0))


def with_odds(rate: float, factor: float) -> float:
    """Return the rate whose odds are ``factor`` times those of ``rate``."""
    return factor * rate / (1 - rate + factor * rate)


def threshold(parts_per_year: float, false_alarms_per_year: float, tests: int = ONE_SIDED_TESTS) -> float:
    """Return the CUSUM's threshold, in nats, at which ``tests`` together raise at most so many false alarms a year."""
    return log(max(2.0, parts_per_year * tests / false_alarms_per_year))


class Cusum:
    """One-sided test of single parts against ``rate``, quickest where it has become ``changed``.

    Args:
        rate: of hits while all is well, above 0 and below 1.
        changed: likewise; above ``rate`` it looks for a higher rate, else for a lower one.
        threshold: in nats.

    Attributes:
        value: the statistic, 0..threshold.
        alarmed: it has reached the threshold, and has not come back to 0 since.
    """

    def __init__(self, rate: float, changed: float, threshold: float) -> None:
        self._hit, self._miss = log(changed / rate), log((1 - changed) / (1 - rate))
        self._threshold = threshold
        self.resume(0.0, False)

    def resume(self, value: float, alarmed: bool) -> None:
        """Go on from where another like this one was."""
        self.value, self.alarmed = min(max(value, 0.0), self._threshold), alarmed

    def add(self, hit: bool) -> None:
        """Take a part."""
        value = self.value + (self._hit if hit else self._miss)
        # Capped, so that what has ended is forgotten in the time in which it was found.
        self.value = min(max(value, 0.0), self._threshold)
        self.alarmed = self.value >= self._threshold or (self.alarmed and self.value > 0.0)


class RateDrift:
    """Tests a rate against its baseline, upwards and downwards.

    Args:
        baseline: the rate that was learnt.
        bounds: the lowest and the highest rate that the baseline leaves open.
        factor: of the baseline's odds, above 1: the change that is found most quickly.  Where the baseline itself
            leaves that open, of the odds of its limit.
        threshold: in nats.

    Attributes:
        baseline: as given.
        recent: the present rate, averaged over about ``RECENT`` parts.
    """

    def __init__(self, baseline: float, bounds: tuple[float, float], factor: float, threshold: float) -> None:
        self.baseline = self.recent = baseline
        lowest, highest = bounds
        # Where every part may be a hit, or none, nothing can be found on that side.
        self._up: Cusum | None = None
        self._down: Cusum | None = None
        if highest < 1:
            apart = with_odds(baseline, factor) >= with_odds(highest, LEAST_FACTOR)
            self._up = Cusum(highest, with_odds(baseline if apart else highest, factor), threshold)
        if lowest > 0:
            apart = with_odds(baseline, 1 / factor) <= with_odds(lowest, 1 / LEAST_FACTOR)
            self._down = Cusum(lowest, with_odds(baseline if apart else lowest, 1 / factor), threshold)

    @property
    def direction(self) -> int:
        """1 where the rate has risen, -1 where it has fallen, else 0."""
        up = self._up is not None and self._up.alarmed
        down = self._down is not None and self._down.alarmed
        return int(up) - int(down)

    @property
    def sides(self) -> tuple[Cusum | None, Cusum | None]:
        """The tests for a higher and for a lower rate, each where there is one."""
        return self._up, self._down

    def forget(self) -> None:
        """Begin the tests anew."""
        self.recent = self.baseline
        for side in filter(None, self.sides):
            side.resume(0.0, False)

    def add(self, hit: bool) -> None:
        """Take a part."""
        self.recent += (hit - self.recent) / RECENT
        for side in self.sides:
            if side is not None:
                side.add(hit)


@dataclass
class Learnt:
    """What was seen while a baseline was learnt: plain values, to be kept.

    Attributes:
        parts, rejects: that were decided on, and of these rejected.
        scores: the highest score of each part with a finding, ascending.
    """

    parts: int = 0
    rejects: int = 0
    scores: list[float] = field(default_factory=list)


Statistics = list[tuple[float, bool]]
"""Of the tests for more and fewer rejects, higher and lower scores: each one's value, in nats, and whether it alarms.
Plain values, to be kept."""


@dataclass(frozen=True)
class Wanted:
    """How a baseline is learnt and tested against.

    Attributes:
        parts, rejects: decided parts and rejects among them, both at least, for the share of rejects.
        most_parts: after which no more rejects are waited for.
        findings: parts with a finding, for the scores.
        reject_factor, score_factor: changes of the odds to be found quickly.
        threshold: of each test, in nats.
    """

    parts: int
    rejects: int
    most_parts: int
    findings: int
    reject_factor: float
    score_factor: float
    threshold: float


class Drift:
    """Learns the baseline of one model and recipe, and tests each later part against it; O(1) a part.

    Args:
        learnt: so far; added to until there is enough.  Unordered scores are put in order.
        wanted: how much is enough, and the tests.

    Attributes:
        learnt: what was given, grown.
        rejects, scores: the tests, or None while their baseline is being learnt.
    """

    def __init__(self, learnt: Learnt, wanted: Wanted) -> None:
        self.learnt, self._wanted = learnt, wanted
        self.rejects: RateDrift | None = None
        self.scores: RateDrift | None = None
        self._median = 1.0
        learnt.scores.sort()  # in no time where they are in order, as they are kept
        self._start()

    @property
    def learning(self) -> bool:
        """True until both baselines are learnt."""
        return self.rejects is None or self.scores is None

    def forget(self) -> None:
        """Begin the tests anew; the baseline stays."""
        for test in filter(None, (self.rejects, self.scores)):
            test.forget()

    def statistics(self) -> Statistics:
        """Return how far the tests are; 0 where there is none."""
        return [(0.0, False) if side is None else (side.value, side.alarmed) for side in self._sides()]

    def resume(self, statistics: Statistics) -> None:
        """Go on from where the tests of another were, against the same baseline."""
        for side, (value, alarmed) in zip(self._sides(), statistics, strict=True):
            if side is not None:
                side.resume(value, alarmed)

    def _sides(self) -> list[Cusum | None]:
        return [side for test in (self.rejects, self.scores) for side in ((None, None) if test is None else test.sides)]

    def add(self, rejected: bool, score: float | None) -> None:
        """Take a part that was decided on: PASS or REJECT, and its highest score, or None without a finding."""
        learnt = self.learnt
        if self.rejects is not None:
            self.rejects.add(rejected)
        else:
            learnt.parts += 1
            learnt.rejects += rejected
        if score is not None:
            if self.scores is not None:
                self.scores.add(score > self._median)
            else:
                insort(learnt.scores, score)
        if self.learning:
            self._start()

    def _start(self) -> None:
        learnt, wanted = self.learnt, self._wanted
        enough = learnt.parts >= wanted.parts and learnt.rejects >= wanted.rejects
        if self.rejects is None and (enough or learnt.parts >= wanted.most_parts):
            bounds = limits(learnt.rejects, learnt.parts)
            self.rejects = RateDrift(learnt.rejects / learnt.parts, bounds, wanted.reject_factor, wanted.threshold)
        if self.scores is None and len(learnt.scores) >= wanted.findings:
            self._median, above, bounds = above_median(learnt.scores)
            self.scores = RateDrift(above, bounds, wanted.score_factor, wanted.threshold)


def above_median(ordered: Sequence[float], miss: float = MISS) -> tuple[float, float, tuple[float, float]]:
    """Return the median, the share of scores above it, and the limits of that share, each wrong with at most ``miss``.

    Above 0.5 it never is, and less where scores equal the median.

    Args:
        ordered: the scores, ascending.
        miss: as for ``limits``.
    """
    median = ordered[len(ordered) // 2]
    above = 1 - bisect_right(ordered, median) / len(ordered)
    room = sqrt(log(1 / miss) / (2 * len(ordered)))
    return median, above, (max(0.0, above - room), min(1.0, above + room))
