"""A plant that goes away and comes back with other counters, before the real camera and eye and a real station.

Sockets, threads, pool, matcher and ledger are real; plant and gateway are played, by the other end of what they use.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq
from numpy.typing import NDArray

from edge import config as cfg
from edge.capture.events import CAMERA, TRIGGER
from edge.capture.loop import CaptureThread, TriggerThread
from edge.capture.plant import PlantCamera, PlantTrigger
from edge.clock import NS_PER_MS, NS_PER_S, now_ns
from edge.core.ledger import PartLedger
from edge.core.match import Matcher
from edge.core.outcome import Outcome
from edge.core.part import Part, Verdict
from edge.core.pool import FramePool, Purpose
from edge.core.rules import Rule
from edge.station.health import BLIND_PARTS
from edge.station.inspection import InspectThread
from edge.station.interfaces import StationEvent
from edge.station.loop import Station
from edge.station.mailbox import Mailbox
from edge.wire import messages as wire
from edge.wire.publisher import Publisher
from edge.wire.sockets import waiter
from tests.support_station import GRANT, RECIPE, Memory, Reported

WIDTH = HEIGHT = 16
SLOTS = 8
PITCH_S = 0.025
HELLO_S = 0.02
TIMEOUT_NS = 400 * NS_PER_MS
PATIENCE_S = 10.0


class Device:
    """One device of the plant: a PUB socket, where nobody listens while it is away.

    Attributes:
        said_ns: when it last said hello; None: it says none.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self.there()

    @property
    def is_there(self) -> bool:
        """Whether it is there."""
        return self._socket is not None

    def there(self) -> None:
        """Come back."""
        self._socket = self._context.socket(zmq.PUB)
        self._socket.bind(self._endpoint)

    def gone(self) -> None:
        """Go away, with all that is under way."""
        if self._socket is not None:
            self._socket.close(0)
            self._socket = None

    def say(self, message: dict[str, object], *pixels: bytes) -> None:
        """Publish, where it is there."""
        if self._socket is not None:
            self._socket.send_multipart([json.dumps(message).encode(), *pixels])

    def close(self) -> None:
        """Go away for good."""
        self.gone()
        self._context.term()


class ReadsLevel:
    """Rejects bright frames: every second part is bad, by its number in the plant's own books."""

    def inspect(self, frame: NDArray[np.uint8], rules: Sequence[Rule]) -> Verdict:  # noqa: ARG002
        return Verdict(Outcome.REJECT, "rule", rule="any") if frame[0, 0] > 127 else Verdict(Outcome.PASS, "clean")


