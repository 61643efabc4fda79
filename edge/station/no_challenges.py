"""A station without challenge parts."""

from __future__ import annotations

from collections.abc import Sequence

from edge.core.part import Part
from edge.core.rules import Rule
from edge.station.pairs import Pair
from edge.wire import messages as wire


class NoChallenges:
    """Stands where `edge.station.challenge.Challenges` would, and asks for nothing."""

    admits = True

    def instruction(self) -> str:
        """Return ""."""
        return ""

    def holds(self) -> dict[str, str]:
        """Return nothing."""
        return {}

    def alarms(self) -> dict[str, str]:
        """Return nothing."""
        return {}

    def is_piece(self, number: int) -> bool:  # noqa: ARG002
        """Return False."""
        return False

    def opened(self, number: int, now: int) -> None:
        """Do nothing."""

    def concluded(self, part: Part, rules: Sequence[Rule], now: int) -> None:
        """Do nothing."""

    def heard(self, message: wire.ToStation, now: int) -> None:
        """Do nothing."""

    def tick(self, now: int, session: int, open_parts: int, pair: Pair, faulty: bool) -> None:
        """Do nothing."""


NO_CHALLENGES = NoChallenges()
