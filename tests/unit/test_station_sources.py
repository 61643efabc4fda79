"""Where a part's count comes from: PLC, camera and time, instead of the eye."""

from __future__ import annotations

from edge.station.link import UNPLACED
from edge.wire import messages as wire
from tests.support_station import PITCH, PITCH_NS, START_NS, Rig, verdicts

SPAN = 1 << 32


def by(source: str) -> Rig:
    return Rig(position={"source": source, "camera_offset_mm": 12.34}).grant()


def test_by_the_plc_a_part_is_named_only_once_it_is_counted() -> None:
    made = by("plc")
    made.post(made.edge(1, 77))  # what the eye says of counts does not matter
    assert made.heard() == []
    made.say(wire.Counted(session=1, part=1, count=PITCH))
    assert made.heard() == [wire.Announce(session=1, part=1, count=PITCH)]
    made.post(made.frame(1))
    made.decide(1)
    assert verdicts(made.heard()) == [(1, PITCH, "PASS", "clean")]


def test_by_the_plc_a_verdict_waits_for_its_count_and_is_sent_once() -> None:
    made = by("plc")
    made.part(1)
    assert made.heard() == []
    assert made.reports.sessions == {1: 1}
    assert made.reports.parts[1].t3_ns is None
    made.wait_ms(5.0)
    made.heard()
    for _ in range(2):
        made.say(wire.Counted(session=1, part=1, count=PITCH))
    assert made.heard() == [wire.Verdict(session=1, part=1, count=PITCH, outcome="PASS", cause="clean")]
    assert made.reports.parts[1].t3_ns == made.now


def test_the_plc_may_count_before_the_trigger_arrives() -> None:
    made = by("plc")
    made.say(wire.Counted(session=1, part=1, count=PITCH))
    made.part(1)
    assert [type(message) for message in made.heard()] == [wire.Announce, wire.Verdict]


def test_with_the_session_go_its_counts_and_what_waits_for_them() -> None:
    made = by("plc")
    made.part(1)
    made.say(wire.Counted(session=1, part=2, count=5))
    made.say(wire.Revoke(session=1, reason="test"))
    made.grant()
    made.now += PITCH_NS
    made.part(2)
    made.say(wire.Counted(session=1, part=1, count=PITCH), wire.Counted(session=2, part=1, count=PITCH))
    assert verdicts(made.heard()) == []
    made.say(wire.Counted(session=2, part=2, count=2 * PITCH))
    assert verdicts(made.heard()) == [(2, 2 * PITCH, "PASS", "clean")]


def test_what_waits_for_counts_is_bounded() -> None:
    made = by("plc")
    for number in range(1, UNPLACED + 3):
        made.part(number)
        made.now += PITCH_NS // 10
        made.station.work()
    made.say(*(wire.Counted(session=1, part=n, count=PITCH * n) for n in range(1, UNPLACED + 3)))
    assert [v[0] for v in verdicts(made.heard())] == list(range(3, UNPLACED + 3))


def test_by_the_plc_a_re_pass_shows_with_its_count() -> None:
    made = by("plc")
    for number in (1, 2, 3):
        made.say(wire.Counted(session=1, part=number, count=PITCH * number))
        made.part(number)
        made.now += PITCH_NS
    made.heard()
    made.post(made.edge(4))
    made.post(made.frame(4))
    made.say(wire.Counted(session=1, part=4, count=PITCH + 9))
    made.decide(4)
    assert verdicts(made.heard()) == [(4, PITCH + 9, "NO_DECISION", "re_pass")]
    made.now += PITCH_NS
    made.say(wire.Counted(session=1, part=5, count=2 * PITCH))  # and where it is known before the trigger
    made.part(5)
    assert verdicts(made.heard()) == [(5, 2 * PITCH, "NO_DECISION", "re_pass")]
    assert made.reports.losses == ["without_trigger"]
    assert made.free()


def test_a_count_from_the_gateway_means_nothing_to_an_eye_that_latches_its_own() -> None:
    made = Rig().grant()
    made.say(wire.Counted(session=1, part=1, count=9))
    made.part(1)
    assert verdicts(made.heard()) == [(1, PITCH, "PASS", "clean")]


def test_by_the_camera_the_count_is_the_frames_less_the_offset() -> None:
    made = by("camera")
    made.post(made.edge(1, 77))
    made.post(made.frame(1, count=100))
    assert made.heard() == [wire.Announce(session=1, part=1, count=SPAN - 23)]
    made.decide(1)
    assert verdicts(made.heard()) == [(1, SPAN - 23, "PASS", "clean")]


def test_by_the_camera_a_frame_without_count_decides_nothing_and_one_behind_is_a_re_pass() -> None:
    made = by("camera")
    for number, count in ((1, 5000), (2, None), (3, 5100), (4, 7000)):
        made.post(made.edge(number))
        made.post(made.frame(number, count=count))
        if number in made.engine.jobs:
            made.decide(number)
        made.now += PITCH_NS
    assert made.reports.causes() == {1: "clean", 2: "unknown_position", 3: "clean", 4: "clean"}
    made.post(made.edge(5))
    made.post(made.frame(5, count=5010))
    assert made.reports.causes()[5] == "re_pass"
    assert made.ledger.late == 0, "the frame that closed a part is not late for it"
    assert made.free()


def test_by_time_the_count_follows_the_clock_and_no_heartbeat_moves_it() -> None:
    made = by("time")
    made.post(made.edge(1, 77))
    count = START_NS // 100_000 % SPAN
    assert made.heard() == [wire.Announce(session=1, part=1, count=count)]
    made.post(made.frame(1))
    made.beat(count + 1_000_000)
    made.decide(1)
    assert verdicts(made.heard()) == [(1, count, "PASS", "clean")]
