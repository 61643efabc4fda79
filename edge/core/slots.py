"""What the register keeps of a part: between eye and commit point, before its count was read, and after its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from edge.core.outcome import Disposition, Outcome


@dataclass
class Slot:
    """A part that the PLC has counted and that has not ended.

    ``permitted``: its permit is on the way to the PLC.  ``barred``: too close to a neighbour for the gate.
    """

    count: int
    announced: bool = False
    permitted: bool = False
    barred: bool = False


@dataclass
class Ended:
    """How a part ended, to tell late and doubled messages from unknown ones.  ``answered``: its verdict was."""

    disposition: Disposition
    count: int
    answered: bool


@dataclass(frozen=True)
class Waiting:
    """A verdict for a part that the PLC has not counted yet, as far as has been read."""

    session: int
    count: int
    outcome: Outcome


@dataclass
class Counts:
    """Cumulative.  ``plc_triggers = announced + unannounced + (pending, not announced)``, and ``plc_triggers =
    permitted + rejected + pending``."""

    plc_triggers: int = 0
    announced: int = 0
    unannounced: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    dispositions: Counter[str] = field(default_factory=lambda: Counter({d.value: 0 for d in Disposition}))
    crowded: int = 0
