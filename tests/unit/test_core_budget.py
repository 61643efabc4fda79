"""Budgets: the worked example of the documentation, the order of the commit points, and every check at its bound."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.config import ActuatorConfig, LineConfig, PlcTimingConfig, PulseConfig
from edge.core import budget
from edge.core.budget import Budget, Check, checks, compute, held, line_checks, pulse_checks
from edge.errors import BudgetError

SLOW = [HealthCheck.too_slow]

LINE = LineConfig(
    pitch_min_mm=100,
    part_length_min_mm=60,
    part_length_max_mm=60,
    speed_min_mm_s=200,
    speed_max_mm_s=1000,
    trigger_to_gate_mm=500,
    counts_per_mm=10,
    eye_scatter_ms=0.5,
    slip_mm=1,
)
BLOW_OFF = ActuatorConfig(
    kind="blow_off", response_max_ms=10, response_scatter_ms=2, pulse_ms=70, nozzle_mm=10, cover_mm=20
)
TIMING = PlcTimingConfig(scan_ms=10, output_ms=2, write_ms=8, margin_ms=5, link_ms=2)
"""Scan, output, write and scan again: 30 ms in the PLC."""


def example() -> Budget:
    return compute(LINE, BLOW_OFF, TIMING, ceiling_ms=1e9)


def test_the_worked_example() -> None:
    b = example()
    assert b.period_ms == 100.0
    assert b.gate_counts == 5000
    assert b.lead_counts == 50  # a = 5 mm
    assert b.deadline_ms == pytest.approx(448.0, abs=0.5)
    assert b.tolerance_ms[1000] == pytest.approx(30.0)
    assert b.tolerance_ms[200] == pytest.approx(10.0)
    assert (b.plc_commit, b.gateway_commit, b.station_commit) == (4680, 4500, 4480)
    assert b.match_counts == 495  # half a pitch less the scatter of the eye at full speed
    assert b.pitch_counts == 1000
    assert b.needed_ms[1000] == pytest.approx(0.5 + 1 + 2 + 10)
    assert b.needed_ms[200] == pytest.approx(0.5 + 5 + 2 + 10)


def test_the_ceiling_governs_where_it_is_lower() -> None:
    assert compute(LINE, BLOW_OFF, TIMING, 100.0).deadline_ms == 100.0


def test_the_leads_of_the_other_actuators() -> None:
    line = LINE.model_copy(update={"part_length_min_mm": 40.0})
    assert budget.lead_mm(line, BLOW_OFF) == pytest.approx((70 - 40) / 2)
    assert budget.lead_mm(line, ActuatorConfig(kind="diverter", move_ms=10)) == pytest.approx((100 - 40 + 10) / 2)
    assert budget.lead_mm(line, ActuatorConfig(kind="stop", deceleration_mm_s2=2000)) == pytest.approx(250)
    assert budget.lead_mm(line, BLOW_OFF.model_copy(update={"pulse_ms": 20.0})) == 0.0


def test_the_tolerance_of_a_diverter() -> None:
    diverter = ActuatorConfig(kind="diverter", blade_mm=8, move_ms=12)
    assert budget.tolerance_ms(LINE, diverter, 1000) == pytest.approx(((100 - 60 - 8) / 1.0 - 12) / 2)
    assert budget.tolerance_ms(LINE, diverter, 200) == pytest.approx(((100 - 60 - 8) / 0.2 - 12) / 2)


times = st.floats(0.1, 50)


@settings(deadline=None, suppress_health_check=SLOW)
@given(
    st.sampled_from(["blow_off", "diverter", "stop"]),
    st.floats(50, 3000),
    st.floats(0.1, 20),
    st.builds(PlcTimingConfig, scan_ms=times, output_ms=times, write_ms=times, margin_ms=times, link_ms=times),
)
def test_each_commit_point_leaves_room_for_the_next(kind: str, speed: float, k: float, timing: PlcTimingConfig) -> None:
    line = LINE.model_copy(update={"speed_max_mm_s": speed, "speed_min_mm_s": min(speed, 50.0), "counts_per_mm": k})
    actuator = ActuatorConfig.model_validate({"kind": kind})
    b = compute(line, actuator, timing, 1e9)
    per_ms = k * speed / 1000
    assert b.gate_counts <= k * 500
    assert b.lead_counts >= k * budget.lead_mm(line, actuator)
    plc = actuator.response_max_ms + timing.scan_ms + timing.output_ms + timing.margin_ms
    assert b.gate_counts - b.lead_counts - b.plc_commit >= per_ms * plc * (1 - 1e-12)
    assert b.plc_commit - b.gateway_commit >= per_ms * (timing.write_ms + timing.scan_ms) * (1 - 1e-12)
    assert b.gateway_commit - b.station_commit >= per_ms * timing.link_ms * (1 - 1e-12)
    assert b.deadline_ms * per_ms <= b.station_commit + 1e-6 * abs(b.station_commit)
    assert 0 <= 2 * b.match_counts < b.pitch_counts + 1


def failed(b: Budget, service: float | None = None, p99: float | None = None, frame: float = 60.0) -> list[str]:
    return [c.name for c in checks(b, service, p99, frame) if not c.holds]


def sound() -> Budget:
    return replace(example(), tolerance_ms={1000: 30.0}, needed_ms={1000: 13.5})


def test_a_sound_line_passes_and_unmeasured_is_said_so() -> None:
    assert failed(sound()) == []
    assert sum("unmeasured" in c.value for c in checks(sound(), None, None, 60.0)) == 2


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("station commit point", {"station_commit": 1}, {"station_commit": 0}),
        ("gate tolerance", {"tolerance_ms": {1000: 13.5001}}, {"tolerance_ms": {1000: 13.5}}),
    ],
)
def test_a_budget_that_just_holds_and_one_that_just_does_not(
    name: str, inside: dict[str, object], outside: dict[str, object]
) -> None:
    assert failed(replace(sound(), **inside)) == []
    assert [n.startswith(name) for n in failed(replace(sound(), **outside))] == [True]


def test_the_measured_times_at_their_bounds() -> None:
    b = replace(sound(), deadline_ms=100.0, period_ms=100.0)
    assert failed(b, service=70.0, p99=99.9, frame=99.9) == []
    assert failed(b, service=70.1) == ["mean inspection time"]
    assert failed(b, p99=100.0) == ["p99 inspection time"]
    assert failed(b, frame=100.0) == ["frame timeout"]


def test_the_same_pulse_fails_at_low_speed_and_the_check_names_it() -> None:
    (broken,) = [c for c in checks(example(), None, None, 60.0) if not c.holds]
    assert broken.name == "gate tolerance at 200 mm/s"
    assert "10.0" in broken.value
    assert "17.5" in broken.limit
    assert broken.remedy


def test_a_line_whose_counts_cannot_be_told_apart_is_refused() -> None:
    """With no room for two readings of one count to differ, every verdict of a real line is UNKNOWN."""
    line = LINE.model_copy(update={"eye_scatter_ms": 60.0})
    b = compute(line, ActuatorConfig(kind="stop"), TIMING, 1e9)
    assert b.match_counts == 0
    b = replace(b, station_commit=1, tolerance_ms={}, needed_ms={})
    assert any(not c.holds for c in checks(b, None, None, b.deadline_ms - 1))


def table(rows: list[Check]) -> list[tuple[str, str, str, bool, str]]:
    return [(c.name, c.value, c.limit, c.holds, c.remedy) for c in rows]


LINE_TABLE = [
    (
        "station commit point", "4480 counts", "> 0 counts", True,
        "raise line.trigger_to_gate_mm, or cut plc_timing and actuator times",
    ),
    ("trigger to gate", "5000 counts", "< 1073741824 counts (of a 32-bit counter)", True, "use fewer counts per mm"),
    (
        "count tolerance", "495 counts", "> 10 counts (slip)", True,
        "widen line.pitch_min_mm, or use an eye that scatters less",
    ),
    (
        "gate tolerance at 200 mm/s", "10.0 ms", "> 17.5 ms (scatter of eye, slip, response, scan)", False,
        "widen the pitch, slow the line, or use a quicker actuator",
    ),
    (
        "gate tolerance at 1000 mm/s", "30.0 ms", "> 13.5 ms (scatter of eye, slip, response, scan)", True,
        "widen the pitch, slow the line, or use a quicker actuator",
    ),
]  # fmt: skip
UNMEASURED = "unmeasured (run `edge bench overhead`)"
FASTER = "use a faster engine, precision or model"


def test_what_edge_check_prints_of_a_line() -> None:
    assert table(line_checks(example())) == LINE_TABLE


@pytest.mark.parametrize(
    ("service", "p99", "shown"),
    [(None, None, (UNMEASURED, UNMEASURED)), (12.34, 56.78, ("12.3 ms", "56.8 ms"))],
)
def test_what_edge_check_prints_of_an_inspection(
    service: float | None, p99: float | None, shown: tuple[str, str]
) -> None:
    inspection = [
        ("frame timeout", "60 ms", "< 448.0 ms (deadline)", True, "lower limits.frame_timeout_ms"),
        ("mean inspection time", shown[0], "<= 70.0 ms (0.7 of the period)", True, f"{FASTER}, or a slower line"),
        ("p99 inspection time", shown[1], "< 448.0 ms (deadline)", True, FASTER),
    ]
    assert table(checks(example(), service, p99, 60.0)) == LINE_TABLE + inspection


PULSE = PulseConfig(link_p999_ms=3.0, output_watchdog_ms=80.0)


def pulse_table(pulse: PulseConfig = PULSE, heartbeat_ms: float = 20.0, **changes: object) -> list[bool]:
    budget = replace(sound(), **{"gap_ms": 100.0} | changes)  # type: ignore[arg-type]
    return [c.holds for c in pulse_checks(budget, pulse, TIMING, heartbeat_ms)]


def test_what_edge_check_prints_of_a_gate_that_the_gateway_times() -> None:
    assert table(pulse_checks(example(), PULSE, TIMING, 20.0)) == [
        (
            "pulse", "23.0 ms (p99.9 of the link and two scans)", "< 10.0 ms (gate tolerance)", False,
            'use plc.signal = "permit", or slow the line',
        ),
        (
            "output watchdog", "80 ms", ">= 60 ms (three heartbeats) and <= 10.0 ms (before the next part)",
            False, "set the output's watchdog, or heartbeat_ms, or slow the line",
        ),
    ]  # fmt: skip


def test_the_gateway_may_time_a_gate_only_within_its_tolerance() -> None:
    assert pulse_table(tolerance_ms={1000: 23.0001}) == [True, True]
    assert pulse_table(tolerance_ms={1000: 23.0}) == [False, True]
    assert pulse_table(tolerance_ms={1000: 30.0, 200: 22.0}) == [False, True], "the smallest one counts"


def test_the_gap_is_half_the_way_between_two_parts_at_full_speed_less_switching_off() -> None:
    assert example().gap_ms == pytest.approx((100 - 60) / 2 / 1.0 - BLOW_OFF.switch_off_ms)
    slower = LINE.model_copy(update={"speed_max_mm_s": 250.0, "part_length_max_mm": 70.0})
    quick = BLOW_OFF.model_copy(update={"switch_off_ms": 4.0})
    assert compute(slower, quick, TIMING, 1e9).gap_ms == pytest.approx(30 / 2 / 0.25 - 4)


def test_the_output_watchdog_outlives_three_heartbeats_and_ends_before_the_next_part() -> None:
    for watchdog_ms, holds in ((59.9, False), (60.0, True), (100.0, True), (100.1, False)):
        pulse = PULSE.model_copy(update={"output_watchdog_ms": watchdog_ms})
        assert pulse_table(pulse) == [True, holds], watchdog_ms


def test_what_is_not_declared_is_nothing() -> None:
    bare, watchdog = pulse_checks(example(), PulseConfig(), TIMING, 20.0)
    assert (bare.value[:7], watchdog.value, watchdog.holds) == ("20.0 ms", "0 ms", False)


def test_a_line_that_cannot_hold_is_refused_by_name_number_and_remedy() -> None:
    assert held(sound(), "gateway-1") == sound()
    with pytest.raises(BudgetError) as refused:
        held(replace(sound(), station_commit=-7), "gateway-1")
    assert refused.value.problem == "gateway-1: station commit point is -7 counts, and must be > 0 counts."
    assert refused.value.remedy == "raise line.trigger_to_gate_mm, or cut plc_timing and actuator times."


def test_distances_must_fit_half_a_fence() -> None:
    b = replace(sound(), gate_counts=budget.MOST_COUNTS - 9, pitch_counts=8)
    assert failed(b) == []


def test_a_distance_of_half_a_fence_is_too_long() -> None:
    b = replace(sound(), gate_counts=budget.MOST_COUNTS - 8, pitch_counts=8)
    assert failed(b) == ["trigger to gate"]


@pytest.mark.parametrize(("match", "holds"), [(11, True), (10, False)])
def test_counts_may_differ_by_more_than_a_part_slips(match: int, holds: bool) -> None:
    assert failed(replace(sound(), match_counts=match)) == ([] if holds else ["count tolerance"])


def test_a_blow_off_misses_the_part_or_meets_its_neighbour() -> None:
    line = LINE.model_copy(update={"pitch_min_mm": 120.0, "part_length_max_mm": 70.0})
    v, swept = 0.4, 0.4 * 70 + 10
    assert budget.tolerance_ms(line, BLOW_OFF, 400) == pytest.approx((swept - 20) / (2 * v))
    wide = BLOW_OFF.model_copy(update={"cover_mm": 0.0, "nozzle_mm": 120.0})
    assert budget.tolerance_ms(line, wide, 400) == pytest.approx((2 * 120 - 70 - (0.4 * 70 + 120)) / (2 * v))


def test_the_tolerance_of_a_stop_is_half_the_gap() -> None:
    stop = ActuatorConfig(kind="stop")
    assert budget.tolerance_ms(LINE, stop, 1000) == pytest.approx(40 / 2)
    assert budget.tolerance_ms(LINE, stop, 200) == pytest.approx(40 / 0.4)


def test_a_diverter_that_need_not_move_has_no_lead() -> None:
    full = LINE.model_copy(update={"part_length_min_mm": 200.0})
    assert budget.lead_mm(full, ActuatorConfig(kind="diverter", move_ms=10)) == 0.0


def test_the_budget_of_a_slower_line() -> None:
    b = compute(LINE.model_copy(update={"speed_max_mm_s": 800.0, "eye_scatter_ms": 5.0}), BLOW_OFF, TIMING, 1e9)
    assert b.period_ms == pytest.approx(125.0)
    assert b.match_counts == 460  # 10 x (50 - 5 x 0.8)


def test_the_budget_of_a_line_whose_numbers_are_all_different() -> None:
    line = LINE.model_copy(update={"counts_per_mm": 7.3, "slip_mm": 1.7, "eye_scatter_ms": 0.9, "pitch_min_mm": 110.0})
    timing = PlcTimingConfig(scan_ms=11, output_ms=3, write_ms=7, margin_ms=6, link_ms=4)
    b = compute(line, BLOW_OFF, timing, 1e9)
    assert (b.gate_counts, b.lead_counts, b.pitch_counts) == (3650, 37, 803)
    assert b.plc_commit == 3650 - 37 - 219  # 7.3 x (10 + 11 + 3 + 6), rounded up
    assert b.gateway_commit == b.plc_commit - 132  # 7.3 x (7 + 11), rounded up
    assert b.station_commit == b.gateway_commit - 30
    assert b.match_counts == 394  # 7.3 x (55 - 0.9), rounded down
    assert b.slip_counts == 13
    assert list(b.tolerance_ms) == list(b.needed_ms) == [200, 1000]
    assert b.deadline_ms == pytest.approx(b.station_commit / 7.3)
