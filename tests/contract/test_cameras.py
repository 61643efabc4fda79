"""One suite for every camera driver.  A rig provides what the camera looks at: pictures of one grey level each."""

import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import zmq

from edge.capture.base import Camera, frame_shape
from edge.capture.events import FrameArrived, FrameLost
from edge.capture.folder import FolderCamera
from edge.capture.loop import CaptureThread
from edge.capture.plant import PlantCamera
from edge.capture.video import VideoCamera
from edge.clock import now_ns
from edge.config import Color
from edge.core.pool import FramePool, Purpose
from edge.errors import CameraError

WIDTH, HEIGHT = 64, 48
LEVELS = (20, 60, 100, 140, 180)
MJPG_LOSS = 4


class Rig(ABC):
    """A camera and what makes it deliver.  ``LEVELS`` are its pictures, in order, from each ``open`` on."""

    camera: Camera

    def __init__(self, color: Color) -> None:
        self.color = color

    @abstractmethod
    def fire(self) -> None:
        """Make the camera expose its next picture."""

    @abstractmethod
    def fire_corrupt(self) -> None:
        """Make the camera deliver a damaged picture."""

    @abstractmethod
    def reopened(self) -> None:
        """Called between close and open."""

    def close(self) -> None:
        self.camera.close()


class PlantRig(Rig):
    def __init__(self, color: Color, tmp_path: Path) -> None:
        super().__init__(color)
        endpoint = f"ipc://{tmp_path}/camera"
        self.counter = 0
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.bind(endpoint)
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._hellos = threading.Thread(target=self._say_hello)
        self._hellos.start()
        self.camera = PlantCamera(endpoint, WIDTH, HEIGHT, color)

    def _say_hello(self) -> None:
        hello = {"kind": "hello", "counter": self.counter, "width": WIDTH, "height": HEIGHT, "color": self.color}
        while not self._done.wait(0.01):
            with self._lock:
                self._socket.send_multipart([json.dumps(hello).encode(), b""])

    def fire(self) -> None:
        picture = np.full(frame_shape(WIDTH, HEIGHT, self.color), LEVELS[self.counter % len(LEVELS)], np.uint8)
        self._send(picture.tobytes())

    def fire_corrupt(self) -> None:
        self._send(bytes(100))

    def _send(self, pixels: bytes) -> None:
        self.counter += 1
        header = {"kind": "frame", "counter": self.counter, "exposed_ns": now_ns(), "width": WIDTH, "height": HEIGHT}
        with self._lock:
            self._socket.send_multipart([json.dumps({**header, "color": self.color, "tag": "t"}).encode(), pixels])

    def reopened(self) -> None:
        self.counter = 0

    def close(self) -> None:
        super().close()
        self._done.set()
        self._hellos.join()
        self._socket.close(0)
        self._context.term()


class FolderRig(Rig):
    def __init__(self, color: Color, tmp_path: Path) -> None:
        super().__init__(color)
        self._folder = tmp_path
        for number, level in enumerate(LEVELS):
            cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((HEIGHT, WIDTH, 3), level, np.uint8))
        (tmp_path / "notes.txt").write_text("no picture")
        self.camera = FolderCamera(tmp_path, WIDTH, HEIGHT, color)

    def fire(self) -> None:
        self.camera.software_trigger(now_ns())

    def fire_corrupt(self) -> None:
        for file in self._folder.glob("*.png"):
            file.write_bytes(b"no picture")
        self.fire()

    def reopened(self) -> None:
        return


class VideoRig(Rig):
    def __init__(self, color: Color, tmp_path: Path) -> None:
        super().__init__(color)
        file = tmp_path / "video.avi"
        writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 10, (WIDTH, HEIGHT))
        assert writer.isOpened()
        for level in LEVELS:
            writer.write(np.full((HEIGHT, WIDTH, 3), level, np.uint8))
        writer.release()
        self.camera = VideoCamera(str(file), WIDTH, HEIGHT, color)

    def fire(self) -> None:
        self.camera.software_trigger(now_ns())

    def fire_corrupt(self) -> None:
        pytest.skip("a video's decoder hides damage, and its frames all have one size")

    def reopened(self) -> None:
        return


RIGS: list[tuple[type, Color]] = [
    (PlantRig, "mono8"),
    (PlantRig, "bgr8"),
    (FolderRig, "mono8"),
    (FolderRig, "bgr8"),
    (FolderRig, "rgb8"),
    (VideoRig, "mono8"),
    (VideoRig, "bgr8"),
    (VideoRig, "rgb8"),
]


@pytest.fixture(params=RIGS, ids=lambda p: f"{p[0].__name__}-{p[1]}")
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    make, color = request.param
    rig = make(color, tmp_path)
    yield rig
    rig.close()


def slot(rig: Rig) -> np.ndarray:
    return np.zeros(rig.camera.shape, np.uint8)


