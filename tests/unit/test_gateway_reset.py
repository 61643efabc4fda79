"""Resets and restarts: what clears a latched alarm, and what mode and alarms outlive a process."""

from __future__ import annotations

import pytest

from edge.config import ActuatorConfig, GatewayConfig, GuardConfig, PlcConfig, PulseConfig
from edge.gateway.operations import Operations
from edge.gateway.plc.signals import ACTION_REJECTED, AIR_LOW, BIN_FULL, CONTRADICTED, RESET
from edge.wire import messages as wire
from tests.support_gateway import CONFIG, HELLO, Line, guarded, press_reset

ESCAPES = GatewayConfig(accept_escapes=True)


def test_only_a_reset_that_is_pressed_anew_counts() -> None:
    line = guarded(on_air_low="stop")
    line.plc.flags |= RESET
    line.joined()
    line.plc.flags |= AIR_LOW
    line.pass_time(50)
    line.plc.flags &= ~AIR_LOW
    line.pass_time(200)
    assert line.control.stop, "the button was held since before"
    line.plc.flags &= ~RESET
    line.pass_time(50)
    assert line.control.stop
    press_reset(line)
    assert not line.control.stop


def test_a_fault_that_comes_up_as_the_button_is_pressed_stays() -> None:
    line = Line()
    line.joined()
    line.plc.flags |= RESET
    line.gate(101, ACTION_REJECTED, CONTRADICTED)
    line.pass_time(30)
    assert list(line.gateway.status().alarms) == ["contradicted"]
    assert line.control.stop
    line.plc.flags &= ~RESET
    line.pass_time(30)
    press_reset(line)
    assert (line.gateway.status().alarms, line.control.stop) == ({}, False)


def test_a_reset_counts_a_run_anew_before_it_looks_at_what_has_ended() -> None:
    line = guarded(consecutive_rejects=2)
    station = line.joined()
    station.judge(line.part(101), "REJECT")
    line.travel(1000)
    line.plc.flags |= RESET
    station.judge(line.part(102), "REJECT")
    line.pass_time(30)
    assert line.gateway.status().alarms == {}
    line.travel(1000)
    station.judge(line.part(103), "REJECT")
    line.pass_time(30)
    assert list(line.gateway.status().alarms) == ["consecutive_rejects"]


def test_a_command_resets_as_the_button_does_and_says_what_stands() -> None:
    line = guarded(on_air_low="stop", on_bin_full="stop")
    line.joined()
    line.plc.flags |= AIR_LOW | BIN_FULL
    line.pass_time(50)
    line.plc.flags &= ~AIR_LOW
    line.pass_time(50)
    text = line.gateway.reset("somebody")
    assert "Cleared air_low; bin_full still stands" in text
    assert "Cleared nothing; bin_full" in line.gateway.reset("somebody")


def test_what_must_outlive_the_process_is_told_when_it_changes_and_taken_up_again() -> None:
    line = guarded(on_air_low="stop")
    line.joined()
    line.plc.flags |= AIR_LOW
    line.pass_time(50)
    line.gateway.set_mode("inspect-only")
    assert line.states[-1] == {"mode": "inspect-only", "alarms": ["air_low"]}
    assert all(a != b for a, b in zip(line.states, line.states[1:], strict=False))
    next_one = Line(line.config, state=line.states[-1])
    station = next_one.armed().station()
    assert next_one.gateway.status().mode == "inspect-only"
    assert "before the restart" in next_one.gateway.status().alarms["air_low"]
    assert next_one.control.stop
    press_reset(next_one)
    assert not next_one.control.stop
    next_one.gateway.set_mode("auto")
    assert next_one.rejoin(station).judge(next_one.part(101)) == "ACCEPTED"
    assert next_one.states[-1] == {"mode": "auto", "alarms": []}


def test_no_restart_brings_a_bypass_back() -> None:
    line = Line(ESCAPES, state={"mode": "bypass", "alarms": []})
    assert line.gateway.status().mode == "auto"
    line.armed().travel(2000)
    line.part(101)
    assert line.plc.permits == []


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"alarms": []},
        {"mode": None},
        {"mode": "turbo", "alarms": []},
        {"mode": 5, "alarms": []},
        {"mode": ["auto"]},
    ],
)
def test_where_the_recorded_mode_is_damaged_the_line_is_purged(state: dict[str, object]) -> None:
    line = Line(state=state)
    assert line.gateway.status().mode == "purge"
    station = line.armed().station()
    assert "the mode is purge" in station.ask(HELLO, wire.Refuse).reason
    assert not line.control.ready
    assert line.gateway.set_mode("auto")[0]
    assert line.rejoin(station).judge(line.part(101)) == "ACCEPTED"


@pytest.mark.parametrize("alarms", [None, "bin_full", 7, {"bin_full": 1}])
def test_recorded_alarms_that_are_damaged_are_none(alarms: object) -> None:
    line = Line(state={"mode": "inspect-only", "alarms": alarms})
    assert (line.gateway.status().mode, line.gateway.status().alarms) == ("inspect-only", {})


def test_an_alarm_that_this_version_does_not_know_is_forgotten() -> None:
    line = Line(state={"mode": "auto", "alarms": ["of_old", "bin_full"]})
    assert list(line.gateway.status().alarms) == ["bin_full"]


@pytest.mark.parametrize("reaction", ["alarm", "off"])
def test_an_alarm_that_no_longer_latches_is_not_latched_by_the_past(reaction: str) -> None:
    line = Line(
        GatewayConfig(guard=GuardConfig.model_validate({"on_air_low": reaction})),
        state={"mode": "auto", "alarms": ["air_low"]},
    )
    assert line.joined().judge(line.part(101)) == "ACCEPTED"


def test_a_gate_that_rests_in_pass_stands_as_an_alarm_for_ever() -> None:
    config = GatewayConfig(
        accept_escapes=True,
        actuator=ActuatorConfig(deenergised_state="pass"),
        plc=PlcConfig(signal="pulse"),
        pulse=PulseConfig(link_p999_ms=1, output_watchdog_ms=80),
    )
    operations = Operations(config, lambda _: None, lambda *_, **__: None)
    assert list(operations.alarms.standing) == ["accept_escapes"]
    operations.reset("somebody")
    assert list(operations.alarms.standing) == ["accept_escapes"]
    assert (operations.withheld, operations.feeds) == (False, True)
    assert Operations(CONFIG, lambda _: None, lambda *_, **__: None).alarms.standing == {}
