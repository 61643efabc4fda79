"""A device that is lost is opened anew, after pauses, for as long as it takes.  The devices here are scripted."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

import pytest

from edge.capture.base import Camera, TriggerSource
from edge.capture.events import DeviceBack, DeviceLost, EpochChanged, FrameArrived, FramesMissed, TriggersLost
from edge.capture.loop import CaptureThread, TriggerThread
from edge.capture.thread import FIRST_PAUSE_S, LONGEST_PAUSE_S, WAIT_S, stop_all
from edge.clock import NS_PER_S
from edge.core.part import FrameInfo, Trigger
from edge.core.pool import Frame, FramePool, Purpose
from edge.errors import CameraError

PATIENCE_S = 5.0
REFUSED = CameraError("Nobody answers.", "plug it in.")


class Pauses(threading.Event):
    """Notes how long the thread pauses, and lets it go on at once."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Note the pause."""
        assert timeout is not None
        self.taken.append(timeout)
        return self.is_set()


class Eye(TriggerSource):
    """Does at each turn what the script says: an exception is raised, a call is made, and None is nothing.

    Attributes:
        calls: "open" and "close", in their order.
        refusals: how often ``open`` fails from now on.
    """

    def __init__(self, *script: Exception | Trigger | Callable[[Eye], None]) -> None:
        self.script = list(script)
        self.calls: list[str] = []
        self.refusals = 0
        self.now = NS_PER_S
        self.silent_since: int | None = None
        self.last_number: int | None = 7
        self.epoch = 1
        self.done = threading.Event()

    def clock(self) -> int:
        """Return the scripted time."""
        return self.now

    @property
    def heard_ns(self) -> int:
        """Now, or since when nothing was heard."""
        return self.now if self.silent_since is None else self.silent_since

    def open(self) -> None:
        """Note it, and fail while there are refusals."""
        self.calls.append("open")
        if self.refusals:
            self.refusals -= 1
            raise REFUSED
        self.silent_since = None

    def close(self) -> None:
        """Note it."""
        self.calls.append("close")

    def wait(self, timeout_s: float) -> Trigger | None:  # noqa: ARG002
        """Do what the script says."""
        if not self.script:
            self.done.set()
            time.sleep(0.0005)
            return None
        item = self.script.pop(0)
        if isinstance(item, Exception):
            raise item
        if isinstance(item, Trigger):
            self.last_number = item.number
            return item
        item(self)
        return None


def pass_ms(ms: float) -> Callable[[Eye], None]:
    """Let time pass."""

    def do(eye: Eye) -> None:
        eye.now += round(ms * 1e6)

    return do


def refuse(times: int) -> Callable[[Eye], None]:
    """Let ``open`` fail that often, and the source now."""

    def do(eye: Eye) -> None:
        eye.refusals = times
        raise OSError("gone")

    return do


def run(eye: Eye, patience_ns: int = 0) -> tuple[list[object], Pauses]:
    """Run the script to its end.  Return what was posted, and the pauses."""
    posted: queue.SimpleQueue[object] = queue.SimpleQueue()
    thread = TriggerThread(eye, posted.put, patience_ns, eye.clock)
    pauses = Pauses()
    thread._stopping = pauses
    thread.start()
    assert eye.done.wait(PATIENCE_S)
    assert thread.stop()
    return [posted.get() for _ in range(posted.qsize())], pauses


def gone(text: str) -> list[object]:
    return [DeviceLost("trigger", text), DeviceBack("trigger")]


def test_a_lost_device_is_closed_before_it_is_opened_again() -> None:
    eye = Eye(OSError("gone"))
    assert run(eye)[0] == gone("OSError: gone")
    assert eye.calls == ["close", "open"]


def test_it_is_told_once_however_often_the_device_refuses() -> None:
    eye = Eye(refuse(5), Trigger(8, 80, 800))
    assert run(eye)[0] == [*gone("OSError: gone"), Trigger(8, 80, 800)]
    assert eye.calls == ["close", "open"] * 6


def test_the_pauses_double_up_to_the_longest_and_are_jittered() -> None:
    _, pauses = run(Eye(refuse(9)))
    ideal = [min(FIRST_PAUSE_S * 2**n, LONGEST_PAUSE_S) for n in range(10)]
    assert all(0.75 * i <= pause <= i for pause, i in zip(pauses.taken, ideal, strict=True))
    assert len({pause / i for pause, i in zip(pauses.taken, ideal, strict=True)}) > 5


@pytest.mark.parametrize(("stays_ms", "longest_s"), [(5000, 1.6), (5001, 0.1)])
def test_only_a_device_that_stays_begins_anew_with_short_pauses(stays_ms: float, longest_s: float) -> None:
    _, pauses = run(Eye(refuse(3), pass_ms(stays_ms), OSError("gone")))
    assert len(pauses.taken) == 5
    assert 0.75 * longest_s <= pauses.taken[-1] <= longest_s


