"""When a challenge is due and when it is skipped: by hours of running, and for what happens."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.challenge_due import ECHOES, NS_PER_H, NS_PER_MIN, REASONS, Due, shift_began

GRACE = 15 * NS_PER_MIN


def test_hours_of_running_make_it_due_and_hours_of_standing_do_not() -> None:
    due = Due(8 * NS_PER_H, GRACE)
    due.tick(0, runs=True)
    due.tick(8 * NS_PER_H - 1, runs=True)
    assert (due.reasons, due.left_ns) == ([], 1)
    due.tick(1000 * NS_PER_H, runs=False)
    assert due.reasons == []
    due.tick(1000 * NS_PER_H + 1, runs=True)
    assert (due.reasons, due.left_ns) == (["hours"], 0)


def test_it_is_skipped_once_after_its_grace_of_running() -> None:
    due = Due(0, GRACE)
    assert due.left_ns is None
    due.tick(0, runs=True)
    due.happened("start")
    assert not due.tick(GRACE - 1, runs=True)
    assert not due.tick(100 * GRACE, runs=False), "a line that stands skips nothing"
    assert due.tick(100 * GRACE + 1, runs=True)
    assert not due.tick(200 * GRACE, runs=True)
    assert due.reasons == ["start"], "it is still to be made"
    due.happened("shift")
    assert not due.tick(201 * GRACE - 1, runs=True)
    assert due.tick(201 * GRACE, runs=True), "the next one that was not made"


def test_a_second_reason_gives_no_second_grace() -> None:
    due = Due(0, GRACE)
    due.tick(0, runs=True)
    due.happened("start")
    due.tick(GRACE - 1, runs=True)
    due.happened("change")
    assert due.tick(GRACE, runs=True)


def test_a_failed_or_skipped_one_is_due_again_and_not_skipped_once_more_for_it() -> None:
    due = Due(0, 0)
    due.tick(0, runs=True)
    for reason in ECHOES:
        due.happened(reason)
    assert due.reasons == list(ECHOES)
    assert not due.tick(NS_PER_H, runs=True)
    due.happened("shift")
    assert due.tick(NS_PER_H, runs=True), "without a grace, at once, and before a part has come"


def test_only_a_challenge_that_is_passed_ends_it() -> None:
    due = Due(NS_PER_H, GRACE, ran_ns=2 * NS_PER_H)
    assert due.reasons == ["hours"], "after a restart as before it"
    due.tick(0, runs=True)
    due.happened("fault")
    due.passed()
    assert (due.reasons, due.left_ns) == ([], NS_PER_H)
    assert not due.tick(NS_PER_H - 1, runs=True)
    assert due.reasons == []
    due.tick(NS_PER_H, runs=True)
    assert due.reasons == ["hours"]


@given(st.lists(st.tuples(st.integers(0, 2 * NS_PER_H), st.booleans(), st.sampled_from(["", *REASONS])), max_size=40))
def test_while_parts_run_nothing_stays_due_unsaid_for_longer_than_the_grace(steps: list[tuple[int, bool, str]]) -> None:
    due, now, ran, asked = Due(0, GRACE), 0, 0, None
    due.tick(0, runs=False)
    for took, runs, reason in steps:
        now, ran = now + took, ran + took * runs
        skipped = due.tick(now, runs)
        assert skipped == (asked is not None and ran >= asked + GRACE)
        asked = None if skipped else asked
        if reason:
            due.happened(reason)
        if reason and reason not in ECHOES:
            asked = ran if asked is None else asked


@pytest.mark.parametrize(
    ("now", "began"),
    [
        ("2026-03-02T06:00:00", "2026-03-02T06:00:00"),
        ("2026-03-02T05:59:59", "2026-03-01T22:00:00"),
        ("2026-03-02T13:59:59", "2026-03-02T06:00:00"),
        ("2026-03-02T23:30:00", "2026-03-02T22:00:00"),
    ],
)
def test_the_last_shift_began_today_or_yesterday(now: str, began: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=timezone.utc)
    found = shift_began(["22:00", "06:00", "14:00"], at)
    assert found == datetime.fromisoformat(began).replace(tzinfo=timezone.utc)
    assert shift_began([], at) is None
