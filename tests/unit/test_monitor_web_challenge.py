"""Challenges from the dashboard: what the station says, its records, and commands over a real control socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.monitor.web import users
from edge.wire.control import Command, ControlThread
from tests.support_monitor import Browser, Line, until

PASSWORD = "correct horse battery"


class Station:
    """A control socket that answers as it is told."""

    def __init__(self, path: Path) -> None:
        self.ok = True
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.path = path
        self.thread = ControlThread(path, 0o600, self._post)
        self.thread.start()

    def _post(self, command: Command) -> None:
        command.take()
        self.asked.append((command.name, command.arguments))
        command.answer(self.ok, "The lane is held." if self.ok else "The belt is not empty.")


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    station = Station(tmp_path / "station.control")
    yield station
    station.thread.close()


@pytest.fixture
def line(tmp_path: Path, station: Station) -> Iterator[Line]:
    users.add(tmp_path / "users.toml", "anna", PASSWORD)
    sources = {"station_control": str(station.path), "challenge": str(tmp_path / "challenge")}
    line = Line(tmp_path, sources, users=str(tmp_path / "users.toml"))
    line.monitor.start()
    yield line
    line.close()


@pytest.fixture
def anna(line: Line) -> Browser:
    browser = line.browser()
    assert browser.login("anna", PASSWORD).status == 200
    return browser


def test_what_the_station_says_is_shown(line: Line) -> None:
    told = line.get("/api/challenge")
    assert (told["status"], told["commands"], told["runs"]) == (None, True, [])
    challenge = {"configured": True, "phase": "placing", "text": "Place piece A.", "operator": "anna"}
    until(lambda: line.get("/api/challenge")["status"], lambda: line.tell_station(challenge=challenge))
    assert line.get("/api/challenge")["status"]["text"] == "Place piece A."
    assert line.get("/api/state")["challenge"]["phase"] == "placing"


def test_commands_reach_the_station_with_who_gave_them(station: Station, anna: Browser) -> None:
    reply = anna.post("/api/challenge", action="returned", note="found it", missing="B")
    assert (reply.status, reply.json["text"]) == (200, "The lane is held.")
    told = {"action": "returned", "operator": "anna", "note": "found it", "missing": "B"}
    assert station.asked == [("challenge", told)]
    station.ok = False
    reply = anna.post("/api/challenge", action="start")
    assert (reply.status, reply.json) == (409, {"error": "refused", "text": "The belt is not empty."})
    assert anna.post("/api/challenge", action="reset").status == 400
    assert len(station.asked) == 2


def test_a_station_that_does_not_answer_is_told(station: Station, anna: Browser) -> None:
    station.thread.close()
    reply = anna.post("/api/challenge", action="start")
    assert (reply.status, reply.json["error"]) == (502, "control")


def test_without_a_control_socket_nothing_can_be_commanded(tmp_path: Path) -> None:
    users.add(tmp_path / "users.toml", "anna", PASSWORD)
    line = Line(tmp_path, users=str(tmp_path / "users.toml"))
    line.monitor.start()
    try:
        browser = line.browser()
        browser.login("anna", PASSWORD)
        assert browser.post("/api/challenge", action="start").status == 404
        assert browser.get("/api/me").json["challenge"] is False
    finally:
        line.close()
