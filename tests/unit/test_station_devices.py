"""What the loop makes of devices that are lost and come back, and of records that are not kept.  Time is virtual."""

from __future__ import annotations

import pytest

from edge.capture.events import DeviceBack, DeviceLost, FrameLost
from edge.capture.thread import UNHEARD_NS
from edge.core.part import FrameInfo
from edge.station.health import BLIND_PARTS
from edge.station.standing import JOURNAL_TROUBLE
from edge.wire import messages as wire
from tests.support_station import Rig, verdicts

BEAT_MS = 51.0


def is_ready(made: Rig) -> bool:
    """Return what the station says with its next heartbeat."""
    made.heard()
    made.wait_ms(BEAT_MS)
    return [message.ready for message in made.heard() if isinstance(message, wire.Heartbeat)][-1]


@pytest.mark.parametrize("device", ["camera", "trigger"])
def test_while_a_device_is_gone_the_station_says_so_and_wants_no_parts(device: str) -> None:
    made = Rig().grant()
    assert is_ready(made)
    made.post(DeviceLost(device, "The cable is out."))
    text = f"the {device} is gone: The cable is out."
    assert made.reports.state == ("FAULT", text)
    assert made.reports.alarms == {device: text}
    assert not is_ready(made)
    assert ("device_lost", f"The {device} is lost: The cable is out.", {"device": device}) in made.reports.notes


@pytest.mark.parametrize("device", ["camera", "trigger"])
def test_a_device_that_is_back_costs_the_session_and_is_counted(device: str) -> None:
    made = Rig().grant()
    made.post(DeviceLost(device, "test"))
    made.heard()
    made.post(DeviceBack(device))
    said = made.heard()
    assert isinstance(said[0], wire.Goodbye)
    assert made.reports.state == ("STARTING", f"the {device} was away")
    assert made.reports.reconnects == {device: 1}
    assert ("reconnect", f"The {device} is back.", {"device": device}) in made.reports.notes
    assert ("session_ended", f"Session 1 ended: the {device} was away.", {"session": 1}) in made.reports.notes
    made.grant()
    assert made.reports.state == ("RUNNING", "")
    assert is_ready(made)


def test_with_one_device_back_the_other_is_still_gone() -> None:
    made = Rig().grant()
    made.post(DeviceLost("camera", "test"), DeviceLost("trigger", "test"))
    made.post(DeviceBack("camera"))
    made.grant()
    assert set(made.reports.alarms) == {"trigger"}
    assert not is_ready(made)


def test_parts_without_a_camera_have_no_frame_and_those_behind_it_their_own() -> None:
    made = Rig().grant()
    made.part(1)
    made.wait_ms(100)
    made.post(made.edge(2))
    made.post(DeviceLost("camera", "test"))
    made.wait_ms(100)
    assert made.reports.causes()[2] == "frame_missing"
    made.post(DeviceBack("camera"))
    made.grant()
    made.post(made.edge(3))
    made.post(made.frame(90))  # the camera counts anew: by the old offset this would be part 90
    made.decide(3)
    assert verdicts(made.heard()) == [(3, 3000, "PASS", "clean")]
    assert made.free()


def test_a_frame_that_waited_as_the_camera_was_lost_does_not_bring_its_old_counter_back() -> None:
    made = Rig().grant()
    made.part(1)
    made.wait_ms(100)
    t0_ns = made.now
    made.post(made.frame(2))  # before its trigger
    made.post(DeviceLost("camera", "test"))
    made.post(DeviceBack("camera"))
    assert made.free()
    assert made.reports.losses == ["without_trigger"]
    made.grant()
    made.post(made.edge(2, t0_ns=t0_ns))
    made.wait_ms(100)
    assert made.reports.causes()[2] == "frame_missing"
    made.post(made.edge(3))
    made.post(made.frame(90))  # the camera counts anew
    made.decide(3)
    assert verdicts(made.heard())[-1] == (3, 3000, "PASS", "clean")


