"""The inspect thread: frames in, verdicts out.  It knows nothing of time, sockets or the belt."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from time import thread_time_ns
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge import flight
from edge.clock import now_ns
from edge.core.outcome import Outcome
from edge.core.part import Verdict
from edge.core.pool import FramePool, Lease
from edge.core.rules import Rule
from edge.errors import EdgeError, EngineError
from edge.station.priority import step_back

WARM_UP = 5
WARM_UP_S = 30.0

NO_DEADLINE = (1 << 63) - 1
"""For work that no belt waits for."""

TOO_LATE = Verdict(Outcome.NO_DECISION, "compute_timeout")

_log = logging.getLogger(__name__)


class Inspects(Protocol):
    """Whatever turns a frame into a verdict."""

    def inspect(self, frame: NDArray[np.uint8], rules: Sequence[Rule]) -> Verdict:
        """Return the verdict on one frame by ``rules``."""


@dataclass(frozen=True)
class Inspected:
    """The verdict on the frame in ``lease``, for part ``number``.  Whoever takes the event must end the lease."""

    number: int
    lease: Lease
    verdict: Verdict


class InspectThread:
    """Inspects one frame after the other, in a thread of its own.

    Args:
        inspector: decides.
        pool: where the frames lie.
        post: takes the result.
        turns: held during each inspection.  Threads that share one never inspect at the same time, so that two models
            take no more of the processor than one.

    Attributes:
        least_ns: processor time of its own that the quickest inspection of an empty frame took, once it has started.
            On a busy machine the time by the clock would say nothing of what a thread that has priority needs.
    """

    def __init__(
        self,
        inspector: Inspects,
        pool: FramePool,
        post: Callable[[Inspected], None],
        turns: threading.Lock | None = None,
    ) -> None:
        self._inspector, self._pool, self._post = inspector, pool, post
        self._turns = threading.Lock() if turns is None else turns
        self._work: SimpleQueue[tuple[int, Lease, int, Sequence[Rule]] | None] = SimpleQueue()
        self._busy_since_ns = 0
        self._warm = threading.Event()
        self._failure: Exception | None = None
        self._last_error = ""
        self._stopping = False
        self._then: Callable[[], object] | None = None
        self.least_ns = 0
        self._thread = threading.Thread(target=self._run, name="inspect", daemon=True)

    def start(self) -> None:
        """Start the thread, once, and wait until it has inspected ``WARM_UP`` empty frames.

        Libraries set up caches and threads of their own at the first runs in a new thread; no part pays for that.

        Raises:
            EngineError: it takes longer than ``WARM_UP_S``.
            Exception: whatever inspecting an empty frame raised.
        """
        self._thread.start()
        if not self._warm.wait(WARM_UP_S):
            raise EngineError(
                f"The engine did not inspect {WARM_UP} empty frames in {WARM_UP_S:g} s.",
                "see edge doctor, or choose another engine.",
            )
        if self._failure is not None:
            raise self._failure

    def submit(self, number: int, lease: Lease, deadline_ns: int, rules: Sequence[Rule]) -> None:
        """Queue the frame in ``lease`` for part ``number``, judged by ``rules``.  The pool's quota bounds the queue.

        A frame whose turn comes after ``deadline_ns`` is not inspected: its part is closed by then, and one slow
        inspection would make every later one late.
        """
        self._work.put((number, lease, deadline_ns, rules))

    def hung(self, before_ns: int) -> bool:
        """True while an inspection runs that began before ``before_ns``."""
        return 0 < self._busy_since_ns < before_ns

    def end(self, then: Callable[[], object]) -> None:
        """Have the thread end behind what was submitted, and do ``then`` in it.  Never waits; nothing may follow."""
        self._then = then
        self._work.put(None)

    def stop(self, timeout_s: float = 2.0) -> bool:
        """Ask the thread to end.  False where it hangs: the process must end then.  Asked again, it waits no more."""
        if self._stopping or self._thread.ident is None:
            return not self._thread.is_alive()
        self._stopping = True
        self._work.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._warm_up()
        if self._failure is not None:
            return
        while (job := self._work.get()) is not None:
            number, lease, deadline_ns, rules = job
            self._busy_since_ns = now_ns()  # from here: one that waits for its turn in vain is hung as well
            with self._turns:
                flight.begin("inspect", number)
                verdict = TOO_LATE if now_ns() >= deadline_ns else self._verdict(lease, rules)
                flight.end("inspect")
            self._busy_since_ns = 0
            self._post(Inspected(number, lease, verdict))
        if self._then is not None:
            step_back()  # to give an engine back took OpenVINO 70 ms
            self._then()

    def _warm_up(self) -> None:
        frame = np.zeros(self._pool.shape, np.uint8)  # of its own: a line that runs needs every slot
        try:
            times = []
            for _ in range(WARM_UP):
                begun_ns = thread_time_ns()
                self._inspector.inspect(frame, ())
                times.append(thread_time_ns() - begun_ns)
            self.least_ns = min(times)
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits in start
            self._failure = error
        finally:
            self._warm.set()

    def _verdict(self, lease: Lease, rules: Sequence[Rule]) -> Verdict:
        try:
            return self._inspector.inspect(self._pool.frame(lease), rules)
        except Exception as error:  # noqa: BLE001
            # Whatever the engine raises costs this part its decision, never the thread: the next part needs it.
            if str(error) != self._last_error:  # once, and not for every part while it lasts
                _log.error("Inspection failed: %s", error, exc_info=not isinstance(error, EdgeError))
                self._last_error = str(error)
            return Verdict(Outcome.NO_DECISION, "engine_fault")
