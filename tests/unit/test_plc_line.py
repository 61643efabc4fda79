from dataclasses import replace

import pytest

from edge.simulate import plc_map as plc
from edge.simulate.plc_io import Edge, Outputs
from tests.support_plc import GATEWAY, SETTINGS, Bench, C, armed, running

STOPPING = replace(SETTINGS, fail_safe=plc.STOP_LINE)
PULSING = replace(SETTINGS, pulse=True)
SENSING = replace(SETTINGS, confirm_mm=100.0)
STOP_POINT = 5000 - 50


# -- inputs ------------------------------------------------------------------------------------------------------


def test_flags_follow_their_inputs() -> None:
    bench = running()
    for name, bit in (("reset", plc.RESET), ("bin_full", plc.BIN_FULL), ("air_low", plc.AIR_LOW)):
        bench.scan(**{name: True})
        assert bench.flag(bit)
        bench.scan()
        assert not bench.flag(bit)


def test_an_eye_covered_for_longer_than_any_part_is_blocked() -> None:
    bench = running()
    bench.scan(C + 1000, eye_covered=True)
    for place, blocked in ((1350, False), (1700, False), (1701, True)):
        bench.scan(C + place, eye_covered=True)
        assert bench.flag(plc.EYE_BLOCKED) is blocked
    bench.scan(C + 1710)
    assert not bench.flag(plc.EYE_BLOCKED)


def test_a_standing_belt_blocks_no_eye() -> None:
    bench = running()
    bench.moving = False
    for _ in range(100):
        bench.scan(eye_covered=True)
    assert not bench.flag(plc.EYE_BLOCKED)


# -- parts seen before -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("behind", "status"), [(20, plc.ARMED), (21, plc.NOT_PERMITTABLE)])
def test_an_edge_behind_the_furthest_count_is_of_a_part_seen_before(behind: int, status: int) -> None:
    bench = running()
    bench.scan(C + 1800)
    count = C + 1800 - behind
    bench.part(1002, count)
    bench.permit(1002, count)
    bench.scan()
    assert bench.status() == status


def test_a_part_that_comes_back_after_a_reversal_is_barred_and_a_new_one_is_not() -> None:
    bench = running()
    bench.scan(C + 900)
    for place in range(850, -250, -50):
        bench.scan(C + place)
    bench.part(1002, C)
    bench.permit(1002, C)
    bench.scan(C + 700)
    assert bench.status() == plc.NOT_PERMITTABLE
    bench.scan(C + 900)
    bench.part(1003, C + 1000)
    bench.permit(1003, C + 1000, slot=1)
    bench.scan(C + 1700)
    assert bench.status(1) == plc.ARMED


def test_encoder_lost_stands_until_a_part_has_been_counted_since() -> None:
    bench = running()
    assert not bench.flag(plc.ENCODER_LOST)
    bench.slip = 3000
    bench.scan(C + 800)
    assert bench.flag(plc.ENCODER_LOST)
    bench.scan(C + 1800)
    assert bench.flag(plc.ENCODER_LOST)
    bench.part(1002, C + 5000)
    bench.scan(C + 2700)
    assert not bench.flag(plc.ENCODER_LOST)


def test_encoder_lost_outlives_parts_seen_again_and_edges_on_the_spot() -> None:
    bench = running()
    for place in range(650, 100, -50):
        bench.scan(C + place)
    bench.part(1002, C + 300)
    bench.scan(C + 300)
    assert bench.flag(plc.ENCODER_LOST)
    frozen = running()
    for _ in range(5):
        frozen.scan()
    frozen.part(1002, frozen.count)
    frozen.scan()
    assert frozen.flag(plc.ENCODER_LOST)


# -- the control block's own PLC session -------------------------------------------------------------------------


def test_a_control_block_for_another_start_of_the_plc_is_ignored() -> None:
    bench = Bench()
    bench.control(fence=C - 10_000, plc_session=899, flags=plc.READY | plc.STOP)
    assert bench.scan() == Outputs()
    assert not bench.flag(plc.GATEWAY_ALIVE)
    bench.control(fence=C - 10_000)
    assert bench.scan() == Outputs(infeed_open=True)
    assert bench.get32(plc.GATEWAY_ECHO_W) == GATEWAY


