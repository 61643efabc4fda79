"""The judgement of a fault's row: what a line must not get away with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.matrix.row import Books, Fate, Row, Seen, judge
from tests.faults.matrix.watch import SILENT, Watch

ROW = Row("a fault", "", lambda _: None, Fate.UNHARMED, (), (), (), 1.0, ())
FIRST, HURT, HEALED, LAST = 93, 100, 125, 160


def plate(number: int, passes: bool, defective: bool = False) -> dict[str, Any]:
    """Return a plate that the station judges by its own frame, and the gate by that."""
    outcome = "REJECT" if defective else "PASS"
    fell = "good" if passes and not defective else "reject"
    return {
        "number": number, "bin": fell, "defective": defective, "outcome": outcome,
        "escaped": False, "wrong_part": False, "unasked": False,
    }  # fmt: skip


def judged(row: Row, lost: Iterable[int] = (), causes: dict[int, set[str]] | None = None, **changes: Any) -> None:
    """Judge a run in which every fourth plate is defective, and the good ones in ``lost`` are rejected."""
    seen = replace(Seen(row, FIRST, HURT, HEALED, LAST, 0.5), **{k: v for k, v in changes.items() if k != "plates"})
    plates = {n: plate(n, n not in set(lost), n % 4 == 0) for n in range(FIRST, LAST + 1)}
    plates |= changes.get("plates", {})
    judge(seen, Books({}, plates, [], causes or {}, set(plates), ""))


def test_a_line_that_loses_nothing_is_green() -> None:
    judged(ROW)


def test_parts_on_the_belt_as_it_began_and_ended_are_judged_too() -> None:
    with pytest.raises(AssertionError, match="only 0% of the good parts that the fault must not harm"):
        judged(ROW, range(93, 109), healed=100)
    with pytest.raises(AssertionError, match=r"only 7.% of the good parts that the fault must not harm"):
        judged(ROW, range(93, 104))


def test_a_fault_that_nobody_met_proves_nothing() -> None:
    few = {n: plate(n, False, defective=True) for n in range(97, 109)}
    with pytest.raises(AssertionError, match="only 3 good parts met the fault"):
        judged(ROW, healed=100, plates=few)


@pytest.mark.parametrize(("named", "says"), [(2, "only 2 parts"), (3, ""), (6, ""), (7, "not 6 at most")])
def test_a_fault_costs_as_many_parts_as_its_row_says(named: int, says: str) -> None:
    row = replace(ROW, fate=Fate.NAMED, causes=("frame_missing",), least=3, most=6)
    lost = range(101, 101 + named)
    if says:
        with pytest.raises(AssertionError, match=says):
            judged(row, lost, {n: {"frame_missing"} for n in lost}, healed=110)
    else:
        judged(row, lost, {n: {"frame_missing"} for n in lost}, healed=110)


def test_causes_that_a_row_allows_excuse_and_those_it_demands_must_come() -> None:
    row = replace(ROW, fate=Fate.NAMED, causes=("session_lost",), also=("fenced",), least=2, most=2)
    judged(row, (101, 102), {101: {"session_lost"}, 102: {"fenced"}}, healed=102)
    with pytest.raises(AssertionError, match=r"no part has cause \{'session_lost'\}"):
        judged(row, (101, 102), {101: {"fenced"}, 102: {"fenced"}}, healed=102)


def test_that_none_passes_is_told_from_five_parts_with_a_good_one() -> None:
    row = replace(ROW, fate=Fate.REJECTED)
    judged(row, range(101, 114), healed=114)
    with pytest.raises(AssertionError, match="only 4 parts came"):
        judged(row, range(101, 113), healed=113)
    with pytest.raises(AssertionError, match="no good part came"):
        judged(row, range(101, 114), healed=114, plates={n: plate(n, False, True) for n in range(109, 114)})
    with pytest.raises(AssertionError, match=r"parts \[113\] went through"):
        judged(row, range(101, 113), healed=114)


def test_a_part_that_passes_against_its_verdict_turns_any_row_red() -> None:
    with pytest.raises(AssertionError, match=r"parts \[150\] passed that the station did not pass"):
        judged(ROW, plates={150: plate(150, True) | {"unasked": True}})


def test_a_line_that_rejects_no_part_by_its_rule_proves_nothing() -> None:
    outside = [n for n in range(FIRST, LAST + 1) if n > HEALED]
    with pytest.raises(AssertionError, match="no part was rejected by its own rule outside the fault"):
        judged(ROW, plates={n: plate(n, True) for n in outside})


def test_a_sign_is_gone_when_the_monitor_has_answered_twice_without_it() -> None:
    watch, line = Watch("http://127.0.0.1:9/metrics"), 'edge_gateway_alarm{alarm="x"} 1.0'
    watch._take([line])
    assert watch.wait_gone((line,), 0.0) == (line,)
    for shown in ([SILENT], [], [SILENT]):
        watch._take(shown)
        assert watch._standing((line, SILENT)) == (line, SILENT)
    watch._take([])
    assert watch._standing((line, SILENT)) == ()
    watch._take([line])
    assert watch._standing((line, SILENT)) == (line,)


def test_only_counters_rise() -> None:
    watch = Watch("http://127.0.0.1:9/metrics")
    for value in (0, 3, 0, 2):
        watch._take([f'a_total{{b="c"}} {value}', f"waiting {value}"])
    assert watch.seen()[1] == {'a_total{b="c"}': 5}
