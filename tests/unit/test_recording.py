"""The recorder beside a running station: it costs no slot, ends by itself, and says what it could not keep."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest

from edge.capture.events import (
    DeviceBack,
    DeviceLost,
    EpochChanged,
    FrameArrived,
    FrameLost,
    FramesMissed,
    TriggersLost,
)
from edge.commands.replay import Difference, compare
from edge.commands.replay_station import Replayed
from edge.config import ControlConfig
from edge.core.part import Finding, FrameInfo, Trigger
from edge.core.pool import Frame, Purpose
from edge.errors import RecordingError
from edge.record import recorder
from edge.record.commands import control
from edge.record.recorder import Bounds
from edge.record.recording import (
    EVENTS,
    FRAMES,
    HEADER,
    REFERENCE,
    Happened,
    PartResult,
    Recording,
    encode_line,
    pack,
)
from edge.station.orders import receiver
from edge.station.tape import recording_commands
from edge.wire.control import Command, Peer, Scalar, request
from tests.support_recording import BOUNDS, RecordedStation, edge, replayed


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread."""
    end = monotonic() + 5.0
    while not condition():
        assert monotonic() < end
        sleep(0.002)


def recorded(folder: Path, parts: int, bounds: Bounds = BOUNDS, **camera: Any) -> RecordedStation:
    """Return a station that has recorded ``parts``."""
    made = RecordedStation(folder, begins=False, **camera)
    made.begin(bounds)
    for number in range(1, parts + 1):
        made.part(number, 8 * number)
    return made


# -- what is kept ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("color", ["mono8", "bgr8", "rgb8"])
def test_frames_come_back_to_the_byte_packed_or_not(tmp_path: Path, color: str) -> None:
    made = RecordedStation(tmp_path / "r", color=color)
    pixels = np.random.default_rng(1).integers(0, 256, (16, 16) if color == "mono8" else (16, 16, 3), np.uint8)
    made.part(1)
    made.turn(edge(2, made.now))
    event = made.frame(2, made.now, 0)
    assert isinstance(event, FrameArrived)
    made.pool.frame(event.lease)[...] = pixels
    made.turn(event)
    made.inspect()
    made.turn()
    recording = made.end()
    assert np.array_equal(kept(recording, 2, color), pixels)
    assert pack(tmp_path / "r", color) == 2
    assert sorted(path.name for path in (tmp_path / "r" / FRAMES).iterdir()) == ["000001.png", "000002.png"]
    assert np.array_equal(kept(recording, 2, color), pixels)
    assert recording.frame(3, color) is None


def kept(recording: Recording, number: int, color: str) -> Frame:
    """Return the pixels of a frame that was kept."""
    pixels = recording.frame(number, color)
    assert pixels is not None
    return pixels


INFO = FrameInfo(7, 1, 2, False, "tag", 3)


@pytest.mark.parametrize(
    "event",
    [
        Trigger(1, None, 2), FrameLost(INFO, "frame_corrupt"), FramesMissed(3), TriggersLost(4), EpochChanged(5),
        DeviceLost("camera", "text"), DeviceBack("trigger"),
    ],
)  # fmt: skip
def test_every_event_comes_back_as_it_was(event: Any) -> None:
    read = json.loads(encode_line(Happened(1, type(event).__name__, event)))
    assert read.pop("type") == "event"
    assert Happened(**read).event() == event


def test_an_idle_recorder_takes_no_slot_and_no_line(tmp_path: Path) -> None:
    made = RecordedStation(tmp_path / "r", begins=False)
    made.part(1)
    assert made.pool.occupancy()["free"] == made.pool.slots
    assert made.tape.details() == {}
    assert not (tmp_path / "r").exists()


# -- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bounds", "ended"),
    [(Bounds(4, 100, 3600), "4 parts"), (Bounds(1000, 0.002, 3600), "0.002 MB"), (Bounds(1000, 100, 0), "0 s")],
)
def test_it_ends_by_itself_at_each_bound(tmp_path: Path, bounds: Bounds, ended: str) -> None:
    made = RecordedStation(tmp_path / "r", begins=False)
    made.begin(bounds)
    if not bounds.seconds:
        made.now = monotonic_far()
    for number in range(1, 40):
        made.part(number)
    until(lambda: not made.tape.details()["recording"]["running"])
    header = Recording(tmp_path / "r").header
    assert header.ended == ended
    assert header.parts < 39
    assert made.pool.occupancy()["free"] == made.pool.slots


def monotonic_far() -> int:
    """Return a time behind every bound."""
    return 1 << 61


