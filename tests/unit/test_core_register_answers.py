"""What the register answers: to mistaken, late and doubled words, to the PLC's word on permits, across sessions."""

from __future__ import annotations

import pytest

from edge.core.outcome import Disposition as D
from edge.core.outcome import Outcome
from edge.core.register import Register
from edge.core.session import Decision, Geometry, Permit
from tests.support_register import (
    COMMIT,
    FIRST,
    GATE,
    GEOMETRY,
    PITCH,
    REACH,
    ROOM,
    SPAN,
    STATION,
    ends,
    granted,
    passed,
    permitted,
)

# -- mistaken --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["verdict", "announcement"])
def test_number_and_count_of_two_parts_end_both_and_no_other(by: str) -> None:
    register = granted()
    counts = {n: FIRST + (n - 1) * PITCH for n in (1, 2, 3)}
    for number, count in counts.items():
        register.plc_part(number, count, count)
    if by == "verdict":
        assert passed(register, 2, counts[2], counts[3], claimed=counts[1]) == (D.AMBIGUOUS, False)
    else:
        register.announce(STATION, 2, counts[1])
    assert "part 2" in register.ambiguous
    assert str(counts[1]) in register.ambiguous
    assert +register.counts.rejected == {"ambiguous": 2}
    assert ends(register) == [(1, "ambiguous"), (2, "ambiguous")]
    second = D.DUPLICATE if by == "verdict" else D.AMBIGUOUS
    assert passed(register, 1, counts[1], counts[3]) == (D.AMBIGUOUS, False)
    assert passed(register, 2, counts[2], counts[3]) == (second, False)
    assert passed(register, 3, counts[3], counts[3]) == (D.ACCEPTED, True)


def test_an_announcement_that_came_first_is_weighed_when_the_part_comes() -> None:
    register = granted()
    register.announce(STATION, 1, FIRST)
    register.announce(STATION, 2, FIRST)
    register.plc_part(1, FIRST, FIRST)
    assert (register.counts.announced, register.ambiguous) == (1, "")
    register.plc_part(2, FIRST + PITCH, FIRST + PITCH)
    assert register.ambiguous
    assert register.pending == 0


def test_an_announcement_of_another_session_changes_nothing_and_is_counted() -> None:
    register = granted()
    register.plc_part(1, FIRST, FIRST)
    for session in (0, STATION + 1):
        register.announce(session, 1, FIRST + PITCH)
    assert register.counts.dispositions["OLD_SESSION"] == 2
    assert (register.counts.announced, register.ambiguous, register.pending) == (0, "", 1)
    register.revoke()
    register.announce(0, 1, FIRST)
    assert (register.counts.dispositions["OLD_SESSION"], register.counts.announced) == (3, 0)


def test_announcements_that_no_part_follows_are_counted_as_unknown() -> None:
    register = granted()
    for number in range(1, ROOM + 3):
        register.announce(STATION, number, FIRST)
    assert register.advance(FIRST + COMMIT) == []
    assert register.counts.dispositions["UNKNOWN"] == 0
    assert register.advance(FIRST + COMMIT + 1) == []
    assert register.counts.dispositions["UNKNOWN"] == ROOM, "there is room for so many"
    register.plc_part(1, FIRST, FIRST)
    assert register.counts.announced == 0


# -- what the PLC says of permits ------------------------------------------------------------------------------------


def test_a_permit_is_armed_then_executed_and_both_once() -> None:
    register = granted()
    permitted(register, 1, FIRST)
    assert (1 in register.armed, len(register.armed)) == (True, 1)
    assert [register.executed(1), register.executed(1)] == [True, False]
    assert (register.armed.taken, register.armed.executed, len(register.armed)) == (1, 1, 0)
    assert register.counts.dispositions["EXECUTED"] == 1
    register.voided(1, "cleared")
    assert +register.armed.voided == {}


