import pytest

from edge.simulate import plc_map as plc
from edge.simulate.plc_parts import REMEMBERED_PARTS
from tests.support_plc import SETTINGS, Bench, C, armed, running


def in_window() -> Bench:
    bench = armed()
    assert bench.scan(C + 4800).gate_open
    return bench


def second_part(bench: Bench, count: int, slot: int = 1) -> int:
    """Count part 1002, ask for its permit, and return what became of it."""
    bench.part(1002, count)
    bench.scan(count - bench.slip + 700)
    bench.permit(1002, count, slot=slot, epoch=bench.epoch)
    bench.reg[plc.G_EPOCH] = bench.epoch
    bench.scan()
    return bench.status(slot)


def test_a_new_epoch_shuts_an_open_gate_and_forgets_all_parts() -> None:
    bench = in_window()
    bench.epoch, bench.slip = 2, -(C + 4800)
    assert not any(bench.scan(C + 4800 + step, ms=5).gate_open for step in range(0, 6500, 50))
    assert bench.status() == plc.EXPIRED
    bench.reg[plc.G_EPOCH] = 2
    bench.permit(epoch=2)
    bench.scan()
    assert bench.status() == plc.UNKNOWN_PART
    bench.control(fence=0, epoch=2)
    assert second_part(bench, 6600) == plc.ARMED


def test_a_new_epoch_alone_voids_permits() -> None:
    bench = armed()
    bench.epoch = 2
    bench.scan(C + 900)
    assert bench.status() == plc.EXPIRED


@pytest.mark.parametrize("moving", [True, False])
@pytest.mark.parametrize(("still_ms", "is_open"), [(39.9, True), (40, False)])
def test_a_window_does_not_outlive_a_count_that_stands(moving: bool, still_ms: float, is_open: bool) -> None:
    bench = in_window()
    assert SETTINGS.still_ms == 40
    bench.moving = moving
    assert bench.scan(ms=still_ms).gate_open is is_open
    assert bench.status() == (plc.EXECUTED if is_open else plc.EXPIRED)
    bench.moving = True
    assert bench.scan(C + 4900).gate_open is is_open
    bench.scan(C + 5800)
    assert bench.reg[plc.GATE_RING + 4 + 2] == (plc.ACTION_GOOD if is_open else plc.ACTION_REJECTED)


def test_an_encoder_that_trembles_on_the_spot_stands() -> None:
    bench = in_window()
    opened = [bench.scan(C + 4800 - step % 2, ms=5).gate_open for step in range(20)]
    assert opened == [True] * 7 + [False] * 13


@pytest.mark.parametrize(("moving", "status"), [(True, plc.EXPIRED), (False, plc.ARMED)])
def test_permits_upstream_outlive_a_belt_that_stands_but_not_a_frozen_encoder(moving: bool, status: int) -> None:
    bench = armed()
    bench.moving = moving
    for _ in range(100):
        bench.scan()
    assert bench.status() == status
    bench.moving = True
    bench.scan()  # the belt's relay comes before its first count
    assert bench.scan(C + 4800).gate_open is (status == plc.ARMED)


@pytest.mark.parametrize(("slip", "is_void"), [(120, False), (121, True), (1000, True), (-121, True), (2**31, True)])
def test_an_encoder_that_jumps_voids_all_permits(slip: int, is_void: bool) -> None:
    # 10 ms at twice the highest speed are 200 counts, the backlash is 20, and the belt goes on by 100
    bench = armed()
    bench.slip = slip
    bench.scan(C + 900)
    assert bench.status() == (plc.EXPIRED if is_void else plc.ARMED)
    opened = [place for place in range(C + 1000, C + 6500, 50) if bench.scan(place, ms=5).gate_open]
    assert bool(opened) is not is_void


def test_a_jump_shuts_an_open_gate() -> None:
    bench = in_window()
    bench.slip = 300
    assert not bench.scan(C + 4850, ms=5).gate_open
    assert bench.status() == plc.EXPIRED
    assert (bench.get32(plc.REJECTED_W), bench.get32(plc.GATED_W)) == (1, 1)


def test_a_late_scan_is_no_jump() -> None:
    bench = armed()
    bench.scan(C + 900 + 3000, ms=310)
    assert bench.status() == plc.ARMED


@pytest.mark.parametrize("slip", [1000, -1000])
def test_after_a_jump_only_parts_counted_since_may_pass(slip: int) -> None:
    bench = running()
    bench.slip = slip
    bench.scan(C + 900)
    bench.permit(slot=1)
    bench.scan(C + 950)
    assert bench.status(1) == plc.EXPIRED
    assert second_part(bench, C + 1800 + slip, slot=2) == plc.ARMED


@pytest.mark.parametrize(("distance", "status"), [(800, plc.ARMED), (799, plc.NOT_PERMITTABLE)])
def test_the_smallest_pitch_counts_from_a_jump(distance: int, status: int) -> None:
    bench = running()
    bench.slip = 2000
    bench.scan(C + 800)
    assert second_part(bench, C + 2800 + distance) == status


def test_parts_that_an_encoder_left_behind_do_not_fill_the_table() -> None:
    bench = Bench()
    bench.scan()
    for index in range(40):
        bench.part(1001 + index, C + 1000 * index + bench.slip)
        bench.scan(C + 1000 * index + 700)
        bench.slip -= 100_000
    assert len(bench.program._parts) <= REMEMBERED_PARTS + 1


@pytest.mark.parametrize(("back", "status"), [(20, plc.ARMED), (21, plc.EXPIRED)])
@pytest.mark.parametrize("step", [1, 50])
def test_a_belt_that_goes_back_beyond_its_backlash_voids_permits(back: int, status: int, step: int) -> None:
    bench = armed()
    for place in [*range(0, back, step), back]:
        bench.scan(C + 800 - place, ms=1)
    assert bench.status() == status


def test_a_belt_that_goes_back_reopens_no_window() -> None:
    bench = armed()
    for place in range(C + 1000, C + 5700, 50):
        bench.scan(place, ms=5)
    assert bench.get32(plc.GATED_W) == 1
    back = [*range(C + 5660, C + 5640, -1), *range(C + 5640, C + 3000, -100), *range(C + 3000, C + 6000, 100)]
    assert not any(bench.scan(place).gate_open for place in back)
    assert bench.get32(plc.HONOURED_W) == 1


def test_a_belt_that_rocks_back_reopens_no_window() -> None:
    bench = armed()
    assert [bench.scan(C + place).gate_open for place in (4800, 5640, 5650, 5640, 5660)] == [True, True] + [False] * 3


def test_a_belt_that_rocks_back_before_the_window_shuts_the_gate() -> None:
    bench = armed()
    assert [bench.scan(C + place).gate_open for place in (4730, 4729, 4735)] == [True, False, True]


def test_a_belt_that_goes_back_gives_no_part_a_second_chance() -> None:
    bench = running()
    bench.scan(C + 5760)
    for place in (5750, 4600):
        bench.scan(C + place)
    bench.permit()
    bench.scan()
    assert bench.status() == plc.EXPIRED
    assert not any(bench.scan(place).gate_open for place in range(C + 4600, C + 6500, 50))
