"""What the register keeps of a part: between eye and commit point, before its count was read, and after its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from edge.core.outcome import Disposition, Outcome
from edge.core.session import Session


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


class News(NamedTuple):
    """Something that the register has learnt of a part.  Every part that is told of once gets exactly one end.

    Attributes:
        fact: "counted" begins a part; "armed" gives it a permit; "ended" is its end without one; "executed" or "voided"
            is its end with one; "unread" begins and ends ``value`` parts at once, up to ``number``.
        number: of the part.
        session: the present one as it was told.
        detail: why; of "armed", "unheard" where the permit was under way as the session ended: it may have arrived.
        value: the count latched at the eye, of "counted"; the number of parts, of "unread"; else 0.
    """

    fact: str
    number: int
    session: Session
    detail: str = ""
    value: int = 0


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
