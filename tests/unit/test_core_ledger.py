"""The part ledger against a model that counts with unbounded numbers."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.core.counter import delta, wrap
from edge.core.ledger import PartLedger
from edge.core.outcome import CAUSES, Outcome
from edge.core.part import FrameInfo, Part, Trigger, Verdict

SLOW = [HealthCheck.too_slow]

CAPACITY, TIMEOUT, FRAME_TIMEOUT, LENGTH = 5, 100, 60, 600
COMMIT, MATCH, PITCH = 35, 3, 10
SPAN = 1 << 32
VERDICTS = {
    "PASS": Verdict(Outcome.PASS, "clean"),
    "REJECT": Verdict(Outcome.REJECT, "rule"),
    "NO_DECISION": Verdict(Outcome.NO_DECISION, "engine_fault"),
}


def info(counter: int = 0) -> FrameInfo:
    return FrameInfo(counter, 0, 0)


near = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 5, 8, -1])
seldom = st.sampled_from([False] * 9 + [True])
beyond = st.sampled_from([None, None, None, -1, 0, 1, PITCH, -SPAN // 4])


class LedgerMachine(RuleBasedStateMachine):
    """Parts are told apart by their absolute number; the ledger sees 32 bits of it."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = PartLedger(CAPACITY, TIMEOUT, FRAME_TIMEOUT, LENGTH, COMMIT, MATCH)
        self.now = 0
        self.open: dict[int, tuple[int, bool]] = {}  # absolute number -> (T0, has a frame)
        self.counts: dict[int, int] = {}  # absolute number -> absolute count, of open parts
        self.known: list[int] = []
        self.newest = -1  # T0
        self.booked: list[tuple[int, int]] = []  # number and latest T0 of edges that the newest T0 cannot tell
        self.ended: dict[int, tuple[Part, Outcome, str]] = {}
        self.late = self.unknown = self.jumps = 0

    @initialize(start=st.sampled_from([0, 7, SPAN - 3, SPAN - 1, 3 * SPAN - 2]))
    def begin(self, start: int) -> None:
        self.start = self.highest = start
        self.first = True

    def take(self, parts: list[Part], expected: dict[int, tuple[Outcome, str]]) -> None:
        """Book what the ledger closed: exactly the expected parts, each for the first and only time."""
        assert [p.number for p in parts] == [wrap(n) for n in expected]
        for part, number in zip(parts, expected, strict=True):
            assert number not in self.ended, "a second outcome"
            assert part.verdict is not None
            assert (part.verdict.outcome, part.verdict.cause) == expected[number]
            assert CAUSES[part.verdict.cause].outcome is part.verdict.outcome
            assert part.t2_ns == self.now
            self.open.pop(number, None)
            self.counts.pop(number, None)
            self.ended[number] = (part, part.verdict.outcome, part.verdict.cause)

    @rule(
        step=st.sampled_from([1, 1, 1, 1, 1, 1, 2, 3, CAPACITY, CAPACITY + 1, 1000, 0, -1, -4]),
        passed=st.sampled_from([0, 1, 1, 1, 1, 1, 140]),
        age=st.sampled_from([0, 0, 0, 0, 0, 0, 1, 50, 59, 60, 99, 100, 130, -5]),
        place=st.sampled_from(["front"] * 6 + ["none", "none", "known", "known", "nowhere"]),
        off=st.integers(-MATCH - 1, MATCH + 1),
    )
    def trigger(self, step: int, passed: int, age: int, place: str, off: int) -> None:
        number = self.highest + step
        if number < 0:
            return
        self.now += passed
        t0 = self.now - age
        expected: dict[int, tuple[Outcome, str]] = {}
        opens = False
        count: int | None = {"front": PITCH * number, "none": None, "nowhere": PITCH * number - 10**6}.get(place)
        if place == "known" and self.known:
            count = self.known[number % len(self.known)] + off
        elif place == "known":
            place, count = "nowhere", PITCH * number - 10**6
        misplaced = place in ("known", "nowhere")
        is_known = count is not None and any(abs(delta(wrap(count), wrap(n))) <= MATCH for n in self.known)
        is_booked = any(wrap(number) == wrap(n) and t0 <= latest for n, latest in self.booked)
        if t0 <= self.newest or is_booked:
            self.unknown += 1
        else:
            jumped = not self.first and not 0 < step <= CAPACITY
            self.jumps += jumped
            if jumped:  # the counter began anew: this number is another part's, whatever came under it before
                expected = dict.fromkeys(self.open, (Outcome.NO_DECISION, "not_synchronised"))
                number += SPAN
            elif not self.first:
                expected = self.lost(range(self.highest + 1, number), t0)
            if t0 > self.now:
                self.book(number, t0)
            else:
                self.newest = t0
            if jumped or t0 > self.now:
                expected[number] = (Outcome.NO_DECISION, "not_synchronised")
            elif misplaced:
                expected[number] = (Outcome.NO_DECISION, "re_pass" if is_known else "unknown_position")
            elif self.now - t0 >= TIMEOUT:
                expected[number] = (Outcome.NO_DECISION, "trigger_late")
            elif len(self.open) >= CAPACITY:
                expected[number] = (Outcome.NO_DECISION, "too_many_open")
            else:
                opens = True
            self.highest, self.first = number, False
            if count is not None and not misplaced:
                self.learn(count)
        latched = None if count is None else wrap(count)
        closed = self.ledger.open(Trigger(wrap(number), latched, t0), "recipe", self.now, misplaced)
        self.take(closed, expected)
        if opens:
            self.open[number] = (t0, False)
            part = self.ledger.get(wrap(number))
            assert part is not None
            if count is not None:
                self.counts[number] = count
                assert (part.count, part.count_interval) == (wrap(count), (wrap(count - LENGTH), wrap(count)))
            else:
                assert (part.count, part.count_interval, part.commit_count) == (None, None, None)

    def book(self, number: int, t0: int) -> None:
        self.booked = [*self.booked, (number, t0)][-CAPACITY:]

    def lost(self, numbers: range, t0: int) -> dict[int, tuple[Outcome, str]]:
        for number in numbers:
            self.book(number, t0)
        return dict.fromkeys(numbers, (Outcome.NO_DECISION, "trigger_lost"))

    def learn(self, count: int) -> None:
        self.known = [*self.known, count][-CAPACITY:]

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, CAPACITY), place=st.sampled_from(["front"] * 4 + ["known", "nowhere"]))
    def locate(self, which: int, place: str) -> None:
        number = sorted(self.open)[which % len(self.open)]
        if number in self.counts:
            return
        count = self.known[-1] if place == "known" and self.known else PITCH * number - 10**6 * (place != "front")
        misplaced = place != "front"
        is_known = any(abs(delta(wrap(count), wrap(n))) <= MATCH for n in self.known)
        expected = (Outcome.NO_DECISION, "re_pass" if is_known else "unknown_position")
        part = self.ledger.locate(wrap(number), wrap(count), self.now, misplaced)
        self.take([part] if part else [], {number: expected} if misplaced else {})
        if not misplaced:
            self.counts[number] = count
            self.learn(count)
        assert self.ledger.locate(wrap(number + 1000), 0, self.now, True) is None

    @rule(ahead=st.sampled_from([-2, 0, 1, 2, CAPACITY - 1, CAPACITY, 1000]))
    def lose(self, ahead: int) -> None:
        is_gap = not self.first and 0 < ahead < CAPACITY
        numbers = range(self.highest + 1, self.highest + ahead + 1) if is_gap else range(0)
        expected = self.lost(numbers, self.now)
        closed = self.ledger.lose(wrap(self.highest + ahead), "recipe", self.now, self.now)
        assert all(part.count is None for part in closed)
        self.take(closed, expected)
        self.highest += len(expected)

    @precondition(lambda self: not self.first)
    @rule(back=near, times=st.sampled_from([1, 1, 2]))
    def frame(self, back: int, times: int) -> None:
        number = self.highest - back
        for counter in range(times):
            part = self.ledger.attach(wrap(number), info(counter))
            if number not in self.open:
                assert part is None
                self.late += 1
            elif self.open[number][1]:
                assert part is None, "a second frame took the place of the first"
            else:
                assert part is not None
                assert part.frame == info(counter)
                self.open[number] = (self.open[number][0], True)

    def belt(self, beyond: int | None) -> int | None:
        """Return a count of the belt, so far beyond the commit point of the first located part."""
        if beyond is None or not self.counts:
            return None
        return wrap(self.counts[min(self.counts)] + COMMIT + beyond)

    def passed(self, number: int, beyond: int | None) -> bool:
        return (
            beyond is not None
            and number in self.counts
            and self.counts[min(self.counts)] + beyond >= self.counts[number]
        )

    @precondition(lambda self: not self.first)
    @rule(back=near, kind=st.sampled_from(sorted(VERDICTS)), beyond=beyond)
    def verdict(self, back: int, kind: str, beyond: int | None = None) -> None:
        number, verdict = self.highest - back, VERDICTS[kind]
        expected = (verdict.outcome, verdict.cause)
        if number in self.open and kind != "NO_DECISION":
            if self.now >= self.open[number][0] + TIMEOUT:
                expected = (Outcome.NO_DECISION, "compute_timeout")
            elif self.passed(number, beyond):
                expected = (Outcome.NO_DECISION, "commit_passed")
            self.late += expected[0] is Outcome.NO_DECISION
        self.late += number not in self.open
        part = self.ledger.close(wrap(number), verdict, self.now, self.belt(beyond))
        assert (part is None) == (number not in self.open)
        self.take([part] if part else [], {number: expected} if part else {})

    @precondition(lambda self: not self.first)
    @rule(back=near, cause=st.sampled_from(["frame_ambiguous", "pool_exhausted"]))
    def fail(self, back: int, cause: str) -> None:
        number = self.highest - back
        part = self.ledger.fail(wrap(number), cause, self.now)
        assert (part is None) == (number not in self.open)
        self.take([part] if part else [], {number: (Outcome.NO_DECISION, cause)} if part else {})

    @precondition(lambda self: self.open)
    @rule(off=st.sampled_from([-1, 0, 1]), which=st.integers(0, CAPACITY))
    def pass_at_the_deadline(self, off: int, which: int) -> None:
        number = sorted(self.open)[which % len(self.open)]
        self.now = max(self.now, self.open[number][0] + TIMEOUT + off)
        self.verdict(self.highest - number, "PASS")

    @rule(passed=st.sampled_from([0, 1, 5, 10, 30, 59, 60, 61, 100]))
    def wait(self, passed: int) -> None:
        self.now += passed

    @rule(beyond=beyond)
    def expire(self, beyond: int | None) -> None:
        expected = {}
        belt = self.belt(beyond)
        for number, (t0, framed) in self.open.items():
            if not framed and self.now >= t0 + FRAME_TIMEOUT:
                expected[number] = (Outcome.NO_DECISION, "frame_missing")
            elif self.now >= t0 + TIMEOUT:
                expected[number] = (Outcome.NO_DECISION, "compute_timeout")
            elif self.passed(number, beyond):
                expected[number] = (Outcome.NO_DECISION, "commit_passed")
        self.take(self.ledger.expire(self.now, belt), expected)
        assert all(p.deadline_ns > self.now for p in self.ledger)
        due = self.ledger.next_deadline_ns()
        assert (due is None) == (not self.open)
        assert due is None or due > self.now

    @rule(really=seldom)
    def maybe_drain(self, really: bool) -> None:
        if really:
            self.drain()

    def drain(self) -> None:
        expected = dict.fromkeys(self.open, (Outcome.NO_DECISION, "station_stopping"))
        self.take(self.ledger.drain("station_stopping", self.now), expected)
        assert len(self.ledger) == 0

    @rule(really=seldom)
    def new_plc_session(self, really: bool) -> None:
        """A foreign counter follows, far away from the numbers that are still open."""
        if really:
            self.ledger.resynchronise()
            self.known = []
            self.highest += 10_000
            self.first = True

    @invariant()
    def reconciles(self) -> None:
        ledger = self.ledger
        assert ledger.reconciles()
        assert ledger.triggers == len(self.open) + len(self.ended)
        assert ledger.triggers == sum(ledger.outcomes.values()) + len(ledger)
        assert {p.number for p in ledger} == {wrap(n) for n in self.open}
        assert len(ledger) <= CAPACITY
        assert (ledger.late, ledger.unknown_triggers, ledger.jumps) == (self.late, self.unknown, self.jumps)

    @invariant()
    def what_ended_stays_as_it_ended(self) -> None:
        for part, outcome, cause in self.ended.values():
            assert part.verdict is not None
            assert (part.verdict.outcome, part.verdict.cause) == (outcome, cause)

    def teardown(self) -> None:
        self.drain()
        assert sum(self.ledger.outcomes.values()) == self.ledger.triggers == len(self.ended)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=SLOW)


