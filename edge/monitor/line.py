"""One line as the monitor knows it: what its thread hears and its web server asks for, under one lock."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from edge.clock import NS_PER_MS, now_ns, wall_ns
from edge.monitor import summary
from edge.monitor.band import Band, band, silences
from edge.monitor.recent import Recent
from edge.monitor.state import LineState
from edge.record.annotations import Acknowledgement
from edge.record.journal.alarms import Raised
from edge.wire.messages import LiveFrame, Published

LIVE_KEPT = 8
"""Live pictures that can still be fetched: those of the last 1.6 s at 5 a second."""

MONITOR = "monitor"
"""The source of alarms that no side can raise: its own silence."""

PAST_KEPT = 200
"""Silences that have ended, of which no journal knows."""


class Line:
    """What was heard of a line.  Used by the listening thread and by the web server's.

    Args:
        expects_gateway: a gateway that was never heard of is a fault.
        rests_in_pass: the gate lets parts through when nobody drives it.

    Attributes:
        state: the latest statuses and the histograms; guarded by ``lock``.
        recent: the last minutes; guarded by ``lock``.
        lock: held for moments, never over I/O.
        malformed: messages that could not be understood and were skipped.
        acknowledged: the last acknowledgement of an alarm, by (source, name); replaced as a whole.
    """

    def __init__(self, expects_gateway: bool = False, rests_in_pass: bool = False) -> None:
        self.state, self.recent = LineState(now_ns()), Recent()
        self.lock = threading.Lock()
        self.malformed = 0
        self.acknowledged: dict[tuple[str, str], Acknowledgement] = {}
        self._expects_gateway, self._rests_in_pass = expects_gateway, rests_in_pass
        self._live: deque[tuple[int, dict[str, Any], bytes]] = deque(maxlen=LIVE_KEPT)
        self._live_count = 0
        self._told: tuple[object, ...] = ()
        self._since_ms = 0
        self._silent: dict[str, Band] = {}
        self._past: deque[Raised] = deque(maxlen=PAST_KEPT)

    def take(self, message: Published) -> None:
        """Take in what station or gateway published."""
        now, wall_ms = now_ns(), wall_ns() // NS_PER_MS
        with self.lock:
            self.state.take(message, now)
            self.recent.take(message, now, wall_ms)

    def take_live(self, frame: LiveFrame, jpeg: bytes) -> None:
        """Take in a live picture and what is told of it."""
        told = summary.live(frame, wall_ns() // NS_PER_MS)
        with self.lock:
            self._live_count += 1
            told |= {"n": self._live_count, "url": f"/api/live.jpg?n={self._live_count}"}
            self._live.append((self._live_count, told, jpeg))

    def forget_live(self) -> None:
        """Drop the live pictures: from now on none come, and an old one is not live."""
        with self.lock:
            self._live.clear()

    def live(self) -> dict[str, Any] | None:
        """Return what is told of the latest live picture, or None."""
        with self.lock:
            return self._live[-1][1] if self._live else None

    def live_jpeg(self, n: int | None) -> bytes | None:
        """Return the live picture ``n``, or the latest; None where there is none (any more)."""
        with self.lock:
            return next((jpeg for number, _, jpeg in reversed(self._live) if n is None or number == n), None)

    def drain(self) -> list[dict[str, Any]]:
        """Return the parts heard of since the last call, oldest first, as the dashboard shows them."""
        with self.lock:
            fresh = self.recent.drain()
        return [summary.part(record, wall_ms) for record, wall_ms in fresh]

    def standing_since_ms(self, source: str, alarm: str) -> int | None:
        """Return since when an alarm stands, None where it does not."""
        with self.lock:
            return self.recent.standing.since_ms.get((source, alarm))

    def acknowledge(self, told: Acknowledgement) -> None:
        """Show who acknowledged an alarm."""
        with self.lock:
            self.acknowledged = {**self.acknowledged, (told.source, told.alarm): told}

    def remember(self, raised: Mapping[tuple[str, str], int], minutes: Mapping[int, tuple[int, int]]) -> None:
        """Take in what was before this monitor began to listen.

        Args:
            raised: since when alarms stand, by (source, name).
            minutes: (parts, rejects) by minute since 1970, of the minutes before this one.
        """
        with self.lock:
            self.recent.standing.remember(raised)
            self.recent.trend.remember(minutes)

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as of now, as `GET /api/state` answers it."""
        with self.lock:
            now, wall_ms = now_ns(), wall_ns() // NS_PER_MS
            found = self._look(now, wall_ms)
            silent = list(self._silent.values())
            return summary.summarise(
                self.state, self.recent, found, silent, self._since_ms, now, wall_ms, self.acknowledged
            )

    def signature(self) -> tuple[object, ...]:
        """Return what must be shown at once when it changes.  To be called all the time: changes are dated here."""
        with self.lock:
            found = self._look(now_ns(), wall_ns() // NS_PER_MS)
            return found.word, found.key, tuple(self.recent.standing.since_ms.items()), id(self.acknowledged)

    def silences(self) -> list[Raised]:
        """Return the alarms that the monitor itself raised, newest first; they end with it."""
        with self.lock:
            since_ms = self.recent.standing.since_ms
            standing = [Raised(MONITOR, n, b.reason, since_ms[MONITOR, n], None) for n, b in self._silent.items()]
            return sorted([*standing, *self._past], key=lambda alarm: -alarm.raised_ms)

    def _look(self, now: int, wall_ms: int) -> Band:
        """Return the band as of now, and note what has changed."""
        expected = now, self._expects_gateway, self._rests_in_pass
        silent = {told.key: told for told in silences(self.state, *expected)}
        for name in self._silent.keys() - silent.keys():
            since_ms = self.recent.standing.since_ms[MONITOR, name]
            self._past.append(Raised(MONITOR, name, self._silent[name].reason, since_ms, wall_ms))
        self._silent = silent
        self.recent.standing.take(MONITOR, {name: told.reason for name, told in silent.items()}, wall_ms)
        found = band(self.state, self.recent, *expected)
        if (found.word, found.key) != self._told:
            self._told, self._since_ms = (found.word, found.key), wall_ms
        return found
