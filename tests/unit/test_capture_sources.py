import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.capture.base import PENDING_TRIGGERS
from edge.capture.factory import open_camera, open_trigger
from edge.capture.folder import FolderCamera
from edge.capture.plant import PlantCamera
from edge.capture.timer import TimerTrigger
from edge.capture.video import VideoCamera
from edge.clock import NS_PER_MS, NS_PER_S
from edge.config import CameraConfig, LineConfig, TriggerConfig
from edge.errors import CameraError, ConfigError, MissingExtra
from edge.station.progress import DEVICE_NS

WIDTH, HEIGHT = 32, 24


def save(file: Path, level: int, width: int = WIDTH) -> None:
    assert cv2.imwrite(str(file), np.full((HEIGHT, width, 3), level, np.uint8))


def make_video(file: Path, frames: int) -> str:
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 10, (WIDTH, HEIGHT))
    for number in range(frames):
        writer.write(np.full((HEIGHT, WIDTH, 3), 50 * number, np.uint8))
    writer.release()
    return str(file)


def slot() -> np.ndarray:
    return np.zeros((HEIGHT, WIDTH), np.uint8)


def test_a_folder_comes_in_order_of_names_with_its_faults_and_then_ends(tmp_path: Path) -> None:
    save(tmp_path / "c.png", 30)
    save(tmp_path / "a.PNG", 10)
    save(tmp_path / "b.bmp", 20, width=WIDTH + 1)
    (tmp_path / "d.jpg").write_bytes(b"\xff\xd8 no picture")
    (tmp_path / "e.png").mkdir()
    seen = []
    with FolderCamera(tmp_path, WIDTH, HEIGHT, "mono8") as camera:
        for t0_ns in range(100, 600, 100):
            camera.software_trigger(t0_ns)
            info = camera.grab(slot(), 0.01)
            seen.append(info and (info.counter, info.tag, info.intact, info.exposed_ns))
        assert camera.undecodable == 1
    assert seen == [
        (1, "a.PNG", True, 100),
        (2, "b.bmp", False, 200),
        (3, "c.png", True, 300),
        (4, "d.jpg", False, 400),
        None,
    ]


def test_a_looping_folder_goes_on_with_growing_counters(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 10)
    save(tmp_path / "b.png", 20)
    with FolderCamera(tmp_path, WIDTH, HEIGHT, "mono8", loop=True) as camera:
        infos = []
        for _ in range(5):
            camera.software_trigger(0)
            infos.append(camera.grab(slot(), 0.01))
    assert [(i.counter, i.tag) for i in infos if i] == [
        (1, "a.png"), (2, "b.png"), (3, "a.png"), (4, "b.png"), (5, "a.png"),
    ]  # fmt: skip


def test_a_file_that_vanishes_is_a_corrupt_frame(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 10)
    with FolderCamera(tmp_path, WIDTH, HEIGHT, "mono8") as camera:
        (tmp_path / "a.png").unlink()
        camera.software_trigger(0)
        info = camera.grab(slot(), 0.01)
    assert info is not None
    assert not info.intact


def test_colour_order_is_as_configured(tmp_path: Path) -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[..., 0] = 200  # blue, for OpenCV
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    for color, pixel in (("bgr8", [200, 0, 0]), ("rgb8", [0, 0, 200])):
        frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        with FolderCamera(tmp_path, WIDTH, HEIGHT, color) as camera:  # type: ignore[arg-type]
            camera.software_trigger(0)
            assert camera.grab(frame, 0.01) is not None
        assert frame[5, 5].tolist() == pixel


@pytest.mark.parametrize(("name", "text"), [("nowhere", "cannot be read"), ("empty", "holds no picture")])
def test_a_folder_without_pictures_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CameraError, match=rf"{name}.*{text}"):
        FolderCamera(tmp_path / name, WIDTH, HEIGHT, "mono8").open()


