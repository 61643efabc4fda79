"""The line's reader of the gateway's facts: what is missing, doubled or left over is a problem."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from edge.core.counter import wrap
from edge.core.register import Register
from edge.core.session import Geometry
from edge.gateway.recorder import Recorder
from edge.record.journal.rows import Fact, Row
from edge.simulate.line.components import Components
from edge.simulate.line.factbook import FactBook
from edge.simulate.line.shard import Shard, Task
from edge.wire.messages import JournalStatus

GEOMETRY = Geometry(gate=5000, commit=4300, pitch=600, match=280, spacing=590, backlash=20)
NOT_FOLLOWING = "the journal's parts do not follow each other"
NO_BEGIN = "an end was told of a part that had not begun, or had ended"
DIFFER = "the journal's facts and the register's counters differ"
FIRST = 2**32 - 2
"""Numbers wrap on the way."""


class Day:
    """A register that counts parts, some unread, and ends them in every way."""

    def __init__(self) -> None:
        self.register = Register(GEOMETRY, 7)
        self.rows: list[Row] = []
        self.register.restart(5, 7, 1, wrap(FIRST - 1))
        for place, number in enumerate((FIRST, FIRST + 1, FIRST + 4, FIRST + 5, FIRST + 6)):
            self.register.bypass = place in (2, 3)
            self.register.plc_part(wrap(number), place * 700, place * 700)
            if place == 0:
                self.register.grant(77, 2**32 - 20_000)
        self.register.permit_written(wrap(FIRST + 4))
        self.register.executed(wrap(FIRST + 4))
        self.register.permit_written(wrap(FIRST + 5))
        self.register.restart(5, 8, 1, wrap(FIRST + 9))
        Recorder(self.rows.append, JournalStatus, lambda: 0).parts(self.register.take_news(), 0)

    def judged(self, rows: list[Row]) -> Counter[str]:
        problems: Counter[str] = Counter()
        book = FactBook(problems)
        for row in rows:
            book.put(row)
        book.gateway_ended(self.register)
        return problems


def test_a_day_that_is_told_whole_has_no_problem() -> None:
    day = Day()
    facts = Counter(row.fact for row in day.rows if isinstance(row, Fact))
    assert facts == {"counted": 5, "unread": 2, "ended": 3, "armed": 2, "executed": 1}
    assert (day.register.counts.plc_triggers, len(day.register.armed)) == (10, 1)
    assert day.judged(day.rows) == {}


@pytest.mark.parametrize("which", range(13))
def test_each_fact_that_is_left_out_is_missed(which: int) -> None:
    day = Day()
    left_out = day.rows.pop(which)
    assert isinstance(left_out, Fact)
    problems = day.judged(day.rows)
    assert (DIFFER in problems) is (left_out.fact != "armed"), "armed is no beginning and no end"
    if left_out.fact == "unread":
        assert (NOT_FOLLOWING in problems) is (left_out.detail == "not_read"), "the last one is followed by none"


@pytest.mark.parametrize("which", range(13))
def test_each_fact_that_is_told_twice_is_noticed(which: int) -> None:
    day = Day()
    doubled = day.rows[which]
    assert isinstance(doubled, Fact)
    problems = day.judged([*day.rows[: which + 1], doubled, *day.rows[which + 1 :]])
    assert (DIFFER in problems) is (doubled.fact != "armed")
    if doubled.fact in ("ended", "executed"):
        assert problems[NO_BEGIN] == 1


def test_an_end_under_another_start_of_the_plc_is_no_end() -> None:
    day = Day()
    rows: list[Row] = []
    for row in day.rows:
        assert isinstance(row, Fact)
        fields = {name: getattr(row, name) for name in Fact.__struct_fields__}
        rows.append(Fact(**{**fields, "plc": 6}) if row.fact == "executed" else row)
    assert NO_BEGIN in day.judged(rows)


class Silent(Register):
    """Keeps an end in fifty to itself."""

    def _tell(self, fact: str, number: int, detail: str = "", value: int = 0) -> None:
        if fact not in ("ended", "executed") or number % 50:
            super()._tell(fact, number, detail, value)


@pytest.mark.parametrize("register", [Register, Silent])
def test_a_line_whose_gateway_does_not_tell_all_does_not_reconcile(register: type[Register]) -> None:
    shard = Shard(Task(parts=150, seed=3), replace(Components(), register=register))
    shard.run()
    assert (DIFFER in shard.books.problems) is (register is Silent)
    if register is Register:
        assert shard.books.problems == {}
