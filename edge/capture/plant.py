"""Camera and part eye of the simulated plant: two ZeroMQ SUB sockets.

Eye, single part, JSON::

    {"kind": "trigger", "number": n, "count": c, "t0_ns": ns, "epoch": e}     at each edge
    {"kind": "hello", "number": last, "count": now, "epoch": e}               every 100 ms

Camera, two parts, JSON and raw pixels::

    {"kind": "frame", "counter": f, "exposed_ns": ns, "width": w, "height": h, "color": "mono8" | "bgr8", "tag": t,
     "count": c}                                          "count", of the encoder at the exposure, may be left out
    {"kind": "hello", "counter": last, "width": w, "height": h, "color": "mono8" | "bgr8"}    every 100 ms, no pixels

Counters are unsigned 32 bit, times are this host's monotonic clock.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated

import msgspec
import zmq

from edge.capture.base import Camera, Device, TriggerSource, closed, frame_shape
from edge.clock import NS_PER_MS, NS_PER_S, now_ns
from edge.config import Color
from edge.core.part import FrameInfo, Trigger
from edge.core.pool import Frame
from edge.errors import CameraError

HELLO_TIMEOUT_S = 2.0
"""How long ``open`` waits for the first hello: 20 of its periods."""

_CAMERA_HWM = 4
_EYE_HWM = 64
_DISCARD = bytearray()

U32 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]
Nanoseconds = Annotated[int, msgspec.Meta(ge=0, le=0x7FFF_FFFF_FFFF_FFFF)]
Tag = Annotated[str, msgspec.Meta(max_length=256)]


class _Edge(msgspec.Struct, tag_field="kind", tag="trigger", frozen=True):
    number: U32
    count: U32
    t0_ns: Nanoseconds
    epoch: U32


class _EyeHello(msgspec.Struct, tag_field="kind", tag="hello", frozen=True):
    number: U32
    count: U32
    epoch: U32


class _FrameHeader(msgspec.Struct, tag_field="kind", tag="frame", frozen=True):
    counter: U32
    exposed_ns: Nanoseconds
    width: U32
    height: U32
    color: Color
    tag: Tag
    count: U32 | None = None


class _CameraHello(msgspec.Struct, tag_field="kind", tag="hello", frozen=True):
    counter: U32
    width: U32
    height: U32
    color: Color


_eye_decoder = msgspec.json.Decoder(_Edge | _EyeHello)
_camera_decoder = msgspec.json.Decoder(_FrameHeader | _CameraHello)


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Subscriber:
    """A SUB socket with a context of its own, so that closing it leaves nothing behind."""

    def __init__(self, endpoint: str, high_water_mark: int) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.SUB)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.RCVHWM, high_water_mark)
        self.socket.subscribe(b"")
        try:
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise CameraError(f"Endpoint {endpoint!r} cannot be used: {error}.", "correct endpoint.") from None

    def headers(self, deadline_ns: int) -> Iterator[bytes]:
        """Yield the first part of each message until ``deadline_ns``; what is left of the one before is dropped."""
        while True:
            wait_ms = max(0, math.ceil((deadline_ns - now_ns()) / NS_PER_MS))
            if not self.socket.poll(wait_ms):
                return
            yield self.socket.recv()
            self.drop_rest()
            if now_ns() >= deadline_ns:  # a flood of other messages must not hold the caller
                return

    def more(self) -> bool:
        """Say whether the present message has another part."""
        return bool(self.socket.get(zmq.RCVMORE))

    def drop_rest(self) -> bool:
        """Receive what is left of the present message.  Say whether anything was."""
        extra = False
        while self.more():
            self.socket.recv_into(_DISCARD)
            extra = True
        return extra

    def close(self) -> None:
        self.socket.close(linger=0)
        self._context.term()


class _PlantDevice(Device):
    """What camera and eye share: a socket, the hello that ``open`` awaits, and the count of what made no sense.

    Args:
        what: the device in words, and the section of the configuration that names its endpoint.
        endpoint: where it publishes.
        high_water: messages that may wait.
        hello_timeout_s: how long ``open`` waits for it.
    """

    def __init__(self, what: tuple[str, str], endpoint: str, high_water: int, hello_timeout_s: float) -> None:
        self.malformed = 0
        self._what = what
        self._endpoint = endpoint
        self._high_water = high_water
        self._hello_timeout_s = hello_timeout_s
        self._subscriber: _Subscriber | None = None
        self._heard_ns = 0

    @property
    def heard_ns(self) -> int:
        """When the last understood message came, a hello among them, monotonic."""
        return self._heard_ns

    def open(self) -> None:
        """Connect and wait for the device's hello; what comes before it is skipped.  Raises as ``Device.open``."""
        if self._subscriber is not None:
            return
        self._subscriber = _Subscriber(self._endpoint, self._high_water)
        try:
            self._await_hello(self._subscriber)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Disconnect."""
        if self._subscriber is not None:
            self._subscriber.close()
            self._subscriber = None

    def _await_hello(self, subscriber: _Subscriber) -> None:
        for data in subscriber.headers(now_ns() + int(self._hello_timeout_s * NS_PER_S)):
            if self._is_hello(subscriber, data):
                return
        device, section = self._what
        raise CameraError(
            f"No {device} said hello at {self._endpoint} within {self._hello_timeout_s:g} s.",
            f"start the plant, or correct {section}.endpoint.",
        )

    @abstractmethod
    def _is_hello(self, subscriber: _Subscriber, data: bytes) -> bool:
        """Take one message while ``open`` waits.  Raises ``CameraError`` for a hello that is not as agreed."""


class PlantCamera(_PlantDevice, Camera):
    """The plant's camera, triggered by the plant's eye.

    Args:
        endpoint: where the camera publishes.
        width, height, color: what it must deliver.
        hello_timeout_s: how long ``open`` waits for it.

    Attributes:
        malformed: messages that could not be understood and were skipped.
    """

    def __init__(
        self, endpoint: str, width: int, height: int, color: Color, hello_timeout_s: float = HELLO_TIMEOUT_S
    ) -> None:
        Camera.__init__(self, width, height, color)
        _PlantDevice.__init__(self, ("camera", "camera"), endpoint, _CAMERA_HWM, hello_timeout_s)

    def _is_hello(self, subscriber: _Subscriber, data: bytes) -> bool:
        message = self._understand(data)
        if not isinstance(message, _CameraHello):
            return False
        subscriber.drop_rest()
        self._check(message)
        return True

    def _understand(self, data: bytes) -> _FrameHeader | _CameraHello | None:
        try:
            message: _FrameHeader | _CameraHello = _camera_decoder.decode(data)
        except _UNREADABLE:
            self.malformed += 1
            return None
        self._heard_ns = now_ns()
        return message

    def _check(self, hello: _CameraHello) -> None:
        shape = frame_shape(hello.width, hello.height, hello.color)
        if shape != self.shape or hello.color != self.color:
            raise CameraError(
                f"The camera at {self._endpoint} delivers {hello.width} x {hello.height} {hello.color}, "
                f"and {self.shape[1]} x {self.shape[0]} {self.color} is configured.",
                "make camera.width, camera.height and camera.color agree with the camera.",
            )

    def _grab(self, into: Frame, timeout_s: float) -> FrameInfo | None:
        subscriber = self._subscriber
        if subscriber is None:
            raise closed(self)
        for data in subscriber.headers(now_ns() + int(timeout_s * NS_PER_S)):
            message = self._understand(data)
            if isinstance(message, _FrameHeader):
                return self._receive(subscriber, message, into)
        return None

    def _receive(self, subscriber: _Subscriber, header: _FrameHeader, into: Frame) -> FrameInfo:
        """Receive the pixels into the slot.  ``recv_into`` cuts what exceeds it, and returns the length sent."""
        received = subscriber.socket.recv_into(into.data) if subscriber.more() else 0
        extra = subscriber.drop_rest()
        same = frame_shape(header.width, header.height, header.color) == self.shape and header.color == self.color
        return FrameInfo(
            counter=header.counter,
            exposed_ns=header.exposed_ns,
            t1_ns=now_ns(),
            intact=same and received == into.nbytes and not extra,
            tag=header.tag,
            count=header.count,
        )


class PlantTrigger(_PlantDevice, TriggerSource):
    """The plant's part eye, which latches the encoder count in hardware.

    ``core.part.Trigger`` has no epoch, so ``epoch`` is an attribute: it belongs to the trigger that ``wait`` returned
    last, and also follows hellos.  When it has changed, earlier counts mean nothing any more.

    Args:
        endpoint: where the eye publishes.
        lane: lane of the belt, copied into each trigger.
        hello_timeout_s: how long ``open`` waits for it.

    Attributes:
        last_number: the newest number that the eye has named, in a trigger or a hello.  After ``open``, the first
            trigger to come is the one after it.
        malformed: messages that could not be understood and were skipped.
    """

    def __init__(self, endpoint: str, lane: int = 0, hello_timeout_s: float = HELLO_TIMEOUT_S) -> None:
        super().__init__(("part eye", "trigger"), endpoint, _EYE_HWM, hello_timeout_s)
        self.epoch = 0
        self.last_number: int = 0
        self._lane = lane

    def wait(self, timeout_s: float) -> Trigger | None:
        """Return the next edge, as ``TriggerSource.wait``."""
        subscriber = self._subscriber
        if subscriber is None:
            raise closed(self)
        for data in subscriber.headers(now_ns() + int(timeout_s * NS_PER_S)):
            message = self._understand(data, subscriber.drop_rest())
            if isinstance(message, _Edge):
                return Trigger(message.number, message.count, message.t0_ns, self._lane)
        return None

    def _is_hello(self, subscriber: _Subscriber, data: bytes) -> bool:
        return isinstance(self._understand(data, subscriber.drop_rest()), _EyeHello)

    def _understand(self, data: bytes, had_more_parts: bool) -> _Edge | _EyeHello | None:
        try:
            message: _Edge | _EyeHello | None = None if had_more_parts else _eye_decoder.decode(data)
        except _UNREADABLE:
            message = None
        if message is None:
            self.malformed += 1
            return None
        self._heard_ns = now_ns()
        self.epoch, self.last_number = message.epoch, message.number
        return message
