"""Disturbances of a picture, and what they do to decisions."""

from __future__ import annotations

import numpy as np
import pytest

from edge.core.outcome import Outcome
from edge.quality.intervals import Proportion
from edge.quality.repeatability import VARIATIONS, Decision, Variation, compare


def test_a_picture_moves_and_its_edge_repeats() -> None:
    image = np.arange(1, 13, dtype=np.uint8).reshape(3, 4)
    assert Variation("", dx=1).apply(image).tolist() == [[1, 1, 2, 3], [5, 5, 6, 7], [9, 9, 10, 11]]
    assert Variation("", dx=-2).apply(image).tolist() == [[3, 4, 4, 4], [7, 8, 8, 8], [11, 12, 12, 12]]
    assert Variation("", dy=1).apply(image).tolist() == [[1, 2, 3, 4], [1, 2, 3, 4], [5, 6, 7, 8]]
    assert Variation("", dy=-1).apply(image).tolist() == [[5, 6, 7, 8], [9, 10, 11, 12], [9, 10, 11, 12]]
    assert image[0, 0] == 1


def test_light_is_clipped_and_rounded() -> None:
    image = np.array([[0, 101, 250]], np.uint8)
    assert Variation("", gain=1.1).apply(image).tolist() == [[0, 111, 255]]
    assert Variation("", gain=0.9).apply(image).tolist() == [[0, 91, 225]]
    assert Variation("", offset=-25.5).apply(image).tolist() == [[0, 76, 224]]
    assert Variation("", offset=25.5).apply(image).tolist() == [[26, 126, 255]]


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3)])
def test_every_variation_gives_a_frame_as_agreed_and_another_picture(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(40, 200, shape).astype(np.uint8)
    for variation in VARIATIONS:
        out = variation.apply(image)
        assert out.shape == shape
        assert out.dtype == np.uint8
        assert out.flags.c_contiguous
        assert (out != image).any()
    assert len({variation.apply(image).tobytes() for variation in VARIATIONS}) == len(VARIATIONS) == 20


def test_flips_and_spread_are_counted_by_group() -> None:
    steady, shaky = Decision(Outcome.REJECT, 0.9), Decision(Outcome.REJECT, 0.5)
    rows = [[steady] * len(VARIATIONS), [shaky] * len(VARIATIONS)]
    rows[1][0] = Decision(Outcome.PASS, 0.2)  # shift by 1 px
    rows[1][1] = Decision(Outcome.NO_DECISION, 0.6)
    result = compare([steady, shaky], rows)
    assert result.unstable == Proportion(1, 2)
    first = result.groups["shift by 1 px"]
    assert (first.flips, first.to_pass) == (Proportion(2, 8), 1)
    assert (first.mean, first.largest) == pytest.approx((0.05, 0.3))
    undecided = [steady] * (len(VARIATIONS) - 1) + [Decision(Outcome.NO_DECISION, 0.9)]
    assert compare([steady], [undecided]).unstable == Proportion(1, 1)
    others = [spread for name, spread in result.groups.items() if name != "shift by 1 px"]
    assert len(others) == 5
    assert all(spread.flips.count == 0 and spread.largest == 0.0 for spread in others)
