"""What is found again and again at the edge of a bound stands as one alarm, not as many.  Pure."""

from __future__ import annotations

from collections.abc import Mapping


class Lasting:
    """Keeps what was found standing until it has not been found for a while.

    Args:
        looks: in a row without it, after which it ends.
    """

    def __init__(self, looks: int) -> None:
        self._looks = looks
        self._left: dict[str, int] = {}  # looks to go, by name
        self._texts: dict[str, str] = {}

    def take(self, found: Mapping[str, str]) -> dict[str, str]:
        """Take what was found, by name, in words; return what stands, each with its last words."""
        left = {name: looks - 1 for name, looks in self._left.items() if looks > 1}
        self._left = {**left, **dict.fromkeys(found, self._looks)}
        self._texts = {name: found.get(name) or self._texts[name] for name in self._left}
        return dict(self._texts)
