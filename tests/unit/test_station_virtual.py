"""The station's work on a virtual clock: positions, sessions, recipes.  No thread, socket or sleep takes part."""

from __future__ import annotations

import pytest

from edge import config as cfg
from edge.capture.events import EpochChanged, FrameLost, FramesMissed, TriggersLost
from edge.clock import NS_PER_MS
from edge.core.outcome import Outcome
from edge.core.part import FrameInfo, Trigger, Verdict
from edge.station.hang import EngineHung
from edge.station.inspection import Inspected
from edge.station.loop import LONGEST_WAIT_NS
from edge.wire import messages as wire
from tests.support_station import PASS, PITCH, PITCH_NS, START_NS, Rig, verdicts

SPAN = 1 << 32
PATIENT = {"limits": cfg.LimitsConfig(ceiling_ms=5000.0, frame_timeout_ms=4000.0, hang_ms=9000.0)}
STRICTER = cfg.RecipeConfig(name="second", rules=(cfg.RuleConfig(name="any", min_score=0.25),))


def rig(**sections: object) -> Rig:
    return Rig(**sections).grant()  # type: ignore[arg-type]


def by(source: str, **sections: object) -> Rig:
    return rig(position={"source": source, "camera_offset_mm": 12.34}, **sections)


# -- the loop ----------------------------------------------------------------------------------------------------------


def test_a_turn_waits_until_there_is_something_to_do_and_work_never_waits() -> None:
    made = rig()
    made.station.work()
    assert made.waits == []
    made.station.turn()
    assert made.waits == [made.station.next_ns()]
    assert START_NS < made.waits[0] <= START_NS + LONGEST_WAIT_NS


def test_a_part_is_announced_before_its_verdict_and_both_name_its_count() -> None:
    made = rig()
    made.part(1)
    announced, told = made.heard()
    assert announced == wire.Announce(session=1, part=1, count=PITCH)
    assert told == wire.Verdict(session=1, part=1, count=PITCH, outcome="PASS", cause="clean")
    made.say(
        wire.Ack(session=1, part=1, disposition="ACCEPTED", accepted_ns=7),
        wire.Executed(session=1, part=1, echoed_ns=8),
    )
    assert [ack.part for ack, _ in made.reports.acks] == [1]
    assert made.reports.executions == 1
    assert made.reports.sessions == {1: 1}
    assert made.free()


def test_the_frame_and_the_verdict_have_their_time_and_not_a_nanosecond_more() -> None:
    made = rig()
    made.post(made.edge(1))
    made.at(START_NS + 1)
    made.post(made.edge(2))  # neighbours in time: both are open
    made.at(START_NS + 60 * NS_PER_MS - 1)
    assert made.reports.causes() == {}
    made.at(START_NS + 60 * NS_PER_MS)
    assert made.reports.causes() == {1: "frame_missing"}
    made.at(START_NS + 60 * NS_PER_MS + 1)
    assert made.reports.causes() == {1: "frame_missing", 2: "frame_missing"}
    made.post(made.edge(3))
    made.post(made.frame(3))
    made.wait_ms(99.999999)
    assert 3 not in made.reports.causes()
    made.wait_ms(0.000001)
    assert made.reports.causes()[3] == "compute_timeout"
    made.decide(3)
    assert made.ledger.late == 1
    assert made.free()


def test_a_verdict_at_the_deadline_is_late_though_no_turn_came_before_it() -> None:
    made = rig()
    made.post(made.edge(1))
    made.post(made.frame(1))
    made.now += 100 * NS_PER_MS
    made.decide(1)
    assert made.reports.causes() == {1: "compute_timeout"}


def test_a_hung_engine_ends_the_station_unless_the_process_was_held_up() -> None:
    made = rig()
    made.now += 10_000 * NS_PER_MS
    made.engine.hangs = True
    made.station.work()  # the process was stopped for ten seconds
    with pytest.raises(EngineHung, match="3000 ms"):
        made.wait_ms(3100.0)


def test_the_gateways_mode_shows() -> None:
    made = rig()
    made.beat(0)
    assert made.station.state(made.now) == ("RUNNING", "")
    made.beat(0, mode="purge")
    assert made.station.state(made.now) == ("WARNING", "the gateway is in mode purge")


def test_a_part_inspected_for_an_old_counter_does_not_end_its_namesake() -> None:
    made = rig()
    made.part(1)
    made.now += PITCH_NS
    made.post(made.edge(2))
    made.post(made.frame(2))
    lease, _, _ = made.engine.jobs.pop(2)
    made.post(EpochChanged(2))
    made.now += 1
    made.post(made.edge(2, 300))
    made.post(Inspected(2, lease, PASS))
    assert made.ledger.get(2) is not None
    assert (made.ledger.late, made.reports.causes()[2]) == (1, "not_synchronised")
    assert made.free()


# -- commit points -----------------------------------------------------------------------------------------------------


