"""What the dashboard shows of the last minutes: parts, trend, alarms and since when they stand.

Pure: messages and times come as arguments.  Bounded: nothing here grows with the number of parts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from edge.clock import NS_PER_MS, NS_PER_S
from edge.core.modes import Mode
from edge.core.outcome import Outcome
from edge.wire.messages import GatewayStatus, PartRecord, Published, StationStatus

WINDOW = 500
"""Parts over which reject rate and latency are told."""

MINUTES = 60
_MINUTE_MS = 60_000

UNDECIDED_PARTS = 100
UNDECIDED_MOST = 5
"""Of the last ``UNDECIDED_PARTS`` parts, so many may end without a decision before somebody is wanted: 5 %."""

UNSEEN_NS = 5 * NS_PER_S
"""The PLC counts parts for longer than this, and the station sees none of them: statuses are not that far apart."""

_FRESH = 200
"""Parts that wait to be shown; of more, the oldest passes go first."""


@dataclass(frozen=True)
class Seen:
    """One part, as far as rates and charts need it.

    Attributes:
        wall_ms: of its record.
        outcome, cause: of the station.
        latency_ms: T0 to T4, on a line without a gateway T0 to T2; None where the gateway did not answer.
        test_piece: of a challenge.
        unanswered: there is a gateway, and it did not answer.
        heard_ns: when it was heard of, monotonic.
    """

    wall_ms: int
    outcome: str
    cause: str
    latency_ms: float | None
    test_piece: bool = False
    unanswered: bool = False
    heard_ns: int = 0


def wall_ms_of(wall: str, heard_ms: int) -> int:
    """Return a message's own wall-clock time in ms; ``heard_ms`` where that cannot be read."""
    try:
        return round(datetime.fromisoformat(wall).timestamp() * 1000)
    except ValueError:
        return heard_ms


def latency_ms(part: PartRecord) -> float | None:
    """Return T0 to T4 of a part in ms, T0 to T2 of one that had no session; None without, or of clocks that differ."""
    end_ns = part.t2_ns if part.t4_ns is None and part.session == 0 else part.t4_ns
    if end_ns is None or end_ns < part.t0_ns:
        return None
    return round((end_ns - part.t0_ns) / NS_PER_MS, 2)


