"""What the journal hears of a day at the gateway: facts with their instants, sessions, modes, alarms, counters."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import config as cfg
from edge import flight
from edge.core.counter import delta
from edge.gateway.plc import signals
from edge.gateway.plc.signals import ACTION_GOOD, ACTION_REJECTED, AIR_LOW, CONFIRMED, CONTRADICTED, EXECUTED
from edge.gateway.recorder import CHANGES_NS, COUNTS_NS
from edge.record.journal.rows import FACTS, Fact
from edge.wire import messages as wire
from edge.wire.messages import JournalStatus
from tests.support_gateway import GEOMETRY, MS, PULSE_CONFIG, Line, Plc, guarded, press_reset
from tests.support_hypothesis import usual

ENDS = ("ended", "executed", "voided")


def told(line: Line, number: int) -> list[Fact]:
    return [row for row in line.rows if isinstance(row, Fact) and row.number == number]


def sessions(line: Line) -> list[tuple[str, str]]:
    return [(event.data["what"], event.text) for event in line.events("session")]


# -- facts ----------------------------------------------------------------------------------------------------------


def test_the_whole_life_of_a_good_part() -> None:
    line = Line()
    station = line.joined()
    asked = line.clock.ns
    assert station.judge(line.part(101)) == "ACCEPTED"
    line.pass_time(20)
    line.plc.say(101, EXECUTED)
    line.pass_time(20)
    line.gate(101, ACTION_GOOD)
    line.gate(101, ACTION_GOOD, CONFIRMED)
    assert line.facts(101) == [
        ("counted", ""),
        ("permit", ""),
        ("answered", "ACCEPTED"),
        ("armed", ""),
        ("executed", ""),
        ("gated", "good"),
        ("confirmed", ""),
    ]
    facts = told(line, 101)
    assert [f.at_ns for f in facts] == sorted(f.at_ns for f in facts)
    assert asked <= facts[0].at_ns <= asked + 20 * MS
    assert (facts[0].count, {f.count for f in facts[1:]}) == (line.latched(101), {0})
    grant = station.grant
    assert {(f.plc, f.gateway, f.station, f.epoch) for f in facts} == {
        (grant.plc_session, grant.gateway_session, grant.session, grant.epoch)
    }
    assert facts[2].at_ns == station.heard(wire.Ack)[0].accepted_ns, "T4"
    assert {f.fact for f in facts} <= FACTS.keys()


def test_a_second_answer_is_told_and_is_no_second_end() -> None:
    line = Line()
    station = line.joined()
    station.judge(line.part(101), "REJECT")
    station.judge(101, "PASS")
    assert line.facts(101) == [
        ("counted", ""), ("ended", "reject"), ("answered", "ACCEPTED"), ("answered", "DUPLICATE"),
    ]  # fmt: skip


def test_a_verdict_of_another_session_is_told_under_that_session() -> None:
    line = Line()
    station = line.joined()
    old = station.verdict(line.part(101))
    station.say(msgspec.structs.replace(old, session=station.grant.session - 1))
    line.work()
    answered = [f for f in told(line, 101) if f.fact == "answered"]
    assert [(f.detail, f.station) for f in answered] == [("OLD_SESSION", station.grant.session - 1)]


@pytest.mark.parametrize(
    ("refuses", "echo", "facts"),
    [
        (True, None, [("permit", "failed"), ("answered", "ACCEPTED"), ("voided", "no_word")]),
        (False, None, [("permit", ""), ("answered", "ACCEPTED"), ("voided", "no_word")]),
        (False, 5, [("permit", ""), ("answered", "ACCEPTED"), ("ended", "permit_late")]),
        (False, 1, [("permit", ""), ("answered", "ACCEPTED"), ("armed", ""), ("voided", "no_word")]),
    ],
)
def test_a_permit_that_goes_wrong(refuses: bool, echo: int | None, facts: list[tuple[str, str]]) -> None:
    line = Line()
    station = line.joined()
    line.plc.echo, line.plc.refuses_permits = echo, refuses
    station.judge(line.part(101))
    line.plc.refuses_permits = False
    line.travel(GEOMETRY.gate + 3 * GEOMETRY.pitch)
    line.pass_time(300)
    assert line.facts(101) == [("counted", ""), *facts], "armed only where the PLC echoed it"


def test_parts_that_the_gateway_did_not_see_are_told_as_unread() -> None:
    line = Line()
    line.joined()
    line.part(101)
    line.plc.parts = [*line.plc.parts, (105, line.plc.count)]
    line.plc.last_part = 105
    line.pass_time(20)
    unread = [row for row in line.rows if isinstance(row, Fact) and row.fact == "unread"]
    assert [(f.number, f.count, f.detail) for f in unread] == [(104, 3, "not_read")]
    line.plc.gone = True
    line.pass_time(300)
    line.plc.last_part = 109
    line.plc.gone = False
    line.stations.clear()
    line.armed()
    unread = [row for row in line.rows if isinstance(row, Fact) and row.fact == "unread"]
    assert [(f.number, f.count, f.detail) for f in unread[1:]] == [(109, 4, "session_lost")]
    assert line.facts(105) == [("counted", ""), ("ended", "session_lost")]


def test_ends_at_a_lost_session_are_told_when_they_happen_and_not_when_the_plc_is_back() -> None:
    line = Line()
    station = line.joined()
    line.part(101)
    line.plc.gone = True
    line.pass_time(100)
    lost = line.clock.ns
    assert line.facts(101)[-1] == ("ended", "session_lost")
    line.pass_time(10_000)
    assert told(line, 101)[-1].at_ns <= lost
    assert told(line, 101)[-1].station == station.grant.session, "the session under which it was counted"


def test_a_gateway_that_stops_leaves_no_part_without_an_end() -> None:
    line = Line()
    station = line.joined()
    station.judge(line.part(101))
    line.travel(1000)
    line.part(102)
    line.gateway.close()
    assert line.facts(101)[-1] == ("voided", "no_word")
    assert line.facts(102)[-1] == ("ended", "session_lost")
    assert line.counts()[-1].data["armed"] == line.counts()[-1].data["pending"] == 0


def test_the_gate_ring_is_told_once_a_part_and_nothing_of_before_this_process() -> None:
    line = Line()
    line.plc.gated = [(90, ACTION_GOOD, 0), (91, ACTION_REJECTED, CONFIRMED)]
    line.joined()
    assert (line.facts(90), line.facts(91)) == ([], [])
    line.gate(92, ACTION_REJECTED)
    line.gate(93, ACTION_GOOD, CONTRADICTED)
    line.pass_time(100)
    line.plc.gated[-2] = (92, ACTION_REJECTED, CONFIRMED)
    line.pass_time(100)
    assert line.facts(92) == [("gated", "rejected"), ("confirmed", "")]
    assert line.facts(93) == [("gated", "good"), ("contradicted", "")]
    assert line.facts(90) == [], "its confirmation had been said"
    line.plc.session += 1
    line.plc.gated = [(92, ACTION_GOOD, 0)]
    line.stations.clear()
    line.armed().pass_time(50)
    assert line.facts(92)[2:] == [("gated", "good")], "another start of the PLC, another part"


def test_the_pulse_signal_is_told_alike() -> None:
    line = Line(PULSE_CONFIG)
    station = line.joined()
    assert station.judge(line.part(101)) == "ACCEPTED"
    line.travel(GEOMETRY.gate + 1500)
    assert line.facts(101) == [
        ("counted", ""), ("permit", ""), ("answered", "ACCEPTED"), ("armed", ""), ("executed", ""),
    ]  # fmt: skip


# -- events ---------------------------------------------------------------------------------------------------------


def test_sessions_are_told_with_their_fence_and_why_they_ended() -> None:
    line = Line()
    station = line.joined()
    grant = station.grant
    assert [what for what, _ in sessions(line)] == ["begun", "granted"]
    begun, granted = line.events("session")
    assert begun.data["last_part"] == 100
    assert (granted.data["station"], granted.data["fence"], granted.data["holder"]) == (grant.session, grant.fence, "s")
    assert (granted.data["gateway"], granted.data["plc"]) == (grant.gateway_session, grant.plc_session)
    line.plc.gone = True
    line.pass_time(5_000)
    assert sessions(line)[2:] == [("revoked", "The PLC is gone"), ("ended", "The PLC is gone")], "once, not at each try"
    assert line.events("session")[2].data["station"] == grant.session
    assert [event.data["answers"] for event in line.events("plc")] == [False]
    line.plc.gone = False
    line.rejoin(station)
    assert [event.data["answers"] for event in line.events("plc")] == [False, True]
    assert [what for what, _ in sessions(line)[4:]] == ["begun", "granted"]


def test_parts_of_doubtful_identity_are_told_with_the_fence() -> None:
    line = Line()
    station = line.joined()
    line.part(101)
    station.announce(101, count=(line.latched(101) + 3000) % (1 << 32))
    (event,) = line.events("fence")
    assert "part 101" in event.text
    assert delta(event.data["empty_at"], line.plc.count) > 0


def test_modes_alarms_and_resets_are_told() -> None:
    line = guarded(on_air_low="stop")
    line.joined()
    line.gateway.set_mode("inspect-only")
    assert [event.data["mode"] for event in line.events("mode")] == ["inspect-only"]
    line.plc.flags |= AIR_LOW
    line.armed().pass_time(100)
    line.plc.flags &= ~AIR_LOW
    line.armed().pass_time(100)
    assert [event.data for event in line.events("alarm")] == [{"alarm": "air_low"}]
    assert line.events("alarm_cleared") == []
    press_reset(line)
    assert [event.data for event in line.events("alarm_cleared")] == [{"alarm": "air_low"}]
    assert [event.data["user"] for event in line.events("reset")] == ["the PLC"]


def test_a_journal_in_trouble_is_an_alarm_that_touches_no_part() -> None:
    line = Line()
    station = line.joined()
    line.journal = JournalStatus(recorded=5, lost=2, problem="the disk is full")
    line.pass_time(1_100)
    status = line.gateway.status()
    assert "the disk is full" in status.alarms["journal"]
    assert (status.journal.lost, status.mode) == (2, "auto")
    assert station.revoked() == ""
    assert station.judge(line.part(101)) == "ACCEPTED"
    line.journal = JournalStatus()
    line.pass_time(1_100)
    assert "journal" not in line.gateway.status().alarms
    assert [event.data["alarm"] for event in line.events("alarm")] == ["journal"]


# -- counters -------------------------------------------------------------------------------------------------------


def test_counters_are_told_once_a_minute_and_at_each_change_of_session() -> None:
    line = Line()
    station = line.joined()
    (first,) = line.counts()
    assert first.data["plc"] == {"session": 900, "last_part": 100, "opened": 0, "without_permit": 0, "met_gate": 0}
    station.judge(line.part(101), "REJECT")
    line.gate(101, ACTION_REJECTED)
    line.pass_time(COUNTS_NS / MS + 1_100)
    (_, minute) = line.counts()
    assert (minute.data["plc_triggers"], minute.data["rejected"]) == (1, {"reject": 1})
    assert (minute.data["plc"]["last_part"], minute.data["plc"]["without_permit"]) == (101, 1)
    line.plc.gone = True
    line.pass_time(1_000)
    assert len(line.counts()) == 3, "the last that was read"
    assert line.counts()[-1].data["plc"]["met_gate"] == 1
    line.plc.gone = False
    line.stations.clear()
    line.armed()
    assert len(line.counts()) == 4


def test_sessions_that_begin_and_end_at_once_do_not_fill_the_journal_with_counters() -> None:
    line = Line()
    line.joined()
    before = len(line.counts())
    for _ in range(100):
        line.plc.epoch += 1
        line.pass_time(20)
    changes = [what for what, _ in sessions(line) if what in ("begun", "ended")]
    assert 15 < len(changes) <= 2 * 2_000 / 200 + 2, "a session begins every 200 ms at most"
    assert len(line.counts()) - before <= 2_000 / (CHANGES_NS / MS) + 1


def test_a_plc_that_talks_nonsense_in_every_other_read_does_not_fill_journal_and_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line()
    line.joined()
    line.stations.clear()
    rng, sane = random.Random(1), line.plc.read
    monkeypatch.setattr(line.plc, "read", lambda: msgspec.structs.replace(sane(), count=rng.getrandbits(32)))
    told, logged = len(line.rows), len(caplog.records)
    line.pass_time(10_000)
    assert 50 < len(line.rows) - told < 10 * 20
    assert len(caplog.records) - logged < 10 * 10
    monkeypatch.undo()
    line.armed()


def test_a_session_that_has_lasted_is_renewed_at_once() -> None:
    line = Line()
    line.joined()
    line.pass_time(300)
    line.stations.clear()
    line.plc.epoch += 1
    line.pass_time(40)
    assert [what for what, _ in sessions(line)][-1] == "begun"


@pytest.mark.parametrize("reads", [1, 1_000_000])
def test_a_last_part_of_nonsense_books_no_parts_and_the_journal_says_so(
    reads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One read of it, or a counter that has leapt for good."""
    line = Line()
    station = line.joined()
    station.judge(line.part(101))
    line.pass_time(300)
    line.stations.clear()
    sane, spoilt = line.plc.read, list(range(reads))[:1_000]

    def read() -> signals.PlcStatus:
        status = sane()
        if not spoilt:
            return status
        if reads == 1:
            spoilt.pop()
        return msgspec.structs.replace(status, last_part=status.last_part + (1 << 30))

    monkeypatch.setattr(line.plc, "read", read)
    line.pass_time(1_000)
    line.armed()
    assert line.gateway.status().plc_triggers == 1
    assert not [row for row in line.rows if isinstance(row, Fact) and row.fact == "unread"]
    assert [text for what, text in sessions(line) if what == "ended"] == [f"the PLC's part counter leapt by {1 << 30}"]
    assert [event.data.get("parts") for event in line.events("plc")] == ([] if reads == 1 else [1 << 30])


