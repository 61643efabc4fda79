"""The part ledger's small print: what is counted how often, under which recipe and cause, and at which bound."""

from __future__ import annotations

import pytest

from edge.core.ledger import PartLedger
from edge.core.outcome import Outcome
from edge.core.part import FrameInfo, Part, Trigger, Verdict

TIMEOUT, FRAME_TIMEOUT, LENGTH, COMMIT, MATCH = 100, 60, 600, 35, 3
PASS = Verdict(Outcome.PASS, "clean")


def ledger() -> PartLedger:
    return PartLedger(5, TIMEOUT, FRAME_TIMEOUT, LENGTH, COMMIT, MATCH)


def causes(parts: list[Part]) -> list[str]:
    return [part.verdict.cause for part in parts if part.verdict]


def test_a_new_ledger_has_every_outcome_at_zero() -> None:
    assert dict(ledger().outcomes) == {"PASS": 0, "REJECT": 0, "NO_DECISION": 0}


@pytest.mark.parametrize("what", ["triggers", "causes"])
def test_either_equation_that_fails_shows(what: str) -> None:
    book = ledger()
    book.open(Trigger(1, 0, 0), "r", 0)
    assert book.reconciles()
    if what == "triggers":
        book.triggers += 1
    else:
        book.causes["clean"] += 1
    assert not book.reconciles()


def test_doubled_triggers_add_up_whether_their_part_is_open_or_not() -> None:
    book = ledger()
    book.open(Trigger(1, 0, 0), "r", 0)
    for seen in (1, 2):
        assert book.open(Trigger(1, 0, 0), "r", 0) == []
        assert book.unknown_triggers == seen
    book.close(1, PASS, 1)
    for seen in (3, 4):
        assert book.open(Trigger(1, 0, 0), "r", 0) == []
        assert book.unknown_triggers == seen


def test_lost_and_opened_parts_keep_the_recipe_of_their_time() -> None:
    book = ledger()
    book.open(Trigger(1, 0, 0), "old", 0)
    lost = book.open(Trigger(4, 0, 5), "new", 7)
    assert [(p.number, p.recipe, p.trigger.t0_ns, p.t2_ns, p.deadline_ns) for p in lost] == [
        (2, "new", 5, 7, 5 + TIMEOUT),
        (3, "new", 5, 7, 5 + TIMEOUT),
    ]
    assert causes(lost) == ["trigger_lost", "trigger_lost"]
    assert [(p.number, p.recipe) for p in book] == [(1, "old"), (4, "new")]


def test_lost_parts_and_one_that_closes_at_once_are_returned_together() -> None:
    book = ledger()
    book.open(Trigger(1, 0, 0), "r", 0)
    assert causes(book.open(Trigger(3, None, 1), "r", 1, misplaced=True)) == ["trigger_lost", "unknown_position"]


@pytest.mark.parametrize(("last", "lost"), [(1, 0), (2, 1), (5, 4), (6, 0), (0, 0)])
def test_what_may_be_lost_is_less_than_the_capacity(last: int, lost: int) -> None:
    book = ledger()
    book.open(Trigger(1, 0, 0), "r", 0)
    assert len(book.lose(last, "r", 0, 0)) == lost
    assert book.triggers == 1 + lost


@pytest.mark.parametrize(("misplaced", "count", "cause"), [(False, 7, ""), (True, 103, "re_pass"), (True, 104, "un")])
def test_a_count_that_comes_later(misplaced: bool, count: int, cause: str) -> None:
    book = ledger()
    book.open(Trigger(1, 100, 0), "r", 0)
    book.open(Trigger(2, None, 1), "r", 1)
    ended = book.locate(2, count, 9, misplaced)
    part = ended or book.get(2)
    assert part is not None
    assert (part.count, part.count_interval, part.commit_count) == (
        count,
        ((count - LENGTH) % (1 << 32), count),
        count + COMMIT,
    )
    assert (ended is not None) is misplaced
    assert part.t2_ns == (9 if misplaced else None)
    assert (ended.verdict.cause if ended and ended.verdict else "").startswith(cause)
    assert book.locate(9, 5, 9) is None


def test_a_count_that_comes_later_is_not_misplaced_unless_said_so_and_is_known_from_then_on() -> None:
    book = ledger()
    book.open(Trigger(1, None, 0), "r", 0)
    assert book.locate(1, 500, 0) is None
    assert causes(book.open(Trigger(2, 503, 1), "r", 1, misplaced=True)) == ["re_pass"]


@pytest.mark.parametrize("framed", [True, False])
def test_what_a_part_waits_for_names_its_timeout(framed: bool) -> None:
    book = ledger()
    book.open(Trigger(1, None, 0), "r", 0)
    if framed:
        assert book.attach(1, FrameInfo(0, 0, 0)) is not None
    due, cause = (TIMEOUT, "compute_timeout") if framed else (FRAME_TIMEOUT, "frame_missing")
    assert book.next_deadline_ns() == due
    assert book.expire(due - 1) == []
    assert causes(book.expire(due)) == [cause]
    assert book.next_deadline_ns() is None


def test_a_verdict_that_contradicts_its_cause_is_named() -> None:
    book = ledger()
    book.open(Trigger(1, 0, 0), "r", 0)
    with pytest.raises(ValueError, match=r"Cause 'rule' does not lead to PASS\."):
        book.close(1, Verdict(Outcome.PASS, "rule"), 1)


def test_late_frames_and_verdicts_add_up() -> None:
    book = ledger()
    for seen in (1, 2):
        assert book.attach(9, FrameInfo(0, 0, 0)) is None
        assert book.late == 2 * seen - 1
        assert book.close(9, PASS, 1) is None
        assert book.late == 2 * seen


