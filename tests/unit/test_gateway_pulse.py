"""The pulse signal end to end: a gateway that times the gate, and a PLC that only passes its output on."""

from __future__ import annotations

import pytest

from edge.config import GatewayConfig
from edge.core.counter import delta
from edge.gateway.geometry import gate_geometry
from edge.gateway.plc.signals import AIR_LOW
from edge.wire import messages as wire
from tests.support_gateway import COUNTS_PER_MS, PULSE, PULSE_CONFIG, Line, Station

GATE = gate_geometry(PULSE_CONFIG)
ON, OFF = (round(ms * COUNTS_PER_MS) for ms in (GATE.on_ms, GATE.off_ms))
SLACK = COUNTS_PER_MS * 12
"""The gateway looks once a millisecond at best; it reads the belt every 10 ms, and the count may be a scan old."""


def windows(line: Line) -> list[tuple[int, int]]:
    """Return (on, off) of the output, in counts."""
    states = [state for _, state in line.plc.outputs]
    assert states == [True, False] * (len(states) // 2)
    counts = [count for count, _ in line.plc.outputs]
    return list(zip(counts[::2], counts[1::2], strict=True))


def assert_window_of(line: Line, number: int, seen: tuple[int, int]) -> None:
    count = line.latched(number)
    assert abs(delta(seen[0], count + GATE.gate - GATE.lead - ON)) <= SLACK
    assert abs(delta(seen[1], count + GATE.gate + GATE.length + GATE.lead - OFF)) <= SLACK


def running(config: GatewayConfig = PULSE_CONFIG) -> tuple[Line, Station]:
    line = Line(config)
    return line, line.joined()


def leave(line: Line) -> None:
    """Let what is on the belt pass the gate."""
    line.travel(GATE.gate + GATE.length + GATE.lead + 500)


def test_what_a_gate_needs_comes_from_line_actuator_and_timing() -> None:
    actuator, timing = PULSE_CONFIG.actuator, PULSE_CONFIG.plc_timing
    assert (GATE.gate, GATE.length) == (5000, 600)
    transport_ms = timing.write_ms + timing.scan_ms + timing.output_ms
    assert GATE.on_ms == actuator.response_max_ms + transport_ms
    assert GATE.off_ms == actuator.switch_off_ms + transport_ms
    assert (GATE.most_on_ms, GATE.rests_in_pass) == (0, False)


def test_the_output_is_on_while_a_permitted_part_is_at_the_gate_and_at_no_other_time() -> None:
    line, station = running()
    for number, outcome in ((101, "PASS"), (102, "REJECT"), (103, "PASS")):
        station.judge(line.part(number), outcome)
        line.travel(1500)
    line.part(104)  # of which nobody says anything
    leave(line)
    seen = windows(line)
    assert len(seen) == 2
    assert_window_of(line, 101, seen[0])
    assert_window_of(line, 103, seen[1])
    assert line.plc.permits == [], "nothing is written but the output"
    status = line.gateway.status()
    assert (status.permitted, status.executed, status.voided, status.armed) == (2, 2, {}, 0)
    assert status.rejected == {"reject": 1, "unannounced": 1}
    assert [m.part for m in station.heard(wire.Executed)] == [101, 103]


def test_a_belt_that_stands_holds_the_window_where_it_is() -> None:
    line, station = running()
    station.judge(line.part(101))
    line.travel(3000)
    line.plc.run(0)
    line.pass_time(3000)
    assert line.plc.outputs == []
    line.plc.run(COUNTS_PER_MS)
    leave(line)
    (seen,) = windows(line)
    assert_window_of(line, 101, seen)


def test_at_half_the_speed_switching_begins_half_as_far_ahead() -> None:
    line, station = running()
    station.judge(line.part(101))
    line.travel(2000)
    line.plc.run(COUNTS_PER_MS // 2)
    line.pass_time(1500)
    (seen,) = windows(line)
    front = line.latched(101) + GATE.gate - GATE.lead
    assert abs(delta(seen[0], front - ON // 2)) <= SLACK


def test_a_belt_that_goes_back_takes_the_permits_that_the_gateway_holds() -> None:
    line, station = running()
    station.judge(line.part(101))
    line.travel(3000)
    line.plc.run(-5)
    line.pass_time(40)
    line.plc.run(COUNTS_PER_MS)
    leave(line)
    assert line.plc.outputs == []
    assert (line.gateway.status().voided, station.heard(wire.Executed)) == ({"reversed": 1}, [])
    station.judge(line.part(102))
    leave(line)
    assert len(windows(line)) == 1


def test_a_part_that_touches_a_reject_is_rejected_with_it() -> None:
    line, station = running()
    station.judge(line.part(101))
    line.travel(400)
    assert station.judge(line.part(102), "REJECT") == "ACCEPTED"
    leave(line)
    assert line.plc.outputs == []
    assert line.gateway.status().voided == {"collateral": 1}
    assert station.heard(wire.Executed) == []


@pytest.mark.parametrize("doubt", ["restart", "mode", "alarm", "silence"])
def test_whatever_is_in_doubt_closes_the_gate(doubt: str) -> None:
    line, station = running()
    station.judge(line.part(101))
    line.until(lambda: bool(line.plc.outputs))
    assert line.plc.control.output
    if doubt == "restart":
        line.plc.session += 1
    elif doubt == "mode":
        line.gateway.set_mode("purge")
    elif doubt == "alarm":
        line.plc.flags |= AIR_LOW
    else:
        line.plc.gone = True
        line.pass_time(20)
        line.plc.gone = False
    line.pass_time(40 if doubt != "silence" else 250)
    assert not line.plc.control.output
    leave(line)
    assert [state for _, state in line.plc.outputs] == [True, False]
    assert (line.gateway.status().executed, sum(line.gateway.status().voided.values())) == (0, 1)


def test_the_output_is_written_as_soon_as_it_changes_and_not_with_the_next_heartbeat_alone() -> None:
    line, station = running()
    station.judge(line.part(101))
    before = line.plc.control.heartbeat
    leave(line)
    elapsed_ms = (GATE.gate + GATE.length + GATE.lead + 500) / COUNTS_PER_MS
    beats = (line.plc.control.heartbeat - before) & 0xFFFF
    assert elapsed_ms / PULSE_CONFIG.heartbeat_ms <= beats <= elapsed_ms / PULSE_CONFIG.heartbeat_ms + 4


def test_a_gate_that_rests_in_pass_is_energised_for_every_part_but_the_permitted() -> None:
    line, station = running(
        GatewayConfig.model_validate(PULSE | {"accept_escapes": True, "actuator": {"deenergised_state": "pass"}})
    )
    station.judge(line.part(101))
    line.travel(1500)
    station.judge(line.part(102), "REJECT")
    line.travel(1500)
    line.part(103)
    leave(line)
    seen = windows(line)
    assert len(seen) == 2
    assert_window_of(line, 102, seen[0])
    assert_window_of(line, 103, seen[1])
    assert "accept_escapes" in line.gateway.status().alarms


def test_an_output_that_was_on_too_long_executes_nothing() -> None:
    line, station = running(GatewayConfig.model_validate(PULSE | {"actuator": {"max_energised_ms": 20.0}}))
    station.judge(line.part(101))
    leave(line)
    ((on, off),) = windows(line)
    assert 200 <= delta(off, on) <= 350
    status = line.gateway.status()
    assert (status.voided, status.executed) == ({"overheated": 1}, 0)
