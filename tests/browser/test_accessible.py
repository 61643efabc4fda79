"""Keyboard, screen reader, contrast: axe-core on every view, and what it cannot see."""

from __future__ import annotations

import time
from pathlib import Path

import axe_playwright_python  # type: ignore[import-untyped]
import pytest
from playwright.sync_api import Page

from tests.browser import sample
from tests.browser.conftest import PANEL, PHONE, Open, Theme
from tests.browser.standin import StandIn, now_ms

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
STATES = {"running": sample.state, "warning": sample.warning, "fault": sample.fault, "stopped": sample.stopped}


def complaints(page: Page) -> list[str]:
    """Return what axe-core finds, a line a rule."""
    if not page.evaluate("'axe' in window"):
        source = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
        page.evaluate(source)  # as code of the tests: the page's own policy lets no other script in
    found = page.evaluate("rules => axe.run(document, rules)", RULES)
    return [f"{v['id']}: {n['target']} {n['failureSummary']}" for v in found["violations"] for n in v["nodes"]]


def fill(stand_in: StandIn, kind: str = "warning") -> list[str]:
    """Fill the stand-in, and return the addresses of every view."""
    stand_in.state = STATES[kind](now_ms())
    stand_in.pictures = [sample.picture(n, now_ms()) for n in range(30, 0, -1)]
    first = stand_in.pictures[0]
    return ["/", "/gallery", f"/part/{first['session']}/{first['part']}", "/shifts", "/alarms", "/challenge", "/login"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [PANEL, PHONE], ids=["panel", "phone"])
@pytest.mark.parametrize("user", [None, "anna"])
def test_axe_finds_nothing(
    open_page: Open, stand_in: StandIn, theme: Theme, size: tuple[int, int], user: str | None
) -> None:
    paths = fill(stand_in)
    stand_in.user = user
    marked = sample.SESSION, 60_030, stand_in.pictures[0]["wall_ms"]
    stand_in.marks[marked] = [{"verdict": "wrong", "who": "anna", "wall_ms": now_ms(), "note": "oil"}]
    if user:
        stand_in.state["challenge"] = sample.challenge_running(now_ms())
    page = open_page(size=size, theme=theme)
    for path in paths:
        page.goto(stand_in.url + path)
        page.wait_for_selector(".band[data-state=WARNING]")
        if path == "/":
            stand_in.live()
            page.wait_for_selector(".live-stage .finding", state="attached")
        page.wait_for_timeout(300)
        assert complaints(page) == [], path


