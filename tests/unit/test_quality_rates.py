"""Rates of parts and boxes, their bounds, and the bootstrap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.outcome import Outcome
from edge.core.part import Finding
from edge.core.rules import Rule
from edge.quality import average_precision as ap
from edge.quality.intervals import Proportion, bootstrap_map, clopper_pearson
from edge.quality.rates import Part, box_rates, escape_ppm, outcome, part_rates
from tests.support_hypothesis import usual
from tests.unit.test_quality_average_precision import CLASSES, random_data

ANY = (Rule("any", min_score=0.5),)


def part(defective: bool, *scores: float, rules: tuple[Rule, ...] = ANY, list_end: float = 0.0) -> Part:
    findings = tuple(Finding("pit", score, (0.0, 0.0, 10.0, 10.0)) for score in sorted(scores, reverse=True))
    return Part(defective, rules, findings, list_end)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    # From published tables of exact binomial limits (rounded to 4 digits), and the closed forms at the ends.
    [(0, 10, 0, 0.3085), (10, 10, 0.6915, 1), (1, 10, 0.0025, 0.445), (5, 10, 0.1871, 0.8129), (3, 20, 0.0321, 0.3789)],
)
def test_clopper_pearson_by_the_tables(count: int, of: int, low: float, high: float) -> None:
    assert clopper_pearson(count, of) == pytest.approx((low, high), abs=6e-5)


@given(st.integers(1, 60), st.data())
@usual(60)
def test_the_bounds_leave_exactly_the_tails(of: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, of))
    low, high = clopper_pearson(count, of)
    assert 0.0 <= low <= count / of <= high <= 1.0

    def tail(p: float, counts: range) -> float:
        return sum(math.comb(of, k) * p**k * (1 - p) ** (of - k) for k in counts)

    if count:
        assert tail(low, range(count, of + 1)) == pytest.approx(0.025, abs=1e-9)
    if count < of:
        assert tail(high, range(count + 1)) == pytest.approx(0.025, abs=1e-9)


def test_nothing_is_no_proportion() -> None:
    with pytest.raises(ValueError, match="no proportion"):
        clopper_pearson(0, 0)
    with pytest.raises(ValueError, match="no proportion"):
        clopper_pearson(3, 2)
    assert Proportion(0, 0).rate is None
    assert Proportion(0, 0).bounds() is None
    assert str(Proportion(0, 0)) == "not measurable"


def test_parts_are_counted_at_their_score() -> None:
    good = [part(False, 0.9), part(False, 0.499), part(False), part(False)]
    parts = [part(True, 0.5), part(True, 0.4), part(True), *good]
    rates = part_rates(parts)
    assert (rates.score, rates.escape, rates.overkill) == (0.5, Proportion(2, 3), Proportion(1, 4))
    lower = part_rates(parts, 0.4)
    assert (lower.score, lower.escape, lower.overkill) == (0.4, Proportion(1, 3), Proportion(2, 4))
    assert rates.undecided == 0


def test_without_good_parts_overkill_is_not_measurable_rather_than_none() -> None:
    rates = part_rates([part(True, 0.9)])
    assert rates.overkill.rate is None
    assert rates.escape.rate == 0.0
    assert part_rates([part(False, 0.9)]).escape.rate is None
    with pytest.raises(ValueError, match="no parts"):
        part_rates([])


def test_an_undecided_part_is_no_escape_and_is_overkill() -> None:
    cut_off = (Rule("large", min_score=0.5, min_area_px=1e6),)
    parts = [
        part(True, 0.9, rules=cut_off, list_end=0.6),
        part(False, 0.9, rules=cut_off, list_end=0.6),
        Part(True, ANY, (), 0.0, finite=False),
        part(True, 0.9, rules=cut_off, list_end=0.4),
    ]
    assert [outcome(p) for p in parts] == [Outcome.NO_DECISION] * 3 + [Outcome.PASS]
    rates = part_rates(parts)
    assert (rates.escape, rates.overkill, rates.undecided) == (Proportion(1, 3), Proportion(1, 1), 3)


def test_moving_the_score_leaves_the_other_conditions_of_a_recipe() -> None:
    rules = (Rule("large pit", ("pit",), 0.8, min_area_px=100.0), Rule("scratch", ("scratch",), 0.2))
    seen = part(True, 0.5, rules=rules)
    assert outcome(seen) is Outcome.PASS
    assert outcome(seen, 0.5) is Outcome.REJECT
    small = Part(True, (Rule("large pit", ("pit",), 0.8, min_area_px=101.0),), seen.findings, 0.0)
    assert outcome(small, 0.5) is Outcome.PASS


@given(st.integers(0, 1000), st.floats(0.05, 0.9), st.floats(0.0, 0.09))
@usual(30)
def test_a_higher_score_never_rejects_more(seed: int, score: float, more: float) -> None:
    random = np.random.default_rng(seed)
    parts = [part(bool(random.integers(2)), *random.random(int(random.integers(4))).tolist()) for _ in range(30)]
    first, second = part_rates(parts, score), part_rates(parts, score + more)
    assert second.escape.count >= first.escape.count
    assert second.overkill.count <= first.overkill.count


def test_escapes_per_million_scale_with_the_prevalence() -> None:
    escape = Proportion(2, 100)
    low, high = clopper_pearson(2, 100)
    assert escape_ppm(escape, 0.01) == pytest.approx((200.0, low * 1e4, high * 1e4))
    assert escape_ppm(Proportion(0, 0), 0.01) is None
    none = escape_ppm(Proportion(0, 300), 1.0)
    assert none is not None
    assert none[:2] == (0.0, 0.0)
    assert none[2] == pytest.approx(12_221, rel=1e-3)  # no escape among 300 still allows 1.2 %


def test_box_rates_are_those_of_counting_at_the_score() -> None:
    found, truth = random_data(3)
    rankings = {cls: ap.rank(found, truth, index) for index, cls in enumerate(CLASSES)}
    boxed = box_rates(rankings, 0.5)
    hits = detections = 0
    for seen, true in zip(found, truth, strict=True):
        for label in range(3):
            mine = np.flatnonzero(seen.labels == label)[:100]
            mine = mine[seen.scores[mine] >= 0.5]
            hits += int(ap.match(seen.boxes[mine], true.boxes[true.labels == label], 0.5).sum())
            detections += len(mine)
    total = sum(len(true.labels) for true in truth)
    assert (boxed.precision, boxed.recall) == (Proportion(hits, detections), Proportion(hits, total))
    p, r = hits / detections, hits / total
    assert boxed.f1 == pytest.approx(2 * p * r / (p + r))
    assert box_rates(rankings, 1.1).f1 == 0.0


def test_the_bootstrap_is_seeded_and_holds_the_figure() -> None:
    found, truth = random_data(1, images=60)
    rankings = {cls: ap.rank(found, truth, index) for index, cls in enumerate(CLASSES)}
    figure = ap.quality_of(rankings).map50
    low, high = bootstrap_map(rankings, 300)
    assert low < figure < high
    assert bootstrap_map(rankings, 300) == (low, high)
    assert bootstrap_map(rankings, 300, seed=1) != (low, high)
    more_found, more_truth = random_data(1, images=240)
    more = {cls: ap.rank(more_found, more_truth, index) for index, cls in enumerate(CLASSES)}
    narrow_low, narrow_high = bootstrap_map(more, 300)
    assert 0.3 < (narrow_high - narrow_low) / (high - low) < 0.75  # about half of it, with four times the pictures
    with pytest.raises(ValueError, match="no truth"):
        bootstrap_map({"c": rankings["c"]}, 10)


def test_copies_that_are_drawn_together_do_not_narrow_the_interval() -> None:
    found, truth = random_data(1, images=40)
    once = {cls: ap.rank(found, truth, index) for index, cls in enumerate(CLASSES)}
    four = {cls: ap.rank(list(found) * 4, list(truth) * 4, index) for index, cls in enumerate(CLASSES)}
    together = bootstrap_map(four, 200, groups=np.tile(np.arange(40), 4))
    assert together == pytest.approx(bootstrap_map(once, 200))
    low, high = bootstrap_map(four, 200)
    assert high - low < 0.75 * (together[1] - together[0])


def test_the_bootstrap_of_certainty_is_a_point() -> None:
    truth = [ap.Truth(np.array([[0, 0, 10, 10]], np.float32), np.array([0]))] * 5
    found = [ap.Detections(true.boxes, np.array([0.9], np.float32), true.labels) for true in truth]
    assert bootstrap_map({"a": ap.rank(found, truth, 0)}, 50) == (1.0, 1.0)
