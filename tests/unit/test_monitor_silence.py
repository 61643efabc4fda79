"""Since when the line is as it is, and the alarms of silence that only the monitor can raise."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.clock import NS_PER_MS, NS_PER_S, wall_ns
from edge.monitor import line as lines
from edge.monitor.band import WAIT_NS
from edge.monitor.line import Line as Known
from edge.monitor.web import history, users
from edge.record.journal.alarms import Raised
from edge.wire.messages import GatewayStatus, StationStatus
from tests.support_journal import event, journal
from tests.support_monitor import GATEWAY, STATION, Line, until

S = NS_PER_S
PASSWORD = "correct horse battery"


class Clock:
    """Both clocks, as a test sets them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at_ns = 1000 * S
        monkeypatch.setattr(lines, "now_ns", lambda: self.at_ns)
        monkeypatch.setattr(lines, "wall_ns", lambda: self.at_ns)

    @property
    def ms(self) -> int:
        return self.at_ns // NS_PER_MS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def tell(line: Known, **station: Any) -> None:
    line.take(msgspec.convert({**STATION, **station}, StationStatus))
    line.take(msgspec.convert(GATEWAY, GatewayStatus))


def test_a_state_dates_from_when_it_came_to_be_so_and_not_from_when_somebody_looked(clock: Clock) -> None:
    line = Known()
    tell(line)
    line.signature()
    clock.at_ns += 100 * S
    tell(line, state="FAULT", reason="hung")
    line.signature()  # as the hub does all the time, with or without viewers
    fault_ms = clock.ms
    clock.at_ns += 1 * S
    tell(line, state="FAULT", reason="hung")
    told = line.snapshot()
    assert (told["state"], told["since_ms"], told["now_ms"]) == ("FAULT", fault_ms, fault_ms + 1000)


def test_silence_is_an_alarm_with_a_past(clock: Clock) -> None:
    line = Known()
    tell(line, alarms={"evidence": "slow"})
    assert line.silences() == []
    clock.at_ns += 2 * S
    line.signature()
    raised_ms = clock.ms
    clock.at_ns += 60 * S
    told = line.snapshot()["alarms"]
    assert {(a["source"], a["name"], a["since_ms"], a["stale"]) for a in told} == {
        ("monitor", "station_silent", raised_ms, False),
        ("monitor", "gateway_silent", raised_ms, False),
        ("station", "evidence", 1_000_000, True),
    }
    assert line.standing_since_ms("monitor", "station_silent") == raised_ms
    assert {(a.name, a.raised_ms, a.cleared_ms) for a in line.silences()} == {
        ("station_silent", raised_ms, None),
        ("gateway_silent", raised_ms, None),
    }
    tell(line)
    line.signature()
    assert line.snapshot()["alarms"] == []
    assert {(a.source, a.name, a.raised_ms, a.cleared_ms) for a in line.silences()} == {
        ("monitor", "station_silent", raised_ms, clock.ms),
        ("monitor", "gateway_silent", raised_ms, clock.ms),
    }


def test_a_line_of_which_nothing_is_ever_heard_is_an_alarm(clock: Clock) -> None:
    line = Known(expects_gateway=True)
    clock.at_ns += WAIT_NS
    assert (line.snapshot()["reason_key"], line.snapshot()["alarms"]) == ("waiting", [])
    clock.at_ns += S
    assert line.snapshot()["reason_key"] == "station_silent"
    assert {a["name"] for a in line.snapshot()["alarms"]} == {"station_silent", "gateway_silent"}


def test_what_is_remembered_is_bounded(clock: Clock) -> None:
    line = Known()
    for _ in range(2 * lines.PAST_KEPT):
        tell(line)
        line.signature()
        clock.at_ns += 2 * S
        line.signature()
    found = line.silences()
    assert len(found) == lines.PAST_KEPT + 2
    assert [a.raised_ms for a in found] == sorted((a.raised_ms for a in found), reverse=True)


# -- over HTTP --------------------------------------------------------------------------------------------------------


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    one = journal(tmp_path / "journal")
    one.put(event())
    one.close()
    users.add(tmp_path / "users.toml", "anna", PASSWORD)
    kept = {"users": str(tmp_path / "users.toml"), "annotations": str(tmp_path / "annotations.sqlite")}
    line = Line(tmp_path, {"station_journal": str(tmp_path / "journal")}, **kept)
    line.monitor.start()
    yield line
    line.close()


def test_many_pages_that_ask_for_the_past_read_it_once_and_no_further_back_than_a_month(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def raised(_: object, since_ms: int) -> Iterator[Raised]:
        asked.append(since_ms)
        return iter(())

    monkeypatch.setattr(history, "raised", raised)
    for _ in range(5):
        assert line.get("/api/alarms")["alarms"] == []
    (since_ms,) = asked
    assert abs(wall_ns() // NS_PER_MS - since_ms - 31 * 24 * 3600 * 1000) < 10_000
    line.get("/api/alarms?before=5000000000")
    assert asked[1:] == [5_000_000_000 - 31 * 24 * 3600 * 1000]


def test_the_alarms_of_the_past_do_not_wait_for_whole_days_to_be_read(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, go_on = threading.Event(), threading.Event()

    def shifts(*_: object) -> dict[str, object]:
        reads.set()
        go_on.wait(20.0)
        return {}

    monkeypatch.setattr(history.History, "shifts", shifts)
    asks = threading.Thread(target=line.get, args=("/api/shifts",))
    asks.start()
    try:
        assert reads.wait(5.0)
        assert line.get("/api/alarms")["alarms"] == []
        assert not go_on.is_set()
    finally:
        go_on.set()
        asks.join()


def test_silence_is_told_where_there_is_no_journal(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.monitor.start()
    try:
        line.connect()
        until(lambda: line.get("/api/state")["alarms"], line.tell_gateway)
        (told,) = line.get("/api/alarms")["alarms"]
        assert (told["source"], told["name"]) == ("monitor", "station_silent")
    finally:
        line.close()


def test_a_silent_station_is_acknowledged_and_stays_in_the_list(line: Line) -> None:
    line.connect()
    anna = line.browser()
    anna.login("anna", PASSWORD)
    until(lambda: len(line.get("/api/state")["alarms"]) == 1, line.tell_gateway)
    assert anna.post("/api/acknowledge", source="monitor", alarm="station_silent", note="on my way").status == 200
    (standing,) = line.get("/api/state")["alarms"]
    assert (standing["name"], standing["acknowledged_by"]) == ("station_silent", "anna")
    until(lambda: not line.get("/api/state")["alarms"], line.publish)
    (past,) = line.get("/api/alarms")["alarms"]
    assert (past["source"], past["name"], past["acknowledged_by"]) == ("monitor", "station_silent", "anna")
    assert past["cleared_ms"] > past["raised_ms"]
    assert past["remedy"]
