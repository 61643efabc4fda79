from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.model.deviation import (
    BOX_COLUMNS,
    LEAST_SCORE_RESPONSE,
    compare,
    heads_deviation,
    level_blocks,
)
from edge.model.package import Heads, Tolerance

LIMIT = Tolerance(score_abs=0.02, box_px=1.0, heads_rel=0.01)
FLOOR = 0.1


def table(*rows: tuple[float, float, float, float, float, float]) -> NDArray[np.float32]:
    """Candidates, filled up to five with background."""
    return np.array([*rows, *[(0, 0, 1, 1, 0.01, 0)] * (5 - len(rows))], np.float32)


A = (0.0, 0.0, 10.0, 10.0, 0.9, 0.0)
B = (20.0, 20.0, 40.0, 40.0, 0.9, 1.0)
C = (5.0, 5.0, 25.0, 25.0, 0.5, 2.0)


def moved(row: tuple[float, ...], **change: float) -> tuple[float, float, float, float, float, float]:
    fields = dict(zip(("x1", "y1", "x2", "y2", "score", "cls"), row, strict=True))
    for key, value in change.items():
        fields[key] += value
    x1, y1, x2, y2, score, cls = fields.values()
    return x1, y1, x2, y2, score, cls


def test_the_same_list_matches() -> None:
    result = compare(table(A, B, C), table(A, B, C), FLOOR, LIMIT)
    assert (result.matched, result.score_abs, result.box_px, result.problem) == (Counter({0: 1, 1: 1, 2: 1}), 0, 0, "")


def test_order_does_not_matter() -> None:
    assert compare(table(A, B, C), table(B, C, A), FLOOR, LIMIT).problem == ""


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (table(moved(A, x2=0.99, score=-0.019), B, C), ""),
        (table(moved(A, x2=1.01), B, C), "expected and missing: class 0"),
        (table(moved(A, score=-0.021), B, C), "a score is off by 0.0210"),
        (table(A, A, C), "expected and missing: class 1"),
        (table(A, B), "a score is off"),
        (table(A, B, C, (60, 60, 70, 70, 0.3, 0)), "a score is off"),
        (table(A, B, moved(C, score=float("nan"))), "not finite"),
        (table(A, B, C)[:4], "not finite, or"),
    ],
)
def test_tolerances_at_their_boundaries(found: NDArray[np.float32], problem: str) -> None:
    result = compare(table(A, B, C), found, FLOOR, LIMIT)
    assert result.problem.startswith(problem) or problem in result.problem
    assert bool(result.problem) == bool(problem)


def test_a_candidate_under_another_class_is_flipped() -> None:
    result = compare(table(A, B, C), table(moved(A, cls=1), B, C), FLOOR, LIMIT)
    assert (result.matched, result.problem) == (Counter({1: 1, 2: 1}), "")
    assert result.flipped == Counter({0: 1})


def test_a_candidate_too_many_is_found_backwards() -> None:
    """Where expected holds a pair of twins, one of them replaced leaves each expected one a partner."""
    result = compare(table(A, A, C), table(A, moved(A, x1=30, x2=30), C), FLOOR, LIMIT)
    assert result.problem.startswith("found and not expected")


@pytest.mark.parametrize(("score", "must_match"), [(FLOOR + 0.019, False), (FLOOR + 0.021, True)])
def test_close_to_the_floor_a_partner_is_not_needed(score: float, must_match: bool) -> None:
    expected = table(A, (50, 50, 60, 60, score, 1))
    found = table(A, (80, 80, 90, 90, score, 2))
    assert bool(compare(expected, found, FLOOR, LIMIT).problem) == must_match