def ledger(**changes: int) -> PartLedger:
    values = {"capacity": 5, "timeout_ns": TIMEOUT, "frame_timeout_ns": FRAME_TIMEOUT, "part_counts": LENGTH}
    return PartLedger(**{**values, "commit_counts": COMMIT, "match_counts": MATCH, **changes})


def test_a_verdict_one_nanosecond_before_its_deadline_counts_and_at_it_does_not() -> None:
    for now, outcome in ((TIMEOUT - 1, Outcome.PASS), (TIMEOUT, Outcome.NO_DECISION)):
        book = ledger()
        book.open(Trigger(1, 0, 0), "r", 0)
        part = book.close(1, VERDICTS["PASS"], now)
        assert part is not None
        assert part.verdict is not None
        assert part.verdict.outcome is outcome
        assert book.late == (now == TIMEOUT)


def test_a_frame_timeout_beyond_the_deadline_is_the_deadline() -> None:
    book = ledger(frame_timeout_ns=10 * TIMEOUT)
    book.open(Trigger(1, 0, 0), "r", 0)
    assert book.next_deadline_ns() == TIMEOUT
    assert [p.verdict.cause for p in book.expire(TIMEOUT) if p.verdict] == ["frame_missing"]


def test_a_gap_of_the_whole_capacity_is_lost_triggers_and_one_more_is_a_jump() -> None:
    for step, lost, jumps in ((5, 4, 0), (6, 0, 1)):
        book = ledger()
        book.open(Trigger(SPAN - 2, 0, 0), "r", 0)
        closed = book.open(Trigger(wrap(SPAN - 2 + step), 0, 1), "r", 1)
        assert [p.verdict.cause for p in closed if p.verdict].count("trigger_lost") == lost
        assert book.jumps == jumps


