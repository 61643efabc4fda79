import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.simulate.affected import FaultLog

MS = 1_000_000
REACH, PITCH = 5800, 800


def ended(at: int = 10_000, for_counts: int = 2000, allowance_ms: float = 100.0) -> FaultLog:
    """A fault that began at place ``at``, on a belt that travels 10 counts a millisecond from place 0 at time 0."""
    log = FaultLog(REACH, PITCH)
    log.begin("x", at)
    over = at + for_counts
    log.end("x", over // 10 * MS, allowance_ms)
    for place in range(over, over + 4000, 100):  # scans
        log.watch(place // 10 * MS, place)
    return log


@pytest.mark.parametrize(
    ("place", "reached"),
    [(10_000 - REACH - 1, ()), (10_000 - REACH, ("x",)), (12_000, ("x",)), (13_800, ("x",)), (13_801, ())],
)
def test_a_fault_reaches_from_the_gate_of_its_beginning_to_the_fence_behind_its_allowance(
    place: int, reached: tuple[str, ...]
) -> None:
    assert ended().reaching(place) == reached


def test_while_it_runs_and_during_its_allowance_it_reaches_all_that_come() -> None:
    log = FaultLog(REACH, PITCH)
    log.begin("x", 0)
    log.watch(10_000 * MS, 100_000)
    assert (log.reaching(100_000), log.running) == (("x",), ["x"])
    log.end("x", 10_000 * MS, 500.0)
    log.watch(10_499 * MS, 104_990)
    assert (log.reaching(104_990), log.running) == (("x",), [])
    log.watch(10_500 * MS, 105_000)
    assert (log.reaching(105_800), log.reaching(105_801)) == (("x",), ())


def test_a_belt_that_ran_back_meanwhile_shortens_nothing() -> None:
    log = FaultLog(REACH, PITCH)
    log.begin("reverse", 10_000)
    log.end("reverse", 0, 0.0)
    log.watch(0, 8000)
    assert log.reaching(10_800) == ("reverse",)


def test_faults_of_one_name_may_overlap_and_the_oldest_ends_first() -> None:
    log = FaultLog(REACH, PITCH)
    log.begin("x", 0)
    log.begin("x", 100_000)
    log.end("x", 0, 0.0)
    log.watch(0, 20_000)
    assert log.reaching(60_000) == ()
    assert log.reaching(100_000) == ("x",)
    assert log.begun == {"x": 2}
    with pytest.raises(ValueError, match="no fault 'y' is running; there are x"):
        log.end("y", 0, 0.0)


def test_the_memory_is_bounded_and_forgets_no_running_fault() -> None:
    log = FaultLog(REACH, PITCH)
    log.begin("open", 0)
    for n in range(10_000):
        log.begin("x", n * 1000)
        log.end("x", n, 0.0)
        log.watch(n, n * 1000)
    assert len(log._stretches) <= 130
    assert log.running == ["open"]
    assert log.reaching(9_999_000) == ("open", "x")


@given(st.integers(0, 50_000), st.integers(0, 30_000), st.integers(0, 2000), st.integers(-60_000, 120_000))
def test_a_plate_whose_way_overlaps_the_fault_is_reached(at: int, counts: int, allowance_ms: int, place: int) -> None:
    log = FaultLog(REACH, PITCH)
    log.begin("x", at)
    over_ns = (at + counts) * MS // 10
    log.end("x", over_ns, allowance_ms)
    over = at + counts + 10 * allowance_ms
    log.watch(over * MS // 10 + 1, over)
    overlaps = place <= over and place + REACH >= at
    if overlaps:
        assert log.reaching(place) == ("x",)
    elif not over < place <= over + PITCH:
        assert log.reaching(place) == ()
