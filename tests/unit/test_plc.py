import pytest

from edge.simulate import plc_map as plc
from edge.simulate.plc_io import Outputs
from tests.support_plc import COMMIT, GATEWAY, N_D, SETTINGS, STATION, Bench, C, armed, running

# -- registers ---------------------------------------------------------------------------------------------------


def test_the_status_block() -> None:
    bench = running()
    assert bench.reg[:4] == [1, 2, 0b1111, 1]
    assert [bench.get32(at) for at in (4, 6, 8, 10, 12, 14)] == [900, C + 700, 1001, GATEWAY, STATION, C - 10_000]
    assert bench.reg[16:18] == [7, 1]
    ring = plc.TRIGGER_RING + 1001 % 12 * 4
    assert (bench.get32(ring), bench.get32(ring + 2)) == (1001, C)


def test_the_heartbeat_is_the_programs_and_wraps() -> None:
    bench = Bench()
    bench.reg[plc.HEARTBEAT] = 0xFFFF
    bench.scan()
    assert bench.reg[plc.HEARTBEAT] == 0
    bench.program.stop()
    before = list(bench.reg)
    assert bench.scan() == Outputs(False, False)
    assert bench.reg[: plc.READ_ONLY_END] == before[: plc.READ_ONLY_END]


def test_without_a_gateway_nothing_opens() -> None:
    bench = Bench()
    assert bench.scan() == Outputs(False, False)
    assert (bench.flag(plc.RUNNING), bench.flag(plc.GATEWAY_ALIVE), bench.flag(plc.INFEED_OPEN)) == (True, False, False)


@pytest.mark.parametrize(("flags", "is_open"), [(plc.READY, True), (0, False)])
def test_the_infeed_follows_ready(flags: int, is_open: bool) -> None:
    bench = Bench()
    bench.control(flags=flags)
    assert bench.scan().infeed_open is is_open
    assert bench.flag(plc.INFEED_OPEN) is is_open
    assert bench.flag(plc.GATEWAY_ALIVE)


# -- the gate ----------------------------------------------------------------------------------------------------


def test_the_gate_opens_for_a_permit_once_and_closes() -> None:
    bench = armed()
    opened = [count for count in range(C + 1000, C + 6500, 50) if bench.scan(count, ms=5).gate_open]
    assert (opened[0], opened[-1]) == (C + 4750, C + 5600)
    assert opened == list(range(C + 4750, C + 5601, 50))
    assert bench.status() == plc.EXECUTED
    assert [bench.get32(at) for at in (plc.HONOURED_W, plc.REJECTED_W, plc.GATED_W)] == [1, 0, 1]
    entry = plc.GATE_RING + 1 * 4
    assert (bench.get32(entry), bench.reg[entry + 2]) == (1001, plc.ACTION_GOOD)


def test_a_part_without_a_permit_meets_a_closed_gate() -> None:
    bench = running()
    assert not any(bench.scan(count, ms=5).gate_open for count in range(C + 1000, C + 6500, 50))
    assert [bench.get32(at) for at in (plc.HONOURED_W, plc.REJECTED_W, plc.GATED_W)] == [0, 1, 1]
    assert bench.reg[plc.GATE_RING + 4 + 2] == plc.ACTION_REJECTED


@pytest.mark.parametrize(("place", "status"), [(4829, plc.ARMED), (4831, plc.EXPIRED)])
def test_a_window_that_a_slow_scan_missed_stays_shut(place: int, status: int) -> None:
    bench = armed()
    # the gate needs 12 ms, 120 counts, and the window starts at 4950
    outputs = bench.scan(C + place)
    assert outputs.gate_open is (status == plc.ARMED)
    assert bench.status() == (plc.EXECUTED if status == plc.ARMED else plc.EXPIRED)


# -- permits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "status"), [(COMMIT, plc.ARMED), (COMMIT + 1, plc.LATE)])
def test_the_commit_point(place: int, status: int) -> None:
    bench = running()
    assert SETTINGS.commit_counts == COMMIT
    bench.permit()
    bench.scan(C + place)
    assert bench.status() == status


@pytest.mark.parametrize(
    ("error", "status"),
    [(380, plc.ARMED), (-380, plc.ARMED), (381, plc.WRONG_COUNT), (-381, plc.WRONG_COUNT)],
)
def test_the_tolerance_on_the_count(error: int, status: int) -> None:
    bench = running()
    bench.permit(count=C + error)
    bench.scan()
    assert bench.status() == status