def test_a_permit_that_was_executed_or_voided_before_its_echo_was_read_was_armed() -> None:
    register = granted()
    for number, count in ((1, FIRST), (2, FIRST + PITCH)):
        register.plc_part(number, count, count)
        passed(register, number, count, count)
    assert register.executed(1)
    register.voided(2, "cleared")
    assert (register.armed.taken, register.armed.executed, +register.armed.voided) == (2, 1, {"cleared": 1})
    assert register.counts.dispositions["VOIDED"] == 1
    assert (register.pending, register.reconciles()) == (0, True)


def test_a_part_without_a_permit_is_not_executed() -> None:
    register = granted()
    register.plc_part(1, FIRST, FIRST)
    assert not register.executed(1)
    register.voided(1, "cleared")
    assert (register.counts.dispositions["EXECUTED"], register.counts.dispositions["VOIDED"]) == (0, 0)
    assert (register.armed.taken, register.pending) == (0, 1)


def test_a_refused_permit_is_booked_under_what_the_plc_said() -> None:
    register = granted()
    register.plc_part(1, FIRST, FIRST)
    passed(register, 1, FIRST, FIRST)
    register.permit_failed(1, "late")
    assert +register.counts.rejected == {"permit_late": 1}
    assert register.counts.dispositions["UNPERMITTED"] == 1
    register.permit_failed(1, "late")
    assert register.counts.dispositions["UNPERMITTED"] == 1
    assert passed(register, 1, FIRST, FIRST) == (D.DUPLICATE, False)


def test_a_permit_that_could_not_be_written_is_booked_as_such() -> None:
    register = granted()
    register.plc_part(1, FIRST, FIRST)
    passed(register, 1, FIRST, FIRST)
    register.permit_failed(1)
    assert +register.counts.rejected == {"permit_unwritten": 1}


@pytest.mark.parametrize("base", [0, SPAN - FIRST - REACH])
def test_a_permit_of_which_no_word_comes_is_given_up(base: int) -> None:
    register = granted(base)
    count = (base + FIRST) % SPAN
    permitted(register, 1, count)
    register.moved((count + REACH) % SPAN)
    register.advance(0)
    assert len(register.armed) == 1
    register.moved((count + REACH + 1) % SPAN)
    register.advance(0)
    assert +register.armed.voided == {"no_word": 1}
    assert register.counts.dispositions["VOIDED"] == 1
    assert not register.executed(1)


@pytest.mark.parametrize(("plc", "epoch", "kept"), [(5, 2, True), (6, 2, False), (5, 3, False)])
def test_permits_outlive_the_gateways_session_but_not_the_plcs_or_the_epoch(plc: int, epoch: int, kept: bool) -> None:
    register = granted()
    permitted(register, 1, FIRST)
    register.restart(plc, 99, epoch, 1)
    assert len(register.armed) == kept
    assert +register.armed.voided == ({} if kept else {"session_lost": 1})
    assert register.counts.dispositions["VOIDED"] == (not kept)
    assert register.executed(1) is kept


def test_a_part_has_passed_the_gate_one_count_behind_it() -> None:
    register = granted()
    permit = Permit(1, SPAN - 2, register.session)
    assert not register.has_passed(permit, GATE - 2)
    assert register.has_passed(permit, GATE - 1)


# -- sessions --------------------------------------------------------------------------------------------------------


def test_what_the_plc_counted_while_nobody_looked_is_booked_as_lost() -> None:
    register = granted(last_part=SPAN - 1)
    register.plc_part(0, FIRST, FIRST)
    register.suspend()
    assert +register.counts.rejected == {"session_lost": 1}
    register.restart(5, 7, 2, 3)
    assert +register.counts.rejected == {"session_lost": 4}
    assert (register.counts.plc_triggers, register.counts.unannounced, register.highest) == (4, 4, 3)
    register.restart(6, 7, 2, 100)
    assert register.counts.plc_triggers == 4, "of a PLC that has restarted nothing is known"
    assert register.reconciles()


