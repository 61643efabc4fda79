"""What lies on disk, over HTTP: pictures, parts, shifts, alarms, marks; with real journals and real pictures."""

from __future__ import annotations

import csv
import io
import threading
import time
from collections.abc import Iterator
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edge.clock import NS_PER_MS, wall_ns
from edge.monitor.server import Monitor
from edge.monitor.web import site as sites
from edge.monitor.web import users
from edge.monitor.web.shifts import ShiftTotals
from edge.record.evidence.store import Store
from edge.record.journal.rows import Event
from tests import support_evidence as evidence
from tests.support_journal import STATION as SESSION
from tests.support_journal import Plant, event, journal, wait_for
from tests.support_monitor import Browser, Line, until

PASSWORD = "correct horse battery"
PICTURES = 7
FIRST_MS = int(evidence.WALL.timestamp() * 1000)


def opened(folder: Path) -> Store:
    folder.mkdir()
    return Store(folder, evidence.quota())


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Journals of 40 parts, every fifth a reject; pictures of some others; a user."""
    folder = tmp_path_factory.mktemp("disk")
    plant = Plant(folder)
    plant.extra["station"] = [Event("alarm", "the camera is gone", {"alarm": "camera"}, plant.start + 1)]
    plant.write()
    store = opened(folder / "evidence")
    for n in range(PICTURES):
        evidence.put(store, evidence.record(n, evidence.LOST if n == 3 else evidence.REJECT, minutes=n))
    evidence.put(store, evidence.record(5, session=SESSION, wall=plant.parts[5].wall))
    store.close()
    users.add(folder / "users.toml", "anna", PASSWORD)
    return folder


@pytest.fixture
def line(tmp_path: Path, disk: Path) -> Iterator[Line]:
    sources = {
        "station_journal": str(disk / "station"),
        "gateway_journal": str(disk / "gateway"),
        "evidence": str(disk / "evidence"),
    }
    kept = {"users": str(disk / "users.toml"), "annotations": str(tmp_path / "annotations.sqlite")}
    line = Line(tmp_path, sources, time_zone="Europe/Berlin", **kept)
    line.monitor.start()
    yield line
    line.close()


@pytest.fixture
def anna(line: Line) -> Browser:
    browser = line.browser()
    assert browser.login("anna", PASSWORD).status == 200
    return browser


# -- parts ------------------------------------------------------------------------------------------------------------


def test_a_part_is_told_with_all_its_times_its_picture_and_its_marks(line: Line, anna: Browser) -> None:
    assert anna.post("/api/mark", session=SESSION, part=5, verdict="wrong", note="dust").status == 200
    told = line.get(f"/api/part/{SESSION}/5")
    assert told["times"] == {"T0": 0, "T1": 7, "T2": 21, "T3": 22, "T4": 23, "T5": None, "T6": 600}
    assert (told["outcome"], told["gate"], told["sensor"]) == ("REJECT", "rejected", "confirmed")
    assert (told["picture"]["width"], told["picture"]["height"]) == (32, 24)
    assert [(m["verdict"], m["who"], m["note"]) for m in told["marks"]] == [("wrong", "anna", "dust")]
    assert told["identity"]["engine"] == "openvino"
    passed = line.get(f"/api/part/{SESSION}/6")
    assert (passed["times"]["T5"], passed["times"]["T6"], passed["permit"], passed["picture"]) == (
        34,
        600,
        "written",
        None,
    )


def test_a_part_that_only_its_picture_knows_is_told_all_the_same(line: Line) -> None:
    told = line.get("/api/part/7/2")
    assert (told["outcome"], told["rule"], told["findings"][0]["cls"]) == ("REJECT", "any defect", "scratch")
    assert told["times"]["T0"] == 0
    assert told["times"]["T4"] is None


def test_parts_without_a_session_are_told_apart_by_their_times(tmp_path: Path) -> None:
    store, sources = opened(tmp_path / "evidence"), {"evidence": str(tmp_path / "evidence")}
    for minutes, verdict in ((0, evidence.REJECT), (5, evidence.LOST)):
        evidence.put(store, evidence.record(1, verdict, minutes, session=0))
    store.close()
    users.add(tmp_path / "users.toml", "anna", PASSWORD)
    line = Line(tmp_path, sources, users=str(tmp_path / "users.toml"), annotations=str(tmp_path / "annotations.sqlite"))
    line.monitor.start()
    try:
        browser = line.browser()
        browser.login("anna", PASSWORD)
        newest, first = line.get("/api/pictures")["pictures"]
        assert line.get("/api/part/0/1")["outcome"] == newest["outcome"] == "NO_DECISION"
        near = first["wall_ms"]
        assert line.get(f"/api/part/0/1?near={near}")["outcome"] == "REJECT"
        assert browser.get(f"/api/part/0/1?near={near + 60_000}").status == 404
        assert browser.post("/api/mark", session=0, part=1, verdict="wrong", near=near).status == 200
        assert [p["mark"] for p in line.get("/api/pictures")["pictures"]] == [None, "wrong"]
        assert line.get("/api/part/0/1")["marks"] == []
        assert len(line.get(f"/api/part/0/1?near={near}")["marks"]) == 1
    finally:
        line.close()


@pytest.mark.parametrize("path", ["7/99", "0/0", f"{1 << 60}/1", f"{SESSION}/41"])
def test_a_part_that_nobody_knows_is_not_there(line: Line, path: str) -> None:
    assert line.browser().get(f"/api/part/{path}").status == 404


# -- marks and acknowledgements ---------------------------------------------------------------------------------------


def test_marks_show_in_the_gallery_and_can_be_taken_back(line: Line, anna: Browser) -> None:
    def shown() -> Any:
        return next(p["mark"] for p in line.get("/api/pictures")["pictures"] if (p["session"], p["part"]) == (7, 1))

    for verdict, mark in (("wrong", "wrong"), ("right", "right"), ("none", None)):
        assert anna.post("/api/mark", session=7, part=1, verdict=verdict).status == 200
        assert shown() == mark
    annotations = line.monitor._site.annotations  # type: ignore[union-attr]
    assert annotations is not None
    assert [m.station for m in annotations.marks(7, 1)] == ["s"] * 3


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"session": 7, "part": 1, "verdict": "maybe"}, 400),
        ({"session": 7, "part": "1", "verdict": "right"}, 400),
        ({"session": 7, "part": True, "verdict": "right"}, 400),
        ({"session": 7, "part": -1, "verdict": "right"}, 400),
        ({"session": 7, "part": 1, "verdict": "right", "note": "x" * 1001}, 400),
        ({"session": 7, "part": 1}, 400),
        ({"session": 7, "part": 12345, "verdict": "right"}, 404),
        ({"session": 0, "part": 1, "verdict": "right"}, 400),
    ],
)
def test_a_mark_must_make_sense(anna: Browser, values: dict[str, Any], status: int) -> None:
    assert anna.post("/api/mark", **values).status == status


def test_an_alarm_is_acknowledged_while_it_stands(line: Line, anna: Browser) -> None:
    assert anna.post("/api/acknowledge", source="gateway", alarm="bin_full", note="").json["error"] == "gone"
    until(lambda: line.get("/api/state")["alarms"], lambda: line.tell_gateway(alarms={"bin_full": "The bin is full."}))
    assert anna.post("/api/acknowledge", source="gateway", alarm="bin_full", note="on my way").status == 200
    alarm = line.get("/api/state")["alarms"][0]
    assert (alarm["name"], alarm["acknowledged_by"]) == ("bin_full", "anna")
    assert alarm["remedy"]
    until(lambda: not line.get("/api/state")["alarms"], line.tell_gateway)
    time.sleep(0.002)  # another millisecond
    until(lambda: line.get("/api/state")["alarms"], lambda: line.tell_gateway(alarms={"bin_full": "The bin is full."}))
    assert line.get("/api/state")["alarms"][0]["acknowledged_by"] is None, "it was raised anew"


def test_alarms_of_the_past_and_what_stood_before_the_monitor_started(line: Line, anna: Browser) -> None:
    past = line.get("/api/alarms")
    (alarm,) = past["alarms"]
    assert (alarm["source"], alarm["name"], alarm["cleared_ms"], past["more"]) == ("station", "camera", None, False)
    values = {"alarms": {"camera": "the camera is gone"}, "state": "FAULT", "reason": "the camera is gone"}
    until(lambda: line.get("/api/state")["alarms"], lambda: line.tell_station(**values))
    wait_for(lambda: line.get("/api/state")["alarms"][0]["since_ms"] == alarm["raised_ms"])
    assert anna.post("/api/acknowledge", source="station", alarm="camera", note="ordered").status == 200
    (alarm,) = line.get("/api/alarms")["alarms"]
    assert (alarm["acknowledged_by"], alarm["note"]) == ("anna", "ordered")
    assert line.get(f"/api/alarms?before={alarm['raised_ms']}")["alarms"] == []


def test_acknowledgements_outlive_the_monitor(line: Line, anna: Browser) -> None:
    until(lambda: line.get("/api/state")["alarms"], lambda: line.tell_station(alarms={"camera": "gone"}))
    assert anna.post("/api/acknowledge", source="station", alarm="camera", note="").status == 200
    line.monitor.close()
    line.monitor = Monitor(line.monitor.config)
    line.monitor.start()
    until(lambda: line.get("/api/state")["alarms"], lambda: line.tell_station(alarms={"camera": "gone"}))
    wait_for(lambda: line.get("/api/state")["alarms"][0]["acknowledged_by"] == "anna")


# -- shifts -----------------------------------------------------------------------------------------------------------


def test_a_shift_has_its_totals(line: Line) -> None:
    told = line.get("/api/shifts")
    assert told["timezone"] == "Europe/Berlin"
    assert [s["start"] for s in told["shifts"]] == ["06:00", "14:00", "22:00"]
    yesterday = line.get(f"/api/shifts?day={date.fromordinal(date.fromisoformat(told['day']).toordinal() - 1)}")
    shifts = [s for s in (*told["shifts"], *yesterday["shifts"]) if s["triggers"]]
    assert sum(s["triggers"] for s in shifts) == 40
    assert sum(s["reject"] for s in shifts) == 8
    assert shifts[0]["causes"] == {"rule": 8}
    assert shifts[0]["rules"] == {"scratch": 8}
    assert shifts[0]["p99_ms"] == 23.1
    now_ms = wall_ns() // NS_PER_MS
    assert all(s["from_ms"] <= now_ms for s in shifts)


def test_shifts_as_csv(line: Line) -> None:
    reply = line.browser().get("/api/shifts.csv?days=2")
    assert reply.headers["content-type"].startswith("text/csv")
    assert reply.headers["content-disposition"].startswith('attachment; filename="shifts-')
    rows = list(csv.DictReader(io.StringIO(reply.body.decode())))
    assert len(rows) == 6
    assert sum(int(row["reject"]) for row in rows) == sum(int(row["rule: scratch"]) for row in rows) == 8
    assert sum(int(row["cause: frame_missing"]) for row in rows) == 0


@pytest.mark.parametrize("query", ["day=x", "day=2026-02-30", "day=0001-01-01", "day=2026-11-22&days=32"])
def test_a_day_that_is_none_is_refused(line: Line, query: str) -> None:
    assert line.browser().get(f"/api/shifts.csv?{query}").status == 400


def test_a_month_needs_a_login(line: Line, anna: Browser) -> None:
    assert line.browser().get("/api/shifts.csv?days=7").status == 200
    reply = line.browser().get("/api/shifts.csv?days=8")
    assert (reply.status, reply.json["error"]) == (403, "login")
    assert anna.get("/api/shifts.csv?days=31").status == 200


def test_the_night_shift_is_of_the_day_on_which_it_began() -> None:
    totals = ShiftTotals(ZoneInfo("Europe/Berlin"), ("06:00", "14:00", "22:00"))
    for hour, day in ((0, 21), (5, 21), (6, 22), (23, 22)):
        at = datetime(2026, 11, 22, hour, 30, tzinfo=totals.zone)
        assert totals.today(round(at.timestamp() * 1000)) == date(2026, 11, day), hour


def test_the_pages_are_told_the_day_and_the_zone_and_which_shifts_have_begun(line: Line) -> None:
    me, told = line.get("/api/me"), line.get("/api/shifts")
    assert (me["timezone"], me["day"]) == ("Europe/Berlin", told["day"])
    now_ms = wall_ns() // NS_PER_MS
    assert [s["begun"] for s in told["shifts"]] == [s["from_ms"] <= now_ms for s in told["shifts"]]
    assert told["shifts"][0]["begun"] is True
    assert not any(s["begun"] for s in line.get("/api/shifts?day=2199-01-01")["shifts"])


def test_shifts_in_the_hour_that_summer_time_skips_overlap_nobody() -> None:
    bounds = ShiftTotals(ZoneInfo("Europe/Berlin"), ("02:15", "02:45", "03:00", "22:00")).bounds(date(2026, 3, 29))
    assert all(since <= until for _, _, since, until in bounds)
    assert all(bounds[n][3] == bounds[n + 1][2] for n in range(3))


def test_shifts_follow_the_clock_of_the_place() -> None:
    totals = ShiftTotals(ZoneInfo("Europe/Berlin"), ("06:00", "14:00", "22:00"))
    hours = [(until - since) / 3_600_000 for _, _, since, until in totals.bounds(date(2026, 10, 24))]
    assert hours == [8, 8, 9], "summer time ends in the night"
    _, _, first, _ = totals.bounds(date(2026, 10, 25))[0]
    assert totals.bounds(date(2026, 10, 24))[-1][3] == first, "no gap, no overlap"
    assert datetime.fromtimestamp(first / 1000, timezone.utc).hour == 5
    (only,) = ShiftTotals(ZoneInfo("UTC"), ("00:00",)).bounds(date(2026, 1, 1))
    assert only[3] - only[2] == 86_400_000


# -- what is not there ------------------------------------------------------------------------------------------------


def test_without_folders_it_says_so(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.monitor.start()
    try:
        for path in ("/api/pictures", "/api/shifts", "/api/shifts.csv", "/api/alarms", "/pictures/1.jpg"):
            reply = line.browser().get(path)
            assert (reply.status, reply.json["error"]) == (404, "not_recorded"), path
        assert line.browser().get("/api/part/1/1").status == 404
    finally:
        line.close()


def test_a_folder_that_is_not_there_yet_is_found_later(tmp_path: Path) -> None:
    sources = {"station_journal": str(tmp_path / "journal"), "evidence": str(tmp_path / "evidence")}
    line = Line(tmp_path, sources)
    line.monitor.start()
    try:
        assert line.browser().get("/api/pictures").json["error"] == "unreadable"
        assert line.browser().get("/api/shifts").json["error"] == "not_recorded"
        store = opened(tmp_path / "evidence")
        evidence.put(store, evidence.record(1))
        store.close()
        one = journal(tmp_path / "journal")
        one.put(event())
        one.close()
        assert len(line.get("/api/pictures")["pictures"]) == 1
        assert len(line.get("/api/shifts")["shifts"]) == 3
    finally:
        line.close()


def test_a_stalled_disk_holds_neither_events_nor_metrics(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.connect()
    gone = threading.Event()
    history = line.monitor._site.history  # type: ignore[union-attr]
    monkeypatch.setattr(history, "shifts", lambda _: gone.wait(20) and {})
    monkeypatch.setattr(sites, "LONG_WAITING", 4)
    asking = [threading.Thread(target=line.browser().get, args=("/api/shifts",)) for _ in range(4)]
    for thread in asking:
        thread.start()
    until(lambda: line.monitor._site._long_waiting == 4)  # type: ignore[union-attr]
    start = time.monotonic()
    for path in ("/metrics", "/healthz", "/api/state", "/api/me", "/", "/api/pictures"):
        assert line.browser().get(path).status == 200
    busy = line.browser().get("/api/shifts")
    assert (busy.status, busy.json["error"]) == (503, "busy")
    assert time.monotonic() - start < 2
    gone.set()
    for thread in asking:
        thread.join()


def test_readers_that_wait_keep_nobody_from_acting(line: Line, anna: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = threading.Event()
    monkeypatch.setattr(line.monitor._site.history, "picture", lambda *_: gone.wait(20) and None)  # type: ignore[union-attr]
    asking = [threading.Thread(target=line.browser().get, args=(f"/pictures/{n}.jpg",)) for n in range(sites.WORKERS)]
    for thread in asking:
        thread.start()
    until(lambda: line.monitor._site.disk._under_way == sites.WORKERS)  # type: ignore[union-attr]
    until(lambda: line.get("/api/state")["alarms"], lambda: line.tell_gateway(alarms={"bin_full": "full"}))
    start = time.monotonic()
    assert anna.post("/api/acknowledge", source="gateway", alarm="bin_full", note="").status == 200
    assert time.monotonic() - start < 2
    gone.set()
    for thread in asking:
        thread.join()
