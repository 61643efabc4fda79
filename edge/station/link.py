"""What the station tells the gateway and hears from it, or that there is none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import msgspec

from edge import flight
from edge.config import RecipeConfig
from edge.core.ledger import PartLedger
from edge.core.part import Part
from edge.station.interfaces import Reports
from edge.station.places import Places
from edge.wire import messages as wire
from edge.wire.publisher import Progress, Publisher

_log = logging.getLogger(__name__)
_Kept = TypeVar("_Kept", int, Part)

UNPLACED = 64
"""Most counts without their part, and most closed parts without their count, that are kept."""


class GatewayLink:
    """Announcements and verdicts out, answers in.

    Where the PLC counts the parts (``position.source`` is ``plc``), a part is named to the gateway only once its
    count has come back, which may be after it has closed.

    Args:
        publisher: holds the session, or None without a gateway.
        reporter: told of closed parts and of what became of them.
        places: told how far the belt may have come.
        clock: gives monotonic nanoseconds.
        listen: told of what the gateway says of parts, with the time.
    """

    def __init__(
        self,
        publisher: Publisher | None,
        reporter: Reports,
        places: Places,
        clock: Callable[[], int],
        listen: Callable[[wire.ToStation, int], None] = lambda *_: None,
    ) -> None:
        self._listen = listen
        self._publisher, self._reporter, self._places, self._clock = publisher, reporter, places, clock
        self._counts: dict[int, int] = {}  # told before the trigger came
        self._uncounted: dict[int, Part] = {}  # closed before their count was told
        self._mode = "auto"
        self._session = 0  # the last that was granted

    @property
    def session(self) -> int:
        """The session with the gateway, 0 without one."""
        return 0 if self._publisher is None else self._publisher.session

    @property
    def has_session(self) -> bool:
        """True while parts can get permits at all."""
        return self._publisher is not None and self._publisher.session != 0

    def state(self) -> tuple[str, str]:
        """Return WARNING, STARTING or RUNNING, and why."""
        if self._publisher is None:
            return "WARNING", "inspecting only: there is no gateway, and nothing is permitted"
        if self._publisher.session == 0:
            return "STARTING", self._publisher.refusal
        if self._mode != "auto":
            return "WARNING", f"the gateway is in mode {self._mode}"
        return "RUNNING", ""

    def announce(self, part: Part) -> None:
        """Say that a trigger opened ``part``, of which the count is known."""
        if self._publisher is not None:
            self._publisher.announce(part)

    def conclude(self, part: Part) -> None:
        """Say what a part came to, to gateway and reporter.  Every part comes here once."""
        told = self._publisher is not None and self._tell(self._publisher, part)
        self._reporter.concluded(part, self._publisher.session if self._publisher is not None and told else 0)

    def told_count(self, number: int) -> int | None:
        """Return the count that the gateway told of a part before its trigger came, once."""
        return self._counts.pop(number, None)

    def hear(self, now: int) -> list[wire.Counted]:
        """Take what has come.  Return counts of parts that are open, or still to come."""
        publisher = self._publisher
        counted: list[wire.Counted] = []
        if publisher is None:
            return counted
        for message in publisher.receive(now):
            if isinstance(message, wire.Counted):
                if self._places.source == "plc" and not self._tell_late(publisher, message):
                    counted.append(message)
            else:
                self._take(publisher, message, now)
        return counted

    def tick(self, now: int, ready: bool, ledger: PartLedger) -> None:
        """Send what is due.

        Args:
            now: the time.
            ready: the station may be sent parts.
            ledger: shows the gateway how far the station has come.
        """
        if self._publisher is None:
            return
        closed = ledger.triggers - len(ledger)
        progress = Progress(ledger.triggers, self._reporter.frames, closed, open=len(ledger))
        if not self._publisher.tick(now, ready, progress):
            self._ended("the gateway fell silent", now)

    def keep_count(self, message: wire.Counted) -> None:
        """Keep a count until its trigger comes."""
        _keep(self._counts, message.part, message.count)

    def change_recipe(self, recipe: RecipeConfig) -> None:
        """Tell gateway and reporter by which recipe parts are judged from now on."""
        self._reporter.recipe_changed(recipe.name)
        if self._publisher is not None:
            self._publisher.change_recipe(recipe)

    def renew(self, reason: str) -> None:
        """Ask for a new session, whose fence clears the stretch where identity is in doubt."""
        had_one = self.has_session
        if self._publisher is not None:
            self._publisher.renew(reason)
        if had_one:
            self._ended(reason, self._clock())
        self._forget()

    def next_ns(self, latest_ns: int) -> int:
        """Return when there is next something to send, ``latest_ns`` at most."""
        return latest_ns if self._publisher is None else min(latest_ns, self._publisher.next_ns())

    def _take(self, publisher: Publisher, message: wire.ToStation, now: int) -> None:
        if isinstance(message, wire.GatewayBeat):
            self._places.heard(message, now)
            self._mode = message.mode
        elif isinstance(message, wire.Ack):
            self._listen(message, now)
            self._reporter.acknowledged(message, publisher.accepted_ns(message, now))
        elif isinstance(message, wire.Executed):
            self._listen(message, now)
            self._reporter.executed()
        elif isinstance(message, wire.Gated):
            self._listen(message, now)
        elif isinstance(message, wire.Revoke):
            self._ended(message.reason, now)
        elif isinstance(message, wire.Grant):
            text = f"Session {message.session} is granted, with fence {message.fence}."
            _log.info("%s", text)
            flight.mark("session", message.session)
            self._session = message.session
            self._reporter.note("session", text, now, **msgspec.structs.asdict(message))
            self._forget()
            self._places.track.fenced()

    def _tell(self, publisher: Publisher, part: Part) -> bool:
        """Send a verdict, or keep it until the part's count comes.  False where it will not be sent."""
        if part.count is None and publisher.session and self._places.source == "plc":
            _keep(self._uncounted, part.number, part)
            return True
        sending_ns = self._clock()
        if not publisher.verdict(part):
            return False
        part.t3_ns = sending_ns
        flight.mark("sent", part.number)
        return True

    def _tell_late(self, publisher: Publisher, message: wire.Counted) -> bool:
        part = self._uncounted.pop(message.part, None)
        if part is None:
            return False
        part.count = message.count
        self._tell(publisher, part)
        return True

    def _ended(self, reason: str, now: int) -> None:
        _log.warning("Session %d ended: %s.", self._session, reason)
        flight.mark("session", 0)
        self._reporter.note("session_ended", f"Session {self._session} ended: {reason}.", now, session=self._session)
        self._forget()

    def _forget(self) -> None:
        self._counts.clear()
        self._uncounted.clear()


def _keep(kept: dict[int, _Kept], number: int, value: _Kept) -> None:
    """Add to a bounded memory: what has waited longest goes first."""
    kept[number] = value
    if len(kept) > UNPLACED:
        del kept[next(iter(kept))]