@pytest.mark.parametrize("verdict", [Verdict(Outcome.PASS, "rule"), Verdict(Outcome.PASS, "no such cause")])
def test_a_contradictory_verdict_is_refused_and_costs_no_part(verdict: Verdict) -> None:
    book = ledger()
    book.open(Trigger(1, 0, 0), "r", 0)
    with pytest.raises((ValueError, KeyError)):
        book.close(1, verdict, 1)
    assert book.reconciles(), "the part vanished without an outcome"
    assert len(book.expire(TIMEOUT)) == 1


def test_lost_numbers_of_a_new_session_never_end_parts_that_are_still_open() -> None:
    book = ledger()
    for number in (10, 11):
        book.open(Trigger(number, 0, number), "r", number)
    book.resynchronise()
    ended = [*book.open(Trigger(8, 0, 12), "r", 12), *book.open(Trigger(12, 0, 13), "r", 13)]
    ended += book.drain("station_stopping", 14)
    assert book.triggers == len(ended) == 5, "an edge without an outcome"
    numbers = [p.number for p in ended]
    assert len(numbers) == len(set(numbers)), f"two outcomes under one number: {sorted(numbers)}"


def test_a_verdict_for_an_old_part_does_not_end_its_namesake_in_the_next_lap() -> None:
    book = ledger()
    book.open(Trigger(SPAN - 1, 0, 0), "r", 0)
    book.close(SPAN - 1, VERDICTS["PASS"], 1)
    book.open(Trigger(0, 0, 1), "r", 1)
    assert book.close(SPAN - 1, VERDICTS["PASS"], 2) is None
    assert book.late == 1
    assert [p.number for p in book] == [0]


