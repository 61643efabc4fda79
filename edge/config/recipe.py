"""The `[recipe]` of `station.toml`: what makes a part bad."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.config.line import NotNegative, Positive, Section

Corner = tuple[float, float]


class ZoneConfig(Section):
    """A piece of the frame: a rectangle (x1, y1, x2, y2) or a polygon of corners (x, y), from the upper left corner."""

    rectangle: tuple[float, float, float, float] | None = None
    polygon: Annotated[tuple[Corner, ...], Field(min_length=3)] | None = None
    unit: Literal["share", "px"] = "share"
    """``share``: of the frame's width and height, 0 to 1.  ``px``: pixels of the frame."""

    @model_validator(mode="after")
    def _one_shape(self) -> ZoneConfig:
        if (self.rectangle is None) == (self.polygon is None):
            raise ValueError("a zone is either a rectangle or a polygon")
        x1, y1, x2, y2 = self.rectangle or (0, 0, 1, 1)
        if not (x1 < x2 and y1 < y2):
            raise ValueError("a rectangle is x1, y1, x2, y2, with x1 < x2 and y1 < y2")
        return self

    def corners(self) -> tuple[Corner, ...]:
        """Return the corners in ``unit``, in order."""
        if self.polygon is not None:
            return self.polygon
        assert self.rectangle is not None
        x1, y1, x2, y2 = self.rectangle
        return (x1, y1), (x2, y1), (x2, y2), (x1, y2)


MOST_CORNERS = 64
"""Of the zones of one rule: they are cut to pieces when a recipe is changed, while the line runs."""


class RuleConfig(Section):
    """A condition that rejects.  AND within a rule, OR across rules.  Bounds are inclusive, pixels are the frame's.

    Area, longer side and length are those of a finding's box.  The length is its diagonal, the longest straight defect
    that it can hold: a scratch at an angle is longer than either side of its box.
    """

    name: Annotated[str, Field(min_length=1)]
    classes: tuple[str, ...] = ()
    min_score: Annotated[float, Field(gt=0, le=1)] = 0.5
    min_area_px: NotNegative = 0.0
    min_longer_side_px: NotNegative = 0.0
    min_length_px: NotNegative = 0.0
    min_area_mm2: NotNegative = 0.0
    min_longer_side_mm: NotNegative = 0.0
    min_length_mm: NotNegative = 0.0
    zones: tuple[ZoneConfig, ...] = ()
    """Where a finding counts; empty is the whole frame."""
    exclude: tuple[ZoneConfig, ...] = ()
    """Where none counts, cut out of ``zones``."""
    min_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Smallest share of a finding's box that lies where it counts; at 0 it need only touch."""

    @model_validator(mode="after")
    def _quickly_cut(self) -> RuleConfig:
        corners = sum(len(zone.corners()) for zone in (*self.zones, *self.exclude))
        if corners > MOST_CORNERS:
            raise ValueError(f"rule {self.name!r} has zones with {corners} corners, more than {MOST_CORNERS}")
        return self

    @model_validator(mode="after")
    def _share_of_something(self) -> RuleConfig:
        if self.min_share and not self.zones and not self.exclude:
            raise ValueError(f"rule {self.name!r} has min_share = {self.min_share:g}, and neither zones nor exclude")
        return self


_IN_MM = ("min_area_mm2", "min_longer_side_mm", "min_length_mm")


class RecipeConfig(Section):
    """What makes a part bad."""

    name: Annotated[str, Field(min_length=1)] = "default"
    mm_per_px: Positive | None = None
    """Width of a pixel on the part's surface, the same in both directions.  Rules in millimetres need it."""
    rules: tuple[RuleConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _scale_given(self) -> RecipeConfig:
        if self.mm_per_px is not None:
            return self
        for rule in self.rules:
            for key in _IN_MM:
                if value := getattr(rule, key):
                    raise ValueError(
                        f"rule {rule.name!r} has {key} = {value:g}, and recipe {self.name!r} gives no mm_per_px"
                    )
        return self

    def number(self) -> int:
        """Return the 16-bit number under which PLC and gateway echo this recipe (never 0)."""
        digest = hashlib.sha256(self.model_dump_json().encode()).digest()
        return int.from_bytes(digest[:2], "big") or 1
