"""What only looks on must not end the line: one that breaks is told, raises its alarm, and is called no more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ParamSpec, TypeVar

import msgspec

from edge.core.alarms import ALARMS
from edge.core.part import Part
from edge.core.pool import Lease
from edge.core.rules import Rule
from edge.errors import ControlError, EdgeError
from edge.station.challenge import Challenges
from edge.station.challenge_record import Starter
from edge.station.interfaces import Evidence
from edge.station.orders import Order
from edge.station.pairs import Pair
from edge.station.watch import Watch
from edge.wire import messages as wire
from edge.wire.control import Command

_log = logging.getLogger(__name__)
_Args = ParamSpec("_Args")
_Given = TypeVar("_Given")

REMEDY = "report what the log says, and start the station again."


class Guard:
    """Calls somebody until an exception comes out.

    Args:
        what: it does, for people.

    Attributes:
        fault: what came out, in words; "" until then.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self.fault = ""

    def call(
        self, otherwise: _Given, function: Callable[_Args, _Given], *args: _Args.args, **named: _Args.kwargs
    ) -> _Given:
        """Return what ``function`` does, or ``otherwise`` once something has come out of it or another."""
        if not self.fault:
            try:
                return function(*args, **named)
            except Exception as error:  # noqa: BLE001 - parts go on; the alarm and the log tell of it
                self._failed(error)
        return otherwise

    def ask(self, function: Callable[_Args, _Given], *args: _Args.args, **named: _Args.kwargs) -> _Given:
        """Return what ``function`` does for a person.

        Raises:
            EdgeError: it refuses, or something has come out of it or another.
        """
        if not self.fault:
            try:
                return function(*args, **named)
            except EdgeError:
                raise
            except Exception as error:  # noqa: BLE001 - likewise
                self._failed(error)
        raise ControlError(self.fault, REMEDY)

    def alarm(self, name: str) -> dict[str, str]:
        """Return the alarm ``name`` in words, once something has come out."""
        return {name: f"{ALARMS[name].text} {self.fault} {REMEDY.capitalize()}"} if self.fault else {}

    def _failed(self, error: Exception) -> None:
        self.fault = f"{self._what} has failed ({type(error).__name__}: {error})."
        _log.exception("%s has failed; the line goes on without it.", self._what)


class GuardedWatch:
    """A ``Watch`` whose failure ends nothing: who was held by then stays held, also over the next start.

    Args:
        watch: is watched with.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch, self._guard = watch, Guard("The watch over health")
        self._held: dict[str, str] = {}
        self._alarms: dict[str, str] = {}

    def look(self, lease: Lease, now: int) -> None:
        """See ``Watcher.look``."""
        self._guard.call(None, self._watch.look, lease, now)

    def concluded(self, part: Part, pair: Pair | None) -> None:
        """See ``Watcher.concluded``."""
        self._guard.call(None, self._watch.concluded, part, pair)

    def alarms(self, now: int) -> dict[str, str]:
        """See ``Watcher.alarms``."""
        self._alarms = self._guard.call({**self._alarms, **self._held}, self._watch.alarms, now)
        return {**self._alarms, **self._guard.alarm("health")}

    def holds(self, now: int) -> dict[str, str]:
        """See ``Watcher.holds``."""
        self._held = self._guard.call(self._held, self._watch.holds, now)
        return self._held

    def gauges(self, now: int) -> dict[str, float]:
        """Return all that is measured, by name."""
        return self._guard.call({}, self._watch.gauges, now)

    def receiver(self, post: Callable[[Order], None]) -> Callable[[Command], None]:
        """See ``Watch.receiver``."""

        def guarded(order: Order) -> None:
            act = order.act
            assert act is not None  # the watch has no order without
            post(replace(order, act=lambda stands: self._guard.ask(act, stands)))

        return self._watch.receiver(guarded)


class GuardedEvidence:
    """Evidence whose failure ends nothing.

    Args:
        evidence: keeps pictures.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence, self._guard = evidence, Guard("Evidence")
        self._status = evidence.status()

    def keep(self, lease: Lease, part: Part) -> bool:
        """See ``Pictures.keep``."""
        return self._guard.call(False, self._evidence.keep, lease, part)

    def missed(self, part: Part) -> None:
        """See ``Pictures.missed``."""
        self._guard.call(None, self._evidence.missed, part)

    def recorded(self, part: Part, record: wire.PartRecord) -> None:
        """See ``Evidence.recorded``."""
        self._guard.call(None, self._evidence.recorded, part, record)

    def status(self) -> wire.EvidenceStatus:
        """See ``Evidence.status``."""
        self._status = self._guard.call(self._status, self._evidence.status)
        if not self._guard.fault:
            return self._status
        return msgspec.structs.replace(self._status, problem=self._guard.fault)

    def alarms(self) -> dict[str, str]:
        """See ``Evidence.alarms``."""
        return {**self._guard.call({}, self._evidence.alarms), **self._guard.alarm("evidence")}