def is_picture(frame: np.ndarray, level: int) -> bool:
    return bool(np.abs(frame.astype(int) - level).max() <= MJPG_LOSS)


def test_the_shape_is_known_before_opening(rig: Rig) -> None:
    assert rig.camera.shape == ((HEIGHT, WIDTH) if rig.color == "mono8" else (HEIGHT, WIDTH, 3))
    assert rig.camera.color == rig.color


def test_the_pixels_land_in_the_memory_given_and_nowhere_else(rig: Rig) -> None:
    memory = np.zeros((3, *rig.camera.shape), np.uint8)
    with rig.camera as camera:
        rig.fire()
        before_ns = now_ns()
        info = camera.grab(memory[1], 2.0)
    assert info is not None
    assert info.intact
    assert is_picture(memory[1], LEVELS[0])
    assert not memory[0].any()
    assert not memory[2].any()
    assert info.exposed_ns is not None
    assert info.exposed_ns <= before_ns <= now_ns()
    assert info.t1_ns >= info.exposed_ns


def test_counters_grow_by_one_and_pictures_come_in_order(rig: Rig) -> None:
    frame = slot(rig)
    with rig.camera as camera:
        for counter, level in enumerate(LEVELS, 1):
            rig.fire()
            info = camera.grab(frame, 2.0)
            assert info is not None
            assert info.counter == counter
            assert is_picture(frame, level)


def test_nothing_in_time_is_none_and_takes_about_the_timeout(rig: Rig) -> None:
    with rig.camera as camera:
        start = time.monotonic()
        assert camera.grab(slot(rig), 0.05) is None
        assert 0.045 <= time.monotonic() - start < 1.5


def test_a_timeout_of_zero_does_not_wait(rig: Rig) -> None:
    with rig.camera as camera:
        start = time.monotonic()
        camera.grab(slot(rig), 0.0)
        assert time.monotonic() - start < 0.5


def test_it_opens_again_after_close(rig: Rig) -> None:
    for _ in range(2):
        with rig.camera as camera:
            rig.fire()
            frame = slot(rig)
            info = camera.grab(frame, 2.0)
            assert info is not None
            assert info.counter == 1
            assert is_picture(frame, LEVELS[0])
        rig.reopened()


def test_open_and_close_twice_do_no_harm(rig: Rig) -> None:
    rig.camera.open()
    rig.camera.open()
    rig.fire()
    assert rig.camera.grab(slot(rig), 2.0) is not None
    rig.camera.close()
    rig.camera.close()


def test_a_closed_camera_says_so(rig: Rig) -> None:
    with pytest.raises(CameraError, match="is closed"):
        rig.camera.grab(slot(rig), 0.01)


def test_memory_of_another_shape_is_refused(rig: Rig) -> None:
    with rig.camera as camera:
        with pytest.raises(ValueError, match="does not go into memory of shape"):
            camera.grab(np.zeros((HEIGHT + 1, WIDTH), np.uint8), 0.01)
        with pytest.raises(ValueError, match="does not go into"):
            camera.grab(np.zeros((2 * HEIGHT, *rig.camera.shape[1:]), np.uint8)[::2], 0.01)


def test_a_corrupt_frame_is_not_intact_and_the_next_one_is_awaited(rig: Rig) -> None:
    with rig.camera as camera:
        rig.fire_corrupt()
        info = camera.grab(slot(rig), 2.0)
        assert info is not None
        assert not info.intact
        assert info.counter == 1
        assert camera.grab(slot(rig), 0.01) is None


def test_only_a_software_triggered_camera_takes_a_software_trigger(rig: Rig) -> None:
    with rig.camera as camera:
        if camera.triggered_by == "software":
            camera.software_trigger(now_ns())
        else:
            with pytest.raises(CameraError, match="cannot be triggered by software"):
                camera.software_trigger(now_ns())


def test_the_capture_thread_runs_it_and_no_lease_is_left(rig: Rig) -> None:
    pool = FramePool(3, rig.camera.shape, {Purpose.CAPTURE: 2}, poison=True)
    events: list[object] = []
    arrived = threading.Semaphore(0)

    def post(event: object) -> None:
        events.append(event)
        arrived.release()

    with rig.camera as camera:
        thread = CaptureThread(camera, pool, post)
        thread.start()
        for _ in range(3):  # the third finds no slot
            rig.fire()
            assert arrived.acquire(timeout=2.0)
        assert thread.stop()
    first, second, third = events
    assert isinstance(first, FrameArrived)
    assert isinstance(second, FrameArrived)
    assert isinstance(third, FrameLost)
    assert third.cause == "pool_exhausted"
    assert is_picture(pool.frame(first.lease), LEVELS[0])
    assert is_picture(pool.frame(second.lease), LEVELS[1])
    assert pool.occupancy()["capture"] == 2
