from __future__ import annotations

import tracemalloc
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.engine.stage import Stager
from edge.errors import EngineError, ModelError
from edge.model.package import CHANNELS, Color, Input

COLORS: tuple[Color, ...] = get_args(Color)


def frame_shape(height: int, width: int, color: Color) -> tuple[int, ...]:
    return (height, width) if color == "mono8" else (height, width, 3)


def stager(height: int, width: int, color: Color, target: Input) -> tuple[Stager, np.ndarray]:
    buffer = np.zeros(target.shape, np.uint8)
    return Stager(frame_shape(height, width, color), color, target, buffer), buffer


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)


def converted(image: np.ndarray, source: Color, target: Color) -> np.ndarray:
    """Convert through RGB, channel by channel; grey by the weights of ITU-R BT.601, to the nearest."""
    if source == "mono8":
        return np.stack([image] * 3, axis=2)
    rgb = image[..., ::-1] if source == "bgr8" else image
    if target == "mono8":
        return np.asarray(np.rint(rgb @ np.array([0.299, 0.587, 0.114])), np.uint8)
    return rgb[..., ::-1] if target == "bgr8" else rgb


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_a_frame_of_the_networks_size_is_the_input_itself(color: Color, resize: str) -> None:
    target = Input.model_validate({"width": 64, "height": 32, "color": color, "resize": resize})
    stage, buffer = stager(32, 64, color, target)
    frame = noise(frame_shape(32, 64, color))
    staged = stage.stage(frame)
    assert staged.shape == target.shape
    assert np.shares_memory(staged, frame)
    assert not np.shares_memory(staged, buffer)
    np.testing.assert_array_equal(staged.reshape(frame.shape), frame)


@pytest.mark.parametrize("frame_color", COLORS)
@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("size", [(64, 64), (100, 60)])
def test_any_colour_goes_into_the_engines_own_buffer(frame_color: Color, color: Color, size: tuple[int, int]) -> None:
    target = Input(width=64, height=64, color=color)
    stage, buffer = stager(*size, frame_color, target)
    frame = noise(frame_shape(*size, frame_color))
    staged = stage.stage(frame)
    if size == (64, 64) and frame_color == color:
        assert np.shares_memory(staged, frame)
        return
    assert staged is buffer
    small = cv2.resize(frame, (64, 64), interpolation=cv2.INTER_LINEAR)
    expected = small if frame_color == color else converted(small, frame_color, color)
    np.testing.assert_allclose(staged, expected.reshape(target.shape).astype(int), atol=1)  # OpenCV's fixed point


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("frame_color", COLORS)
def test_letterbox_keeps_aspect_and_border(frame_color: Color, color: Color) -> None:
    target = Input(width=64, height=64, color=color, resize="letterbox", border=7)
    stage, _ = stager(50, 100, frame_color, target)  # scaled by 0.64 to 32 x 64, 16 px above and below
    for level in (200, 90):
        staged = stage.stage(np.full(frame_shape(50, 100, frame_color), level, np.uint8))
        assert (staged[:16] == 7).all()
        assert (staged[48:] == 7).all()
        assert (staged[16:48] == level).all()


def test_letterbox_without_scaling_copies_into_place() -> None:
    target = Input(width=64, height=64, color="mono8", resize="letterbox", border=7)
    stage, buffer = stager(64, 40, "mono8", target)
    frame = noise((64, 40))
    staged = stage.stage(frame)
    assert staged is buffer
    np.testing.assert_array_equal(staged[:, 12:52, 0], frame)
    assert (staged[:, :12] == 7).all()


def test_boxes_return_to_where_they_were() -> None:
    stretch, _ = stager(500, 1000, "mono8", Input(width=100, height=100, color="mono8"))
    letter, _ = stager(500, 1000, "mono8", Input(width=100, height=100, color="mono8", resize="letterbox"))
    box = np.array([[10, 30, 20, 40]], np.float32)
    np.testing.assert_allclose(stretch.to_frame(box), [[100, 150, 200, 200]])
    np.testing.assert_allclose(letter.to_frame(box), [[100, 50, 200, 150]])
    np.testing.assert_array_equal(box, [[10, 30, 20, 40]])
    assert letter.to_frame(np.zeros((0, 4), np.float32)).shape == (0, 4)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.sampled_from(["stretch", "letterbox"]),
    st.lists(st.floats(-500, 1000, width=32), min_size=4, max_size=4),
)
def test_boxes_stay_on_the_frame(height: int, width: int, resize: str, box: list[float]) -> None:
    target = Input.model_validate({"width": 64, "height": 96, "color": "mono8", "resize": resize})
    stage, _ = stager(height, width, "mono8", target)
    x1, y1, x2, y2 = stage.to_frame(np.array([box], np.float32))[0]
    assert 0 <= min(x1, x2) <= max(x1, x2) <= width
    assert 0 <= min(y1, y2) <= max(y1, y2) <= height
    whole = stage.to_frame(np.array([[0, 0, 64, 96]], np.float32))[0]
    np.testing.assert_allclose(whole, [0, 0, width, height], rtol=1e-5)


@pytest.mark.parametrize("frame_color", COLORS)
@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_staging_allocates_no_image(frame_color: Color, resize: str) -> None:
    target = Input.model_validate({"width": 320, "height": 320, "color": "bgr8", "resize": resize})
    stage, _ = stager(480, 640, frame_color, target)
    frame = noise(frame_shape(480, 640, frame_color))
    stage.stage(frame)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        stage.stage(frame)
        assert tracemalloc.get_traced_memory()[1] - before < 64 * 1024
    finally:
        tracemalloc.stop()


def test_a_frame_that_was_not_agreed_is_refused() -> None:
    stage, _ = stager(480, 640, "mono8", Input(width=64, height=64, color="mono8"))
    for frame in (noise((640, 480)), noise((480, 640, 1)), noise((480, 1280))[:, ::2], noise((480, 640)).astype("i1")):
        with pytest.raises(EngineError, match="was agreed"):
            stage.stage(frame)


def test_memory_that_opencv_replaced_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, _ = stager(480, 640, "mono8", Input(width=64, height=64, color="mono8"))
    monkeypatch.setattr(cv2, "resize", lambda *_, **__: np.zeros((64, 64), np.uint8))
    with pytest.raises(EngineError, match="did not write"):
        stage.stage(noise((480, 640)))


def test_shapes_that_contradict_are_refused() -> None:
    target = Input(width=64, height=64, color="mono8")
    with pytest.raises(ModelError, match="are not mono8"):
        Stager((64, 64, 3), "mono8", target, np.zeros(target.shape, np.uint8))
    with pytest.raises(ModelError, match="are not bgr8"):
        Stager((64, 64), "bgr8", target, np.zeros(target.shape, np.uint8))
    with pytest.raises(ModelError, match="engine's input"):
        Stager((64, 64), "mono8", target, np.zeros((32, 64, 1), np.uint8))


def test_channels_of_every_colour_are_known() -> None:
    assert set(CHANNELS) == set(COLORS)
