"""Drift: limits of a learnt rate, the sequential test and its false alarms, and learning itself."""

from __future__ import annotations

from math import ceil, comb, exp, log
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.core.drift import (
    MISS,
    ONE_SIDED_TESTS,
    Cusum,
    Drift,
    Learnt,
    RateDrift,
    Wanted,
    above_median,
    divergence,
    limits,
    threshold,
    with_odds,
)

RATES = st.floats(0.001, 0.999)


# -- limits ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_limits_enclose_what_was_seen(seen: tuple[int, int]) -> None:
    hits, parts = seen
    lowest, highest = limits(hits, parts)
    assert 0 <= lowest <= hits / parts <= highest <= 1
    assert (lowest == 0) == (hits == 0)
    assert (highest == 1) == (hits == parts)


@pytest.mark.parametrize("rate", [0.001, 0.02, 0.3, 0.5, 0.93])
@pytest.mark.parametrize("parts", [20, 200])
def test_limits_miss_the_true_rate_as_seldom_as_they_say(rate: float, parts: int) -> None:
    chances = [comb(parts, k) * rate**k * (1 - rate) ** (parts - k) for k in range(parts + 1)]  # exact binomial
    ends = [limits(k, parts, miss=0.05) for k in range(parts + 1)]
    assert sum(c for c, (low, _) in zip(chances, ends, strict=True) if rate < low) <= 0.05
    assert sum(c for c, (_, high) in zip(chances, ends, strict=True) if rate > high) <= 0.05


def test_limits_close_in_with_more_parts() -> None:
    wide, narrow = limits(5, 100), limits(250, 5000)
    assert wide[0] < narrow[0] < 0.05 < narrow[1] < wide[1]
    assert narrow[0] > 0.035
    assert narrow[1] < 0.065


@given(RATES, RATES)
def test_divergence_is_none_only_for_the_same_rate(x: float, rate: float) -> None:
    assert divergence(x, rate) >= -1e-12
    assert divergence(x, x) == pytest.approx(0, abs=1e-12)


def test_divergence_by_hand() -> None:
    assert divergence(0.5, 0.25) == pytest.approx(0.5 * log(2) + 0.5 * log(2 / 3))
    assert divergence(0.0, 0.25) == pytest.approx(log(4 / 3))
    assert divergence(1.0, 0.25) == pytest.approx(log(4))


# -- the test -------------------------------------------------------------------------------------------------------


@given(rate=RATES, factor=st.floats(1.2, 20), up=st.booleans(), share=st.floats(0, 1))
def test_the_bound_on_false_alarms_holds_on_the_whole_harmless_side(
    rate: float, factor: float, up: bool, share: float
) -> None:
    """E[exp(ratio)] <= 1, from which the mean time to a false alarm follows (see the module)."""
    changed = with_odds(rate, factor if up else 1 / factor)
    cusum = Cusum(rate, changed, 1e9)
    cusum.add(up)  # what speaks for a change
    hit, miss = log(changed / rate), log((1 - changed) / (1 - rate))
    assert cusum.value == pytest.approx(hit if up else miss)
    cusum.add(not up)
    assert cusum.value == pytest.approx(max(0.0, hit + miss), abs=1e-9)
    true = rate * share if up else rate + (1 - rate) * share
    assert true * exp(hit) + (1 - true) * exp(miss) <= 1 + 1e-9


def _run_lengths(rng: np.random.Generator, rate: float, cusum: Cusum, runs: int, most: int) -> NDArray[np.int64]:
    """Return after how many parts of a true ``rate`` each of many tests like ``cusum`` alarms, ``most`` at most."""
    hit, miss, high = cusum._hit, cusum._miss, cusum._threshold
    value, length = np.zeros(runs), np.full(runs, most)
    alive = np.ones(runs, bool)
    for part in range(most):
        value = np.maximum(0, value + np.where(rng.random(runs) < rate, hit, miss))
        ended = alive & (value >= high)
        length[ended] = part + 1
        alive &= ~ended
        if not alive.any():
            break
    return length


