"""Live pictures: made while somebody looks, understood by whoever does, and never at the cost of evidence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
import zmq

from edge.errors import WireError
from edge.record.evidence.live import LivePublisher
from edge.record.evidence.picture import LIVE_WIDTH_PX, encode, live
from edge.record.evidence.store import Store
from edge.wire.messages import LIVE, LiveFrame, decode_live
from edge.wire.messages import encode as encode_message
from tests.support_evidence import record, running, wait_until

JPEG = b"\xff\xd8\xff\xe0"
TOLD = encode_message(
    LiveFrame(
        station="s", lane=0, part=1, outcome="PASS", cause="clean", rule="", findings=[], wall="", width=3, height=2
    )
)


@contextmanager
def published(folder: Path) -> Iterator[tuple[LivePublisher, Any, str]]:
    endpoint = f"ipc://{folder}/live"
    with zmq.Context[Any]() as context:
        yield LivePublisher(context, endpoint, 0o600), context, endpoint


def test_a_picture_that_cannot_be_shown_is_kept_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LivePublisher, "publish", lambda *_: 1 / 0)
    with (
        published(tmp_path) as (publisher, context, endpoint),
        running(tmp_path / "e", publisher=publisher) as line,
        context.socket(zmq.SUB) as viewer,
    ):
        viewer.subscribe(b"")
        viewer.connect(endpoint)
        wait_until(lambda: line.writer.shows)
        line.shoot(20, shown=True)
        line.shoot(30)
        wait_until(line.idle)
        assert (line.writer.status().written, line.writer.status().dropped) == ({"reject": 2}, {})


def test_a_socket_of_viewers_that_fails_costs_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LivePublisher, "look", lambda _: 1 / 0)
    with published(tmp_path) as (publisher, _, _), running(tmp_path / "e", publisher=publisher) as line:
        for number in range(1, 9):
            line.shoot(number)
            wait_until(line.free)
        wait_until(line.idle)
        assert line.writer.status().written == {"reject": 8}


def test_a_publisher_may_be_closed_while_a_disk_holds_its_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, goes_on = threading.Event(), threading.Event()
    monkeypatch.setattr(Store, "put", lambda *_: (writing.set(), goes_on.wait(10))[1])
    with published(tmp_path) as (publisher, _, _), running(tmp_path / "e", publisher=publisher) as line:
        line.shoot(1)
        assert writing.wait(3)
        line.writer.close(0.05)
        assert publisher._socket.closed
        goes_on.set()
        wait_until(lambda: not line.writer._thread.is_alive())
        publisher.look()
        publisher.publish(msgspec.json.decode(TOLD, type=LiveFrame), JPEG)


def test_live_pictures_are_made_while_somebody_looks(tmp_path: Path) -> None:
    with published(tmp_path) as (publisher, context, endpoint), running(None, publisher=publisher) as line:
        assert not line.writer.shows, "nobody looks"
        with context.socket(zmq.SUB) as viewer:
            viewer.subscribe(b"live")
            viewer.connect(endpoint)
            wait_until(lambda: line.writer.shows)
            line.shoot(77, "", shown=True)
            assert viewer.poll(2000)
            told, jpeg = decode_live(viewer.recv_multipart())
        assert (told.part, told.outcome, told.rule, told.station) == (77, "REJECT", "any defect", "s")
        assert (told.width, told.height) == (32, 24)
        assert [f.cls for f in told.findings] == ["scratch", "pit"]
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert image.mean() == pytest.approx(77, abs=1)
        wait_until(lambda: not line.writer.shows)


def test_no_frame_is_taken_to_be_shown_while_one_waits_to_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, goes_on = threading.Event(), threading.Event()
    monkeypatch.setattr(Store, "put", lambda *_: (writing.set(), goes_on.wait(10))[1])
    with (
        published(tmp_path) as (publisher, context, endpoint),
        running(tmp_path / "e", publisher=publisher) as line,
        context.socket(zmq.SUB) as viewer,
    ):
        viewer.subscribe(b"live")
        viewer.connect(endpoint)
        wait_until(lambda: line.writer.shows)
        line.shoot(1)
        assert writing.wait(3)
        line.shoot(2)
        assert not line.writer.shows
        goes_on.set()
        wait_until(lambda: line.writer.shows)


def test_two_viewers_of_different_topics_are_told_apart(tmp_path: Path) -> None:
    with published(tmp_path) as (publisher, context, endpoint):
        with context.socket(zmq.SUB) as everything, context.socket(zmq.SUB) as other:
            other.subscribe(b"other")
            other.connect(endpoint)
            wait_until(lambda: (publisher.look(), publisher._topics)[1])
            assert not publisher.watched
            everything.subscribe(b"")
            everything.connect(endpoint)
            wait_until(lambda: (publisher.look(), publisher.watched)[1])
            other.unsubscribe(b"other")
            threading.Event().wait(0.1)
            publisher.look()
            assert publisher.watched
            everything.unsubscribe(b"")
            wait_until(lambda: (publisher.look(), not publisher.watched)[1])
        publisher.close()


def test_a_wide_frame_is_shown_at_the_width_of_a_panel() -> None:
    wide = live(np.zeros((100, 4 * LIVE_WIDTH_PX), np.uint8), "mono8")
    image = cv2.imdecode(np.frombuffer(wide, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image.shape == (25, LIVE_WIDTH_PX)


@pytest.mark.parametrize(("color", "expected"), [("bgr8", [250, 10, 10]), ("rgb8", [10, 10, 250])])
def test_colours_are_as_they_were(color: str, expected: list[int]) -> None:
    frame = np.zeros((16, 16, 3), np.uint8)
    frame[...] = (250, 10, 10)
    image = cv2.imdecode(np.frombuffer(encode(frame, color, "png", 90).data, np.uint8), cv2.IMREAD_COLOR)
    assert image[8, 8].tolist() == expected


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [LIVE],
        [b"part", TOLD, JPEG],
        [LIVE, TOLD, b"\x89PNG"],
        [LIVE, TOLD, JPEG, b""],
        [LIVE, b"{}", JPEG],
        [LIVE, encode_message(record(1)), JPEG],
    ],
)
def test_what_is_no_live_picture_is_refused(parts: list[bytes]) -> None:
    with pytest.raises(WireError):
        decode_live(parts)


def test_a_live_picture_survives_the_way() -> None:
    assert encode_message(decode_live([LIVE, TOLD, JPEG])[0]) == TOLD
