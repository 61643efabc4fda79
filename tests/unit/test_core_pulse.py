"""The output of the pulse signal against a referee that works it out count by count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.counter import wrap
from edge.core.pulse import PulseGate
from tests.support_hypothesis import usual
from tests.support_pulse import END, GEOMETRY, START, Gate, span


@pytest.mark.parametrize("base", [0, (1 << 32) - 520])
@pytest.mark.parametrize("speed", [0.0001, 1.0, 2.0, 7.0])
def test_the_output_is_on_for_the_window_and_earlier_by_what_switching_takes(base: int, speed: float) -> None:
    gate = Gate(speed=speed).parts(base, permitted=(1,)).run(base + 400, base + 600)
    ahead_on, ahead_off = round(5 * speed), round(3 * speed)
    assert gate.on == span(base + START - ahead_on, base + END - ahead_off - 1)
    assert gate.events == [(base + END, 1, "executed")]


def test_the_output_stays_off_for_a_part_without_a_permit() -> None:
    gate = Gate().parts(0).run(0, 600)
    assert (gate.on, gate.events) == ([], [(END, 1, "rejected")])


def test_windows_that_overlap_merge() -> None:
    gate = Gate().parts(0, END - START - 1, permitted=(1, 2)).run(300, 800)
    assert gate.on == span(START - 5, 2 * END - START - 1 - 3 - 1)
    assert [what for _, _, what in gate.events] == ["executed", "executed"]


def test_windows_that_do_not_touch_leave_a_break() -> None:
    gate = Gate().parts(0, 200, permitted=(1, 2)).run(300, 900)
    assert gate.on == span(START - 5, END - 4) + span(START + 195, END + 196)


@pytest.mark.parametrize("bad", [1, 2])
@pytest.mark.parametrize(("off_ms", "apart_at"), [(5.0, END - START), (8.0, END - START), (3.0, END - START + 2)])
@pytest.mark.parametrize("less", [0, 1])
def test_a_reject_takes_the_part_along_that_it_cannot_be_told_apart_from(
    bad: int, off_ms: float, apart_at: int, less: int
) -> None:
    good, gap = 3 - bad, apart_at - less
    gate = Gate(replace(GEOMETRY, off_ms=off_ms)).parts(0, gap, permitted=(good,)).run(300, 900)
    front = 0 if good == 1 else gap
    told = [(number, what) for _, number, what in gate.events]
    if less:
        assert gate.on == []
        assert told == [(good, "collateral"), (1, "rejected"), (2, "rejected")]
    else:
        assert gate.on == span(front + START - 5, front + END - round(off_ms) - 1)
        assert sorted(told) == sorted([(good, "executed"), (bad, "rejected")])


def test_of_neighbours_each_takes_the_next_one_along() -> None:
    gate = Gate().parts(0, 70, 140, 210, permitted=(2, 3, 4)).run(300, 900)
    assert gate.on == []
    assert [(n, what) for _, n, what in gate.events if what == "collateral"] == [
        (2, "collateral"),
        (3, "collateral"),
        (4, "collateral"),
    ]


def test_a_permit_that_comes_before_the_window_is_taken_and_one_that_comes_with_it_is_not() -> None:
    gate = Gate().parts(0).run(0, START - 6)
    assert gate.pulse.permit(1)
    assert gate.run(START - 5, 600).on == span(START - 5, END - 4)
    late = Gate().parts(0).run(0, START - 5)
    assert not late.pulse.permit(1)
    assert late.run(START - 4, 600).on == []


def test_there_is_no_permit_for_a_part_that_was_not_counted() -> None:
    gate = Gate().parts(0)
    assert not gate.pulse.permit(2)
    assert gate.run(0, 600).on == []
    assert not gate.pulse.permit(1), "it has left the gate"


@pytest.mark.parametrize("when", [100, START, END - 10])
def test_clearing_withdraws_every_permit_at_once(when: int) -> None:
    gate = Gate().parts(0, 300, permitted=(1, 2)).run(0, when)
    assert gate.pulse.clear() == [1, 2]
    assert gate.pulse.clear() == []
    before = len(gate.on)
    assert len(gate.run(when + 1, 1000).on) == before
    assert [what for _, _, what in gate.events] == ["rejected", "rejected"]


def test_a_part_without_permit_that_turns_up_at_the_gate_closes_it() -> None:
    gate = Gate().parts(0, permitted=(1,)).run(0, START + 20)
    gate.pulse.part(2, 10)
    gate.run(START + 21, 700)
    assert gate.on == span(START - 5, START + 20)
    assert [(n, what) for _, n, what in gate.events] == [(1, "collateral"), (1, "rejected"), (2, "rejected")]


def test_a_part_that_the_loop_missed_was_not_executed() -> None:
    gate = Gate().parts(0, permitted=(1,)).run(0, 400)
    assert gate.run(END, END).events == [(END, 1, "rejected")]


def test_a_gate_that_rests_in_pass_is_energised_for_every_part_without_a_permit() -> None:
    gate = Gate(replace(GEOMETRY, rests_in_pass=True)).parts(0, 300, permitted=(2,)).run(300, 1000)
    assert gate.on == span(START - 5, END - 4)
    assert gate.events == [(END, 1, "rejected"), (END + 300, 2, "executed")]


def test_a_gate_that_rests_in_pass_lets_rejects_win() -> None:
    gate = Gate(replace(GEOMETRY, rests_in_pass=True)).parts(0, 70, permitted=(2,)).run(300, 1000)
    assert gate.on == span(START - 5, END + 70 - 4)
    assert [(n, what) for _, n, what in gate.events] == [(2, "collateral"), (1, "rejected"), (2, "rejected")]


@pytest.mark.parametrize("most_on_ms", [0.0, 20.0, 74.0, 75.0, 76.0])
def test_the_output_is_never_on_longer_than_it_may(most_on_ms: float) -> None:
    gate = Gate(replace(GEOMETRY, most_on_ms=most_on_ms)).parts(0, 300, permitted=(1, 2)).run(300, 1000)
    whole = END - 3 - (START - 5)  # counts, and ms: the speed is 1
    cut = bool(most_on_ms) and most_on_ms < whole - 1
    length = round(most_on_ms) + 1 if cut else whole
    assert gate.on == span(START - 5, START - 5 + length - 1) + span(START + 295, START + 295 + length - 1)
    what = [w for _, n, w in gate.events if n == 1]
    assert what == (["overheated", "rejected"] if cut else ["executed"])


def test_an_output_that_was_on_too_long_stays_off_until_nothing_wants_it() -> None:
    gate = Gate(replace(GEOMETRY, most_on_ms=100.0)).parts(0, 70, 140, 400, permitted=(1, 2, 3, 4)).run(300, 1100)
    assert gate.on == span(START - 5, START + 95) + span(START + 395, END + 396)
    told = {n: w for _, n, w in gate.events if w != "rejected"}
    assert told == {1: "executed", 2: "overheated", 3: "collateral", 4: "executed"}


def test_an_output_that_rests_in_pass_says_so_when_it_is_on_too_long() -> None:
    gate = Gate(replace(GEOMETRY, most_on_ms=20.0, rests_in_pass=True)).parts(0).run(300, START + 30)
    assert gate.on == span(START - 5, START + 15)
    assert gate.pulse.overheated
    gate.run(START + 31, END)
    assert not gate.pulse.overheated


@pytest.mark.parametrize(("after", "on"), [(0, True), (20_000_000, True), (20_000_001, False)])
def test_the_longest_time_is_counted_from_the_first_look(after: int, on: bool) -> None:
    pulse = PulseGate(replace(GEOMETRY, most_on_ms=20.0))
    pulse.part(1, 0)
    pulse.permit(1)
    pulse.advance(START, 0.0, 7)
    pulse.advance(START, 0.0, 7 + after)
    assert (pulse.on, pulse.overheated) == (on, not on)


def test_a_new_gate_rests() -> None:
    pulse = PulseGate(GEOMETRY)
    assert (pulse.on, pulse.overheated, pulse.next_counts(0, 1.0)) == (False, False, None)
    assert pulse.advance(7, 1.0, 0) == []
    assert not pulse.on


# -- when to look next ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [0, (1 << 32) - 520])
def test_the_next_edges_are_known_in_advance(base: int) -> None:
    pulse = PulseGate(GEOMETRY)
    pulse.part(1, wrap(base))
    at, edges = base, []
    while (ahead := pulse.next_counts(wrap(at), 2.0)) is not None:
        at += ahead
        edges.append(at - base)
    assert edges == [START - 10, END - 6, END]


def test_the_nearest_edge_of_all_windows_comes_first() -> None:
    pulse = PulseGate(GEOMETRY)
    pulse.part(1, 0)
    pulse.part(2, 70)
    assert pulse.next_counts(START, 0.0) == 70
    assert pulse.next_counts(START + 69, 0.0) == 1
    assert pulse.next_counts(START + 70, 0.0) == END - START - 70


# -- the referee ---------------------------------------------------------------------------------------------------


@usual(200)
@given(
    gaps=st.lists(st.sampled_from([60, 75, 79, 80, 81, 82, 83, 85, 86, 90, 150, 400]), max_size=7),
    permits=st.lists(st.booleans(), min_size=8, max_size=8),
    speed=st.sampled_from([0.3, 1.0, 3.0]),
    off_ms=st.sampled_from([0.0, 3.0, 5.0, 8.0]),
    rests_in_pass=st.booleans(),
    base=st.sampled_from([0, (1 << 32) - 700]),
)
def test_the_output_is_what_the_definition_says(
    gaps: list[int], permits: list[bool], speed: float, off_ms: float, rests_in_pass: bool, base: int
) -> None:
    geometry = replace(GEOMETRY, off_ms=off_ms, rests_in_pass=rests_in_pass)
    fronts = [base + sum(gaps[:n]) for n in range(len(gaps) + 1)]
    given_permits = permits[: len(fronts)]
    gate = Gate(geometry, speed).parts(*fronts, permitted=tuple(n for n, p in enumerate(given_permits, 1) if p))
    gate.run(fronts[0] + 300, fronts[-1] + 699)
    ahead_on, ahead_off = round(geometry.on_ms * speed), round(off_ms * speed)
    outputs = [(f + START - ahead_on, f + END - ahead_off) for f in fronts]
    groups: list[list[int]] = []
    for n, front in enumerate(fronts):
        apart = n == 0 or (front + START >= fronts[n - 1] + END and outputs[n][0] >= outputs[n - 1][1])
        groups.extend([[]] if apart else [])
        groups[-1].append(n)
    good = {n for group in groups if all(given_permits[m] for m in group) for n in group}
    on = []
    for count in range(fronts[0] + 300, fronts[-1] + 700):
        at_gate = [n for n, (begin, end) in enumerate(outputs) if begin <= count < end]
        if at_gate and (good.issuperset(at_gate) is not rests_in_pass):
            on.append(count)
    assert gate.on == on
    fates = [(n, what) for _, n, what in gate.events if what != "collateral"]
    assert sorted(fates) == [(n + 1, "executed" if n in good else "rejected") for n in range(len(fronts))]
    withdrawn = {n for _, n, what in gate.events if what == "collateral"}
    assert withdrawn == {n + 1 for n, permit in enumerate(given_permits) if permit and n not in good}