def test_after_a_doubt_the_session_is_nobodys() -> None:
    register = granted()
    register.plc_part(1, FIRST, FIRST)
    register.suspend()
    assert register.session.station == 0
    assert passed(register, 1, FIRST, FIRST) == (D.OLD_SESSION, False)
    register.grant(STATION, 0)
    assert passed(register, 1, FIRST, FIRST) == (D.OLD_SESSION, False)


def test_a_restart_keeps_the_fence_until_the_next_grant() -> None:
    register = granted(700)
    register.restart(5, 8, 4, 9)
    session = register.session
    assert (session.plc, session.gateway, session.station, session.epoch) == (5, 8, 0, 4)
    assert (session.fence, register.highest) == (700 + GATE + PITCH, 9)


def test_a_new_register_holds_the_gateways_session_alone() -> None:
    register = Register(GEOMETRY, 17)
    session = register.session
    assert (session.plc, session.gateway, session.station, session.epoch, session.fence) == (0, 17, 0, 0, 0)
    assert (register.highest, register.pending, register.withheld, register.bypass) == (None, 0, False, False)
    assert (register.ambiguous, register.take_news(), register.reconciles()) == ("", [], True)
    assert register.armed.reach == REACH


def test_a_session_of_zero_is_never_present() -> None:
    register = granted()
    register.revoke()
    register.plc_part(1, FIRST, FIRST)
    assert register.verdict(0, 1, FIRST, Outcome.PASS, FIRST).disposition is D.OLD_SESSION


# -- answers ---------------------------------------------------------------------------------------------------------


def test_late_and_doubled_words_are_told_apart_and_each_is_counted() -> None:
    register = granted()
    register.plc_part(1, FIRST, FIRST)
    register.advance(FIRST + COMMIT + 1)
    assert passed(register, 1, FIRST, FIRST) == (D.LATE, False)
    assert passed(register, 1, FIRST, FIRST) == (D.DUPLICATE, False)
    dispositions = +register.counts.dispositions
    assert dispositions == {"UNANNOUNCED": 1, "LATE": 1, "DUPLICATE": 1}


@pytest.mark.parametrize("skipped", [1, 2])
def test_each_part_that_is_not_read_is_booked(skipped: int) -> None:
    register = granted()
    register.plc_part(1 + skipped, FIRST, FIRST)
    assert +register.counts.rejected == {"not_read": skipped}
    assert (register.counts.plc_triggers, register.counts.unannounced) == (1 + skipped, skipped)


def test_parts_that_are_all_read_book_nothing() -> None:
    register = granted()
    for number in (1, 2, 3):
        register.plc_part(number, FIRST + number * PITCH, FIRST + number * PITCH)
    register.restart(5, 7, 2, 3)
    assert dict(register.counts.rejected) == {"session_lost": 3}
    register.restart(5, 8, 2, 3)
    register.plc_part(4, FIRST, FIRST)
    assert dict(register.counts.rejected) == {"session_lost": 3}
    assert register.counts.plc_triggers == 4


def test_answers_add_up() -> None:
    register = granted()
    for number in range(1, 4):
        register.plc_part(number, FIRST, FIRST)
    register.advance(FIRST + COMMIT + 1)
    for number in (7, 8, 9):
        assert register.verdict(STATION + 1, number, FIRST, Outcome.PASS, 0) == Decision(
            number, D.OLD_SESSION, None, answers=True
        )
    assert +register.counts.dispositions == {"UNANNOUNCED": 3, "OLD_SESSION": 3}
    assert +register.counts.rejected == {"unannounced": 3}


def test_refused_permits_add_up() -> None:
    register = granted()
    for number, count in ((1, FIRST), (2, FIRST + PITCH)):
        register.plc_part(number, count, count)
        passed(register, number, count, count)
        register.permit_failed(number, "late")
    assert +register.counts.dispositions == {"ACCEPTED": 2, "UNPERMITTED": 2}


