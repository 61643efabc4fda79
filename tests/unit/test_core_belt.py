"""The belt's place against unbounded numbers, at its bounds and across the wrap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.belt import Belt
from edge.core.counter import wrap
from edge.core.session import Geometry
from tests.support_hypothesis import usual

SPAN = 1 << 32
GATE, COMMIT, PITCH, MATCH, BACKLASH = 5000, 4000, 1000, 450, 20
GEOMETRY = Geometry(GATE, COMMIT, PITCH, MATCH, 900, BACKLASH)
BASES = pytest.mark.parametrize("base", [0, SPAN - 10, SPAN - GATE - PITCH, 1 << 31])


def belt(*readings: int) -> Belt:
    made = Belt(GEOMETRY)
    for reading in readings:
        made.moved(wrap(reading))
    return made


def test_before_the_first_reading_nothing_lies_behind() -> None:
    new = belt()
    assert (new.reading, new.went_back) == (0, False)
    assert not new.is_behind(SPAN - 1)
    assert new.fence(7) == 7 + GATE + PITCH


@BASES
@pytest.mark.parametrize(("back", "behind"), [(-1, False), (0, False), (BACKLASH, False), (BACKLASH + 1, True)])
def test_a_place_is_behind_by_more_than_the_backlash(base: int, back: int, behind: bool) -> None:
    made = belt(base)
    assert made.is_behind(wrap(base - back)) is behind
    assert made.moved(wrap(base - back)) is behind
    assert (made.went_back, made.reading) == (behind, wrap(base - back))


def test_going_back_is_told_once_until_the_belt_is_in_front_again() -> None:
    made = belt(1000)
    assert [made.moved(count) for count in (979, 900, 979, 980, 979)] == [True, False, False, False, True]
    assert made.went_back
    made.moved(1000)
    assert not made.went_back


def test_a_step_of_one_count_ahead_counts() -> None:
    made = belt(1000, 1001)
    assert not made.is_behind(981)
    assert made.is_behind(980)


def test_small_steps_back_add_up() -> None:
    made = belt(1000)
    assert [made.moved(1000 - 7 * n) for n in (1, 2, 3)] == [False, False, True]


@BASES
@pytest.mark.parametrize(("back", "ahead"), [(0, 0), (-5, 5), (1, 0), (5, 0), (300, 0)])
def test_the_fence_lies_a_gate_and_a_pitch_ahead_of_the_furthest(base: int, back: int, ahead: int) -> None:
    made = belt(base)
    assert made.fence(wrap(base - back)) == wrap(base + ahead + GATE + PITCH)


def test_a_restart_forgets_the_furthest() -> None:
    made = belt(9000, 5000)
    made.restart()
    assert (made.reading, made.went_back, made.is_behind(0)) == (0, False, False)
    assert not made.moved(100)


@BASES
@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize(("off", "far"), [(0, False), (GATE + PITCH, False), (GATE + PITCH + 1, True)])
def test_a_place_is_far_by_more_than_a_gate_and_a_pitch(base: int, side: int, off: int, far: bool) -> None:
    made = belt(base + 300, base)
    assert made.is_far(wrap(base + side * off)) is far
    made.restart()
    assert not made.is_far(wrap(base + side * off)), "nobody knows where the belt is"


@BASES
@pytest.mark.parametrize(("off", "agree"), [(-MATCH - 1, False), (-MATCH, True), (MATCH, True), (MATCH + 1, False)])
def test_two_readings_of_one_part_agree_up_to_half_a_pitch(base: int, off: int, agree: bool) -> None:
    assert belt().agree(wrap(base + off), base) is agree


@BASES
@pytest.mark.parametrize(("off", "past"), [(-1, False), (0, False), (1, True)])
def test_commit_point_gate_and_fence(base: int, off: int, past: bool) -> None:
    made = belt()
    assert made.past_commit(base, wrap(base + COMMIT + off)) is past
    assert made.past_gate(base, wrap(base + GATE + off)) is past
    assert made.before_fence(base, wrap(base + GATE + off)) is past


@usual(100)
@given(st.integers(0, 3 * SPAN), st.lists(st.integers(-60, 60), max_size=30))
def test_any_way_of_the_belt_is_followed(start: int, steps: list[int]) -> None:
    made, at, furthest, back = belt(start), start, start, False
    for step in steps:
        at += step
        furthest = max(furthest, at)
        now = at < furthest - BACKLASH
        assert made.moved(wrap(at)) is (now and not back)
        back = now
        assert (made.went_back, made.reading) == (back, wrap(at))
        assert made.fence(wrap(at)) == wrap(furthest + GATE + PITCH)