def test_the_turn_of_the_end_is_whole(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r", 12, Bounds(8, 100, 3600))
    recording = made.end()
    comparison, result = replayed(recording)
    assert len(recording.reference) == len(result.parts) == 8
    assert comparison.differences == []


def test_a_second_recording_follows_the_first(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r", 4, Bounds(2, 100, 3600))
    until(lambda: not made.tape.details()["recording"]["running"])
    with pytest.raises(RecordingError, match="cannot hold a recording"):
        made.begin()
    made.folder = tmp_path / "s"
    made.begin()
    for number in range(5, 9):
        made.part(number)
    assert [part.part for part in made.end().reference] == [5, 6, 7, 8]


def test_one_at_a_time(tmp_path: Path) -> None:
    made = RecordedStation(tmp_path / "r")
    with pytest.raises(RecordingError, match="still being recorded"):
        made.tape.open(tmp_path / "s", BOUNDS)
    made.end()


# -- a disk that fails ------------------------------------------------------------------------------------------------


def test_a_stalled_disk_costs_the_line_no_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    save = np.save

    def stalls(*arguments: Any) -> None:
        goes_on.wait(5.0)
        save(*arguments)

    monkeypatch.setattr("edge.record.recorder.np.save", stalls)
    monkeypatch.setattr(RecordedStation, "turn", _turn_without_waiting)
    made = recorded(tmp_path / "r", 20)
    assert set(made.reports.causes().values()) <= {"clean", "rule"}
    slots = made.config.limits.pool_slots
    assert made.pool.occupancy() == {"capture": 0, "inspection": 0, "evidence": made.pool.slots - slots, "free": slots}
    goes_on.set()
    header = made.end().header
    assert (header.frames, header.dropped) == (made.pool.slots - slots, 20 - header.frames)
    assert made.pool.occupancy()["free"] == made.pool.slots


def _turn_without_waiting(self: RecordedStation, *events: Any, ms: float = 0.0) -> None:
    self.now += int(ms * 1e6)
    self.box.events.extend(events)
    self.station.work()


def test_a_disk_that_fails_ends_the_recording_and_says_so(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r", 2)
    shutil.rmtree(tmp_path / "r" / FRAMES)
    for number in range(3, 9):
        made.part(number)
    until(lambda: not made.tape.details()["recording"]["running"])
    assert "No such file" in made.tape.details()["recording"]["problem"]
    assert made.pool.occupancy()["free"] == made.pool.slots
    assert len(made.reports.parts) == 8
    with pytest.raises(RecordingError, match="while it is being made it is not complete"):
        Recording(tmp_path / "r")


def test_lines_that_find_no_room_end_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "ROOM", 20)
    monkeypatch.setattr(recorder, "POLL_S", 0.2)
    monkeypatch.setattr(RecordedStation, "turn", _turn_without_waiting)
    made = recorded(tmp_path / "r", 30)
    until(lambda: not made.tape.details()["recording"]["running"])
    assert Recording(tmp_path / "r").header.ended == "the disk does not keep up"
    assert len(made.reports.parts) == 30


# -- commands --------------------------------------------------------------------------------------------------------


def test_it_is_commanded_through_the_control_socket(tmp_path: Path) -> None:
    made = RecordedStation(tmp_path / "r", begins=False)
    record = recording_commands(made.tape, made.box.events.append, lambda: made.publisher.grant)
    serve = receiver(made.box.events.append, others={"record": record}, details=made.tape.details)
    socket = tmp_path / "control"
    answers: list[dict[str, Any]] = []

    def ask(name: str, **arguments: Any) -> dict[str, Any]:
        asking = threading.Thread(target=lambda: answers.append(request(socket, name, **arguments)))
        asking.start()
        while asking.is_alive():
            made.turn()
            sleep(0.001)
        return answers.pop()

    with control(ControlConfig(path=str(socket)), serve):
        assert "recording" not in ask("status")
        bounds = {"parts": 100, "max_mb": 10.0, "seconds": 60.0}
        assert ask("record", out=str(tmp_path / "r"), **bounds)["ok"]
        made.part(1)
        assert ask("status")["recording"]["parts"] == 1
        refused = ask("record", out=str(tmp_path / "s"), **bounds)
        assert not refused["ok"]
        assert "still being recorded" in refused["text"]
        assert ask("record", stop=True)["ok"]
        made.part(2)
        until(lambda: not ask("status")["recording"]["running"])
        assert "give the whole path" in ask("record", out="r", **bounds)["remedy"]
        assert "parts" in ask("record", out=str(tmp_path / "s"), parts=0, max_mb=1.0, seconds=1.0)["text"]
        assert not ask("record", out=str(tmp_path / "s"), seconds=1.0)["ok"]
    recording = Recording(tmp_path / "r")
    assert (recording.header.ended, [part.part for part in recording.reference]) == ("it was stopped", [1])


def test_a_command_that_came_too_late_records_nothing(tmp_path: Path) -> None:
    made = RecordedStation(tmp_path / "r", begins=False)
    arguments: dict[str, Scalar] = {"out": str(tmp_path / "r"), "parts": 1, "max_mb": 1.0, "seconds": 1.0}
    command = Command("record", arguments, Peer(0, "root", 1))
    recording_commands(made.tape, made.box.events.append, lambda: None)(command)
    command.wait(0.0)  # the client has given up
    made.turn()
    made.part(1)
    until(lambda: not made.tape.details()["recording"]["running"])
    assert made.tape.details()["recording"]["parts"] == 0


# -- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        (HEADER, lambda data: data.replace(b'"format": 1', b'"format": 2')),
        (HEADER, lambda _: b""),
        (EVENTS, lambda data: data[:-20]),
        (EVENTS, lambda data: data.replace(b'"type":"turn"', b'"type":"tern"', 1)),
        (REFERENCE, lambda data: data.replace(b'"part":1', b'"part":"one"')),
    ],
)
def test_what_is_damaged_is_refused(tmp_path: Path, name: str, spoil: Callable[[bytes], bytes]) -> None:
    recorded(tmp_path / "r", 3).end()
    path = tmp_path / "r" / name
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(RecordingError, match="damaged, or no part of a recording"):
        Recording(tmp_path / "r")


