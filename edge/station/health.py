"""How the station is, in a word and a reason.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edge.clock import NS_PER_S
from edge.core.outcome import Outcome
from edge.core.part import Part

SILENT_TRIGGERS = 2
"""A camera that delivered nothing for this many triggers in a row is called silent."""

UNHEARD_NS = NS_PER_S
"""A device that has sent nothing for this long, not even its own heartbeat, is gone."""

UNDECIDED_IN_A_ROW = 5


class Health:
    """Watches devices and outcomes.

    Args:
        alive: by device, when it last showed that it is alive, monotonic.
        silent_ns: how long a camera may deliver nothing while parts are triggered.
    """

    def __init__(self, alive: Mapping[str, Callable[[], int]], silent_ns: int) -> None:
        self._alive, self._silent_ns = alive, silent_ns
        self._frame_ns = self._trigger_ns = 0
        self._frameless = 0  # triggers in a row for which no frame came
        self._undecided = 0  # parts in a row

    def triggered(self, now: int) -> None:
        """Note a trigger."""
        self._trigger_ns = now

    def framed(self, now: int) -> None:
        """Note a frame, with or without pixels."""
        self._frame_ns, self._frameless = now, 0

    def concluded(self, part: Part) -> None:
        """Note a closed part."""
        if part.verdict is not None:
            self._frameless += part.verdict.cause == "frame_missing"
            self._undecided = self._undecided + 1 if part.verdict.outcome is Outcome.NO_DECISION else 0

    def unheard(self, now: int) -> str | None:
        """Return which device has not shown that it is alive, or None."""
        for name, heard_ns in self._alive.items():
            if now - heard_ns() > UNHEARD_NS:
                return name
        return None

    def state(self, now: int) -> tuple[str, str]:
        """Return FAULT, WARNING or RUNNING, and why."""
        if (device := self.unheard(now)) is not None:
            return "FAULT", f"the {device} shows no sign of life"
        waiting = self._trigger_ns > self._frame_ns and now - self._trigger_ns > self._silent_ns
        if waiting or self._frameless >= SILENT_TRIGGERS:
            return "FAULT", "the camera delivers nothing while parts are triggered"
        if self._undecided >= UNDECIDED_IN_A_ROW:
            return "WARNING", "part after part ends without a decision; see the causes"
        return "RUNNING", ""
