"""Where parts are: the configured source of a part's count, and what is known of the belt.  Pure."""

from __future__ import annotations

from dataclasses import replace

from edge.config import StationConfig
from edge.core.counter import wrap
from edge.core.part import FrameInfo, Trigger
from edge.core.position import TimePosition, Track
from edge.wire import messages as wire

JUMPED = 3
"""This many parts in a row behind the high-water count, with no session to fear for, tell of an encoder that jumped.
Under a session the gateway tells a jump from a belt that ran backwards, and grants a new one."""


class Places:
    """Gives each part its count, and says how far the belt may have come.

    What it says of the belt is an upper bound, and one that a delayed heartbeat of the gateway can make too low.  So
    it only spares the gateway verdicts that come too late: the checks that count are the gateway's and the PLC's.

    Args:
        config: of the station.
    """

    def __init__(self, config: StationConfig) -> None:
        line, position = config.line, config.position
        k = line.counts_per_mm
        self.source = position.source
        self.track = Track(k * line.speed_max_mm_s, round(k * line.backlash_mm))
        self._time = TimePosition(k, line.speed_max_mm_s)
        self._behind_in_row = 0
        self._offset = round(k * position.camera_offset_mm)

    def at_edge(self, trigger: Trigger) -> Trigger:
        """Return ``trigger`` with the count that holds for it: None where another source has yet to tell it."""
        if self.source == "eye":
            return trigger
        count = self._time.count_at(trigger.t0_ns) if self.source == "time" else None
        return replace(trigger, count=count)

    def of_frame(self, info: FrameInfo) -> int | None:
        """Return the count of the part that a frame shows, None where the camera does not tell it."""
        return None if info.count is None else wrap(info.count - self._offset)

    def is_misplaced(self, count: int | None) -> bool:
        """True for a part behind the belt's high-water count, and for one whose source should have told and did not."""
        return self.source in ("eye", "time") if count is None else self.track.is_behind(count)

    def passed(self, count: int, t0_ns: int, now_ns: int, permitting: bool) -> None:
        """Note that a part's edge was at ``count`` at its T0; ``permitting``: parts can get permits at all."""
        self._behind_in_row = self._behind_in_row + 1 if self.track.is_behind(count) else 0
        if self._behind_in_row >= JUMPED and not permitting:
            self.track.fenced()
        if t0_ns <= now_ns:  # else it is on another clock
            self.track.seen(count, t0_ns)

    def heard(self, beat: wire.GatewayBeat, now_ns: int) -> None:
        """Take the gateway's word on how far the belt may have come."""
        if beat.plc_ok and self.source != "time":
            self.track.bounded(beat.count, now_ns)
