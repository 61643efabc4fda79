"""What goes wrong on the line, what its dashboard must say then, and the alert that must fire.

The words are written down here as an operator would read them, and not taken from the product's own catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.unattended.rig import Rig

LASTS_S = 35.0
"""Longer than any alert below takes: a status (1 s), silence (2 s), scrape and evaluation (5 s each), `for` (10 s)."""

SHOWN_S = 5.0
"""For the dashboard to show a fault: a status a second, and what it takes to notice that a device is lost."""

_DISK_LASTS_S, _DISK_SHOWN_S = 100.0, 70.0
"""A journal that has room in its write-ahead log meets a full disk when that is next written back to its file."""

_OVER_S = 10.0
_BACK_S = 40.0


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: in reports, and of its screenshot.
        made: how, in words.
        inflict: a context in which it lasts; leaving it mends it.
        state: that the dashboard must show.
        words: that it must say.
        alert: that must fire, and resolve.
        also: alerts that may fire besides, as its consequence.
        lasts_s: how long it lasts.
        shown_s: within which the dashboard must show it.
    """

    name: str
    made: str
    inflict: Callable[[Rig], AbstractContextManager[None]]
    state: str
    words: str
    alert: str
    also: frozenset[str] = frozenset()
    lasts_s: float = LASTS_S
    shown_s: float = SHOWN_S


def _by_plant(name: str) -> Callable[[Rig], AbstractContextManager[None]]:
    """Return a fault that the plant makes, marks for its referee, and mends after ``LASTS_S``."""

    @contextmanager
    def inflict(rig: Rig) -> Iterator[None]:
        rig.console.fault(name, ms=1000 * LASTS_S)
        yield
        rig.wait_until(lambda: name not in rig.console.state()["open_faults"], _OVER_S, f"{name} never ended")

    return inflict


@contextmanager
def _disk_full(rig: Rig) -> Iterator[None]:
    """Fill the disk; it is nobody's business at the gate, so the referee is told nothing."""
    with rig.disk.filled():
        yield


@contextmanager
def _station_killed(rig: Rig) -> Iterator[None]:
    """Kill the station, and start it again at the end; the referee, which sees plates and no processes, is told."""
    rig.console.begin("station_killed")
    rig.kill("station")
    try:
        yield
    finally:
        before = rig.passed
        rig.start("station")
        rig.wait_until(lambda: rig.passed > before, _BACK_S, "No plate has passed since the station was started again")
        rig.console.end("station_killed")


FAULTS = (
    Fault(
        name="camera lost",
        made="neither frames nor signs of life from the camera",
        inflict=_by_plant("camera_gone"),
        state="FAULT",
        words="camera is gone",
        alert="EdgeCameraLost",
        also=frozenset({"EdgeStationFault", "EdgePartsWithoutFrame", "EdgeDeviceUnstable"}),
    ),
    Fault(
        name="PLC lost",
        made="the PLC's port is closed",
        inflict=_by_plant("plc_closed"),
        state="FAULT",
        words="PLC does not answer",
        alert="EdgePlcLost",
        also=frozenset(
            {"EdgePlcErrors", "EdgePlcRestarted", "EdgeSessionsLost", "EdgeSessionsRenewed"}
            | {"EdgePartsUnannounced"}  # those on the belt, for which the station had no session
        ),
    ),
    Fault(
        name="disk full",
        made="every block is taken of the file system on which journals and evidence lie",
        inflict=_disk_full,
        state="WARNING",
        words="journal cannot be written",
        alert="EdgeJournalFailing",
        also=frozenset(
            {"EdgeDiskLow", "EdgeEvidenceFailing", "EdgeEvidenceDropped", "EdgeJournalBehind"}
            | {"EdgeEvidenceDiskFillsUp", "EdgeStationWarning"}
        ),
        lasts_s=_DISK_LASTS_S,
        shown_s=_DISK_SHOWN_S,
    ),
    Fault(
        name="station killed",
        made="SIGKILL; started again afterwards",
        inflict=_station_killed,
        state="FAULT",
        words="inspection station is silent",
        alert="EdgeStationDown",
        also=frozenset({"EdgeStationRestarted", "EdgePartsUnannounced", "EdgeSessionsRenewed"}),
    ),
)