class Trend:
    """Parts and rejects a minute, by the station's own counters: right whatever the monitor missed meanwhile."""

    def __init__(self) -> None:
        self._minutes: dict[int, list[int]] = {}
        self._last: tuple[str, int, int] | None = None

    def take(self, status: StationStatus, wall_ms: int) -> None:
        """Count what has closed since the last status of the same run; a new run begins at zero."""
        parts, rejects = sum(status.outcomes.values()), status.outcomes.get(Outcome.REJECT.value, 0)
        before = self._last
        self._last = status.started_wall, parts, rejects
        if before is None:
            return  # its parts closed at times unknown
        _, parts_before, rejects_before = before if before[0] == status.started_wall else ("", 0, 0)
        for late in [minute for minute in self._minutes if minute > wall_ms // _MINUTE_MS]:
            del self._minutes[late]  # of a wall clock that was ahead
        self.add(wall_ms, max(0, parts - parts_before), max(0, rejects - rejects_before))

    def add(self, wall_ms: int, parts: int, rejects: int) -> None:
        """Count parts in the minute of ``wall_ms``."""
        minute = self._minutes.setdefault(wall_ms // _MINUTE_MS, [0, 0])
        minute[0] += parts
        minute[1] += rejects
        while len(self._minutes) > MINUTES:
            del self._minutes[min(self._minutes)]

    def remember(self, minutes: Mapping[int, tuple[int, int]]) -> None:
        """Take in minutes before those that were counted here."""
        counted = min(self._minutes, default=None)
        for minute, (parts, rejects) in minutes.items():
            if counted is None or minute < counted:
                self.add(minute * _MINUTE_MS, parts, rejects)

    def points(self, wall_ms: int) -> list[dict[str, int]]:
        """Return the last ``MINUTES`` minutes until ``wall_ms``, oldest first, also those without a part."""
        last = wall_ms // _MINUTE_MS
        told = ((minute, self._minutes.get(minute, (0, 0))) for minute in range(last - MINUTES + 1, last + 1))
        return [{"t": minute * _MINUTE_MS, "parts": parts, "rejects": rejects} for minute, (parts, rejects) in told]


class Standing:
    """Since when alarms stand, by (source, name)."""

    def __init__(self) -> None:
        self.since_ms: dict[tuple[str, str], int] = {}
        self._found: set[tuple[str, str]] = set()  # stood already when their source was first heard
        self._heard: set[str] = set()
        self._raised: Mapping[tuple[str, str], int] = {}

    def remember(self, raised: Mapping[tuple[str, str], int]) -> None:
        """Take in since when those stand that were, or will be, found standing."""
        self._raised = raised
        for key in self._found:
            self.since_ms[key] = min(self.since_ms[key], raised.get(key, self.since_ms[key]))

    def take(self, source: str, alarms: Mapping[str, str], wall_ms: int) -> None:
        """Take the alarms that stand at ``source`` now."""
        if source not in self._heard:
            self._heard.add(source)
            self._found |= {(source, name) for name in alarms}
        for key in [key for key in self.since_ms if key[0] == source and key[1] not in alarms]:
            del self.since_ms[key]
            self._found.discard(key)
        for key in [(source, name) for name in alarms if (source, name) not in self.since_ms]:
            self.since_ms[key] = min(wall_ms, self._raised.get(key, wall_ms)) if key in self._found else wall_ms


class Sight:
    """Whether parts come, and whether the station sees those that the PLC counts: both look through one eye.

    Attributes:
        moved_ns: when a part last came, by either's count; None before the first.
        is_blind: parts came that the station did not see, and it has seen none since.
    """

    def __init__(self) -> None:
        self.moved_ns: int | None = None
        self.is_blind = False
        self._triggers: int | None = None
        self._counted: int | None = None
        self._unseen_ns: tuple[int, int] | None = None  # first and last that the PLC counted since the station saw one

    def part(self, now_ns: int) -> None:
        """Note a part of the station."""
        self.moved_ns = now_ns

    def station(self, triggers: int, now_ns: int) -> None:
        """Note how many triggers the station has seen.  What the PLC told before has had its time to arrive here."""
        if triggers != self._triggers:
            self._triggers, self.moved_ns = triggers, now_ns
            self._unseen_ns, self.is_blind = None, False
        elif self._unseen_ns is not None:
            self.is_blind = self._unseen_ns[1] - self._unseen_ns[0] > UNSEEN_NS

    def gateway(self, counted: int, now_ns: int) -> None:
        """Note how many parts the PLC has counted."""
        before, self._counted = self._counted, counted
        if before is None or counted <= before:  # nothing came, or the gateway begins anew
            return
        self.moved_ns = now_ns
        self._unseen_ns = (now_ns if self._unseen_ns is None else self._unseen_ns[0], now_ns)


class Recent:
    """The last minutes of one line.

    Attributes:
        window: the last ``WINDOW`` parts heard of, oldest first.
        trend: parts and rejects a minute.
        standing: since when alarms stand.
        sight: whether parts come, and are seen.
        refused_ns: since when the station waits for a gateway that could let it in, and does not; None: it does not.
        run_parts: parts heard of since the station was started.
    """

    def __init__(self) -> None:
        self.window: deque[Seen] = deque(maxlen=WINDOW)
        self.trend = Trend()
        self.standing = Standing()
        self.sight = Sight()
        self.refused_ns: int | None = None
        self.run_parts = 0
        self._run: str | None = None
        self._has_gateway = False
        self._fresh: deque[tuple[PartRecord, int]] = deque()

    def take(self, message: Published, now_ns: int, wall_ms: int) -> None:
        """Take in a message that came at ``now_ns``, ``wall_ms`` by the wall clock."""
        if isinstance(message, PartRecord):
            self._take_part(message, now_ns, wall_ms)
        elif isinstance(message, StationStatus):
            self._take_station(message, now_ns, wall_ms)
        elif isinstance(message, GatewayStatus):
            self._has_gateway = True
            self.standing.take("gateway", message.alarms, wall_ms)
            self.sight.gateway(message.plc_triggers, now_ns)
            if not message.plc_ok or message.mode != Mode.AUTO.value:
                self.refused_ns = None

    def undecided(self) -> int:
        """Return how many of the run's last ``UNDECIDED_PARTS`` parts ended without a decision, but for test pieces."""
        of_run = list(self.window)[max(0, len(self.window) - self.run_parts) :]
        parts = [seen for seen in of_run if not seen.test_piece][-UNDECIDED_PARTS:]
        return sum(seen.outcome == Outcome.NO_DECISION.value for seen in parts)

    def drain(self) -> list[tuple[PartRecord, int]]:
        """Return the parts heard of since the last call, oldest first, each with its wall-clock ms."""
        fresh = list(self._fresh)
        self._fresh.clear()
        return fresh

    def _take_station(self, status: StationStatus, now_ns: int, wall_ms: int) -> None:
        self.trend.take(status, wall_ms)
        self.standing.take("station", status.alarms, wall_ms)
        self.sight.station(status.triggers, now_ns)
        if self._run not in (None, status.started_wall):
            self.run_parts = 0
        self._run = status.started_wall
        if status.state != "STARTING" or not status.reason:
            self.refused_ns = None
        elif self.refused_ns is None:
            self.refused_ns = now_ns

    def _take_part(self, part: PartRecord, now_ns: int, heard_ms: int) -> None:
        wall_ms = wall_ms_of(part.wall, heard_ms)
        self.sight.part(now_ns)
        self.run_parts += 1
        unanswered = (self._has_gateway or part.session != 0) and part.t4_ns is None
        latency = None if unanswered else latency_ms(part)
        self.window.append(
            Seen(wall_ms, part.outcome, part.cause, latency, bool(part.challenge), unanswered, heard_ns=now_ns)
        )
        if len(self._fresh) >= _FRESH:
            del self._fresh[next((n for n, (p, _) in enumerate(self._fresh) if p.outcome == Outcome.PASS.value), 0)]
        self._fresh.append((part, wall_ms))
