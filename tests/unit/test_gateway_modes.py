"""READY and the modes, with everything that must follow from them at the PLC and at the station."""

from __future__ import annotations

import pytest

from edge.config import GatewayConfig
from edge.gateway.plc.signals import ACTION_GOOD, AIR_LOW
from edge.wire import messages as wire
from tests.support_gateway import GEOMETRY, HELLO, Line

ESCAPES = GatewayConfig(accept_escapes=True)


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
    line.rejoin(station)
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
    line.rejoin(station)
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
    line.rejoin(station)
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
