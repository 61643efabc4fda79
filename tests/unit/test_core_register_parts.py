"""What becomes of parts that are no usual ones: carried back, met again, too close, withheld, bypassed."""

from __future__ import annotations

import pytest

from edge.core.outcome import Disposition as D
from edge.core.outcome import Outcome
from edge.core.register import Register
from edge.core.session import Decision, Permit
from tests.support_register import (
    BACKLASH,
    COMMIT,
    FIRST,
    GATE,
    MATCH,
    PITCH,
    SPACING,
    SPAN,
    STATION,
    ends,
    granted,
    passed,
    permitted,
)

# -- the belt goes back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("back", "lost"), [(BACKLASH, False), (BACKLASH + 1, True)])
def test_parts_without_a_permit_lose_their_claim_when_the_belt_goes_back(back: int, lost: bool) -> None:
    register = granted()
    register.plc_part(1, FIRST, FIRST)
    assert not register.moved(FIRST + 500)
    assert register.moved(FIRST + 500 - back) is lost
    assert register.pending == (0 if lost else 1)
    assert +register.counts.rejected == ({"reversed": 1} if lost else {})
    assert passed(register, 1, FIRST, FIRST) == ((D.VOIDED, False) if lost else (D.ACCEPTED, True))
    assert register.reconciles()


def test_a_part_whose_permit_is_on_the_way_loses_it_when_the_belt_goes_back() -> None:
    register = granted()
    register.plc_part(1, FIRST, FIRST)
    assert passed(register, 1, FIRST, FIRST) == (D.ACCEPTED, True)
    register.moved(FIRST)
    register.moved(FIRST - 100)
    register.permit_written(1)
    assert (register.armed.taken, register.pending) == (0, 0)
    assert passed(register, 1, FIRST, FIRST) == (D.DUPLICATE, False)


def test_a_reversal_is_noticed_once_and_again_after_the_belt_has_come_forward() -> None:
    register = granted()
    register.moved(FIRST)
    register.moved(FIRST - 100)
    register.moved(FIRST - 200)
    register.moved(FIRST + 10)
    register.plc_part(1, FIRST + 5, FIRST + 10)
    assert register.pending == 1
    register.moved(FIRST - 11)
    assert register.pending == 0


@pytest.mark.parametrize(
    ("count", "cause"),
    [
        (FIRST, "re_pass"),
        (FIRST - MATCH, "re_pass"),
        (FIRST - MATCH - 1, "unknown_position"),
        (FIRST + MATCH + 1, "unknown_position"),
    ],
)
def test_an_edge_behind_the_furthest_is_a_known_part_again_or_nobodys(count: int, cause: str) -> None:
    register = granted()
    permitted(register, 1, FIRST)
    register.moved(FIRST + 2000)
    assert register.plc_part(2, count, FIRST + 2000) is None
    assert +register.counts.rejected == {cause: 1}
    assert ends(register) == [(1, "permitted"), (2, cause)]
    assert passed(register, 2, count, count) == (D.UNKNOWN, False)
    assert passed(register, 2, count, count) == (D.DUPLICATE, False)
    assert register.counts.dispositions["UNKNOWN"] == 1


@pytest.mark.parametrize("base", [0, SPAN - 3000])
@pytest.mark.parametrize(("behind", "known"), [(BACKLASH, False), (BACKLASH + 1, True)])
def test_a_place_is_behind_only_beyond_the_backlash(base: int, behind: int, known: bool) -> None:
    register = granted(base)
    register.moved((base + 3000) % SPAN)
    register.plc_part(1, (base + 3000 - behind) % SPAN, (base + 3000) % SPAN)
    assert register.pending == (0 if known else 1)


def test_a_verdict_that_waited_for_a_part_behind_is_answered_with_unknown() -> None:
    register = granted()
    register.moved(FIRST + 2000)
    register.verdict(STATION, 1, FIRST, Outcome.PASS, FIRST + 2000)
    answer = register.plc_part(1, FIRST, FIRST + 2000)
    assert answer == Decision(1, D.UNKNOWN, None, answers=True)
    assert passed(register, 1, FIRST, FIRST + 2000) == (D.DUPLICATE, False)