def test_the_journals_alarm_is_told_once_whatever_figures_its_problem_has() -> None:
    line = Line()
    line.joined()
    texts = set()
    states = len(line.states)
    for waiting in range(10):
        line.journal = JournalStatus(problem=f"the disk does not keep up: {waiting} rows wait")
        line.pass_time(1_000)
        texts.add(line.gateway.status().alarms["journal"])
    assert len(texts) == len(line.events("alarm")) == 1
    assert len(line.states) == states


# -- the flight recorder --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["lost", "latched"])
def test_a_lost_session_and_a_latched_alarm_leave_a_trace_of_what_came_before(what: str, tmp_path: Path) -> None:
    line = guarded(on_air_low="stop")
    flight.start(4096, tmp_path, 5, "gateway g")
    try:
        station = line.joined()
        station.judge(line.part(101))
        if what == "lost":
            line.plc.gone = True
        else:
            line.plc.flags |= AIR_LOW
        line.pass_time(3_000)
    finally:
        flight.stop()
    (path,) = tmp_path.iterdir()
    trace = json.loads(path.read_text())
    assert ("gone" if what == "lost" else "pressure") in trace["otherData"]["reason"]
    marks = Counter((event["ph"], event["name"]) for event in trace["traceEvents"])
    assert marks["i", "verdict"] == 1
    assert marks["B", "permit"] == marks["E", "permit"] == 1
    assert marks["B", "poll"] > 10
    assert marks["B", "turn"] > 10
    assert marks["i", "session ended"] == 1
    assert next(e for e in trace["traceEvents"] if e["name"] == "verdict")["args"] == {"value": 101}