def test_too_many_triggers_leave_a_gap_in_the_counter(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 10)
    with FolderCamera(tmp_path, WIDTH, HEIGHT, "mono8", loop=True) as camera:
        for _ in range(PENDING_TRIGGERS + 2):
            camera.software_trigger(0)
        counters = [camera.grab(slot(), 0.01) for _ in range(PENDING_TRIGGERS)]
        assert camera.grab(slot(), 0.0) is None
        camera.software_trigger(0)
        counters.append(camera.grab(slot(), 0.01))
    assert [i.counter for i in counters if i] == [*range(1, PENDING_TRIGGERS + 1), PENDING_TRIGGERS + 3]


@pytest.mark.parametrize("loop", [False, True])
def test_a_video_ends_or_begins_again(tmp_path: Path, loop: bool) -> None:
    source = make_video(tmp_path / "v.avi", 2)
    frame, levels = slot(), []
    with VideoCamera(source, WIDTH, HEIGHT, "mono8", loop) as camera:
        for number in range(1, 4):
            camera.software_trigger(number)
            info = camera.grab(frame, 0.01)
            levels.append(None if info is None else round(frame.mean() / 50))
            assert info is None or (info.counter, info.exposed_ns, info.tag) == (number, number, f"{source}#{number}")
    assert levels == [0, 1, 0 if loop else None]


def test_a_video_decodes_straight_into_the_slot(tmp_path: Path) -> None:
    source = make_video(tmp_path / "v.avi", 2)
    frame = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    with VideoCamera(source, WIDTH, HEIGHT, "bgr8") as camera:
        camera._bgr[...] = 99
        camera.software_trigger(0)
        assert camera.grab(frame, 0.01) is not None
        assert (camera._bgr == 99).all()  # not by way of the camera's own buffer
    assert frame.max() < 5


def test_a_video_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"nothing\.avi' does not exist"):
        VideoCamera(str(tmp_path / "nothing.avi"), WIDTH, HEIGHT, "mono8").open()
    (tmp_path / "bad.avi").write_bytes(b"no video")
    with pytest.raises(CameraError, match=r"cannot open .*bad\.avi"):
        VideoCamera(str(tmp_path / "bad.avi"), WIDTH, HEIGHT, "mono8").open()
    with pytest.raises(CameraError, match="delivers 32 x 24, and 40 x 24 is configured"):
        VideoCamera(make_video(tmp_path / "v.avi", 1), 40, HEIGHT, "mono8").open()


@pytest.mark.parametrize("stalls_at", ["grab", "read"])
def test_a_device_that_stalls_fails_with_the_first_wait(monkeypatch: pytest.MonkeyPatch, stalls_at: str) -> None:
    """Each wait is one of OpenCV's time-outs, in which the capture thread takes no step."""
    waits: list[str] = []

    class Stalled:
        """A device that is there, of which no frame comes."""

        def isOpened(self) -> bool:
            return True

        def get(self, what: int) -> float:
            return {cv2.CAP_PROP_FRAME_WIDTH: WIDTH, cv2.CAP_PROP_FRAME_HEIGHT: HEIGHT}[what]

        def set(self, what: int, value: float) -> None:
            pass

        def release(self) -> None:
            pass

        def grab(self) -> bool:
            waits.append("grab")
            return stalls_at != "grab"

        def read(self, into: np.ndarray) -> tuple[bool, np.ndarray]:
            waits.append("read")
            return False, into

    monkeypatch.setattr(cv2, "VideoCapture", lambda _: Stalled())
    monkeypatch.delenv("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", raising=False)
    with VideoCamera("0", WIDTH, HEIGHT, "mono8") as camera:
        assert int(os.environ["OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"]) * 2 * NS_PER_S < DEVICE_NS
        camera.software_trigger(0)
        with pytest.raises(CameraError, match="Video device 0 delivers no frame"):
            camera.grab(slot(), 0.01)
    assert waits == ["grab", "read"][: 1 + (stalls_at == "read")]


class Bench:
    """A clock that moves only when somebody sleeps, and a camera that notes its triggers."""

    def __init__(self, tmp_path: Path) -> None:
        self.now_ns = 1_000_000_000
        self.camera = FolderCamera(tmp_path, WIDTH, HEIGHT, "mono8")
        self.fired: list[int] = []
        self.camera.software_trigger = self.fired.append  # type: ignore[method-assign]

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)

    def timer(self, period_ms: float = 100.0) -> TimerTrigger:
        return TimerTrigger(period_ms, self.camera, 10.0, 1000.0, 1, lambda: self.now_ns, self.sleep)


