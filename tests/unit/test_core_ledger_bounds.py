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
    book.open(Trigger(2, None, 0), "r", 0)
    ended = book.locate(2, count, 9, misplaced)
    part = ended or book.get(2)
    assert part is not None
    assert (part.count, part.count_interval, part.commit_count) == (
        count,
        ((count - LENGTH) % (1 << 32), count),
        count + COMMIT,
    )
    assert (ended is not None) is misplaced
    assert (ended.verdict.cause if ended and ended.verdict else "").startswith(cause)
    assert book.locate(9, 5, 9) is None


def test_a_count_that_comes_later_is_not_misplaced_unless_said_so_and_is_known_from_then_on() -> None:
    book = ledger()
    book.open(Trigger(1, None, 0), "r", 0)
    assert book.locate(1, 500, 0) is None
    assert causes(book.open(Trigger(2, 503, 0), "r", 0, misplaced=True)) == ["re_pass"]


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
        assert causes(book.open(Trigger(1 + 1000 * n, 0, 0), "r", 0)) == ["not_synchronised"]
        assert book.jumps == n
    assert type(book.jumps) is int
