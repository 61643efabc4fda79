"""What gateway, station and PLC agree on: sessions, the fence, distances, and the permit that is given under them."""

from __future__ import annotations

from dataclasses import dataclass

from edge.core.outcome import Disposition


@dataclass(frozen=True)
class Geometry:
    """Distances in encoder counts.

    Attributes:
        gate: trigger to gate.
        commit: trigger to the gateway's commit point.
        pitch: one smallest pitch.
        match: how far two readings of the count of one part may differ.
        spacing: two parts closer than this cannot be told apart at the gate; the pitch less the eye's scatter.
        backlash: how far a standing belt may rock back.
    """

    gate: int
    commit: int
    pitch: int
    match: int
    spacing: int
    backlash: int


@dataclass(frozen=True)
class Session:
    """Under what permits are given.  ``station`` is 0 while no station holds the lane."""

    plc: int
    gateway: int
    station: int
    epoch: int
    fence: int


@dataclass(frozen=True)
class Permit:
    """The right of one part to pass the gate, honoured once."""

    number: int
    count: int
    session: Session


@dataclass(frozen=True)
class Decision:
    """What became of a message or of a part.

    Attributes:
        number: of the part.
        disposition: see ``Disposition``.
        permit: to be written to the PLC, for an accepted PASS alone.
        answers: True where this answers a verdict, so that the station is told.
    """

    number: int
    disposition: Disposition
    permit: Permit | None = None
    answers: bool = False
