"""Modes, alarms and commands, with everything that must follow from them at the PLC and at the station."""

from __future__ import annotations

from queue import Full

import pytest

from edge.config import ActuatorConfig, GatewayConfig, GuardConfig, PlcConfig, PulseConfig
from edge.gateway.desk import Desk
from edge.gateway.operations import Operations
from edge.gateway.plc.signals import (
    ACTION_GOOD,
    ACTION_REJECTED,
    AIR_LOW,
    BELT_MOVING,
    BIN_FULL,
    CONFIRMED,
    CONTRADICTED,
    ENCODER_LOST,
    EYE_BLOCKED,
    RESET,
)
from edge.wire import messages as wire
from edge.wire.control import Command, Peer
from tests.support_gateway import CONFIG, GEOMETRY, HELLO, Line, Station

ESCAPES = GatewayConfig(accept_escapes=True)


def guarded(**changes: object) -> Line:
    return Line(GatewayConfig(guard=GuardConfig.model_validate(changes)))


def press_reset(line: Line) -> None:
    line.plc.flags |= RESET
    line.pass_time(20)
    line.plc.flags &= ~RESET
    line.pass_time(20)


def again(line: Line, station: Station) -> Station:
    """Let a station that lost its session join anew."""
    line.stations.clear()
    line.armed().pass_time(30)
    station.join()
    line.stations.append(station)
    line.pass_time(30)
    return station


# -- READY ---------------------------------------------------------------------------------------------------------


def test_ready_only_after_the_plc_has_echoed_session_fence_and_recipe() -> None:
    line = Line().armed()
    line.plc.forgets_station = True
    station = line.station()
    station.grant = station.ask(HELLO, wire.Grant)
    line.stations.append(station)
    line.pass_time(50)
    control = line.control
    assert (control.station_session, control.fence, control.recipe) == (station.grant.session, station.grant.fence, 7)
    assert not control.ready
    line.plc.forgets_station = False
    line.plc.recipe = 6
    line.pass_time(50)
    assert not line.control.ready
    line.plc.recipe = None
    line.pass_time(50)
    assert line.control.ready


def test_a_station_that_is_not_ready_gets_no_parts() -> None:
    line = Line()
    station = line.joined()
    assert line.control.ready
    line.stations.clear()
    station.beat(ready=False)
    assert not line.control.ready


def test_a_recipe_change_holds_parts_until_the_plc_has_echoed_it() -> None:
    line = Line()
    station = line.joined()
    assert line.control.ready
    line.plc.recipe = 7
    station.say(wire.Recipe(session=station.grant.session, recipe="r2", recipe_number=8))
    line.work()
    control = line.plc.control
    assert (control.recipe, control.ready) == (8, False), "the PLC hears of it at once"
    line.pass_time(100)
    assert not line.control.ready
    assert station.judge(line.part(101)) == "ACCEPTED", "parts on the belt keep the recipe of their trigger"
    line.plc.recipe = None
    line.pass_time(30)
    assert (line.control.ready, station.revoked()) == (True, "")


def test_the_recipe_of_an_old_session_changes_nothing() -> None:
    line = Line()
    station = line.joined()
    old = station.grant.session
    station.join()
    station.say(wire.Recipe(session=old, recipe="r2", recipe_number=8))
    line.work()
    assert (line.control.recipe, line.control.ready) == (7, True)


# -- modes ---------------------------------------------------------------------------------------------------------


def test_inspect_only_inspects_and_permits_nothing() -> None:
    line = Line()
    station = line.joined()
    line.gateway.set_mode("inspect-only")
    assert "inspect-only" in station.revoked()
    again(line, station)
    assert line.control.ready
    assert station.judge(line.part(101)) == "UNPERMITTED"
    assert (line.plc.permits, line.gateway.status().rejected) == ([], {"withheld": 1})
    assert station.heard(wire.GatewayBeat)[-1].mode == "inspect-only"


@pytest.mark.parametrize("mode", ["jog", "purge"])
def test_jog_and_purge_let_nothing_in_and_nothing_through(mode: str) -> None:
    line = Line()
    station = line.joined()
    line.part(101)
    done, text = line.gateway.set_mode(mode)
    assert done
    assert mode in text
    line.stations.clear()
    line.armed()
    assert mode in station.ask(HELLO, wire.Refuse).reason
    assert not line.control.ready
    line.travel(GEOMETRY.gate)
    assert (line.plc.permits, line.gateway.status().rejected) == ([], {"session_lost": 1})
    line.gateway.set_mode("auto")
    again(line, station)
    assert line.control.ready
    assert station.judge(line.part(102)) == "ACCEPTED"


def test_the_same_mode_again_changes_nothing() -> None:
    line = Line()
    station = line.joined()
    assert line.gateway.set_mode("auto")[0]
    line.pass_time(30)
    assert station.revoked() == ""