def test_the_fence_is_laid_before_the_furthest_that_the_belt_has_come() -> None:
    register = granted()
    register.moved(FIRST + 2000)
    register.moved(FIRST)
    assert register.fence(FIRST) == FIRST + 2000 + GATE + PITCH
    assert register.grant(STATION + 1, FIRST).fence == FIRST + 2000 + GATE + PITCH
    assert register.grant(STATION + 1, FIRST + 2001).fence == FIRST + 2001 + GATE + PITCH


def test_a_restart_forgets_how_far_the_belt_has_come() -> None:
    register = granted()
    register.moved(FIRST + 9000)
    register.restart(5, 7, 3, 0)
    register.grant(STATION, 0)
    register.moved(0)
    register.plc_part(1, FIRST, FIRST)
    assert passed(register, 1, FIRST, FIRST) == (D.ACCEPTED, True)


@pytest.mark.parametrize("last_part", [0, 4, 5])
def test_a_part_counter_that_goes_back_within_a_plc_session_gives_numbers_twice_and_permits_once(
    last_part: int,
) -> None:
    register = granted(last_part=4)
    permitted(register, 5, FIRST)
    register.restart(5, 7, 2, last_part)
    went_back = last_part < 5
    assert +register.armed.voided == ({"session_lost": 1} if went_back else {})
    assert register.counts.dispositions["VOIDED"] == int(went_back)
    register.grant(STATION, FIRST)
    at = FIRST + GATE + 2 * PITCH
    for number in range(last_part + 1, 7):
        permitted(register, number, at)
        at += PITCH
        assert register.reconciles()
    assert len(register.armed) == 6 - last_part + (not went_back)


@pytest.mark.parametrize("leap", [0, 7, 8, 1 << 30])
def test_a_part_counter_that_leaps_further_than_parts_can_have_come_books_nothing(leap: int) -> None:
    register = granted(last_part=4)
    permitted(register, 5, FIRST)
    before = register.counts.plc_triggers
    left_out = register.restart(5, 8, 2, 5 + leap, most=7)
    assert left_out == (leap if leap > 7 else 0)
    booked = leap - left_out
    assert register.counts.plc_triggers == before + booked
    assert +register.counts.rejected == ({"session_lost": booked} if booked else {})
    assert register.reconciles()
    register.grant(STATION, FIRST)
    permitted(register, 6 + leap, FIRST + GATE + 2 * PITCH)
    assert len(register.armed) == 2, "what follows is counted from there"


@pytest.mark.parametrize("how", ["suspend", "restart"])
def test_a_permit_on_its_way_at_a_doubt_may_have_arrived(how: str) -> None:
    register = granted()
    register.plc_part(1, FIRST, FIRST)
    register.plc_part(2, FIRST + PITCH, FIRST + PITCH)
    assert passed(register, 1, FIRST, FIRST) == (D.ACCEPTED, True)
    if how == "suspend":
        register.suspend()
    else:
        register.restart(5, 7, 2, 2)
    assert (register.armed.taken, +register.counts.rejected) == (1, {"session_lost": 1})
    assert register.executed(1)
    assert not register.executed(2)
    assert register.reconciles()


# -- far -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [FIRST, SPAN - 3000])
@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("more", [0, 1])
def test_a_verdict_for_a_far_place_never_waits(base: int, side: int, more: int) -> None:
    register = granted(base - FIRST)
    register.moved(base)
    count = (base + side * (GATE + PITCH + more)) % SPAN
    decision = register.verdict(STATION, 1, count, Outcome.PASS, base)
    assert decision == Decision(1, D.UNKNOWN, None, answers=bool(more))
    assert register.counts.dispositions["UNKNOWN"] == more


