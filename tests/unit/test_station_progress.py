"""The marks by which a station is called alive: threads at devices, real ones, and what is under inspection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge.capture.base import TriggerSource
from edge.capture.loop import TriggerThread
from edge.clock import NS_PER_S
from edge.core.part import Trigger
from edge.errors import CameraError
from edge.progress import Progress
from edge.station.progress import DEVICE_NS, INSPECTION, patience_ns
from tests.support_station import Rig

GONE = CameraError("Nobody answers.", "plug it in.")


class Eye(TriggerSource):
    """An eye that sees nothing, and may be gone or hang in the driver.

    Attributes:
        gone: it fails, and cannot be opened.
        hold: a driver's call that hangs does so until this is set.
        hangs: the call that does.
    """

    def __init__(self) -> None:
        self.gone = False
        self.hangs = ""
        self.hold = threading.Event()

    def open(self) -> None:
        """Fail while it is gone."""
        self._call("open")
        if self.gone:
            raise GONE

    def close(self) -> None:
        """Do nothing."""
        self._call("close")

    def wait(self, timeout_s: float) -> Trigger | None:  # noqa: ARG002
        """See nothing."""
        self._call("wait")
        if self.gone:
            raise GONE
        time.sleep(0.001)
        return None

    def _call(self, name: str) -> None:
        if self.hangs == name:
            self.hold.wait()


@contextmanager
def standing_at(eye: Eye) -> Iterator[TriggerThread]:
    """Start a thread at an eye."""
    thread = TriggerThread(eye, lambda _: None, NS_PER_S)
    thread.start()
    try:
        yield thread
    finally:
        eye.hold.set()
        assert thread.stop()


def moves(thread: TriggerThread, within_s: float = 2.0) -> bool:
    """Return whether the thread takes a step."""
    before, end = thread.steps, time.monotonic() + within_s
    while time.monotonic() < end:
        if thread.steps != before:
            return True
        time.sleep(0.005)
    return False


def test_a_thread_that_sees_nothing_takes_steps() -> None:
    with standing_at(Eye()) as thread:
        assert moves(thread)
        assert moves(thread)


def test_a_thread_whose_device_is_gone_takes_steps_as_it_tries_again() -> None:
    eye = Eye()
    with standing_at(eye) as thread:
        eye.gone = True
        assert moves(thread)
        time.sleep(0.05)
        assert moves(thread), "the next try"


def test_a_driver_that_does_not_return_stops_the_steps() -> None:
    for call in ("wait", "open", "close"):
        eye = Eye()
        with standing_at(eye) as thread:
            eye.hangs, eye.gone = call, call != "wait"
            while moves(thread, 0.4):  # until it has come to the call
                pass
            assert not moves(thread, 0.4), call


def stands_still(rig: Rig, marks: Callable[[], dict[str, int | None]], seconds: int) -> list[str]:
    """Look once a second at the marks of a station, and return what is stuck at the end."""
    patience = {name: ns for name, ns in patience_ns(rig.config.limits).items() if name in marks()}
    progress, stuck = Progress(patience, NS_PER_S), list[str]()
    for _ in range(seconds):
        rig.wait_ms(1000)
        stuck = progress.stuck(rig.now, marks())
    return stuck


def test_an_inspection_that_was_given_nothing_is_idle_for_minutes() -> None:
    rig = Rig().grant()
    rig.part(1)
    assert rig.station.marks() == {INSPECTION: None}
    assert stands_still(rig, rig.station.marks, 300) == []


def test_a_frame_that_never_comes_back_from_the_inspection_is_found_though_its_part_has_ended() -> None:
    rig = Rig().grant()
    rig.post(rig.edge(1))
    rig.post(rig.frame(1))
    assert rig.station.marks() == {INSPECTION: 0}
    hang_s = int(rig.config.limits.hang_ms / 1000)
    assert stands_still(rig, rig.station.marks, hang_s + 2) == []
    assert rig.reports.causes() == {1: "compute_timeout"}
    assert stands_still(rig, rig.station.marks, hang_s + 5) == [INSPECTION]


def test_a_busy_inspection_gets_on_though_there_is_always_a_frame_in_it() -> None:
    rig = Rig().grant()
    progress = Progress({INSPECTION: 5 * NS_PER_S}, NS_PER_S)
    rig.post(rig.edge(1))
    rig.post(rig.frame(1))
    for number in range(2, 40):
        rig.wait_ms(40)
        rig.post(rig.edge(number))
        rig.post(rig.frame(number))
        rig.decide(number - 1)
        assert rig.station.marks() == {INSPECTION: number - 1}
        assert progress.stuck(number * NS_PER_S, rig.station.marks()) == []


def test_a_device_may_take_as_long_as_its_longest_pause_and_its_opening() -> None:
    assert DEVICE_NS == 10 * NS_PER_S
