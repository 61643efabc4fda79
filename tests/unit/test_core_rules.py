"""The decision at its bounds, and the table of outcomes and causes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from edge.config import RecipeConfig, RuleConfig, ZoneConfig
from edge.core.outcome import CAUSES, Outcome
from edge.core.part import Finding
from edge.core.rules import MOST_PIECES, Rule, decide, lowest_score, rules_of
from edge.errors import ConfigError
from tests.support_hypothesis import usual

SLOW = [HealthCheck.too_slow]

RULE = Rule("crack", ("crack", "hole"), min_score=0.5, min_area_px=200.0, min_longer_side_px=20.0)
AT = Finding("crack", 0.5, (10.0, 10.0, 30.0, 20.0))
"""Meets every bound of RULE exactly: score 0.5, area 200, longer side 20."""


def below(value: float) -> float:
    return math.nextafter(value, -math.inf)


def test_every_bound_is_inside() -> None:
    assert RULE.matches(AT)
    verdict = decide([AT], [RULE], saturated=False)
    assert (verdict.outcome, verdict.cause, verdict.rule) == (Outcome.REJECT, "rule", "crack")


@pytest.mark.parametrize(
    "finding",
    [
        Finding("crack", below(0.5), AT.box),
        Finding("crack", 0.5, (10.0, 10.0, below(30.0), 20.0)),
        Finding("crack", 0.5, (10.0, 10.0, 30.0, below(20.0))),
        Finding("crack", 0.5, (0.0, 0.0, 19.0, 19.0)),
        Finding("stain", 1.0, (0.0, 0.0, 500.0, 500.0)),
    ],
)
def test_just_below_one_bound_does_not_fire(finding: Finding) -> None:
    assert not RULE.matches(finding)
    assert decide([finding], [RULE], saturated=False).outcome is Outcome.PASS


def test_no_classes_means_all() -> None:
    assert Rule("any").matches(Finding("stain", 0.5, (0.0, 0.0, 1.0, 1.0)))


def test_conditions_must_be_met_by_one_finding() -> None:
    confident = Finding("crack", 0.9, (0.0, 0.0, 5.0, 5.0))
    large = Finding("crack", 0.4, (0.0, 0.0, 50.0, 50.0))
    assert decide([confident, large], [RULE], saturated=False).outcome is Outcome.PASS


def test_the_first_rule_that_fires_is_named() -> None:
    rules = [Rule("huge", min_area_px=1e9), Rule("second", min_score=0.1), Rule("third", min_score=0.1)]
    assert decide([AT], rules, saturated=False).rule == "second"


def test_a_full_list_is_no_pass_and_a_reject_stays_one() -> None:
    assert decide([], [RULE], saturated=True).outcome is Outcome.NO_DECISION
    assert decide([AT], [RULE], saturated=True).outcome is Outcome.REJECT


findings = st.lists(
    st.builds(
        Finding,
        st.sampled_from(["crack", "stain"]),
        st.floats(0, 1),
        st.tuples(*[st.floats(0, 100)] * 4),
    ),
    max_size=6,
)
rules = st.lists(
    st.builds(Rule, st.just("r"), st.sampled_from([(), ("crack",)]), st.floats(0.01, 1), st.floats(0, 2000)), max_size=4
)


@settings(deadline=None, suppress_health_check=SLOW)
@given(findings, rules, st.booleans())
def test_a_verdict_is_consistent_whatever_was_found(found: list[Finding], rules: list[Rule], saturated: bool) -> None:
    verdict = decide(found, rules, saturated)
    assert CAUSES[verdict.cause].outcome is verdict.outcome
    assert verdict.findings == tuple(found)
    fires = any(rule.matches(f) for rule in rules for f in found)
    assert (verdict.outcome is Outcome.REJECT) == fires
    assert verdict.outcome is not Outcome.PASS or not saturated
    assert all(f.score >= lowest_score(rules) for f in found if any(r.matches(f) for r in rules))


@settings(deadline=None, suppress_health_check=SLOW)
@given(findings, findings, rules)
def test_one_more_finding_never_turns_a_reject_into_a_pass(
    found: list[Finding], more: list[Finding], rules: list[Rule]
) -> None:
    if decide(found, rules, False).outcome is Outcome.REJECT:
        assert decide([*found, *more], rules, False).outcome is Outcome.REJECT


@pytest.mark.parametrize(
    "finding",
    [
        Finding("crack", math.nan, (0.0, 0.0, 50.0, 50.0)),
        Finding("crack", 0.9, (0.0, 0.0, math.nan, 50.0)),
        Finding("crack", 0.9, (0.0, math.nan, 50.0, 50.0)),
    ],
)
def test_a_value_that_is_no_number_never_passes(finding: Finding) -> None:
    verdict = decide([finding], [RULE], saturated=False)
    assert (verdict.outcome, verdict.cause, verdict.findings) == (Outcome.NO_DECISION, "non_finite", ())


def test_a_box_turned_inside_out_has_no_area() -> None:
    assert Finding("c", 1.0, (10.0, 10.0, 5.0, 5.0)).area_px == 0.0
    assert lowest_score([]) == 1.0


def test_every_cause_says_what_happened_and_only_one_leads_to_a_pass() -> None:
    assert [c.name for c in CAUSES.values() if c.outcome is Outcome.PASS] == ["clean"]
    assert [c.name for c in CAUSES.values() if c.outcome is Outcome.REJECT] == ["rule"]
    for name, cause in CAUSES.items():
        assert name == cause.name
        assert cause.text.endswith(".")


# -- zones and millimetres ----------------------------------------------------------------------------------------

WIDTH, HEIGHT = 200, 100
LEFT_HALF = ZoneConfig(rectangle=(0.0, 0.0, 0.5, 1.0))
RIGHT_HALF = ZoneConfig(rectangle=(100.0, 0.0, 200.0, 100.0), unit="px")
ALL = ZoneConfig(rectangle=(0.0, 0.0, 1.0, 1.0))


def made(mm_per_px: float | None = None, **rule: Any) -> Rule:
    """Return the one rule of a recipe, for frames of WIDTH x HEIGHT."""
    recipe = RecipeConfig(mm_per_px=mm_per_px, rules=(RuleConfig(name="r", **rule),))
    return rules_of(recipe, WIDTH, HEIGHT)[0]


def at(*box: float, score: float = 0.9) -> Finding:
    x1, y1, x2, y2 = box
    return Finding("crack", score, (x1, y1, x2, y2))


spans_x = st.tuples(st.floats(0, WIDTH), st.floats(0, WIDTH)).map(sorted)
spans_y = st.tuples(st.floats(0, HEIGHT), st.floats(0, HEIGHT)).map(sorted)
inside = st.builds(
    lambda x, y, score: at(x[0], y[0], x[1], y[1], score=score), spans_x, spans_y, st.floats(0, 1, allow_nan=False)
)
share = st.floats(0, 1)
rectangles = st.tuples(share, share, share, share).map(
    lambda r: (min(r[0], r[2]), min(r[1], r[3]), max(r[0], r[2]), max(r[1], r[3]))
)
zones = rectangles.filter(lambda r: (r[2] - r[0]) * (r[3] - r[1]) > 0.01).map(lambda r: ZoneConfig(rectangle=r))
sizes = st.fixed_dictionaries(
    {
        "min_score": st.floats(0.01, 1),
        "min_area_px": st.floats(0, 5000),
        "min_longer_side_px": st.floats(0, 100),
        "min_length_px": st.floats(0, 100),
    }
)
mm = {"min_area_px": "min_area_mm2", "min_longer_side_px": "min_longer_side_mm", "min_length_px": "min_length_mm"}


@usual(100)
@given(sizes, st.lists(zones, max_size=2), st.lists(zones.filter(lambda z: z != ALL), max_size=1), inside, inside)
def test_a_bigger_finding_never_un_rejects(
    bounds: dict[str, float], where: list[ZoneConfig], exclude: list[ZoneConfig], finding: Finding, more: Finding
) -> None:
    try:
        rule = made(zones=where, exclude=exclude, **bounds)
    except ConfigError:
        assume(False)
    (a1, b1, a2, b2), (c1, d1, c2, d2) = finding.box, more.box
    bigger = at(min(a1, c1), min(b1, d1), max(a2, c2), max(b2, d2), score=max(finding.score, more.score))
    assert rule.matches(bigger) or not rule.matches(finding)


@usual(100)
@given(sizes, st.floats(0.001, 10), inside)
def test_millimetres_agree_with_pixels_under_the_scale(
    bounds: dict[str, float], scale: float, finding: Finding
) -> None:
    in_mm = {
        mm.get(key, key): v * (scale**2 if "area" in key else scale if key in mm else 1) for key, v in bounds.items()
    }
    near = [
        (finding.area_px, bounds["min_area_px"]),
        (finding.longer_side_px, bounds["min_longer_side_px"]),
        (finding.length_px, bounds["min_length_px"]),
    ]
    assume(not any(math.isclose(value, bound, rel_tol=1e-8) for value, bound in near))
    assert made(mm_per_px=scale, **in_mm).matches(finding) is made(**bounds).matches(finding)


@usual(100)
@given(st.integers(1, 100), st.integers(1, 1000), st.sampled_from([10.0, 100.0, 1000.0, 3.0, 7.0]))
def test_a_finding_on_a_bound_in_millimetres_is_rejected_however_it_was_rounded(
    px: int, tenths: int, part: float
) -> None:
    scale = tenths / part
    finding = at(0.0, 0.0, px, 0.0)
    assert made(mm_per_px=scale, min_longer_side_mm=px * scale).matches(finding)
    assert made(mm_per_px=scale, min_length_mm=px * scale).matches(finding)
    assert made(mm_per_px=scale, min_area_mm2=px * scale * scale * px).matches(at(0.0, 0.0, px, px))
    assert not made(mm_per_px=scale, min_longer_side_mm=px * scale * (1 + 1e-8)).matches(finding)


def test_the_length_is_the_diagonal() -> None:
    rule = made(mm_per_px=0.1, min_length_mm=5.0)
    assert rule.matches(at(10.0, 10.0, 40.0, 50.0))
    assert not rule.matches(at(10.0, 10.0, 40.0, 49.9))
    assert not made(mm_per_px=0.1, min_longer_side_mm=5.0).matches(at(10.0, 10.0, 40.0, 50.0))


def test_the_stricter_of_two_units_holds() -> None:
    rule = made(mm_per_px=0.5, min_longer_side_px=10.0, min_longer_side_mm=8.0)
    assert rule.matches(at(0.0, 0.0, 16.0, 1.0))
    assert not rule.matches(at(0.0, 0.0, 15.9, 1.0))
    assert made(mm_per_px=0.5, min_longer_side_px=20.0, min_longer_side_mm=8.0).min_longer_side_px == 20.0


@usual(80)
@given(sizes, inside, share, st.sampled_from([{"zones": (ALL,)}, {"zones": (LEFT_HALF, RIGHT_HALF)}]))
def test_the_full_frame_is_as_good_as_no_zone(
    bounds: dict[str, float], finding: Finding, least: float, where: dict[str, Any]
) -> None:
    assert made(**bounds, **where, min_share=least).matches(finding) is made(**bounds).matches(finding)


@usual(80)
@given(sizes, inside, share, zones, zones)
def test_a_zone_more_rejects_no_less_and_an_exclusion_no_more(
    bounds: dict[str, float], finding: Finding, least: float, one: ZoneConfig, other: ZoneConfig
) -> None:
    alone = made(**bounds, zones=(one,), min_share=least).matches(finding)
    assert made(**bounds, zones=(one, other), min_share=least).matches(finding) or not alone
    try:
        less = made(**bounds, zones=(one,), exclude=(other,), min_share=least)
    except ConfigError:
        return
    assert alone or not less.matches(finding)


def test_a_finding_counts_from_its_share_on() -> None:
    half_in = at(90.0, 10.0, 110.0, 20.0)
    assert made(zones=(LEFT_HALF,)).matches(half_in)
    assert made(zones=(LEFT_HALF,), min_share=0.5).matches(half_in)
    assert not made(zones=(LEFT_HALF,), min_share=0.500001).matches(half_in)
    assert made(exclude=(RIGHT_HALF,), min_share=0.5).matches(half_in)
    assert not made(exclude=(LEFT_HALF,), min_share=0.500001).matches(half_in)


def test_a_box_within_joined_zones_has_its_whole_share_however_it_was_rounded() -> None:
    parts = (ZoneConfig(rectangle=(0.0, 0.0, 0.37, 1.0)), ZoneConfig(rectangle=(0.37, 0.0, 1.0, 1.0)))
    rule = made(zones=parts, min_share=1.0)
    boxes = [at(60 + n / 7, 3 + n / 11, 90 + n / 3, 50 + n / 13) for n in range(100)]
    assert rule.where is not None
    assert any(rule.where.area_px(finding.box) < finding.area_px for finding in boxes)
    assert all(rule.matches(finding) for finding in boxes)


@pytest.mark.parametrize("box", [(40.0, 10.0, 20.0, 30.0), (20.0, 30.0, 40.0, 10.0)])
def test_a_box_turned_inside_out_lies_where_its_corners_do(box: tuple[float, float, float, float]) -> None:
    assert made(zones=(ZoneConfig(rectangle=(0.12, 0.15, 0.18, 0.25)),)).matches(at(*box))
    assert not made(zones=(RIGHT_HALF,)).matches(at(*box))


def test_zones_in_share_and_px_are_the_same_place() -> None:
    triangle = ((0.1, 0.2), (0.9, 0.2), (0.5, 0.8))
    in_px = tuple((x * WIDTH, y * HEIGHT) for x, y in triangle)
    one, other = made(zones=(ZoneConfig(polygon=triangle),)), made(zones=(ZoneConfig(polygon=in_px, unit="px"),))
    assert one.where == other.where
    assert not one.matches(at(0.0, 30.0, 30.0, 100.0))
    assert one.matches(at(0.0, 30.0, 34.0, 100.0))


def zigzag(corners: int, upright: bool) -> ZoneConfig:
    """A thin line to and fro across the frame."""
    last = corners // 2 - 1
    there = [(step / last, 0.9 * (step % 2)) for step in range(last + 1)]
    line = there + [(along, across + 0.1) for along, across in reversed(there)]
    return ZoneConfig(polygon=tuple((y, x) if upright else (x, y) for x, y in line))


def test_zones_that_would_delay_verdicts_are_refused() -> None:
    """As many corners as are allowed: their edges cross some thousand times."""
    with pytest.raises(ConfigError, match=r"Rule 'r': its zones cross so often.* \d{4,} pieces, more than 512"):
        made(zones=(zigzag(32, False), zigzag(32, True)))
    where = made(zones=(zigzag(12, False), zigzag(12, True))).where
    assert where is not None
    assert 50 < len(where.pieces) <= MOST_PIECES


def test_the_rule_that_fires_is_the_one_of_its_zone() -> None:
    recipe = RecipeConfig(
        rules=(RuleConfig(name="left", zones=(LEFT_HALF,)), RuleConfig(name="right", zones=(RIGHT_HALF,)))
    )
    rules = rules_of(recipe, WIDTH, HEIGHT)
    assert decide([at(150.0, 10.0, 160.0, 20.0)], rules, saturated=False).rule == "right"
    assert decide([at(50.0, 10.0, 160.0, 20.0)], rules, saturated=False).rule == "left"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"zones": (ALL, ZoneConfig(rectangle=(0, 0, 1, 1.01)))}, r"zones\[1\]: the corner \(1, 1\.01\) in share"),
        (
            {"exclude": (ZoneConfig(rectangle=(0, 0, 201, 100), unit="px"),)},
            r"exclude\[0\].*\(201, 0\) in px.*ends at \(200, 100\)",
        ),
        ({"zones": (ZoneConfig(polygon=((0, 0), (-0.1, 1), (1, 1))),)}, r"corner \(-0\.1, 1\)"),
        ({"zones": (ZoneConfig(polygon=((0, 0), (1, 1), (1, 0), (0, 1))),)}, "edges cross"),
        ({"zones": (ZoneConfig(polygon=((0, 0), (1, 1), (0.5, 0.5))),)}, "area is 0 square pixels"),
        ({"zones": (LEFT_HALF,), "exclude": (ALL,)}, "'r' can never fire"),
    ],
)
def test_a_zone_that_cannot_be_meant_is_refused_by_name(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"Rule 'r'.*{message}" if "can never" not in message else message):
        made(**rule)
