"""The stand-in tells what the monitor tells, field by field: else the pages' tests prove nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.record.evidence.store import Store
from tests import support_evidence as evidence
from tests.browser import sample
from tests.browser.standin import StandIn
from tests.support_journal import Plant
from tests.support_monitor import Browser, Line

DAY = evidence.WALL.date().isoformat()


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A monitor that has heard a station and a gateway, with an alarm, and reads journals and pictures."""
    folder: Path = tmp_path_factory.mktemp("line")
    plant = Plant(folder)
    plant.write()
    (folder / "evidence").mkdir()
    store = Store(folder / "evidence", evidence.quota())
    evidence.put(store, evidence.record(5))
    store.close()
    folders = {"evidence": "evidence", "station_journal": "station", "gateway_journal": "gateway"}
    real = Line(folder, {name: str(folder / at) for name, at in folders.items()})
    real.monitor.start()
    real.connect()
    real.tell_gateway(alarms={"bin_full": "The reject bin is full."})
    yield real
    real.close()


@pytest.fixture
def beside(stand_in: StandIn) -> Browser:
    """Asks the stand-in, which shows an alarm and a picture."""
    stand_in.state = sample.warning()
    stand_in.pictures = [sample.picture(4, sample.NOW_MS, session=7) | {"part": 5}]
    return Browser(int(stand_in.url.rpartition(":")[2]))


def fields(told: Any, inside: str = "") -> set[str]:
    """Return the names of all fields, dotted; of a list, those of its first element."""
    if isinstance(told, list):
        return fields(told[0], f"{inside}[].") if told and isinstance(told[0], dict) else set()
    found = set()
    for name, value in told.items():
        found.add(f"{inside}{name}")
        if isinstance(value, dict | list) and name not in FREE:
            found |= fields(value, f"{inside}{name}.")
    return found


FREE = ("causes", "rules", "reason_values", "challenge", "due", "runs", "points")
"""What has words of the line for names, or is told by another contract."""


@pytest.mark.parametrize("path", ["/api/me", "/api/state", "/api/pictures", "/api/part/7/5", f"/api/shifts?day={DAY}"])
def test_the_stand_in_tells_what_the_monitor_tells(line: Line, beside: Browser, path: str) -> None:
    assert fields(beside.get(path).json) == fields(line.get(path))
