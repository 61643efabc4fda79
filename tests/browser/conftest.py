"""A browser, the stand-in server, and pages that must not complain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, sync_playwright

from tests.browser.standin import StandIn
from tests.support_tools import lack

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PANEL = (1280, 800)
PHONE = (390, 844)

Theme = Literal["light", "dark"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder that needs the browser."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's chromium."""
    if not CHROMIUM.exists():
        lack(f"{CHROMIUM} is missing: apt-get install chromium")
    with sync_playwright() as started:
        browser = launch(started)
        yield browser
        browser.close()


def launch(started: Playwright) -> Browser:
    """Start the browser."""
    return started.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """The stand-in server, running."""
    with StandIn() as site:
        yield site


class Open:
    """Opens pages of the stand-in, or of a monitor at ``url``, and keeps what they complain about."""

    def __init__(self, chromium: Browser, stand_in: StandIn) -> None:
        self.complaints: list[str] = []
        self._chromium, self._stand_in = chromium, stand_in
        self._contexts: list[BrowserContext] = []

    def __call__(
        self, path: str = "/", size: tuple[int, int] = PANEL, theme: Theme = "light", locale: str = "en", url: str = ""
    ) -> Page:
        """Open a page as somebody who was never here, and wait for its heading."""
        width, height = size
        context = self._chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, locale=locale, reduced_motion="reduce"
        )
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto((url or self._stand_in.url) + path)
        page.wait_for_selector("h1", state="attached")
        return page

    def close(self) -> None:
        """Close all pages."""
        for context in self._contexts:
            context.close()

    def _said(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            self.complaints.append(f"{said.type}: {said.text}")


@pytest.fixture
def open_page(chromium: Browser, stand_in: StandIn) -> Iterator[Open]:
    """Open pages of the stand-in, none of which may complain."""
    opened = Open(chromium, stand_in)
    yield opened
    opened.close()
    assert not opened.complaints


def expected(open_page: Open, part: str) -> None:
    """Take back the complaints that contain ``part``: the browser itself tells of every refused request."""
    others = [said for said in open_page.complaints if part not in said]
    assert len(others) < len(open_page.complaints)
    open_page.complaints[:] = others
