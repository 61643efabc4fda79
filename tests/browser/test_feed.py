"""What a page does without its monitor, or out of sight."""

from __future__ import annotations

import time

from tests.browser import sample
from tests.browser.conftest import Open, expected
from tests.browser.standin import StandIn, now_ms

SOON_MS = 1000


def test_mute_monitor_is_shown_within_two_seconds_and_forgotten_when_it_speaks(
    open_page: Open, stand_in: StandIn
) -> None:
    page = open_page()
    page.wait_for_selector(".band[data-state=RUNNING]")
    stand_in.mute = True
    begun = time.monotonic()
    page.wait_for_selector(".band[data-state=SILENT]", timeout=3000)
    assert time.monotonic() - begun <= 2.0
    assert page.inner_text("#band-word") == "NO DATA"
    assert "What is shown is from" in page.inner_text("#band-remedy")
    assert page.evaluate("getComputedStyle(document.querySelector('main')).filter") != "none"
    stand_in.mute = False
    page.wait_for_selector(".band[data-state=RUNNING]", timeout=SOON_MS)
    assert page.evaluate("document.body.className") == ""


def test_monitor_that_comes_back_is_found(open_page: Open, stand_in: StandIn) -> None:
    """A browser gives a stream up for ever once it is answered with an error; the page asks again by itself."""
    page = open_page()
    page.wait_for_selector(".band[data-state=RUNNING]")
    page.route("**/api/events", lambda route: route.fulfill(status=503, body=""))
    with page.expect_event("response", lambda answer: answer.status == 503, timeout=8000):
        stand_in.hang_up()
    page.unroute("**/api/events")
    page.wait_for_selector(".band[data-state=SILENT]")
    page.wait_for_selector(".band[data-state=RUNNING]", timeout=8000)
    expected(open_page, "503")


def test_monitor_that_answers_but_tells_nothing_says_so(open_page: Open, stand_in: StandIn) -> None:
    page = open_page()
    page.wait_for_selector(".band[data-state=RUNNING]")
    page.route("**/api/events", lambda route: route.fulfill(status=503, body=""))
    stand_in.hang_up()
    page.wait_for_selector("#band-reason:has-text('too many pages look on')")
    open_page.complaints.clear()  # the browser may have asked again by now, and tells of the 503


def test_page_out_of_sight_leaves_its_connection(open_page: Open, stand_in: StandIn) -> None:
    """A browser has six to a host: tabs out of sight must not hold them, nor ask for live pictures all night."""
    page = open_page()
    page.wait_for_selector(".band[data-state=RUNNING]")
    hide = "is => { Object.defineProperty(document, 'hidden', { get: () => is, configurable: true });"
    hide += " document.dispatchEvent(new Event('visibilitychange')); }"
    page.evaluate(hide, True)
    begun = time.monotonic()
    while stand_in.viewers:
        assert time.monotonic() - begun < 15
        page.wait_for_timeout(200)
    assert time.monotonic() - begun > 9
    page.evaluate(hide, False)
    page.wait_for_selector(".band[data-state=RUNNING]", timeout=SOON_MS)
    assert len(stand_in.viewers) == 1


def test_page_of_an_older_monitor_loads_itself_anew(open_page: Open, stand_in: StandIn) -> None:
    stand_in.user = "anna"
    stand_in.pictures = [sample.picture(4, now_ms())]
    page = open_page("/part/{session}/{part}".format_map(stand_in.pictures[0]))
    page.wait_for_selector(".band[data-state=RUNNING]")
    page.fill("#mark-note", "oil")
    page.evaluate("window.isOld = true")
    stand_in.show(sample.state(now_ms(), page="0.2.0"))
    page.wait_for_timeout(1200)
    assert page.evaluate("window.isOld")  # somebody is writing
    page.evaluate("document.activeElement.blur()")
    page.wait_for_function("() => !window.isOld")
    page.wait_for_selector("#mark-wrong")


def test_page_whose_texts_are_late_still_comes(open_page: Open) -> None:
    page = open_page()
    page.route("**/i18n/en.json", lambda route: route.abort(), times=1)
    page.reload()
    page.wait_for_selector(".band[data-state=SILENT]")
    page.wait_for_selector(".band[data-state=RUNNING]", timeout=5000)
    expected(open_page, "")