def test_a_frame_that_waited_as_the_eye_was_lost_still_has_its_part() -> None:
    made = Rig().grant()
    made.part(1)
    made.wait_ms(100)
    made.post(made.frame(2))
    made.post(DeviceLost("trigger", "test"))
    made.post(DeviceBack("trigger"))
    made.grant()
    made.post(made.edge(2))
    made.decide(2)
    assert verdicts(made.heard()) == [(2, 2000, "PASS", "clean")]


def blind(made: Rig, parts: int) -> None:
    """Let parts go by of which no frame comes."""
    for _ in range(parts):
        made.wait_ms(100)
        made.post(made.edge(made.ledger.triggers + 1))
    made.wait_ms(70)


def test_after_so_many_parts_without_a_frame_the_camera_is_opened_anew_once() -> None:
    made = Rig().grant()
    blind(made, BLIND_PARTS - 1)
    assert made.reopenings == []
    assert made.reports.state[0] == "FAULT", "but it is no good state"
    blind(made, 2)
    assert made.reopenings == ["The camera delivers nothing while parts are triggered."]
    made.post(DeviceLost("camera", "test"), DeviceBack("camera"))
    assert made.reports.alarms == {}, "it has another chance"
    blind(made, BLIND_PARTS)
    assert len(made.reopenings) == 2


def test_a_camera_that_has_delivered_since_is_opened_anew_again() -> None:
    made = Rig().grant()
    blind(made, BLIND_PARTS)
    made.post(FrameLost(FrameInfo(1, made.now, made.now, intact=False), "frame_corrupt"))
    blind(made, BLIND_PARTS)
    assert len(made.reopenings) == 2


def test_while_a_device_is_gone_the_camera_is_not_opened_anew_as_well() -> None:
    made = Rig().grant()
    made.post(DeviceLost("camera", "test"))
    blind(made, 2 * BLIND_PARTS)
    assert made.reopenings == []


def test_the_eyes_return_says_nothing_for_the_camera() -> None:
    made = Rig().grant()
    for _ in range(2):
        blind(made, 2)
        made.post(DeviceLost("trigger", "test"), DeviceBack("trigger"))
        made.grant()
        assert set(made.reports.alarms) == {"camera"}
    blind(made, 1)
    assert len(made.reopenings) == 1


def test_a_frame_in_between_even_a_spoilt_one_shows_that_the_camera_delivers() -> None:
    made = Rig().grant()
    blind(made, BLIND_PARTS - 1)
    made.post(FrameLost(FrameInfo(1, made.now, made.now, intact=False), "frame_corrupt"))
    blind(made, BLIND_PARTS - 1)
    assert made.reopenings == []


def test_a_device_that_is_not_heard_is_an_alarm_before_its_thread_has_given_it_up() -> None:
    made = Rig().grant()
    made.heard_ns = made.now
    made.wait_ms(UNHEARD_NS / 1e6)
    assert made.reports.alarms == {}
    made.wait_ms(BEAT_MS)
    assert made.reports.alarms == {"camera": "the camera shows no sign of life"}
    made.post(DeviceLost("camera", "test"))
    assert made.reports.alarms == {"camera": "the camera is gone: test"}


def test_records_that_are_not_kept_are_a_warning_and_nothing_waits_for_them() -> None:
    made = Rig().grant()
    made.reports.troubled = "101 rows wait, for 11.9 s"
    made.part(1)
    assert verdicts(made.heard()) == [(1, 1000, "PASS", "clean")]
    assert made.reports.state == ("WARNING", JOURNAL_TROUBLE)
    assert is_ready(made)
    made.post(DeviceLost("camera", "test"))
    assert made.reports.state[0] == "FAULT", "what is worse is said first"


def test_sessions_and_recipes_are_noted() -> None:
    made = Rig().grant(fence=77)
    kind, text, data = made.reports.notes[0]
    assert (kind, text) == ("session", "Session 1 is granted, with fence 77.")
    assert data["gateway_session"] == 1
    made.say(wire.Revoke(session=1, reason="test"))
    assert made.reports.notes[-1] == ("session_ended", "Session 1 ended: test.", {"session": 1})
    made.station.changes.recipe(made.config.recipe, made.now)
    kind, _, data = made.reports.notes[-1]
    assert kind == "recipe"
    assert data["recipe"] == made.config.recipe.model_dump(mode="json")
