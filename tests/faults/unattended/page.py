"""The operator: looks at the dashboard with a real browser, from before a fault until after it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, sync_playwright
from playwright.sync_api import TimeoutError as TooLate

from tests.browser.conftest import PANEL, launch

PATIENCE_S = 15.0
_LOADED_S = 15.0

_SAYS = """([state, words]) => {
  const shown = document.getElementById("band").innerText + document.getElementById("main").innerText;
  return document.getElementById("band").dataset.state === state && shown.includes(words);
}"""
_IS_IN = "(state) => document.getElementById('band').dataset.state === state"
_FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


@dataclass(frozen=True)
class Glance:
    """What stood on the page.

    Attributes:
        state, reason, remedy: of the band.
        after_s: how long after the fault the page said what it must; None: it never did.
        back_s: how long after its end the page showed the line running again; None: it did not.
        screenshot: file of the page while the fault lasted.
        complaints: of the browser's console.
    """

    state: str
    reason: str
    remedy: str
    after_s: float | None
    back_s: float | None
    screenshot: str
    complaints: tuple[str, ...]


class Look:
    """One page, open from before a fault until after it.  Made by ``Operator.open``."""

    def __init__(self, page: Page, file: Path) -> None:
        self._page, self._file = page, file
        self._complaints: list[str] = []
        self._seen = ("", "", "")
        self._after_s: float | None = None
        page.on("console", self._said)
        page.on("pageerror", lambda error: self._complaints.append(str(error)))

    def wait_for(self, state: str, words: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until the page says what it must; take a picture in any case."""
        began = time.monotonic()
        try:
            self._page.wait_for_function(_SAYS, arg=[state, words], timeout=1000 * patience_s)
            self._after_s = round(time.monotonic() - began, 1)
        except TooLate:
            pass  # the glance says so
        texts = [self._page.locator(f"#{name}").inner_text() for name in ("band-word", "band-reason", "band-remedy")]
        self._seen = (texts[0], texts[1], texts[2])
        self._page.screenshot(path=str(self._file))

    def close(self, state: str) -> Glance:
        """Wait until the page shows ``state`` again; return what was seen."""
        began, back_s = time.monotonic(), None
        try:
            self._page.wait_for_function(_IS_IN, arg=state, timeout=1000 * PATIENCE_S)
            back_s = round(time.monotonic() - began, 1)
        except TooLate:
            pass  # the glance says so
        self._page.context.close()
        return Glance(*self._seen, self._after_s, back_s, self._file.name, tuple(self._complaints))

    def _said(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            self._complaints.append(f"{said.type}: {said.text}")


class Operator:
    """Debian's chromium; use it as a context manager.

    Args:
        url: of the dashboard.
        out: folder of the pictures.

    Attributes:
        paints_ms: from the start of each page to its first contentful paint, as the browser tells.
    """

    def __init__(self, url: str, out: Path) -> None:
        self.paints_ms: list[float] = []
        self._url, self._out = url, out
        self._driver: Playwright
        self._browser: Browser

    def __enter__(self) -> Operator:
        self._driver = sync_playwright().start()
        try:
            self._browser = launch(self._driver)
        except BaseException:
            self._driver.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._browser.close()
        self._driver.stop()

    def open(self, name: str) -> Look:
        """Open the overview, as somebody who was never here; ``name`` is of the picture to come."""
        width, height = PANEL
        context = self._browser.new_context(viewport={"width": width, "height": height}, locale="en")
        page = context.new_page()
        look = Look(page, self._out / f"{name}.png")
        page.goto(self._url, timeout=1000 * _LOADED_S)
        page.wait_for_function(_IS_IN, arg="RUNNING", timeout=1000 * _LOADED_S)
        self.paints_ms.append(round(page.evaluate(_FIRST_PAINT), 1))
        return look
