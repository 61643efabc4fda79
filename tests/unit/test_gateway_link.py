"""What the gateway makes of the PLC's words: alive, ours, and how far the belt may have gone."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from edge.config import GatewayConfig, PlcConfig, PulseConfig
from edge.core.counter import delta, wrap
from edge.gateway.link import PARTS_AT_ONCE, PARTS_FACTOR, SPEED_SCANS, PlcLink
from edge.gateway.plc.signals import GATEWAY_ALIVE, INFEED_OPEN, PULSE, RUNNING, PlcStatus

SLOW = [HealthCheck.too_slow]

MS = 1_000_000
CONFIG = GatewayConfig()
STALE = int(CONFIG.plc.stale_ms * MS)
SCANS_MS = round(SPEED_SCANS * CONFIG.plc_timing.scan_ms)
"""The shortest time over which the speed is measured."""
OURS = 4711
GOOD = PlcStatus(
    heartbeat=1,
    flags=RUNNING | GATEWAY_ALIVE,
    fail_safe=1,
    session=9,
    count=1000,
    last_part=3,
    gateway_session=OURS,
    station_session=0,
    fence=0,
    recipe=0,
    epoch=0,
    opened=0,
    without_permit=0,
    met_gate=0,
    parts=(),
    echoes=(),
    gated=(),
)


def armed() -> PlcLink:
    link = PlcLink(CONFIG)
    assert link.take(GOOD, OURS, 0, 0)
    assert link.armed
    return link


def test_nothing_is_trusted_before_the_first_read() -> None:
    link = PlcLink(CONFIG)
    assert (link.armed, link.status) == (False, None)
    assert link.reason


def test_a_session_is_armed_only_by_the_plcs_echo_of_it() -> None:
    link = PlcLink(CONFIG)
    assert link.take(replace(GOOD, gateway_session=0), OURS, 0, 0)
    assert not link.armed
    assert link.reason
    assert link.take(replace(GOOD, heartbeat=2), OURS, MS, MS)
    assert (link.armed, link.reason) == (True, "")


@pytest.mark.parametrize(("after", "trusted"), [(STALE - 1, True), (STALE, True), (STALE + 1, False)])
def test_a_heartbeat_that_stands_still(after: int, trusted: bool) -> None:
    link = armed()
    assert link.take(GOOD, OURS, after, after) == trusted
    assert link.armed == trusted
    assert (link.status is not None) == trusted


def test_an_open_port_is_not_a_running_program() -> None:
    """A PLC in STOP answers for ever with the same heartbeat: the doubt stays, whoever asks."""
    link = armed()
    for n in range(1, 20):
        now = STALE + n * 10 * MS
        assert not link.take(GOOD, OURS + n, now, now)
        assert not link.armed
    assert link.take(replace(GOOD, heartbeat=2, gateway_session=OURS), OURS, 40 * STALE, 40 * STALE)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"flags": GATEWAY_ALIVE | INFEED_OPEN}, "running"),
        ({"fail_safe": 2}, "fail-safe"),
        ({"fail_safe": 0}, "fail-safe"),
        ({"session": 10}, "restarted"),
        ({"gateway_session": 0}, "honours"),
        ({"gateway_session": OURS + 1}, "honours"),
        ({"flags": RUNNING | PULSE}, "permit signal"),
    ],
)
def test_doubt(change: dict[str, int], word: str) -> None:
    link = armed()
    assert not link.take(replace(GOOD, heartbeat=2, **change), OURS, MS, MS)
    assert (link.armed, link.status) == (False, None)
    assert word in link.reason


def test_after_a_restart_of_the_plc_its_new_session_can_begin() -> None:
    link = armed()
    restarted = replace(GOOD, heartbeat=2, session=10, gateway_session=0)
    assert not link.take(restarted, OURS, MS, MS)
    assert link.take(replace(restarted, heartbeat=3), OURS + 1, 2 * MS, 2 * MS)
    assert not link.armed


def test_an_old_session_is_not_armed_by_an_old_echo() -> None:
    link = armed()
    link.doubt("a stall")
    assert link.take(replace(GOOD, heartbeat=2), OURS + 1, MS, MS)
    assert not link.armed


@settings(deadline=None, suppress_health_check=SLOW)
@given(
    count=st.integers(0, (1 << 32) - 1),
    elapsed=st.integers(0, 10_000 * MS),
    share=st.floats(0, 1),
)
def test_the_belt_is_never_ahead_of_the_count_assumed(count: int, elapsed: int, share: float) -> None:
    link = PlcLink(CONFIG)
    link.take(replace(GOOD, count=count), OURS, 5, 5)
    assumed = link.count_now(5 + elapsed)
    assert 0 <= assumed < 1 << 32
    most = elapsed * CONFIG.line.counts_per_mm * CONFIG.line.speed_max_mm_s / 1e9
    assert delta(assumed, wrap(count + int(share * most))) >= 0
    scan = CONFIG.plc_timing.scan_ms / 1000 * CONFIG.line.counts_per_mm * CONFIG.line.speed_max_mm_s
    assert delta(assumed, count) <= most + scan + 1 + 1e-6


def test_no_count_without_a_trusted_plc() -> None:
    link = armed()
    link.doubt("gone")
    assert link.count_now(5) == 0


def test_a_pulse_gateway_refuses_a_permit_program() -> None:
    config = GatewayConfig(plc=PlcConfig(signal="pulse"), pulse=PulseConfig(link_p999_ms=1.0, output_watchdog_ms=80.0))
    link = PlcLink(config)
    assert not link.take(GOOD, OURS, 0, 0)
    assert "pulse signal" in link.reason
    assert link.take(replace(GOOD, flags=RUNNING | PULSE, heartbeat=2), OURS, MS, MS)


def at_speed(link: PlcLink, moved: int, count: int = 1000) -> PlcLink:
    """Let the belt of an armed link move for as long as its speed is measured over."""
    assert link.take(replace(GOOD, heartbeat=2, count=wrap(count + moved)), OURS, SCANS_MS * MS, SCANS_MS * MS)
    return link


def test_the_belts_speed_is_that_over_some_scans() -> None:
    link = armed()
    assert link.counts_per_ms == 0.0
    for n, (moved, speed) in enumerate([(10, 10.0), (5, 5.0), (0, 0.0), (-2, -2.0)], 1):
        count = wrap(link.status.count + moved * SCANS_MS) if link.status else 0
        assert link.take(replace(GOOD, heartbeat=1 + n, count=count), OURS, SCANS_MS * n * MS, SCANS_MS * n * MS)
        assert link.counts_per_ms == speed


@pytest.mark.parametrize(("ns", "speed"), [(SCANS_MS * MS - 1, 0.0), (SCANS_MS * MS, 10.0), (2 * SCANS_MS * MS, 5.0)])
def test_the_belts_speed_is_measured_over_no_shorter_time(ns: int, speed: float) -> None:
    link = armed()
    assert link.take(replace(GOOD, heartbeat=2, count=1000 + 5), OURS, 7 * MS, 7 * MS)
    assert link.take(replace(GOOD, heartbeat=3, count=1000 + 10 * SCANS_MS), OURS, ns, ns)
    assert link.counts_per_ms == speed


def test_the_beat_of_scan_and_poll_is_no_change_of_speed() -> None:
    """The count is latched every 6 ms and read every 3 ms: two reads in a row see it move by all or by nothing."""
    link = PlcLink(CONFIG.model_copy(update={"plc_timing": CONFIG.plc_timing.model_copy(update={"scan_ms": 6.0})}))
    for n in range(200):
        count = 60 * (3 * n // 6)
        assert link.take(replace(GOOD, heartbeat=n, count=count), OURS, 3 * n * MS, 3 * n * MS)
        assert 3 * n < 60 or 8.0 <= link.counts_per_ms <= 12.0, n


def test_the_speed_after_a_doubt_is_measured_anew() -> None:
    link = at_speed(armed(), 10 * SCANS_MS)
    link.doubt("gone")
    for n in range(1, 4):
        now = (1000 + n) * MS
        assert link.take(replace(GOOD, heartbeat=2 + n, count=500_000), OURS, now, now)
    assert link.counts_per_ms == 10.0, "unknown until it is measured"


def test_two_reads_at_one_time_tell_no_speed() -> None:
    link = armed()
    assert link.take(replace(GOOD, heartbeat=2, count=1010), OURS, 0, 0)
    assert link.counts_per_ms == 0.0


@pytest.mark.parametrize(
    ("speed", "later_ms", "expected"), [(10, 0, 50), (10, 7, 120), (0, 7, 0), (-2, 7, 0), (10, -20, 0)]
)
def test_the_likely_place_is_half_a_scan_behind_the_read_and_never_runs_backwards(
    speed: int, later_ms: int, expected: int
) -> None:
    """A read shows a count that is between none and one scan old."""
    moved = speed * SCANS_MS
    assert at_speed(armed(), moved).estimate((SCANS_MS + later_ms) * MS) == 1000 + moved + expected


def test_nothing_is_estimated_without_a_trusted_plc() -> None:
    link = armed()
    link.doubt("gone")
    assert link.estimate(5) == 0


def test_the_likely_place_wraps() -> None:
    link = PlcLink(CONFIG)
    last = (1 << 32) - 10
    link.take(replace(GOOD, count=last - 10 * SCANS_MS), OURS, 0, 0)
    assert at_speed(link, 10 * SCANS_MS, last - 10 * SCANS_MS).estimate(SCANS_MS * MS) == 40


@pytest.mark.parametrize("after_ms", [10, 100])
@pytest.mark.parametrize("more", [0, 1])
def test_a_part_counter_gains_no_more_than_many_times_what_the_belt_can_bring(after_ms: int, more: int) -> None:
    line = CONFIG.line
    fits = line.speed_max_mm_s / 1000 * after_ms / line.pitch_min_mm
    most = PARTS_AT_ONCE + ceil(PARTS_FACTOR * fits)
    link = armed()
    now = after_ms * MS - int(CONFIG.plc_timing.scan_ms * MS)  # the first read's count was a scan old
    leapt = replace(GOOD, heartbeat=2, last_part=GOOD.last_part + most + more)
    assert link.take(leapt, OURS, now, now) is not bool(more)
    assert link.most_parts == most
    assert ("leapt" in link.reason) is bool(more)
