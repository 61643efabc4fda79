import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from edge.capture.plant import PlantCamera, PlantTrigger
from edge.clock import now_ns
from edge.core.part import Trigger
from edge.errors import CameraError

WIDTH, HEIGHT = 20, 16
SIZE = WIDTH * HEIGHT
CAMERA_HELLO = {"kind": "hello", "counter": 0, "width": WIDTH, "height": HEIGHT, "color": "mono8"}
EYE_HELLO = {"kind": "hello", "number": 41, "count": 900, "epoch": 3}
FRAME = {**CAMERA_HELLO, "kind": "frame", "counter": 1, "exposed_ns": 5, "tag": "a"}
EDGE = {"kind": "trigger", "number": 42, "count": 1000, "t0_ns": 7, "epoch": 3}


class Publisher:
    """A PUB socket that repeats a hello until told otherwise."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.bind(endpoint)
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def send(self, *parts: bytes | dict[str, Any]) -> None:
        with self._lock:
            self._socket.send_multipart([p if isinstance(p, bytes) else json.dumps(p).encode() for p in parts])

    def repeat(self, *parts: bytes | dict[str, Any]) -> None:
        def run() -> None:
            while not self._done.wait(0.005):
                self.send(*parts)

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def quiet(self) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        self.quiet()
        self._socket.close(0)
        self._context.term()


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    publisher = Publisher(f"ipc://{tmp_path}/plant")
    yield publisher
    publisher.close()


@pytest.fixture
def camera(publisher: Publisher) -> Iterator[PlantCamera]:
    publisher.repeat(CAMERA_HELLO, b"")
    with PlantCamera(publisher.endpoint, WIDTH, HEIGHT, "mono8") as camera:
        publisher.quiet()
        yield camera


@pytest.fixture
def eye(publisher: Publisher) -> Iterator[PlantTrigger]:
    publisher.repeat(EYE_HELLO)
    with PlantTrigger(publisher.endpoint, lane=2) as eye:
        publisher.quiet()
        yield eye


def pixels(level: int) -> bytes:
    return bytes([level]) * SIZE


@pytest.mark.parametrize(
    "make", [lambda e: PlantCamera(e, WIDTH, HEIGHT, "mono8", 0.05), lambda e: PlantTrigger(e, 0, 0.05)]
)
def test_silence_at_open_is_an_error_with_a_remedy(make: Callable[[str], PlantCamera], tmp_path: Path) -> None:
    device = make(f"ipc://{tmp_path}/nobody")
    with pytest.raises(CameraError, match=r"said hello at ipc://.*/nobody within 0.05 s\. Remedy: start the plant"):
        device.open()
    with pytest.raises(CameraError, match="said hello"):  # and it was closed
        device.open()


def test_frames_alone_are_no_hello(publisher: Publisher) -> None:
    publisher.repeat(FRAME, pixels(1))
    with pytest.raises(CameraError, match="said hello"):
        PlantCamera(publisher.endpoint, WIDTH, HEIGHT, "mono8", 0.2).open()


def test_an_endpoint_that_cannot_be_used_is_named() -> None:
    endpoint = "ipc:///tmp/" + "x" * 200
    with pytest.raises(CameraError, match="x" * 200):
        PlantCamera(endpoint, WIDTH, HEIGHT, "mono8").open()


@pytest.mark.parametrize("difference", [{"width": 21}, {"height": 17}, {"color": "bgr8"}, {"width": 16, "height": 20}])
def test_a_camera_of_another_format_is_refused(publisher: Publisher, difference: dict[str, Any]) -> None:
    hello = {**CAMERA_HELLO, **difference}
    publisher.repeat(hello, b"")
    said = f"{hello['width']} x {hello['height']} {hello['color']}"
    with pytest.raises(CameraError, match=f"delivers {said}, and 20 x 16 mono8 is configured"):
        PlantCamera(publisher.endpoint, WIDTH, HEIGHT, "mono8").open()


def test_a_hello_of_another_format_in_mid_run_is_survived(publisher: Publisher, camera: PlantCamera) -> None:
    publisher.send({**CAMERA_HELLO, "width": 640}, b"")
    assert camera.grab(np.zeros((HEIGHT, WIDTH), np.uint8), 0.1) is None  # its frames tell, one by one


DAMAGED: list[tuple[bytes | dict[str, Any], ...]] = [
    (FRAME, bytes(SIZE - 1)),
    (FRAME, bytes(SIZE + 1)),
    (FRAME, bytes(100 * SIZE)),
    (FRAME, b""),
    (FRAME,),
    (FRAME, bytes(SIZE), b"more"),
    ({**FRAME, "width": HEIGHT, "height": WIDTH}, bytes(SIZE)),
    ({**FRAME, "color": "bgr8"}, bytes(SIZE)),
    ({**FRAME, "width": 0xFFFF_FFFF}, bytes(SIZE)),
]


@pytest.mark.parametrize("parts", DAMAGED)
def test_a_damaged_frame_neither_overflows_nor_desynchronises(
    publisher: Publisher, camera: PlantCamera, parts: tuple[bytes | dict[str, Any], ...]
) -> None:
    memory = np.full((3, HEIGHT, WIDTH), 9, np.uint8)
    publisher.send(*parts)
    publisher.send({**FRAME, "counter": 2, "tag": "b"}, pixels(77))
    damaged = camera.grab(memory[1], 2.0)
    assert damaged is not None
    assert (damaged.counter, damaged.intact) == (1, False)
    good = camera.grab(memory[1], 2.0)
    assert good is not None
    assert (good.counter, good.intact, good.tag, good.exposed_ns) == (2, True, "b", 5)
    assert (memory[1] == 77).all()
    assert (memory[[0, 2]] == 9).all()
    assert camera.malformed == 0


NOT_FRAMES: list[bytes | dict[str, Any]] = [
    b"",
    b"\xff\xfe",
    b"{",
    b"[]",
    {"kind": "other"},
    {},
    {**FRAME, "counter": -1},
    {**FRAME, "counter": 1 << 32},
    {**FRAME, "counter": 1 << 80},
    {**FRAME, "counter": 1.5},
    {**FRAME, "counter": True},
    {**FRAME, "counter": "1"},
    {**FRAME, "exposed_ns": 1 << 63},
    {**FRAME, "exposed_ns": None},
    {**FRAME, "color": "yuv"},
    {**FRAME, "tag": "x" * 257},
    {k: v for k, v in FRAME.items() if k != "tag"},
]


@pytest.mark.parametrize("header", NOT_FRAMES)
def test_a_malformed_header_is_counted_and_skipped_with_its_pixels(
    publisher: Publisher, camera: PlantCamera, header: bytes | dict[str, Any]
) -> None:
    publisher.send(header, pixels(1))
    publisher.send(FRAME, pixels(77))
    memory = np.zeros((HEIGHT, WIDTH), np.uint8)
    info = camera.grab(memory, 2.0)
    assert info is not None
    assert info.counter == 1
    assert (memory == 77).all()
    assert camera.malformed == 1


@pytest.mark.parametrize("edge", [0, 0xFFFF_FFFF])
def test_counters_reach_both_ends_of_32_bit(publisher: Publisher, camera: PlantCamera, edge: int) -> None:
    publisher.send({**FRAME, "counter": edge}, pixels(1))
    info = camera.grab(np.zeros((HEIGHT, WIDTH), np.uint8), 2.0)
    assert info is not None
    assert info.counter == edge


def test_hellos_and_nonsense_do_not_prolong_the_wait(publisher: Publisher) -> None:
    publisher.repeat(CAMERA_HELLO, b"")
    with PlantCamera(publisher.endpoint, WIDTH, HEIGHT, "mono8") as camera:
        heard_ns, start_ns = camera.heard_ns, now_ns()
        assert camera.grab(np.zeros((HEIGHT, WIDTH), np.uint8), 0.1) is None
        assert 90e6 < now_ns() - start_ns < 1e9
        assert camera.heard_ns > heard_ns  # it is alive, without frames


@pytest.mark.parametrize("count", [None, 0, (1 << 32) - 1])
def test_a_frame_may_carry_the_count_of_its_exposure(
    publisher: Publisher, camera: PlantCamera, count: int | None
) -> None:
    header = FRAME if count is None else {**FRAME, "count": count}
    publisher.send(header, pixels(9))
    info = camera.grab(np.zeros((HEIGHT, WIDTH), np.uint8), 2.0)
    assert info is not None
    assert info.count == count


def test_the_eye_tells_number_epoch_and_edge(publisher: Publisher, eye: PlantTrigger) -> None:
    assert (eye.last_number, eye.epoch) == (41, 3)
    publisher.send(EDGE)
    assert eye.wait(2.0) == Trigger(42, 1000, 7, lane=2)
    assert eye.last_number == 42
    assert eye.wait(0.01) is None


def test_a_new_epoch_shows_with_a_trigger_and_with_a_hello(publisher: Publisher, eye: PlantTrigger) -> None:
    publisher.send({**EDGE, "epoch": 4})
    assert eye.wait(2.0) is not None
    assert eye.epoch == 4
    publisher.send({**EYE_HELLO, "epoch": 5, "number": 43})
    assert eye.wait(0.2) is None
    assert (eye.epoch, eye.last_number) == (5, 43)


@pytest.mark.parametrize(
    "parts",
    [
        (b"",),
        (b"\x80",),
        ({"kind": "frame"},),
        ({**EDGE, "number": 1 << 32},),
        ({**EDGE, "count": -1},),
        ({**EDGE, "t0_ns": 1.0e9 + 0.5},),
        ({**EDGE, "epoch": None},),
        (EDGE, b"more"),
    ],
)
def test_the_eye_survives_nonsense(
    publisher: Publisher, eye: PlantTrigger, parts: tuple[bytes | dict[str, Any], ...]
) -> None:
    publisher.send(*parts)
    publisher.send({**EDGE, "number": 50})
    trigger = eye.wait(2.0)
    assert trigger is not None
    assert trigger.number == 50
    assert eye.malformed == 1


def test_a_closed_eye_says_so(publisher: Publisher) -> None:
    with pytest.raises(CameraError, match="is closed"):
        PlantTrigger(publisher.endpoint).wait(0.01)


def test_a_deeply_nested_message_is_skipped(publisher: Publisher, camera: PlantCamera) -> None:
    publisher.send(b'{"kind":"hello","x":' + b"[" * 4000 + b"]" * 4000 + b"}", b"")
    assert camera.grab(np.zeros((HEIGHT, WIDTH), np.uint8), 0.3) is None
    assert camera.malformed == 1
