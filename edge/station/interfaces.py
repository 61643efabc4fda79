"""What the station's loop needs around it: events, inspection and reports.  Threads and sockets lie behind these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from edge.capture.events import CaptureEvent, TriggerEvent
from edge.core.part import Identity, Part
from edge.core.pool import Lease
from edge.core.rules import Rule
from edge.station.inspection import Inspected
from edge.station.orders import Order
from edge.wire import messages as wire

if TYPE_CHECKING:
    from edge.station.pairs import Pair

StationEvent = CaptureEvent | TriggerEvent | Inspected | Order


class Inbox(Protocol):
    """Where capture, trigger and inspection leave what happened."""

    def take(self) -> Iterable[StationEvent]:
        """Return all events, oldest first."""


class Inspection(Protocol):
    """Turns submitted frames into ``Inspected`` events."""

    def submit(self, number: int, lease: Lease, deadline_ns: int, rules: tuple[Rule, ...]) -> None:
        """Queue the frame in ``lease`` for part ``number``, to be judged by ``rules``.  Never waits."""

    def hung(self, before_ns: int) -> bool:
        """True while an inspection runs that began before ``before_ns``."""


class Reports(Protocol):
    """Takes what the station says of itself.

    Attributes:
        frames: that arrived, with or without pixels; the station counts here.
        reconnects: of devices that were lost; the station counts here.
    """

    frames: int
    reconnects: Counter[str]

    def lost(self, cause: str, frames: int = 1) -> None:
        """Count frames that were lost or could not be used."""

    def concluded(self, part: Part, session: int) -> None:
        """Take a closed part, once; ``session`` is the one whose acknowledgement is to come, 0 where none will."""

    def acknowledged(self, ack: wire.Ack, t4_ns: int) -> None:
        """Take the gateway's answer to a verdict."""

    def executed(self) -> None:
        """Count a part for which the PLC opened the gate."""

    def recipe_changed(self, name: str) -> None:
        """Note the recipe by which parts are judged from now on."""

    def model_changed(self, identity: Identity) -> None:
        """Note the model by which parts are judged from now on."""

    def note(self, kind: str, text: str, now: int, **data: object) -> None:
        """Record that something happened: ``kind`` in a word, ``text`` for people."""

    def trouble(self, now: int) -> str:
        """Return what keeps records from being kept, in words, or "" where all is well."""

    def tick(self, now: int, state: tuple[str, str], alarms: Mapping[str, str]) -> None:
        """Publish what is due; ``state`` is the station's, and its reason in words; ``alarms`` stand, by name."""

    def next_ns(self) -> int:
        """Return when ``tick`` next has something to do."""

    def flush(self) -> None:
        """Publish all that waits."""


class Watcher(Protocol):
    """Watches parts and pictures for what no single part shows.  Nothing in it waits."""

    def look(self, lease: Lease, now: int) -> None:
        """Take a sample, if it is time for one, of a frame whose verdict has left and whose lease still runs."""

    def concluded(self, part: Part, pair: Pair | None) -> None:
        """Take a closed part, once, and what judged it; None where that is not known, or was judged on a test piece."""

    def alarms(self, now: int) -> dict[str, str]:
        """Return what stands, by the name of its alarm, in words."""

    def holds(self, now: int) -> dict[str, str]:
        """Return those of the alarms for which nobody is let in."""


class Pictures(Protocol):
    """Keeps frames as evidence.  Nothing in it waits."""

    def keep(self, lease: Lease, part: Part) -> bool:
        """Say whether it takes over the slot of a closed part's frame, after the verdict was sent.

        Where it does, it ends the lease.
        """

    def missed(self, part: Part) -> None:
        """Note that the tape has taken the frame of ``part``."""


class Evidence(Pictures, Protocol):
    """The same, for who makes the parts' records."""

    def recorded(self, part: Part, record: wire.PartRecord) -> None:
        """Take the record of a part.  Every part that had a frame comes here once."""

    def status(self) -> wire.EvidenceStatus:
        """Return how evidence keeps up."""

    def alarms(self) -> dict[str, str]:
        """Return what is wrong, by the alarm's name."""


class ChallengeParts(Protocol):
    """Sees to challenge parts.  It has no way to a verdict, and nothing in it waits."""

    @property
    def admits(self) -> bool:
        """False while parts must be kept out."""

    def holds(self) -> dict[str, str]:
        """Return why production is held, by alarm."""

    def alarms(self) -> dict[str, str]:
        """Return the alarms that stand, by name, in words."""

    def instruction(self) -> str:
        """Return what somebody has to do now, or ""."""

    def is_piece(self, number: int) -> bool:
        """True where the part of this number is a test piece of the challenge that runs."""

    def opened(self, number: int, now: int) -> None:
        """Take a part, in the order of the parts: as its trigger comes, and again before its verdict is sent."""

    def concluded(self, part: Part, rules: Sequence[Rule], now: int) -> None:
        """Take a closed part, once, after its verdict was sent; ``rules`` are those that judged it."""

    def heard(self, message: wire.ToStation, now: int) -> None:
        """Take what the gateway says."""

    def tick(self, now: int, session: int, open_parts: int, pair: Pair, faulty: bool) -> None:
        """Take the time and how the station is.

        Args:
            now: monotonic.
            session: with the gateway, 0 without one.
            open_parts: at the station.
            pair: what judges parts that are triggered now.
            faulty: the station is in FAULT for another reason than a challenge.
        """


class Tape(Protocol):
    """Records what the loop takes and what comes of it, so that a replay can do it again.  Nothing in it waits.

    A turn of the loop is told in this order: ``event`` for each event, then ``turn``, then what the gateway said.
    """

    def event(self, at_ns: int, event: StationEvent) -> None:
        """Take an event of the mailbox, before it is handled; ``at_ns`` is the time by which it is handled."""

    def turn(self, at_ns: int) -> None:
        """Take the time by which the rest of the turn is done: what is heard, what is due."""

    def keep(self, lease: Lease) -> bool:
        """Say whether the tape takes over a frame's slot that would be released now, after its verdict was sent.

        Where it does, it ends the lease.
        """

    def concluded(self, part: Part) -> None:
        """Take a closed part, once."""
