"""The decision: findings and rules in, verdict out.  Pure, and in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from edge.core.outcome import Outcome
from edge.core.part import Finding, Verdict


@dataclass(frozen=True)
class Rule:
    """Rejects a part that shows a finding which meets every condition (AND).  Several rules combine by OR.

    Attributes:
        name: what the operator reads when it fired.
        classes: classes that it looks at; empty means all.
        min_score: lowest score, 0..1.
        min_area_px: smallest box area in square pixels of the frame.
        min_longer_side_px: smallest longer side of the box in pixels of the frame.
    """

    name: str
    classes: tuple[str, ...] = ()
    min_score: float = 0.5
    min_area_px: float = 0.0
    min_longer_side_px: float = 0.0

    def matches(self, finding: Finding) -> bool:
        """True if the finding meets every condition; each bound itself is included."""
        return (
            (not self.classes or finding.cls in self.classes)
            and finding.score >= self.min_score
            and finding.area_px >= self.min_area_px
            and finding.longer_side_px >= self.min_longer_side_px
        )


def lowest_score(rules: Sequence[Rule]) -> float:
    """Return the lowest score that could make a rule fire, 1.0 without rules."""
    return min((rule.min_score for rule in rules), default=1.0)


def decide(findings: Sequence[Finding], rules: Sequence[Rule], saturated: bool) -> Verdict:
    """Return REJECT with the first rule that fires, else NO_DECISION where candidates were cut off, else PASS.

    A score or box that is no finite number is no finding, and no clean part either: NO_DECISION.

    Args:
        findings: what the network found, after suppression.
        rules: of the recipe, in order; OR across them.
        saturated: the network's candidate list was full above the lowest score, so that a defect may be missing.
    """
    kept = tuple(findings)
    if not all(isfinite(value) for finding in kept for value in (finding.score, *finding.box)):
        return Verdict(Outcome.NO_DECISION, "non_finite")
    for rule in rules:
        if any(rule.matches(finding) for finding in kept):
            return Verdict(Outcome.REJECT, "rule", kept, rule.name)
    if saturated:
        return Verdict(Outcome.NO_DECISION, "saturated", kept)
    return Verdict(Outcome.PASS, "clean", kept)
