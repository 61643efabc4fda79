"""What parts met at the gate, told to a station that wants to hear of it."""

from __future__ import annotations

import msgspec

from edge.gateway.plc.signals import ACTION_GOOD, ACTION_REJECTED, CONFIRMED, CONTRADICTED
from edge.gateway.stations import Stations
from edge.wire import messages as wire
from tests.support_gateway import CONFIG, HELLO, Line, Station


def joined(line: Line, wants_gate: bool) -> Station:
    """Return a station that holds the lane and has asked, or not, for the gate's word."""
    station = line.armed().station()
    station.grant = station.ask(msgspec.structs.replace(HELLO, wants_gate=wants_gate), wire.Grant)
    station.beat()
    line.stations.append(station)
    line.pass_time(30)
    return station


def test_every_word_of_the_gate_is_told_once_to_who_wants_it() -> None:
    line = Line()
    station = joined(line, wants_gate=True)
    line.gate(92, ACTION_REJECTED)
    line.gate(93, ACTION_GOOD, CONTRADICTED)
    line.pass_time(100)
    line.plc.gated[-2] = (92, ACTION_REJECTED, CONFIRMED)
    line.pass_time(100)
    told = [(m.session, m.part, m.fact) for m in station.heard(wire.Gated)]
    session = station.grant.session
    assert told == [
        (session, 92, "rejected"),
        (session, 93, "good"),
        (session, 93, "contradicted"),
        (session, 92, "confirmed"),
    ]


def test_who_did_not_ask_is_told_nothing_and_a_new_holder_is_asked_anew() -> None:
    line = Line()
    station = joined(line, wants_gate=False)
    line.gate(92, ACTION_REJECTED)
    line.pass_time(100)
    assert station.heard(wire.Gated) == []
    line = Line()
    station = joined(line, wants_gate=True)
    line.gateway.sessions.revoke("a test")
    line.stations.clear()
    line.gate(94, ACTION_GOOD)
    line.pass_time(100)
    assert station.heard(wire.Gated) == []
    other = line.station(b"b").join()
    line.stations.append(other)
    line.gate(95, ACTION_GOOD)
    line.pass_time(100)
    assert other.heard(wire.Gated) == []


def test_what_a_holder_wanted_ends_with_its_hold() -> None:
    stations = Stations(CONFIG, lambda *_: True)
    stations.admit(b"a", msgspec.structs.replace(HELLO, wants_gate=True), 7, 0)
    assert stations.wants_gate
    stations.dismiss()
    assert not stations.wants_gate