class Line:
    """A plant whose parts come when the test says so, and the station at it.

    Attributes:
        number, counter: of the eye and of the camera; the test may set them, as a restart would.
        bad: T0 of each part -> whether it is bad.
    """

    def __init__(self, folder: Path) -> None:
        self.camera, self.eye = (Device(f"ipc://{folder}/{name}") for name in ("camera", "eye"))
        self.number, self.counter, self.count = 41, 7, 0
        self.delivers = True
        self.bad: dict[int, bool] = {}
        self._hello_s = 0.0
        self.config = cfg.parse({"recipe": RECIPE}, cfg.StationConfig, "test")
        self.mailbox: Mailbox[StationEvent] = Mailbox()
        self.gateway, self.reports, self.sessions = Memory(), Reported(), 0
        self.said: list[wire.ToGateway] = []
        pool = FramePool(SLOTS, (HEIGHT, WIDTH), {Purpose.CAPTURE: SLOTS, Purpose.INSPECTION: SLOTS - 2}, poison=True)
        self.pool = pool
        self.ledger = PartLedger(32, 2 * TIMEOUT_NS, TIMEOUT_NS, 600, 600_000, 400)
        self.inspect = InspectThread(ReadsLevel(), pool, self.mailbox.post)
        self.inspect.start()
        self.devices = (
            PlantCamera(f"ipc://{folder}/camera", WIDTH, HEIGHT, "mono8", 0.2),
            PlantTrigger(f"ipc://{folder}/eye", 0, 0.2),
        )
        self._open()
        capture = CaptureThread(self.devices[0], pool, self.mailbox.post)
        triggers = TriggerThread(self.devices[1], self.mailbox.post, TIMEOUT_NS)
        self.threads = capture, triggers
        self.station = Station(
            self.config,
            self.ledger,
            Matcher(NS_PER_MS, 10 * NS_PER_MS, sync_pairs=1),
            pool,
            self.mailbox,
            self.inspect,
            Publisher(self.config, self.gateway, "test"),
            self.reports,
            {CAMERA: lambda: capture.heard_ns, TRIGGER: lambda: triggers.heard_ns},
            lambda _: (),
            waiter(self.mailbox.fd),
            reopen_camera=capture.reopen,
        )
        for thread in self.threads:
            thread.start()

    def _open(self) -> None:
        opened = threading.Event()

        def greet() -> None:
            while not opened.wait(0.005):
                self._greet()

        thread = threading.Thread(target=greet)
        thread.start()
        for device in self.devices:
            device.open()
        opened.set()
        thread.join()

    def close(self) -> None:
        for thread in self.threads:
            assert thread.stop()
        assert self.inspect.stop()
        self.station.finish()
        for device in self.devices:
            device.close()
        self.camera.close()
        self.eye.close()
        self.mailbox.close()

    def _greet(self) -> None:
        size = {"width": WIDTH, "height": HEIGHT, "color": "mono8"}
        self.camera.say({"kind": "hello", "counter": self.counter, **size}, b"")
        self.eye.say({"kind": "hello", "number": self.number, "count": self.count, "epoch": 1})

    def run(self, seconds: float) -> None:
        """Let time pass, with hellos, turns of the station and answers of the gateway."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if time.monotonic() - self._hello_s > HELLO_S:
                self._hello_s = time.monotonic()
                self._greet()
            self.gateway.to_come.append(wire.encode(wire.GatewayBeat(beat=1, plc_ok=False, count=0, mode="auto")))
            self.station.turn()
            while self.gateway.sent:
                self.said.append(message := wire.decode_to_gateway(self.gateway.sent.popleft()))
                if isinstance(message, wire.Hello):
                    self.sessions += 1
                    grant = msgspec.structs.replace(GRANT, session=self.sessions)
                    self.gateway.to_come.append(wire.encode(grant))

    def until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end, f"it never came to that; {self.reports.notes}"
            self.run(0.01)

    def parts(self, parts: int) -> list[Part]:
        """Let parts go by, and return those that the station has closed meanwhile, in order of their edges."""
        before = len(self.reports.ended)
        for _ in range(parts):
            t0, self.number, self.counter, self.count = now_ns(), self.number + 1, self.counter + 1, self.count + 500
            bad = self.bad[t0] = self.number % 2 == 0
            self.eye.say({"kind": "trigger", "number": self.number, "count": self.count, "t0_ns": t0, "epoch": 1})
            if self.delivers:
                frame = {"kind": "frame", "counter": self.counter, "exposed_ns": t0, "tag": str(t0)}
                size = {"width": WIDTH, "height": HEIGHT, "color": "mono8"}
                self.camera.say({**frame, **size}, bytes([255 * bad]) * (WIDTH * HEIGHT))
            self.run(PITCH_S)
        self.run(1.2 * TIMEOUT_NS / NS_PER_S)
        return sorted(self.reports.ended[before:], key=lambda part: part.trigger.t0_ns)

    def judged(self, part: Part) -> str:
        """Return the outcome of a part, or how it is wrong."""
        assert part.verdict is not None
        if part.frame is not None and part.frame.tag != str(part.trigger.t0_ns):
            return "another part's frame"
        expected = Outcome.REJECT if self.bad[part.trigger.t0_ns] else Outcome.PASS
        return "right" if part.verdict.outcome is expected else part.verdict.cause

    def ready(self) -> bool:
        """Return what the last heartbeat said."""
        beats = [message for message in self.said if isinstance(message, wire.Heartbeat)]
        return bool(beats) and beats[-1].ready

    def goodbyes(self) -> int:
        """Return how often the station has given its session back."""
        return sum(isinstance(message, wire.Goodbye) for message in self.said)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with closing(Line(tmp_path)) as made:
        made.until(made.ready)
        assert [made.judged(part) for part in made.parts(4)] == ["right"] * 4
        yield made
    assert made.pool.occupancy()["free"] == SLOTS
    assert made.ledger.reconciles()


def test_a_plant_that_comes_back_with_other_counters_is_followed_behind_a_new_session(line: Line) -> None:
    line.camera.gone()
    line.eye.gone()
    line.until(lambda: ["is gone: The" in text for text in line.reports.alarms.values()] == [True, True])
    assert line.reports.state[0] == "FAULT"
    line.until(lambda: not line.ready())
    line.parts(2)  # that nobody sees
    said_before = line.goodbyes()
    line.number, line.counter = 900, 2
    line.camera.there()
    line.eye.there()
    line.until(lambda: not line.reports.alarms and line.ready())
    assert line.goodbyes() > said_before
    assert line.reports.reconnects == {"camera": 1, "trigger": 1}
    found = [line.judged(part) for part in line.parts(6)]
    assert set(found) <= {"right", "not_synchronised"}
    assert found[-4:] == ["right"] * 4


def test_a_camera_that_comes_back_while_parts_run_never_shows_one_part_for_another(line: Line) -> None:
    line.camera.gone()
    away = line.parts(BLIND_PARTS + 5)
    assert {line.judged(part) for part in away} == {"frame_missing"}
    assert line.reports.state[0] == "FAULT"
    line.counter += 1  # with the old offset its frames would be the neighbours'
    line.camera.there()
    back = line.parts(25)
    found = [line.judged(part) for part in back]
    first = found.index("right")
    assert set(found[:first]) <= {"frame_missing", "frame_ambiguous"}
    assert found[first:] == ["right"] * len(found[first:])
    assert len(found[first:]) >= 10
    assert line.reports.reconnects == {"camera": 1}
    assert line.goodbyes() == 1


def test_a_camera_that_greets_and_delivers_nothing_is_opened_anew(line: Line) -> None:
    line.delivers = False
    line.parts(BLIND_PARTS - 1)
    assert line.reports.reconnects == {}
    line.parts(1)
    line.until(lambda: line.reports.reconnects == {"camera": 1})
    line.until(line.ready)
    assert line.goodbyes() == 1
    line.delivers = True
    assert [line.judged(part) for part in line.parts(4)] == ["right"] * 4
