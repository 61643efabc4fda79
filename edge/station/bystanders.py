"""Who looks on as the station works."""

from __future__ import annotations

from dataclasses import dataclass

from edge.station.interfaces import ChallengeParts, Pictures, Tape, Watcher
from edge.station.no_challenges import NO_CHALLENGES


@dataclass(frozen=True)
class Bystanders:
    """All are told of parts in the signal thread; each may be missing.

    Attributes:
        tape: records events, frames and parts.
        pictures: keeps frames as evidence.
        watch: watches health and drift.
        challenges: sees to challenge parts.
    """

    tape: Tape | None = None
    pictures: Pictures | None = None
    watch: Watcher | None = None
    challenges: ChallengeParts = NO_CHALLENGES


ALONE = Bystanders()