@pytest.mark.parametrize(("rate", "factor"), [(0.5, 2.0), (0.3, 0.5), (0.1, 3.0), (0.2, 1 / 3)])
def test_false_alarms_are_as_rare_as_stated(rate: float, factor: float) -> None:
    """By simulation: the mean time to a false alarm is at least exp(threshold) parts.

    It lies about 1 / divergence above that, as the bound counts every part as the start of a run: so the test is not
    blind either.
    """
    wanted = 100
    changed = with_odds(rate, factor)
    cusum = Cusum(rate, changed, log(wanted))
    lengths = _run_lengths(np.random.default_rng(1), rate, cusum, runs=400, most=30_000)
    mean, error = lengths.mean(), lengths.std() / len(lengths) ** 0.5
    assert mean - 3 * error > wanted
    assert 0.5 < mean * divergence(rate, changed) / wanted < 3


def test_false_alarms_with_a_learnt_baseline() -> None:
    """Each run learns its baseline from its own sample: without the limits, every other one would alarm too soon."""
    rng, wanted, rate = np.random.default_rng(2), 20_000, 0.05
    alarms = naive = 0
    for _ in range(300):
        hits = int(rng.binomial(300, rate))
        up = RateDrift(hits / 300, limits(hits, 300), 2.0, log(wanted))._up
        assert up is not None
        seen = max(hits, 1) / 300
        plain = Cusum(seen, with_odds(seen, 2.0), log(wanted))
        draws = rng.random(2000) < rate
        for cusum in (up, plain):
            steps = np.where(draws, cusum._hit, cusum._miss)
            sums = np.concatenate(([0.0], np.cumsum(steps)))
            crossed = bool((sums - np.minimum.accumulate(sums) >= log(wanted)).any())
            alarms += crossed and cusum is up
            naive += crossed and cusum is plain
    assert alarms <= 2  # each at most 2000 / 20 000 of a false alarm, were its baseline at its very limit
    assert naive > 10


@given(st.lists(st.booleans(), max_size=300), st.floats(0.5, 8))
def test_the_statistic_is_pages_up_to_the_alarm(parts: list[bool], high: float) -> None:
    cusum = Cusum(0.2, 0.3, high)
    total = lowest = 0.0
    for hit in parts:
        cusum.add(hit)
        total += cusum._hit if hit else cusum._miss
        lowest = min(lowest, total)
        assert 0 <= cusum.value <= high
        if cusum.alarmed:
            assert total - lowest >= high - 1e-9
            return
        assert cusum.value == pytest.approx(total - lowest, abs=1e-9)


def test_an_alarm_comes_at_the_threshold_and_ends_at_nought() -> None:
    cusum = Cusum(0.5, 2 / 3, 3 * log(4 / 3))  # a hit adds log(4/3), a miss takes log(3/2)
    cusum.add(True)
    cusum.add(True)
    assert not cusum.alarmed
    cusum.add(True)
    assert cusum.alarmed
    for _ in range(5):
        cusum.add(True)
    assert cusum.value == pytest.approx(3 * log(4 / 3))  # capped: what is over is soon forgotten
    cusum.add(False)
    cusum.add(False)
    assert cusum.alarmed
    cusum.add(False)
    assert not cusum.alarmed


def test_the_threshold_shares_the_false_alarms_of_a_year() -> None:
    assert exp(threshold(1e8, 0.1)) == pytest.approx(1e8 * ONE_SIDED_TESTS / 0.1)
    assert threshold(1e-9, 1000) == pytest.approx(log(2))  # never a test that alarms at the first part


@pytest.mark.parametrize(("now", "direction"), [(0.12, 1), (0.01, -1), (0.05, 0)])
def test_a_change_is_found_in_its_direction(now: float, direction: int) -> None:
    year = 31_557_600 * 10  # ten parts a second, day and night
    drift = RateDrift(0.05, limits(300, 6000), 2.0, threshold(year, 0.1))
    draws = np.random.default_rng(3).random(6000) < now
    found = ceil(len(draws))
    for n, hit in enumerate(draws.tolist()):
        drift.add(hit)
        if drift.direction:
            found = n
            break
    assert drift.direction == direction
    assert found < 2500 or direction == 0
    if direction == 0:
        assert drift.recent == pytest.approx(0.05, abs=0.03)


