"""Which threads run behind which, in a thread of the test's own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from edge.errors import EngineError
from edge.station.priority import step_back

PATIENCE_S = 10.0


class Sleeper:
    """A thread that only waits, as a library's do."""

    def __init__(self) -> None:
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._leave.wait, args=(PATIENCE_S,))
        self._thread.start()

    @property
    def policy(self) -> int:
        """Its scheduling policy."""
        assert self._thread.native_id is not None
        return os.sched_getscheduler(self._thread.native_id)

    @property
    def priority(self) -> int:
        """Its real-time priority."""
        assert self._thread.native_id is not None
        return os.sched_getparam(self._thread.native_id).sched_priority

    def end(self) -> None:
        """End it."""
        self._leave.set()
        self._thread.join(PATIENCE_S)


def aside(work: Callable[[], None]) -> None:
    """Do ``work`` in a thread that may step back, and raise what it raises."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE_S)
    if raised:
        raise raised[0]


def test_only_threads_started_since_are_promoted_and_only_to_what_the_starter_was() -> None:
    before = os.sched_getscheduler(0)
    older, other = Sleeper(), Sleeper()

    def work() -> None:
        promote = step_back()
        younger = Sleeper()
        assert (os.sched_getscheduler(0), younger.policy) == (os.SCHED_BATCH, os.SCHED_BATCH)
        promote()
        assert younger.policy == before
        assert os.sched_getscheduler(0) == os.SCHED_BATCH
        younger.end()

    try:
        aside(work)
        assert older.policy == other.policy == before
    finally:
        older.end()
        other.end()


def test_real_time_comes_back_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(3))
        except PermissionError:
            pytest.skip("this user may not use SCHED_FIFO")
        promote = step_back()
        younger = Sleeper()
        assert (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority) == (os.SCHED_FIFO, 1)
        assert (younger.policy, younger.priority) == (os.SCHED_FIFO, 1)
        with monkeypatch.context() as patch:
            patch.setattr(os, "sched_setscheduler", _refuse)
            with pytest.raises(EngineError, match="priority of those that decide"):
                promote()
        promote()
        assert (younger.policy, younger.priority) == (os.SCHED_FIFO, 3)
        younger.end()

    aside(work)


def _refuse(*_: object) -> None:
    raise PermissionError
