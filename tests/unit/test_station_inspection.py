"""The inspect thread: warm before the first part, never ended by an engine, never busy with what is already late."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from queue import SimpleQueue

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.clock import now_ns
from edge.core.outcome import Outcome
from edge.core.part import Verdict
from edge.core.pool import FramePool, Lease, Purpose
from edge.core.rules import Rule
from edge.errors import EngineError
from edge.station import inspection
from edge.station.inspection import NO_DEADLINE, WARM_UP, Inspected, InspectThread

PATIENCE_S = 10.0
PASS = Verdict(Outcome.PASS, "clean")
REJECT = Verdict(Outcome.REJECT, "rule", rule="bright")
SLOTS = 3


class Inspector:
    """Rejects bright frames; counts its calls, can be held up and can be told to raise."""

    def __init__(self) -> None:
        self.calls = 0
        self.rules: list[Sequence[Rule]] = []
        self.error: Exception | None = None
        self.may_go = threading.Event()
        self.may_go.set()

    def inspect(self, frame: NDArray[np.uint8], rules: Sequence[Rule]) -> Verdict:
        self.calls += 1
        self.rules.append(rules)
        assert self.may_go.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        return REJECT if frame[0, 0] > 127 else PASS


class Bench:
    def __init__(self) -> None:
        self.inspector = Inspector()
        self.pool = FramePool(SLOTS, (4, 4), {Purpose.INSPECTION: SLOTS})
        self.results: SimpleQueue[Inspected] = SimpleQueue()
        self.thread = InspectThread(self.inspector, self.pool, self.results.put)

    def submit(self, number: int, level: int = 0, deadline_ns: int = NO_DEADLINE, rules: Sequence[Rule] = ()) -> Lease:
        lease = self.pool.lease(Purpose.INSPECTION)
        assert lease is not None
        self.pool.frame(lease).fill(level)
        self.thread.submit(number, lease, deadline_ns, rules)
        return lease

    def result(self) -> Inspected:
        return self.results.get(timeout=PATIENCE_S)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.inspector.may_go.set()
    if made.thread._thread.ident is not None:
        assert made.thread.stop()


def test_the_engine_is_warm_before_the_first_part_and_no_slot_stays_behind(bench: Bench) -> None:
    bench.submit(1, level=255)
    bench.thread.start()
    assert bench.inspector.calls >= WARM_UP
    assert bench.result().verdict == REJECT
    assert bench.inspector.calls == WARM_UP + 1
    assert bench.pool.occupancy()["free"] == SLOTS - 1  # the first part's alone is held, until its event is taken


def test_a_warm_up_that_fails_is_raised_where_the_thread_was_started(bench: Bench) -> None:
    bench.inspector.error = EngineError("The engine has no kernel for this.", "choose another.")
    with pytest.raises(EngineError, match="no kernel"):
        bench.thread.start()
    assert bench.pool.occupancy()["free"] == SLOTS


def test_a_warm_up_that_never_ends_is_an_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "WARM_UP_S", 0.01)
    bench.inspector.may_go.clear()
    with pytest.raises(EngineError, match=r"did not inspect.*Remedy"):
        bench.thread.start()


def test_verdicts_come_in_order_with_their_numbers_and_leases(bench: Bench) -> None:
    bench.thread.start()
    leases = [bench.submit(number, level) for number, level in ((7, 0), (8, 255), (9, 0))]
    results = [bench.result() for _ in leases]
    assert results == [
        Inspected(7, leases[0], PASS),
        Inspected(8, leases[1], REJECT),
        Inspected(9, leases[2], PASS),
    ]


def test_each_frame_is_judged_by_the_rules_of_its_own_recipe(bench: Bench) -> None:
    bench.thread.start()
    old, new = (Rule("old"),), (Rule("new"),)
    for number, rules in ((1, old), (2, new), (3, old)):
        bench.submit(number, rules=rules)
    for _ in range(3):
        bench.result()
    assert bench.inspector.rules[WARM_UP:] == [old, new, old]


def test_a_frame_whose_part_is_over_is_not_inspected(bench: Bench) -> None:
    bench.thread.start()
    bench.submit(1, deadline_ns=now_ns())
    bench.submit(2, level=255)
    late, good = bench.result(), bench.result()
    assert (late.number, late.verdict.outcome, late.verdict.cause) == (1, Outcome.NO_DECISION, "compute_timeout")
    assert (good.number, good.verdict) == (2, REJECT)
    assert bench.inspector.calls == WARM_UP + 1


@pytest.mark.parametrize("error", [EngineError("No memory.", "add some."), ZeroDivisionError("zero"), MemoryError()])
def test_whatever_an_inspection_raises_costs_one_part_its_decision(bench: Bench, error: Exception) -> None:
    bench.thread.start()
    bench.inspector.error = error
    bench.submit(1)
    verdict = bench.result().verdict
    assert (verdict.outcome, verdict.cause) == (Outcome.NO_DECISION, "engine_fault")
    bench.inspector.error = None
    bench.submit(2, level=255)
    assert bench.result().verdict == REJECT


def test_an_error_that_stays_is_logged_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.thread.start()
    bench.inspector.error = EngineError("No memory.", "add some.")
    for number in range(3):
        bench.submit(number)
        bench.result()
    assert len([r for r in caplog.records if "No memory" in r.getMessage()]) == 1


def test_two_models_never_inspect_at_once_and_one_that_waits_for_a_hung_one_is_hung_too() -> None:
    turns, first, second = threading.Lock(), Bench(), Bench()
    for made in (first, second):
        made.thread = InspectThread(made.inspector, made.pool, made.results.put, turns)
        made.thread.start()
    calls = second.inspector.calls
    first.inspector.may_go.clear()
    first.submit(1)
    while not turns.locked():
        assert first.results.empty()
    second.submit(2)
    while not second.thread.hung(NO_DEADLINE):
        assert second.results.empty()
    assert second.inspector.calls == calls, "it inspects beside the other"
    first.inspector.may_go.set()
    assert (first.result().number, second.result().number) == (1, 2)
    for made in (first, second):
        assert not made.thread.hung(NO_DEADLINE)
        assert made.thread.stop()


def test_a_frame_that_is_late_once_it_has_its_turn_is_not_inspected() -> None:
    turns, made = threading.Lock(), Bench()
    made.thread = InspectThread(made.inspector, made.pool, made.results.put, turns)
    made.thread.start()
    with turns:
        due_ns = now_ns() + 20_000_000
        made.submit(1, deadline_ns=due_ns)
        while now_ns() < due_ns:
            pass
    assert made.result().verdict.cause == "compute_timeout"
    assert made.thread.stop()


def test_only_an_inspection_that_runs_can_hang(bench: Bench) -> None:
    bench.thread.start()
    assert not bench.thread.hung(NO_DEADLINE)
    bench.inspector.may_go.clear()
    before = now_ns()
    bench.submit(1)
    while not bench.thread.hung(NO_DEADLINE):
        assert bench.results.empty()
    assert not bench.thread.hung(before)
    assert not bench.thread.stop(timeout_s=0.01)
    bench.inspector.may_go.set()
    bench.result()
    assert not bench.thread.hung(NO_DEADLINE)