def test_an_event_that_no_station_knows_is_refused() -> None:
    with pytest.raises(RecordingError, match="No event of a station: Rain"):
        Happened(1, "Rain", {}).event()
    with pytest.raises(RecordingError, match="No event of a station: TriggersLost"):
        Happened(1, "TriggersLost", {"last": "x"}).event()


def test_a_frame_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "r", 3).end()
    (tmp_path / "r" / FRAMES / "000002.npy").unlink()
    assert recording.frame(1, "mono8") is not None
    with pytest.raises(RecordingError, match=r"000002\.npy cannot be read"):
        recording.frame(2, "mono8")


# -- comparing -------------------------------------------------------------------------------------------------------


def result(score: float = 0.8, x: float = 10.0, **fields: Any) -> PartResult:
    """Return a rejected part with one finding."""
    values = {"part": 1, "t0_ns": 5, "outcome": "REJECT", "cause": "rule", "rule": "r", "recipe": "a", "frame": 9}
    return PartResult(**{**values, "findings": (Finding("pit", score, (x, 1.0, 20.0, 30.0)),), **fields})


def differences(was: PartResult, now: PartResult, same: bool = True, floor: float = 0.5) -> list[Difference]:
    """Compare one part."""
    return compare([was], Replayed([now]), 0, same, floor).differences


@pytest.mark.parametrize(
    ("now", "what"),
    [
        (result(), []),
        (result(score=0.8009), []),
        (result(score=0.8011), ["findings"]),
        (result(x=10.99), []),
        (result(x=11.01), ["findings"]),
        (result(findings=()), ["findings"]),
        (result(findings=(Finding("rust", 0.8, (10.0, 1.0, 20.0, 30.0)),)), ["findings"]),
        (result(findings=(*result().findings, *result(score=0.5009).findings)), []),  # at the floor it may be there
        (result(findings=(*result().findings, *result(score=0.5011).findings)), ["findings"]),
        (result(rule="s"), ["verdict"]),
        (result(cause="saturated", outcome="NO_DECISION"), ["verdict"]),
        (result(frame=10), ["frame"]),
        (result(frame=None), ["frame"]),
        (result(recipe="b"), ["recipe"]),
        (result(t0_ns=6), ["missing", "new"]),
    ],
)
def test_what_counts_as_a_difference(now: PartResult, what: list[str]) -> None:
    assert [d.what for d in differences(result(), now)] == what


def test_a_recipe_that_was_asked_for_may_have_another_name() -> None:
    assert compare([result()], Replayed([result(recipe="b")]), 0, True, 0.5, recipes=False).differences == []


def test_a_counter_that_comes_again_hides_no_difference() -> None:
    was = [result(part=number, t0_ns=10 * number) for number in (1, 2)]
    now = [was[0], result(part=2, t0_ns=20, outcome="PASS")]
    found = compare(was, Replayed(now, {(1, 10)}), 0, True, 0.5)
    assert (found.compared, found.unseen, [d.part for d in found.differences]) == (1, 1, [2])


def test_another_engine_need_not_find_the_same_to_the_digit() -> None:
    assert differences(result(), result(score=0.7), same=False) == []
    assert [d.what for d in differences(result(), result(rule="s"), same=False)] == ["verdict"]


def test_what_is_not_compared() -> None:
    lead_in = compare([result(t0_ns=5)], Replayed([result(t0_ns=5, rule="s")]), 5, True, 0.5)
    assert (lead_in.compared, lead_in.lead_in, lead_in.differences) == (0, 1, [])
    unseen = compare([result()], Replayed([result(rule="s")], {(1, 5)}), 0, True, 0.5)
    assert (unseen.compared, unseen.unseen, unseen.differences) == (0, 1, [])


def test_every_lease_has_its_end(tmp_path: Path) -> None:
    made = recorded(tmp_path / "r", 5)
    assert made.pool.occupancy()[Purpose.EVIDENCE.value] == 0
    made.end()
    assert made.pool.occupancy()["free"] == made.pool.slots
