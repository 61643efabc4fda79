import itertools
import queue
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.capture.base import Camera, TriggerSource
from edge.capture.events import (
    CaptureEvent,
    DeviceBack,
    DeviceLost,
    EpochChanged,
    FrameArrived,
    FrameLost,
    FramesMissed,
    TriggerEvent,
    TriggersLost,
)
from edge.capture.loop import CaptureThread, TriggerThread
from edge.capture.thread import UNHEARD_NS
from edge.clock import now_ns
from edge.core.part import FrameInfo, Trigger
from edge.core.pool import Frame, FramePool, Purpose
from edge.errors import CameraError

SHAPE = (16, 16)


class ScriptedCamera(Camera):
    """Delivers a list of frames, then nothing.  An exception in the list is raised."""

    def __init__(self, script: list[FrameInfo | Exception | None]) -> None:
        super().__init__(16, 16, "mono8")
        self._script = list(script)
        self.exhausted = threading.Event()

    def open(self) -> None:
        return

    def close(self) -> None:
        return

    def _grab(self, into: Frame, timeout_s: float) -> FrameInfo | None:
        if not self._script:
            self.exhausted.set()
            time.sleep(min(timeout_s, 0.001))
            return None
        item = self._script.pop(0)
        if isinstance(item, Exception):
            raise item
        if item is not None:
            into[...] = item.counter % 256
        return item


class ScriptedSource(TriggerSource):
    """Delivers (epoch, trigger) pairs, then nothing.  An exception in the list is raised."""

    def __init__(
        self, script: Sequence[tuple[int, Trigger | None] | Exception], named: list[int | None] | None = None
    ) -> None:
        self._script, self._named = list(script), named or [None]
        self.epoch, self.last_number = 1, self._named.pop(0)
        self.exhausted = threading.Event()

    def open(self) -> None:
        return

    def close(self) -> None:
        return

    def wait(self, timeout_s: float) -> Trigger | None:
        if not self._script:
            self.exhausted.set()
            time.sleep(min(timeout_s, 0.001))
            return None
        item = self._script.pop(0)
        if isinstance(item, Exception):
            raise item
        self.epoch = item[0]
        self.last_number = self._named.pop(0) if self._named else self.last_number
        return item[1]


def frame(counter: int, intact: bool = True) -> FrameInfo:
    return FrameInfo(counter, exposed_ns=1, t1_ns=2, intact=intact)


def capture(
    script: list[FrameInfo | Exception | None], pool: FramePool, on_event: Callable[[CaptureEvent], None] | None = None
) -> list[CaptureEvent]:
    """Run the thread over the script and return what it posted."""
    events: list[CaptureEvent] = []

    def post(event: CaptureEvent) -> None:
        events.append(event)
        if on_event is not None:
            on_event(event)

    camera = ScriptedCamera(script)
    thread = CaptureThread(camera, pool, post)
    thread.start()
    deadline = time.monotonic() + 5
    while not camera.exhausted.is_set() and time.monotonic() < deadline:
        time.sleep(0.0005)
    assert thread.stop()
    return events


def make_pool(slots: int = 4) -> FramePool:
    return FramePool(slots, SHAPE, {Purpose.CAPTURE: slots}, poison=True)


def test_each_frame_arrives_in_a_slot_of_its_own() -> None:
    pool = make_pool()
    events = capture([frame(1), None, frame(2), frame(3)], pool)
    assert [e.info.counter for e in events if isinstance(e, FrameArrived)] == [1, 2, 3]
    for event in events:
        assert isinstance(event, FrameArrived)
        assert (pool.frame(event.lease) == event.info.counter).all()
    assert pool.occupancy() == {"capture": 3, "inspection": 0, "evidence": 0, "free": 1}


