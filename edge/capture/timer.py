"""Part edges by the clock, for benches without a line."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.capture.base import Camera, TriggerSource, closed
from edge.clock import NS_PER_MS, NS_PER_S, now_ns
from edge.core.counter import wrap
from edge.core.part import Trigger


class TimerTrigger(TriggerSource):
    """An edge every ``period_ms``, each of which triggers the camera.

    Edge ``n`` is due ``n`` periods after ``open``, so the schedule does not drift.  Periods that pass while nobody
    waits are lost as they would be on a belt: the number jumps.  T0 is when the camera was triggered.

    Args:
        period_ms: between edges.
        camera: one that can be triggered by software.
        counts_per_mm: of the encoder that there would be.
        speed_mm_s: of the belt that there would be.
        lane: copied into each trigger.
        clock: gives monotonic nanoseconds.
        sleep: waits for a time in seconds.
    """

    def __init__(
        self,
        period_ms: float,
        camera: Camera,
        counts_per_mm: float,
        speed_mm_s: float,
        lane: int = 0,
        clock: Callable[[], int] = now_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._period_ns = max(1, round(period_ms * NS_PER_MS))
        self._camera = camera
        self._counts_per_s = counts_per_mm * speed_mm_s
        self._lane = lane
        self._clock = clock
        self._sleep = sleep
        self._start_ns: int | None = None
        self._fired = 0

    def open(self) -> None:
        """Start the schedule; the first edge, number 1, is due one period later."""
        if self._start_ns is None:
            self._start_ns, self._fired = self._clock(), 0

    def close(self) -> None:
        """End the schedule."""
        self._start_ns = None

    def wait(self, timeout_s: float) -> Trigger | None:
        """Trigger the camera at the next edge and return it, as ``TriggerSource.wait``.

        Raises:
            CameraError: the source is closed, or the camera cannot be triggered by software.
        """
        if self._start_ns is None:
            raise closed(self)
        due_ns = self._start_ns + (self._fired + 1) * self._period_ns
        remaining_ns = due_ns - self._clock()
        if remaining_ns > timeout_s * NS_PER_S:
            self._sleep(max(0.0, timeout_s))
            return None
        if remaining_ns > 0:
            self._sleep(remaining_ns / NS_PER_S)
        t0_ns = max(self._clock(), due_ns)
        self._fired = (t0_ns - self._start_ns) // self._period_ns
        self._camera.software_trigger(t0_ns)
        count = (t0_ns - self._start_ns) * self._counts_per_s / NS_PER_S
        return Trigger(wrap(self._fired), wrap(int(count)), t0_ns, self._lane)
