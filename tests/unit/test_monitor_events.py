"""Server-sent events: what viewers are told, how soon, and that a slow one holds nobody."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.clock import NS_PER_S
from edge.monitor.web import hub as hubs
from edge.monitor.web.hub import PARTS_PER_S, Hub, Viewer, event
from tests.support_monitor import Line, Stream, until

S = NS_PER_S
START = 100 * S


class Source:
    """What a hub asks, as a test sets it."""

    def __init__(self) -> None:
        self.signature: tuple[object, ...] = ("RUNNING",)
        self.parts: list[dict[str, Any]] = []
        self.live: dict[str, Any] | None = None
        self.asked = 0

    def hub(self) -> Hub:
        return Hub(self.snapshot, lambda: self.signature, self.drain, lambda: self.live)

    def snapshot(self) -> dict[str, Any]:
        self.asked += 1
        return {"n": self.asked}

    def drain(self) -> list[dict[str, Any]]:
        parts, self.parts = self.parts, []
        return parts


def parts(outcome: str, numbers: range) -> list[dict[str, Any]]:
    return [{"outcome": outcome, "part": n} for n in numbers]


def taken(viewer: Viewer) -> list[tuple[str, Any]]:
    """Return what waits in a mailbox."""
    blocks = [block for block in viewer.collect().decode().split("\n\n") if block]
    return [_parsed(block) for block in blocks]


def _parsed(block: str) -> tuple[str, Any]:
    name, data = block.split("\n", 1)
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def joined(hub: Hub) -> Viewer:
    viewer = hub.join()
    assert viewer is not None
    return viewer


# -- the hub ----------------------------------------------------------------------------------------------------------


def test_who_joins_is_told_the_state_at_once() -> None:
    hub = Source().hub()
    assert taken(joined(hub)) == [("state", {"n": 1})]


def test_a_state_is_told_when_it_changes_and_at_least_once_a_second() -> None:
    source = Source()
    hub = source.hub()
    viewer = joined(hub)
    hub.look(START)
    assert len(taken(viewer)) == 1
    hub.look(START + S - 1)
    assert taken(viewer) == []
    hub.look(START + S)
    assert len(taken(viewer)) == 1
    source.signature = ("FAULT",)
    hub.look(START + S + 1)
    assert len(taken(viewer)) == 1
    hub.look(START + S + 2)
    assert taken(viewer) == []


def test_one_rendering_serves_all_viewers_and_none_is_made_for_nobody() -> None:
    source = Source()
    hub = source.hub()
    hub.look(START)
    assert source.asked == 0
    viewers = [joined(hub) for _ in range(5)]
    asked = source.asked
    hub.look(START + 10 * S)
    assert source.asked == asked + 1
    for viewer in viewers:
        hub.leave(viewer)
    assert hub.viewers == 0


def test_changes_are_looked_for_also_while_nobody_looks_on() -> None:
    asked = itertools.count()
    hub = Hub(dict, lambda: (next(asked),), list, lambda: None)
    hub.look(START)
    assert next(asked) == 1, "else a state dates from when somebody looked"


def test_too_many_viewers_are_refused() -> None:
    hub = Source().hub()
    for _ in range(hubs.VIEWERS):
        joined(hub)
    assert hub.join() is None


def test_rejects_come_before_passes_and_no_more_than_a_browser_can_show() -> None:
    source = Source()
    hub = source.hub()
    viewer = joined(hub)
    source.parts = parts("PASS", range(30)) + parts("REJECT", range(30, 45)) + parts("PASS", range(45, 60))
    hub.look(START)
    shown = [told["part"] for name, told in taken(viewer) if name == "part"]
    assert len(shown) == PARTS_PER_S
    assert shown == sorted(shown)
    assert set(range(30, 45)) <= set(shown)
    source.parts = parts("REJECT", range(60, 100))
    hub.look(START + S // 10)
    assert [told["part"] for name, told in taken(viewer) if name == "part"] == [98, 99], "20 a second"


def test_over_a_second_no_more_parts_than_allowed_are_told() -> None:
    source = Source()
    hub = source.hub()
    viewer = joined(hub)
    hub.look(START)
    taken(viewer)
    shown = 0
    for tick in range(1, 101):
        source.parts = parts("REJECT", range(10))
        hub.look(START + tick * S // 10)
        shown += sum(name == "part" for name, _ in taken(viewer))
    assert 10 * PARTS_PER_S <= shown <= 11 * PARTS_PER_S


def test_each_live_picture_is_told_once_and_five_a_second() -> None:
    source = Source()
    hub = source.hub()
    viewer = joined(hub)
    told = []
    for tick in range(40):
        source.live = {"n": tick // 2 + 1}
        hub.look(START + tick * S // 20)
        told += [value["n"] for name, value in taken(viewer) if name == "live"]
    assert len(told) == len(set(told)) == 10


def test_a_viewer_that_takes_nothing_keeps_the_newest_and_no_more() -> None:
    viewer = Viewer()
    for n in range(1000):
        viewer.put("state", event("state", {"n": n}))
        viewer.put("part", event("part", {"n": n}))
    told = taken(viewer)
    assert [value["n"] for name, value in told if name == "state"] == [999]
    assert [value["n"] for name, value in told if name == "part"] == list(range(960, 1000))


# -- over HTTP --------------------------------------------------------------------------------------------------------


def test_live_pictures_are_asked_for_while_somebody_looks(line: Line) -> None:
    line.connect()
    for _ in range(2):
        for _ in range(10):
            line.tell_live()
            time.sleep(0.02)
        assert line.browser().get("/api/live.jpg").status == 404, "nobody looks"
        stream = Stream(line.monitor.port)
        until(lambda: line.monitor.line.live() is not None, line.tell_live)
        assert line.browser().get("/api/live.jpg").status == 200
        stream.close()
        until(lambda: line.monitor.line.live() is None)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path)
    line.monitor.start()
    yield line
    line.close()


def test_a_viewer_hears_of_states_parts_and_live_pictures(line: Line) -> None:
    line.connect()
    stream = Stream(line.monitor.port)
    assert stream.reply.headers["Content-Type"].startswith("text/event-stream")
    assert stream.next("state")["station"]["name"] == "s-1"
    sent = time.monotonic()
    finding = {"cls": "scratch", "score": 0.9, "box": [1, 2, 31, 12]}
    line.tell_part(part=77, outcome="REJECT", cause="rule", rule="any", findings=[finding])
    told = stream.next("part")
    while told["part"] != 77:
        told = stream.next("part")
    assert time.monotonic() - sent < 0.5
    assert (told["outcome"], told["rule"], told["findings"][0]["cls"]) == ("REJECT", "any", "scratch")
    until(lambda: line.monitor.line.live() is not None, line.tell_live)
    line.tell_live(part=78)
    live = stream.next("live")
    while live["part"] != 78:
        live = stream.next("live")
    assert (live["width"], live["height"], live["url"]) == (640, 512, f"/api/live.jpg?n={live['n']}")
    stream.close()
    until(lambda: line.monitor._site is not None and line.monitor._site.hub.viewers == 0)


def test_a_stalled_station_and_an_alarm_show_in_time(line: Line) -> None:
    line.connect()
    stream = Stream(line.monitor.port)
    line.tell_station(alarms={"camera": "the camera is gone"}, state="FAULT", reason="the camera is gone")
    line.tell_gateway()
    last = time.monotonic()
    while stream.next("state")["reason_key"] != "camera":
        assert time.monotonic() - last < 0.5
    while (state := stream.next("state"))["reason_key"] != "station_silent":
        line.tell_gateway()
    assert 1.5 <= time.monotonic() - last < 2.0
    assert state["state"] == "FAULT"
    line.tell_station()
    line.tell_gateway()
    while stream.next("state")["state"] != "RUNNING":
        pass
    stream.close()


def test_a_slow_viewer_holds_neither_others_nor_the_telemetry(line: Line) -> None:
    line.connect()
    slow = socket.create_connection(("127.0.0.1", line.monitor.port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    stream = Stream(line.monitor.port)
    many = [{"cls": "x" * 200, "score": 0.5, "box": [1, 2, 3, 4]}] * 50
    for number in range(2, 200):
        line.tell_part(part=number, outcome="REJECT", findings=many)
        time.sleep(0.005)
    until(lambda: line.monitor.line.state.parts >= 199)
    line.tell_part(part=5000, outcome="REJECT")
    sent = time.monotonic()
    while stream.next("part")["part"] != 5000:
        pass
    assert time.monotonic() - sent < 1
    assert line.browser().get("/metrics").status == 200
    start = time.monotonic()
    line.monitor.close()
    assert time.monotonic() - start < 2.5, "nor the end"
    slow.close()
    stream.close()
