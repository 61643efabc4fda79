"""Alarms and commands, with everything that must follow from them at the PLC and at the station."""

from __future__ import annotations

import json
from pathlib import Path
from queue import Full

import pytest

from edge import flight
from edge.gateway.desk import Desk
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
)
from edge.wire.control import Command, Peer
from tests.support_gateway import GEOMETRY, Line, guarded, press_reset

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
        line.rejoin(station)
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


def test_a_count_that_stood_through_an_outage_is_no_lost_encoder() -> None:
    line = guarded(on_encoder_lost="stop")
    line.joined()
    line.plc.run(0)
    line.pass_time(40)
    line.plc.gone = True
    line.pass_time(1000)
    line.plc.gone = False
    line.stations.clear()
    line.armed().pass_time(40)
    line.plc.run(10)
    line.pass_time(100)
    assert line.gateway.status().alarms == {}


@pytest.mark.parametrize("mode", ["auto", "purge", "jog"])
def test_parts_that_nobody_can_announce_are_no_alarm(mode: str) -> None:
    line = guarded(consecutive_unannounced=2, reject_rate=0)
    line.armed().gateway.set_mode(mode)
    for number in range(101, 105):
        line.armed().travel(1000)
        line.part(number)
    line.travel(GEOMETRY.commit + 500)
    assert list(line.gateway.status().alarms) == (["consecutive_unannounced"] if mode == "auto" else [])
    assert line.gateway.status().rejected == {"unannounced": 4}
    line.gateway.set_mode("auto")
    line.armed().pass_time(50)
    assert ("consecutive_unannounced" in line.gateway.status().alarms) is (mode == "auto")


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


@pytest.mark.parametrize("same", [True, False])
def test_a_plc_that_was_restarted_confirms_parts_of_known_numbers(same: bool) -> None:
    line = Line()
    line.joined()
    line.gate(101, ACTION_GOOD, CONFIRMED)
    assert line.gateway.status().confirmed == 1
    line.stations.clear()
    line.plc.session += not same
    line.plc.epoch += same
    line.plc.gated = [(0, 0, 0)]
    line.pass_time(30)
    line.armed().gate(101, ACTION_GOOD, CONFIRMED)
    assert line.gateway.status().confirmed == (1 if same else 2)


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
    assert (ok, "mode, reset, status, trace" in text) == (False, True)
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


def test_a_trace_is_written_by_whoever_asks_and_never_by_the_loop(tmp_path: Path) -> None:
    desk = Desk()
    nothing, trace = (Command("trace", {}, PEER) for _ in range(2))
    desk.post(nothing)
    assert "flight.folder is not set" in nothing.wait(0).text
    flight.start(1024, tmp_path, 2, "gateway g")
    try:
        desk.post(trace)
        answer = trace.wait(0)
    finally:
        flight.stop()
    assert answer.ok
    assert json.loads(Path(str(answer.extra["path"])).read_text())["traceEvents"]