def test_jumps_add_up_and_their_parts_are_not_synchronised() -> None:
    book = ledger()
    book.open(Trigger(1, 0, 0), "r", 0)
    for n in (1, 2):
        closed = book.open(Trigger(1 + 1000 * n, 0, n), "r", n)
        assert [part.number for part in closed] == ([1, 1001] if n == 1 else [2001])
        assert set(causes(closed)) == {"not_synchronised"}
        assert book.jumps == n
    assert type(book.jumps) is int


def test_a_jump_closes_what_is_open_before_its_numbers_come_again() -> None:
    book = ledger()
    for n in (10, 11, 12):
        book.open(Trigger(n, 0, n), "r", n)
    closed = book.open(Trigger(11, 0, 20), "r", 20)
    assert [(p.number, p.trigger.t0_ns) for p in closed] == [(10, 10), (11, 11), (12, 12), (11, 20)]
    assert causes(closed) == ["not_synchronised"] * 4
    assert book.open(Trigger(12, 0, 21), "r", 21) == []
    assert [(p.number, p.trigger.t0_ns) for p in book] == [(12, 21)]
    assert book.reconciles()


def test_after_a_jump_the_new_counter_is_followed_at_once() -> None:
    book = ledger()
    book.open(Trigger(100, 0, 1), "r", 1)
    assert causes(book.open(Trigger(1, 0, 2), "r", 2)) == ["not_synchronised"] * 2
    assert [(p.number, p.verdict.cause) for p in book.open(Trigger(3, 0, 3), "r", 3) if p.verdict] == [
        (2, "trigger_lost")
    ]
    assert [p.number for p in book] == [3]
    assert book.jumps == 1


def test_a_namesake_still_open_at_a_fresh_start_is_a_jump() -> None:
    book = ledger()
    book.open(Trigger(7, 0, 1), "r", 1)
    book.resynchronise()
    closed = book.open(Trigger(7, 0, 2), "r", 2)
    assert [(p.trigger.t0_ns, p.verdict.cause) for p in closed if p.verdict] == [
        (1, "not_synchronised"),
        (2, "not_synchronised"),
    ]
    assert book.jumps == 1
    assert book.reconciles()


@pytest.mark.parametrize(("t0", "is_new"), [(4, False), (5, False), (6, True)])
def test_an_edge_is_told_from_the_newest_by_its_time_across_a_fresh_start(t0: int, is_new: bool) -> None:
    book = ledger()
    book.open(Trigger(7, 0, 5), "r", 5)
    book.close(7, PASS, 6)
    book.resynchronise()
    assert book.open(Trigger(7, 0, t0), "r", 6) == []
    assert (book.triggers, book.unknown_triggers) == ((2, 0) if is_new else (1, 1))


@pytest.mark.parametrize(("t0", "triggers"), [(7, 2), (8, 2), (9, 3)])
def test_an_edge_that_was_booked_as_lost_gets_no_second_outcome(t0: int, triggers: int) -> None:
    book = ledger()
    book.open(Trigger(1, 0, 5), "r", 5)
    assert causes(book.lose(2, "r", 8, 8)) == ["trigger_lost"]
    book.open(Trigger(2, 0, t0), "r", 9)
    assert book.triggers == triggers
    assert book.unknown_triggers == 3 - triggers


def test_a_doubled_edge_on_another_clock_gets_no_second_outcome_and_makes_no_other_look_old() -> None:
    book = ledger()
    assert causes(book.open(Trigger(1, 0, 1000), "r", 5)) == ["not_synchronised"]
    assert book.open(Trigger(1, 0, 1000), "r", 6) == []
    assert book.open(Trigger(1, 0, 1000), "r", 1001) == []
    assert (book.triggers, book.unknown_triggers) == (1, 2)
    book.open(Trigger(2, 0, 7), "r", 7)
    assert [p.number for p in book] == [2]


def test_an_edge_at_the_clocks_zero_is_the_first_one() -> None:
    book = ledger()
    assert book.open(Trigger(1, 0, 0), "r", 0) == []
    assert (len(book), book.unknown_triggers) == (1, 0)
    book.open(Trigger(1, 0, 0), "r", 0)
    assert book.unknown_triggers == 1


@pytest.mark.parametrize(("number", "t0_ns", "known"), [(2, 5, True), (2, 4, True), (9, 5, True), (4, 6, False)])
def test_an_edge_that_is_no_later_than_another_or_was_booked_as_lost_is_that_edge_again(
    number: int, t0_ns: int, known: bool
) -> None:
    book = ledger()
    book.open(Trigger(1, 0, 1), "r", 1)
    book.open(Trigger(3, 0, 5), "r", 5)
    book.open(Trigger(number, 0, t0_ns), "r", 6)
    assert book.unknown_triggers == known


def test_a_trigger_of_another_clock_makes_none_of_this_one_look_old_and_is_known_when_it_comes_again() -> None:
    book = ledger()
    assert causes(book.open(Trigger(1, 0, 1000), "r", 10)) == ["not_synchronised"]
    for t0_ns, known in ((1000, 1), (999, 2)):
        book.open(Trigger(1, 0, t0_ns), "r", 11)
        assert book.unknown_triggers == known
    book.open(Trigger(2, 0, 10), "r", 11)
    assert (len(book), book.unknown_triggers) == (1, 2)


def test_what_was_booked_is_remembered_for_a_few_parts_only() -> None:
    book = ledger()
    for n in range(1, 40):
        book.open(Trigger(n, 0, 1000 + n), "r", 10)
    assert len(book._booked) == 5
