"""Where on the frame a finding counts: zones less exclusions, cut once into trapezoids.  Pure geometry.

Coordinates are pixels of the frame, (x, y) from its upper left corner.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

Point = tuple[float, float]
Polygon = Sequence[Point]
Box = tuple[float, float, float, float]

TOUCH_PX = 1e-6
"""Boxes this near to a region touch it; regions thinner than this are what rounding left.  A box that rounding has
moved must not slip through between two zones."""


@dataclass(frozen=True)
class Trapezoid:
    """What lies between two horizontal lines: ``left`` and ``right`` are x at ``top`` and at ``bottom``."""

    top: float
    bottom: float
    left: Point
    right: Point

    def widths(self, box: Box) -> list[Point]:
        """Return (y, width) of what it shares with ``box``, where the width bends; linear between, negative: a gap.

        The box lies at some of its levels.
        """
        x1, y1, x2, y2 = box
        top, bottom = max(y1, self.top), min(y2, self.bottom)
        levels = {top, bottom}
        for at_top, at_bottom in (self.left, self.right):
            if at_top != at_bottom:
                slope = (self.bottom - self.top) / (at_bottom - at_top)
                bends = (self.top + (x - at_top) * slope for x in (x1, x2))
                levels.update(y for y in bends if top < y < bottom)
        return [(y, min(x2, self._x(self.right, y)) - max(x1, self._x(self.left, y))) for y in sorted(levels)]

    def _x(self, side: Point, y: float) -> float:
        return side[0] + (side[1] - side[0]) * ((y - self.top) / (self.bottom - self.top))


@dataclass(frozen=True)
class Region:
    """Trapezoids that nowhere overlap."""

    pieces: tuple[Trapezoid, ...]

    def touches(self, box: Box) -> bool:
        """True if ``box`` (x1, y1, x2, y2) has a point with the region in common, be it on a border."""
        x1, y1, x2, y2 = box
        grown = x1 - TOUCH_PX, y1 - TOUCH_PX, x2 + TOUCH_PX, y2 + TOUCH_PX
        return any(width >= 0 for piece in self._near(grown) for _, width in piece.widths(grown))

    def area_px(self, box: Box) -> float:
        """Return the area of the part of ``box`` that lies in the region, in square pixels."""
        return sum(
            (below - above) * (max(upper, 0.0) + max(lower, 0.0)) / 2
            for piece in self._near(box)
            for (above, upper), (below, lower) in pairwise(piece.widths(box))
        )

    def _near(self, box: Box) -> list[Trapezoid]:
        x1, y1, x2, y2 = box
        level = (piece for piece in self.pieces if piece.top <= y2 and piece.bottom >= y1)
        return [piece for piece in level if min(piece.left) <= x2 and max(piece.right) >= x1]


def region(zones: Sequence[Polygon], exclude: Sequence[Polygon]) -> Region:
    """Return what lies in any of ``zones`` and in none of ``exclude``.

    The levels of all corners and crossings cut the plane into strips within which no edges cross; between two of its
    edges, a strip is wholly inside or wholly outside of each polygon (slab decomposition, Dobkin and Lipton, 1976).

    Args:
        zones, exclude: polygons whose edges do not cross (``crosses_itself``), in either direction.
    """
    edges = [edge for owner, polygon in enumerate([*zones, *exclude]) for edge in _edges(polygon, owner)]
    ends = {y for edge in edges for y in (edge.top, edge.bottom)}
    levels = sorted(ends | {y for one, other in combinations(edges, 2) for y in _crossing(one, other)})
    strips = (piece for top, bottom in pairwise(levels) for piece in _strip(edges, top, bottom, len(zones)))
    return Region(tuple(piece for piece in strips if _is_visible(piece)))


def crosses_itself(polygon: Polygon) -> bool:
    """True if two edges of ``polygon`` cross, as where its corners are in the wrong order."""
    sides = list(zip(polygon, [*polygon[1:], polygon[0]], strict=True))
    return any(_cross(one, other) for one, other in combinations(sides, 2))


def area_px(polygon: Polygon) -> float:
    """Return the area of ``polygon`` in square pixels (the shoelace formula)."""
    corners = zip(polygon, [*polygon[1:], polygon[0]], strict=True)
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in corners)) / 2


@dataclass(frozen=True)
class _Edge:
    """A side of a polygon that is not level; ``start`` and ``end`` are x at ``top`` and ``bottom``."""

    top: float
    bottom: float
    start: float
    end: float
    owner: int

    def x(self, y: float) -> float:
        return self.start + (self.end - self.start) * ((y - self.top) / (self.bottom - self.top))


def _edges(polygon: Polygon, owner: int) -> Iterator[_Edge]:
    for one, other in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        (start, top), (end, bottom) = sorted((one, other), key=lambda corner: corner[1])
        if top != bottom:
            yield _Edge(top, bottom, start, end, owner)


def _crossing(one: _Edge, other: _Edge) -> Iterator[float]:
    """Yield the level at which two edges cross, if they do."""
    top, bottom = max(one.top, other.top), min(one.bottom, other.bottom)
    if top >= bottom:
        return
    above, below = one.x(top) - other.x(top), one.x(bottom) - other.x(bottom)
    if above * below < 0:
        yield top + (bottom - top) * (above / (above - below))


def _strip(edges: Sequence[_Edge], top: float, bottom: float, zones: int) -> Iterator[Trapezoid]:
    """Yield the pieces between two levels; polygons from number ``zones`` on are excluded."""
    middle = (top + bottom) / 2
    spanning = [edge for edge in edges if edge.top <= top and bottom <= edge.bottom]
    inside: set[int] = set()
    left: _Edge | None = None
    for edge in sorted(spanning, key=lambda edge: edge.x(middle)):
        inside ^= {edge.owner}
        counts = any(owner < zones for owner in inside) and all(owner < zones for owner in inside)
        if counts and left is None:
            left = edge
        elif left is not None and not counts:
            yield Trapezoid(top, bottom, (left.x(top), left.x(bottom)), (edge.x(top), edge.x(bottom)))
            left = None


def _is_visible(piece: Trapezoid) -> bool:
    widths = (right - left for left, right in zip(piece.left, piece.right, strict=True))
    return piece.bottom - piece.top > TOUCH_PX and max(widths) > TOUCH_PX


def _cross(one: tuple[Point, Point], other: tuple[Point, Point]) -> bool:
    """True if two sides cross in a point that is an end of neither."""
    (a, b), (c, d) = one, other
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _turn(a: Point, b: Point, c: Point) -> float:
    """Return the sign of the turn from a over b to c, as twice a triangle's area."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
