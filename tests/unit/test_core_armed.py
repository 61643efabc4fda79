"""Permits that the PLC holds: each is accounted for, once."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge.core.armed import Armed
from tests.support_hypothesis import usual

REACH = 7000
SPAN = 1 << 32


class ArmedMachine(RuleBasedStateMachine):
    """A few numbers, so that they come again."""

    numbers = st.integers(1, 6)

    def __init__(self) -> None:
        super().__init__()
        self.armed = Armed(REACH)
        self.held: set[int] = set()
        self.taken = self.executed = self.voided = 0

    @rule(number=numbers)
    def take(self, number: int) -> None:
        if number not in self.held:
            self.armed.take(number, 100 * number)
            self.held.add(number)
            self.taken += 1

    @rule(number=numbers)
    def execute(self, number: int) -> None:
        assert self.armed.execute(number) is (number in self.held)
        self.executed += number in self.held
        self.held.discard(number)

    @rule(number=numbers, cause=st.sampled_from(["cleared", "no_word"]))
    def void(self, number: int, cause: str) -> None:
        before = self.armed.voided[cause]
        assert self.armed.void(number, cause) is (number in self.held)
        assert self.armed.voided[cause] == before + (number in self.held)
        self.voided += number in self.held
        self.held.discard(number)

    @rule()
    def forget(self) -> None:
        assert sorted(self.armed.forget("session_lost")) == sorted(self.held)
        self.voided += len(self.held)
        self.held.clear()

    @invariant()
    def each_is_accounted_for(self) -> None:
        armed = self.armed
        assert (armed.taken, armed.executed, armed.voided.total()) == (self.taken, self.executed, self.voided)
        assert len(armed) == len(self.held) == armed.taken - armed.executed - armed.voided.total()
        assert all((number in armed) is (number in self.held) for number in range(8))


TestArmed = ArmedMachine.TestCase
TestArmed.settings = usual(60, 30)


@pytest.mark.parametrize("count", [0, SPAN - REACH, SPAN - 1])
def test_a_permit_is_overdue_one_count_behind_its_reach(count: int) -> None:
    armed = Armed(REACH)
    armed.take(1, count)
    armed.take(2, (count + 1) % SPAN)
    assert armed.overdue((count + REACH) % SPAN) == []
    assert armed.overdue((count + REACH + 1) % SPAN) == [1]
    assert armed.overdue((count + REACH + 2) % SPAN) == [1, 2]
    assert len(armed) == 2


def test_what_is_forgotten_is_booked_under_its_cause() -> None:
    armed = Armed(REACH)
    armed.take(3, 0)
    armed.take(4, 0)
    assert armed.forget("session_lost") == [3, 4]
    assert armed.voided == {"session_lost": 2}


def test_a_permit_armed_after_one_further_on_waits_for_nobody() -> None:
    armed = Armed(REACH)
    armed.take(2, 1000)
    armed.take(1, 0)
    assert armed.overdue(REACH + 500) == [1]
    assert armed.overdue(REACH + 1001) == [2, 1]


@pytest.mark.parametrize("count", [0, REACH, SPAN - 1])
def test_of_a_part_far_ahead_of_the_belt_no_word_will_come_either(count: int) -> None:
    """As where a count that jumped back was not noticed: the part is not on this belt."""
    armed = Armed(REACH)
    armed.take(1, count)
    assert armed.overdue((count - REACH) % SPAN) == []
    assert armed.overdue((count - REACH - 1) % SPAN) == [1]
