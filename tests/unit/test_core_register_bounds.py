"""The register at its bounds: commit point, fence, agreement of counts, room, and very long sessions."""

from __future__ import annotations

import pytest

from edge.core.counter import wrap
from edge.core.outcome import Disposition as D
from edge.core.outcome import Outcome
from edge.core.register import Register
from tests.support_register import COMMIT, FIRST, GEOMETRY, MATCH, PITCH, ROOM, SPAN, STATION, granted, passed

HALF = 1 << 31
MOST = 4 * (COMMIT // PITCH + ROOM)


@pytest.mark.parametrize("base", [0, SPAN - 6000, SPAN - 4500, SPAN - 1])
@pytest.mark.parametrize(
    ("beyond", "answer"), [(-1, (D.ACCEPTED, True)), (0, (D.ACCEPTED, True)), (1, (D.LATE, False))]
)
def test_commit_point(base: int, beyond: int, answer: tuple[D, bool]) -> None:
    register = granted(base)
    count = base + FIRST
    register.plc_part(1, wrap(count), wrap(count))
    assert passed(register, 1, count, count + COMMIT + beyond) == answer
    assert register.reconciles()


@pytest.mark.parametrize("base", [0, SPAN - 6000, SPAN - 1000, SPAN - 1])
@pytest.mark.parametrize(
    ("beyond", "answer"), [(-1, (D.FENCED, False)), (0, (D.ACCEPTED, True)), (1, (D.ACCEPTED, True))]
)
def test_fence(base: int, beyond: int, answer: tuple[D, bool]) -> None:
    register = granted(base)
    count = base + FIRST + beyond
    register.plc_part(1, wrap(count), wrap(count))
    assert passed(register, 1, count, count) == answer
    assert register.reconciles()


@pytest.mark.parametrize("count", [FIRST, FIRST + SPAN - 5000])
@pytest.mark.parametrize(("off", "agrees"), [(-MATCH - 1, False), (-MATCH, True), (MATCH, True), (MATCH + 1, False)])
def test_agreement_of_counts(count: int, off: int, agrees: bool) -> None:
    register = granted(count - FIRST)
    register.plc_part(1, wrap(count), wrap(count))
    assert passed(register, 1, count, count, claimed=count + off) == (
        (D.ACCEPTED, True) if agrees else (D.AMBIGUOUS, False)
    )
    assert bool(register.ambiguous) is not agrees


def test_a_part_is_not_ended_at_its_commit_point_and_is_ended_one_count_later() -> None:
    register = granted()
    register.plc_part(1, FIRST, FIRST)
    assert register.advance(FIRST + COMMIT) == []
    (decision,) = register.advance(FIRST + COMMIT + 1)
    assert (decision.number, decision.disposition, decision.answers) == (1, D.UNANNOUNCED, False)
    assert passed(register, 1, FIRST, FIRST + COMMIT + 1) == (D.LATE, False)


def test_an_announced_part_without_verdict_is_unanswered() -> None:
    register = granted()
    register.announce(STATION, 1, FIRST)
    register.plc_part(1, FIRST, FIRST)
    assert [d.disposition for d in register.advance(FIRST + COMMIT + 1)] == [D.UNANSWERED]
    assert register.counts.announced == 1
    assert +register.counts.rejected == {"unanswered": 1}


def test_a_verdict_that_came_before_the_part_is_answered_when_the_part_comes() -> None:
    register = granted()
    early = register.verdict(STATION, 1, FIRST, Outcome.PASS, 0)
    assert (early.disposition, early.permit, early.answers) == (D.UNKNOWN, None, False)
    assert passed(register, 1, FIRST, 0) == (D.DUPLICATE, False)
    late = register.plc_part(1, FIRST, FIRST)
    assert late is not None
    assert late.permit is not None
    assert late.answers


@pytest.mark.parametrize("end", ["grant", "revoke", "restart"])
def test_a_waiting_verdict_dies_with_its_session(end: str) -> None:
    register = granted()
    register.verdict(STATION, 1, FIRST, Outcome.PASS, 0)
    if end == "grant":
        register.grant(STATION + 1, 0)
    elif end == "revoke":
        register.revoke()
    else:
        register.restart(5, 7, 2, 0)
    assert register.plc_part(1, FIRST, FIRST) is None


def test_a_part_counted_before_the_restart_has_no_claim() -> None:
    register = granted(last_part=SPAN - 1)
    assert register.plc_part(SPAN - 1, FIRST, FIRST) is None
    assert register.pending == 0
    register.plc_part(0, FIRST, FIRST)
    assert register.pending == 1
    assert passed(register, 0, FIRST, FIRST) == (D.ACCEPTED, True)


def test_skipped_parts_are_counted_and_get_no_permit() -> None:
    register = granted(last_part=SPAN - 2)
    register.verdict(STATION, SPAN - 1, FIRST, Outcome.PASS, 0)
    register.plc_part(1, FIRST + PITCH, FIRST + PITCH)
    assert register.counts.plc_triggers == 3
    assert +register.counts.rejected == {"not_read": 2}
    assert passed(register, 0, FIRST, FIRST) == (D.UNKNOWN, False)
    assert register.reconciles()


def test_room_for_early_verdicts_ends_and_comes_back() -> None:
    register = granted()
    for number in range(1, ROOM + 1):
        assert not register.verdict(STATION, number, FIRST, Outcome.PASS, 0).answers
    assert register.verdict(STATION, ROOM + 1, FIRST, Outcome.PASS, 0).answers
    answers = register.advance(FIRST + COMMIT + 1)
    assert [d.disposition for d in answers] == [D.UNKNOWN] * ROOM
    assert not register.verdict(STATION, ROOM + 1, FIRST + 10 * COMMIT, Outcome.PASS, FIRST).answers


def test_flooding_with_foreign_numbers_and_counts_takes_no_memory() -> None:
    register = granted()
    for n in range(1, 3000):
        register.announce(STATION, wrap(n * 7919), wrap(n * 104_729))
        register.verdict(STATION, wrap(n * 7919), wrap(n * 104_729), Outcome.PASS, 0)
    assert sum(len(v) for v in vars(register).values() if isinstance(v, dict)) <= 2 * ROOM
    assert register.reconciles()


def test_an_endless_run_takes_no_memory() -> None:
    register = granted()
    for n in range(1, 500):
        count = FIRST + n * PITCH
        register.plc_part(n, wrap(count), wrap(count))
        assert passed(register, n, count, count) == (D.ACCEPTED, True)
        register.permit_written(n)
        register.executed(n)
        register.advance(wrap(count))
    assert sum(len(v) for v in vars(register).values() if isinstance(v, dict)) <= 4 * ROOM
    assert (register.armed.taken, register.armed.executed, register.pending) == (499, 499, 0)


def test_a_bouncing_eye_over_a_belt_that_stands_takes_no_memory() -> None:
    register = granted()
    for n in range(1, 1501):
        register.plc_part(n, FIRST, FIRST)
        if n % 100 == 0:
            register.advance(FIRST)
        assert register.pending == min(n, MOST), "edges at one count are held until the belt moves, each of them"
    assert +register.counts.rejected == {"crowded_out": 1500 - MOST}
    assert passed(register, 1501 - MOST, FIRST, FIRST) == (D.COLLATERAL, False)
    assert passed(register, 1500 - MOST, FIRST, FIRST) == (D.UNPERMITTED, False)
    assert register.reconciles()


@pytest.mark.parametrize("travelled", [HALF - PITCH, HALF, HALF + PITCH, SPAN - PITCH, SPAN + PITCH])
def test_a_session_outlives_half_the_counter(travelled: int) -> None:
    """2**31 counts at 10 counts/mm and 1 m/s are two and a half days: a session may last longer."""
    register = granted()
    number, count = 0, FIRST
    step = HALF // 8
    while count < FIRST + travelled:
        number, count = number + 1, count + step
        register.plc_part(number, wrap(count), wrap(count))
        register.advance(wrap(count))
        register.verdict(STATION, number, wrap(count), Outcome.PASS, wrap(count))
        register.permit_written(number)
    number, count = number + 1, FIRST + travelled + step
    register.plc_part(number, wrap(count), wrap(count))
    assert passed(register, number, count, count) == (D.ACCEPTED, True)


def test_a_new_session_has_a_fence_again_after_a_long_one() -> None:
    register = granted()
    register.plc_part(1, FIRST, FIRST)
    assert passed(register, 1, FIRST, FIRST) == (D.ACCEPTED, True)
    register.plc_part(2, FIRST + 3000, FIRST + 3000)
    register.grant(STATION, FIRST + 3500)
    assert passed(register, 2, FIRST + 3000, FIRST + 3500) == (D.FENCED, False)


@pytest.mark.parametrize("armed", [True, False])
def test_an_echo_without_a_permit_changes_nothing(armed: bool) -> None:
    register = granted()
    register.plc_part(1, FIRST, FIRST)
    if armed:
        register.permit_written(1)
    else:
        register.permit_failed(1)
    assert register.reconciles()
    assert register.armed.taken == 0
    assert register.pending == 1


def test_nothing_is_counted_before_the_first_restart() -> None:
    register = Register(GEOMETRY, 1, ROOM)
    assert register.verdict(0, 1, 0, Outcome.PASS, 0).disposition is D.OLD_SESSION
    register.grant(STATION, 0)
    assert passed(register, 1, FIRST, FIRST) == (D.UNKNOWN, False)


@pytest.mark.parametrize("outcome", [Outcome.REJECT, Outcome.NO_DECISION])
def test_no_other_word_than_pass_opens_the_gate(outcome: Outcome) -> None:
    register = granted()
    register.plc_part(1, FIRST, FIRST)
    decision = register.verdict(STATION, 1, FIRST, outcome, FIRST)
    assert (decision.disposition, decision.permit) == (D.ACCEPTED, None)
    assert passed(register, 1, FIRST, FIRST) == (D.DUPLICATE, False)
    assert +register.counts.rejected == {outcome.value.lower(): 1}
