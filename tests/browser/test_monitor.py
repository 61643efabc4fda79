"""The pages on the monitor itself: real sockets, a real index of real pictures, real logins."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edge.monitor.web import users
from edge.record.evidence.picture import Encoded, sidecar
from edge.record.evidence.store import Entry, Store
from edge.wire.messages import FindingRecord
from tests import support_evidence as evidence
from tests.browser import sample
from tests.browser.conftest import Open, expected
from tests.support_monitor import Line

PASSWORD = "correct horse battery"
SOON_MS = 1000
MANY = 10_000
FILES = 190
TELL_S = 0.5
STATION_SILENT = "The inspection station is silent; nothing is inspected, and no part passes."


class Speaking:
    """A monitor, and a station and gateway that tell their status until they are told to be silent."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.station: dict[str, Any] = {"causes": {"clean": 2}}
        self.gateway: dict[str, Any] = {}
        self.speaks = {"station": True, "gateway": True}
        self.turn = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)
        self._thread.start()

    def tell(self) -> None:
        """Tell both statuses now."""
        with self.turn:  # a socket belongs to one thread at a time
            if self.speaks["station"]:
                self.line.tell_station(**self.station)
            if self.speaks["gateway"]:
                self.line.tell_gateway(**self.gateway)

    def close(self) -> None:
        """End."""
        self._ending.set()
        self._thread.join()

    def _tell(self) -> None:
        while not self._ending.wait(TELL_S):
            self.tell()


def fill(folder: Path) -> None:
    """Fill an evidence folder with many rejects, a second apart; the newest have files."""
    shots = sample.shots()[0]
    store, now, rows = Store(folder, evidence.quota()), datetime.now(timezone.utc), []
    for n in range(MANY):
        shot = shots[n % len(shots)]
        findings = [FindingRecord(f["cls"], f["score"], tuple(f["box"])) for f in shot.findings]
        wall = (now - timedelta(seconds=MANY - n)).isoformat(timespec="milliseconds")
        record = evidence.record(n, findings=findings, wall=wall)
        picture = Encoded(shot.jpeg, ".jpg", sample.WIDTH, sample.HEIGHT)
        file = store.place(record, ".jpg")
        if n >= MANY - FILES:
            store.put(
                Entry(record, "reject"), file, picture.data, sidecar(record, "reject", (), file, picture, "mono8")
            )
        else:
            rows.append(Entry(record, "reject").row(file, 4096))
    columns = ",".join("?" * len(rows[0]))
    store._connection.execute("BEGIN")
    store._connection.executemany(f"INSERT INTO pictures VALUES (NULL, {columns})", rows)
    store._connection.execute("COMMIT")
    store.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evidence")
    fill(folder)
    return folder


@pytest.fixture
def line(tmp_path: Path, folder: Path) -> Iterator[Speaking]:
    file = tmp_path / "users.toml"
    users.add(file, "anna", PASSWORD)
    annotations = str(tmp_path / "annotations.sqlite")
    real = Line(tmp_path, {"evidence": str(folder)}, users=str(file), annotations=annotations)
    real.monitor.start()
    real.connect()
    speaking = Speaking(real)
    yield speaking
    speaking.close()
    real.close()


def at(line: Speaking) -> str:
    """Return where the monitor serves."""
    return f"http://127.0.0.1:{line.line.monitor.port}"


def test_reject_appears_within_a_second(line: Speaking, open_page: Open) -> None:
    page = open_page("/", url=at(line))
    page.wait_for_selector(".band[data-state=RUNNING]")
    finding = {"cls": "scratches", "score": 0.87, "box": [10, 10, 40, 150]}
    told = {"outcome": "REJECT", "cause": "rule", "rule": "long scratch", "findings": [finding], "part": 70_001}
    begun = time.monotonic()
    with line.turn:
        line.line.tell_part(**told, wall=datetime.now(timezone.utc).isoformat())
    card = page.wait_for_selector("[data-part='70001']", timeout=SOON_MS)
    assert time.monotonic() - begun < SOON_MS / 1000
    assert card is not None
    shown = card.inner_text()
    assert all(word in shown for word in ("scratches", "87\u00a0%", "30\u00a0\u00d7\u00a0140\u00a0px", "long scratch"))


def test_stalled_station_is_shown_within_two_seconds(line: Speaking, open_page: Open) -> None:
    page = open_page("/", url=at(line))
    took_s = []
    for _ in range(3):
        page.wait_for_selector(".band[data-state=RUNNING]")
        line.tell()
        line.speaks["station"] = False
        begun = time.monotonic()
        page.wait_for_selector(".band[data-state=FAULT]")
        took_s.append(time.monotonic() - begun)
        assert page.inner_text("#band-reason") == STATION_SILENT
        line.speaks["station"] = True
    assert min(took_s) <= 2.0, took_s  # the least: other work on the machine only ever adds


def test_silent_gateway_and_plc(line: Speaking, open_page: Open) -> None:
    page = open_page("/", url=at(line))
    page.wait_for_selector(".band[data-state=RUNNING]")
    line.gateway = {"plc_ok": False, "reason": "no answer"}
    line.tell()
    page.wait_for_selector("#health-plc.is-bad", timeout=SOON_MS)
    assert page.inner_text("#band-reason") == "The PLC does not answer, or cannot be trusted; no part passes."
    assert page.inner_text("#band-detail") == "No answer."
    line.speaks["gateway"] = False
    page.wait_for_selector("#health-gateway.is-bad", timeout=3000)
    assert page.inner_text("#band-reason") == "The gateway is silent; no part passes."


