"""The overview: the state in words, and everything live."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import datetime, timezone

import pytest
from playwright.sync_api import Page

from tests.browser import sample
from tests.browser.conftest import PANEL, PHONE, Open, expected
from tests.browser.standin import StandIn, now_ms

SOON_MS = 1000


def text(page: Page, selector: str) -> str:
    """Return what stands there."""
    return page.inner_text(selector).strip()


@pytest.mark.parametrize(
    ("state", "word", "reason"),
    [
        (sample.state(), "RUNNING", "Every part is inspected."),
        (sample.warning(), "WARNING", "Too large a share of rejects."),
        (sample.fault(), "FAULT", "The camera is gone: no frame for 1.2 s, the device does not answer."),
        (sample.stopped(), "STOPPED", "No part comes."),
    ],
)
def test_band_tells_state_and_reason(
    open_page: Open, stand_in: StandIn, state: sample.Json, word: str, reason: str
) -> None:
    stand_in.state = state
    page = open_page()
    page.wait_for_selector(f".band[data-state={word}]")
    assert text(page, "#band-word") == word
    assert text(page, "#band-reason") == reason


def test_band_tells_what_the_line_itself_says(open_page: Open, stand_in: StandIn) -> None:
    told = {"reason": "The PLC is not trusted.", "reason_key": "plc_silent", "reason_detail": "its program is stopped"}
    stand_in.state = sample.state(state="FAULT", **told)
    stand_in.language = "de"
    page = open_page()
    page.wait_for_selector("#band-detail:has-text('Its program is stopped.')")
    assert page.get_attribute("#band-detail", "lang") == "en"
    assert text(page, "#band-reason").startswith("Die SPS antwortet nicht oder")


def test_band_counts_all_that_does_not_pass(open_page: Open, stand_in: StandIn) -> None:
    """Parts without a decision fall into the same bin."""
    stand_in.state = sample.state(reject_rate=0.01, not_passed_rate=0.41)
    page = open_page()
    page.wait_for_selector("#band-rate:has-text('41.0')")
    assert text(page, "#reject-rate") == "1.0\u00a0%"


def test_what_is_not_of_today_has_its_day(open_page: Open, stand_in: StandIn) -> None:
    since_ms = now_ms() - 3 * 86_400_000
    day = datetime.fromtimestamp(since_ms / 1000, timezone.utc).date().isoformat()
    stand_in.state = sample.warning(now_ms()) | {"since_ms": since_ms}
    stand_in.state["alarms"][0]["since_ms"] = since_ms
    page = open_page()
    page.wait_for_selector(f".band-since:has-text('{day}')")
    assert day in text(page, "[data-alarm=reject_rate] .alarm-since")


def test_unknown_reason_is_shown_as_it_came(open_page: Open, stand_in: StandIn) -> None:
    stand_in.state = sample.state(
        state="FAULT", reason="the flux capacitor is empty", reason_key="flux", remedy="Fill it."
    )
    page = open_page()
    page.wait_for_selector(".band[data-state=FAULT]")
    assert text(page, "#band-reason") == "The flux capacitor is empty."
    assert text(page, "#band-remedy") == "Fill it."


def test_fault_is_legible_from_three_metres(open_page: Open, stand_in: StandIn) -> None:
    """ISO 9241-303 asks for 16 minutes of arc; good eyes need 5.  A pixel of a 15 inch panel has 0.25 mm."""
    stand_in.state = sample.fault()
    page = open_page(size=PANEL)
    page.wait_for_selector(".band[data-state=FAULT]")
    for selector, least in (("#band-word", 16), ("#band-reason", 8)):
        type_px = page.eval_on_selector(selector, "e => parseFloat(getComputedStyle(e).fontSize)")
        capital_mm = 0.727 * type_px * 0.25
        assert math.degrees(capital_mm / 3000) * 60 >= least, selector


def test_counts_rates_and_health(open_page: Open, stand_in: StandIn) -> None:
    bad = {"ok": False, "key": "plc_silent", "text": "no answer"}
    unknown = {"ok": None, "key": "", "text": ""}
    stand_in.state = sample.state(health=sample.state()["health"] | {"plc": bad, "disk": unknown})
    page = open_page(size=(1280, 1024))
    page.wait_for_selector("#health-plc.is-bad")
    counts = [text(page, f"#count-{name}") for name in ("triggers", "pass", "reject", "no_decision")]
    assert counts == ["78,412", "76,702", "1,683", "27"]
    assert text(page, "#reject-rate") == "2.2\u00a0%"
    assert "No answer, or not trusted" in text(page, "#health-plc")
    assert "OK" in text(page, "#health-camera")
    assert "Not known" in text(page, "#health-disk")
    assert text(page, "#causes").splitlines() == [
        "19 × No verdict before the deadline.",  # noqa: RUF001
        "8 × No frame came for this trigger.",  # noqa: RUF001
    ]


def test_latency_chart_draws_every_part_against_the_deadline(open_page: Open, stand_in: StandIn) -> None:
    points = [[n, 30.0] for n in range(150)] + [[150, 130.0], [151, 100.0]]
    stand_in.state = sample.state(
        latency={"deadline_ms": 100.0, "p50": 30.0, "p99": 100.0, "max": 130.0, "points": points}
    )
    page = open_page()
    page.wait_for_selector(".panel-latency .chart-dots")
    marks = page.get_attribute(".panel-latency .chart-dots", "d"), page.get_attribute(".panel-latency .chart-late", "d")
    assert (marks[0] or "").count("M") == 151  # the deadline itself is in time
    assert (marks[1] or "").count("M") == 1
    assert "1 part later than the deadline" in str(page.get_attribute(".panel-latency svg", "aria-label"))


def test_trend_leaves_minutes_without_parts_open(open_page: Open, stand_in: StandIn) -> None:
    trend = sample.state(now_ms())["trend"]
    for minute in trend[20:30]:
        minute.update(parts=0, rejects=0)
    stand_in.state = sample.state(now_ms(), trend=trend)
    page = open_page()
    page.wait_for_selector(".panel-trend .chart-line")
    assert str(page.get_attribute(".panel-trend .chart-line", "d")).count("M") == 2


def test_reject_appears_within_a_second_and_gets_its_picture(open_page: Open, stand_in: StandIn) -> None:
    page = open_page()
    page.wait_for_selector(".band[data-state=RUNNING]")
    told = sample.reject(70_001, now_ms())
    begun = time.monotonic()
    stand_in.send("part", told)
    card = page.wait_for_selector("[data-part='70001']", timeout=SOON_MS)
    assert time.monotonic() - begun < SOON_MS / 1000
    assert card is not None
    finding = max(told["findings"], key=lambda f: float(f["score"]))
    width, height = (round(finding["box"][n + 2] - finding["box"][n]) for n in (0, 1))
    shown = card.inner_text()
    assert finding["cls"].replace("_", " ") in shown
    assert f"{round(100 * finding['score'])}\u00a0%" in shown
    assert f"{width}\u00a0×\u00a0{height}\u00a0px" in shown  # noqa: RUF001
    assert f"Rule: {sample.RULE}" in shown
    assert page.query_selector("[data-part='70001'] img") is None
    stand_in.pictures.insert(0, sample.picture(10_001, told["wall_ms"]) | {"part": 70_001, "outcome": "REJECT"})
    page.wait_for_selector("[data-part='70001'] img", timeout=2 * SOON_MS)


def test_rejects_of_one_number_without_a_session_are_two(open_page: Open, stand_in: StandIn) -> None:
    page = open_page()
    page.wait_for_selector(".band[data-state=RUNNING]")
    now = now_ms()
    for wall_ms in (now - 3_600_000, now):
        stand_in.send("part", sample.reject(5, wall_ms, session=0))
    page.wait_for_selector(f"#rejects a[href='/part/0/5?near={now}']")
    assert len(page.query_selector_all("#rejects a")) == 2


def test_pictures_that_never_come_are_asked_for_ever_less(open_page: Open, stand_in: StandIn) -> None:
    page = open_page()
    page.wait_for_selector(".band[data-state=RUNNING]")
    asked: list[float] = []
    page.on("request", lambda r: asked.append(time.monotonic()) if "/api/pictures" in r.url else None)
    begun = time.monotonic()
    while time.monotonic() - begun < 6:
        stand_in.send("part", sample.reject(len(asked) + 100, now_ms()))
        page.wait_for_timeout(200)
    assert 2 <= len(asked) <= 5


def test_passes_are_no_rejects(open_page: Open, stand_in: StandIn) -> None:
    page = open_page()
    page.wait_for_selector(".band[data-state=RUNNING]")
    stand_in.send("part", sample.reject(1, now_ms()) | {"outcome": "PASS"})
    stand_in.send("part", sample.reject(2, now_ms()))
    page.wait_for_selector("[data-part='2']")
    assert page.query_selector("[data-part='1']") is None


def test_reject_keeps_the_focus_when_another_comes(open_page: Open, stand_in: StandIn) -> None:
    page = open_page()
    page.wait_for_selector(".band[data-state=RUNNING]")
    stand_in.send("part", sample.reject(1, now_ms()))
    page.focus("[data-part='1']")
    stand_in.send("part", sample.reject(2, now_ms() + 5))
    page.wait_for_selector("[data-part='2']")
    assert page.evaluate("document.activeElement.dataset.part") == "1"
    order = page.eval_on_selector_all("#rejects a", "all => all.map((a) => a.dataset.part)")
    assert order == ["2", "1"]


def test_live_picture_with_its_findings(open_page: Open, stand_in: StandIn) -> None:
    page = open_page()
    page.wait_for_selector(".band[data-state=RUNNING]")
    stand_in.live(61_240)
    page.wait_for_selector(".live-stage .finding")
    boxes = page.eval_on_selector_all(
        ".finding-box", "all => all.map((r) => ['x', 'y', 'width', 'height'].map((n) => +r.getAttribute(n)))"
    )
    wanted = [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in (f["box"] for f in stand_in.live_shot.findings)]
    assert boxes == [pytest.approx(box) for box in wanted]
    over = page.evaluate(
        """['.frame-image', '.frame-findings'].map((s) =>
          JSON.stringify(document.querySelector(s).getBoundingClientRect()))"""
    )
    assert over[0] == over[1]  # the drawing lies exactly over the picture
    assert text(page, "#live-outcome") == "Reject"
    page.wait_for_selector(".panel-live.is-old", timeout=4500)  # nothing new: it must not pass for live
    assert "No new picture since" in text(page, "#live-caption")


def test_live_words_come_with_their_picture(open_page: Open, stand_in: StandIn) -> None:
    page = open_page()
    page.wait_for_selector(".band[data-state=RUNNING]")
    stand_in.live(7)
    page.wait_for_selector("#live-caption:has-text('Part 7')")
    stand_in.unserved = True  # they come too late
    begun, seen = time.monotonic(), set()
    while not page.query_selector(".panel-live.is-old"):
        assert time.monotonic() - begun < 5
        stand_in.live(8)
        seen.add(text(page, "#live-caption")[:6])
        page.wait_for_timeout(200)
    assert seen == {"Part 7"}
    assert "No new picture since" in text(page, "#live-caption")
    expected(open_page, "404")


def test_live_picture_that_hangs_gives_way_to_the_next(open_page: Open, stand_in: StandIn) -> None:
    page = open_page()
    page.wait_for_selector(".band[data-state=RUNNING]")
    page.route("**/api/live.jpg?n=8", lambda _: None)  # answered never
    with page.expect_request("**/api/live.jpg?n=8"):
        stand_in.live(8)
    begun = time.monotonic()
    while "Part 9" not in text(page, "#live-caption"):
        assert time.monotonic() - begun < 5
        stand_in.live(9)
        page.wait_for_timeout(100)


def test_alarm_raised_and_cleared(open_page: Open, stand_in: StandIn) -> None:
    page = open_page()
    page.wait_for_selector(".alarm-none")
    stand_in.show(sample.warning(now_ms()))
    row = page.wait_for_selector("[data-alarm=reject_rate]", timeout=SOON_MS)
    assert row is not None
    shown = row.inner_text()
    assert "Too large a share of rejects." in shown
    assert "41 of the last 200 parts" in shown
    assert "Look at the rejected parts, then reset." in shown
    assert "gateway, since" in shown
    assert text(page, "#alarm-count") == "2"
    stand_in.show(sample.state(now_ms()))
    page.wait_for_selector(".alarm-none", timeout=SOON_MS)
    page.wait_for_selector("#alarm-count", state="hidden")


@pytest.mark.parametrize("size", [PANEL, PHONE, (820, 1180), (1920, 1080)])
@pytest.mark.parametrize("locale", ["en", "de"])
def test_nothing_is_wider_than_the_screen(
    open_page: Open, stand_in: StandIn, size: tuple[int, int], locale: str
) -> None:
    stand_in.language, stand_in.state = locale, sample.warning(now_ms())
    stand_in.pictures = [sample.picture(n, now_ms()) for n in range(80, 0, -1)]
    first = stand_in.pictures[0]
    page = open_page(size=size)
    for path in (
        "/",
        "/gallery",
        f"/part/{first['session']}/{first['part']}",
        "/shifts",
        "/alarms",
        "/challenge",
        "/login",
    ):
        page.goto(stand_in.url + path)
        page.wait_for_selector("#alarm-count:not([hidden])", state="attached")
        page.wait_for_timeout(200)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, (path, wide)


@pytest.mark.parametrize("size", [(1280, 1024), PANEL])
@pytest.mark.parametrize("state", [sample.state, sample.warning, sample.fault])
def test_overview_fits_on_a_panel_pc(
    open_page: Open, stand_in: StandIn, size: tuple[int, int], state: Callable[[int], sample.Json]
) -> None:
    stand_in.pictures = [sample.picture(n, now_ms()) for n in range(20, 0, -1)]
    stand_in.state = state(now_ms())
    page = open_page(size=size)
    page.wait_for_selector("#rejects img")
    stand_in.live()
    page.wait_for_selector(".live-stage .finding")
    assert page.eval_on_selector("main", "e => e.getBoundingClientRect().bottom") <= size[1]
