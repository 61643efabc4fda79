"""Probability of detection: a known curve is recovered, its bound covers as promised, and what has no curve is told."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from edge.quality import average_precision as ap
from edge.quality.detection import CRITICAL, Curve, box_sizes, fit, hits_and_sizes, logit, upper_sizes
from edge.quality.intervals import Proportion
from tests.support_hypothesis import usual

KNOWN = Curve(intercept=-9.0, slope=4.0)  # a50 9.49, a90 16.4 px
Values = NDArray[np.float64]
Hits = NDArray[np.bool_]


def simulated(seed: int, boxes: int, curve: Curve = KNOWN) -> tuple[Values, Hits]:
    random = np.random.default_rng(seed)
    sizes = np.exp(random.uniform(log(4), log(40), boxes))
    return sizes, random.random(boxes) < curve.probability(sizes)


def hits(*flags: int) -> Hits:
    return np.array(flags, bool)


def test_a_known_curve_is_recovered() -> None:
    pods = [fit(*simulated(seed, 4_000)) for seed in range(12)]
    assert {pod.status for pod in pods} == {"fitted"}
    assert {pod.note for pod in pods} == {""}
    for name, true in (("a50", KNOWN.size(0.5)), ("a90", KNOWN.size(0.9))):
        assert np.mean([getattr(pod, name) for pod in pods]) == pytest.approx(true, rel=0.01)
    assert np.mean([pod.curve.slope for pod in pods if pod.curve]) == pytest.approx(KNOWN.slope, rel=0.03)
    assert all(1.02 < pod.a90_95 / pod.a90 < 1.05 for pod in pods if pod.a90_95 and pod.a90)


def test_the_bound_covers_the_true_size_in_95_of_100_experiments() -> None:
    true, experiments = KNOWN.size(0.9), 600
    bounds = [fit(*simulated(seed, 100)).a90_95 for seed in range(experiments)]
    covered = sum(bound is not None and bound >= true for bound in bounds)
    assert None not in bounds  # so that none covers by saying nothing
    assert 0.945 <= covered / experiments <= 0.975


def likelihood(sizes: Values, found: Hits, intercept: float, slope: float) -> float:
    """Log-likelihood with Firth's penalty, written down plainly."""
    design = np.column_stack([np.ones(len(sizes)), np.log(sizes)])
    eta = design @ np.array([intercept, slope])
    p = 1 / (1 + np.exp(-eta))
    information = design.T @ np.diag(p * (1 - p)) @ design
    return float(np.log(p[found]).sum() + np.log(1 - p[~found]).sum() + 0.5 * np.linalg.slogdet(information)[1])


def test_the_fit_is_the_greatest_likelihood() -> None:
    sizes, found = simulated(5, 80)
    curve = fit(sizes, found).curve
    assert curve is not None
    options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000}
    start = np.array([-5.0, 2.0])
    best = minimize(lambda b: -likelihood(sizes, found, b[0], b[1]), start, method="Nelder-Mead", options=options)
    assert (curve.intercept, curve.slope) == pytest.approx(tuple(best.x), abs=1e-4)


def test_the_bound_lies_where_the_profile_of_the_likelihood_says() -> None:
    sizes, found = simulated(5, 80)
    pod = fit(sizes, found)
    assert pod.a90_95 is not None
    assert pod.curve is not None

    def profile(size: float) -> float:
        line = minimize_scalar(lambda b: -likelihood(sizes, found, logit(0.9) - b * log(size), b), bracket=(2.0, 5.0))
        return -float(line.fun)

    best = likelihood(sizes, found, pod.curve.intercept, pod.curve.slope)
    assert 2 * (best - profile(pod.a90_95)) == pytest.approx(CRITICAL, abs=1e-4)
    assert 2 * (best - profile(0.9 * pod.a90_95)) < CRITICAL < 2 * (best - profile(1.1 * pod.a90_95))


@given(st.floats(0.01, 100.0), st.integers(0, 500))
@usual(20)
def test_another_unit_scales_the_sizes_and_nothing_else(scale: float, seed: int) -> None:
    sizes, found = simulated(seed, 80)
    here, there = fit(sizes, found), fit(sizes * scale, found)
    assert here.status == there.status
    for one, other in ((here.a50, there.a50), (here.a90, there.a90), (here.a90_95, there.a90_95)):
        assert (one is None) == (other is None)
        if one is not None:
            assert other == pytest.approx(one * scale, rel=1e-5)