@pytest.mark.parametrize("kind", STATES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_any_state(open_page: Open, stand_in: StandIn, kind: str, theme: Theme) -> None:
    fill(stand_in, kind)
    page = open_page(theme=theme)
    page.wait_for_selector("#rejects img")
    assert complaints(page) == []


def test_axe_finds_nothing_without_data(open_page: Open, stand_in: StandIn) -> None:
    stand_in.state = {"state": "STOPPED", "reason": "", "reason_key": "waiting"}
    stand_in.history = stand_in.runs = []
    page = open_page()
    for path in ("/", "/gallery", "/part/1/1", "/alarms", "/challenge"):
        page.goto(stand_in.url + path)
        page.wait_for_selector(".band[data-state=STOPPED]")
        page.wait_for_timeout(200)
        assert complaints(page) == [], path
    open_page.complaints.clear()  # the part is not on record: 404


def test_landmarks_and_headings(open_page: Open, stand_in: StandIn) -> None:
    page = open_page()
    for path in fill(stand_in):
        page.goto(stand_in.url + path)
        page.wait_for_selector("h1", state="attached")
        counted = (
            "['header', 'main', 'footer', 'h1', 'nav[aria-label]'].map((s) => document.querySelectorAll(s).length)"
        )
        header, main, footer, h1, nav = page.evaluate(counted)
        assert (header, main, footer, h1) == (1, 1, 1, 1)
        assert nav >= 1
        assert page.query_selector("section:not([aria-label]):not([aria-labelledby])") is None


def test_keyboard_reaches_everything_in_the_order_in_which_it_is_read(open_page: Open, stand_in: StandIn) -> None:
    fill(stand_in)
    page = open_page("/gallery")
    page.wait_for_selector("#pictures img")
    order = []
    for _ in range(42):
        page.keyboard.press("Tab")
        order.append(
            page.evaluate(
                """(e => e.id || e.dataset.page || e.name || e.dataset.span || e.className.split(" ")[0])
                (document.activeElement)"""
            )
        )
    wanted = ["skip", "brand", "overview", "gallery", "shifts", "alarms", "challenge", "language", "theme", "tool"]
    assert order[:10] == wanted
    assert order[10:13] == ["outcome", "cls", "reason"]
    places = [order.index(name) for name in ("since", "until", "hour", "picture")]
    assert places == sorted(places)


def test_skip_link_leads_to_the_content(open_page: Open) -> None:
    page = open_page("/shifts")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip"
    assert page.eval_on_selector("#skip", "e => e.getBoundingClientRect().top >= 0")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_focus_is_visible(open_page: Open) -> None:
    page = open_page()
    for _ in range(4):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_announcements_do_not_chatter(open_page: Open, stand_in: StandIn) -> None:
    """Numbers change all the time; a screen reader hears of another state, once."""
    page = open_page()
    page.wait_for_selector(".band[data-state=RUNNING]")
    page.evaluate(
        """() => {
          window.told = [];
          const live = document.querySelectorAll("[aria-live], [role=status], [role=alert], [role=log]");
          const note = () => window.told.push(document.getElementById("announcer").textContent);
          const watch = new MutationObserver(note);
          live.forEach((e) => watch.observe(e, { childList: true, characterData: true, subtree: true }));
        }"""
    )
    for n in range(20):
        stand_in.show(sample.state(now_ms(), counts={"triggers": n, "pass": n, "reject": 0, "no_decision": 0}))
        stand_in.send("part", sample.reject(n, now_ms()))
        stand_in.live(n)
        time.sleep(0.05)
    page.wait_for_selector("[data-part='19']")
    assert page.evaluate("window.told") == []
    for n in range(5):
        fault = sample.fault(now_ms())
        stand_in.show(
            fault
            | {
                "reason": f"the camera is gone: {n}",
                "alarms": [fault["alarms"][0] | {"text": f"the camera is gone: {n}"}],
            }
        )
        time.sleep(0.05)
    page.wait_for_selector(".band[data-state=FAULT]")
    page.wait_for_timeout(100)
    assert page.evaluate("window.told") == ["FAULT: The camera is gone: 0."]


def test_targets_are_large_enough_for_a_glove(open_page: Open, stand_in: StandIn) -> None:
    """WCAG 2.2 asks for 24 px; a panel PC is touched."""
    page = open_page()
    for path in fill(stand_in):
        page.goto(stand_in.url + path)
        page.wait_for_selector("h1", state="attached")
        page.wait_for_timeout(200)
        small = page.evaluate(
            """() => [...document.querySelectorAll("button, select, input, .nav-link, .tool")]
                .filter((e) => e.offsetParent && e.type !== "checkbox" && e.getBoundingClientRect().height < 32)
                .map((e) => e.outerHTML.slice(0, 80))"""
        )
        assert small == [], path


def test_chart_and_pictures_are_told_in_words(open_page: Open, stand_in: StandIn) -> None:
    page = open_page()
    page.wait_for_selector(".panel-latency .chart-dots", state="attached")
    told = page.eval_on_selector_all("svg[role=img]", "all => all.map((e) => e.getAttribute('aria-label'))")
    assert told[0].startswith("Reject rate by minute over the last hour: now 2.2")
    assert told[1].startswith("Latency of the last parts: half within")
    stand_in.live(4)
    page.wait_for_selector(".live-stage .finding", state="attached")
    assert str(page.get_attribute(".frame-image", "alt")).startswith("Live picture of part 4: any defect:")