@pytest.mark.parametrize("name", ["", "AUTO", "bypas"])
def test_an_unknown_mode_is_refused_and_the_known_ones_are_named(name: str) -> None:
    line = Line()
    station = line.joined()
    done, text = line.gateway.set_mode(name)
    assert not done
    assert "auto, inspect-only, bypass, jog, purge" in text
    line.pass_time(30)
    assert (station.revoked(), line.gateway.status().mode) == ("", "auto")


def test_bypass_needs_accept_escapes() -> None:
    line = Line()
    line.joined()
    done, text = line.gateway.set_mode("bypass")
    assert not done
    assert "accept_escapes" in text
    assert line.gateway.status().mode == "auto"
    assert line.gateway.status().alarms == {}


def test_bypass_permits_every_part_behind_its_fence_and_stands_as_an_alarm() -> None:
    line = Line(ESCAPES)
    station = line.joined()
    line.part(101)
    assert line.gateway.set_mode("bypass")[0]
    line.stations.clear()
    line.armed().pass_time(30)
    assert "bypass" in line.gateway.status().alarms
    assert "bypass" in station.ask(HELLO, wire.Refuse).reason
    line.part(102)
    assert line.plc.permits == [], "102 lies before the fence"
    line.travel(GEOMETRY.pitch + 200)
    line.part(103)
    assert [p.number for p in line.plc.permits] == [103]
    assert line.control.ready, "parts are let in without a station"
    line.pass_time(20)
    line.gate(103, ACTION_GOOD)
    assert (line.gateway.status().permitted, line.gateway.status().executed) == (1, 1)
    line.gateway.set_mode("auto")
    assert line.gateway.status().alarms == {}
    assert not line.control.ready
    line.part(104)
    assert [p.number for p in line.plc.permits] == [103]
    again(line, station)
    assert station.judge(line.part(105)) == "ACCEPTED"


def test_a_latched_fault_ends_what_bypass_lets_through() -> None:
    line = Line(ESCAPES)
    line.armed().gateway.set_mode("bypass")
    line.armed().travel(GEOMETRY.pitch + 500)
    line.plc.flags |= AIR_LOW
    line.pass_time(50)
    line.travel(GEOMETRY.pitch + 500)
    line.part(101)
    line.travel(GEOMETRY.commit + 500)
    assert line.plc.permits == []


# -- alarms and what follows from them ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "name"),
    [(BIN_FULL, "bin_full"), (AIR_LOW, "air_low"), (EYE_BLOCKED, "eye_blocked"), (ENCODER_LOST, "encoder_lost")],
)
@pytest.mark.parametrize("reaction", ["off", "alarm", "stop", "reject_all"])
def test_an_input_of_the_plc_has_its_configured_reaction(flag: int, name: str, reaction: str) -> None:
    line = guarded(**{f"on_{name}": reaction})
    station = line.joined()
    line.plc.flags |= flag
    line.pass_time(30)
    latched = reaction in ("stop", "reject_all")
    assert (name in line.gateway.status().alarms) is (reaction != "off")
    assert bool(station.revoked()) is latched
    assert line.control.stop is (reaction == "stop")
    if latched:
        again(line, station)
        assert line.control.ready is (reaction != "stop")
    assert station.judge(line.part(101)) == ("UNPERMITTED" if latched else "ACCEPTED")
    press_reset(line)
    assert (name in line.gateway.status().alarms) is (reaction != "off"), "it still holds"
    line.plc.flags &= ~flag
    line.pass_time(30)
    assert (name in line.gateway.status().alarms) is latched, "only a reset clears a latched one"
    press_reset(line)
    line.travel(1000)
    assert line.gateway.status().alarms == {}
    assert not line.control.stop
    assert station.judge(line.part(102)) == "ACCEPTED"


def test_a_lost_encoder_is_expected_while_the_belt_is_moved_by_hand() -> None:
    line = Line()
    line.armed().gateway.set_mode("jog")
    line.plc.flags |= ENCODER_LOST
    line.armed().pass_time(50)
    assert line.gateway.status().alarms == {}
    line.gateway.set_mode("auto")
    line.armed().pass_time(50)
    assert list(line.gateway.status().alarms) == ["encoder_lost"]


def test_a_frozen_encoder_is_noticed_against_a_running_belt_and_forgotten_when_it_counts_again() -> None:
    line = Line()
    line.joined()
    line.plc.run(0)
    line.pass_time(90)
    assert line.gateway.status().alarms == {}
    line.pass_time(40)
    assert list(line.gateway.status().alarms) == ["encoder_lost"]
    line.plc.run(10)
    line.pass_time(50)
    assert line.gateway.status().alarms == {}


def test_a_belt_that_stands_has_no_frozen_encoder() -> None:
    line = Line()
    line.joined()
    line.plc.run(0)
    line.plc.flags &= ~BELT_MOVING
    line.pass_time(1000)
    assert line.gateway.status().alarms == {}


