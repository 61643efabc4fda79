"""A gate that the gateway times, when something is in doubt: it rests at once, and no permit outlives the doubt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge.config import GatewayConfig
from edge.core.counter import delta
from edge.gateway.plc.signals import AIR_LOW, BELT_MOVING, ENCODER_LOST
from edge.wire import messages as wire
from tests.support_gateway import COUNTS_PER_MS, GEOMETRY, MS, PULSE, SPAN, Line, Station
from tests.unit.test_gateway_pulse import GATE, assert_window_of, leave, running, windows

RESTS_IN_PASS: dict[str, Any] = PULSE | {"accept_escapes": True, "actuator": {"deenergised_state": "pass"}}


def pulse(**changes: Any) -> GatewayConfig:
    return GatewayConfig.model_validate(PULSE | changes)


# -- the speed is only estimated -------------------------------------------------------------------------------------


@pytest.mark.parametrize("poll_ms", [1.0, 2.0, 3.0, 4.0, 7.0])
@pytest.mark.parametrize("state", ["reject", "pass"])
def test_the_beat_of_scan_and_poll_does_not_make_the_output_chatter(poll_ms: float, state: str) -> None:
    rest = RESTS_IN_PASS if state == "pass" else PULSE
    timing = {"scan_ms": 6.0, "write_ms": 4.0}
    config = GatewayConfig.model_validate(rest | {"plc": {"signal": "pulse", "poll_ms": poll_ms}, "plc_timing": timing})
    line = Line(config)
    line.plc.scan_ms = 6
    station = line.joined()
    for number in range(101, 109):
        station.judge(line.part(number), "PASS" if number % 2 else "REJECT")
        line.travel(1203)
    leave(line)
    assert len(windows(line)) == 4
    assert line.gateway.status().executed == 4
    assert all(300 < delta(off, on) < 1200 for on, off in windows(line))


# -- at once ---------------------------------------------------------------------------------------------------------


def open_gate() -> tuple[Line, Station]:
    """Return a line that has just switched its output on."""
    line, station = running()
    station.judge(line.part(101))
    line.until(lambda: line.plc.control.output)
    line.pass_time(5)
    return line, station


def command_purge(line: Line) -> None:
    line.gateway.set_mode("purge")


def stall(line: Line) -> None:
    line.clock.ns += 151 * MS
    line.plc.run(0)
    line.work()


def poll(line: Line) -> None:
    line.clock.ns = max(line.clock.ns, line.gateway._poll_ns)
    line.work()


def lose_air(line: Line) -> None:
    line.plc.flags |= AIR_LOW
    poll(line)


def turn_epoch(line: Line) -> None:
    line.plc.epoch += 1
    poll(line)


def lose_a_read(line: Line) -> None:
    line.plc.refuses_reads = True
    poll(line)
    line.plc.refuses_reads = False


AT_ONCE: dict[str, Callable[[Line], object]] = {
    "purge": command_purge,
    "stall": stall,
    "air": lose_air,
    "epoch": turn_epoch,
    "read": lose_a_read,
    "jump": lambda line: (line.plc.jump(-100_000), poll(line)),
}


@pytest.mark.parametrize("doubt", AT_ONCE)
def test_the_output_is_switched_off_in_the_very_turn_of_a_doubt(doubt: str) -> None:
    line, _ = open_gate()
    AT_ONCE[doubt](line)
    assert [state for _, state in line.plc.outputs] == [True, False]
    leave(line)
    assert [state for _, state in line.plc.outputs] == [True, False]
    assert (line.gateway.status().executed, line.gateway.status().voided) == (0, {"cleared": 1})


@pytest.mark.parametrize("refuses", [False, True])
def test_closing_switches_the_output_off_and_where_it_cannot_it_closes_all_the_same(refuses: bool) -> None:
    line, _ = open_gate()
    line.plc.refuses_control = refuses
    line.gateway.close()
    assert line.plc.control.output is refuses, "its watchdog does it"
    assert (line.plc.gone, line.network.closed) == (True, True)


def test_a_gate_that_rests_is_not_written_to_on_closing() -> None:
    line, _ = running()
    beat = line.plc.control.heartbeat
    line.gateway.close()
    assert line.plc.control.heartbeat == beat


# -- what withdraws permits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on", [False, True])
def test_a_lost_encoder_withdraws_the_permits_that_the_gateway_holds(on: bool) -> None:
    line, station = running(pulse(guard={"on_encoder_lost": "off"}))
    station.judge(line.part(101))
    if on:
        line.until(lambda: line.plc.control.output)
    line.plc.flags |= ENCODER_LOST
    line.pass_time(20)
    line.plc.flags &= ~ENCODER_LOST
    assert not line.plc.control.output
    leave(line)
    assert len(line.plc.outputs) == 2 * on
    assert (line.gateway.status().voided, station.heard(wire.Executed)) == ({"cleared": 1}, [])
    station.judge(line.part(102))
    leave(line)
    assert len(windows(line)) == 1 + on


def test_a_new_station_session_withdraws_the_permits_of_the_one_before() -> None:
    line, station = running()
    station.judge(line.part(101))
    line.travel(500)
    station.join()
    leave(line)
    assert line.plc.outputs == []
    assert line.gateway.status().voided == {"fenced": 1}
    station.judge(line.part(102))
    leave(line)
    (seen,) = windows(line)
    assert_window_of(line, 102, seen)


def test_a_station_that_goes_leaves_its_permits() -> None:
    line, station = running()
    station.judge(line.part(101))
    station.say(wire.Goodbye(session=station.grant.session))
    line.stations.clear()
    leave(line)
    assert len(windows(line)) == 1
    assert line.gateway.status().executed == 1


# -- a new session with the PLC --------------------------------------------------------------------------------------


@pytest.mark.parametrize("begins_at", [0, 1 << 30, SPAN - 200_000])
def test_the_windows_of_an_old_epoch_do_not_block_those_of_a_new_one(begins_at: int) -> None:
    line, station = running()
    station.judge(line.part(101))
    line.plc.epoch += 1
    line.plc._from = (begins_at, line.clock.ns)
    line.pass_time(30)
    line.rejoin(station)
    station.judge(line.part(102))
    leave(line)
    (seen,) = windows(line)
    assert_window_of(line, 102, seen)
    assert line.gateway.status().executed == 1


@pytest.mark.parametrize("config", [PULSE, RESTS_IN_PASS])
@pytest.mark.parametrize("doubt", ["before", "mode", "stall"])
def test_parts_on_the_belt_at_a_new_session_are_still_rejected(config: dict[str, Any], doubt: str) -> None:
    line = Line(GatewayConfig.model_validate(config))
    if doubt == "before":  # the gateway starts with a part on the belt
        line.plc.parts, line.plc.last_part = [(101, line.plc.count)], 101
        line.travel(1000)
    else:
        line.joined().judge(line.part(101))
        line.travel(1000)
        line.stations.clear()
    if doubt == "mode":
        line.gateway.set_mode("inspect-only")
    if doubt == "stall":
        line.clock.ns += 151 * MS
    line.armed()
    leave(line)
    seen = windows(line)
    assert len(seen) == (config is RESTS_IN_PASS)
    if seen:
        assert_window_of(line, 101, seen[0])
    assert line.gateway.status().executed == 0


def test_a_part_that_has_left_the_gate_gets_no_window_at_a_new_session() -> None:
    line = Line(GatewayConfig.model_validate(RESTS_IN_PASS))
    count = line.plc.count
    behind = GATE.gate + GATE.length + GATE.lead
    line.plc.run(0)
    line.plc.flags &= ~BELT_MOVING
    line.plc.parts = [(number, (count - at) % SPAN) for number, at in ((100, behind), (101, behind - 1), (102, 0))]
    line.plc.last_part = 102
    line.armed()
    assert [w.number for w in line.gateway._actuation._gate._windows] == [101, 102]  # type: ignore[attr-defined]


def test_a_part_that_was_executed_before_a_doubt_is_booked_after_it() -> None:
    line, station = running()
    station.judge(line.part(101))
    line.travel(GATE.gate)
    line.until(lambda: bool(line.gateway._actuation._executed))  # type: ignore[attr-defined]
    line.gateway.set_mode("inspect-only")
    line.armed().pass_time(50)
    status = line.gateway.status()
    assert (status.permitted, status.executed, status.voided) == (1, 1, {})
    leave(line)
    assert len(windows(line)) == 1


def test_an_eye_that_bounces_while_the_belt_stands_fills_no_memory() -> None:
    line, _ = running()
    line.plc.run(0)
    line.plc.flags &= ~BELT_MOVING
    for number in range(101, 401):
        line.part(number)
    assert len(line.gateway._actuation._gate._windows) == 1  # type: ignore[attr-defined]
    line.plc.run(COUNTS_PER_MS)
    line.travel(GEOMETRY.gate + 1500)
    assert (line.plc.outputs, line.register.pending) == ([], 0)
