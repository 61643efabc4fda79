"""The gateway's loop: what it hears of its permits, what it does with garbage, and when it wakes."""

from __future__ import annotations

from threading import Event

import msgspec
import pytest

from edge.config import GatewayConfig, LineConfig
from edge.core.counter import delta
from edge.gateway.plc.signals import ACTION_GOOD, ACTION_REJECTED, EXECUTED
from edge.gateway.sessions import new_session
from edge.wire import messages as wire
from tests.support_gateway import GEOMETRY, HELLO, MS, Line, Network

LATE = 5
CLEARED = 8


@pytest.fixture
def line() -> Line:
    return Line()


# -- what the PLC says of permits ----------------------------------------------------------------------------------


def test_a_permit_that_the_plc_refuses_is_counted_as_none(line: Line) -> None:
    station = line.joined()
    line.plc.echo = LATE
    station.judge(line.part(101))
    line.pass_time(20)
    line.gate(101, ACTION_GOOD)
    assert (line.gateway.status().executed, line.gateway.status().rejected) == (0, {"permit_late": 1})


@pytest.mark.parametrize(
    ("status", "executed", "voided"), [(EXECUTED, 1, {}), (CLEARED, 0, {"cleared": 1}), (LATE, 0, {"late": 1})]
)
def test_what_becomes_of_an_armed_permit(line: Line, status: int, executed: int, voided: dict[str, int]) -> None:
    station = line.joined()
    station.judge(line.part(101))
    line.pass_time(20)
    line.plc.say(101, status)
    line.pass_time(20)
    told = line.gateway.status()
    assert (told.permitted, told.executed, told.voided, told.armed) == (1, executed, voided, 0)
    assert len(station.heard(wire.Executed)) == executed


@pytest.mark.parametrize("missed", [True, False])
def test_a_permit_executed_before_its_echo_was_read_is_both(line: Line, missed: bool) -> None:
    station = line.joined()
    line.plc.echo = EXECUTED
    station.judge(line.part(101))
    line.pass_time(20)
    if not missed:
        line.gate(101, ACTION_GOOD)
    assert (line.gateway.status().permitted, line.gateway.status().executed) == (1, 1)
    assert len(station.heard(wire.Executed)) == 1


def test_a_permitted_part_that_the_plc_rejected_at_the_gate_is_voided(line: Line) -> None:
    station = line.joined()
    station.judge(line.part(101))
    line.pass_time(20)
    line.gate(101, ACTION_REJECTED)
    assert line.gateway.status().voided == {"rejected_at_gate": 1}
    assert station.heard(wire.Executed) == []


def test_a_permit_that_the_plc_never_echoes_ends_the_session_and_the_next_one_works(line: Line) -> None:
    station = line.joined()
    line.plc.echo = None
    station.judge(line.part(101))
    line.travel(GEOMETRY.gate - 300)
    assert station.revoked() == ""
    line.travel(600)
    assert "did not echo" in station.revoked()
    line.plc.echo = 1
    line.stations.clear()
    line.armed().pass_time(30)
    assert line.gateway.sessions.lost == 1
    station.join()
    assert station.judge(line.part(102)) == "ACCEPTED"
    line.pass_time(20)
    line.travel(GEOMETRY.gate + 3 * GEOMETRY.pitch)
    status = line.gateway.status()
    assert (status.permitted, status.rejected) == (2, {}), "the first one may have arrived"
    assert status.voided == {"no_word": 2}


def test_a_full_ring_refuses_and_ends_nothing() -> None:
    far = LineConfig(trigger_to_gate_mm=1500)
    line = Line(GatewayConfig(line=far))
    station = line.armed().station()
    station.grant = station.ask(msgspec.structs.replace(HELLO, line_digest=far.digest()), wire.Grant)
    line.stations.append(station)
    line.travel(2000)
    line.plc.echo = None
    answers = []
    for number in range(101, 110):
        answers.append(station.judge(line.part(number)))
        line.travel(920)
    assert answers == ["ACCEPTED"] * 8 + ["UNPERMITTED"]
    assert [p.number for p in line.plc.permits] == list(range(101, 109))
    assert (station.revoked(), line.gateway.status().rejected) == ("", {"permit_unwritten": 1})


