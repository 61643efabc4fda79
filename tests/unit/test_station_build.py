"""What `assembled` wires together, and how it is left: everything is real but the devices and what decides."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import cv2
import numpy as np
import pytest

from edge import config as cfg
from edge.capture import thread
from edge.capture.base import Camera, TriggerSource
from edge.clock import now_ns
from edge.core.part import FrameInfo, Identity, Part, Trigger
from edge.core.pool import Frame
from edge.core.rules import Rule
from edge.errors import CameraError
from edge.record.journal.reader import Folder
from edge.station import build
from edge.station.build import Deciding, assembled
from edge.station.hang import DeviceHung
from edge.station.health import BLIND_PARTS
from edge.station.loop import Station
from edge.station.tape import Recorder
from edge.wire.control import request
from tests.support_station import PASS, PITCH, RECIPE, UNKNOWN_CLASS, rules

PATIENCE_S = 5.0
TIMEOUT_MS = 20.0


class Eye(TriggerSource):
    """An edge every ``PERIOD_S``, after which ``camera`` delivers a frame where it delivers."""

    PERIOD_S = 0.03

    def __init__(self, camera: Lens) -> None:
        self._camera, self._number = camera, 0
        self.closed = False

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def wait(self, timeout_s: float) -> Trigger | None:  # noqa: ARG002
        """Return the next edge."""
        time.sleep(self.PERIOD_S)
        self._number += 1
        self._camera.exposed.set()
        return Trigger(self._number, self._number * PITCH, now_ns())


class Lens(Camera):
    """A frame for each edge, or none.

    Attributes:
        calls: "open" and "close", in their order, after the first opening.
        fails: what ``grab`` raises, if anything.
        hangs: ``open`` waits for it, if anything.
    """

    def __init__(self, delivers: bool = True) -> None:
        super().__init__(16, 16, "mono8")
        self.exposed, self.calls, self._delivers, self._counter = threading.Event(), list[str](), delivers, 0
        self.fails: Exception | None = None
        self.hangs: threading.Event | None = None

    def open(self) -> None:
        """Note it."""
        self.calls.append("open")
        if self.hangs is not None:
            self.hangs.wait(PATIENCE_S)

    def close(self) -> None:
        """Note it."""
        self.calls.append("close")

    def _grab(self, into: Frame, timeout_s: float) -> FrameInfo | None:
        if self.fails is not None:
            raise self.fails
        if not self.exposed.wait(timeout_s) or not self._delivers:
            return None
        self.exposed.clear()
        into.fill(0)
        self._counter += 1
        return FrameInfo(self._counter, now_ns(), now_ns())


class Picture(Lens):
    """The same, triggered by software."""

    triggered_by: Literal["hardware", "software"] = "software"  # type: ignore[misc]


def deciding(rules: Callable[[cfg.RecipeConfig], tuple[Rule, ...]] = rules) -> Deciding:
    """Return what passes everything."""
    return cast(
        Deciding,
        SimpleNamespace(
            identity=Identity("test", "none", "none"),
            inspector=SimpleNamespace(inspect=lambda *_: PASS),
            rules=rules,
        ),
    )


@contextmanager
def station(folder: Path, camera: Lens, decides: Deciding | None = None, **sections: object) -> Iterator[Station]:
    """Run the real thing around ``camera``."""
    config = cfg.parse(
        {
            "recipe": RECIPE,
            "gateway": {"endpoint": None},
            "camera": {"width": 16, "height": 16},
            "limits": {"frame_timeout_ms": TIMEOUT_MS},
            "telemetry": {"endpoint": f"ipc://{folder}/telemetry"},
            "journal": {"folder": str(folder / "journal")},
            **sections,
        },
        cfg.StationConfig,
        "test",
    )

    @contextmanager
    def devices(_: cfg.StationConfig) -> Iterator[tuple[Camera, TriggerSource]]:
        with closing(camera), closing(Eye(camera)) as eye:
            yield camera, eye

    with assembled(config, decides or deciding(), devices) as made:
        yield made


def turn_until(made: Station, is_done: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
    """Let the station work until ``is_done``; return whether it came to that."""
    end = time.monotonic() + patience_s
    while not is_done():
        if time.monotonic() > end:
            return False
        made.turn()
    return True


def parts(made: Station) -> int:
    return sum(made._ledger.outcomes.values())


def test_what_the_station_does_is_in_its_journal_and_on_its_tape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taped: list[int] = []

    class Noting(Recorder):
        def concluded(self, part: Part) -> None:
            taped.append(part.number)
            super().concluded(part)

    monkeypatch.setattr(build, "Recorder", Noting)
    with station(tmp_path, Lens()) as made:
        assert turn_until(made, lambda: parts(made) >= 3)
    recorded = Folder(tmp_path / "journal")
    assert [part.number for part in recorded.parts()] == taped
    assert taped[:3] == [1, 2, 3]
    kinds = [event.kind for event in recorded.events()]
    assert (kinds[0], kinds[-1]) == ("started", "stopped")


def test_a_camera_on_a_wire_that_delivers_nothing_is_opened_anew(tmp_path: Path) -> None:
    camera = Lens(delivers=False)
    with station(tmp_path, camera) as made:
        assert turn_until(made, lambda: "open" in camera.calls)
        assert parts(made) >= BLIND_PARTS
    assert camera.calls == ["close", "open", "close"]


def test_rules_are_made_in_the_control_thread_and_libraries_are_there_in_front_of_the_first_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    makers: list[str] = []
    imported: list[None] = []
    answers: list[dict[str, Any]] = []

    def slow_rules(recipe: cfg.RecipeConfig) -> tuple[Rule, ...]:
        makers.append(threading.current_thread().name)
        return rules(recipe)

    def ask(name: str) -> None:
        path = tmp_path / name
        answers.append(request(tmp_path / "control", "recipe", path=str(path)))

    (tmp_path / "good.toml").write_text('[recipe]\nname = "night"\nrules = [{ name = "any" }]\n')
    bad = f'[recipe]\nname = "bad"\nrules = [{{ name = "any", classes = ["{UNKNOWN_CLASS}"] }}]\n'
    (tmp_path / "bad.toml").write_text(bad)
    monkeypatch.setattr(build, "import_libraries", lambda: imported.append(None))
    control = {"path": str(tmp_path / "control")}
    with station(tmp_path, Lens(), deciding(slow_rules), control=control) as made:
        assert imported == [None]
        makers.clear()
        for name in ("good.toml", "bad.toml"):
            asking = threading.Thread(target=ask, args=(name,))
            asking.start()
            assert turn_until(made, lambda asking=asking: not asking.is_alive())  # type: ignore[misc]
        assert made.changes.current.recipe.name == "night"
    assert [answer["ok"] for answer in answers] == [True, False]
    assert makers == ["control", "control"], "the signal thread made rules, which may take longer than a part may"


def test_pictures_that_have_come_to_their_end_do_not_begin_anew(tmp_path: Path) -> None:
    camera = Picture(delivers=False)
    with station(tmp_path, camera) as made:
        assert turn_until(made, lambda: parts(made) >= 2 * BLIND_PARTS)
        assert not turn_until(made, lambda: camera.calls != [], 3 * thread.WAIT_S)
    assert camera.calls == ["close"]


def test_a_driver_that_hangs_is_not_closed_and_all_else_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_all = thread.stop_all
    monkeypatch.setattr(build, "stop_all", lambda threads: stop_all(threads, 0.2))
    camera = Lens()
    camera.hangs = threading.Event()
    stack = ExitStack()
    made = stack.enter_context(station(tmp_path, camera))
    assert turn_until(made, lambda: parts(made) >= 1)
    camera.fails = OSError("gone")
    assert turn_until(made, lambda: "open" in camera.calls)
    triggers = made._ledger.triggers
    assert turn_until(made, lambda: made._ledger.triggers > triggers)
    assert len(made._ledger) > 0, "a part is open"
    with pytest.raises(DeviceHung, match="driver of the camera does not return") as hung:
        stack.close()
    assert camera.calls == ["close", "open"], "and not closed while its thread is inside"
    recorded = Folder(tmp_path / "journal")
    assert len(list(recorded.parts())) == made._ledger.triggers
    assert len(made._ledger) == 0
    assert list(recorded.events())[-1].kind == "stopped"
    camera.hangs.set()
    del hung  # which kept the camera open


def test_a_device_thread_that_fails_itself_ends_the_station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Died(BaseException):
        """What no thread survives."""

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    camera = Lens()
    with station(tmp_path, camera) as made:
        assert turn_until(made, lambda: parts(made) >= 1)
        camera.fails = cast(Any, Died())
        with pytest.raises(CameraError, match="thread at the camera has failed: Died"):
            turn_until(made, lambda: False)
    assert camera.calls == ["close"]


def test_what_decides_shares_no_threads_of_opencvs_with_pictures_for_people() -> None:
    """They would have the priority of the inspection, whoever makes them work."""
    cv2.setNumThreads(4)
    config = cfg.parse({"recipe": RECIPE, "gateway": {"endpoint": None}}, cfg.StationConfig, "test")
    with build.deciding(config.model_copy(update={"model": cfg.ModelConfig(engine="null")})):
        before = set(os.listdir("/proc/self/task"))
        frame = np.zeros((2048, 2448), np.uint8)
        for size in ((640, 512), (1280, 1071)):
            cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        assert set(os.listdir("/proc/self/task")) <= before
        assert cv2.getNumThreads() == 1
