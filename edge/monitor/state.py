"""What the monitor knows of the line: the latest status of each side, and latencies of the parts it heard of.

Pure: messages and the time come as arguments.  Counters are the station's and gateway's own, so that they are right
whatever the monitor missed; they begin at zero again when their process restarts, which Prometheus' ``rate`` and
``increase`` understand.  Latencies are counted here, from part records that a PUB socket may drop under load: they
describe the parts heard of, and begin at zero when the monitor restarts.
"""

from __future__ import annotations

from bisect import bisect_left

from edge.clock import NS_PER_S
from edge.wire.messages import GatewayStatus, PartRecord, Published, StationStatus

STALE_NS = 2 * NS_PER_S
"""Age beyond which a status no longer proves a live process.  Both sides publish once a second."""

BUCKETS_MS = (1, 2, 5, 10, 15, 20, 30, 50, 75, 90, 100, 110, 150, 200, 500)
"""Upper bounds of the latency buckets, dense around the deadline of 100 ms."""

SILENT_NS = 3 * NS_PER_S // 2
"""Age beyond which the dashboard calls a side silent: it must show within 2 s of the last message."""

INSTANTS = ("t1", "t2", "t3", "t4")
"""Ends of the latencies that begin at T0: frame complete, verdict, sent, accepted by the gateway."""


class Histogram:
    """Counts of latencies a bucket, not cumulative; the last count is of those beyond the last bound.

    Attributes:
        counts: one a bound of ``BUCKETS_MS``, and one more.
        sum_ns: of all latencies.
    """

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_MS) + 1)
        self.sum_ns = 0

    def observe(self, latency_ns: int) -> None:
        """Count one latency.  A bound belongs to its bucket."""
        self.counts[bisect_left(_BOUNDS_NS, latency_ns)] += 1
        self.sum_ns += latency_ns

    def cumulative(self) -> list[int]:
        """Return how many latencies were at most each bound, and how many there were in all."""
        total, result = 0, []
        for count in self.counts:
            total += count
            result.append(total)
        return result


_BOUNDS_NS = [ms * 1_000_000 for ms in BUCKETS_MS]


class LineState:
    """One station and its gateway.

    Args:
        listening_ns: since when they are listened to, monotonic; None: it does not matter.

    Attributes:
        listening_ns: likewise.
        station: its latest status, None before the first.
        gateway: its latest status, None before the first.
        latencies: T0 to each of ``INSTANTS``.
        negative_latencies: those below zero, which no histogram holds: the two clocks are not one.
        parts: part records heard of.
        last_part: the latest of them.
        began_ns: when the first message came, None before.
        unreconciled_ns: since when the counts of a side have not added up, None where they do.
    """

    def __init__(self, listening_ns: int | None = None) -> None:
        self.listening_ns = listening_ns
        self.station: StationStatus | None = None
        self.gateway: GatewayStatus | None = None
        self.latencies = {instant: Histogram() for instant in INSTANTS}
        self.negative_latencies = 0
        self.parts = 0
        self.last_part: PartRecord | None = None
        self.began_ns: int | None = None
        self.unreconciled_ns: int | None = None
        self._station_ns: int | None = None
        self._gateway_ns: int | None = None
        self._part_ns: int | None = None

    def take(self, message: Published, now_ns: int) -> None:
        """Take in a message that came at ``now_ns``."""
        if self.began_ns is None:
            self.began_ns = now_ns
        if isinstance(message, PartRecord):
            self._part_ns = now_ns
            self._take_part(message)
            return
        if isinstance(message, StationStatus):
            self.station, self._station_ns = message, now_ns
        else:
            self.gateway, self._gateway_ns = message, now_ns
        if not self.station_unreconciled() and not self.gateway_unreconciled():
            self.unreconciled_ns = None
        elif self.unreconciled_ns is None:
            self.unreconciled_ns = now_ns

    def station_up(self, now_ns: int) -> bool:
        """Say whether the station's latest status is at most ``STALE_NS`` old."""
        return _fresh(self._station_ns, now_ns)

    def gateway_up(self, now_ns: int) -> bool:
        """Say whether the gateway's latest status is at most ``STALE_NS`` old."""
        return _fresh(self._gateway_ns, now_ns)

    def station_age_ns(self, now_ns: int) -> int | None:
        """Return how long the station has been silent, by its statuses and parts; None where it never spoke."""
        heard = [at_ns for at_ns in (self._station_ns, self._part_ns) if at_ns is not None]
        return now_ns - max(heard) if self._station_ns is not None else None

    def listened_ns(self, now_ns: int) -> int:
        """Return for how long both have been listened to; 0 where that was not told."""
        return 0 if self.listening_ns is None else now_ns - self.listening_ns

    def gateway_age_ns(self, now_ns: int) -> int | None:
        """Return the age of the gateway's latest status; None where there is none."""
        return None if self._gateway_ns is None else now_ns - self._gateway_ns

    def station_unreconciled(self) -> int:
        """Return triggers - (pass + reject + no decision + open): anything but 0 is a part without an outcome."""
        s = self.station
        return 0 if s is None else s.triggers - sum(s.outcomes.values()) - s.open

    def gateway_unannounced_difference(self) -> int:
        """Return PLC triggers - (announced + unannounced).

        A part that the PLC has counted and whose announcement may still come is in neither, so this need be 0 only
        while nothing is pending; what never returns to 0 is a part that got lost.
        """
        g = self.gateway
        return 0 if g is None else g.plc_triggers - g.announced - g.unannounced

    def gateway_unreconciled(self) -> int:
        """Return PLC triggers - (permitted + rejected + pending)."""
        g = self.gateway
        return 0 if g is None else g.plc_triggers - g.permitted - sum(g.rejected.values()) - g.pending

    def _take_part(self, part: PartRecord) -> None:
        self.parts += 1
        self.last_part = part
        for instant, at_ns in zip(INSTANTS, (part.t1_ns, part.t2_ns, part.t3_ns, part.t4_ns), strict=True):
            if at_ns is None:
                continue
            if at_ns < part.t0_ns:
                self.negative_latencies += 1
            else:
                self.latencies[instant].observe(at_ns - part.t0_ns)


def _fresh(heard_ns: int | None, now_ns: int) -> bool:
    return heard_ns is not None and now_ns - heard_ns <= STALE_NS