# -- too close -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [FIRST, SPAN - SPACING // 2])
@pytest.mark.parametrize(("gap", "apart"), [(0, False), (SPACING - 1, False), (SPACING, True)])
def test_parts_that_the_gate_cannot_tell_apart_are_both_rejected(count: int, gap: int, apart: bool) -> None:
    register = granted(count - FIRST)
    second = (count + gap) % SPAN
    register.plc_part(1, count, count)
    register.plc_part(2, second, second)
    expected = (D.ACCEPTED, True) if apart else (D.COLLATERAL, False)
    assert passed(register, 1, count, second) == expected
    assert passed(register, 2, second, second) == expected
    assert register.counts.crowded == (not apart)
    assert register.counts.rejected["collateral"] == (0 if apart else 2)


def test_a_part_slightly_behind_its_forerunner_is_too_close_to_it() -> None:
    register = granted()
    register.plc_part(1, FIRST + 15, FIRST + 15)
    register.plc_part(2, FIRST, FIRST + 15)
    assert passed(register, 2, FIRST, FIRST + 15) == (D.COLLATERAL, False)


def test_a_forerunner_that_has_its_permit_keeps_it_and_the_follower_gets_none() -> None:
    register = granted()
    permitted(register, 1, FIRST)
    register.plc_part(2, FIRST + 100, FIRST + 100)
    register.plc_part(3, FIRST + 100 + PITCH, FIRST + 100 + PITCH)
    assert passed(register, 2, FIRST + 100, FIRST + 100) == (D.COLLATERAL, False)
    assert passed(register, 3, FIRST + 100 + PITCH, FIRST + 100 + PITCH) == (D.ACCEPTED, True)
    assert (register.counts.crowded, len(register.armed)) == (1, 1)


def test_a_reject_stays_a_reject_beside_a_neighbour() -> None:
    register = granted()
    register.plc_part(1, FIRST, FIRST)
    register.plc_part(2, FIRST + 1, FIRST + 1)
    assert register.verdict(STATION, 1, FIRST, Outcome.REJECT, FIRST).disposition is D.ACCEPTED
    assert +register.counts.rejected == {"reject": 1}


def test_the_distance_to_a_part_of_an_earlier_session_is_not_known() -> None:
    register = granted()
    register.plc_part(1, FIRST, FIRST)
    register.restart(5, 7, 2, 1)
    register.grant(STATION, 0)
    register.plc_part(2, FIRST + 1, FIRST + 1)
    assert register.counts.crowded == 0


# -- withheld, bypassed ----------------------------------------------------------------------------------------------


def test_while_permits_are_withheld_a_pass_is_answered_and_has_none() -> None:
    register = granted()
    register.withheld = True
    register.plc_part(1, FIRST, FIRST)
    assert passed(register, 1, FIRST, FIRST) == (D.UNPERMITTED, False)
    assert +register.counts.rejected == {"withheld": 1}
    assert ends(register) == [(1, "withheld")]
    register.withheld = False
    register.plc_part(2, FIRST + PITCH, FIRST + PITCH)
    assert passed(register, 2, FIRST + PITCH, FIRST + PITCH) == (D.ACCEPTED, True)


def test_a_bypass_permits_every_part_that_the_plc_counts_without_a_word() -> None:
    register = granted()
    register.bypass = True
    decision = register.plc_part(1, FIRST, FIRST)
    assert decision == Decision(1, D.ACCEPTED, Permit(1, FIRST, register.session), answers=False)
    assert passed(register, 1, FIRST, FIRST) == (D.DUPLICATE, False)
    register.permit_written(1)
    assert (register.armed.taken, register.counts.unannounced) == (1, 1)
    assert register.reconciles()


@pytest.mark.parametrize("why", ["fenced", "close", "no session", "past its commit point", "behind"])
def test_a_bypass_still_lets_no_part_through_that_cannot_be_placed(why: str) -> None:
    register = granted()
    count, now = FIRST, FIRST
    if why == "fenced":
        count = now = FIRST - 1
    if why == "close":
        register.plc_part(0x7FFF_FFFF, FIRST - 1, FIRST - 1)
    if why == "no session":
        register.revoke()
    if why == "past its commit point":
        now = FIRST + COMMIT + 1
    if why == "behind":
        register.moved(FIRST + 1000)
    register.bypass = True
    number = (register.highest or 0) + 1
    assert register.plc_part(number, count, now) is None


