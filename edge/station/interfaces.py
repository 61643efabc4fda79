"""What the station's loop needs around it: events, inspection and reports.  Threads and sockets lie behind these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

from edge.capture.events import CaptureEvent, TriggerEvent
from edge.core.part import Identity, Part
from edge.core.pool import Lease
from edge.core.rules import Rule
from edge.station.inspection import Inspected
from edge.station.orders import Order
from edge.wire import messages as wire

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
