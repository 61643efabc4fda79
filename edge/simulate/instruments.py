"""The line's eye and camera as they speak to the station, and how they fail while they run.

Neither waits for anybody.  A frame is exposed when the eye's edge fires it, and sent when it has been transferred; a
fault acts where the message leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from edge import clock
from edge.simulate.devices import BGR8, Broadcast, Faults, Renderer, Scene, Shot
from edge.simulate.judge import Judge
from edge.simulate.world import COUNTER_SPAN, Event

EXPOSURE_NS = 2 * clock.NS_PER_MS  # after the eye's edge
TRANSFER_NS = 4 * clock.NS_PER_MS  # from exposure to the whole frame
RENDER_RETRY_NS = clock.NS_PER_MS
KEEP_NS = 2 * clock.NS_PER_S  # a picture, after its plate has met the gate
BARE_BELT = "bare belt"  # the tag of a frame that shows no plate

Schedule = Callable[[int, Callable[[int], object]], None]
"""Does something at a time, in monotonic ns."""


class Trigger(NamedTuple):
    """What the eye's counter card sends at a rising edge."""

    header: dict[str, Any]


class Frame(NamedTuple):
    """What the camera sends: header and pixels."""

    header: dict[str, Any]
    pixels: bytes | memoryview


Message = TypeVar("Message", Trigger, Frame)
Spoil = Callable[[Message], list[tuple[int, Message]]]
"""What a fault makes of a message: copies, each with an extra delay in ns; none loses it."""


class Line(Generic[Message]):
    """Where messages leave: the next few may be spoiled, or nothing leaves at all.

    Attributes:
        silent: messages are lost, hellos go on.
        gone: nothing leaves, hellos neither.
    """

    def __init__(self) -> None:
        self.silent = self.gone = False
        self._left = 0
        self._spoil: Spoil[Message] | None = None
        self._done: Callable[[], None] | None = None

    def spoil_next(self, messages: int, spoil: Spoil[Message], done: Callable[[], None]) -> None:
        """Spoil the next few messages, then call ``done``."""
        self._left, self._spoil, self._done = messages, spoil, done

    def leave(self, message: Message) -> list[tuple[int, Message]]:
        """Return what becomes of a message: copies, each with an extra delay in ns."""
        sent = [(0, message)]
        if self._spoil is not None:
            sent, self._left = self._spoil(message), self._left - 1
            if self._left <= 0 and self._done is not None:
                self._spoil = None
                self._done()
        return [] if self.silent or self.gone else sent


class Eye:
    """The counter card's line to the station."""

    def __init__(self, out: Broadcast, at: Schedule, faults: Faults) -> None:
        self.line: Line[Trigger] = Line()
        self._out, self._at, self._faults = out, at, faults

    def fire(self, event: Event, epoch: int) -> None:
        """Tell of a rising edge."""
        index = event.plate.index if event.plate else None
        if index in self._faults.drop_triggers:
            return
        header = {"kind": "trigger", "number": event.number, "count": event.count, "t0_ns": event.at_ns, "epoch": epoch}
        planned_ns = round(self._faults.delay_triggers.get(index, 0.0) * clock.NS_PER_MS) if index is not None else 0
        for delay_ns, trigger in self.line.leave(Trigger(header)):
            self._send_at(event.at_ns + planned_ns + delay_ns, trigger)

    def _send_at(self, at_ns: int, trigger: Trigger) -> None:
        self._at(at_ns, lambda _: self._out.send(trigger.header))

    def hello(self, number: int, count: int, epoch: int) -> None:
        """Say that the card is alive, and what it reads."""
        if not self.line.gone:
            self._out.send({"kind": "hello", "number": number, "count": count, "epoch": epoch})


class Camera:
    """The camera: its counter counts exposures, whatever becomes of the frames.

    Attributes:
        counter: of the next frame, 32 bit.
        frames_late: how often a picture was not rendered in time.
    """

    def __init__(
        self, out: Broadcast, at: Schedule, scene: Scene, renderer: Renderer, judge: Judge, faults: Faults, counter: int
    ) -> None:
        self.line: Line[Frame] = Line()
        self.counter = counter
        self.frames_late = 0
        self._out, self._at, self._scene, self._renderer, self._judge = out, at, scene, renderer, judge
        self._faults = faults
        self._shots: dict[int, Shot] = {}  # of the plates between eye and gate
        self._taken = 0  # shots taken from the renderer so far
        width, height = scene.size
        shape = (height, width, 3) if scene.color == BGR8 else (height, width)
        self._bare = Shot(np.zeros(shape, np.uint8), None, ())

    def expose(self, exposed_ns: int, index: int | None, tag: str = BARE_BELT) -> None:
        """Take a frame of plate ``index``, or of the bare belt."""
        header = self._header("frame", self.counter) | {"exposed_ns": exposed_ns, "tag": tag}
        self.counter = (self.counter + 1) % COUNTER_SPAN
        self._at(exposed_ns + TRANSFER_NS, lambda now_ns: self._transfer(now_ns, index, header))

    def hello(self) -> None:
        """Say that the camera is alive, and what its counter reads."""
        if not self.line.gone:
            self._out.send(self._header("hello", (self.counter - 1) % COUNTER_SPAN), b"")

    def forget(self, now_ns: int, index: int) -> None:
        """Note that a plate has met the gate, whether the eye saw it or not."""
        shot = self._look(index)
        if shot is not None:
            self._judge.on_truth(index, shot.defective, shot.classes)
        self._at(now_ns + KEEP_NS, lambda _: self._shots.pop(index, None))

    def _header(self, kind: str, counter: int) -> dict[str, Any]:
        width, height = self._scene.size
        return {"kind": kind, "counter": counter, "width": width, "height": height, "color": self._scene.color}

    def _look(self, index: int) -> Shot | None:
        """Return what is to be seen of a plate, None while it is not rendered.

        Plates come in order, so those before it, which the eye may have missed, free their places too.
        """
        while self._taken <= index:
            shot = self._renderer.take(self._taken)
            if shot is None:
                return None
            self._judge.on_truth(self._taken, shot.defective, shot.classes)
            self._shots[self._taken] = shot
            self._taken += 1
        return self._shots.get(index, self._bare)

    def _transfer(self, now_ns: int, index: int | None, header: dict[str, Any]) -> None:
        shot = self._bare if index is None else self._look(index)
        if shot is None:
            self.frames_late += 1
            self._at(now_ns + RENDER_RETRY_NS, lambda retry_ns: self._transfer(retry_ns, index, header))
            return
        pixels, planned_ns = shot.image.data.cast("B"), 0
        if index is not None:
            if index in self._faults.drop_frames:
                return
            if index in self._faults.corrupt_frames:
                pixels = pixels[: len(pixels) // 2]
            planned_ns = round(self._faults.delay_frames.get(index, 0.0) * clock.NS_PER_MS)
        for delay_ns, frame in self.line.leave(Frame(header, pixels)):
            self._send_at(now_ns + planned_ns + delay_ns, index, frame)

    def _send_at(self, at_ns: int, index: int | None, frame: Frame) -> None:
        self._at(at_ns, lambda _: self._send(index, frame))

    def _send(self, index: int | None, frame: Frame) -> None:
        self._out.send(frame.header, frame.pixels)
        if index is not None:
            self._judge.on_frame_sent(index)
