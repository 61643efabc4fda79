"""The decision: findings and rules in, verdict out.  Pure, and in one place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isfinite

from edge.config import RecipeConfig, RuleConfig, ZoneConfig
from edge.core.outcome import Outcome
from edge.core.part import Finding, Verdict
from edge.core.zones import TOUCH_PX, Polygon, Region, area_px, crosses_itself, region
from edge.errors import ConfigError

ROUNDING = 1e-9
"""Share by which a bound that was computed gives way: what lies on it is rejected, however it was rounded."""

MOST_PIECES = 512
"""Of the zones of a rule, once cut: each finding is held against all near it, at some microseconds a piece.  A few
zones that cross one another again and again make thousands."""


@dataclass(frozen=True)
class Rule:
    """Rejects a part that shows a finding which meets every condition (AND).  Several rules combine by OR.

    Attributes:
        name: what the operator reads when it fired.
        classes: classes that it looks at; empty means all.
        min_score: lowest score, 0..1.
        min_area_px: smallest box area in square pixels of the frame.
        min_longer_side_px: smallest longer side of the box in pixels of the frame.
        min_length_px: smallest diagonal of the box in pixels of the frame.
        where: the part of the frame in which a finding counts; None is all of it.
        min_share: smallest share of the box's area that lies there, 0..1; at 0 it need only touch.
    """

    name: str
    classes: tuple[str, ...] = ()
    min_score: float = 0.5
    min_area_px: float = 0.0
    min_longer_side_px: float = 0.0
    min_length_px: float = 0.0
    where: Region | None = None
    min_share: float = 0.0

    def matches(self, finding: Finding) -> bool:
        """True if the finding meets every condition; each bound itself is included."""
        return (
            finding.score >= self.min_score
            and self.looks_for(finding)
            and (self.where is None or self._lies_in(self.where, finding))
        )

    def looks_for(self, finding: Finding) -> bool:
        """True if the finding's class and size are what the rule looks for, whatever its score and place."""
        return (
            (not self.classes or finding.cls in self.classes)
            and finding.area_px >= self.min_area_px
            and finding.longer_side_px >= self.min_longer_side_px
            and finding.length_px >= self.min_length_px
        )

    def _lies_in(self, where: Region, finding: Finding) -> bool:
        x1, y1, x2, y2 = finding.box
        box = min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)  # one turned inside out still lies somewhere
        if not where.touches(box):
            return False
        return not self.min_share or where.area_px(box) + TOUCH_PX >= self.min_share * finding.area_px


def rules_of(recipe: RecipeConfig, width: int, height: int) -> tuple[Rule, ...]:
    """Return the rules of ``recipe`` for frames of this size, in px.

    Raises:
        ConfigError: a zone that is no area of the frame, or a rule whose zones are all excluded or cut to shreds.
    """
    return tuple(_rule(rule, recipe.mm_per_px, (width, height)) for rule in recipe.rules)


def _rule(rule: RuleConfig, mm_per_px: float | None, frame: tuple[int, int]) -> Rule:
    scale = (1 + ROUNDING) * (mm_per_px or 1.0)  # without a scale there is nothing in mm (`RecipeConfig`)
    return Rule(
        rule.name,
        rule.classes,
        rule.min_score,
        max(rule.min_area_px, rule.min_area_mm2 / scale**2),
        max(rule.min_longer_side_px, rule.min_longer_side_mm / scale),
        max(rule.min_length_px, rule.min_length_mm / scale),
        _where(rule, frame),
        rule.min_share,
    )


def _where(rule: RuleConfig, frame: tuple[int, int]) -> Region | None:
    if not rule.zones and not rule.exclude:
        return None
    zones = [_polygon(zone, frame, f"Rule {rule.name!r}, zones[{n}]") for n, zone in enumerate(rule.zones)]
    exclude = [_polygon(zone, frame, f"Rule {rule.name!r}, exclude[{n}]") for n, zone in enumerate(rule.exclude)]
    width, height = frame
    found = region(zones or [((0, 0), (width, 0), (width, height), (0, height))], exclude)
    if not found.pieces:
        raise ConfigError(
            f"Rule {rule.name!r} can never fire: its exclude zones leave nothing of where it looks.",
            "give it a zone that is not excluded, or take the rule out.",
        )
    if len(found.pieces) > MOST_PIECES:
        raise ConfigError(
            f"Rule {rule.name!r}: its zones cross so often that they make {len(found.pieces)} pieces, more than "
            f"{MOST_PIECES}; that would delay verdicts.",
            "give zones that cross less often, or fewer of them.",
        )
    return found


def _polygon(zone: ZoneConfig, frame: tuple[int, int], origin: str) -> Polygon:
    """Return the zone's corners in px of the frame; ``origin`` names it in errors."""
    most = frame if zone.unit == "px" else (1, 1)
    for corner in zone.corners():
        if not (0 <= corner[0] <= most[0] and 0 <= corner[1] <= most[1]):
            raise ConfigError(
                f"{origin}: the corner ({corner[0]:g}, {corner[1]:g}) in {zone.unit} lies outside of the frame, which "
                f"ends at ({most[0]}, {most[1]}).",
                "give corners within the frame; unit is 'share' (of the frame, 0 to 1) or 'px'.",
            )
    scale = frame[0] / most[0], frame[1] / most[1]
    corners = [(x * scale[0], y * scale[1]) for x, y in zone.corners()]
    if crosses_itself(corners):
        raise ConfigError(f"{origin}: its edges cross.", "give the corners in their order around the zone.")
    if area_px(corners) < 1.0:
        raise ConfigError(
            f"{origin}: its area is {area_px(corners):.3g} square pixels.",
            "give a zone of at least one pixel; a rectangle is x1, y1, x2, y2.",
        )
    return corners


def lowest_score(rules: Sequence[Rule]) -> float:
    """Return the lowest score that could make a rule fire, 1.0 without rules."""
    return min((rule.min_score for rule in rules), default=1.0)


def close_call(findings: Iterable[Finding], rules: Sequence[Rule], margin: float) -> tuple[Finding, ...]:
    """Return the first finding whose score missed a rule that looks for it by ``margin`` at most; () if none.

    Where it lies is not asked: against a rule's zones a finding takes milliseconds, and a verdict waits.

    Args:
        findings: of a part that passed.
        rules: that it passed.
        margin: 0..1; its bound is included.
    """
    return tuple(islice((finding for finding in findings if _is_close(finding, rules, margin)), 1))


def _is_close(finding: Finding, rules: Sequence[Rule], margin: float) -> bool:
    return any(rule.min_score - margin <= finding.score < rule.min_score and rule.looks_for(finding) for rule in rules)


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
