"""A camera that goes dark while the line runs: nobody is let in until a person has seen to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.commands.processes import Line
from edge.simulate.surface import Surface
from edge.wire.control import request
from tests.support_line import RECIPE, Eye, assert_nothing_escaped, end, running_line, watch_states

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

PICTURES = 40


def show(folder: Path, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> None:
    """Have the camera see other pictures from now on."""
    surface = Surface(640, 512, seed=11)
    for n in range(PICTURES):
        fresh = folder / f"{n:03}.new.png"
        assert cv2.imwrite(str(fresh), change(surface.plate(n).image))
        fresh.replace(folder / f"{n:03}.png")


def wait_standing_still(eye: Eye) -> int:
    """Wait until no part comes any more; return the last one's number."""
    last = -1
    while (now := eye.last_part()) != last:
        last = now
        time.sleep(1.5)
    return last


def station(line: Line, command: str, **arguments: str) -> dict[str, object]:
    return request(line.folder / "station.control", command, **arguments)


def test_a_camera_that_goes_dark_holds_the_line_until_a_person_says_so(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    show(pictures, lambda image: image)
    health = f'[health]\nfolder = "{tmp_path}/health"\npictures_per_s = 10.0\n[health.dark]\nreaction = "hold"\n'
    with running_line(0, "--images", str(pictures), recipe=f"{RECIPE}\n{health}") as (line, eye):
        eye.wait_honoured(10, 30)
        show(pictures, lambda image: image // 32)
        states = watch_states(line, "FAULT", 20)
        assert states[-1].reason == "The camera's pictures are too dark. No part is let in."
        assert states[-1].health["brightness"] < 12
        held = wait_standing_still(eye)
        show(pictures, lambda image: image)
        time.sleep(1.0)
        assert eye.last_part() == held, "a part was let in during the hold"
        assert station(line, "status")["text"].startswith("FAULT")  # type: ignore[attr-defined]
        assert station(line, "health", action="clear")["ok"]
        eye.wait_honoured(eye.honoured() + 10, 30)
        seen = end(line, stop=True)
    assert_nothing_escaped(seen)
    dark = [o for n, o in seen.outcomes.items() if n <= held and o["outcome"] != "NO_DECISION"]
    assert dark, "what was on the belt is still judged"