def test_a_live_gateway_that_speaks_to_another_start_is_burnt() -> None:
    bench = armed()
    bench.control(fence=C - 10_000, plc_session=899)
    bench.scan()
    assert (bench.flag(plc.GATEWAY_ALIVE), bench.status()) == (False, plc.EXPIRED)


# -- the belt ----------------------------------------------------------------------------------------------------


def stopped(bench: Bench) -> bool:
    """Return the output of another scan, which the flag must repeat."""
    held = bench.scan(ms=1).belt_stop
    assert bench.flag(plc.LINE_STOPPED) is held
    return held


@pytest.mark.parametrize("place", [STOP_POINT - 1, STOP_POINT])
def test_a_part_without_a_permit_stops_the_line_at_the_stop_point_and_once(place: int) -> None:
    bench = running(STOPPING)
    bench.scan(C + STOP_POINT - 500)
    assert bench.scan(C + place).belt_stop is (place == STOP_POINT)
    if place == STOP_POINT:
        assert stopped(bench)
        assert not bench.scan(reset=True).belt_stop
        assert not any(bench.scan(C + place + step).belt_stop for step in range(0, 1500, 50))


def test_a_part_with_a_permit_stops_nothing() -> None:
    bench = armed(STOPPING)
    assert not any(bench.scan(C + place, ms=5).belt_stop for place in range(1000, 6500, 50))
    assert bench.get32(plc.HONOURED_W) == 1


def test_only_a_fresh_press_of_reset_counts() -> None:
    bench = running(STOPPING)
    bench.scan(C + 4900, reset=True)
    assert bench.scan(C + STOP_POINT, reset=True).belt_stop
    assert bench.scan(reset=True).belt_stop
    bench.scan()
    assert not bench.scan(reset=True).belt_stop


@pytest.mark.parametrize("settings", [STOPPING, SETTINGS])
def test_a_stale_heartbeat_stops_the_line_where_that_is_the_fail_safe(settings: object) -> None:
    bench = armed(settings)  # type: ignore[arg-type]
    bench.beating = False
    assert bench.scan(ms=150).belt_stop is (settings is STOPPING)
    assert not bench.flag(plc.GATEWAY_ALIVE)


def test_parts_given_up_stop_the_line() -> None:
    bench = armed(STOPPING)
    bench.slip = 3000
    assert bench.scan(C + 900).belt_stop
    empty = Bench(STOPPING)
    empty.scan()
    empty.slip = 3000
    assert not empty.scan().belt_stop


@pytest.mark.parametrize("settings", [STOPPING, SETTINGS])
def test_the_gateway_stops_the_line_until_it_relents_and_the_operator_resets(settings: object) -> None:
    bench = running(settings)  # type: ignore[arg-type]
    fail_safe = bench.reg[plc.G_FAIL_SAFE]
    assert not stopped(bench)
    bench.control(fence=C - 10_000, fail_safe=fail_safe, flags=plc.READY | plc.STOP)
    assert stopped(bench)
    assert bench.scan(reset=True).belt_stop  # it still asks
    bench.control(fence=C - 10_000, fail_safe=fail_safe)
    assert not stopped(bench)
    bench.control(fence=C - 10_000, fail_safe=fail_safe, flags=plc.STOP)
    bench.scan()
    bench.control(fence=C - 10_000, fail_safe=fail_safe)
    assert stopped(bench)  # it no longer asks, but nobody has reset the line
    assert not bench.scan(reset=True).belt_stop


# -- pulse -------------------------------------------------------------------------------------------------------


def test_a_pulse_program_follows_the_coil_while_the_heart_beats() -> None:
    bench = running(PULSING)
    assert bench.flag(plc.PULSE)
    for coil in (1, 0, 1):
        bench.control(output=coil)
        assert bench.scan().gate_open is bool(coil)
    bench.beating = False
    assert bench.scan(ms=140).gate_open
    assert not bench.scan(ms=10).gate_open