def test_a_baseline_without_a_hit_can_only_rise() -> None:
    drift = RateDrift(0.0, limits(0, 5000), 2.0, 20.0)
    assert drift._down is None
    for _ in range(2000):
        drift.add(False)
    assert drift.direction == 0
    for n in range(400):
        drift.add(n % 10 == 0)
    assert drift.direction == 1
    full = RateDrift(1.0, limits(5000, 5000), 2.0, 20.0)
    assert full._up is None
    for n in range(400):
        full.add(n % 10 > 0)
    assert full.direction == -1


def _alarms_in_a_year(rng: np.random.Generator, parts: int, nats: float, then: float = 0.1) -> int:
    """Return how often the four tests alarm, after a baseline of their own, where a share of 0.1 becomes ``then``."""
    share = np.where(np.arange(parts) < parts // 2, 0.1, then)
    drift = Drift(Learnt(), Wanted(400, 0, 400, 100, 2.0, 2.0, nats))
    alarms = before = 0
    for rejected, score in zip((rng.random(parts) < share).tolist(), rng.beta(8, 3, parts).tolist(), strict=True):
        drift.add(rejected, score if rejected else None)
        now = sum(abs(test.direction) for test in (drift.rejects, drift.scores) if test is not None)
        alarms += max(0, now - before)
        before = now
    return alarms


def test_a_year_has_no_more_false_alarms_than_stated() -> None:
    """Years of 10 000 parts, each with a baseline learnt anew, for which one false alarm is allowed."""
    rng = np.random.default_rng(9)
    nats = threshold(10_000, 1.0)
    assert sum(_alarms_in_a_year(rng, 10_000, nats) for _ in range(16)) <= 16
    assert all(_alarms_in_a_year(rng, 10_000, nats, then=0.3) for _ in range(4))  # and it does find a change


# -- learning -------------------------------------------------------------------------------------------------------

WANTED = Wanted(parts=100, rejects=10, most_parts=1000, findings=20, reject_factor=2.0, score_factor=2.0, threshold=5.0)


def test_both_baselines_are_learnt_and_then_stand() -> None:
    drift = Drift(Learnt(), WANTED)
    for n in range(99):
        drift.add(n % 10 == 0, 0.5 + n / 1000 if n % 10 == 0 else None)
    assert drift.rejects is None
    drift.add(False, None)
    assert drift.rejects is not None
    assert drift.rejects.baseline == 0.1
    assert drift.learning  # ten scores so far
    for n in range(10):
        drift.add(True, 0.6 + n / 1000)
    assert not drift.learning
    learnt = drift.learnt
    assert (learnt.parts, learnt.rejects, len(learnt.scores)) == (100, 10, 20)  # parts beyond are tested, not learnt
    drift.add(True, 0.9)
    assert (learnt.parts, len(learnt.scores)) == (100, 20)


def test_scores_that_fall_are_found_though_the_share_of_rejects_stays() -> None:
    rng = np.random.default_rng(4)
    drift = Drift(Learnt(), Wanted(200, 0, 200, 200, 2.0, 2.0, 8.0))
    for score in rng.uniform(0.6, 0.95, 400).tolist():
        drift.add(True, score)
    assert drift.scores is not None
    assert drift.scores.direction == 0
    for score in rng.uniform(0.5, 0.75, 400).tolist():
        drift.add(True, score)
    assert drift.scores.direction == -1
    assert drift.scores.recent < drift.scores.baseline - 0.1


def test_forgetting_ends_alarms_and_keeps_the_baseline() -> None:
    drift = Drift(Learnt(100, 10, [0.5] * 20), WANTED)
    for _ in range(100):
        drift.add(True, 0.9)
    assert drift.rejects is not None
    assert drift.scores is not None
    assert (drift.rejects.direction, drift.scores.direction) == (1, 1)
    drift.forget()
    assert not drift.learning
    assert (drift.rejects.direction, drift.scores.direction) == (0, 0)
    assert drift.rejects.baseline == 0.1


def test_forgetting_costs_nothing_whatever_was_learnt() -> None:
    """It is done in the thread that carries verdicts, and for many baselines at once."""
    wanted = Wanted(5000, 300, 500_000, 20_000, 2.0, 2.0, 20.0)
    drift = Drift(Learnt(5000, 300, np.random.default_rng(5).random(20_000).tolist()), wanted)
    assert drift.scores is not None
    costs: list[float] = []
    for _ in range(20):
        begun = perf_counter()
        drift.forget()
        costs.append(perf_counter() - begun)
    assert min(costs) < 0.1e-3


def test_scores_are_kept_in_order_however_they_came() -> None:
    drift = Drift(Learnt(0, 0, [0.9, 0.1]), WANTED)
    for score in (0.5, 0.95, 0.05):
        drift.add(False, score)
    assert drift.learnt.scores == [0.05, 0.1, 0.5, 0.9, 0.95]


def test_the_tests_go_on_where_another_was() -> None:
    before = Drift(Learnt(100, 10, [0.5] * 20), WANTED)
    assert before.rejects is not None
    for n in range(20):
        before.add(True, 0.9)
        after = Drift(Learnt(100, 10, [0.5] * 20), WANTED)
        after.resume(before.statistics())
        assert after.statistics() == before.statistics(), n
        assert after.rejects is not None
        assert after.rejects.direction == before.rejects.direction
    assert before.rejects.direction == 1
    assert Drift(Learnt(), WANTED).statistics() == [(0.0, False)] * 4
    learning = Drift(Learnt(), WANTED)
    learning.resume(before.statistics())  # of tests that there are none
    assert learning.statistics() == [(0.0, False)] * 4


def test_what_was_learnt_is_gone_on_with() -> None:
    drift = Drift(Learnt(99, 9, [0.5] * 19), WANTED)
    drift.add(True, 0.7)
    assert not drift.learning
    assert (drift.learnt.parts, drift.learnt.rejects) == (100, 10)


def test_rejects_are_waited_for_but_not_for_ever() -> None:
    drift = Drift(Learnt(), WANTED)
    for n in range(999):
        drift.add(n < 9, None)
    assert drift.rejects is None
    drift.add(False, None)
    assert drift.rejects is not None
    assert drift.rejects.baseline == 0.009
    enough = Drift(Learnt(), WANTED)
    for n in range(105):
        enough.add(n >= 95, None)
    assert enough.rejects is not None
    assert enough.learnt.parts == 105  # the tenth reject came after the hundredth part


@given(st.lists(st.sampled_from([0.3, 0.5, 0.9]) | st.floats(0, 1), min_size=1, max_size=200))
def test_the_median_and_the_share_above_it(scores: list[float]) -> None:
    median, above, (lowest, highest) = above_median(sorted(scores))
    assert median in scores
    assert above == pytest.approx(sum(score > median for score in scores) / len(scores), abs=1e-12)
    assert above <= 0.5
    assert 0 <= lowest <= above <= highest <= 1


@pytest.mark.parametrize("atoms", [2, 5, 10_000])
def test_the_limits_of_a_share_above_the_median_hold(atoms: int) -> None:
    """Scores of a few values or of many: the true share lies outside as seldom as stated."""
    rng, outside = np.random.default_rng(10), 0
    for _ in range(400):
        sample = rng.integers(0, atoms, 100)
        median, _, (lowest, highest) = above_median(sorted(sample.tolist()), miss=0.05)
        outside += not lowest <= (atoms - 1 - median) / atoms <= highest
    assert outside <= 0.1 * 400


def test_equal_scores_make_no_drift() -> None:
    drift = Drift(Learnt(), Wanted(100, 0, 100, 100, 2.0, 2.0, 5.0))
    for _ in range(2000):
        drift.add(True, 1.0)
    assert drift.scores is not None
    assert drift.scores.direction == 0
    assert MISS < 0.01