def test_on_a_belt_of_which_nothing_more_is_heard_the_commit_point_is_a_time() -> None:
    made = rig(**PATIENT)
    made.post(made.edge(1))
    made.post(made.frame(1))
    assert made.engine.jobs[1][1] - START_NS == pytest.approx(made.budget.station_commit * NS_PER_MS / 10, abs=100_001)
    due = made.station._places.track.earliest_ns(PITCH + made.budget.station_commit)
    assert due is not None
    assert due - START_NS == pytest.approx(
        made.budget.station_commit * NS_PER_MS / 10, abs=100_001
    )  # at 10 counts a ms
    made.beats = 1
    while made.now < due - 20 * NS_PER_MS:  # the session lives, and no beat tells of the belt
        made.wait_ms(20.0)
        made.beat(0, plc_ok=False)
    made.at(due - 1)
    assert made.reports.causes() == {}
    made.at(due)
    assert made.reports.causes() == {1: "commit_passed"}


def test_on_a_standing_belt_there_is_time_until_the_ceiling() -> None:
    made = rig(**PATIENT)
    made.post(made.edge(1))
    made.post(made.frame(1))
    for _ in range(100):
        made.wait_ms(20.0)
        made.beat(PITCH)
    made.decide(1)
    assert made.reports.causes() == {1: "clean"}


@pytest.mark.parametrize(("beyond", "cause"), [(-1, "clean"), (0, "commit_passed")])
def test_a_part_closes_where_the_belt_may_have_come_to_its_commit_point(beyond: int, cause: str) -> None:
    made = rig()
    made.now += 1
    made.post(made.edge(1, SPAN - 5))
    made.post(made.frame(1))
    made.beat(SPAN - 5 + made.budget.station_commit + beyond)
    if cause == "clean":
        made.decide(1)
    assert made.reports.causes() == {1: cause}


def test_a_verdict_beyond_the_commit_point_is_late_though_no_turn_came_before_it() -> None:
    made = rig(**PATIENT)
    made.post(made.edge(1))
    made.post(made.frame(1))
    made.now += 4500 * NS_PER_MS
    made.decide(1)
    assert made.reports.causes() == {1: "commit_passed"}
    assert made.ledger.late == 1


# -- reversal ----------------------------------------------------------------------------------------------------------


def reversed_belt() -> Rig:
    made = rig()
    for number in range(1, 6):
        made.part(number)
        made.now += PITCH_NS
    made.heard()
    return made


@pytest.mark.parametrize(
    ("count", "cause"),
    [
        (5 * PITCH - 20, "clean"),  # within the backlash of 2 mm
        (5 * PITCH - 21, "re_pass"),
        (3 * PITCH + 5, "re_pass"),
        (3 * PITCH + 495, "re_pass"),
        (3 * PITCH - 495, "re_pass"),
        (3 * PITCH + 500, "unknown_position"),
        (-40_000, "unknown_position"),
    ],
)
def test_an_edge_behind_the_furthest_is_no_new_part(count: int, cause: str) -> None:
    made = reversed_belt()
    made.part(6, count)
    assert made.reports.causes()[6] == cause
    outcome = "PASS" if cause == "clean" else "NO_DECISION"
    assert verdicts(made.heard()) == [(6, count % SPAN, outcome, cause)]
    assert made.free()


def test_the_frame_of_a_re_pass_is_a_stray_at_once_and_the_next_part_keeps_its_own() -> None:
    made = reversed_belt()
    made.post(made.edge(6, 2 * PITCH))
    made.post(made.frame(6))
    assert made.reports.losses == ["without_trigger"]
    assert made.free()
    made.now += PITCH_NS
    made.part(7, 6 * PITCH)
    assert made.reports.causes()[7] == "clean"


def test_a_frame_may_come_before_the_edge_of_its_re_pass() -> None:
    made = reversed_belt()
    made.post(made.frame(6))
    assert made.reports.losses == []
    made.post(made.edge(6, 2 * PITCH))
    assert made.reports.losses == ["without_trigger"]
    assert made.free()


def test_under_a_session_re_passes_stay_re_passes_however_many() -> None:
    made = reversed_belt()
    for number in range(6, 16):
        made.part(number, 4 * PITCH - 200 * number)
        made.now += PITCH_NS
    causes = made.reports.causes()
    assert {causes[n] for n in range(6, 16)} <= {"re_pass", "unknown_position"}
    assert made.publisher is not None
    assert made.publisher.session == 1


def test_a_new_session_judges_from_its_own_fence() -> None:
    made = reversed_belt()
    made.grant()
    made.part(6, 100)
    assert made.reports.causes()[6] == "clean"


def test_without_a_session_an_encoder_that_jumped_back_is_believed_after_three_parts() -> None:
    made = Rig(gateway=False)
    for number in range(1, 11):
        made.part(number, 90_000 + PITCH * number if number < 5 else PITCH * number)
        made.now += PITCH_NS
    causes = made.reports.causes()
    assert [causes[n] for n in range(1, 11)] == ["clean"] * 4 + ["unknown_position"] * 3 + ["clean"] * 3


# -- lost and doubtful triggers ----------------------------------------------------------------------------------------