def test_at_the_end_of_a_full_list_a_partner_is_not_needed() -> None:
    rows = [(20.0 * i, 0.0, 20.0 * i + 9, 9.0, 0.9 - 0.1 * i, 0.0) for i in range(4)]
    expected = table(*rows, (100, 0, 109, 9, 0.505, 0))
    found = table(*rows, (200, 0, 209, 9, 0.5, 0))
    assert compare(expected, found, FLOOR, LIMIT).problem == ""


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.99))
def test_noise_within_the_tolerance_and_any_order_pass(seed: int, share: float) -> None:
    random = np.random.RandomState(seed)
    expected = np.concatenate(
        [random.uniform(0, 64, (20, 4)), random.uniform(0, 1, (20, 1)), random.randint(0, 3, (20, 1))], axis=1
    )
    found = expected.copy()
    found[:, :4] += random.uniform(-share, share, (20, 4)) * LIMIT.box_px
    found[:, 4] += random.uniform(-share, share, 20) * LIMIT.score_abs
    random.shuffle(found)
    assert compare(expected.astype(np.float32), found.astype(np.float32), FLOOR, LIMIT).problem == ""


# -- raw heads --------------------------------------------------------------------------------------------------------

FORM = Heads(columns=7, levels=(48, 12, 3))
ROWS = np.arange(FORM.rows)
FRAMES = 6


def raw(seed: int = 0) -> NDArray[np.float32]:
    """Heads (F, N, columns) with a grid of 0 to 600 in the box columns, answers of some px, and scores 0..1."""
    random = np.random.RandomState(seed)
    heads = random.uniform(0, 1, (FRAMES, FORM.rows, FORM.columns))
    heads[..., :BOX_COLUMNS] = 10.0 * ROWS[:, None] + 6.0 * heads[..., :BOX_COLUMNS]
    return heads.astype(np.float32)


def worst(found: NDArray[np.float32], expected: NDArray[np.float32] | None = None) -> tuple[float, int, int]:
    result = heads_deviation(raw() if expected is None else expected, found, ROWS, FORM)
    return result.relative, result.level, result.column


def test_the_same_heads_do_not_stray() -> None:
    assert worst(raw())[0] == 0.0


@pytest.mark.parametrize("column", range(FORM.columns))
@pytest.mark.parametrize("level", range(len(FORM.levels)))
def test_a_fault_of_one_level_and_column_is_found_there(level: int, column: int) -> None:
    found = raw()
    block = level_blocks(ROWS, FORM.levels)[level]
    found[:, block, column] = found[:, block, column].mean(axis=0)  # as if the picture did not matter
    relative, *place = worst(found)
    assert relative == pytest.approx(1.0, abs=1e-3)
    assert place == [level, column]


def test_a_grid_does_not_hide_a_deviation() -> None:
    """5 px of a box that answers by some px is much, whatever the width of the image."""
    found = raw()
    found[..., 0] += 5.0
    assert worst(found)[0] > 1.0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-4, 0.5))
def test_noise_is_measured_as_a_share_of_the_answer(seed: int, share: float) -> None:
    expected = raw(seed).astype(np.float64)
    answer = (expected - expected.mean(axis=0)).std(axis=(0, 1))
    noise = np.random.RandomState(seed).standard_normal(expected.shape) * share * answer
    relative = worst((expected + noise).astype(np.float32), expected.astype(np.float32))[0]
    assert 0.5 * share < relative < 3.0 * share


def test_a_silent_column_is_judged_by_the_least_answer() -> None:
    expected = raw()
    expected[..., 6] = 0.0
    found = expected.copy()
    found[..., 6] = 0.5 * LEAST_SCORE_RESPONSE
    relative, _, column = worst(found, expected)
    assert relative == pytest.approx(0.5)
    assert column == 6


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_value_that_is_no_number_is_infinitely_off(bad: float) -> None:
    found = raw()
    found[3, 60, 5] = bad
    assert worst(found) == (np.inf, 2, 5)


def test_kept_anchors_are_counted_to_their_levels() -> None:
    rows = np.array([0, 5, 47, 48, 60, 62])
    assert [rows[block].tolist() for block in level_blocks(rows, FORM.levels)] == [[0, 5, 47], [48], [60, 62]]