def test_the_same_fault_again_and_again_leaves_one_trace(tmp_path: Path) -> None:
    line = Line()
    flight.start(1024, tmp_path, 50, "gateway g")
    try:
        line.joined()
        for step in range(30):
            line.plc.jump(5_000 + step)
            line.pass_time(250)
    finally:
        flight.stop()
    assert len([what for what, _ in sessions(line) if what == "ended"]) > 20
    assert len(list(tmp_path.iterdir())) == 1


# -- a PLC that talks nonsense --------------------------------------------------------------------------------------


def words(plc: Plc) -> list[int]:
    """Return the registers of what the fake PLC says."""
    status = Plc.read(plc)
    registers = [0] * signals.STATUS_LENGTH
    registers[:4] = [signals.MAP_VERSION, status.heartbeat, status.flags, status.fail_safe]
    names = ("session", "count", "last_part", "gateway_session", "station_session", "fence")
    for at, name in enumerate(names):
        registers[4 + 2 * at : 6 + 2 * at] = signals.words(getattr(status, name))
    registers[16:18] = [status.recipe, status.epoch]
    for number, count in status.parts:
        at = signals.TRIGGERS_AT + 4 * (number % signals.TRIGGERS)
        registers[at : at + 4] = [*signals.words(number), *signals.words(count)]
    for slot, echo in enumerate(status.echoes):
        registers[signals.ECHOES_AT + 2 * slot : signals.ECHOES_AT + 2 * slot + 2] = echo
    return registers