def test_without_a_free_slot_the_frame_is_lost_by_name() -> None:
    pool = make_pool(1)
    events = capture([frame(1), frame(2), frame(3)], pool)
    assert isinstance(events[0], FrameArrived)
    assert events[1:] == [FrameLost(frame(2), "pool_exhausted"), FrameLost(frame(3), "pool_exhausted")]
    assert (pool.frame(events[0].lease) == 1).all()


def test_a_slot_that_falls_free_is_used_again() -> None:
    pool = make_pool(1)

    def release(event: CaptureEvent) -> None:
        if isinstance(event, FrameArrived):
            pool.release(event.lease)

    events = capture([frame(n) for n in range(1, 6)], pool, release)
    assert [type(e) for e in events] == [FrameArrived] * 5
    assert pool.occupancy()["free"] == 1


@pytest.mark.parametrize("slots_taken", [0, 1])
def test_a_corrupt_frame_is_lost_and_holds_no_slot(slots_taken: int) -> None:
    pool = make_pool(1)
    for _ in range(slots_taken):
        assert pool.lease(Purpose.CAPTURE) is not None
    assert capture([frame(1, intact=False)], pool) == [FrameLost(frame(1, intact=False), "frame_corrupt")]
    assert pool.occupancy()["capture"] == slots_taken


@pytest.mark.parametrize(
    ("counters", "missed"),
    [
        ((7, 8), []),
        ((7, 9), [1]),
        ((7, 17), [9]),
        ((0xFFFF_FFFF, 0), []),
        ((0xFFFF_FFFE, 1), [2]),
        ((7, 7), []),
        ((7, 1), []),
    ],
)
def test_a_gap_in_the_counter_is_told_before_the_frame(counters: tuple[int, int], missed: list[int]) -> None:
    events = capture([frame(c) for c in counters], make_pool())
    assert [e.count for e in events if isinstance(e, FramesMissed)] == missed
    assert isinstance(events[0], FrameArrived)
    assert isinstance(events[-1], FrameArrived)


def test_a_lost_frame_is_no_gap() -> None:
    events = capture([frame(1), frame(2, intact=False), frame(3)], make_pool())
    assert not [e for e in events if isinstance(e, FramesMissed)]


@pytest.mark.parametrize(
    ("error", "text"),
    [(CameraError("It is gone.", "plug it in."), "It is gone. Remedy: plug it in."), (KeyError("x"), "KeyError: 'x'")],
)
def test_an_error_costs_the_connection_gives_the_slot_back_and_ends_nothing(error: Exception, text: str) -> None:
    pool = make_pool()
    free: list[int] = []

    def look(event: CaptureEvent) -> None:
        if isinstance(event, DeviceLost):
            free.append(pool.occupancy()["free"])

    events = capture([frame(7), error, frame(1)], pool, look)
    assert events[1:3] == [DeviceLost("camera", text), DeviceBack("camera")]
    assert [e.info.counter for e in events if isinstance(e, FrameArrived)] == [7, 1]
    assert free == [3]


def test_the_device_is_heard_while_its_driver_returns_and_stop_is_quick() -> None:
    thread = CaptureThread(ScriptedCamera([]), make_pool(), lambda _: None)
    assert thread.stop()  # never started
    thread = CaptureThread(ScriptedCamera([]), make_pool(), lambda _: None)
    thread.start()
    time.sleep(0.05)
    assert now_ns() - thread.heard_ns < UNHEARD_NS / 2
    start = time.monotonic()
    assert thread.stop()
    assert time.monotonic() - start < 0.5


def test_stop_tells_of_a_hung_driver() -> None:
    release = threading.Event()

    class Hung(ScriptedCamera):
        def _grab(self, *_: object) -> FrameInfo | None:
            release.wait(5)
            return None

    thread = CaptureThread(Hung([]), make_pool(), lambda _: None)
    thread.start()
    before = thread.heard_ns
    assert not thread.stop(0.05)
    assert thread.heard_ns == before, "the driver does not return: its device shows no sign of life"
    release.set()
    assert thread.stop()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.none(), st.builds(frame, st.integers(0, 40), st.booleans())), max_size=12))
