"""A camera's pictures: the simulator's plates behind two rails, darkened, brightened, blurred, frozen and shifted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from edge.config.health import DarkConfig, HealthConfig
from edge.core.picture_health import (
    CALM,
    PROFILE_PICTURES,
    RECENT,
    REFERENCE_PICTURES,
    PictureHealth,
    Reference,
    usable,
)
from edge.core.picture_measures import STARTS, Sampler, displacement, profiles, sharpness
from edge.simulate.surface import Surface

Gray = NDArray[np.uint8]
Change = Callable[[Gray], Gray]
WIDTH, HEIGHT = 640, 512
CONFIG = HealthConfig(folder="somewhere")


@cache
def plates() -> list[Gray]:
    surface = Surface(WIDTH, HEIGHT, seed=3)
    return [surface.plate(n).image for n in range(REFERENCE_PICTURES + 16)]


def railed(plate: Gray) -> Gray:
    """What a mounted camera sees: the plate between dark rails, which keep their place."""
    frame = plate.copy()
    frame[:, :60], frame[:, 600:], frame[:30] = 30, 22, 25
    return frame


def moved(across: int, down: int) -> Change:
    return lambda frame: np.roll(frame, (down, across), (0, 1))


def brighter(factor: float) -> Change:
    return lambda frame: np.clip(frame * factor, 0, 255).astype(np.uint8)


def blurred(sigma: float) -> Change:
    return lambda frame: np.asarray(cv2.GaussianBlur(frame, (0, 0), sigma), np.uint8)


def upside_down(frame: Gray) -> Gray:
    return np.ascontiguousarray(frame[::-1])


def unchanged(frame: Gray) -> Gray:
    return frame


class Watched:
    """A camera whose pictures are judged."""

    def __init__(self, reference: Reference | None = None, config: HealthConfig = CONFIG) -> None:
        self.sampler = Sampler((HEIGHT, WIDTH))
        self.sample = self.sampler.empty()
        self.health = PictureHealth(config, WIDTH, HEIGHT, self.sampler.step, reference)
        self.made: Reference | None = None
        self.at_ns = 0

    def see(self, frames: Iterable[Gray]) -> Watched:
        for frame in frames:
            self.at_ns += 500_000_000
            self.sampler.take(frame, self.at_ns, self.sample)
            self.made = self.health.add(self.sample) or self.made
        return self

    @property
    def standing(self) -> set[str]:
        return set(self.health.look.standing)


@cache
def reference() -> Reference:
    camera = Watched()
    camera.health.take_reference()
    camera.see(railed(plate) for plate in plates()[:REFERENCE_PICTURES])
    assert camera.made is not None
    return camera.made


def seen(change: Change, count: int = 48, config: HealthConfig = CONFIG) -> Watched:
    return Watched(reference(), config).see(change(railed(plate)) for plate in plates()[16 : 16 + count])


# -- against a reference --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "alarm"),
    [
        (unchanged, set()),
        (brighter(0.75), set()),
        (brighter(0.5), {"camera_dark"}),
        (brighter(1.3), set()),
        (brighter(1.8), {"camera_bright"}),
        (blurred(0.5), set()),
        (blurred(1.5), {"camera_blurred"}),
        (moved(6, 0), set()),
        (moved(0, -6), set()),
        (moved(16, 0), {"camera_shifted"}),
        (moved(-20, 0), {"camera_shifted"}),
        (moved(0, 18), {"camera_shifted"}),
        (moved(0, -18), {"camera_shifted"}),
        (moved(300, 250), {"camera_shifted"}),  # beyond what is searched: another view
        (upside_down, {"camera_shifted"}),  # across, all is where it was
    ],
)
def test_what_has_changed_is_named(change: Change, alarm: set[str]) -> None:
    assert seen(change).standing == alarm
    assert alarm <= CONFIG.reactions().keys()


@pytest.mark.parametrize(
    ("height", "width"), [(512, 640), (2048, 2448), (3000, 4096), (3648, 5472), (8192, 2048), (6144, 8192)]
)
def test_nothing_moves_in_front_of_a_camera_that_stands_still_whatever_its_size(height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    frame = np.full((height, width), 110, np.uint8)
    for begin, end, level in ((0.05, 0.09, 200), (0.45, 0.48, 60), (0.88, 0.93, 190)):
        frame[int(begin * height) : int(end * height)] = level
        frame[:, int(begin * width) : int(end * width)] = level
    sampler = Sampler((height, width))
    sample, health = sampler.empty(), PictureHealth(CONFIG, width, height, sampler.step)
    health.take_reference()
    shifts: list[float] = []
    for n in range(3 * REFERENCE_PICTURES):
        sampler.take(frame, n, sample)
        for part in (sample.grid, sample.tiles):  # a sensor's noise
            part[:] = part + rng.integers(-3, 4, part.shape)
        health.add(sample)
        shifts += [px for name, px in health.look.gauges.items() if name == "shift_px"]
        assert not health.look.standing
    assert shifts
    assert max(shifts) < sampler.step / 4


@pytest.mark.parametrize("px", [2, 5, 8, 11, 14])
def test_a_shift_is_measured_within_a_quarter_of_a_step(px: int) -> None:
    quarter = Sampler((HEIGHT, WIDTH)).step / 4
    for change in (moved(px, 0), moved(-px, 0), moved(0, px), moved(0, -px)):
        assert seen(change).health.look.gauges["shift_px"] == pytest.approx(px, abs=quarter)


def test_a_lens_out_of_focus_shows_beside_the_sensors_noise() -> None:
    rng = np.random.default_rng(5)

    def noisy(frame: Gray) -> Gray:
        soft = blurred(2.0)(frame).astype(np.float64)
        return np.clip(soft + rng.normal(0, 2, frame.shape), 0, 255).astype(np.uint8)

    assert seen(noisy).standing == {"camera_blurred"}


def test_it_ends_when_the_cause_has_gone() -> None:
    camera = seen(brighter(0.4), count=RECENT)
    assert camera.standing == {"camera_dark"}
    camera.see(railed(plate) for plate in plates()[: CALM + RECENT])
    assert camera.standing == set()
    camera = seen(moved(20, 0))
    camera.see(railed(plate) for plate in plates()[: PROFILE_PICTURES + PROFILE_PICTURES // 4 + CALM])
    assert camera.standing == set()


def test_at_the_edge_of_a_bound_one_alarm_stands() -> None:
    level = sum(plate.mean() for plate in plates()) / len(plates())
    config = HealthConfig(folder="somewhere", dark=DarkConfig(min_level=float(level)))  # half of all pictures lie below
    camera, states = Watched(config=config), []
    for plate in plates()[: RECENT + CALM + 30]:
        camera.see([plate])
        states.append(bool(camera.standing))
    changes = sum(one != other for one, other in pairwise(states))
    assert any(states)
    assert changes <= 2


def test_a_few_odd_pictures_say_nothing() -> None:
    camera = seen(unchanged, count=RECENT)
    for n in range(4):
        camera.see([brighter(0.2)(railed(plates()[n]))])
        assert camera.standing == set()
    camera.see([brighter(0.2)(railed(plates()[5]))])
    assert camera.standing == {"camera_dark"}


def test_nothing_is_said_before_enough_pictures() -> None:
    assert seen(brighter(0.4), count=RECENT - 1).standing == set()
    early = seen(moved(40, 0), count=PROFILE_PICTURES - 1)
    assert "shift_px" not in early.health.look.gauges


def test_odd_and_even_pictures_must_both_say_it() -> None:
    railed_plates = [railed(plate) for plate in plates()[16:64]]
    for change in (upside_down, moved(20, 0)):
        mixed = (change(frame) if n % 2 else frame for n, frame in enumerate(railed_plates))
        assert Watched(reference()).see(mixed).standing == set()


def test_a_black_picture_is_dark_and_nothing_else() -> None:
    assert seen(np.zeros_like).standing == {"camera_dark"}


def test_another_view_is_told_from_a_shift() -> None:
    assert "no longer resembles" in seen(upside_down).health.look.standing["camera_shifted"]
    assert "By 20 px" in seen(moved(20, 0)).health.look.standing["camera_shifted"]


def test_a_new_reference_ends_what_was_said_against_the_old_one() -> None:
    camera = seen(moved(20, 0), count=49)  # so that no shift is measured with the last picture
    assert camera.standing == {"camera_shifted"}
    camera.health.take_reference()
    camera.see(moved(20, 0)(railed(plate)) for plate in plates()[: REFERENCE_PICTURES - 1])
    assert camera.standing == {"camera_shifted"}
    camera.see([moved(20, 0)(railed(plates()[0]))])
    assert camera.standing == set()


# -- without a reference --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "noise", "alarm"),
    [(0, 0, {"camera_dark"}), (11, 1, {"camera_dark"}), (14, 1, set()), (238, 1, set()), (250, 1, {"camera_bright"})],
)
def test_the_levels_need_no_reference(level: int, noise: int, alarm: set[str]) -> None:
    rng = np.random.default_rng(6)
    frames = [(level + rng.integers(0, noise + 1, (HEIGHT, WIDTH))).astype(np.uint8) for _ in range(RECENT)]
    assert Watched().see(frames).standing == alarm


def test_white_patches_are_too_bright_whatever_the_mean() -> None:
    def glare(plate: Gray) -> Gray:
        frame = plate.copy()
        frame[:, : WIDTH * 6 // 10] = 255
        return frame

    assert Watched().see(glare(plate) for plate in plates()[:RECENT]).standing == {"camera_bright"}


def test_the_same_picture_again_and_again() -> None:
    camera = Watched().see(plates()[:3])
    for n in range(1, CONFIG.frozen.pictures):
        assert camera.standing == set(), n
        camera.see([plates()[2]])
    assert camera.standing == {"camera_frozen"}
    assert camera.health.look.gauges["frozen_s"] == pytest.approx(0.5 * (CONFIG.frozen.pictures - 1))
    camera.see([plates()[3]])
    assert camera.health.look.gauges["frozen_s"] == 0
    assert camera.standing == {"camera_frozen"}  # until it has been well for a while
    camera.see(plates()[4 : 4 + CALM - 1])
    assert camera.standing == set()


def test_a_part_that_stands_still_in_front_of_a_live_camera_is_not_frozen() -> None:
    rng = np.random.default_rng(7)
    frames = [np.clip(plates()[0] + rng.normal(0, 1, (HEIGHT, WIDTH)), 0, 255).astype(np.uint8) for _ in range(12)]
    assert Watched().see(frames).standing == set()


def test_clearing_forgets_what_was_seen() -> None:
    camera = seen(brighter(0.4), count=RECENT)
    camera.health.clear()
    assert camera.standing == set()
    camera.see(brighter(0.4)(railed(plate)) for plate in plates()[:RECENT])
    assert camera.standing == {"camera_dark"}


# -- the reference --------------------------------------------------------------------------------------------------


def test_where_nothing_keeps_its_place_no_shift_is_claimed() -> None:
    camera = Watched()
    camera.health.take_reference()
    camera.see(plates()[:REFERENCE_PICTURES])  # plates alone: each has a surface of its own
    assert camera.made is not None
    assert not camera.made.down
    assert not camera.made.across
    camera.see(moved(40, 40)(plate) for plate in plates()[:48])
    assert "shift_px" not in camera.health.look.gauges
    assert "camera_shifted" not in camera.standing


def test_a_reference_takes_its_pictures_and_then_holds() -> None:
    camera = Watched(reference())
    camera.health.take_reference()
    camera.see(brighter(1.3)(railed(plate)) for plate in plates()[: REFERENCE_PICTURES - 1])
    assert (camera.health.taking, camera.made) == (1, None)
    assert camera.health.reference is reference()
    camera.see([brighter(1.3)(railed(plates()[70]))])
    assert camera.health.taking == 0
    assert camera.made is camera.health.reference is not None
    assert camera.made.level == pytest.approx(1.3 * reference().level, rel=0.05)


def test_a_reference_of_other_frames_is_not_used() -> None:
    assert usable(reference(), WIDTH, HEIGHT)
    assert not usable(reference(), HEIGHT, WIDTH)
    assert not usable(Reference(WIDTH, HEIGHT, 100, 0.1, down=[0.0] * 7), WIDTH, HEIGHT)
    assert usable(Reference(WIDTH, HEIGHT, 100, 0.1), WIDTH, HEIGHT)


# -- samples --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(16, 700), st.integers(16, 700), st.booleans())
def test_a_sample_fits_frames_of_every_size(height: int, width: int, color: bool) -> None:
    shape = (height, width, 3) if color else (height, width)
    frame = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    sampler = Sampler(shape)
    sample = sampler.empty()
    for _ in range(2 * sampler.step + 1):  # wherever the grid begins
        sampler.take(frame, 1, sample)
        assert sample.grid.size
        assert np.isin(sample.grid, frame if not color else frame[:, :, 1]).all()
    assert max(sample.grid.shape) <= 128
    assert sample.grid.mean() == pytest.approx(frame.mean(), abs=40)
    health = PictureHealth(CONFIG, width, height, sampler.step)
    health.add(sample)
    assert np.isfinite(list(health.look.gauges.values())).all()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (HEIGHT, WIDTH), (2048, 2448), (128, 8192)])
def test_two_samples_in_a_row_lie_alike_and_the_grid_spreads_over_the_step(height: int, width: int) -> None:
    frame = (np.arange(height)[:, None] % 251 + np.zeros(width)).astype(np.uint8)
    sampler = Sampler((height, width))
    sample, firsts = sampler.empty(), []
    for _ in range(PROFILE_PICTURES + 1):
        sampler.take(frame, 0, sample)
        firsts.append(int(sample.grid[0, 0]))
    assert firsts[0] == firsts[-1]  # the next window begins at the same places
    assert firsts[0:-1:2] == firsts[1::2]
    places = np.array(firsts[0:-1:2])
    assert places.tolist() == sorted(places)
    assert places.mean() == pytest.approx((sampler.step - 1) / 2, abs=0.5)
    assert places.max() - places.min() >= (sampler.step - 1) * (1 - 1 / STARTS) - 1


def test_of_color_frames_green_is_looked_at() -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:, :, 1] = 77
    sampler = Sampler(frame.shape)
    sample = sampler.empty()
    sampler.take(frame, 0, sample)
    assert (sample.grid == 77).all()
    assert (sample.tiles == 77).all()


# -- the arithmetic -------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.uint8, (4, 16, 16)))
def test_sharpness_is_finite_and_none_for_an_even_tile(tiles: Gray) -> None:
    assert np.isfinite(sharpness(tiles))
    assert sharpness(tiles) >= 0
    assert sharpness(np.full_like(tiles, tiles[0, 0, 0])) == 0


def test_sharpness_does_not_follow_the_lamp() -> None:
    tile = plates()[0][None, :64, :64]
    assert sharpness((tile * 0.5).astype(np.uint8)) == pytest.approx(sharpness(tile), rel=0.1)


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 128), st.data())
def test_a_profile_is_found_where_it_was_moved_to(length: int, data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 99))
    by = data.draw(st.integers(-(length // 4), length // 4))
    wide = np.random.default_rng(seed).normal(0, 1, 2 * length)
    start = length // 2
    found, alike = displacement(wide[start - by : start - by + length], wide[start : start + length])
    assert found == pytest.approx(by, abs=0.51)
    assert alike > 0.6


def test_a_flat_profile_resembles_nothing() -> None:
    flat = np.zeros(60)
    assert displacement(flat, np.random.default_rng(0).normal(0, 1, 60))[1] == 0


def test_profiles_are_the_steps_down_and_across() -> None:
    grid = np.array([[0, 10], [20, 30]], np.uint8)
    down, across = profiles(grid)
    assert (down.tolist(), across.tolist()) == ([20.0], [10.0])
