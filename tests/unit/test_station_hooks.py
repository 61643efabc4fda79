"""What looks on while the station works: the tape, which may keep frames, and the flight recorder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import flight
from edge.capture.events import DeviceLost, FrameArrived
from edge.core.part import Part
from edge.core.pool import Lease, Purpose
from edge.station.hang import EngineHung
from edge.station.interfaces import StationEvent
from edge.station.orders import receiver
from edge.wire import messages as wire
from edge.wire.control import Answer, Command, Peer
from tests.support_station import PITCH_NS, Rig


class Noting:
    """A tape that notes what it is told, and keeps as many frames as it is asked to."""

    def __init__(self, keeps: int = 0) -> None:
        self.told: list[str] = []
        self.times: list[int] = []
        self.keeps = keeps
        self.kept: list[Lease] = []
        self.rig: Rig

    def event(self, at_ns: int, event: StationEvent) -> None:
        """Note its kind."""
        self.told.append(type(event).__name__)
        self.times.append(at_ns)

    def turn(self, at_ns: int) -> None:
        """Note it."""
        self.told.append("turn")
        self.times.append(at_ns)

    def keep(self, lease: Lease) -> bool:
        """Keep it, if any more."""
        sent = [m for m in map(wire.decode_to_gateway, self.rig.gateway.sent) if isinstance(m, wire.Verdict)]
        self.told.append(f"keep, after {len(sent)} verdicts")
        if len(self.kept) >= self.keeps:
            return False
        self.kept.append(lease)
        return True

    def concluded(self, part: Part) -> None:
        """Note it."""
        self.told.append(f"concluded {part.number}")


def taped(keeps: int = 0) -> tuple[Rig, Noting]:
    tape = Noting(keeps)
    tape.rig = Rig(tape=tape).grant()
    tape.told.clear()
    tape.times.clear()
    return tape.rig, tape


def test_the_tape_hears_of_events_before_they_are_handled_and_of_a_frame_after_its_verdict() -> None:
    made, tape = taped()
    made.part(1)
    assert tape.told == [
        *("Trigger", "turn", "FrameArrived", "turn"),
        *("Inspected", "concluded 1", "keep, after 1 verdicts", "turn"),
    ]
    assert set(tape.times) == {made.now}
    assert made.free()


def test_a_frame_that_the_tape_keeps_is_the_tapes_to_release() -> None:
    made, tape = taped(keeps=1)
    made.part(1)
    made.now += PITCH_NS
    made.part(2)
    assert len(tape.kept) == 1
    assert not made.free()
    made.pool.release(tape.kept[0])
    assert made.free()


def again(made: Rig) -> None:
    frame = made.frame(1)
    other = made.pool.lease(Purpose.CAPTURE)
    assert other is not None
    made.post(frame, FrameArrived(other, frame.info))
    made.wait_ms(100)


def ambiguous(made: Rig) -> None:
    made.post(made.edge(1), made.edge(2, t0_ns=made.now + 1), made.frame(2))
    made.now += 10
    made.post(made.edge(3, t0_ns=made.now))
    made.wait_ms(200)


def late(made: Rig) -> None:
    made.post(made.edge(1), made.frame(1))
    made.wait_ms(150)
    made.decide(1)


def without_trigger(made: Rig) -> None:
    made.post(made.frame(1))
    made.wait_ms(100)


@pytest.mark.parametrize(("happens", "frames"), [(again, 2), (ambiguous, 1), (late, 1), (without_trigger, 1)])
def test_the_tape_is_asked_for_every_frame_whatever_becomes_of_it(happens: object, frames: int) -> None:
    made, tape = taped()
    assert callable(happens)
    happens(made)
    assert sum(told.startswith("keep") for told in tape.told) == frames
    assert made.free()


def test_without_a_slot_for_inspection_the_verdict_is_sent_before_the_tape_is_asked() -> None:
    tape = Noting()
    made = tape.rig = Rig(tape=tape, inspections=1).grant()
    made.post(made.edge(1), made.frame(1))
    made.now += PITCH_NS // 2
    made.post(made.edge(2), made.frame(2))
    assert made.reports.causes() == {2: "pool_exhausted"}
    assert tape.told[-3:] == ["concluded 2", "keep, after 1 verdicts", "turn"]


# -- the flight recorder ---------------------------------------------------------------------------------------------


@pytest.fixture
def traces(tmp_path: Path) -> Iterator[Path]:
    flight.start(4096, tmp_path, 10, "station test")
    yield tmp_path
    flight.stop()


def marks() -> list[tuple[str, int]]:
    path = flight.write("test")
    assert path is not None
    events = json.loads(path.read_text())["traceEvents"]
    return [(event["name"], event["args"]["value"]) for event in events if event["ph"] == "i" and "args" in event]


@pytest.mark.usefixtures("traces")
def test_the_way_of_a_part_can_be_followed_in_a_trace() -> None:
    made = Rig().grant()
    made.part(7)
    made.say(wire.Revoke(session=1, reason="test"))
    assert marks() == [
        ("session", 1),
        ("trigger", 7),
        ("frame", 507),
        ("matched", 7),
        ("verdict", 7),
        ("concluded", 7),
        ("sent", 7),
        ("session", 0),
    ]


def command(made: Rig, name: str) -> Answer:
    asked = Command(name, {}, Peer(0, "root", 1))
    receiver(made.post)(asked)
    return asked.wait(0.0)


def test_a_trace_can_be_asked_for(traces: Path) -> None:
    answer = command(Rig(), "trace")
    assert answer.ok
    assert [str(path) for path in traces.glob("*.json")] == [answer.extra["path"]]


def test_without_a_folder_for_traces_there_is_none() -> None:
    answer = command(Rig(), "trace")
    assert (answer.ok, answer.text) == (False, "Nothing is recorded: flight.folder is not set.")


def test_a_trace_that_cannot_be_written_is_refused_in_words(traces: Path) -> None:
    traces.rmdir()
    answer = command(Rig(), "trace")
    assert not answer.ok
    assert "cannot be written" in answer.text


def test_a_device_that_is_lost_is_traced_also_while_another_is(traces: Path) -> None:
    made = Rig().grant()
    made.post(DeviceLost("camera", "test"))
    made.post(DeviceLost("trigger", "test"))
    flight.stop()
    reasons = {json.loads(path.read_text())["otherData"]["reason"] for path in traces.glob("*.json")}
    assert reasons == {"camera lost", "trigger lost"}


def test_an_inspection_that_hangs_is_traced(traces: Path) -> None:
    made = Rig().grant()
    made.engine.hangs = True
    made.wait_ms(2900)
    with pytest.raises(EngineHung):
        made.wait_ms(200)
    flight.stop()
    (path,) = traces.glob("*.json")
    assert json.loads(path.read_text())["otherData"]["reason"] == "an inspection does not return"
