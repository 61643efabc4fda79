"""Rates of whole parts, as a plant counts them: defective parts that pass, and good parts that do not.

A part (picture) is defective if its truth has a box or names a defect.  It is decided by a recipe's rules, as on the
line.  Only PASS lets a part through: a NO_DECISION on a good part is overkill, and on a defective part no escape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edge.core.outcome import Outcome
from edge.core.part import Finding
from edge.core.rules import Rule, decide, lowest_score
from edge.quality.average_precision import Ranking
from edge.quality.intervals import Proportion

SWEPT = tuple(round(0.05 * step, 2) for step in range(1, 20))


@dataclass(frozen=True)
class Part:
    """What is true of a part, and what the network saw on it.

    Attributes:
        rules: of the recipe, for a frame of this part's size.
        findings: by falling score, down to a floor below every score that will be asked about.
        list_end: score of the last candidate; below it, findings may be missing.
        finite: False where the network computed nonsense.
    """

    defective: bool
    rules: tuple[Rule, ...]
    findings: tuple[Finding, ...]
    list_end: float
    finite: bool = True

    @property
    def best(self) -> float:
        """The highest score of any finding, 0 without one."""
        return max((finding.score for finding in self.findings), default=0.0)


@dataclass(frozen=True)
class Rates:
    """At one score: defective parts that pass, good parts that do not pass, and parts of either kind undecided."""

    score: float
    escape: Proportion
    overkill: Proportion
    undecided: int


@dataclass(frozen=True)
class BoxRates:
    """At one score and IoU 0.5: detections that found a box of their class, and boxes that were found."""

    precision: Proportion
    recall: Proportion

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall: twice the hits, over detections and boxes."""
        total = self.precision.of + self.recall.of
        return 2 * self.precision.count / total if total else 0.0


def outcome(part: Part, score: float | None = None) -> Outcome:
    """The station's outcome of a part; with ``score``, as if every rule had it for its ``min_score``."""
    if not part.finite:
        return Outcome.NO_DECISION
    rules = part.rules if score is None else [replace(rule, min_score=score) for rule in part.rules]
    floor = lowest_score(rules)
    seen = [finding for finding in part.findings if finding.score >= floor]
    return decide(seen, rules, part.list_end >= floor).outcome


def part_rates(parts: Sequence[Part], score: float | None = None) -> Rates:
    """Rates under each part's rules, or with all of their scores moved to ``score``.

    Raises:
        ValueError: no parts.
    """
    if not parts:
        raise ValueError("no parts to rate")
    ends = [outcome(part, score) for part in parts]
    passed = Counter(part.defective for part, end in zip(parts, ends, strict=True) if end is Outcome.PASS)
    defective = sum(part.defective for part in parts)
    good = len(parts) - defective
    return Rates(
        lowest_score(parts[0].rules) if score is None else score,
        Proportion(passed[True], defective),
        Proportion(good - passed[False], good),
        sum(end is Outcome.NO_DECISION for end in ends),
    )


def box_rates(rankings: Mapping[str, Ranking], score: float) -> BoxRates:
    """Precision and recall of boxes at ``score``, at each ranking's first IoU, all classes together."""
    above = {cls: ranking.scores >= score for cls, ranking in rankings.items()}
    hits = sum(int(ranking.hits[0][above[cls]].sum()) for cls, ranking in rankings.items())
    detections = sum(int(mask.sum()) for mask in above.values())
    boxes = sum(int(ranking.positives.sum()) for ranking in rankings.values())
    return BoxRates(Proportion(hits, detections), Proportion(hits, boxes))


def escape_ppm(escape: Proportion, prevalence: float) -> tuple[float, float, float] | None:
    """Defective parts that pass in a million inspected, and its bounds, where ``prevalence`` of all are defective.

    Returns:
        (value, low, high), or None where no part was defective.
    """
    bounds = escape.bounds()
    if escape.rate is None or bounds is None:
        return None
    scale = 1e6 * prevalence
    return escape.rate * scale, bounds[0] * scale, bounds[1] * scale
