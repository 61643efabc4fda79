import random

import pytest

from edge.core.ledger import PartLedger
from edge.core.outcome import Outcome
from edge.core.part import Trigger, Verdict
from edge.core.pool import FramePool, Lease, Purpose
from edge.core.register import Register
from edge.core.rules import Rule, decide
from edge.core.session import Geometry
from edge.gateway.recorder import Recorder
from edge.simulate.line.books import Books
from edge.simulate.line.join import PATIENCE_NS
from edge.simulate.line.oracle import SHAPE, Inspection, Oracle, Rates, pixels
from edge.simulate.line.referee import Word
from edge.simulate.line.scheduler import NEVER, Scheduler
from edge.station.inspection import Inspected
from edge.wire.messages import JournalStatus

MS = 1_000_000
PASS = Word("PASS", "clean", "")
GEOMETRY = Geometry(gate=5000, commit=4300, pitch=600, match=280, spacing=590, backlash=20)
RULES = (Rule("any", (), 0.5),)
GOOD, BAD, MISSED, ALARM = (
    f"{bits:016x}" for bits in (1 << 19 | 1 << 39, 1 << 39, 0, 1 << 19)
)  # defective, and shown or not: by the lowest bits and the next


def ledger() -> PartLedger:
    return PartLedger(8, 100 * MS, 60 * MS, 250, 4300, 280)


class Station:
    """A living station's ledger, and the books that follow it."""

    def __init__(self) -> None:
        self.books, self.ledger = Books(lambda: 0), ledger()
        self.books.station_started(self.ledger)

    def open(self, number: int) -> None:
        self.books.join.triggered(number)
        self.ledger.open(Trigger(number, number * 600, number), "steel", number)

    def close(self, number: int) -> None:
        self.ledger.close(number, Verdict(Outcome.PASS, "clean"), number)
        self.books.concluded(number, PASS)


def test_parts_open_in_a_killed_station_are_lost_with_it_and_no_problem() -> None:
    station = Station()
    for number in (1, 2, 3):
        station.open(number)
    station.close(1)
    station.books.station_ended(0)
    assert station.books.problems == {}
    assert (station.books.triggers, station.books.lost_with_process) == (3, 2)
    assert station.books.outcomes == {"PASS": 1}


def test_a_part_that_stays_open_is_a_problem_at_the_end() -> None:
    station = Station()
    station.open(1)
    station.books.close(edges=0, last_number=0, down_ns=0)
    assert "parts stay open at the station" in station.books.problems


@pytest.mark.parametrize(
    ("times", "more"), [(0, {"an edge of the eye has no outcome": 1}), (2, {"a part has a second outcome": 1})]
)
def test_each_trigger_has_one_outcome(times: int, more: dict[str, int]) -> None:
    station = Station()
    station.books.join.edge(1)
    station.open(1)
    station.ledger.close(1, Verdict(Outcome.PASS, "clean"), 1)
    for _ in range(times):
        station.books.concluded(1, PASS)
    station.books.station_ended(PATIENCE_NS + 1)
    assert station.books.problems == {"a trigger of the station has no outcome, or two": 1, **more}


def test_a_doubled_trigger_owes_nothing() -> None:
    station = Station()
    station.open(1)
    station.close(1)
    station.books.join.triggered(1)
    station.books.close(edges=0, last_number=0, down_ns=0)
    assert "parts stay open at the station" not in station.books.problems


class Gateway:
    """A living gateway's register that follows the PLC's counter, and the books."""

    def __init__(self, books: Books | None = None) -> None:
        self.books = books or Books(lambda: 0)
        self.register = Register(GEOMETRY, 5)
        self.books.gateway_started(self.register)

    def begin(self, plc: int = 9, last: int = 0) -> None:
        self.register.restart(plc, 5, 1, last)
        self.books.gateway_polled()

    def count(self, *numbers: int) -> None:
        for number in numbers:
            self.books.join.edge(number)
            self.register.plc_part(number, number * 600, number * 600)
        self.books.gateway_polled()

    def settle(self, edges: int, last: int) -> Books:
        self.register.suspend()
        news = self.register.take_news()
        Recorder(self.books.facts.put, JournalStatus, lambda: 0).parts(news, 0)
        for told in news:
            if told.fact == "ended":
                self.books.join.ended(told.number, told.detail)
        self.books.close(edges, last, down_ns=0)
        return self.books


def test_a_register_that_follows_the_plc_balances() -> None:
    gateway = Gateway()
    gateway.begin()
    gateway.count(1, 2, 3)
    books = gateway.settle(edges=3, last=3)
    assert books.problems == {}
    assert (books.plc_triggers, books.unowned) == (3, 0)


def test_what_passes_while_no_gateway_lives_is_nobody_s() -> None:
    gateway = Gateway()
    gateway.begin()
    gateway.count(1)
    gateway.register.suspend()
    gateway.books.gateway_ended()
    heir = Gateway(gateway.books)
    heir.begin(last=4)
    heir.count(5)
    books = heir.settle(edges=5, last=5)
    assert books.problems == {}
    assert (books.plc_triggers, books.unowned) == (2, 3)


def test_a_register_that_loses_count_is_found_out() -> None:
    gateway = Gateway()
    gateway.begin()
    gateway.count(1)
    gateway.register.counts.plc_triggers -= 1
    gateway.count(2)
    assert gateway.books.problems == {"the register lost count of the PLC's parts": 1}