@pytest.mark.parametrize(("fence", "status"), [(C + N_D, plc.ARMED), (C + N_D + 1, plc.FENCED)])
def test_the_fence(fence: int, status: int) -> None:
    bench = running()
    bench.control(fence=fence)
    bench.permit()
    bench.scan()
    assert bench.status() == status


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"plc_session": 901}, plc.WRONG_SESSION),
        ({"plc_session": 0}, plc.WRONG_SESSION),
        ({"gateway": GATEWAY + 1}, plc.WRONG_SESSION),
        ({"gateway": 0}, plc.WRONG_SESSION),
        ({"epoch": 2}, plc.WRONG_SESSION),
        ({"number": 1002}, plc.UNKNOWN_PART),
        ({"number": 1001 + 65536}, plc.UNKNOWN_PART),
        ({"count": C + 65536}, plc.WRONG_COUNT),
        ({"result": 0}, plc.BAD_RESULT),
        ({"result": 2}, plc.BAD_RESULT),
    ],
)
def test_every_field_must_agree(changes: dict[str, int], status: int) -> None:
    bench = running()
    bench.permit(**changes)
    bench.scan()
    assert bench.status() == status
    assert not any(bench.scan(count, ms=5).gate_open for count in range(C + 1000, C + 6500, 50))


@pytest.mark.parametrize("changes", [{"epoch": 2}, {"station": 0}])
def test_a_control_block_without_station_or_epoch_arms_nothing(changes: dict[str, int]) -> None:
    bench = running()
    bench.control(fence=C - 10_000, **changes)
    bench.permit()
    bench.scan()
    assert bench.status() == plc.WRONG_SESSION


def test_a_permit_is_honoured_once() -> None:
    bench = armed()
    bench.permit(slot=1)
    bench.scan()
    assert (bench.status(0), bench.status(1)) == (plc.ARMED, plc.EXPIRED)
    assert sum(bench.scan(count, ms=5).gate_open for count in range(C + 1000, C + 6500, 50)) == 18
    bench.permit(slot=2)
    bench.scan()
    assert bench.status(2) == plc.LATE
    assert bench.get32(plc.HONOURED_W) == 1


def test_a_slot_is_processed_when_its_sequence_changes_and_not_before() -> None:
    bench = running()
    bench.permit()
    bench.reg[plc.PERMITS + 10] = 0
    bench.scan()
    assert bench.reg[plc.ECHO_RING : plc.ECHO_RING + 2] == [0, 0]
    bench.reg[plc.PERMITS + 10] = 65535
    bench.scan()
    assert bench.reg[plc.ECHO_RING : plc.ECHO_RING + 2] == [65535, plc.ARMED]


def test_the_echo_of_a_newer_permit_is_left_alone() -> None:
    bench = armed()
    bench.permit(number=5)
    bench.scan()
    assert bench.status() == plc.UNKNOWN_PART
    bench.scan(C + 4800)
    assert bench.get32(plc.HONOURED_W) == 1
    assert bench.status() == plc.UNKNOWN_PART


@pytest.mark.parametrize(("length", "status"), [(700, plc.ARMED), (701, plc.NOT_PERMITTABLE)])
def test_the_longest_part(length: int, status: int) -> None:
    bench = Bench()
    bench.control(fence=C - 10_000)
    bench.part(length=length)
    bench.scan(C + 800)
    bench.permit()
    bench.scan()
    assert bench.status() == status


@pytest.mark.parametrize(("place", "status"), [(700, plc.ARMED), (701, plc.NOT_PERMITTABLE)])
def test_a_covered_eye_voids_the_permit_that_was_armed(place: int, status: int) -> None:
    bench = Bench()
    bench.control(fence=C - 10_000)
    bench.part(length=None)
    bench.permit()
    bench.scan(C + 100)
    assert bench.status() == plc.ARMED
    bench.scan(C + place)
    assert bench.status() == status


@pytest.mark.parametrize(("pitch", "status"), [(800, plc.ARMED), (799, plc.NOT_PERMITTABLE)])
def test_the_smallest_pitch_to_either_neighbour(pitch: int, status: int) -> None:
    bench = armed()
    bench.part(1002, C + pitch)
    bench.permit(1002, C + pitch, slot=1)
    bench.scan(C + pitch + 600)
    assert (bench.status(0), bench.status(1)) == (status, status)


def test_everything_holds_across_the_wrap_of_count_and_number() -> None:
    bench = Bench()
    count, number = 0xFFFF_FF00, 0xFFFF_FFFF
    bench.control(fence=count + N_D - 300)
    bench.scan(count - 100)
    bench.part(number, count)
    bench.permit(number, count)
    bench.scan(count + 800)
    assert bench.status() == plc.ARMED
    assert any(bench.scan(place, ms=5).gate_open for place in range(count + 4700, count + 4900, 50))
    bench.part(0, count + 1000)
    bench.scan()
    assert bench.get32(plc.LAST_PART_W) == 0