@pytest.mark.parametrize("now", [FIRST + COMMIT - 1, FIRST + COMMIT])
def test_a_bypass_permits_up_to_the_commit_point(now: int) -> None:
    register = granted()
    register.bypass = True
    assert register.plc_part(1, FIRST, now) is not None


# -- what is told of parts ------------------------------------------------------------------------------------------


def told(register: Register) -> list[tuple[str, int, str, int]]:
    return [(n.fact, n.number, n.detail, n.value) for n in register.take_news()]


def test_a_part_is_told_of_from_its_count_to_its_end() -> None:
    register = granted(last_part=SPAN - 1)
    session = register.session
    permitted(register, 0, FIRST)
    register.executed(0)
    register.plc_part(3, FIRST + 3 * PITCH, FIRST + 3 * PITCH)
    assert passed(register, 3, FIRST + 3 * PITCH, FIRST + 3 * PITCH) == (D.ACCEPTED, True)
    register.voided(3, "cleared")
    register.plc_part(4, FIRST + 4 * PITCH, FIRST + 4 * PITCH)
    register.advance(FIRST + 4 * PITCH + COMMIT + 1)
    news = register.take_news()
    assert {n.session for n in news} == {session}
    assert [(n.fact, n.number, n.detail, n.value) for n in news] == [
        ("counted", 0, "", FIRST),
        ("armed", 0, "", 0),
        ("executed", 0, "", 0),
        ("unread", 2, "not_read", 2),
        ("counted", 3, "", FIRST + 3 * PITCH),
        ("armed", 3, "", 0),
        ("voided", 3, "cleared", 0),
        ("counted", 4, "", FIRST + 4 * PITCH),
        ("ended", 4, "unannounced", 0),
    ]


def test_across_the_wrap_the_last_of_the_unread_is_the_forerunner() -> None:
    register = granted(last_part=SPAN - 3)
    register.plc_part(0, FIRST, FIRST)
    assert told(register) == [("unread", SPAN - 1, "not_read", 2), ("counted", 0, "", FIRST)]


def test_what_is_told_of_a_session_that_is_lost_and_of_a_plc_that_is_gone() -> None:
    register = granted()
    permitted(register, 1, FIRST)
    register.plc_part(2, FIRST + PITCH, FIRST + PITCH)
    assert passed(register, 2, FIRST + PITCH, FIRST + PITCH) == (D.ACCEPTED, True)
    register.plc_part(3, FIRST + 2 * PITCH, FIRST + 2 * PITCH)
    register.take_news()
    before = register.session
    register.restart(plc=before.plc, gateway=8, epoch=before.epoch, last_part=5)
    assert told(register) == [
        ("armed", 2, "unheard", 0), ("ended", 3, "session_lost", 0), ("unread", 5, "session_lost", 2),
    ]  # fmt: skip
    register.restart(plc=before.plc + 1, gateway=9, epoch=before.epoch, last_part=50)
    news = register.take_news()
    assert [(n.fact, n.number, n.detail) for n in news] == [("voided", n, "session_lost") for n in (1, 2)]
    assert {(n.session.plc, n.session.gateway) for n in news} == {(before.plc, 8)}, "the session that ended"


def test_a_gateway_that_stops_hears_no_more_word_of_its_permits() -> None:
    register = granted()
    permitted(register, 1, FIRST)
    register.plc_part(2, FIRST + PITCH, FIRST + PITCH)
    register.take_news()
    register.stop()
    assert told(register) == [("ended", 2, "session_lost", 0), ("voided", 1, "no_word", 0)]
    assert (register.pending, len(register.armed), register.reconciles()) == (0, 0, True)
    assert register.counts.dispositions["VOIDED"] == 1


def test_a_bypass_permits_no_part_of_which_the_station_says_that_it_lies_elsewhere() -> None:
    register = granted()
    register.bypass = True
    register.announce(STATION, 1, FIRST + MATCH + 1)
    assert register.plc_part(1, FIRST, FIRST) is None
    assert +register.counts.rejected == {"ambiguous": 1}
    register.ambiguous = ""
    assert register.plc_part(2, FIRST + 2 * PITCH, FIRST + 2 * PITCH) is not None