@usual(150)
@given(st.integers(0, 1 << 32), st.integers(0, 12), st.booleans())
def test_whatever_the_plc_answers_only_a_part_that_passed_gets_a_permit(
    seed: int, spoilt: int, all_at_once: bool
) -> None:
    """Registers at random, or a few words of a good block changed; the station passes part 101, which is there."""
    rng = random.Random(seed)
    line = Line(cfg.GatewayConfig())
    station = line.joined()
    good = line.plc.read

    def nonsense() -> signals.PlcStatus:
        registers = words(line.plc)
        if all_at_once:
            registers[1:] = [rng.getrandbits(16) for _ in registers[1:]]
        for _ in range(spoilt):
            registers[rng.randrange(1, len(registers))] = rng.choice([0, 1, 0xFFFF, rng.getrandbits(16)])
        return signals.parse_status(registers)

    line.part(101)
    line.plc.read = nonsense  # type: ignore[method-assign]
    for _ in range(12):
        line.pass_time(10)
        station.say(station.verdict(101))
        station.say(station.verdict(102, count=line.plc.count))
        line.work()
    line.plc.read = good  # type: ignore[method-assign]
    assert {permit.number for permit in line.plc.permits} <= {101}
    assert all(abs(delta(permit.count, line.latched(101))) <= GEOMETRY.match for permit in line.plc.permits)
    line.stations.clear()
    line.armed().pass_time(30)
    line.gateway.close()
    for number in {row.number for row in line.rows if isinstance(row, Fact) and row.fact == "counted"}:
        begins_and_ends = [fact for fact, _ in line.facts(number) if fact in ("counted", *ENDS)]
        assert begins_and_ends[::2] == ["counted"] * (len(begins_and_ends) // 2), f"part {number}: {begins_and_ends}"
        assert all(fact in ENDS for fact in begins_and_ends[1::2]), f"part {number}: {begins_and_ends}"