def test_a_trigger_that_only_its_number_tells_of_is_lost_and_its_frame_a_stray() -> None:
    made = rig()
    made.part(1)
    made.heard()
    made.now += PITCH_NS
    made.post(made.frame(2))
    made.now += PITCH_NS
    made.post(TriggersLost(2))
    assert made.reports.causes()[2] == "trigger_lost"
    assert made.reports.losses == ["without_trigger"]
    assert verdicts(made.heard()) == []
    assert made.free()
    made.post(TriggersLost(2))  # told twice
    made.part(3)
    assert made.reports.causes()[3] == "clean"
    assert made.ledger.triggers == 3


def test_an_eye_that_latches_no_count_decides_nothing() -> None:
    made = rig()
    made.post(Trigger(1, None, made.now))
    assert made.reports.causes() == {1: "unknown_position"}
    assert verdicts(made.heard()) == []


def test_a_new_epoch_ends_what_is_open_and_the_session() -> None:
    made = rig()
    made.part(1, 500_000)
    made.now += PITCH_NS
    made.post(made.edge(2, 501_000))
    made.post(made.frame(2))
    made.post(EpochChanged(1))
    made.decide(2)
    assert made.reports.causes()[2] == "not_synchronised"
    assert any(isinstance(message, wire.Goodbye) for message in made.heard())
    made.grant()
    made.now += PITCH_NS
    made.part(3, 40)
    assert made.reports.causes()[3] == "clean"


def test_an_edge_that_comes_again_after_a_new_epoch_or_session_gets_no_second_outcome() -> None:
    made = rig()
    edge = made.edge(1)
    made.post(edge)
    made.post(edge)
    made.post(EpochChanged(2))
    made.post(edge)
    made.grant()
    made.now += PITCH_NS
    made.post(edge)
    assert made.reports.causes() == {1: "not_synchronised"}
    assert (made.ledger.triggers, made.ledger.unknown_triggers) == (1, 3)
    made.part(2, 400)
    made.now += PITCH_NS
    renewed = made.edge(900, 500)  # far ahead: another session is asked for
    made.post(renewed)
    made.post(renewed)
    made.grant()
    made.post(renewed)
    assert made.ledger.triggers == len(made.reports.ended) == 3


def test_every_edge_of_an_eye_that_began_anew_gets_its_own_outcome() -> None:
    made = rig()
    for number in (1, 2):
        made.part(number)
        made.now += PITCH_NS
    made.post(made.edge(3))
    made.post(made.frame(3))  # its inspection is still under way
    lease, _, _ = made.engine.jobs.pop(3)
    made.heard()
    made.now += PITCH_NS // 2
    restarted = made.now
    made.post(made.edge(1, 4 * PITCH))
    assert made.reports.causes() == {1: "not_synchronised", 2: "clean", 3: "not_synchronised"}
    said = made.heard()
    assert isinstance(said[0], wire.Goodbye)
    assert verdicts(said) == [], "under these numbers the gateway knows other parts"
    made.grant()
    made.now += PITCH_NS
    made.post(made.edge(3, 6 * PITCH))  # 2 was lost
    made.post(Inspected(3, lease, PASS))
    assert made.ledger.get(3) is not None, "the verdict of its namesake"
    made.post(made.frame(3))
    made.decide(3)
    ends = [(p.number, p.trigger.t0_ns, p.verdict.cause) for p in made.reports.ended if p.verdict]
    assert ends == [
        (1, START_NS, "clean"),
        (2, START_NS + PITCH_NS, "clean"),
        (3, START_NS + 2 * PITCH_NS, "not_synchronised"),
        (1, restarted, "not_synchronised"),
        (2, made.now, "trigger_lost"),
        (3, made.now, "clean"),
    ]
    assert made.ledger.reconciles()
    assert made.free()


def test_losses_are_counted_by_their_name() -> None:
    made = rig()
    made.post(FramesMissed(2), FrameLost(FrameInfo(1, made.now, made.now), "frame_corrupt"))
    assert made.reports.losses == ["counter_gap", "counter_gap", "frame_corrupt"]
    assert made.reports.frames == 1


# -- the end -----------------------------------------------------------------------------------------------------------


def test_at_the_end_every_part_has_closed_and_every_slot_is_free() -> None:
    made = rig()
    made.part(1)
    made.now += PITCH_NS
    made.box.events += [made.edge(2), made.frame(2), made.edge(3, t0_ns=made.now + 1), made.frame(9)]
    made.station.finish()
    assert made.reports.causes() == {1: "clean", 2: "station_stopping", 3: "not_synchronised"}
    assert made.engine.jobs == {}, "nobody would take the result"
    assert made.free()
    assert made.reports.flushed


def test_at_the_end_what_was_inspected_counts() -> None:
    made = rig()
    made.post(made.edge(1))
    made.post(made.frame(1))
    lease, _, _ = made.engine.jobs.pop(1)
    made.box.events.append(Inspected(1, lease, Verdict(Outcome.REJECT, "rule")))
    made.station.finish()
    assert verdicts(made.heard())[-1] == (1, PITCH, "REJECT", "rule")
    assert made.free()
