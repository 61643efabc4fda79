import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.simulate.world import UNCOUNTED, Event, Kind, Line, World

MS = 1_000_000
START = 5_000_000_000


def at_ms(event: Event) -> float:
    return (event.at_ns - START) / MS


def index(event: Event) -> int | None:
    return event.plate and event.plate.index


def free(**changes: object) -> World:
    return World(Line(**{"interlock": False, "parts": 3, **changes}), START)  # type: ignore[arg-type]


def edges(events: list[Event]) -> list[tuple[Kind, int | None, int]]:
    return [(e.kind, index(e), e.number) for e in events if e.kind in (Kind.EYE_FRONT, Kind.EYE_TAIL)]


# -- the encoder -------------------------------------------------------------------------------------------------


def test_a_frozen_encoder_stands_while_the_belt_runs() -> None:
    world = free()
    world.advance(START + 100 * MS)
    world.freeze_encoder(START + 100 * MS)
    events = world.advance(START + 400 * MS)
    assert [e.count for e in events] == [4_001_000] * 5
    world.jump_encoder(START + 400 * MS, 5)
    assert world.count_at(START + 410 * MS) == 4_001_005
    world.thaw_encoder(START + 500 * MS)
    assert world.count_at(START + 600 * MS) == 4_002_005
    past = [50, 100, 250, 450]
    assert [world.count_at(START + ms * MS) for ms in past] == [4_000_500, 4_001_000, 4_001_000, 4_001_005]
    assert world.travel_mm(START + 600 * MS) == 600


def test_the_encoder_jumps_and_starts_anew() -> None:
    world = free(count_start=10, epoch=0xFFFF)
    world.jump_encoder(START + 100 * MS, -2000)
    assert world.count_at(START + 100 * MS) == 2**32 - 990
    assert world.epoch == 0xFFFF
    world.new_epoch(START + 200 * MS, 7)
    assert (world.epoch, world.count_at(START + 201 * MS)) == (0, 17)
    assert world.count_at(START + 150 * MS) == 2**32 - 490


@given(st.lists(st.tuples(st.integers(1, 2000), st.integers(0, 5)), max_size=40))
def test_the_last_five_seconds_stay_exact(steps: list[tuple[int, int]]) -> None:
    world = free(parts=0)
    seen: dict[int, int] = {}
    now = START
    for step, command in steps:
        now += step * MS
        world.advance(now)
        if command == 0:
            world.set_speed(now, step)
        elif command == 1:
            world.ramp(now, -step, 900)
        elif command == 2:
            world.freeze_encoder(now)
        elif command == 3:
            world.thaw_encoder(now)
        elif command == 4:
            world.jump_encoder(now, step)
        else:
            world.new_epoch(now, step)
        seen[now] = world.count_at(now)
    assert {ns: world.count_at(ns) for ns in seen if ns >= now - 5000 * MS} == {
        ns: count for ns, count in seen.items() if ns >= now - 5000 * MS
    }


def test_memory_stays_flat() -> None:
    world = free(parts=0, pitch_mm=66.0, length_mm=20.0, confirm_mm=50.0)
    now = START
    sizes = set()
    for turn in range(400):
        now += 100 * MS
        world.advance(now)
        world.ramp(now, 500 + turn % 2 * 500, 100_000)
        world.jump_encoder(now, 1)
        world.command_gate(now, turn % 3 == 0)
        world.remove(turn)
        held = (world._belt._stretches, world._encoder._readings, world._ahead, world._behind, world._rides)
        if turn >= 100:
            sizes.add(sum(map(len, held)))
    assert max(sizes) < 300


# -- the eye -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 20))
def test_an_edge_latches_its_count_with_bounded_scatter(jitter: int) -> None:
    world = free(parts=40, eye_jitter_counts=jitter, first_number=0xFFFF_FFF0)
    events = [e for e in world.advance(START + 4500 * MS) if e.kind is Kind.EYE_FRONT]
    errors = [e.count - world.count_at(e.at_ns) for e in events]
    assert all(abs(error) <= jitter for error in errors)
    assert jitter < 5 or max(errors) > 0 > min(errors)


