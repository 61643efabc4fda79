"""Track and TimePosition against exact arithmetic on unbounded numbers."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.counter import delta, wrap
from edge.core.position import TimePosition, Track

SPAN = 1 << 32
S = 1_000_000_000

speeds = st.sampled_from([0.001, 0.5, 3.0, 10_000.0, 10_100.1, 2_000_000.0])
starts = st.sampled_from([0, 5, SPAN - 3, 3 * SPAN - 1, 1 << 31])
moves = st.lists(st.tuples(st.integers(0, 5 * S), st.floats(-1, 1), st.booleans()), min_size=1, max_size=12)


@given(speeds, starts, moves, st.integers(0, 10 * S))
def test_the_belt_is_never_beyond_the_bound(
    speed: float, start: int, moves: list[tuple[int, float, bool]], on: int
) -> None:
    track = Track(speed)
    now, place = 0, Fraction(start)
    track.seen(wrap(start), 0)
    for duration, share, is_read in moves:
        now += duration
        place += Fraction(share) * Fraction(speed) * duration / S
        bound = track.at_most(now)
        assert bound is not None
        assert delta(bound, wrap(floor(place))) >= 0
        if is_read:
            track.seen(wrap(floor(place)), now)
            assert track.at_most(now) == wrap(floor(place))
    fresh = Track(speed)
    fresh.seen(wrap(start), 0)
    assert fresh.at_most(on) == wrap(start + ceil(Fraction(ceil(1000 * speed), 1000) * on / S))


@given(speeds, starts, st.integers(-5_000, 100_000_000), st.integers(0, 5 * S))
def test_the_earliest_time_is_the_first_at_which_the_bound_has_come_there(
    speed: float, start: int, ahead: int, at_ns: int
) -> None:
    track = Track(speed)
    track.seen(wrap(start), at_ns)
    count = wrap(start + ahead)
    first = track.earliest_ns(count)
    assert first is not None
    bound = track.at_most(first)
    assert bound is not None
    if ahead <= 0:
        assert first == at_ns
    elif Fraction(ahead) < 1 << 31:
        assert delta(bound, count) >= 0
        before = track.at_most(first - 1)
        assert before is not None
        assert delta(before, count) < 0


def test_without_a_reading_nothing_is_known() -> None:
    track = Track(1000.0)
    assert (track.at_most(5), track.earliest_ns(5), track.high) == (None, None, None)
    assert not track.is_behind(5)


def test_the_newest_reading_holds_even_where_it_is_lower() -> None:
    track = Track(1000.0)
    track.seen(5000, S)
    track.bounded(5200, 2 * S)
    track.bounded(4000, 3 * S)
    assert track.at_most(3 * S) == 4000
    track.seen(6000, 2 * S)  # came late: older than what is known
    assert track.at_most(3 * S) == 4000
    assert track.high == 6000


@pytest.mark.parametrize(("ahead", "after_ns"), [(-1, 0), (0, 0), (1, 1), (2, 1_000_001), (3, 2_000_001)])
def test_each_count_takes_its_time(ahead: int, after_ns: int) -> None:
    track = Track(1000.0)
    track.seen(SPAN - 1, S)
    assert track.earliest_ns(wrap(SPAN - 1 + ahead)) == S + after_ns


def test_of_two_readings_at_one_time_the_later_holds() -> None:
    track = Track(1000.0)
    track.bounded(5, S)
    track.bounded(3, S)
    assert track.at_most(S) == 3


def test_without_backlash_each_count_tells() -> None:
    track = Track(1000.0)
    track.seen(10, 0)
    track.seen(11, 0)
    assert [track.is_behind(count) for count in (10, 11)] == [True, False]


def test_only_parts_raise_the_high_water_count() -> None:
    track = Track(1000.0, backlash=20)
    track.bounded(9000, 0)
    assert track.high is None
    track.seen(1000, 0)
    track.seen(400, 1)
    assert track.high == 1000


@pytest.mark.parametrize("high", [1000, 5, SPAN - 1])
@pytest.mark.parametrize(("back", "behind"), [(-1, False), (0, False), (20, False), (21, True), (1 << 30, True)])
def test_behind_begins_beyond_the_backlash(high: int, back: int, behind: bool) -> None:
    track = Track(1000.0, backlash=20)
    track.seen(high, 0)
    assert track.is_behind(wrap(high - back)) is behind


def test_a_new_epoch_forgets_all_and_a_new_fence_the_high_water_count_alone() -> None:
    track = Track(1000.0)
    track.seen(1000, 0)
    track.fenced()
    assert (track.high, track.at_most(0)) == (None, 1000)
    assert not track.is_behind(5)
    track.seen(1000, 0)
    track.restart()
    assert (track.high, track.at_most(0)) == (None, None)
    track.seen(7, 0)  # an older time than before the epoch is no older reading
    assert track.at_most(0) == 7


@given(
    st.integers(0, 10**6).map(lambda n: n / 1000),
    st.integers(1, 10**7).map(lambda n: n / 1000),
    st.integers(0, 1 << 63),
)
def test_time_gives_whole_counts_exactly_and_wraps(counts_per_mm: float, speed: float, ns: int) -> None:
    exact = Fraction(str(counts_per_mm)) * Fraction(str(speed)) * ns / S
    assert TimePosition(counts_per_mm, speed).count_at(ns) == floor(exact) % SPAN


def test_time_wraps_at_32_bit_between_two_nanoseconds() -> None:
    position = TimePosition(10.0, 100.0)  # a count each millisecond
    wraps_ns = SPAN * 1_000_000
    assert [position.count_at(ns) for ns in (999_999, 1_000_000, wraps_ns - 1, wraps_ns)] == [0, 1, SPAN - 1, 0]
