"""Zones: measured against convex clipping and inclusion-exclusion, which share nothing with the trapezoids."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.core.zones import TOUCH_PX, Box, Point, Region, area_px, crosses_itself, region
from tests.support_hypothesis import usual

Triangle = tuple[Point, Point, Point]

SQUARE = [(10.0, 10.0), (30.0, 10.0), (30.0, 30.0), (10.0, 30.0)]
CORNER_PIECE = [(0.0, 0.0), (20.0, 0.0), (20.0, 10.0), (10.0, 10.0), (10.0, 20.0), (0.0, 20.0)]  # an L, concave
BOW_TIE = [(0.0, 0.0), (10.0, 10.0), (10.0, 0.0), (0.0, 10.0)]


# -- the measure that the tests trust: half-planes and inclusion-exclusion ----------------------------------------


def side(a: Point, b: Point, p: Point) -> float:
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])


def clipped(polygon: Sequence[Point], convex: Sequence[Point]) -> list[Point]:
    """Return ``polygon`` within ``convex``, whose corners turn to the left (Sutherland and Hodgman, 1974)."""
    out = list(polygon)
    for a, b in zip(convex, [*convex[1:], convex[0]], strict=True):
        points, out = out, []
        for p, q in zip(points, [*points[1:], *points[:1]], strict=True):
            at_p, at_q = side(a, b, p), side(a, b, q)
            if at_p >= 0:
                out.append(p)
            if at_p * at_q < 0:
                t = at_p / (at_p - at_q)
                out.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
    return out


def common_area(convexes: Sequence[Sequence[Point]]) -> float:
    left: Sequence[Point] = convexes[0]
    for convex in convexes[1:]:
        left = clipped(left, convex)
    return area_px(left) if len(left) >= 3 else 0.0


def union_area(convexes: Sequence[Sequence[Point]], box: Sequence[Point]) -> float:
    return sum(
        (-1) ** (size + 1) * common_area([box, *chosen])
        for size in range(1, len(convexes) + 1)
        for chosen in combinations(convexes, size)
    )


def left_turning(triangle: Triangle) -> Triangle:
    a, b, c = triangle
    return triangle if side(a, b, c) > 0 else (a, c, b)


def corners(box: Box) -> list[Point]:
    x1, y1, x2, y2 = box
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


# -- what is drawn ------------------------------------------------------------------------------------------------

SIZE = 16
exact = st.integers(0, SIZE).map(float)
anywhere = st.floats(0, SIZE, allow_subnormal=False)
points = st.tuples(exact, exact) | st.tuples(anywhere, anywhere)
triangles = st.tuples(points, points, points).filter(lambda t: abs(side(*t)) > 0.1).map(left_turning)
spans = st.tuples(anywhere | exact, anywhere | exact).map(sorted)
boxes: st.SearchStrategy[Box] = st.tuples(spans, spans).map(lambda s: (s[0][0], s[1][0], s[0][1], s[1][1]))


@usual(100)
@given(st.lists(triangles, min_size=1, max_size=3), st.lists(triangles, max_size=2), boxes)
def test_the_area_is_that_of_the_zones_less_the_exclusions(
    zones: list[Triangle], exclude: list[Triangle], box: Box
) -> None:
    cut = region(zones, exclude)
    expected = union_area([*zones, *exclude], corners(box)) - (union_area(exclude, corners(box)) if exclude else 0.0)
    assert cut.area_px(box) == pytest.approx(expected, abs=1e-4)
    if expected > 1e-3:
        assert cut.touches(box)


@usual(100)
@given(st.lists(triangles, min_size=1, max_size=3), st.lists(triangles, max_size=2), boxes, boxes)
def test_a_larger_box_touches_and_covers_no_less(
    zones: list[Triangle], exclude: list[Triangle], box: Box, more: Box
) -> None:
    larger = min(box[0], more[0]), min(box[1], more[1]), max(box[2], more[2]), max(box[3], more[3])
    cut = region(zones, exclude)
    assert cut.touches(larger) or not cut.touches(box)
    assert cut.area_px(larger) >= cut.area_px(box) - 1e-6


@usual(100)
@given(triangles, st.integers(0, 2), st.booleans(), boxes)
def test_where_a_polygon_begins_and_which_way_it_turns_changes_nothing(
    triangle: Triangle, start: int, back: bool, box: Box
) -> None:
    other = [*triangle[start:], *triangle[:start]][:: -1 if back else 1]
    one, same = region([triangle], []), region([other], [])
    assert same.area_px(box) == pytest.approx(one.area_px(box), abs=1e-9)
    assert same.touches(box) is one.touches(box)


@usual(100)
@given(boxes)
def test_the_whole_frame_holds_every_box_in_it(box: Box) -> None:
    frame = region([corners((0.0, 0.0, SIZE, SIZE))], [])
    assert frame.touches(box)
    assert frame.area_px(box) == pytest.approx((box[2] - box[0]) * (box[3] - box[1]), rel=1e-12, abs=1e-12)


@usual(100)
@given(triangles, triangles, boxes)
def test_an_exclusion_only_takes_away(zone: Triangle, exclude: Triangle, box: Box) -> None:
    less = region([zone], [exclude])
    assert less.area_px(box) <= region([zone], []).area_px(box) + 1e-6
    assert region([zone], []).touches(box) or not less.touches(box)


# -- shapes and borders -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 20, 20), 300.0),
        ((10, 10, 20, 20), 0.0),
        ((5, 5, 15, 15), 75.0),
        ((0, 12, 4, 16), 16.0),
        ((12, 12, 18, 18), 0.0),
    ],
)
def test_a_concave_polygon_is_what_it_looks_like(box: Box, expected: float) -> None:
    cut = region([CORNER_PIECE], [])
    assert cut.area_px(box) == expected
    assert cut.touches(box) is (box != (12, 12, 18, 18))


def test_two_zones_side_by_side_leave_no_gap_and_count_nothing_twice() -> None:
    halves = region([corners((0, 0, 7.3, 10)), corners((7.3, 0, 20, 10)), corners((5, 2, 9, 8))], [])
    assert halves.area_px((0, 0, 20, 10)) == pytest.approx(200.0)
    assert halves.touches((7.3, 5.0, 7.3, 5.0))


@pytest.mark.parametrize("offset", [(-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)])
def test_a_box_touches_at_the_border_itself_and_not_beyond(offset: Point) -> None:
    square = region([SQUARE], [])

    def beside(gap: float) -> Box:
        x, y = ((20 + gap) * offset[0], (20 + gap) * offset[1])
        return 10 + x, 10 + y, 30 + x, 30 + y

    assert square.touches(beside(0.0))
    assert square.touches(beside(TOUCH_PX / 2))
    assert not square.touches(beside(3 * TOUCH_PX))
    assert square.area_px(beside(0.0)) == 0.0


@pytest.mark.parametrize("box", [(20.0, 20.0, 20.0, 20.0), (20.0, 15.0, 20.0, 25.0), (30.0, 30.0, 30.0, 30.0)])
def test_a_box_without_area_still_lies_somewhere(box: Box) -> None:
    square = region([SQUARE], [])
    assert square.touches(box)
    assert square.area_px(box) == 0.0
    assert not region([SQUARE], [corners((5, 5, 35, 35))]).touches(box)


def test_a_hole_is_cut_out_of_the_middle() -> None:
    ring = region([SQUARE], [corners((15, 15, 25, 25))])
    assert ring.area_px((0, 0, 40, 40)) == 300.0
    assert not ring.touches((16, 16, 24, 24))
    assert ring.touches((16, 16, 26, 24))


@pytest.mark.parametrize("exclude", [SQUARE, SQUARE[::-1], corners((0, 0, 40, 40))])
def test_nothing_is_left_of_a_zone_that_is_excluded(exclude: list[Point]) -> None:
    assert region([SQUARE], [exclude]) == Region(())


@pytest.mark.parametrize("shift", [1e-7, -1e-7])
def test_a_sliver_that_rounding_left_is_nothing(shift: float) -> None:
    moved = [(x + shift, y + shift) for x, y in SQUARE]
    assert region([SQUARE], [moved]) == Region(())


def test_edges_that_cross_are_found() -> None:
    assert crosses_itself(BOW_TIE)
    assert not crosses_itself(CORNER_PIECE)
    assert not crosses_itself(SQUARE)


@usual(100)
@given(triangles)
def test_no_triangle_crosses_itself(triangle: Triangle) -> None:
    assume(len(set(triangle)) == 3)
    assert not crosses_itself(triangle)
    assert area_px(triangle) == pytest.approx(abs(side(*triangle)) / 2)
