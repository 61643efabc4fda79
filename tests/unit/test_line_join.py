from collections import Counter

import pytest

from edge.simulate.line.join import KEPT, PATIENCE_NS, SETTLED_NS, Join

MS = 1_000_000


class Case:
    """A join, its clock, and what it found."""

    def __init__(self) -> None:
        self.now = 0
        self.problems: Counter[str] = Counter()
        self.join = Join(lambda: self.now, self.problems)
        self.join.station_started()
        self.now = 10_000 * MS

    def part(self, number: int = 7, outcome: str = "PASS", how: str = "permitted", answer: str = "ACCEPTED") -> None:
        self.join.edge(number)
        self.join.triggered(number)
        if outcome:
            self.join.concluded(number, outcome)
            self.join.sent(number)
        self.join.ended(number, how)
        if answer:
            self.join.answered(number, answer)

    def judged(self) -> int:
        self.join.close()
        return sum(self.problems.values())


def test_a_part_that_everyone_tells_alike_is_in_order() -> None:
    case = Case()
    case.part()
    case.join.booked(7)
    case.join.met(7)
    assert case.judged() == 0


@pytest.mark.parametrize(
    ("how", "outcome", "answer", "problems"),
    [
        ("permitted", "PASS", "DUPLICATE", 1),
        ("permitted", "PASS", "", 1),
        ("reject", "REJECT", "ACCEPTED", 0),
        ("reject", "PASS", "ACCEPTED", 1),
        ("no_decision", "NO_DECISION", "LATE", 1),
        ("late", "PASS", "LATE", 0),
        ("late", "PASS", "ACCEPTED", 1),
        ("unanswered", "PASS", "LATE", 0),
        ("unanswered", "PASS", "", 0),  # it was sent, and lost on its way
        ("unannounced", "PASS", "ACCEPTED", 1),
        ("fenced", "PASS", "FENCED", 0),
    ],
)
def test_the_answer_agrees_with_how_the_part_ended(how: str, outcome: str, answer: str, problems: int) -> None:
    case = Case()
    case.part(outcome=outcome, how=how, answer=answer)
    assert case.judged() == problems


@pytest.mark.parametrize("before_the_edge", [False, True])
def test_the_answer_to_a_made_up_verdict_neither_accuses_nor_excuses(before_the_edge: bool) -> None:
    for answers, broken, problems in (
        (("UNKNOWN",), True, 0),
        (("UNKNOWN",), False, 1),
        (("UNKNOWN", "ACCEPTED"), False, 0),
    ):
        case = Case()
        if before_the_edge:
            case.join.injected(7)
        case.part(answer="")
        if not before_the_edge:
            case.join.injected(7)
        if broken:
            case.join.broken()
        for answer in answers:
            case.join.answered(7, answer)
        assert case.judged() == problems


@pytest.mark.parametrize("how", ["fenced", "late", "collateral", "re_pass", "withheld"])
def test_a_made_up_verdict_does_not_excuse_a_permit(how: str) -> None:
    case = Case()
    case.join.injected(7)
    case.part(how=how, answer="ACCEPTED")
    case.join.injected(7)
    assert case.judged() == 1


def test_a_made_up_verdict_does_not_lengthen_the_time_in_which_a_break_excuses() -> None:
    case = Case()
    case.part(answer="")
    case.now += SETTLED_NS + MS
    case.join.injected(7)
    case.join.broken()
    assert case.judged() == 1


def test_an_outcome_that_was_never_said_is_found_out() -> None:
    case = Case()
    case.join.edge(7)
    case.join.concluded(7, "NO_DECISION")
    case.join.ended(7, "unanswered")
    assert case.judged() == 1


@pytest.mark.parametrize(("booked", "met", "removed", "problems"), [
    (True, False, False, 1),
    (False, True, False, 1),
    (True, False, True, 0),
])  # fmt: skip
def test_gate_and_gateway_tell_the_same(booked: bool, met: bool, removed: bool, problems: int) -> None:
    case = Case()
    case.part()
    if booked:
        case.join.booked(7)
    if met:
        case.join.met(7)
    if removed:
        case.join.removed(7)
    assert case.judged() == problems


@pytest.mark.parametrize(("after_ns", "problems"), [(SETTLED_NS, 0), (SETTLED_NS + 1, 1)])
def test_a_session_that_ends_may_cost_the_word_on_parts_of_its_time(after_ns: int, problems: int) -> None:
    case = Case()
    case.part()
    case.join.met(7)
    case.now += after_ns
    case.join.broken()
    assert case.judged() == problems


@pytest.mark.parametrize(("age_ns", "problems"), [(PATIENCE_NS, 0), (PATIENCE_NS + 1, 1)])
def test_edges_shortly_before_a_station_s_end_are_lost_with_it(age_ns: int, problems: int) -> None:
    case = Case()
    case.join.edge(7)
    case.join.station_ended(case.now + age_ns)
    assert case.judged() == problems


def test_an_edge_without_a_station_owes_nothing() -> None:
    case = Case()
    case.join.station_ended(case.now)
    case.join.edge(7)
    assert case.judged() == 0


def test_a_second_outcome_is_one_too_many_unless_the_eye_counted_the_number_again() -> None:
    case = Case()
    for _ in range(2):
        case.join.edge(7)
        case.join.concluded(7, "PASS")
    assert case.problems == {}
    case.join.concluded(7, "PASS")
    assert case.problems == {"a part has a second outcome": 1}


def test_the_gateway_ends_and_books_a_part_once() -> None:
    case = Case()
    case.part()
    case.join.ended(7, "unannounced")
    case.join.ended(8, "unannounced")  # which the eye never counted
    case.join.booked(7)
    case.join.booked(7)
    assert sum(case.problems.values()) == 3


def test_records_stay_bounded() -> None:
    case = Case()
    for number in range(3 * KEPT):
        case.join.answered(number + 50, "UNKNOWN")  # numbers of a fault's invention
        case.part(number)
    assert len(case.join) <= KEPT + 100
