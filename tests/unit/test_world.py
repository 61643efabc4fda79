import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.simulate.world import Bin, Event, Kind, Line, World

MS = 1_000_000
START = 5_000_000_000


def at_ms(event: Event) -> float:
    return (event.at_ns - START) / MS


def free(**changes: object) -> World:
    return World(Line(**{"interlock": False, "parts": 3, **changes}), START)  # type: ignore[arg-type]


def test_events_come_in_order_at_the_right_times_and_counts() -> None:
    events = free().advance(START + 2000 * MS)
    assert [(e.kind, e.plate.index, at_ms(e), e.count) for e in events[:5]] == [
        (Kind.EYE_FRONT, 0, 200.0, 4_002_000),
        (Kind.EYE_TAIL, 0, 260.0, 4_002_600),
        (Kind.EYE_FRONT, 1, 300.0, 4_003_000),
        (Kind.EYE_TAIL, 1, 360.0, 4_003_600),
        (Kind.EYE_FRONT, 2, 400.0, 4_004_000),
    ]
    gates = [e for e in events if e.kind is Kind.GATE]
    assert [at_ms(e) for e in gates] == [730.0, 830.0, 930.0]  # centre, not front
    assert len(events) == 9


def test_the_number_is_the_eye_counters() -> None:
    world = free(first_number=0xFFFF_FFFF)
    assert world.eye_number == 0xFFFF_FFFE
    events = world.advance(START + 2000 * MS)
    assert [e.plate.number for e in events if e.kind is Kind.EYE_FRONT] == [0xFFFF_FFFF, 0, 1]
    assert world.eye_number == 1


def test_the_encoder_wraps() -> None:
    world = free(count_start=0xFFFF_FFFF)
    assert world.count_at(START) == 0xFFFF_FFFF
    assert world.count_at(START + MS // 10) == 0


def test_nothing_falls_good_while_the_gate_rests() -> None:
    world = free()
    world.advance(START + 2000 * MS)
    assert (len(world.good), len(world.reject)) == (0, 3)


@pytest.mark.parametrize(("command_ms", "fell"), [(717.999, Bin.GOOD), (718, Bin.GOOD), (718.001, Bin.REJECT)])
def test_the_gate_must_be_open_when_the_centre_passes(command_ms: float, fell: Bin) -> None:
    world = free(parts=1)
    command_ns = START + round(command_ms * MS)
    world.advance(command_ns)
    world.command_gate(command_ns, True)
    assert [e.bin for e in world.advance(START + 2000 * MS)] == [fell]


@pytest.mark.parametrize(("close_ms", "fell"), [(717.999, Bin.REJECT), (718, Bin.REJECT), (718.001, Bin.GOOD)])
def test_a_gate_that_closes_before_the_centre_rejects(close_ms: float, fell: Bin) -> None:
    world = free(parts=1)
    world.advance(START + 600 * MS)
    world.command_gate(START + 600 * MS, True)
    close_ns = START + round(close_ms * MS)
    world.advance(close_ns)
    world.command_gate(close_ns, False)
    assert [e.bin for e in world.advance(START + 2000 * MS)] == [fell]


def test_the_interlock_holds_plates_and_lets_them_go_at_pitch() -> None:
    world = World(Line(parts=3), START)
    assert world.advance(START + 1000 * MS) == []
    world.set_infeed(START + 1000 * MS, True)
    world.advance(START + 1150 * MS)
    world.set_infeed(START + 1150 * MS, False)  # the second plate is in, the third not
    events = world.advance(START + 5000 * MS)
    assert [at_ms(e) for e in events if e.kind is Kind.EYE_FRONT] == [1200.0, 1300.0]
    world.set_infeed(START + 5000 * MS, True)
    events = world.advance(START + 6000 * MS)
    assert [at_ms(e) for e in events if e.kind is Kind.EYE_FRONT] == [5200.0]


def test_a_standing_belt_holds_everything_where_it_is() -> None:
    world = free(parts=1)
    world.advance(START + 500 * MS)
    world.set_speed(START + 500 * MS, 0)
    assert world.next_ns() is None
    assert world.advance(START + 1500 * MS) == []
    assert world.count_at(START + 1500 * MS) == world.count_at(START + 500 * MS) == 4_005_000
    world.set_speed(START + 1500 * MS, 2000)
    assert [at_ms(e) for e in world.advance(START + 3000 * MS)] == [1615.0]
    assert world.count_at(START + 400 * MS) == 4_004_000  # the past stays known


def test_this_belt_does_not_reverse() -> None:
    with pytest.raises(ValueError, match="-1"):
        free().set_speed(START, -1)


def test_tags_are_unique_and_repeat_with_the_seed() -> None:
    def tags(seed: int) -> list[str]:
        events = free(parts=50, seed=seed).advance(START + 60_000 * MS)
        return [e.plate.tag for e in events if e.kind is Kind.GATE]

    assert len(set(tags(1))) == 50
    assert tags(1) == tags(1) != tags(2)


@given(
    st.integers(50, 3000),
    st.floats(0, 60),
    st.lists(st.integers(1, 200 * MS), min_size=1, max_size=50),
)
def test_any_way_of_stepping_time_gives_the_same_events(speed: int, jitter: float, steps: list[int]) -> None:
    stepped, whole = (free(parts=8, speed_mm_s=float(speed), pitch_jitter_mm=jitter) for _ in range(2))
    now, events = START, []
    for step in steps:
        now += step
        events += stepped.advance(now)
    assert events == whole.advance(now)
    assert [e.at_ns for e in events] == sorted(e.at_ns for e in events)
    assert all(e.count == whole.count_at(e.at_ns) or abs(e.count - whole.count_at(e.at_ns)) <= 1 for e in events)