def test_a_device_that_stayed_once_and_now_comes_and_goes_is_not_tried_at_once_each_time() -> None:
    _, pauses = run(Eye(*[pass_ms(400)] * 50, refuse(3), pass_ms(1000), OSError("gone")))
    assert 1.2 <= pauses.taken[-1] <= 1.6


def silence(eye: Eye) -> None:
    eye.silent_since = eye.now


@pytest.mark.parametrize(("ms", "lost"), [(1000, False), (1001, True)])
def test_a_device_that_shows_no_sign_of_life_is_opened_anew(ms: int, lost: bool) -> None:
    steps = [pass_ms(100)] * (ms // 100) + [pass_ms(ms % 100)]
    events, _ = run(Eye(silence, *steps))
    assert bool(events) is lost
    if lost:
        assert events[0] == DeviceLost(
            "trigger", "The trigger has shown no sign of life for 1 s. Remedy: check its power and its cable."
        )


def test_the_time_for_which_the_process_was_stopped_is_not_held_against_the_device() -> None:
    assert run(Eye(silence, pass_ms(60_000), pass_ms(900)))[0] == []
    assert run(Eye(silence, pass_ms(60_000), *[pass_ms(400)] * 3))[0] != []
    assert run(Eye(silence, pass_ms(60_000), pass_ms(100), pass_ms(60_000), pass_ms(900)))[0] == [], "stopped twice"


def test_a_driver_that_returns_late_turn_after_turn_does_not_hide_that_its_device_is_dead() -> None:
    assert run(Eye(silence, *[pass_ms(600)] * 2))[0] == []
    assert run(Eye(silence, *[pass_ms(600)] * 3))[0] != []


def test_the_time_that_it_took_to_come_back_is_not_held_against_the_device() -> None:
    class Slow(Eye):
        def open(self) -> None:
            self.now += 60 * NS_PER_S
            super().open()
            self.silent_since = self.now - NS_PER_S // 2  # its last sign of life: a turn later that is too long ago

    assert run(Slow(OSError("gone"), pass_ms(400)))[0] == gone("OSError: gone")


def test_a_device_that_is_back_has_been_heard_from() -> None:
    eye = Eye(OSError("gone"))
    heard: list[tuple[object, int]] = []

    def post(event: object) -> None:
        heard.append((event, thread.heard_ns))

    thread = TriggerThread(eye, post, 0, eye.clock)
    eye.now += 60 * NS_PER_S  # the thread has not turned yet
    thread.start()
    assert eye.done.wait(PATIENCE_S)
    assert thread.stop()
    assert heard[-1] == (DeviceBack("trigger"), eye.now)


class Unspeakable(Exception):
    """Of an SDK that cannot put itself into words."""

    def __str__(self) -> str:
        raise RuntimeError("SDK not initialised")


def test_an_error_that_cannot_even_be_put_into_words_ends_nothing() -> None:
    assert run(Eye(Unspeakable(), Trigger(8, 80, 800)))[0] == [*gone("Unspeakable"), Trigger(8, 80, 800)]


def test_a_thread_that_fails_itself_says_so_to_whoever_asks_for_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def post(_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    thread = TriggerThread(Eye(OSError("gone")), post, 0)
    thread.heard_ns  # noqa: B018
    thread.start()
    thread._thread.join(PATIENCE_S)
    with pytest.raises(CameraError, match=r"thread at the trigger has failed: OSError: no room\."):
        thread.heard_ns  # noqa: B018


def test_an_edge_that_was_behind_as_the_eye_was_lost_is_given_its_time_anew() -> None:
    def named(eye: Eye) -> None:
        eye.last_number = 8

    eye = Eye(named, pass_ms(900), OSError("gone"), pass_ms(900), Trigger(8, 80, 800))
    assert run(eye, NS_PER_S)[0] == [*gone("OSError: gone"), Trigger(8, 80, 800)]


def test_threads_are_stopped_together() -> None:
    release = threading.Event()

    class Hung(Eye):
        def wait(self, timeout_s: float) -> Trigger | None:  # noqa: ARG002
            release.wait(PATIENCE_S)
            return None

    threads = [TriggerThread(eye, lambda _: None, 0) for eye in (Hung(), Hung(), Eye())]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    assert stop_all(threads, 0.5) == ["trigger", "trigger"]
    assert 0.45 < time.monotonic() - began < 0.95, "each was waited for in turn"
    release.set()
    assert stop_all(threads) == []


def test_the_numbers_that_passed_meanwhile_are_told_as_lost() -> None:
    def passes(eye: Eye) -> None:
        eye.last_number = 12
        raise OSError("gone")

    assert run(Eye(Trigger(8, 80, 800), passes, pass_ms(1)))[0][1:] == [*gone("OSError: gone"), TriggersLost(12)]


def test_an_epoch_that_changed_meanwhile_is_told() -> None:
    def new_epoch(eye: Eye) -> None:
        eye.epoch = 2
        raise OSError("gone")

    assert run(Eye(new_epoch, pass_ms(1)))[0] == [*gone("OSError: gone"), EpochChanged(2)]


def test_a_driver_that_cannot_even_close_is_not_tried_without_a_pause() -> None:
    class Jammed(Eye):
        def close(self) -> None:
            super().close()
            raise OSError("jammed")

    eye = Jammed(refuse(2))
    events, pauses = run(eye)
    assert events == gone("OSError: gone")
    assert len(pauses.taken) == 3


class Frames(Camera):
    """Delivers frames with these counters, one a turn, then nothing."""

    def __init__(self, *counters: int) -> None:
        super().__init__(16, 16, "mono8")
        self.counters = list(counters)
        self.done = threading.Event()
        self.is_open, self.refusing = True, False

    def open(self) -> None:
        """Open, or fail for good."""
        if self.refusing:
            raise REFUSED
        self.is_open = True

    def close(self) -> None:
        """Close."""
        self.is_open = False

    def _grab(self, into: Frame, timeout_s: float) -> FrameInfo | None:  # noqa: ARG002
        if not self.is_open:
            raise CameraError("It is closed.", "open it.")
        if not self.counters:
            self.done.set()
            time.sleep(0.0005)
            return None
        counter = self.counters.pop(0)
        if counter < 0:
            raise OSError("gone")
        return FrameInfo(counter, 1, 2)


def started(camera: Camera) -> tuple[CaptureThread, queue.SimpleQueue[object]]:
    posted: queue.SimpleQueue[object] = queue.SimpleQueue()
    thread = CaptureThread(camera, FramePool(8, (16, 16), {Purpose.CAPTURE: 8}), posted.put)
    thread.start()
    return thread, posted


def posts(posted: queue.SimpleQueue[object]) -> list[object]:
    return [posted.get() for _ in range(posted.qsize())]


def test_a_counter_that_begins_anew_behind_a_loss_is_no_gap() -> None:
    camera = Frames(5, -1, 900, 902)
    thread, posted = started(camera)
    assert camera.done.wait(PATIENCE_S)
    assert thread.stop()
    kinds = [type(event) for event in posts(posted)]
    assert kinds == [FrameArrived, DeviceLost, DeviceBack, FrameArrived, FramesMissed, FrameArrived]


def test_a_camera_is_opened_anew_when_somebody_asks_for_it_once() -> None:
    camera = Frames()
    thread, posted = started(camera)
    assert camera.done.wait(PATIENCE_S)
    thread.reopen("It delivers nothing.")
    events = [posted.get(timeout=PATIENCE_S) for _ in range(2)]
    time.sleep(2 * WAIT_S)
    assert thread.stop()
    assert [*events, *posts(posted)] == [
        DeviceLost(
            "camera", "It delivers nothing. Remedy: it is closed and opened again; check it if this goes on."
        ),
        DeviceBack("camera"),
    ]  # fmt: skip


def test_a_device_that_is_back_too_late_is_told_to_nobody() -> None:
    entered, release = threading.Event(), threading.Event()

    class Slow(Frames):
        def open(self) -> None:
            entered.set()
            release.wait(PATIENCE_S)
            super().open()

    thread, posted = started(Slow(-1))
    assert entered.wait(PATIENCE_S)
    assert not thread.stop(0.01)
    release.set()
    assert thread.stop()
    assert [type(event) for event in posts(posted)] == [DeviceLost]


def test_what_was_asked_before_the_camera_was_lost_is_done_with_its_return() -> None:
    camera = Frames()
    thread, posted = started(camera)
    assert camera.done.wait(PATIENCE_S)
    camera.refusing = True
    thread.reopen("It delivers nothing.")
    assert isinstance(posted.get(timeout=PATIENCE_S), DeviceLost)
    thread.reopen("It still delivers nothing.")
    camera.refusing = False
    assert isinstance(posted.get(timeout=PATIENCE_S), DeviceBack)
    time.sleep(2 * WAIT_S)
    assert thread.stop()
    assert posts(posted) == []


def test_a_thread_that_waits_for_its_device_stops_at_once_and_leaves_no_slot_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.capture.thread.FIRST_PAUSE_S", 60.0)
    camera = Frames(-1)
    camera.refusing = True
    thread, posted = started(camera)
    assert isinstance(posted.get(timeout=PATIENCE_S), DeviceLost)
    assert thread.stop(PATIENCE_S), "it waits out its pause"
    assert posts(posted) == []
    assert thread._pool.occupancy()["free"] == 8