def test_every_frame_ends_in_one_event_and_every_lease_is_accounted_for(script: list[FrameInfo | None]) -> None:
    pool = FramePool(3, SHAPE, {Purpose.CAPTURE: 3})
    events = capture(list(script), pool)
    arrived = [e for e in events if isinstance(e, FrameArrived)]
    lost = [e for e in events if isinstance(e, FrameLost)]
    assert [e.info for e in events if isinstance(e, FrameArrived | FrameLost)] == [i for i in script if i is not None]
    assert len(arrived) + len(lost) == sum(i is not None for i in script)
    assert pool.occupancy()["capture"] == len(arrived)
    assert np.unique([e.lease.slot for e in arrived]).size == len(arrived)


def run_triggers(
    script: Sequence[tuple[int, Trigger | None] | Exception],
    named: list[int | None] | None = None,
    patience_ns: int = 0,
) -> list[TriggerEvent]:
    events: queue.SimpleQueue[TriggerEvent] = queue.SimpleQueue()
    source = ScriptedSource(script, named)
    now = itertools.count()  # a nanosecond a look, of which a turn without an edge takes two
    thread = TriggerThread(source, events.put, patience_ns, lambda: next(now))
    thread.start()
    deadline = time.monotonic() + 5
    while not source.exhausted.is_set() and time.monotonic() < deadline:
        time.sleep(0.0005)
    assert thread.stop()
    return [events.get() for _ in range(events.qsize())]


def test_triggers_are_posted_in_order() -> None:
    one, two = Trigger(1, 10, 100), Trigger(2, 20, 200)
    assert run_triggers([(1, one), (1, None), (1, two)]) == [one, two]


def test_a_new_epoch_is_told_before_its_first_trigger() -> None:
    one, two = Trigger(1, 10, 100), Trigger(2, 20, 200)
    assert run_triggers([(1, one), (2, two)]) == [one, EpochChanged(2), two]
    assert run_triggers([(1, one), (2, None), (2, two)]) == [one, EpochChanged(2), two]


def test_an_error_costs_the_eye_its_connection() -> None:
    one = Trigger(1, 10, 100)
    lost_and_back = [DeviceLost("trigger", "OSError: gone"), DeviceBack("trigger")]
    assert run_triggers([OSError("gone"), (1, one)]) == [*lost_and_back, one]
    assert run_triggers([OSError("gone"), (2, one)]) == [*lost_and_back, EpochChanged(2), one]


NOTHING: tuple[int, Trigger | None] = (1, None)
SPAN = 1 << 32


@pytest.mark.parametrize(
    ("named", "edges", "told"),
    [
        ([7, 7, 8], [8], []),
        ([7, 8, 8], [], [8]),  # the first after the start
        ([7, 8, 10, 10], [8], [10]),
        ([SPAN - 1, 0, 0], [], [0]),
        ([7, 3, 4, 4], [], [4]),  # a counter that began anew
        ([None, None, 5, 5], [], []),  # a source that named none at the start
    ],
)
def test_an_edge_that_only_its_number_tells_of_is_told_once(
    named: list[int | None], edges: list[int], told: list[int]
) -> None:
    script = [NOTHING] * (len(named) - 1)
    for number in edges:
        script[named.index(number) - 1] = (1, Trigger(number, 10, 100))
    events = run_triggers(script, named)
    assert [event.last for event in events if isinstance(event, TriggersLost)] == told


@pytest.mark.parametrize(("looks", "told"), [(3, []), (4, [8])])
def test_a_number_ahead_of_its_edge_is_given_time(looks: int, told: list[int]) -> None:
    last = (1, Trigger(9, 10, 100))
    events = run_triggers([*[NOTHING] * looks, last], [7, *[8] * looks, 9], patience_ns=6)
    assert [event.last for event in events if isinstance(event, TriggersLost)] == told
