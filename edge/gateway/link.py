"""The gateway's side of the PLC: is it alive, does it honour our session, how far has the belt gone.  Pure.

A gateway session lives as long as nothing is in doubt.  It begins anew, and with it everything behind it, when the
PLC restarts, falls silent, stops, disagrees about the fail-safe, forgets our session, or when this process itself
was held up for longer than the PLC waits.
"""

from __future__ import annotations

from math import ceil

from edge.clock import NS_PER_MS
from edge.config import GatewayConfig
from edge.core.counter import delta, wrap
from edge.gateway.plc.signals import FAIL_SAFE, PULSE, RUNNING, PlcStatus

SPEED_SCANS = 8
"""The PLC latches its count once a scan, so a speed over fewer scans would swing with the beat of scan and poll."""

PARTS_AT_ONCE = 1000
PARTS_FACTOR = 10
"""A part counter that gains more than so many times what belt and pitch allow, and so many besides, is nonsense.

Generous, because a bouncing eye counts faster than parts can come, and what it counts is to be booked.
"""


class PlcLink:
    """Judges the PLC by what it says and when.

    Attributes:
        status: the last block read, or None while the PLC is not trusted.
        armed: the PLC echoes our gateway session: permits may follow.
        reason: why it is not armed.
        most_parts: that the PLC can have counted between the read that was trusted last and the one judged last.
        counts_per_ms: the belt's speed over the last ``SPEED_SCANS`` scans or more.
    """

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config
        self._counts_per_ns = config.line.counts_per_mm * config.line.speed_max_mm_s / 1e9
        self._parts_per_ns = PARTS_FACTOR * config.line.speed_max_mm_s / config.line.pitch_min_mm / 1e9
        self._stale_ns = int(config.plc.stale_ms * NS_PER_MS)
        self._scan_ns = int(config.plc_timing.scan_ms * NS_PER_MS)
        self._slack = ceil(config.line.counts_per_mm * config.line.pitch_min_mm / 2)
        self._heartbeat = -1
        self._changed_ns = 0
        self._read_ns = 0
        self.status: PlcStatus | None = None
        self.armed = False
        self.most_parts = 0
        self.counts_per_ms = 0.0
        self._base = 0, 0  # count and time from which the speed is measured
        self.reason = "the PLC has not been read yet"

    def doubt(self, reason: str) -> None:
        """Stop trusting the PLC."""
        self.status, self.armed, self.reason = None, False, reason

    def take(self, status: PlcStatus, gateway_session: int, asked_ns: int, now_ns: int) -> bool:
        """Judge one read, asked at ``asked_ns``.  False: the gateway session has ended, or none can begin."""
        if status.heartbeat != self._heartbeat:
            self._heartbeat, self._changed_ns = status.heartbeat, now_ns
        self.most_parts = PARTS_AT_ONCE + ceil(self._parts_per_ns * (now_ns - self._read_ns))
        problem = self._problem(status, gateway_session, now_ns)
        if problem:
            self.doubt(problem)
            return False
        read_ns = asked_ns - self._scan_ns  # the count was latched by the last scan
        if self.status is None:
            self._base = status.count, read_ns
        elif read_ns - self._base[1] >= SPEED_SCANS * self._scan_ns:
            self.counts_per_ms = delta(status.count, self._base[0]) / ((read_ns - self._base[1]) / NS_PER_MS)
            self._base = status.count, read_ns
        self.status, self._read_ns = status, read_ns
        if status.gateway_session == gateway_session:
            self.armed, self.reason = True, ""
        elif not self.armed:
            self.reason = "the PLC has not taken the gateway's session yet"
        return True

    def _problem(self, status: PlcStatus, gateway_session: int, now_ns: int) -> str:
        if now_ns - self._changed_ns > self._stale_ns:
            return "the PLC's heartbeat stands still: its program is stopped"
        if bool(status.flags & PULSE) is not (self._config.plc.signal == "pulse"):
            return f"the PLC's program is not made for the {self._config.plc.signal} signal"
        if not status.flags & RUNNING:
            return "the PLC's program is not running"
        if status.fail_safe != FAIL_SAFE[self._config.fail_safe]:
            return f"the PLC's fail-safe is {status.fail_safe}, and {self._config.fail_safe} is configured"
        if self.status is not None and status.session != self.status.session:
            return "the PLC was restarted"
        if (jump := self._jump(status, now_ns)) != 0:
            return f"the encoder jumped by {jump} counts"
        if self.status is not None and (parts := delta(status.last_part, self.status.last_part)) > self.most_parts:
            return f"the PLC's part counter leapt by {parts}"
        if self.armed and status.gateway_session != gateway_session:
            return "the PLC no longer honours the gateway's session"
        return ""

    def _jump(self, status: PlcStatus, now_ns: int) -> int:
        """Return how far the count moved where no belt could have moved it, else 0."""
        if self.status is None or status.epoch != self.status.epoch:
            return 0
        step = delta(status.count, self.status.count)
        most = ceil(self._counts_per_ns * (now_ns - self._read_ns)) + self._slack
        return 0 if -self._slack <= step <= most else step

    def count_now(self, now_ns: int) -> int:
        """Return the count that the belt has reached at most: the last reading plus the highest speed since."""
        if self.status is None:
            return 0
        return wrap(self.status.count + ceil(self._counts_per_ns * (now_ns - self._read_ns)))

    def estimate(self, now_ns: int) -> int:
        """Return the count that the belt has most likely reached: the last reading plus its present speed since."""
        if self.status is None:
            return 0
        since_ms = (now_ns - self._read_ns) / NS_PER_MS - self._config.plc_timing.scan_ms / 2
        return wrap(self.status.count + round(max(0.0, self.counts_per_ms) * max(0.0, since_ms)))