def test_a_pulse_program_takes_no_permits() -> None:
    bench = running(PULSING)
    bench.permit()
    assert not any(bench.scan(C + place, ms=5).gate_open for place in range(800, 6500, 50))
    assert bench.reg[plc.ECHO_RING : plc.ECHO_RING + 2] == [0, 0]


@pytest.mark.parametrize(("coil", "action"), [(1, plc.ACTION_GOOD), (0, plc.ACTION_REJECTED)])
def test_a_pulse_program_reports_how_parts_met_the_gate(coil: int, action: int) -> None:
    bench = running(PULSING)
    bench.scan(C + 4900)
    bench.control(output=coil)
    for place in range(4950, 5800, 50):
        bench.scan(C + place)
    assert bench.reg[plc.GATE_RING + plc.GATE_SIZE + 2] == action
    assert [bench.get32(at) for at in (plc.HONOURED_W, plc.REJECTED_W, plc.GATED_W)] == [coil, 1 - coil, 1]


# -- the sensor behind the gate ----------------------------------------------------------------------------------

PASSES = 5000 + 600 + 1000  # where its tail passes the sensor
LATEST = PASSES + SETTINGS.tolerance_counts


def confirmation(bench: Bench) -> int:
    return bench.reg[plc.GATE_RING + plc.GATE_SIZE + 3]


def past_the_gate(permit: bool) -> Bench:
    bench = armed(SENSING) if permit else running(SENSING)
    for place in range(1000, 6200, 50):
        bench.scan(C + place, ms=5)
    assert bench.get32(plc.GATED_W) == 1
    assert confirmation(bench) == 0
    return bench


@pytest.mark.parametrize(
    ("permit", "word"), [(True, plc.CONFIRMED), (False, plc.CONTRADICTED)], ids=["good", "rejected"]
)
@pytest.mark.parametrize("error", [-SETTINGS.tolerance_counts, 0, SETTINGS.tolerance_counts])
def test_a_part_that_the_sensor_sees(permit: bool, word: int, error: int) -> None:
    bench = past_the_gate(permit)
    bench.scan(C + PASSES + error, confirms=(C + PASSES + error,))
    assert confirmation(bench) == word


@pytest.mark.parametrize("error", [-SETTINGS.tolerance_counts - 1, SETTINGS.tolerance_counts + 1])
def test_a_sighting_elsewhere_is_not_this_parts(error: int) -> None:
    bench = past_the_gate(True)
    bench.scan(C + PASSES + error, confirms=(C + PASSES + error,))
    bench.scan(C + LATEST + 1)
    assert confirmation(bench) == plc.CONTRADICTED


@pytest.mark.parametrize(("permit", "word"), [(True, plc.CONTRADICTED), (False, plc.CONFIRMED)])
def test_a_part_that_the_sensor_does_not_see(permit: bool, word: int) -> None:
    bench = past_the_gate(permit)
    bench.scan(C + LATEST)
    assert confirmation(bench) == 0
    bench.scan(C + LATEST + 1)
    assert confirmation(bench) == word


def test_where_parts_were_given_up_nothing_is_confirmed() -> None:
    bench = past_the_gate(True)
    bench.slip = 3000
    bench.scan(C + PASSES)
    for place in range(PASSES, PASSES + 2000, 50):
        bench.scan(C + place)
    assert confirmation(bench) == 0


def test_without_a_sensor_nothing_is_confirmed() -> None:
    bench = armed()
    for place in range(1000, 8000, 50):
        bench.scan(C + place, confirms=(C + place,))
    assert confirmation(bench) == 0


def test_a_part_whose_tail_was_never_seen_is_reckoned_as_the_longest() -> None:
    bench = Bench(SENSING)
    bench.control(fence=C - 10_000)
    bench.edges.append(Edge(True, 1001, C))
    bench.number = 1001
    for place in range(0, 7200, 50):
        bench.scan(C + place)
    assert (bench.get32(plc.GATED_W), confirmation(bench)) == (1, plc.CONFIRMED)
