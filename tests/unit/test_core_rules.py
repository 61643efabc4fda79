"""The decision at its bounds, and the table of outcomes and causes."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.core.outcome import CAUSES, Outcome
from edge.core.part import Finding
from edge.core.rules import Rule, decide, lowest_score

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
