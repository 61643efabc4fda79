import numpy as np
import pytest

from edge.simulate.options import MIN_FRAME
from edge.simulate.surface import CLASSES, Plate, Surface

WIDTH, HEIGHT = 320, 256


@pytest.fixture(scope="module")
def surface() -> Surface:
    return Surface(WIDTH, HEIGHT, seed=3)


def assert_equal(a: Plate, b: Plate) -> None:
    assert np.array_equal(a.image, b.image)
    assert a.defects == b.defects


def test_a_plate_depends_on_seed_and_number_only(surface: Surface) -> None:
    expected = surface.plate(41, True)
    surface.plate(7)
    assert_equal(surface.plate(41, True), expected)
    assert_equal(Surface(WIDTH, HEIGHT, seed=3).plate(41, True), expected)


def test_other_numbers_and_seeds_are_other_plates(surface: Surface) -> None:
    image = surface.plate(0, False).image
    assert not np.array_equal(image, surface.plate(1, False).image)
    assert not np.array_equal(image, Surface(WIDTH, HEIGHT, seed=4).plate(0, False).image)


def test_a_plate_is_mono8_of_the_frame_size(surface: Surface) -> None:
    image = surface.plate(0).image
    assert image.shape == (HEIGHT, WIDTH)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous


@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (MIN_FRAME, 200)])
def test_truth_boxes_lie_inside_the_frame_and_never_collapse(size: tuple[int, int]) -> None:
    frame = Surface(*size, seed=9)
    for number in range(40):
        defects = frame.plate(number, True).defects
        assert 1 <= len(defects) <= 3
        for defect in defects:
            x1, y1, x2, y2 = defect.box
            assert 0 <= x1 < x2 <= size[0]
            assert 0 <= y1 < y2 <= size[1]
            assert min(x2 - x1, y2 - y1) >= 8
            assert max(x2 - x1, y2 - y1) >= 25


@pytest.mark.parametrize("cls", CLASSES)
def test_a_defect_changes_the_picture_inside_its_box_only(surface: Surface, cls: str) -> None:
    good, bad = surface.plate(5, False).image.astype(int), surface.plate(5, True, [cls])
    inside = np.zeros(good.shape, bool)
    for defect in bad.defects:
        assert defect.cls == cls
        x1, y1, x2, y2 = (round(v) for v in defect.box)
        inside[y1:y2, x1:x2] = True
    # Noise is drawn after the defects, so a good and a bad plate differ by it: compare local means.
    change = np.abs(good - bad.image)
    assert change[inside].mean() > 1.5 * change[~inside].mean()


def test_good_plates_have_no_truth_and_the_rate_holds(surface: Surface) -> None:
    assert all(surface.plate(n, False).defects == () for n in range(5))
    rate = np.mean([bool(surface.plate(n).defects) for n in range(300)])
    assert 0.2 < rate < 0.4


@pytest.mark.parametrize(("rate", "expected"), [(0.0, False), (1.0, True)])
def test_the_rate_holds_at_its_ends(rate: float, expected: bool) -> None:
    frame = Surface(WIDTH, HEIGHT, defect_rate=rate)
    assert all(bool(frame.plate(n).defects) is expected for n in range(8))


def test_bad_arguments_are_refused(surface: Surface) -> None:
    with pytest.raises(ValueError, match="at least"):
        Surface(MIN_FRAME - 1, 512)
    with pytest.raises(ValueError, match="defect_rate"):
        Surface(defect_rate=1.01)
    with pytest.raises(ValueError, match="rust"):
        surface.plate(0, True, ["rust"])
    with pytest.raises(ValueError, match="at least one"):
        surface.plate(0, True, [])