def test_alarm_raised_acknowledged_and_cleared(line: Speaking, open_page: Open) -> None:
    page = open_page("/login?next=/alarms", url=at(line))
    page.fill("#user", "anna")
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector(".alarm-none")
    line.gateway = {"alarms": {"bin_full": "The reject bin is full."}}
    line.tell()
    page.wait_for_selector("[data-alarm=bin_full]", timeout=SOON_MS)
    assert page.inner_text("#band-reason") == "The reject bin is full."
    assert page.inner_text("[data-alarm=bin_full] .alarm-remedy") == "Empty the bin, then reset."
    page.fill("[data-alarm=bin_full] input", "on my way")
    page.click("[data-alarm=bin_full] button")
    page.wait_for_selector("[data-alarm=bin_full] .chip:has-text('seen by anna')", timeout=2 * SOON_MS)
    line.gateway = {}
    line.tell()
    page.wait_for_selector(".alarm-none", timeout=SOON_MS)
    page.wait_for_selector(".band[data-state=RUNNING]")
    expected(open_page, "404")  # no journal is named: there is no history of alarms


def test_wrong_password(line: Speaking, open_page: Open) -> None:
    page = open_page("/login", url=at(line))
    page.fill("#user", "anna")
    page.fill("#password", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#login-line:has-text('Name or password is wrong.')")
    assert page.query_selector("#logout") is None
    expected(open_page, "401")


def test_ten_thousand_rejects_in_the_gallery(line: Speaking, open_page: Open) -> None:
    page = open_page("/shifts", url=at(line))
    took_s = []
    for turn in range(3):
        begun = time.monotonic()
        page.click("#older" if turn else "nav a[href='/gallery']")
        page.wait_for_selector(f"[data-part='{MANY - 1 - 60 * turn}']")
        took_s.append(time.monotonic() - begun)
        assert len(page.query_selector_all("#pictures li")) == 60
    page.wait_for_function("() => [...document.images].some((i) => i.src.includes('thumb') && i.naturalWidth > 0)")
    assert min(took_s) < 1.0, took_s
    expected(open_page, "404")  # /shifts: no journal is named


def test_part_is_marked(line: Speaking, open_page: Open) -> None:
    number = MANY - 5
    page = open_page(f"/login?next=/part/7/{number}", url=at(line))
    page.fill("#user", "anna")
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector(".panel-picture .finding")
    assert page.eval_on_selector(".panel-picture img", "e => e.naturalWidth") == sample.WIDTH
    page.fill("#mark-note", "oil")
    page.click("#mark-wrong")
    page.wait_for_selector("#mark-wrong[aria-pressed=true]")
    assert "by anna" in page.inner_text(".mark-list")
    page.click(".pager a:first-child")
    page.wait_for_selector(f"[data-part='{number}'] .mark.is-wrong")


def test_of_two_parts_of_one_number_the_one_looked_at_is_marked(tmp_path: Path, open_page: Open) -> None:
    """Without a gateway all parts have session 0, and a station that starts anew counts from the start.

    Times are those of the monitor's place, wherever the browser is.
    """
    (tmp_path / "evidence").mkdir()
    store = Store(tmp_path / "evidence", evidence.quota())
    for minutes in (0, 5):
        evidence.put(store, evidence.record(5, minutes=minutes, session=0))
    store.close()
    users.add(tmp_path / "users.toml", "anna", PASSWORD)
    kept = {"users": str(tmp_path / "users.toml"), "annotations": str(tmp_path / "annotations.sqlite")}
    real = Line(tmp_path, {"evidence": str(tmp_path / "evidence")}, time_zone="Asia/Shanghai", **kept)
    real.monitor.start()
    page = open_page("/login?next=/gallery", url=f"http://127.0.0.1:{real.monitor.port}")
    page.fill("#user", "anna")
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.click("#pictures li:nth-child(2) a")
    page.click("#mark-wrong")
    page.wait_for_selector("#mark-wrong[aria-pressed=true]")
    wall = evidence.WALL.astimezone(ZoneInfo("Asia/Shanghai"))
    assert f"{wall:%Y-%m-%d, %H:%M:%S}" in page.inner_text(".panel-decision")
    page.click(".pager a:first-child")
    page.wait_for_selector("#pictures[aria-busy=false] img")
    marked = page.eval_on_selector_all("#pictures li", "all => all.map((one) => one.querySelector('.mark') !== null)")
    assert marked == [False, True]
    real.close()


@pytest.mark.parametrize("path", ["/", "/gallery", "/challenge", "/login", f"/part/7/{MANY - 1}"])
def test_every_view_without_a_complaint(line: Speaking, open_page: Open, path: str) -> None:
    page = open_page(path, url=at(line))
    page.wait_for_selector(".band[data-state=RUNNING]")
    page.wait_for_timeout(300)
    assert "undefined" not in page.inner_text("body")
    assert "NaN" not in page.inner_text("body")
