"""The windows of the pulse signal: what begins, ends, shares and forgets them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.pulse import PulseGate
from tests.support_hypothesis import usual
from tests.support_pulse import END, GEOMETRY, LENGTH, MS, START, Gate, span

# -- a speed that is only estimated ----------------------------------------------------------------------------------


@pytest.mark.parametrize("slower", [0.0, 0.1, 0.9])
def test_a_window_that_has_begun_stays_begun_when_the_belt_seems_slower(slower: float) -> None:
    pulse = Gate().parts(0, permitted=(1,)).pulse
    pulse.advance(START - 6, 1.0, 0)
    assert not pulse.on
    pulse.advance(START - 5, 1.0, MS)
    assert pulse.on
    pulse.advance(START - 4, slower, 2 * MS)
    assert pulse.on, "the gate is on its way"


@pytest.mark.parametrize("slower", [0.0, 0.1, 0.9])
def test_a_window_that_is_over_stays_over_when_the_belt_seems_slower(slower: float) -> None:
    gate = Gate().parts(0, permitted=(1,)).run(START - 10, END - 4)
    assert gate.pulse.on
    assert gate.pulse.advance(END - 3, 1.0, END * MS) == []
    assert not gate.pulse.on
    assert gate.pulse.advance(END - 2, slower, END * MS) == []
    assert not gate.pulse.on
    assert gate.pulse.advance(END, slower, END * MS) == [(1, "executed")]


@usual(100)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 3.0]), min_size=100, max_size=100), st.booleans())
def test_whatever_the_speed_seems_the_output_goes_on_once_and_off_once(speeds: list[float], rests: bool) -> None:
    pulse = PulseGate(replace(GEOMETRY, rests_in_pass=rests))
    pulse.part(1, 0)
    assert rests or pulse.permit(1)
    states = [False]
    for count, speed in enumerate(speeds, START - 10):
        pulse.advance(count, speed, count * MS)
        if pulse.on is not states[-1]:
            states.append(pulse.on)
    assert states == [False, True, False]


# -- parts that come again, and eyes that bounce ---------------------------------------------------------------------


def test_a_part_that_is_known_changes_nothing() -> None:
    gate = Gate().parts(0, 300, permitted=(1, 2))
    gate.pulse.part(1, 0)
    gate.pulse.part(2, 300)
    assert len(gate.pulse._windows) == 2
    assert gate.run(0, 1000).events == [(END, 1, "executed"), (END + 300, 2, "executed")]


def test_a_part_without_a_permit_that_is_told_again_may_still_get_one() -> None:
    gate = Gate().parts(0)
    gate.pulse.part(1, 0)
    assert gate.pulse.permit(1)
    assert gate.run(0, 600).events == [(END, 1, "executed")]


@pytest.mark.parametrize(("apart", "windows"), [(0, 1), (1, 1), (LENGTH - 1, 1), (LENGTH, 2), (-1, 2)])
def test_a_part_within_the_length_of_one_without_a_permit_shares_its_window(apart: int, windows: int) -> None:
    gate = Gate().parts(100, 100 + apart)
    assert len(gate.pulse._windows) == windows
    assert gate.pulse.permit(1) is gate.pulse.permit(2) is (windows == 2)


def test_a_window_that_is_shared_reaches_to_the_end_of_the_last_part() -> None:
    gate = Gate(replace(GEOMETRY, rests_in_pass=True)).parts(0, 40).run(300, 800)
    assert gate.on == span(START - 5, END + 40 - 4)
    assert gate.events == [(END + 40, 1, "rejected")]


def test_a_forerunner_that_has_its_permit_shares_nothing_with_its_follower() -> None:
    gate = Gate().parts(0, permitted=(1,))
    gate.pulse.part(2, 30)
    assert len(gate.pulse._windows) == 2
    gate.run(0, 700)
    assert (gate.on, gate.events[0][1:]) == ([], (1, "collateral"))


@pytest.mark.parametrize("permitted", [(), (1,)])
def test_an_eye_that_bounces_while_the_belt_stands_fills_no_memory(permitted: tuple[int, ...]) -> None:
    gate = Gate().parts(0, permitted=permitted)
    for number in range(2, 5000):
        gate.pulse.part(number, number % 3)
        gate.pulse.advance(10, 0.0, number * MS)
    assert len(gate.pulse._windows) <= 4


# -- a new session ---------------------------------------------------------------------------------------------------


def test_a_restart_forgets_every_window_and_tells_of_the_permits() -> None:
    gate = Gate().parts(0, 300, 600, permitted=(1, 3)).run(0, START)
    assert gate.pulse.restart() == [1, 3]
    assert gate.pulse.restart() == []
    assert gate.pulse.next_counts(START, 1.0) is None
    gate.run(START + 1, 1500)
    assert (gate.on, gate.events) == (span(START - 5, START), [])


def test_windows_of_other_counts_do_not_block_those_of_a_new_epoch() -> None:
    gate = Gate().parts(1 << 20, permitted=(1,)).run(0, 10)
    gate.pulse.restart()
    gate.pulse.part(2, 0)
    assert gate.pulse.permit(2)
    assert gate.run(11, 600).on == span(START - 5, END - 4)