def test_a_blocked_eye_sees_one_long_thing() -> None:
    world = free()
    assert world.advance(START + 150 * MS) == []
    world.block_eye(START + 150 * MS, 190)
    assert (world.eye_covered, world.eye_number, world.next_ns()) == (True, 1001, START + 150 * MS)
    events = world.advance(START + 1000 * MS)
    assert edges(events) == [
        (Kind.EYE_FRONT, None, 1001),
        (Kind.EYE_TAIL, 1, 1001),  # it was still under the eye when that was freed
        (Kind.EYE_FRONT, 2, 1002),
        (Kind.EYE_TAIL, 2, 1002),
    ]
    assert [e.number for e in events if e.kind is Kind.GATE] == [UNCOUNTED, UNCOUNTED, 1002]


def test_an_eye_blocked_on_a_standing_belt_comes_free() -> None:
    world = free()
    world.set_speed(START, 0)
    world.block_eye(START, 50)
    events = world.advance(START + 1000 * MS)
    assert [(e.kind, e.plate, at_ms(e)) for e in events] == [(Kind.EYE_FRONT, None, 0), (Kind.EYE_TAIL, None, 50)]


@pytest.mark.parametrize("extra", [1, 3])
def test_an_eye_that_bounces_counts_one_plate_several_times(extra: int) -> None:
    world = free(parts=2)
    world.bounce_next(extra)
    events = [e for e in world.advance(START + 1000 * MS) if e.kind is Kind.EYE_FRONT]
    assert [index(e) for e in events] == [0] * (1 + extra) + [1]
    assert [e.number for e in events] == [1001 + i for i in range(2 + extra)]
    assert events[extra].count - events[0].count == 10 * extra


def test_touching_plates_are_one_part_to_the_eye() -> None:
    world = free(parts=4)
    world.advance(START + 10 * MS)
    world.touch_next()  # the second plate
    events = world.advance(START + 2000 * MS)
    assert [(kind, at) for kind, at, _ in edges(events)][:4] == [
        (Kind.EYE_FRONT, 0),
        (Kind.EYE_TAIL, 1),
        (Kind.EYE_FRONT, 2),
        (Kind.EYE_TAIL, 2),
    ]
    assert [e.count - 4_000_000 for e in events[:3]] == [2000, 3200, 3600]
    assert [e.number for e in events if e.kind is Kind.GATE] == [1001, UNCOUNTED, 1002, 1003]


def test_touching_comes_later_where_it_is_too_late_for_the_next() -> None:
    world = free(parts=3)
    world.advance(START + 90 * MS)
    world.touch_next()
    events = world.advance(START + 2000 * MS)
    assert [index(e) for e in events if e.kind is Kind.EYE_FRONT] == [0, 1]


def test_a_plate_is_taken_off_the_belt_before_the_gate_alone() -> None:
    world = free()
    assert not world.remove(0)
    world.advance(START + 230 * MS)
    assert world.remove(0)  # from under the eye
    assert not world.remove(0)
    assert edges(world.advance(START + 230 * MS)) == [(Kind.EYE_TAIL, 0, 1001)]
    world.advance(START + 810 * MS)
    assert not world.remove(1)  # it is in the gate
    assert world.remove(2)
    assert [index(e) for e in world.advance(START + 3000 * MS)] == [1]
    assert (world.reject, world.removed) == (1, 2)


def test_the_sensor_behind_the_gate_sees_what_falls_good() -> None:
    world = free(confirm_mm=50.0)
    world.command_gate(START, True)
    world.advance(START + 800 * MS)
    world.command_gate(START + 770 * MS, False)
    events = world.advance(START + 3000 * MS)
    assert [(at_ms(e), index(e), e.number) for e in events if e.kind is Kind.CONFIRM] == [(810.0, 0, 1001)]