class GuardedChallenges:
    """Challenges whose failure lets no test piece through: in the midst of one the infeed stays held, and is held
    again after the next start, which finds it interrupted.

    Args:
        made: runs them.
    """

    def __init__(self, made: Challenges) -> None:
        self._made, self._guard = made, Guard("The challenge procedure")
        self._status = made.status()
        self._held: dict[str, str] = {}
        self._alarms: dict[str, str] = {}
        self._under_way = False  # a challenge, by the last call that went well

    @property
    def admits(self) -> bool:
        """See ``ChallengeParts.admits``."""
        admits = self._call(True, lambda: self._made.admits)
        return admits and not (self._guard.fault and self._under_way)

    def holds(self) -> dict[str, str]:
        """See ``ChallengeParts.holds``."""
        self._held = self._call(self._held, self._made.holds)
        return {**self._held, **self._guard.alarm("challenge_failed")} if self._under_way else self._held

    def alarms(self) -> dict[str, str]:
        """See ``ChallengeParts.alarms``."""
        self._alarms = self._call({**self._alarms, **self._held}, self._made.alarms)
        return {**self._alarms, **self._guard.alarm("challenge_failed" if self._under_way else "challenge_due")}

    def instruction(self) -> str:
        """See ``ChallengeParts.instruction``."""
        return self._call("", self._made.instruction)

    def is_piece(self, number: int) -> bool:
        """See ``ChallengeParts.is_piece``."""
        return self._call(False, self._made.is_piece, number)

    def opened(self, number: int, now: int) -> None:
        """See ``ChallengeParts.opened``."""
        self._call(None, self._made.opened, number, now)

    def concluded(self, part: Part, rules: Sequence[Rule], now: int) -> None:
        """See ``ChallengeParts.concluded``."""
        self._call(None, self._made.concluded, part, rules, now)

    def heard(self, message: wire.ToStation, now: int) -> None:
        """See ``ChallengeParts.heard``."""
        self._call(None, self._made.heard, message, now)

    def tick(self, now: int, session: int, open_parts: int, pair: Pair, faulty: bool) -> None:
        """See ``ChallengeParts.tick``."""
        self._call(None, self._made.tick, now, session, open_parts, pair, faulty)

    def status(self) -> wire.ChallengeStatus:
        """Return all that is shown of it."""
        self._status = self._call(self._status, self._made.status)
        if not self._guard.fault:
            return self._status
        return msgspec.structs.replace(self._status, phase="", text="", problem=self._guard.fault)

    def start(self, starter: Starter, pair: Pair) -> str:
        """See ``Challenges.start``."""
        return self._guard.ask(self._made.start, starter, pair)

    def returned(self, who: str, missing: Sequence[str]) -> str:
        """See ``Challenges.returned``."""
        return self._guard.ask(self._made.returned, who, missing)

    def abort(self) -> str:
        """See ``Challenges.abort``."""
        return self._guard.ask(self._made.abort)

    def _call(
        self, otherwise: _Given, function: Callable[_Args, _Given], *args: _Args.args, **named: _Args.kwargs
    ) -> _Given:
        before = self._guard.fault
        given = self._guard.call(otherwise, function, *args, **named)
        if not before:  # the call that fails may have ended it, and left that untold
            self._under_way = self._made.under_way or bool(self._guard.fault and self._under_way)
        return given
