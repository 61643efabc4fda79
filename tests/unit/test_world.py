import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.simulate.world import Bin, Event, Kind, Line, World

MS = 1_000_000
START = 5_000_000_000


def at_ms(event: Event) -> float:
    return (event.at_ns - START) / MS


def index(event: Event) -> int | None:
    return event.plate and event.plate.index


def free(**changes: object) -> World:
    return World(Line(**{"interlock": False, "parts": 3, **changes}), START)  # type: ignore[arg-type]


def test_events_come_in_order_at_the_right_times_and_counts() -> None:
    events = free().advance(START + 2000 * MS)
    assert [(e.kind, index(e), at_ms(e), e.count) for e in events[:5]] == [
        (Kind.EYE_FRONT, 0, 200.0, 4_002_000),
        (Kind.EYE_TAIL, 0, 260.0, 4_002_600),
        (Kind.EYE_FRONT, 1, 300.0, 4_003_000),
        (Kind.EYE_TAIL, 1, 360.0, 4_003_600),
        (Kind.EYE_FRONT, 2, 400.0, 4_004_000),
    ]
    gates = [e for e in events if e.kind is Kind.GATE]
    assert [at_ms(e) for e in gates] == [760.0, 860.0, 960.0]  # its tail, not its front
    assert len(events) == 9


def test_the_number_is_the_eye_counters() -> None:
    world = free(first_number=0xFFFF_FFFF)
    assert world.eye_number == 0xFFFF_FFFE
    events = world.advance(START + 2000 * MS)
    assert [e.number for e in events if e.kind is Kind.EYE_FRONT] == [0xFFFF_FFFF, 0, 1]
    assert [e.number for e in events if e.kind is Kind.GATE] == [0xFFFF_FFFF, 0, 1]
    assert world.eye_number == 1


