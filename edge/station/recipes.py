"""Which recipe holds for which part: the one in force when it was triggered.  Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge.core.rules import Rule


@dataclass(frozen=True)
class Recipe:
    """A recipe as the station uses it, and since when, monotonic."""

    name: str
    rules: tuple[Rule, ...]
    since_ns: int


class Recipes:
    """The present recipe, and earlier ones for as long as parts of theirs can be open.

    Args:
        name, rules: of the first recipe.
        part_life_ns: the longest that a part is open.
    """

    def __init__(self, name: str, rules: tuple[Rule, ...], part_life_ns: int) -> None:
        self._life_ns = part_life_ns
        self._newest_first = deque([Recipe(name, rules, 0)])

    def change(self, name: str, rules: tuple[Rule, ...], now_ns: int) -> None:
        """Judge parts triggered from ``now_ns`` on by other rules."""
        while len(self._newest_first) > 1 and now_ns - self._newest_first[-2].since_ns > self._life_ns:
            self._newest_first.pop()
        self._newest_first.appendleft(Recipe(name, rules, now_ns))

    def at(self, t0_ns: int) -> Recipe:
        """Return the recipe of a part triggered at ``t0_ns``."""
        return next((r for r in self._newest_first if r.since_ns <= t0_ns), self._newest_first[-1])
