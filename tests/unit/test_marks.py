import time

import numpy as np
import pytest

from edge.simulate.marks import MAGIC, MarksScene, read_mark


def test_a_mark_is_read_back() -> None:
    scene = MarksScene((64, 48), 7, 0.3)
    for index in range(200):
        shot = scene.shot(index)
        mark = read_mark(shot.image)
        assert mark is not None
        assert mark.defective is shot.defective
        assert bool(shot.classes) is shot.defective
        assert shot.image.shape == (48, 64)
        assert shot.image.dtype == np.uint8


def test_plates_follow_from_the_seed_alone_and_have_numbers_of_their_own() -> None:
    first, again, other = (MarksScene((64, 48), seed, 0.3) for seed in (7, 7, 8))
    marks = [read_mark(first.shot(index).image) for index in range(500)]
    assert [read_mark(again.shot(index).image) for index in range(500)] == marks
    assert [read_mark(other.shot(index).image) for index in range(500)] != marks
    assert len({mark.number for mark in marks if mark}) == 500
    assert 100 < sum(mark.defective for mark in marks if mark) < 200


def test_a_bare_belt_and_a_damaged_frame_carry_no_mark() -> None:
    assert read_mark(np.zeros((48, 64), np.uint8)) is None
    image = MarksScene((64, 48), 7, 0.3).shot(0).image
    image[0, 1] = 7
    assert read_mark(image) is None
    assert image[0, 0] == MAGIC


@pytest.mark.parametrize(("size", "rate"), [((9, 48), 0.3), ((64, 0), 0.3), ((64, 48), -0.1), ((64, 48), 1.1)])
def test_what_carries_no_mark_is_refused(size: tuple[int, int], rate: float) -> None:
    with pytest.raises(ValueError, match=r"mark takes|within 0\.\.1"):
        MarksScene(size, 7, rate)


def test_marking_is_cheap() -> None:
    scene = MarksScene((64, 48), 7, 0.3)
    scene.shot(0)
    best = min(_seconds(scene, 200) for _ in range(5))
    assert best / 200 < 0.0001


def _seconds(scene: MarksScene, plates: int) -> float:
    begin = time.perf_counter()
    for index in range(plates):
        scene.shot(index)
    return time.perf_counter() - begin
