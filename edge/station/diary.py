"""What the station writes into its journal: its parts, what happened to it, and its counters now and then."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from edge.clock import NS_PER_MS, NS_PER_S
from edge.record.journal import Counts, Event, Journal
from edge.wire import messages as wire

COUNTS_NS = 60 * NS_PER_S
LOOK_NS = 100 * NS_PER_MS
"""How often the journal is asked how it is."""

_SESSION = ("session", "session_ended")


class Diary:
    """A journal, or none.  The signal thread owns it; nothing here waits.

    Args:
        journal: takes the rows, or None: then nothing is recorded.
    """

    def __init__(self, journal: Journal | None) -> None:
        self._journal = journal
        self._status = wire.JournalStatus()
        self._looked_ns = self._counts_ns = 0
        self._alarms: dict[str, str] = {}

    def part(self, record: wire.PartRecord) -> None:
        """Record a part with its end."""
        if self._journal is not None:
            self._journal.put(record)

    def note(self, kind: str, text: str, now: int, **data: object) -> None:
        """Record that something happened.  A change of session makes the counters due."""
        if self._journal is not None:
            self._journal.put(Event(kind, text, data, now))
        if kind in _SESSION:
            self._counts_ns = 0

    def alarms(self, alarms: Mapping[str, str], now: int) -> None:
        """Record alarms that have come up, and those that have gone."""
        for name, text in alarms.items():
            if name not in self._alarms:
                self.note("alarm", text, now, alarm=name)
        for name, text in self._alarms.items():
            if name not in alarms:
                self.note("alarm_cleared", text, now, alarm=name)
        self._alarms = dict(alarms)

    def counts_due(self, now: int) -> bool:
        """Say whether the counters should be recorded now."""
        return self._journal is not None and now >= self._counts_ns

    def counts(self, status: wire.StationStatus, now: int) -> None:
        """Record the station's counters."""
        self._counts_ns = now + COUNTS_NS
        if self._journal is not None:
            self._journal.put(Counts(msgspec.to_builtins(status), now))

    def status(self, now: int) -> wire.JournalStatus:
        """Return how the journal keeps up, as of ``LOOK_NS`` ago at most."""
        if self._journal is not None and now - self._looked_ns >= LOOK_NS:
            self._looked_ns, self._status = now, self._journal.status()
        return self._status