def test_the_timer_fires_on_schedule_and_triggers_the_camera(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.timer() as timer:
        start_ns = bench.now_ns
        assert timer.wait(0.06) is None
        assert bench.now_ns == start_ns + 60 * NS_PER_MS
        first = timer.wait(0.06)
        assert first is not None
        assert (first.number, first.count, first.t0_ns, first.lane) == (1, 1000, start_ns + 100 * NS_PER_MS, 1)
        second = timer.wait(1.0)
        assert second is not None
        assert (second.number, second.count) == (2, 2000)
    assert bench.fired == [first.t0_ns, second.t0_ns]
    with pytest.raises(CameraError, match="is closed"):
        timer.wait(0.1)


def test_an_edge_due_exactly_at_the_timeout_fires(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.timer() as timer:
        assert timer.wait(0.1) is not None


@given(st.lists(st.integers(0, 450), max_size=20))
def test_the_timer_does_not_drift_and_drops_what_passed_unseen(delays_ms: list[int]) -> None:
    bench = Bench(Path("."))
    with bench.timer() as timer:
        start_ns, last = bench.now_ns, 0
        for delay_ms in delays_ms:
            bench.now_ns += delay_ms * NS_PER_MS
            trigger = timer.wait(1.0)
            assert trigger is not None
            assert trigger.number > last
            assert 0 <= trigger.t0_ns - (start_ns + trigger.number * 100 * NS_PER_MS) < 100 * NS_PER_MS
            assert trigger.count == (trigger.t0_ns - start_ns) // 100_000  # 10 counts per mm at 1000 mm/s
            last = trigger.number


def test_the_timer_keeps_its_period_in_real_time(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 10)
    with FolderCamera(tmp_path, WIDTH, HEIGHT, "mono8", loop=True) as camera:
        with TimerTrigger(5.0, camera, 10.0, 1000.0) as timer:
            triggers = [timer.wait(1.0) for _ in range(20)]
        fired = [t for t in triggers if t]
        assert len(fired) == 20
        periods = (fired[-1].t0_ns - fired[0].t0_ns) / (5 * NS_PER_MS)
        assert periods == pytest.approx(fired[-1].number - fired[0].number, abs=1)  # however loaded the machine is


def test_the_factory_makes_what_is_configured(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 10)
    folder = CameraConfig(kind="folder", source=str(tmp_path), width=WIDTH, height=HEIGHT)
    timer = TriggerConfig(kind="timer", period_ms=1.0)
    with open_camera(folder) as camera, open_trigger(timer, camera, LineConfig(), lane=3) as source:
        trigger = source.wait(1.0)
        assert trigger is not None
        assert trigger.lane == 3
        info = camera.grab(slot(), 1.0)
        assert info is not None
        assert info.exposed_ns == trigger.t0_ns
    video = CameraConfig(kind="video", source=make_video(tmp_path / "v.avi", 1), width=WIDTH, height=HEIGHT)
    with open_camera(video) as camera:
        assert isinstance(camera, VideoCamera)


def test_a_camera_that_nothing_would_trigger_is_refused(tmp_path: Path) -> None:
    folder = FolderCamera(tmp_path, WIDTH, HEIGHT, "mono8")
    with pytest.raises(ConfigError, match="'plant' cannot trigger a FolderCamera"):
        open_trigger(TriggerConfig(), folder, LineConfig())
    plant = PlantCamera(f"ipc://{tmp_path}/x", WIDTH, HEIGHT, "mono8")
    with pytest.raises(ConfigError, match="'timer' cannot trigger a PlantCamera"):
        open_trigger(TriggerConfig(kind="timer"), plant, LineConfig())


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_a_missing_opencv_names_the_extra(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"edge.capture.{kind}")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtra, match=r"'cv2' is not installed.*edge-inspect\[cpu\]"):
        open_camera(CameraConfig.model_validate({"kind": kind, "source": "x"}))
