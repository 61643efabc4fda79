"""Health in the station's loop: what stands, what keeps parts away, and what it may cost; and in the whole station."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import msgspec
import pytest
import zmq
from typer.testing import CliRunner

from edge import cli
from edge import config as cfg
from edge.core import picture_health
from edge.core.outcome import Outcome
from edge.core.part import Part, Verdict
from edge.core.picture_health import Reference
from edge.core.pool import FramePool, Lease
from edge.record.health import HealthFolder
from edge.simulate.surface import Surface
from edge.station import build
from edge.station.pairs import Pair
from edge.wire import messages as wire
from edge.wire.control import request
from tests.support_station import PASS, RECIPE, SLOTS, Rig

PATIENCE_S = 30.0
OFF = {"reaction": "off"}


class Watched:
    """A watcher in the test's hands."""

    def __init__(self, pool: FramePool) -> None:
        self._pool = pool
        self.levels: list[int] = []
        self.judged: list[tuple[int, str, str]] = []
        self.standing: dict[str, str] = {}
        self.held: dict[str, str] = {}

    def look(self, lease: Lease, now: int) -> None:  # noqa: ARG002
        """Read the frame, which must still be there."""
        self.levels.append(int(self._pool.frame(lease).max()))

    def concluded(self, part: Part, pair: Pair | None) -> None:
        """Keep who judged what."""
        assert part.verdict is not None
        self.judged.append((part.number, part.verdict.outcome.value, "" if pair is None else pair.recipe.name))

    def alarms(self, now: int) -> dict[str, str]:  # noqa: ARG002
        """Return what the test says."""
        return self.standing

    def holds(self, now: int) -> dict[str, str]:  # noqa: ARG002
        """Return what the test says."""
        return self.held


@pytest.fixture
def rig() -> Rig:
    return Rig(watch=lambda _, pool: Watched(pool)).grant()


def watched(rig: Rig) -> Watched:
    found = rig.station._watch
    assert isinstance(found, Watched)
    return found


def ready(rig: Rig) -> bool:
    """What the last heartbeat says: may parts be sent?"""
    rig.wait_ms(100)
    return [message.ready for message in rig.heard() if isinstance(message, wire.Heartbeat)][-1]


def test_an_alarm_warns_and_parts_go_on(rig: Rig) -> None:
    assert ready(rig)
    assert rig.reports.state[0] == "RUNNING"
    watched(rig).standing = {"score_drift": "The network's scores have left their baseline. 12 %"}
    assert ready(rig)
    assert rig.reports.state == ("WARNING", "The network's scores have left their baseline.")  # no number that changes
    assert rig.reports.alarms == watched(rig).standing
    watched(rig).standing = {}
    assert ready(rig)
    assert rig.reports.state[0] == "RUNNING"
    assert not rig.reports.alarms


def test_a_hold_is_a_fault_and_nobody_is_let_in_until_it_ends(rig: Rig) -> None:
    watched(rig).held = {"camera_dark": "The camera's pictures are too dark. No part is let in."}
    watched(rig).standing = {"camera_dark": "The camera's pictures are too dark. Grey level 3."}
    assert not ready(rig)
    assert rig.reports.state == ("FAULT", "The camera's pictures are too dark. No part is let in.")
    assert rig.reports.alarms == watched(rig).standing  # with the numbers
    watched(rig).held = watched(rig).standing = {}
    assert ready(rig)
    assert rig.reports.state[0] == "RUNNING"


def test_parts_that_are_on_the_belt_are_judged_during_a_hold(rig: Rig) -> None:
    watched(rig).held = {"camera_dark": "Dark."}
    rig.part(1)
    assert rig.reports.causes() == {1: "clean"}


def test_each_frame_is_shown_once_after_its_verdict_with_its_slot_intact(rig: Rig) -> None:
    for number in range(1, 4):
        rig.part(number, verdict=PASS if number < 3 else Verdict(Outcome.REJECT, "rule"))
        rig.wait_ms(100)
    assert len(watched(rig).levels) == 3
    assert watched(rig).judged == [(1, "PASS", "first"), (2, "PASS", "first"), (3, "REJECT", "first")]
    assert rig.pool.occupancy()["free"] == SLOTS


# -- the whole station, on frames of the simulator --------------------------------------------------------------------


