"""How the station is, in a word and a reason.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edge.capture.events import CAMERA
from edge.capture.thread import UNHEARD_NS
from edge.core.outcome import Outcome
from edge.core.part import Part

SILENT_TRIGGERS = 2
"""A camera that delivered nothing for this many triggers in a row is called silent."""

BLIND_PARTS = 5
"""After this many parts in a row without a frame the camera is closed and opened again: more than frames get lost."""

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
        self._reopening = False  # the camera is being opened anew for it
        self._undecided = 0  # parts in a row
        self._lost: dict[str, str] = {}  # device -> why

    def triggered(self, now: int) -> None:
        """Note a trigger."""
        self._trigger_ns = now

    def framed(self, now: int) -> None:
        """Note a frame, with or without pixels."""
        self._frame_ns, self._frameless, self._reopening = now, 0, False

    def lost(self, device: str, text: str) -> None:
        """Note that a device is gone, and why."""
        self._lost[device] = text

    def back(self, device: str) -> None:
        """Note that a device is there again; what the camera failed to deliver is no longer held against it."""
        self._lost.pop(device, None)
        if device == CAMERA:
            self._frame_ns, self._frameless, self._reopening = self._trigger_ns, 0, False

    def take_reopening(self) -> bool:
        """Say, once, that the camera should be opened anew: part after part gets no frame, and none says why."""
        wanted = self._frameless >= BLIND_PARTS and not self._reopening and not self._lost
        self._reopening = self._reopening or wanted
        return wanted

    def concluded(self, part: Part) -> None:
        """Note a closed part."""
        if part.verdict is not None:
            self._frameless += part.verdict.cause == "frame_missing"
            self._undecided = self._undecided + 1 if part.verdict.outcome is Outcome.NO_DECISION else 0

    def alarms(self, now: int, gone: Mapping[str, str]) -> dict[str, str]:
        """Return what is wrong, by device: what is ``gone``, and a camera that is there and delivers nothing."""
        alarms = dict(gone)
        waiting = self._trigger_ns > self._frame_ns and now - self._trigger_ns > self._silent_ns
        if waiting or self._frameless >= SILENT_TRIGGERS:
            alarms.setdefault(CAMERA, "the camera delivers nothing while parts are triggered")
        return alarms

    def gone(self, now: int) -> dict[str, str]:
        """Return the devices that are not there, and why; while there is one, no parts may be sent."""
        gone = {device: f"the {device} is gone: {text}" for device, text in self._lost.items()}
        for device, heard_ns in self._alive.items():
            if now - heard_ns() > UNHEARD_NS:
                gone.setdefault(device, f"the {device} shows no sign of life")
        return gone

    def state(self, alarms: Mapping[str, str]) -> tuple[str, str]:
        """Return FAULT, WARNING or RUNNING, and why."""
        for text in alarms.values():
            return "FAULT", text
        if self._undecided >= UNDECIDED_IN_A_ROW:
            return "WARNING", "part after part ends without a decision; see the causes"
        return "RUNNING", ""
