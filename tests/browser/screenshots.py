"""Makes the pictures of docs/: every view, of a line that inspects the simulated strip.

    python -m tests.browser.screenshots [FOLDER [NAME...]]

The pages are the real ones; the line is the stand-in of the browser tests, so that a picture changes only where a page
does.  Needs the extra dev, chromium, and for the intended type the Debian package fonts-inter.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from edge.core.alarms import ALARMS
from tests.browser import sample
from tests.browser.conftest import PHONE, Theme, launch
from tests.browser.sample import NOW_MS, Json
from tests.browser.standin import StandIn

FOLDER = Path(__file__).parents[2] / "docs" / "dashboard"
PANEL = (1280, 1024)
PICTURES = 2000
PERIOD_MS = 4000
SILENCE_MS = 3000  # of a monitor, longer than a page waits for it
COLOURS = 256  # of a picture: pages are flat


@dataclass(frozen=True)
class Scene:
    """A picture: its file's name, the page, and the line's state."""

    name: str
    path: str
    state: Callable[[int], Json] = sample.state
    theme: Theme = "light"
    language: str = "en"
    size: tuple[int, int] = PANEL
    user: str | None = None
    mute: bool = False  # the monitor falls silent in front of the viewer


def _challenge(now_ms: int) -> Json:
    running = sample.challenge_running(now_ms)
    told = {"reason": "Place the pieces.", "reason_key": "challenge", "since_ms": running["since_wall_ms"]}
    return sample.state(now_ms, state="WARNING", challenge=running, **told)


def _hold(now_ms: int) -> Json:
    """Return the state of a line on which a challenge's defective piece was passed."""
    alarm = ALARMS["challenge_failed"]
    text = f"{alarm.text} Piece A2 scale must be rejected, and inspection passed it."
    since_ms = now_ms - 130_000
    last = {"number": 16, "result": "escaped", "wall_ms": since_ms, "operator": "anna"}
    standing = sample.alarm(alarm.name, text, source="station", remedy=alarm.remedy, since_ms=since_ms)
    told = {"reason": text, "reason_key": f"alarm.{alarm.name}", "since_ms": since_ms, "alarms": [standing]}
    return sample.state(now_ms, state="FAULT", challenge=sample.challenge(now_ms, last=last, passed=False), **told)


_MARKED = sample.picture(PICTURES - 7, NOW_MS - 7 * PERIOD_MS)
_PART = f"/part/{sample.SESSION}/{_MARKED['part']}?near={_MARKED['wall_ms']}"
_DAY = "2026-11-19"

SCENES = (
    Scene("overview-running", "/"),
    Scene("overview-warning", "/", sample.warning, "dark"),
    Scene("overview-fault", "/", sample.fault),
    Scene("overview-hold", "/", _hold),
    Scene("overview-no-data", "/", mute=True),
    Scene("overview-stopped-de", "/", sample.stopped, "dark", "de"),
    Scene("overview-1280x800", "/", size=(1280, 800)),
    Scene("overview-phone", "/", sample.warning, size=PHONE),
    Scene("overview-phone-dark-de", "/", theme="dark", language="de", size=PHONE),
    Scene("gallery", "/gallery"),
    Scene("gallery-dark-de", "/gallery?outcome=REJECT", theme="dark", language="de"),
    Scene("gallery-phone", "/gallery", size=PHONE),
    Scene("part", _PART, user="anna"),
    Scene("part-dark-de", _PART, theme="dark", language="de"),
    Scene("part-phone", _PART, size=PHONE),
    Scene("shifts", "/shifts?day=2026-11-19"),
    Scene("shifts-phone-dark-de", "/shifts?day=2026-11-19", theme="dark", language="de", size=PHONE),
    Scene("alarms", "/alarms", sample.warning, user="anna"),
    Scene("alarms-phone-de", "/alarms", sample.warning, language="de", size=PHONE, user="anna"),
    Scene("challenge", "/challenge", _challenge, user="anna"),
    Scene("challenge-phone-dark-de", "/challenge", _challenge, "dark", "de", PHONE, "anna"),
    Scene("login", "/login"),
    Scene("login-phone-dark", "/login", theme="dark", size=PHONE),
)


def take(browser: Browser, site: StandIn, scene: Scene, folder: Path) -> Path:
    """Take one picture, and return its file."""
    site.state, site.language, site.user = scene.state(NOW_MS), scene.language, scene.user
    context = browser.new_context(
        viewport={"width": scene.size[0], "height": scene.size[1]}, color_scheme=scene.theme, locale=scene.language
    )  # fmt: skip
    page = context.new_page()
    page.clock.install(time=NOW_MS / 1000)
    page.goto(site.url + scene.path)
    page.wait_for_selector(f".band[data-state={site.state['state']}]")
    _settle(page, site, scene)
    if scene.mute:
        site.mute = True
        page.clock.run_for(SILENCE_MS)
        page.wait_for_selector(".band[data-state=SILENT]")
        site.mute = False
    path = folder / f"{scene.name}.png"
    path.write_bytes(_smaller(page.screenshot()))
    context.close()
    return path


def _settle(page: Page, site: StandIn, scene: Scene) -> None:
    if scene.path == "/":
        page.wait_for_selector("#rejects img", state="attached")
        site.live()
        page.clock.run_for(300)
        page.wait_for_selector(".live-stage .finding", state="attached")
    page.clock.run_for(300)
    page.wait_for_load_state("load")
    page.wait_for_function("() => [...document.images].every((i) => i.loading === 'lazy' || i.complete)")
    page.wait_for_timeout(300)


def _smaller(png: bytes) -> bytes:
    """Return a picture with fewer colours, which PNG packs far better."""
    few = (
        Image.open(io.BytesIO(png))
        .convert("RGB")
        .quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
    )
    packed = io.BytesIO()
    few.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def main() -> None:
    """Make all pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    wanted = sys.argv[2:]
    folder.mkdir(parents=True, exist_ok=True)
    with StandIn() as site, sync_playwright() as started:
        site.pictures = [sample.picture(n, NOW_MS - (PICTURES - n) * PERIOD_MS) for n in range(PICTURES, 0, -1)]
        site.history, site.runs = sample.alarm_history(NOW_MS), sample.challenge_runs(NOW_MS)
        marks = [{"verdict": "wrong", "who": "anna", "wall_ms": NOW_MS, "note": "an oil stain, no scratch"}]
        site.marks[(sample.SESSION, _MARKED["part"], _MARKED["wall_ms"])] = marks
        site.day = _DAY
        browser = launch(started)
        for scene in SCENES:
            if not wanted or scene.name in wanted:
                print(take(browser, site, scene, folder))
        browser.close()


if __name__ == "__main__":
    main()