# -- words that mean nothing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [
        wire.encode(HELLO).replace(b'"recipe_number":7', b'"recipe_number":70000'),
        wire.encode(HELLO).replace(b'"recipe_number":7', b'"recipe_number":-1'),
        b'{"x":' * 2_000,
        b'{"kind":"announce","session":' + b"9" * 5000 + b',"part":1,"count":1}',
        b'{"kind":"announce","session":1,"part":-1,"count":1}',
    ],
)
def test_garbage_is_counted_and_the_loop_goes_on(line: Line, garbage: bytes) -> None:
    station = line.joined()
    station.say(garbage)
    assert station.judge(line.part(101)) == "ACCEPTED"
    assert (line.gateway.wire_errors, station.revoked()) == (1, "")


@pytest.mark.parametrize("frames", [[b"a"], [b"a", b"b", b"c"]])
def test_a_message_of_more_or_fewer_parts_is_garbage(line: Line, frames: list[bytes]) -> None:
    line.network.inbox.append(frames)
    line.work()
    assert line.gateway.wire_errors == 1


def test_a_flood_does_not_keep_the_gateway_from_its_heartbeat(line: Line) -> None:
    line.armed()
    line.network.inbox.extend([b"x", b"garbage"] for _ in range(1000))
    line.work()
    assert line.gateway.wire_errors == 64
    beat = line.plc.control.heartbeat
    assert line.control.heartbeat > beat


def test_a_verdict_of_another_session_or_of_no_known_outcome_has_no_effect(line: Line) -> None:
    station = line.joined()
    line.part(101)
    station.say(station.verdict(101, outcome="PASS?"))
    station.say(msgspec.structs.replace(station.verdict(101), session=station.grant.session + 1))
    line.work()
    assert line.register.counts.dispositions["OLD_SESSION"] == 1
    assert (line.gateway.wire_errors, line.plc.permits) == (1, [])


# -- the loop ------------------------------------------------------------------------------------------------------


def test_a_turn_waits_until_something_is_due(line: Line) -> None:
    line.armed()
    line.pass_time(100)
    before, due = line.clock.ns, line.gateway.next_ns()
    assert before < due <= before + 10 * MS
    line.gateway.turn()
    assert due <= line.clock.ns < due + MS
    assert line.gateway.next_ns() > line.clock.ns


def test_what_is_overdue_is_not_waited_for(line: Line) -> None:
    line.armed()
    line.clock.ns = line.gateway.next_ns() + 5 * MS
    before = line.clock.ns
    line.gateway.turn()
    assert line.clock.ns == before


def test_the_state_is_published_once_a_second(line: Line) -> None:
    station = line.joined()
    station.judge(line.part(101))
    before = len(line.network.published)
    line.pass_time(3000)
    assert len(line.network.published) == before + 3
    last = line.network.published[-1]
    assert (last.mode, last.alarms, last.plc_ok, last.station) == ("auto", {}, True, "s")
    assert (last.permitted, last.armed, last.confirmed, last.contradicted) == (1, 0, 0, 0)
    assert last.voided == {"no_word": 1}


def test_the_station_hears_of_mode_and_belt(line: Line) -> None:
    station = line.joined()
    line.pass_time(100)
    beats = station.heard(wire.GatewayBeat)
    assert (beats[-1].mode, beats[-1].plc_ok) == ("auto", True)
    assert abs(delta(beats[-1].count, line.plc.count)) <= 400
    assert [b.beat for b in beats] == list(range(beats[0].beat, beats[0].beat + len(beats)))


def test_the_loop_runs_until_it_is_told_to_stop(line: Line) -> None:
    stop, waits = Event(), list[int]()

    def wait(most_ms: int) -> None:
        waits.append(most_ms)
        if len(waits) == 5:
            stop.set()

    line.network.wait = wait  # type: ignore[method-assign]
    line.gateway.run(stop)
    assert len(waits) == 5


def test_closing_closes_both_sides(line: Line) -> None:
    network: Network = line.network
    line.gateway.close()
    assert (line.plc.gone, network.closed) == (True, True)


def test_a_new_session_is_another_one_and_never_zero() -> None:
    assert all(0 < new_session(5) < 1 << 31 for _ in range(50))
    assert len({new_session() for _ in range(50)}) == 50
