"""Identity in doubt: nobody holds the lane until the belt has run empty, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from edge.config import GatewayConfig, LineConfig
from edge.core.counter import delta
from edge.wire import messages as wire
from tests.support_gateway import GEOMETRY, HELLO, SPAN, Line, Station

EMPTY = GEOMETRY.gate + GEOMETRY.pitch
"""Counts after which no part is on the belt that was on it before."""


def doubtful() -> tuple[Line, Station]:
    """Return a line whose station has just mistaken one part for another."""
    line = Line()
    station = line.joined()
    line.part(101)
    mistake(line, station)
    line.work()
    line.stations.clear()
    return line, station


def mistake(line: Line, station: Station) -> None:
    wrong = (line.latched(101) + GEOMETRY.pitch) % SPAN
    station.say(wire.Announce(session=station.grant.session, part=101, count=wrong))


def assert_opens_when_empty(line: Line, station: Station, since: int) -> None:
    """The belt was at ``since`` when the doubt began, and runs on now."""
    line.armed()
    renewed = line.plc.count
    line.travel(EMPTY - delta(line.plc.count, since) - 100)
    assert "doubtful" in station.ask(HELLO, wire.Refuse).reason
    line.travel(EMPTY - delta(line.plc.count, renewed) + 200)
    assert station.join().judge(line.part(102)) == "ACCEPTED"


@pytest.mark.parametrize("waited", [0, 2500, EMPTY - 300])
def test_the_lane_opens_once_every_part_has_met_the_gate(waited: int) -> None:
    line, station = doubtful()
    since = line.plc.count
    line.travel(waited)
    assert_opens_when_empty(line, station, since)


def begin_counting_at(count: int) -> Callable[[Line], None]:
    def happen(line: Line) -> None:
        line.plc.epoch += 1
        line.plc._from = (count, line.clock.ns)

    return happen


def restart(line: Line) -> None:
    line.plc.session += 1
    line.plc._from = (0, line.clock.ns)


HAPPENS: dict[str, Callable[[Line], None]] = {
    "the count begins at nothing": begin_counting_at(0),
    "the count begins far ahead": begin_counting_at(1 << 30),
    "the count begins far behind": begin_counting_at(SPAN - (1 << 30)),
    "the PLC restarts": restart,
    "the count jumps back": lambda line: line.plc.jump(-100_000),
    "the count jumps ahead": lambda line: line.plc.jump(100_000),
    "the count jumps by half its range": lambda line: line.plc.jump(1 << 31),
}


@pytest.mark.parametrize("what", HAPPENS)
@pytest.mark.parametrize("waited", [0, 3000])
def test_what_happens_while_the_belt_runs_empty_begins_the_wait_anew(what: str, waited: int) -> None:
    line, station = doubtful()
    line.armed().travel(waited)
    HAPPENS[what](line)
    since = line.plc.count
    line.pass_time(30)
    assert_opens_when_empty(line, station, since)


def test_a_read_that_fails_in_the_turn_of_the_doubt_does_not_shorten_the_wait() -> None:
    line = Line()
    station = line.joined()
    line.part(101)
    mistake(line, station)
    line.stations.clear()
    line.plc.gone = True
    line.clock.ns = max(line.clock.ns, line.gateway._poll_ns)
    line.work()
    assert not line.gateway.status().plc_ok
    line.plc.gone = False
    since = line.plc.count
    line.pass_time(250)
    assert_opens_when_empty(line, station, since)


@pytest.mark.parametrize("later", [1 << 30, (1 << 31) - EMPTY - 5000, 1 << 31, SPAN - 20_000])
def test_a_belt_that_has_run_empty_is_known_to_be_empty_though_nobody_asked(later: int) -> None:
    line, _ = doubtful()
    line.armed().travel(EMPTY + 200)
    line.plc.jump(later)  # as if it had run on for hours
    line.pass_time(30)
    assert line.armed().station().join().judge(line.part(102)) == "ACCEPTED"


# -- a slow PLC ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("takes_ms", [10, 24, 30])
def test_a_plc_that_takes_its_time_for_each_permit_is_no_stall_of_the_gateway(takes_ms: int) -> None:
    far = LineConfig(trigger_to_gate_mm=2500)
    line = Line(GatewayConfig(line=far))
    station = line.armed().station()
    station.grant = station.ask(msgspec.structs.replace(HELLO, line_digest=far.digest()), wire.Grant)
    line.stations.append(station)
    line.travel(2000)
    for number in range(101, 109):
        line.part(number)
        line.travel(920)
    line.plc.permit_takes_ms = takes_ms
    for number in range(101, 109):
        station.say(station.verdict(number))
    line.work()
    assert len(line.plc.permits) <= 50 // takes_ms + 1, "the rest waits for its turn"
    line.pass_time(8 * takes_ms + 50)
    assert [(a.part, a.disposition) for a in station.heard(wire.Ack)] == [(n, "ACCEPTED") for n in range(101, 109)]
    assert [p.number for p in line.plc.permits] == list(range(101, 109))
    assert (station.revoked(), line.gateway.sessions.lost) == ("", 0)


def test_a_permit_that_takes_longer_than_the_plcs_patience_is_a_stall() -> None:
    line = Line()
    station = line.joined()
    line.plc.permit_takes_ms = 151
    station.say(station.verdict(line.part(101)))
    line.work()
    line.work()
    assert "held up" in station.revoked()