def test_too_many_rejects_in_a_row() -> None:
    line = guarded(consecutive_rejects=2, on_consecutive_rejects="reject_all")
    station = line.joined()
    for number in (101, 102):
        line.travel(1000)
        station.judge(line.part(number), "REJECT")
    line.pass_time(20)
    assert "consecutive_rejects" in line.gateway.status().alarms
    assert "Too many rejects in a row" in station.revoked()


def test_parts_that_touch_raise_the_alarm_once_there_are_enough() -> None:
    line = guarded(touching_parts=2)
    station = line.joined()
    for number in (101, 102):
        line.part(number)
    assert (line.gateway.status().alarms, station.judge(102)) == ({}, "COLLATERAL")
    line.part(103)
    assert list(line.gateway.status().alarms) == ["touching_parts"]


@pytest.mark.parametrize(
    ("action", "word", "alarm"),
    [
        (ACTION_GOOD, CONFIRMED, ""),
        (ACTION_REJECTED, CONFIRMED, ""),
        (ACTION_GOOD, CONTRADICTED, "missing"),
        (ACTION_REJECTED, CONTRADICTED, "contradicted"),
    ],
)
def test_the_sensor_behind_the_gate(action: int, word: int, alarm: str) -> None:
    line = Line()
    line.joined()
    line.part(101)
    line.gate(101, action)
    assert line.gateway.status().confirmed == line.gateway.status().contradicted == 0, "it has not said anything yet"
    line.plc.gated[-1] = (101, action, word)
    line.pass_time(50)
    status = line.gateway.status()
    assert (status.confirmed, status.contradicted) == ((0, 1) if alarm else (1, 0))
    assert list(status.alarms) == ([alarm] if alarm else [])
    assert line.control.stop is (alarm == "contradicted")


# -- reset, restart ------------------------------------------------------------------------------------------------


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
    assert again(next_one, station).judge(next_one.part(101)) == "ACCEPTED"
    assert next_one.states[-1] == {"mode": "auto", "alarms": []}


def test_no_restart_brings_a_bypass_back() -> None:
    line = Line(ESCAPES, state={"mode": "bypass", "alarms": []})
    assert line.gateway.status().mode == "auto"
    line.armed().travel(2000)
    line.part(101)
    assert line.plc.permits == []


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
    operations = Operations(config, lambda _: None)
    assert list(operations.alarms.standing) == ["accept_escapes"]
    operations.reset("somebody")
    assert list(operations.alarms.standing) == ["accept_escapes"]
    assert (operations.withheld, operations.feeds) == (False, True)
    assert Operations(CONFIG, lambda _: None).alarms.standing == {}


# -- commands ------------------------------------------------------------------------------------------------------

PEER = Peer(uid=1000, user="operator", pid=42)


def commanded(line: Line, name: str, **arguments: str) -> tuple[bool, str, dict[str, object]]:
    command = Command(name, dict(arguments), PEER)
    line.gateway._desk.post(command)
    line.work()
    answer = command.wait(0)
    return answer.ok, answer.text, answer.extra


def test_commands_are_carried_out_by_the_loop() -> None:
    line = guarded(on_air_low="stop")
    station = line.joined()
    line.plc.flags |= AIR_LOW
    line.pass_time(30)
    line.plc.flags &= ~AIR_LOW
    line.pass_time(30)
    ok, text, _ = commanded(line, "status")
    assert (ok, "air pressure is low" in text) == (True, True)
    ok, text, _ = commanded(line, "reset")
    assert (ok, "Cleared air_low" in text) == (True, True)
    ok, text, _ = commanded(line, "mode", mode="purge")
    assert (ok, "purge" in text) == (True, True)
    assert station.revoked()
    ok, text, extra = commanded(line, "status")
    assert (ok, text, extra["mode"]) == (True, "Mode purge; no alarm stands.", "purge")
    assert extra["plc_triggers"] == 0


def test_a_command_that_is_not_known_is_answered_and_one_that_was_withdrawn_is_not_carried_out() -> None:
    line = Line()
    ok, text, _ = commanded(line, "recipe")
    assert (ok, "mode, reset and status" in text) == (False, True)
    ok, text, _ = commanded(line, "mode")
    assert (ok, "There is no mode 'None'" in text) == (False, True)
    late = Command("mode", {"mode": "purge"}, PEER)
    assert "withdrawn" in late.wait(0).text
    line.gateway._desk.post(late)
    line.work()
    assert line.gateway.status().mode == "auto"


def test_a_desk_takes_a_few_commands_and_no_more() -> None:
    desk = Desk()
    for _ in range(8):
        desk.post(Command("status", {}, PEER))
    with pytest.raises(Full):
        desk.post(Command("status", {}, PEER))
