from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.core.counter import delta, wrap

SLOW = [HealthCheck.too_slow]

HALF = 1 << 31
anywhere = st.integers(0, (1 << 40))


@settings(deadline=None, suppress_health_check=SLOW)
@given(anywhere, st.integers(-HALF, HALF - 1))
def test_the_distance_survives_any_number_of_wraps(start: int, distance: int) -> None:
    assert delta(wrap(start + distance), wrap(start)) == distance


@settings(deadline=None, suppress_health_check=SLOW)
@given(st.integers())
def test_a_reading_has_32_bits(value: int) -> None:
    assert 0 <= wrap(value) < 1 << 32
    assert wrap(wrap(value)) == wrap(value)


def test_half_the_range_is_behind_not_ahead() -> None:
    assert delta(HALF - 1, 0) == HALF - 1
    assert delta(HALF, 0) == -HALF
    assert delta(0, (1 << 32) - 1) == 1
    assert delta((1 << 32) - 1, 0) == -1