def test_counts_that_never_reached_the_gateway_are_found_out() -> None:
    gateway = Gateway()
    gateway.begin()
    gateway.count(1)
    assert "the gateway's parts are not those that the eye counted" in gateway.settle(edges=2, last=2).problems


def test_the_gateway_ends_each_counted_part_once() -> None:
    books = Books(lambda: 0)
    books.join.edge(1)
    books.join.ended(1, "unannounced")
    assert books.problems == {}
    books.join.ended(1, "unannounced")
    books.join.ended(7, "unannounced")
    assert sum(books.problems.values()) == 2


@pytest.mark.parametrize(("how", "problems"), [("permitted", 0), ("reject", 1), ("no_decision", 1), ("late", 0)])
def test_the_gateway_and_the_station_say_the_same_of_a_part(how: str, problems: int) -> None:
    station = Station()
    station.books.join.edge(1)
    station.open(1)
    station.close(1)
    station.books.join.ended(1, how)
    assert sum(station.books.problems.values()) == problems


# -- the oracle -----------------------------------------------------------------------------------------------------


def test_truth_and_findings_come_from_the_tag_alone() -> None:
    oracle = Oracle(Rates(0.1, 0.01, 0.01))
    assert [(oracle.defective(tag), oracle.shows(tag)) for tag in (GOOD, BAD, MISSED, ALARM)] == [
        (False, False), (True, True), (True, False), (False, True),
    ]  # fmt: skip


def test_the_rates_hold() -> None:
    oracle, rng = Oracle(Rates(0.1, 0.02, 0.03)), random.Random(3)
    tags = [f"{rng.getrandbits(64):016x}" for _ in range(100_000)]
    bad = [tag for tag in tags if oracle.defective(tag)]
    good = [tag for tag in tags if not oracle.defective(tag)]
    assert len(bad) / len(tags) == pytest.approx(0.1, abs=0.005)
    assert sum(not oracle.shows(tag) for tag in bad) / len(bad) == pytest.approx(0.02, abs=0.005)
    assert sum(oracle.shows(tag) for tag in good) / len(good) == pytest.approx(0.03, abs=0.003)


class Still:
    due_ns = scan_ns = NEVER

    def happen(self, now_ns: int) -> None:
        raise AssertionError(now_ns)

    scan = happen


class Bench:
    """Inspection on a virtual clock."""

    def __init__(self) -> None:
        self.sim = Scheduler(1)
        self.sim.physics = Still()
        self.pool = FramePool(8, SHAPE, {Purpose.INSPECTION: 8})
        self.results: list[tuple[int, Inspected]] = []
        self.inspection = Inspection(
            self.sim, Oracle(Rates()), self.pool, random.Random(1), self._took, decide
        )  # fmt: skip

    def _took(self, event: Inspected) -> None:
        self.results.append((self.sim.now // MS, event))

    def submit(self, number: int, tag: str = GOOD, deadline_ms: int = 100) -> Lease:
        lease = self.pool.lease(Purpose.INSPECTION)
        assert lease is not None
        self.pool.frame(lease)[0, :] = pixels(tag)
        self.inspection.submit(number, lease, self.sim.now + deadline_ms * MS, RULES)
        return lease

    def run(self, ms: int = 1000) -> list[tuple[int, str, str]]:
        self.sim.run_until(self.sim.now + ms * MS)
        return [(e.number, e.verdict.outcome.value, e.verdict.cause) for _, e in self.results]


def test_frames_are_judged_one_after_the_other_by_what_their_pixels_show() -> None:
    bench = Bench()
    bench.submit(1, GOOD)
    bench.submit(2, BAD)
    assert bench.run() == [(1, "PASS", "clean"), (2, "REJECT", "rule")]
    first, second = (ms for ms, _ in bench.results)
    assert 15 <= first <= 35
    assert 15 <= second - first <= 36


def test_a_slot_that_is_overwritten_shows_another_plate() -> None:
    bench = Bench()
    lease = bench.submit(1, GOOD)
    bench.pool.frame(lease)[0, :] = pixels(BAD)
    assert bench.run() == [(1, "REJECT", "rule")]


@pytest.mark.parametrize("trouble", ["engine_fault", "non_finite", "saturated"])
def test_troubles_end_without_a_decision(trouble: str) -> None:
    bench = Bench()
    bench.inspection.trouble = trouble
    bench.submit(1)
    assert bench.run() == [(1, "NO_DECISION", trouble)]


def test_a_frame_whose_turn_comes_too_late_is_not_inspected() -> None:
    bench = Bench()
    bench.inspection.slow_ms = 100.0
    bench.submit(1)
    bench.submit(2, deadline_ms=50)
    assert bench.run() == [(1, "PASS", "clean"), (2, "NO_DECISION", "compute_timeout")]


def test_a_stuck_inspection_shows_as_hung() -> None:
    bench = Bench()
    bench.inspection.stuck = True
    bench.submit(1)
    assert bench.run(500) == []
    assert bench.inspection.hung(bench.sim.now - 400 * MS)
    assert not bench.inspection.hung(1)


def test_a_stopped_process_ends_its_inspection_when_it_goes_on() -> None:
    bench = Bench()
    bench.submit(1)
    bench.inspection.freeze()
    assert bench.run(500) == []
    bench.inspection.thaw()
    assert bench.run(0) == [(1, "PASS", "clean")]


def test_a_killed_process_ends_nothing() -> None:
    bench = Bench()
    bench.submit(1)
    bench.inspection.alive = False
    assert bench.run() == []