def test_a_word_on_a_part_that_was_permitted_is_a_duplicate() -> None:
    register = granted()
    permitted(register, 1, FIRST)
    assert passed(register, 1, FIRST, FIRST) == (D.DUPLICATE, False)


def test_every_equation_is_watched() -> None:
    for unbalance in ("announced", "rejected", "armed"):
        register = granted()
        permitted(register, 1, FIRST)
        assert register.reconciles()
        if unbalance == "announced":
            register.counts.announced += 1
        if unbalance == "rejected":
            register.counts.rejected["late"] += 1
        if unbalance == "armed":
            register.armed.executed += 1
        assert not register.reconciles(), unbalance


def test_a_late_word_on_a_pending_part_ends_it() -> None:
    register = granted()
    register.plc_part(1, FIRST, FIRST)
    assert passed(register, 1, FIRST, FIRST + COMMIT + 1) == (D.LATE, False)
    assert +register.counts.rejected == {"late": 1}
    assert (register.counts.announced, register.counts.unannounced) == (1, 0), "its verdict announces it"
    assert ends(register) == [(1, "late")]
    assert register.take_news() == []


def test_a_fenced_pass_is_booked_as_fenced() -> None:
    register = granted()
    register.plc_part(1, FIRST - 1, FIRST - 1)
    assert passed(register, 1, FIRST - 1, FIRST - 1) == (D.FENCED, False)
    assert +register.counts.rejected == {"fenced": 1}


def test_a_verdict_ahead_of_its_part_is_answered_by_the_belt_or_by_the_part() -> None:
    register = granted()
    register.verdict(STATION, 1, FIRST, Outcome.PASS, 0)
    assert register.advance(FIRST + COMMIT) == []
    assert register.advance(FIRST + COMMIT + 1) == [Decision(1, D.UNKNOWN, None, answers=True)]
    assert passed(register, 0, FIRST, FIRST) == (D.UNKNOWN, False), "not ahead, and never counted"


def test_an_old_fence_follows_the_belt_only_under_a_session() -> None:
    register = granted()
    fence = register.session.fence
    register.advance(fence + (1 << 30) - 1)
    assert register.session.fence == fence
    register.advance(fence + (1 << 30))
    assert register.session.fence == fence + (1 << 30) - GATE
    idle = Register(GEOMETRY, 1)
    idle.restart(1, 2, 3, 4)
    idle.advance(1 << 30)
    assert idle.session.fence == 0


def test_how_many_parts_ended_is_remembered_is_bounded() -> None:
    register = granted()
    for number in range(1, 4 * ROOM + 2):
        register.plc_part(number, FIRST, FIRST)
        register.verdict(STATION, number, FIRST, Outcome.REJECT, FIRST)
    assert passed(register, 1, FIRST, FIRST) == (D.UNKNOWN, False)
    assert passed(register, 2, FIRST, FIRST) == (D.DUPLICATE, False)


def test_a_line_without_pitch_has_room_all_the_same() -> None:
    register = Register(Geometry(10, 5, 0, 0, 0, 0), 1, 2)
    register.restart(1, 2, 3, 0)
    for number in range(1, 40):
        register.plc_part(number, 0, 0)
    assert register.pending == 4 * (5 + 2)


def test_the_room_for_parts_is_whole() -> None:
    register = Register(Geometry(10, 5, 3, 0, 0, 0), 1, 1)
    for number in range(1, 40):
        register.plc_part(number, 0, 0)
    assert register.pending == 4 * (1 + 1)


def test_a_register_has_room_for_32_early_words() -> None:
    register = Register(GEOMETRY, 1)
    register.restart(5, 6, 2, 0)
    register.grant(STATION, 0)
    answered = [register.verdict(STATION, n, FIRST, Outcome.PASS, 0).answers for n in range(1, 35)]
    assert answered == [False] * 32 + [True] * 2


def test_an_early_word_is_no_answer_yet() -> None:
    assert granted().verdict(STATION, 9, FIRST, Outcome.PASS, 0) == Decision(9, D.UNKNOWN, None, answers=False)