def test_the_next_deadline_counts_commit_points_where_somebody_says_when_the_belt_can_be_there() -> None:
    book = ledger()
    book.open(Trigger(1, SPAN - COMMIT, 0), "r", 0)
    book.open(Trigger(2, None, 1), "r", 1)
    assert book.next_deadline_ns() == FRAME_TIMEOUT
    assert book.next_deadline_ns(lambda _: None) == FRAME_TIMEOUT
    assert book.next_deadline_ns(lambda count: 7 + count) == 7


def test_a_part_without_a_frame_is_closed_by_its_commit_point_too() -> None:
    book = ledger()
    book.open(Trigger(1, 0, 0), "r", 0)
    assert book.expire(1, COMMIT - 1) == []
    assert [p.verdict.cause for p in book.expire(1, COMMIT) if p.verdict] == ["commit_passed"]


def test_before_the_first_number_nothing_is_known_to_be_lost() -> None:
    book = ledger()
    assert book.lose(7, "r", 5, 5) == []
    book.open(Trigger(SPAN - 1, 0, 5), "r", 5)
    assert [(p.number, p.count) for p in book.lose(1, "r", 5, 5)] == [(0, None), (1, None)]
    assert book.reconciles()


def test_a_re_pass_is_known_by_the_last_parts_and_no_longer() -> None:
    book = ledger(capacity=3)
    for number in range(1, 5):
        book.open(Trigger(number, 100 * number, number), "r", number)
        book.fail(number, "frame_missing", number)
    causes = [
        book.open(Trigger(n, c, n), "r", n, misplaced=True)[-1].verdict for n, c in ((5, 200), (6, 100), (7, 200))
    ]
    assert [v.cause for v in causes if v] == ["re_pass", "unknown_position", "re_pass"]
