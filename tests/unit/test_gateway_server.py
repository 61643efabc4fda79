"""The gateway between a PLC and stations in memory, on a virtual clock: sessions, fences, and every doubt."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from edge.core.counter import delta
from edge.gateway.plc.signals import ACTION_GOOD, ACTION_REJECTED
from edge.wire import messages as wire
from tests.support_gateway import GEOMETRY, HELLO, MS, Line


@pytest.fixture
def line() -> Line:
    return Line()


# -- sessions and fences -------------------------------------------------------------------------------------------


def test_a_session_is_granted_only_once_the_plc_is_armed(line: Line) -> None:
    station = line.station()
    assert "not been read" in station.ask(HELLO, wire.Refuse).reason
    line.plc.deaf = True
    line.pass_time(50)
    assert "not taken the gateway's session" in station.ask(HELLO, wire.Refuse).reason
    line.plc.deaf = False
    line.armed()
    before = line.plc.count
    grant = station.ask(HELLO, wire.Grant)
    assert (grant.plc_session, grant.epoch, grant.fail_safe) == (900, 3, "reject")
    assert grant.gateway_session == line.plc.control.gateway_session != 0
    scan = 10 * 18  # counts that the belt makes in one write and one scan
    assert 0 <= delta(grant.fence, before) - GEOMETRY.gate - GEOMETRY.pitch - scan <= 300, "and since the last read"
    assert line.gateway.sessions.granted == 1


def test_parts_on_the_belt_at_the_grant_are_fenced_and_the_next_one_passes(line: Line) -> None:
    station = line.armed().station()
    line.part(101)
    station.grant = station.ask(HELLO, wire.Grant)
    assert station.judge(101) == "FENCED"
    line.travel(delta(station.grant.fence, line.plc.count) - GEOMETRY.gate - 20)
    assert station.judge(line.part(102)) == "FENCED"
    line.travel(1000)
    assert station.judge(line.part(103)) == "ACCEPTED"
    assert [permit.number for permit in line.plc.permits] == [103]


def test_the_plc_is_told_of_session_fence_and_epoch_at_once(line: Line) -> None:
    station = line.joined()
    control, grant = line.control, station.grant
    assert (control.plc_session, control.gateway_session) == (900, grant.gateway_session)
    assert (control.station_session, control.fence, control.epoch) == (grant.session, grant.fence, 3)
    assert (control.fail_safe, control.stop, control.output) == ("reject", False, False)
    beat = control.heartbeat
    assert line.control.heartbeat == beat + 1


def test_a_pass_is_one_permit_and_nothing_else_is_any(line: Line) -> None:
    station = line.joined()
    for number, outcome in ((101, "PASS"), (102, "REJECT"), (103, "NO_DECISION")):
        line.travel(900)
        station.announce(line.part(number))
        assert station.judge(number, outcome) == "ACCEPTED"
    assert station.judge(101) == "DUPLICATE"
    assert [(p.number, p.count) for p in line.plc.permits] == [(101, line.latched(101))]
    assert line.plc.permits[0].session == line.register.session
    line.pass_time(20)
    line.gate(102, ACTION_GOOD)
    line.gate(101, ACTION_GOOD)
    line.pass_time(30)
    assert [m.part for m in station.heard(wire.Executed)] == [101]
    status = line.gateway.status()
    assert (status.permitted, status.executed, status.armed, status.plc_triggers, status.pending) == (1, 1, 0, 3, 0)
    assert status.rejected == {"reject": 1, "no_decision": 1}


def test_a_verdict_waits_for_the_plcs_own_count(line: Line) -> None:
    station = line.joined()
    station.say(station.verdict(101, count=line.plc.count))
    line.work()
    assert (station.heard(wire.Ack), line.plc.permits) == ([], [])
    line.part(101)
    assert [(m.part, m.disposition) for m in station.heard(wire.Ack)] == [(101, "ACCEPTED")]
    assert [p.number for p in line.plc.permits] == [101]


def test_a_verdict_after_the_commit_point_is_late_even_before_the_next_read(line: Line) -> None:
    station = line.joined()
    line.part(101)
    early = delta(line.latched(101), line.plc.count) + GEOMETRY.commit
    line.travel(early - 200)
    line.clock.ns += 45 * MS  # in which the belt may have come 450 counts further
    assert station.judge(101) == "LATE"
    assert line.plc.permits == []


def test_an_announced_part_without_a_verdict_is_unanswered(line: Line) -> None:
    station = line.joined()
    station.announce(line.part(101))
    line.part(102)
    line.travel(GEOMETRY.commit + 500)
    assert line.gateway.status().rejected == {"unanswered": 1, "unannounced": 1}
    assert station.judge(101) == "LATE"


def test_a_second_station_is_refused_while_the_first_one_lives(line: Line) -> None:
    first, second = line.joined(), line.station(b"b")
    assert "holds lane" in second.ask(HELLO, wire.Refuse).reason
    line.stations.clear()
    line.pass_time(310)
    assert "silent" in first.revoked()
    second.join()
    line.part(101)
    assert "ended" in first.ask(first.verdict(101), wire.Revoke).reason
    assert line.plc.permits == []
    assert second.judge(101) == "ACCEPTED"


def test_a_station_that_cannot_be_sent_to_loses_the_lane(line: Line) -> None:
    station = line.joined()
    line.network.gone.add(station.name)
    line.pass_time(40)
    assert line.gateway.status().station_session == 0
    line.network.gone.clear()
    line.station(b"b").join()


def test_the_goodbye_of_an_old_session_does_not_end_the_new_one(line: Line) -> None:
    station = line.joined()
    old = station.grant.session
    station.join()
    station.say(wire.Goodbye(session=old))
    assert station.judge(line.part(101)) == "ACCEPTED"
    station.say(wire.Goodbye(session=station.grant.session))
    line.work()
    assert ("goodbye" in station.revoked(), line.register.session.station) == (True, 0)


def test_a_station_whose_trigger_latches_no_count_is_told_what_the_plc_counted(line: Line) -> None:
    line.joined()
    line.part(101)
    line.stations.clear()
    line.pass_time(310)
    other = line.station(b"b")
    other.grant = other.ask(msgspec.structs.replace(HELLO, wants_counts=True), wire.Grant)
    line.part(102)
    (counted,) = other.heard(wire.Counted)
    assert (counted.session, counted.part, counted.count) == (other.grant.session, 102, line.latched(102))
    assert line.station(b"a").heard(wire.Counted) == []


# -- doubts --------------------------------------------------------------------------------------------------------

BREAKS: dict[str, Callable[[Line], None]] = {
    "gone": lambda line: setattr(line.plc, "gone", True),
    "restarted": lambda line: setattr(line.plc, "session", 901),
    "honours": lambda line: setattr(line.plc, "deaf", True),
    "epoch": lambda line: setattr(line.plc, "epoch", 4),
    "went back": lambda line: setattr(line.plc, "last_part", 100),
    "jumped": lambda line: line.plc.jump(-100_000),
    "fail-safe": lambda line: setattr(line.plc, "fail_safe", 2),
    "not running": lambda line: setattr(line.plc, "flags", 0),
    "did not take": lambda line: setattr(line.plc, "refuses_control", True),
    "held up": lambda line: setattr(line.clock, "ns", line.clock.ns + 151 * MS),
}


@pytest.mark.parametrize("reason", BREAKS)
def test_whatever_is_in_doubt_begins_anew(line: Line, reason: str) -> None:
    station = line.joined()
    line.part(101)
    before, flags = line.plc.control.gateway_session, line.plc.flags
    BREAKS[reason](line)
    line.pass_time(60)
    assert reason in station.revoked()
    station.say(station.verdict(101))
    line.plc.gone = line.plc.deaf = line.plc.refuses_control = False
    line.plc.fail_safe, line.plc.flags = 1, flags
    line.stations.clear()
    line.armed().pass_time(30)
    station.join()
    assert station.grant.gateway_session != before
    assert (station.grant.plc_session, station.grant.epoch) == (line.plc.session, line.plc.epoch)
    assert line.plc.permits == []
    assert station.judge(line.part(102)) == "ACCEPTED"
    assert [p.number for p in line.plc.permits] == [102]
    assert line.gateway.sessions.lost == 1


def test_a_pause_within_the_plcs_patience_is_no_stall(line: Line) -> None:
    station = line.joined()
    line.work()
    line.clock.ns += 150 * MS
    line.work()
    assert station.revoked() == ""


def test_after_its_own_stall_no_message_is_handled_before_the_session_has_ended(line: Line) -> None:
    station = line.joined()
    line.part(101)
    station.say(station.verdict(101))
    line.clock.ns += 151 * MS
    line.work()
    assert "held up" in station.revoked()
    assert (station.heard(wire.Ack), line.plc.permits) == ([], [])


def test_a_plc_that_answers_slowly_moves_the_belt_meanwhile(line: Line) -> None:
    station = line.joined()
    line.part(101)
    line.plc.read_takes_ms = 40
    line.pass_time(60)
    told = line.gateway._link.count_now(line.clock.ns)
    assert delta(told, line.plc.count) >= 0, "the belt is never further than assumed"
    assert station.judge(101) == "ACCEPTED"


def test_a_plc_that_is_gone_is_asked_again_only_after_a_while(line: Line) -> None:
    line.armed()
    errors = line.gateway.plc_errors
    line.plc.gone = True
    line.pass_time(500)
    assert 2 <= line.gateway.plc_errors - errors <= 4


def test_a_permit_that_could_not_be_written_is_not_tried_again(line: Line) -> None:
    station = line.joined()
    line.plc.refuses_permits = True
    assert station.judge(line.part(101)) == "ACCEPTED", "it may have arrived"
    assert "not taken" in station.revoked()
    line.stations.clear()
    line.armed().pass_time(50)
    assert [p.number for p in line.plc.permits] == [101]
    status = line.gateway.status()
    assert (status.permitted, status.rejected, status.armed, status.voided) == (1, {}, 1, {})


@pytest.mark.parametrize(
    ("action", "executed", "voided"),
    [(ACTION_GOOD, 1, {}), (ACTION_REJECTED, 0, {"rejected_at_gate": 1}), (None, 0, {"no_word": 1})],
)
def test_of_a_permit_that_was_on_its_way_at_a_doubt_the_gate_tells(
    line: Line, action: int | None, executed: int, voided: dict[str, int]
) -> None:
    station = line.joined()
    line.plc.echo = None
    assert station.judge(line.part(101)) == "ACCEPTED"
    line.gateway.set_mode("inspect-only")
    line.armed().pass_time(20)
    assert (line.gateway.status().permitted, line.gateway.status().armed) == (1, 1)
    if action is not None:
        line.gate(101, action)
    line.travel(GEOMETRY.gate + 3 * GEOMETRY.pitch)
    status = line.gateway.status()
    assert (status.executed, status.voided, status.rejected) == (executed, voided, {})


def test_after_a_doubt_no_further_permit_is_written_in_that_turn(line: Line) -> None:
    station = line.joined()
    line.part(101)
    line.plc.refuses_permits = True
    station.say(station.verdict(101))
    station.say(wire.Announce(session=station.grant.session, part=101, count=line.latched(101)))
    line.work()
    assert len(line.network.inbox) == 1, "what came after it is heard under the next session"
    line.work()
    assert [p.number for p in line.plc.permits] == [101]


def test_number_and_count_of_two_parts_end_the_session_until_the_belt_is_empty(line: Line) -> None:
    station = line.joined()
    line.part(101)
    line.travel(900)
    line.part(102)
    at = line.plc.count
    assert station.ask(station.verdict(102, count=line.latched(101)), wire.Ack).disposition == "AMBIGUOUS"
    assert "part 102" in station.revoked()
    line.stations.clear()
    line.armed()
    assert "doubtful" in station.ask(HELLO, wire.Refuse).reason
    line.travel(GEOMETRY.gate + GEOMETRY.pitch - delta(line.plc.count, at) - 100)
    assert "doubtful" in station.ask(HELLO, wire.Refuse).reason
    line.travel(500)
    station.join()
    assert station.judge(line.part(103)) == "ACCEPTED"
    status = line.gateway.status()
    assert (status.rejected, status.dispositions["AMBIGUOUS"]) == ({"ambiguous": 2}, 1)


@pytest.mark.parametrize("what", ["epoch", "session"])
def test_a_count_that_begins_anew_begins_the_emptying_of_the_belt_anew(line: Line, what: str) -> None:
    station = line.joined()
    station.announce(line.part(101), count=line.latched(101) + GEOMETRY.pitch)
    line.stations.clear()
    setattr(line.plc, what, 4)
    line.plc._from = (0, line.clock.ns)
    line.armed()
    line.travel(GEOMETRY.gate)
    assert "doubtful" in station.ask(HELLO, wire.Refuse).reason
    line.travel(GEOMETRY.pitch + 500)
    grant = station.ask(HELLO, wire.Grant)
    assert 4 in (grant.epoch, grant.plc_session)


def test_a_belt_that_goes_back_takes_the_claims_of_its_parts(line: Line) -> None:
    station = line.joined()
    line.part(101)
    line.plc.run(-5)
    line.pass_time(40)
    line.plc.run(10)
    assert station.judge(101) == "VOIDED"
    assert station.judge(line.part(102)) == "UNKNOWN"
    assert line.gateway.status().rejected == {"reversed": 1, "re_pass": 1}