def write_pictures(folder: Path, change: Callable[[Any], Any], count: int = 24) -> str:
    folder.mkdir()
    surface = Surface(320, 256, seed=3)
    for n in range(count):
        cv2.imwrite(str(folder / f"{n:03}.png"), change(surface.plate(n).image))
    return str(folder)


class Bench:
    """A station on a folder of pictures, with a timer for an eye, in threads of its own."""

    def __init__(self, folder: Path, pictures: str, **health: Any) -> None:
        self.control = folder / "control"
        telemetry = f"ipc://{folder}/telemetry"
        self.config = cfg.parse(
            {
                "recipe": RECIPE,
                "realtime_priority": 0,
                "gateway": {"endpoint": None},
                "camera": {"kind": "folder", "source": pictures, "width": 320, "height": 256, "loop": True},
                "trigger": {"kind": "timer", "period_ms": 50.0},
                "line": {"speed_min_mm_s": 1000.0, "speed_max_mm_s": 1000.0, "trigger_to_gate_mm": 20_000.0},
                # A busy machine that has a frame late is no fault of the camera.
                "limits": {"ceiling_ms": 5000.0, "frame_timeout_ms": 2000.0, "hang_ms": 20_000.0},
                "model": {"engine": "null", "null_ms": 1.0},
                "telemetry": {"endpoint": telemetry},
                "control": {"path": str(self.control)},
                "health": {"folder": str(folder / "health"), "pictures_per_s": 10.0, **health},
            },
            cfg.StationConfig,
            "test",
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"station")
        self._socket.connect(telemetry)
        self._thread.start()

    def _run(self) -> None:
        with build.station(self.config) as made:
            made.run(self._stop)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        self._socket.close(0)
        self._context.term()
        assert not self._thread.is_alive()

    def status(self, wanted: Callable[[wire.StationStatus], bool]) -> wire.StationStatus:
        """Return the first status that is as wanted."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if self._socket.poll(100):
                found = wire.decode_published(self._socket.recv_multipart()[1])
                assert isinstance(found, wire.StationStatus)
                if wanted(found):
                    return found
        raise AssertionError("no status was as wanted")


def test_a_dark_camera_holds_a_real_station(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", lambda image: image // 32)
    with closing(Bench(tmp_path, pictures, dark={"reaction": "hold"})) as bench:
        held = bench.status(lambda s: "camera_dark" in s.alarms)
        assert (held.state, held.reason) == ("FAULT", "The camera's pictures are too dark. No part is let in.")
        assert held.health["brightness"] < 12
        assert held.health["parts_per_min"] >= 0
        assert msgspec.json.decode(wire.encode(held))["health"] == held.health
        answer = request(bench.control, "status")
        assert answer["health"]["reference taken"] == "none"


def test_a_frozen_camera_and_a_reference_in_a_real_station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_health, "REFERENCE_PICTURES", 16)
    pictures = write_pictures(tmp_path / "pictures", lambda image: image)
    with closing(Bench(tmp_path, pictures, shifted=OFF)) as bench:  # plates alone: nothing keeps its place
        bench.status(lambda s: "sharpness" in s.health)
        said = CliRunner().invoke(cli.app, ["control", str(bench.control), "health", "reference"])
        assert "become the camera's reference" in said.output
        refused = CliRunner().invoke(cli.app, ["control", str(bench.control), "health", "dance"])
        assert refused.exit_code
        good = bench.status(lambda s: s.health["reference"] == 1.0)
        assert not good.alarms
        assert good.state == "WARNING"  # there is no gateway
    assert (tmp_path / "health" / "reference.json").exists()
    frozen = write_pictures(tmp_path / "frozen", lambda image: image, count=1)
    with closing(Bench(tmp_path, frozen)) as bench:
        told = bench.status(lambda s: "camera_frozen" in s.alarms)
        assert told.health["frozen_s"] > 0
        assert told.health["reference"] == 1.0


def test_a_blurred_camera_is_told_against_the_reference_of_before(tmp_path: Path) -> None:
    HealthFolder(tmp_path / "health").keep_reference(Reference(320, 256, 125.0, 0.12))
    pictures = write_pictures(tmp_path / "pictures", lambda image: cv2.GaussianBlur(image, (0, 0), 2))
    with closing(Bench(tmp_path, pictures, shifted=OFF)) as bench:
        told = bench.status(lambda s: "camera_blurred" in s.alarms)
        assert set(told.alarms) == {"camera_blurred"}