def test_the_encoder_wraps() -> None:
    world = free(count_start=0xFFFF_FFFF)
    assert world.count_at(START) == 0xFFFF_FFFF
    assert world.count_at(START + MS // 10) == 0


def test_nothing_falls_good_while_the_gate_rests() -> None:
    world = free()
    world.advance(START + 2000 * MS)
    assert (world.good, world.reject) == (0, 3)


# the front meets the gate at 700 ms, the tail at 760, and the gate follows its output after 12
@pytest.mark.parametrize(
    ("open_ms", "close_ms", "fell", "clipped"),
    [
        (687.999, 2000, Bin.GOOD, False),
        (688, 2000, Bin.GOOD, False),
        (688.001, 2000, Bin.REJECT, True),
        (600, 748.001, Bin.GOOD, False),
        (600, 748, Bin.REJECT, True),
        (600, 687, Bin.REJECT, False),
        (750, 2000, Bin.REJECT, False),
    ],
)
def test_a_good_plate_meets_an_open_gate_with_front_and_tail(
    open_ms: float, close_ms: float, fell: Bin, clipped: bool
) -> None:
    world = free(parts=1)
    events = []
    for ms, is_open in ((open_ms, True), (close_ms, False)):
        now = START + round(ms * MS)
        events += world.advance(now)
        world.command_gate(now, is_open)
    events += world.advance(START + 3000 * MS)
    assert [(e.bin, e.clipped) for e in events if e.kind is Kind.GATE] == [(fell, clipped)]
    assert (world.good, world.reject) == ((1, 0) if fell is Bin.GOOD else (0, 1))


def test_a_gate_that_moves_to_and_fro_under_a_plate_clips_it() -> None:
    world = free(parts=1)
    for ms, is_open in ((600, True), (700, False), (720, True)):
        world.advance(START + ms * MS)
        world.command_gate(START + ms * MS, is_open)
    assert [(e.bin, e.clipped) for e in world.advance(START + 2000 * MS)] == [(Bin.REJECT, True)]


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
    assert world.speed_mm_s == 2000
    assert world.moving()
    assert [at_ms(e) for e in world.advance(START + 3000 * MS)] == [1630.0]
    assert world.count_at(START + 400 * MS) == 4_004_000  # the past stays known


def test_tags_are_unique_and_repeat_with_the_seed() -> None:
    def tags(seed: int) -> list[str]:
        events = free(parts=50, seed=seed).advance(START + 60_000 * MS)
        return [e.plate.tag for e in events if e.plate and e.kind is Kind.GATE]

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
    assert all(e.count == stepped.count_at(e.at_ns) for e in events if e.at_ns >= now - 5000 * MS)


# -- speed -------------------------------------------------------------------------------------------------------


def edges(events: list[Event]) -> list[tuple[Kind, int | None, int]]:
    return [(e.kind, index(e), e.number) for e in events if e.kind in (Kind.EYE_FRONT, Kind.EYE_TAIL)]


def drive(world: World, *legs: tuple[float, float]) -> list[Event]:
    """Run the belt at each speed for each distance in mm, and then stop it."""
    now = world._now_ns
    events = []
    for speed, distance in legs:
        world.set_speed(now, speed)
        now += round(distance / abs(speed) * 1000 * MS)
        events += world.advance(now)
    world.set_speed(now, 0)
    return events


def test_a_ramp_covers_the_distance_of_an_even_change() -> None:
    world = free(parts=0)
    world.ramp(START, 400, 2000)  # 300 ms at 700 mm/s
    assert world.count_at(START + 300 * MS) == 4_002_100
    assert 4_000_850 < world.count_at(START + 100 * MS) < 4_000_950  # 90 mm
    world.advance(START + 300 * MS)
    assert world.speed_mm_s == 400
    world.ramp(START + 300 * MS, 0, 1000)  # 400 ms, 80 mm
    world.advance(START + 700 * MS)
    assert (world.speed_mm_s, world.moving(), world.next_ns()) == (0, False, None)
    assert world.count_at(START + 9000 * MS) == 4_002_900


def test_a_ramp_through_zero_reverses() -> None:
    world = free(parts=0)
    world.ramp(START, -1000, 10_000)
    assert world.count_at(START + 200 * MS) == 4_000_000
    world.advance(START + 200 * MS)
    assert world.speed_mm_s == -1000


def test_a_new_command_drops_the_rest_of_a_ramp() -> None:
    world = free(parts=0)
    world.ramp(START, 0, 1000)
    world.set_speed(START + 500 * MS, 100)
    world.advance(START + 2000 * MS)
    assert world.speed_mm_s == 100
    with pytest.raises(ValueError, match="acceleration of 0"):
        world.ramp(START + 2000 * MS, 0, 0)


def test_events_of_a_ramp_come_when_the_belt_is_there() -> None:
    world = free(speed_mm_s=100.0)
    world.ramp(START, 1000, 900)
    events = world.advance(START + 5000 * MS)
    assert [index(e) for e in events if e.kind is Kind.GATE] == [0, 1, 2]
    assert [(e.count - 4_000_000) // 10 for e in events if e.kind is Kind.EYE_FRONT] == [200, 300, 400]
    assert all(e.count == world.count_at(e.at_ns) for e in events)


# -- reversal ----------------------------------------------------------------------------------------------------


def test_the_eye_counts_a_plate_again_whichever_way_it_passes() -> None:
    world = free(parts=2)
    events = drive(world, (1000, 270), (-1000, 80), (1000, 90))
    assert edges(events) == [
        (Kind.EYE_FRONT, 0, 1001),
        (Kind.EYE_TAIL, 0, 1001),
        (Kind.EYE_FRONT, 0, 1002),  # its tail, backwards
        (Kind.EYE_TAIL, 0, 1002),
        (Kind.EYE_FRONT, 0, 1003),
        (Kind.EYE_TAIL, 0, 1003),
    ]
    counts = [e.count - 4_000_000 for e in events]
    assert counts == [2000, 2600, 2599, 1999, 2000, 2600]
    gates = [e for e in drive(world, (1000, 1000)) if e.kind is Kind.GATE]
    assert [(index(e), e.number) for e in gates] == [(0, 1001), (1, 1004)]


def test_a_plate_that_reverses_at_the_gate_is_judged_when_it_comes_again() -> None:
    world = free(parts=1)
    world.command_gate(START, True)
    drive(world, (1000, 730))
    world.command_gate(START + 730 * MS, False)  # while it stands across the gate
    assert drive(world, (-1000, 40)) == []
    now = START + 770 * MS
    world.command_gate(now, True)
    assert world.advance(now + 100 * MS) == []
    world.set_speed(now + 100 * MS, 1000)
    events = world.advance(now + 500 * MS)
    assert [(e.bin, e.clipped) for e in events] == [(Bin.GOOD, False)]


def test_a_reversal_lets_no_plate_in_twice_or_into_another() -> None:
    world = free(parts=0, pitch_mm=66.0, length_mm=20.0)
    events = drive(world, (1000, 500), (-500, 400), (1000, 2000))
    firsts = {index(e): e.number for e in reversed(events) if e.kind is Kind.EYE_FRONT}
    assert list(firsts) == list(range(max(i for i in firsts if i is not None), -1, -1))
    gates = [index(e) for e in events if e.kind is Kind.GATE]
    assert gates == list(range(len(gates)))


LEGS = st.lists(st.tuples(st.sampled_from([-1000, -250, 200, 2000]), st.integers(1, 400)), max_size=12)


@given(LEGS, st.booleans())
def test_what_runs_forth_and_back_comes_to_where_it_was(legs: list[tuple[int, int]], interlock: bool) -> None:
    world = World(Line(interlock=interlock, pitch_mm=66.0, length_mm=20.0), START)
    world.set_infeed(START, True)
    drive(world, *legs)
    way = sum(distance if speed > 0 else -distance for speed, distance in legs)
    assert world.count_at(world._now_ns) == (4_000_000 + 10 * way) % 2**32
    before = world.count_at(world._now_ns)
    there = edges(drive(world, (1000, 150)))
    back = edges(drive(world, (-1000, 150)))
    assert world.count_at(world._now_ns) == before
    mirrored = [(Kind.EYE_TAIL if kind is Kind.EYE_FRONT else Kind.EYE_FRONT, at) for kind, at, _ in reversed(there)]
    assert [(kind, at) for kind, at, _ in back] == mirrored


@given(LEGS, st.lists(st.integers(0, 12), max_size=3), st.integers(0, 8))
def test_every_plate_ends_in_one_bin_or_is_taken_away(
    legs: list[tuple[int, int]], removed: list[int], jitter: int
) -> None:
    world = World(Line(interlock=False, parts=13, pitch_mm=66.0, length_mm=20.0, eye_jitter_counts=jitter), START)
    events = drive(world, *legs)
    taken = {plate for plate in removed if world.remove(plate)}
    events += drive(world, (1000, 10_000))
    fell = [index(e) for e in events if e.kind is Kind.GATE]
    assert sorted([*taken, *(i for i in fell if i is not None)]) == list(range(13))
    assert (world.good + world.reject, world.removed) == (13 - len(taken), len(taken))
    assert not world.eye_covered
    kinds = [e.kind for e in events if e.kind in (Kind.EYE_FRONT, Kind.EYE_TAIL)]
    assert kinds == [Kind.EYE_FRONT, Kind.EYE_TAIL] * (len(kinds) // 2)
    numbers = [e.number for e in events if e.kind is Kind.EYE_FRONT]
    assert numbers == list(range(1001, 1001 + len(numbers)))
    assert [e.at_ns for e in events] == sorted(e.at_ns for e in events)