def test_upper_sizes_contain_the_bound_and_lie_above_the_curve() -> None:
    sizes, found = simulated(9, 100)
    pod = fit(sizes, found)
    assert pod.curve is not None
    levels = np.array([0.3, 0.5, 0.9])
    bounds = upper_sizes(sizes, found, levels)
    assert bounds[2] == pytest.approx(pod.a90_95)
    assert all(bound > pod.curve.size(level) for bound, level in zip(bounds, levels, strict=True))


def test_what_has_no_curve_is_told_and_not_fitted() -> None:
    sizes = np.array([5.0, 6.0, 7.0, 8.0])
    assert fit(np.zeros(0), hits()).status == "no_boxes"
    assert fit(sizes, hits(1, 1, 1, 1)).status == "all_found"
    assert fit(sizes, hits(0, 0, 0, 0)).status == "none_found"
    separated = fit(sizes, hits(0, 0, 1, 1))
    assert separated.status == "separated"
    assert "between 6 and 7" in separated.note
    assert fit(np.array([5.0, 6.0, 6.0, 7.0]), hits(0, 0, 1, 1)).status == "separated"
    assert fit(sizes, hits(1, 1, 0, 0)).status == "no_slope"
    assert fit(np.full(4, 5.0), hits(1, 0, 1, 0)).status == "no_slope"
    for pod in (separated, fit(sizes, hits(1, 1, 0, 0)), fit(sizes, hits(1, 1, 1, 1))):
        assert (pod.curve, pod.a50, pod.a90, pod.a90_95) == (None, None, None, None)
    with pytest.raises(ValueError, match="not positive"):
        fit(np.array([0.0, 1.0]), hits(0, 1))


def test_size_that_does_not_matter_gives_no_a90() -> None:
    statuses = [fit(*simulated(seed, 100, Curve(1.0, 0.0))).status for seed in range(100)]
    assert 85 <= statuses.count("no_slope") <= 100  # one in twenty looks significant by chance, on one side
    assert fit(*simulated(3, 100)).status == "fitted"


def test_a_few_boxes_and_an_extrapolation_are_noted() -> None:
    small = fit(*simulated(11, 40))
    assert "fewer than 60 boxes" in small.note
    hard = fit(*simulated(2, 2000, Curve(-6.0, 1.8)))  # a90 is 95 px, boxes end at 40
    assert hard.a90 is not None
    assert hard.a90 > 40
    assert "beyond the largest box" in hard.note


def test_found_is_by_class_score_and_overlap() -> None:
    truth = [ap.Truth(np.array([[0, 0, 10, 40], [50, 0, 60, 10], [0, 60, 10, 70]], np.float32), np.array([0, 0, 1]))]
    boxes = np.array([[0, 0, 10, 20], [50, 0, 60, 10], [0, 60, 10, 70]], np.float32)
    found = [ap.Detections(boxes, np.array([0.9, 0.5, 0.4], np.float32), np.array([0, 0, 0]))]
    sizes, flags = hits_and_sizes(found, truth, 0, 0.5, "sqrt_area")
    assert sizes.tolist() == [20.0, 10.0]
    assert flags.tolist() == [True, True]
    assert hits_and_sizes(found, truth, 0, 0.6, "sqrt_area")[1].tolist() == [True, False]
    assert hits_and_sizes(found, truth, 1, 0.1, "sqrt_area")[1].tolist() == [False]
    assert hits_and_sizes(found, truth, 0, 0.5, "longer_side", 0.5)[0].tolist() == [20.0, 5.0]
    assert fit(*hits_and_sizes(found, truth, 2, 0.5, "sqrt_area")).found == Proportion(0, 0)


def test_box_sizes() -> None:
    boxes = np.array([[0, 0, 4, 9], [1, 1, 3, 3]], np.float32)
    assert box_sizes(boxes, "sqrt_area").tolist() == [6.0, 2.0]
    assert box_sizes(boxes, "longer_side").tolist() == [9.0, 2.0]
    assert box_sizes(np.zeros((0, 4), np.float32), "longer_side").tolist() == []


def test_the_curve_by_hand() -> None:
    assert KNOWN.size(0.5) == pytest.approx(exp(9 / 4))
    assert KNOWN.probability(np.array([KNOWN.size(0.9)]))[0] == pytest.approx(0.9)
