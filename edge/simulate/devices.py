"""The line's camera and trigger line: what they show, and how they fail.

Both speak on a ZeroMQ PUB socket that queues next to nothing and never waits, as hardware does.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np
import zmq
from numpy.typing import NDArray

from edge import errors
from edge.simulate.surface import Surface

Image = NDArray[np.uint8]

MONO8, BGR8 = "mono8", "bgr8"
SEND_HWM = 8
RENDERED_AHEAD = 16


@dataclass(frozen=True)
class Faults:
    """What goes wrong, by plate index (0 is the first plate).

    Attributes:
        drop_frames: lost in transfer; the camera's counter goes on.
        corrupt_frames: arrive short.
        delay_frames, delay_triggers: index to milliseconds.
        drop_triggers: never reach the station; the PLC's own eye sees the plate.
        stop_belt: index to milliseconds that the belt stands from this plate's edge on.
        stop_plc: index to milliseconds that the PLC is in STOP from this plate's edge on; then it starts anew.
    """

    drop_frames: frozenset[int] = frozenset()
    corrupt_frames: frozenset[int] = frozenset()
    drop_triggers: frozenset[int] = frozenset()
    delay_frames: dict[int, float] = field(default_factory=dict)
    delay_triggers: dict[int, float] = field(default_factory=dict)
    stop_belt: dict[int, float] = field(default_factory=dict)
    stop_plc: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Shot:
    """What the camera sees of one plate: ``image`` (H, W) or (H, W, 3) uint8; ``defective`` None if unknown."""

    image: Image
    defective: bool | None
    classes: tuple[str, ...]


class Scene(Protocol):
    """Where images come from.  ``size`` is (width, height) in pixels."""

    size: tuple[int, int]
    color: str

    def shot(self, index: int) -> Shot:
        """Return what the camera sees of plate ``index``."""
        ...


class SurfaceScene:
    """Simulated steel, with the truth known."""

    def __init__(self, surface: Surface, size: tuple[int, int], color: str) -> None:
        self._surface = surface
        self.size = size
        self.color = color

    def shot(self, index: int) -> Shot:
        """Render plate ``index``."""
        plate = self._surface.plate(index)
        image = plate.image if self.color == MONO8 else cv2.cvtColor(plate.image, cv2.COLOR_GRAY2BGR)
        classes = tuple(sorted({defect.cls for defect in plate.defects}))
        return Shot(np.ascontiguousarray(image, np.uint8), bool(plate.defects), classes)


class Renderer:
    """Renders shots ahead in a thread of its own, so that the line's clock never waits for a picture."""

    def __init__(self, scene: Scene, last: int = 0) -> None:
        self._scene = scene
        self._last = last  # number of plates; 0 means no end
        self._shots: dict[int, Shot] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="renderer", daemon=True)

    def start(self) -> None:
        """Start, and return when the first shot is ready."""
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._shots or self._failure)

    def take(self, index: int) -> Shot | None:
        """Return the shot of plate ``index`` and free its place, or None while it is not ready.

        Raises:
            Exception: whatever ended the rendering.
        """
        with self._changed:
            if self._failure:
                raise self._failure
            shot = self._shots.pop(index, None)
            self._changed.notify_all()
            return shot

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        index = 0
        while not self._last or index < self._last:
            try:
                shot = self._scene.shot(index)
            except Exception as error:  # noqa: BLE001 - raised by take(), in the thread that runs the line
                self._put(index, None, error)
                return
            if not self._put(index, shot, None):
                return
            index += 1

    def _put(self, index: int, shot: Shot | None, failure: Exception | None) -> bool:
        with self._changed:
            if shot is not None:
                self._shots[index] = shot
            self._failure = failure
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closing or len(self._shots) < RENDERED_AHEAD)
            return not self._closing


class Broadcast:
    """A PUB socket bound to ``endpoint`` that never blocks and keeps nothing for a station that is not there.

    Raises:
        PortBusy: the endpoint cannot be bound.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, name: str) -> None:
        self._socket = context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, SEND_HWM)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._socket.close()
            raise errors.PortBusy(
                f"The {name} endpoint {endpoint} cannot be bound ({error}).", f"choose another --{name} endpoint"
            ) from error
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def send(self, header: dict[str, Any], *payload: bytes | memoryview) -> None:
        """Send a JSON header and raw parts; lost where nobody listens."""
        self._socket.send_multipart([json.dumps(header).encode(), *payload])

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
