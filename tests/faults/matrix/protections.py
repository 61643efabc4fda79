"""Protections, and how each is taken out: by putting another component in its place.  Production code has no switch.

``take_out`` runs in the process concerned, in front of its ``main``; see ``sabotaged.py``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge.core.outcome import Disposition, Outcome
from edge.core.register import Register
from edge.core.session import Decision, Permit

FAULTY_ENGINE = "faulty_engine"
"""No protection: of ``sabotaged.py``, an engine that fails when a file beside the configuration says so."""


@dataclass(frozen=True)
class Protection:
    """What keeps a fault from doing harm.

    Attributes:
        name: in the rows.
        text: what it is, in words.
        process: where it is.
        take_out: puts something without it in its place.
        row: the row whose own check must turn red without it.
        red: what that check then says, a regular expression.
    """

    name: str
    text: str
    process: str
    take_out: Callable[[], None]
    row: str
    red: str


def put(where: Any, name: str, instead: Any) -> None:
    """Put something in the place of a name of a module or class, which must be there: else nothing would change."""
    getattr(where, name)
    setattr(where, name, instead)


# -- gateway ------------------------------------------------------------------------------------------------------


def _register(kind: type[Register]) -> None:
    from edge.gateway import run

    put(run, "Register", kind)


class NoFence(Register):
    """A register whose session covers what is already on the belt."""

    def fence(self, count: int) -> int:
        """Return a fence behind every part."""
        return (count - 10 * self._g.gate) % (1 << 32)


class PassByDefault(Register):
    """A register that permits every part that the PLC counts, with a station or without."""

    def revoke(self) -> None:
        """Leave the lane to a station that is gone."""

    def _let_through(self, number: int, slot: Any, _: int) -> Decision | None:
        slot.permitted = True
        return Decision(number, Disposition.ACCEPTED, Permit(number, slot.count, self.session))

    def plc_part(self, number: int, count: int, count_now: int) -> Decision | None:
        """Count a part, and permit it."""
        self.bypass = True
        return super().plc_part(number, count, count_now)


class NeverTooLate(Register):
    """A register that takes a verdict at any time."""

    def verdict(self, session: int, number: int, count: int, outcome: Outcome, _: int) -> Decision:
        """Take it as if the part were still at the eye."""
        return super().verdict(session, number, count, outcome, count)

    def advance(self, _: int) -> list[Decision]:
        """Wait for ever."""
        return []


class Forgetful(Register):
    """A register that takes each verdict for the first."""

    def verdict(self, session: int, number: int, count: int, outcome: Outcome, count_now: int) -> Decision:
        """Take it anew."""
        self._ended.pop(number, None)
        if (slot := self._slots.get(number)) is not None:
            slot.permitted = False
        return super().verdict(session, number, count, outcome, count_now)


class AnnouncedFirst(Register):
    """A register that knows only parts that the station has announced."""

    def verdict(self, session: int, number: int, count: int, outcome: Outcome, count_now: int) -> Decision:
        """Refuse what is not announced."""
        slot = self._slots.get(number)
        if slot is not None and not slot.announced:
            return self._answer(number, Disposition.UNKNOWN)
        return super().verdict(session, number, count, outcome, count_now)


class BelievesTheStation(Register):
    """A register that permits parts which the PLC has not counted."""

    def _without_slot(self, _: int, number: int, count: int, __: Outcome) -> Decision:
        return self._answer(number, Disposition.ACCEPTED, Permit(number, count, self.session))


def stale_station() -> None:
    """A gateway that believes in its station for ever."""
    from edge.gateway.stations import Stations

    put(Stations, "is_stale", lambda *_: False)


# -- PLC ----------------------------------------------------------------------------------------------------------


def default_reject() -> None:
    """A PLC that opens the gate for every part, with a permit or without."""
    from edge.simulate import plant
    from edge.simulate.plant import Plant
    from edge.simulate.plc import PlcProgram
    from edge.simulate.plc_io import Inputs, Outputs

    class DefaultPass(PlcProgram):
        """Leaves the gate open."""

        def scan(self, now_ns: int, inputs: Inputs) -> Outputs:
            """Run the program, then open the gate whatever it said."""
            return super().scan(now_ns, inputs)._replace(gate_open=True)

    put(plant, "Plant", functools.partial(Plant, program_factory=DefaultPass))


PROTECTIONS: tuple[Protection, ...] = (
    Protection(
        "default_reject",
        "the gate rests in reject",
        "plant",
        default_reject,
        "gateway killed",
        "without a permit",
    ),
    Protection(
        "gateway_default",
        "a part without a timely PASS gets no permit",
        "gateway",
        functools.partial(_register, PassByDefault),
        "station killed",
        "without a permit|in mid-fault",
    ),
    Protection(
        "stale_station",
        "a station whose loop stands still loses its session",
        "gateway",
        stale_station,
        "station stopped",
        "edge_gateway_station_session 0.0.* was never shown",
    ),
    Protection(
        "fence",
        "a session covers no part that was on the belt when it began",
        "gateway",
        functools.partial(_register, NoFence),
        "gateway restarted",
        "without a permit",
    ),
    Protection(
        "commit_point",
        "a verdict after the commit point leads to nothing",
        "gateway",
        functools.partial(_register, NeverTooLate),
        "verdict late",
        "has cause .*unanswered",
    ),
    Protection(
        "answered_once",
        "a part is decided once",
        "gateway",
        functools.partial(_register, Forgetful),
        "verdict duplicated",
        "DUPLICATE.* did not rise",
    ),
    Protection(
        "verdict_alone",
        "a verdict stands without its announcement",
        "gateway",
        functools.partial(_register, AnnouncedFirst),
        "verdict reordered",
        "of the good parts that the fault must not harm passed",
    ),
    Protection(
        "plc_counts",
        "only what the PLC has counted can be permitted",
        "gateway",
        functools.partial(_register, BelievesTheStation),
        "verdict for an unknown part",
        "UNKNOWN.* did not rise",
    ),
)
