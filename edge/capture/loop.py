"""The threads that stand at the camera and at the part eye.  They decide nothing: they post what came."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge import flight
from edge.capture.base import Camera, TriggerSource
from edge.capture.events import (
    CAMERA,
    TRIGGER,
    CaptureEvent,
    EpochChanged,
    FrameArrived,
    FrameLost,
    FramesMissed,
    TriggerEvent,
    TriggersLost,
)
from edge.capture.thread import WAIT_S, DeviceThread
from edge.clock import now_ns
from edge.core.counter import delta
from edge.core.part import FrameInfo
from edge.core.pool import Frame, FramePool, Lease, Purpose

EXHAUSTED_WAIT_S = 0.005
"""Wait without a slot: short, so that one that falls free is taken before the next frame comes."""


class CaptureThread(DeviceThread):
    """Puts each frame into a slot and posts it.

    A frame that finds no slot is received into a spare one and posted as lost, so that its part gets its cause.
    A counter that goes backwards is no gap: it shows in ``FrameInfo.counter`` alone.

    Args:
        camera: an open camera.
        pool: of slots of the camera's shape.
        post: takes the events, from this thread; it must return at once.  Each lease is released here, or passed on
            with ``FrameArrived``.
    """

    def __init__(self, camera: Camera, pool: FramePool, post: Callable[[CaptureEvent], None]) -> None:
        super().__init__("capture", CAMERA, camera, post)
        self._camera = camera
        self._pool = pool
        self._post = post
        self._spare: Frame = np.zeros(camera.shape, np.uint8)
        self._lease: Lease | None = None
        self._last: int | None = None

    def _step(self) -> None:
        if self._lease is None:
            self._lease = self._pool.lease(Purpose.CAPTURE)
        if self._lease is None:
            info = self._camera.grab(self._spare, EXHAUSTED_WAIT_S)
        else:
            info = self._camera.grab(self._pool.frame(self._lease), WAIT_S)
        if info is not None:
            flight.mark("captured", info.counter)
            self._count(info)
            self._hand_on(info)

    def _count(self, info: FrameInfo) -> None:
        missed = 0 if self._last is None else delta(info.counter, self._last) - 1
        self._last = info.counter
        if missed > 0:
            self._post(FramesMissed(missed))

    def _hand_on(self, info: FrameInfo) -> None:
        if not info.intact:
            self._give_back()
            self._post(FrameLost(info, "frame_corrupt"))
        elif self._lease is None:
            self._post(FrameLost(info, "pool_exhausted"))
        else:
            lease, self._lease = self._lease, None
            self._post(FrameArrived(lease, info))

    def _reopened(self) -> None:
        self._last = None

    def _give_back(self) -> None:
        if self._lease is not None:
            self._pool.release(self._lease)
            self._lease = None


class TriggerThread(DeviceThread):
    """Posts each edge, and tells of one that was lost even where no later edge shows it.

    Args:
        source: an open source.
        post: takes the events, from this thread; it must return at once.
        patience_ns: how long an edge may stay behind its number before it counts as lost.
        clock: gives monotonic nanoseconds.
    """

    def __init__(
        self,
        source: TriggerSource,
        post: Callable[[TriggerEvent], None],
        patience_ns: int,
        clock: Callable[[], int] = now_ns,
    ) -> None:
        super().__init__("trigger", TRIGGER, source, post, clock)
        self._source, self._post = source, post
        self._patience_ns = patience_ns
        self._epoch = source.epoch
        self._number = source.last_number
        self._ahead_ns: int | None = None

    def _step(self) -> None:
        trigger = self._source.wait(WAIT_S)
        if self._source.epoch != self._epoch:
            self._epoch = self._source.epoch
            self._post(EpochChanged(self._epoch))
        if trigger is not None:
            flight.mark("edge", trigger.number)
            self._number, self._ahead_ns = trigger.number, None
            self._post(trigger)
        else:
            self._watch_for_lost()

    def _watch_for_lost(self) -> None:
        named = self._source.last_number
        if named is None or self._number is None or delta(named, self._number) <= 0:
            self._number, self._ahead_ns = named, None  # also where the counter began anew
            return
        now = self._clock()
        if self._ahead_ns is None:
            self._ahead_ns = now
        if now - self._ahead_ns >= self._patience_ns:
            self._number, self._ahead_ns = named, None
            self._post(TriggersLost(named))

    def _reopened(self) -> None:
        self._ahead_ns = None  # an edge that came meanwhile is missed as any other: by the number ahead of it