# -- sessions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("silence_ms", "alive"), [(149.9, True), (150, False)])
def test_the_watchdog(silence_ms: float, alive: bool) -> None:
    bench = armed()
    bench.beating = False
    bench.scan(C + 900, ms=silence_ms)
    assert bench.flag(plc.GATEWAY_ALIVE) is alive
    assert bench.get32(plc.GATEWAY_ECHO_W) == (GATEWAY if alive else 0)
    assert bench.status() == (plc.ARMED if alive else plc.EXPIRED)


def test_a_burnt_session_never_comes_back_and_a_new_one_may() -> None:
    bench = armed()
    bench.beating = False
    bench.scan(ms=150)
    bench.beating = True
    bench.permit(slot=1)
    outputs = bench.scan()
    assert (outputs.infeed_open, bench.status(1)) == (False, plc.WRONG_SESSION)
    assert [bench.get32(at) for at in (10, 12, 14)] == [0, 0, 0]
    bench.control(gateway=GATEWAY + 1, fence=C - 10_000)
    bench.scan()
    assert bench.get32(plc.GATEWAY_ECHO_W) == GATEWAY + 1
    bench.control(fence=C - 10_000)
    bench.scan()
    assert bench.get32(plc.GATEWAY_ECHO_W) == 0


def test_another_session_ends_the_present_one_and_its_permits() -> None:
    bench = armed()
    bench.control(gateway=GATEWAY + 1, fence=C - 10_000)
    bench.scan()
    assert (bench.get32(plc.GATEWAY_ECHO_W), bench.status()) == (GATEWAY + 1, plc.EXPIRED)
    assert not any(bench.scan(count, ms=5).gate_open for count in range(C + 1000, C + 6500, 50))


def test_a_session_is_accepted_only_while_its_heartbeat_changes() -> None:
    bench = Bench()
    bench.beating = False
    bench.control()
    bench.scan()
    assert not bench.flag(plc.GATEWAY_ALIVE)
    bench.beating = True
    bench.scan()
    assert bench.flag(plc.GATEWAY_ALIVE)


def test_a_new_fence_voids_armed_permits_before_it() -> None:
    bench = armed()
    bench.control(station=STATION + 1, fence=C + N_D + 1)
    bench.scan()
    assert bench.status() == plc.FENCED
    assert bench.get32(plc.STATION_ECHO_W) == STATION + 1


def test_another_fail_safe_is_refused() -> None:
    bench = armed()
    bench.control(fence=C - 10_000, fail_safe=2)
    bench.scan()
    assert (bench.flag(plc.GATEWAY_ALIVE), bench.status()) == (False, plc.EXPIRED)
    fresh = Bench()
    fresh.control(fail_safe=2)
    fresh.scan()
    fresh.control(fail_safe=1)
    fresh.scan()
    assert not fresh.flag(plc.GATEWAY_ALIVE)  # refused once is refused for good


def test_a_reboot_forgets_everything() -> None:
    bench = armed()
    bench.program.reboot()
    bench.control(fence=C - 10_000)
    bench.scan()
    assert bench.get32(plc.PLC_SESSION_W) == 901
    assert bench.reg[plc.ECHO_RING : plc.READ_ONLY_END] == [0] * 48
    assert bench.get32(plc.LAST_PART_W) == 1001  # the counter card went on
    bench.permit()
    bench.permit(slot=1, plc_session=901)
    bench.scan()
    assert (bench.status(0), bench.status(1)) == (plc.WRONG_SESSION, plc.UNKNOWN_PART)
    assert not any(bench.scan(count, ms=5).gate_open for count in range(C + 1000, C + 6500, 50))


def test_a_stopped_program_shuts_an_open_gate() -> None:
    bench = armed()
    assert bench.scan(C + 4800).gate_open
    bench.program.stop()
    assert not bench.scan(C + 4900).gate_open


def test_the_table_forgets_old_parts_alone() -> None:
    bench = Bench()
    bench.control(fence=C - 10_000)
    for index in range(40):
        bench.part(1001 + index, C + 1000 * index)
        bench.permit(1001 + index, C + 1000 * index, slot=index % 8)
        for place in range(0, 1000, 100):
            bench.scan(C + 1000 * index + place)
    assert (bench.get32(plc.HONOURED_W), bench.get32(plc.GATED_W)) == (36, 35)  # one stands in its window
    assert bench.get32(plc.REJECTED_W) == 0
