"""What raises an alarm: each limit at its boundary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import GuardConfig, LineConfig
from edge.core.guard import Conditions, Guard, alarms
from tests.support_hypothesis import usual

LINE = LineConfig(speed_min_mm_s=200.0, pitch_min_mm=100.0)
STILL_NS = 500_000_000
"""A pitch at the lowest speed."""
QUIET = Conditions(
    bin_full=False, air_low=False, eye_blocked=False, encoder_lost=False, belt_moving=False, count=0
)  # fmt: skip


def guard(**changes: Any) -> Guard:
    config = GuardConfig(**changes)
    return Guard(config, LINE, alarms(config))


def standing(made: Guard) -> dict[str, str]:
    return made._alarms.standing


# -- runs of parts -------------------------------------------------------------------------------------------------

RUNS = [
    ("reject", "consecutive_rejects"),
    ("no_decision", "consecutive_no_decisions"),
    ("unannounced", "consecutive_unannounced"),
]


@pytest.mark.parametrize(("how", "name"), RUNS)
def test_the_last_of_a_run_raises_the_alarm_and_none_before(how: str, name: str) -> None:
    made = guard(**{name: 3, f"on_{name}": "stop"}, reject_rate=0)
    assert [made.ended(how) for _ in range(5)] == [False, False, True, False, False]
    text = standing(made)[name]
    assert text.endswith("3, limit 3.")


@pytest.mark.parametrize(("how", "name"), RUNS)
@pytest.mark.parametrize("other", ["permitted", "reject", "no_decision", "unannounced", "late", "fenced"])
def test_a_part_of_another_fate_ends_a_run(how: str, name: str, other: str) -> None:
    if other == how or (how == "no_decision" and other not in ("permitted", "reject")):
        return
    made = guard(**{name: 3, f"on_{name}": "stop"}, reject_rate=0)
    assert not any(made.ended(part) for part in (how, how, other, how, how))
    assert made.ended(how)


UNDECIDED = ["no_decision", "late", "unanswered", "permit_unwritten", "permit_late"]


@pytest.mark.parametrize("how", UNDECIDED)
def test_parts_on_which_the_line_did_not_decide_in_time_make_one_run(how: str) -> None:
    made = guard(consecutive_no_decisions=3, on_consecutive_no_decisions="stop", reject_rate=0)
    assert [made.ended(part) for part in ("no_decision", how, "no_decision")] == [False, False, True]


@pytest.mark.parametrize("odd", ["unannounced", "fenced", "withheld", "session_lost", "collateral", "reversed"])
def test_parts_that_could_not_be_decided_on_neither_end_nor_lengthen_that_run(odd: str) -> None:
    made = guard(consecutive_no_decisions=3, on_consecutive_no_decisions="stop", reject_rate=0)
    assert not any(made.ended(part) for part in ("late", odd, odd, "late", odd))
    assert made.ended("late")


@pytest.mark.parametrize(("how", "name"), RUNS)
def test_a_limit_of_zero_is_not_watched(how: str, name: str) -> None:
    made = guard(**{name: 0}, reject_rate=0)
    assert not any(made.ended(how) for _ in range(200))
    assert standing(made) == {}


def test_an_alarm_that_only_tells_is_no_new_latched_one() -> None:
    made = guard(consecutive_rejects=1, on_consecutive_rejects="alarm")
    assert not made.ended("reject")
    assert list(standing(made)) == ["consecutive_rejects"]


@pytest.mark.parametrize(("how", "name"), RUNS)
def test_a_reset_counts_anew(how: str, name: str) -> None:
    made = guard(**{name: 3, f"on_{name}": "stop"}, reject_rate=0)
    made.ended(how)
    made.ended(how)
    made.reset()
    assert [made.ended(how) for _ in range(3)] == [False, False, True]


def test_a_reset_counts_touching_parts_anew() -> None:
    made = guard(touching_parts=3, on_touching_parts="stop")
    made.crowded(2)
    made.reset()
    assert [made.crowded(2), made.crowded(1)] == [False, True]


# -- the rate ------------------------------------------------------------------------------------------------------


def test_the_rate_is_judged_once_enough_parts_are_known_and_above_the_limit_alone() -> None:
    made = guard(reject_rate=0.2, reject_rate_parts=10, on_reject_rate="reject_all", consecutive_rejects=0)
    assert not any(made.ended("reject") for _ in range(2))
    assert not any(made.ended("permitted") for _ in range(8)), "2 of 10 is the limit"
    assert not made.ended("reject"), "the first reject has left the ten"
    assert not made.ended("permitted")
    assert not made.ended("no_decision")
    assert made.ended("reject")
    assert standing(made)["reject_rate"].endswith("30% of 10 parts.")


def test_nine_rejects_are_no_rate_of_ten_parts() -> None:
    made = guard(reject_rate=0.2, reject_rate_parts=10, on_reject_rate="stop", consecutive_rejects=0)
    assert not any(made.ended("reject") for _ in range(9))
    assert made.ended("reject")


@pytest.mark.parametrize("how", UNDECIDED)
def test_parts_without_a_timely_decision_enter_the_rate(how: str) -> None:
    made = guard(reject_rate=0.2, reject_rate_parts=10, on_reject_rate="stop", consecutive_no_decisions=0)
    assert not any(made.ended(part) for part in ["permitted"] * 8 + [how] * 2)
    assert made.ended(how)


@pytest.mark.parametrize("how", ["fenced", "withheld", "unannounced", "session_lost", "collateral"])
def test_parts_that_nobody_judged_do_not_enter_the_rate(how: str) -> None:
    made = guard(reject_rate=0.2, reject_rate_parts=10, on_reject_rate="stop", consecutive_unannounced=0)
    assert not any(made.ended(how) for _ in range(40))
    assert standing(made) == {}


def test_a_rate_of_zero_is_not_watched() -> None:
    made = guard(reject_rate=0, reject_rate_parts=10, consecutive_rejects=0)
    assert not any(made.ended("reject") for _ in range(40))
    assert standing(made) == {}


def test_after_a_reset_the_rate_waits_for_as_many_parts_again() -> None:
    made = guard(reject_rate=0.2, reject_rate_parts=10, on_reject_rate="stop", consecutive_rejects=0)
    for _ in range(10):
        made.ended("reject")
    made.reset()
    made._alarms.reset()
    for _ in range(9):
        assert not made.ended("permitted")
    assert not made.ended("reject")


@usual(60)
@given(st.lists(st.sampled_from(["permitted", "permitted", "reject", "no_decision", "late", "fenced"]), max_size=60))
def test_the_rate_is_that_of_the_last_parts(parts: list[str]) -> None:
    made = guard(reject_rate=0.3, reject_rate_parts=10, on_reject_rate="stop", consecutive_no_decisions=0)
    seen: list[bool] = []
    for how in parts:
        made._alarms.reset()
        raised = made.ended(how)
        if how != "fenced":
            seen.append(how != "permitted")
        assert raised is (how != "fenced" and len(seen) >= 10 and sum(seen[-10:]) > 3)


# -- touching parts --------------------------------------------------------------------------------------------------


def test_touching_parts_add_up() -> None:
    made = guard(touching_parts=5, on_touching_parts="stop")
    assert [made.crowded(2), made.crowded(2), made.crowded(1)] == [False, False, True]
    assert standing(made)["touching_parts"].endswith("5, limit 5.")


# -- the PLC's inputs ------------------------------------------------------------------------------------------------

INPUTS = ["bin_full", "air_low", "eye_blocked", "encoder_lost"]


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("reaction", ["alarm", "stop", "reject_all"])
def test_each_input_is_a_condition_of_its_own(name: str, reaction: str) -> None:
    made = guard(**{f"on_{name}": reaction})
    latched = reaction != "alarm"
    bad = replace(QUIET, **{name: True})
    assert not made.conditions(QUIET, 0)
    assert made.conditions(bad, 1) is latched
    assert list(standing(made)) == [name]
    assert not made.conditions(bad, 2)
    made._alarms.reset()
    assert list(standing(made)) == [name], "it still holds"
    assert not made.conditions(QUIET, 3)
    made._alarms.reset()
    assert standing(made) == {}


@pytest.mark.parametrize(("after", "frozen"), [(STILL_NS, False), (STILL_NS + 1, True)])
def test_a_count_that_stands_while_the_belt_moves_is_an_encoder_that_is_lost(after: int, frozen: bool) -> None:
    made = guard(on_encoder_lost="stop")
    moving = replace(QUIET, belt_moving=True, count=7)
    assert not made.conditions(moving, 1000)
    assert made.conditions(moving, 1000 + after) is frozen
    assert bool(standing(made)) is frozen


@pytest.mark.parametrize("change", [{"count": 8}, {"belt_moving": False}])
def test_a_count_that_moves_or_a_belt_that_stands_begins_the_wait_anew(change: dict[str, Any]) -> None:
    made = guard(on_encoder_lost="stop")
    moving = replace(QUIET, belt_moving=True, count=7)
    made.conditions(moving, 0)
    made.conditions(replace(moving, **change), STILL_NS)
    assert not made.conditions(replace(moving, **{**change, "belt_moving": True}), 2 * STILL_NS)
    assert made.conditions(replace(moving, **{**change, "belt_moving": True}), 2 * STILL_NS + 1)


def test_the_wait_is_a_pitch_at_the_lowest_speed() -> None:
    made = Guard(GuardConfig(), LineConfig(speed_min_mm_s=50.0, pitch_min_mm=150.0), alarms(GuardConfig()))
    moving = replace(QUIET, belt_moving=True)
    for after, frozen in ((0, False), (3_000_000_000, False), (3_000_000_001, True)):
        made.conditions(moving, after)
        assert bool(standing(made)) is frozen


def test_the_first_look_is_no_standstill() -> None:
    made = guard(on_encoder_lost="stop")
    assert not made.conditions(replace(QUIET, belt_moving=True), 50 * STILL_NS)


def test_after_an_outage_the_wait_begins_anew() -> None:
    made = guard(on_encoder_lost="stop")
    moving = replace(QUIET, belt_moving=True, count=7)
    made.conditions(moving, 0)
    made.resume(same_plc=True)
    assert not made.conditions(moving, 50 * STILL_NS)
    assert not made.conditions(moving, 51 * STILL_NS)
    assert made.conditions(moving, 51 * STILL_NS + 1)


# -- the sensor behind the gate --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("good", "name"), [(True, "missing"), (False, "contradicted")])
def test_a_part_that_the_sensor_saw_in_the_wrong_place(good: bool, name: str) -> None:
    made = guard(**{f"on_{name}": "stop"})
    assert made.confirmation(7, good, False)
    assert list(standing(made)) == [name]
    assert standing(made)[name].endswith("Part 7.")
    assert (made.confirmed, made.contradicted) == (0, 1)
    assert not made.confirmation(7, good, False), "it was heard of"
    assert not made.confirmation(8, good, False), "the alarm stands"
    assert (made.confirmed, made.contradicted) == (0, 2)


@pytest.mark.parametrize("good", [True, False])
def test_a_part_that_the_sensor_saw_in_the_right_place(good: bool) -> None:
    made = guard()
    assert not made.confirmation(7, good, True)
    assert (made.confirmed, made.contradicted, standing(made)) == (1, 0, {})


def test_each_part_is_confirmed_once_as_long_as_the_ring_shows_it() -> None:
    made = guard(on_missing="stop")
    for number in range(64):
        made.confirmation(number, True, True)
        made.confirmation(number, True, False)
    assert (made.confirmed, made.contradicted) == (64, 0)
    made.confirmation(0, True, True)
    assert made.confirmed == 64, "64 are remembered"
    made.confirmation(64, True, True)
    made.confirmation(0, True, True)
    assert made.confirmed == 66


@pytest.mark.parametrize("same", [True, False])
def test_another_start_of_the_plc_may_give_a_number_to_another_part(same: bool) -> None:
    made = guard(on_missing="stop")
    made.confirmation(7, True, True)
    made.resume(same_plc=same)
    assert made.confirmation(7, True, False) is not same
    assert (made.confirmed, made.contradicted) == (1, int(not same))


def test_a_new_guard_has_seen_nothing() -> None:
    made = guard()
    assert (made.confirmed, made.contradicted) == (0, 0)
