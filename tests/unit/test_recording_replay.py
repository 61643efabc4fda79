"""Whatever a station goes through while it records, the replay comes to the same, part for part."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.capture.events import DeviceBack, DeviceLost, EpochChanged, FrameLost, FramesMissed, TriggersLost
from edge.clock import NS_PER_MS
from edge.core.part import FrameInfo
from edge.record import recorder
from edge.wire import messages as wire
from tests.support_hypothesis import usual
from tests.support_recording import Pixels, RecordedStation, edge, recipe, replayed

Step = tuple[str, float, int, bool]

USUAL = ["part", "inspect", "inspect", "turn"]
ODD = [
    *("trigger", "frame", "late frame", "stray", "corrupt", "skip", "lost", "beat", "grant", "revoke", "garbage"),
    *("recipe", "epoch", "device", "wait", "repeat", "jump"),
]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(USUAL * 10 + ODD),
        st.floats(0.0, 40.0, allow_nan=False),  # ms since the step before
        st.sampled_from([0, 100, 140, 200, 255]),  # brightness of the frame
        st.booleans(),  # whether the station looks at once, or later at all that has come
    ),
    max_size=80,
)


class Story:
    """Turns steps into what happens around a station."""

    def __init__(self, made: RecordedStation) -> None:
        self.made, self.number, self.offset, self.beats, self.session = made, 100, 400, 0, 0

    def tell(self, steps: list[Step]) -> None:
        """Let it all happen."""
        for what, ms, brightness, looks in steps:
            self.made.now += int(ms * NS_PER_MS)
            if what in USUAL:
                self.as_usual(what, brightness)
            else:
                self.oddly(what, brightness)
                self.speak(what)
            if looks:
                self.made.turn()
        self.made.turn()

    def as_usual(self, what: str, brightness: int) -> None:
        """Let a part come, or its inspection end."""
        made = self.made
        if what == "part":
            self.number += 1
            made.box.events.append(edge(self.number, made.now))
            made.box.events.append(made.frame(self.number + self.offset, made.now + NS_PER_MS, brightness))
        elif what == "inspect":
            made.inspect()

    def oddly(self, what: str, brightness: int) -> None:
        """Let something of camera, eye, encoder or operator happen."""
        made, post, counter = self.made, self.made.box.events.append, self.number + self.offset
        self.number += {"trigger": 1, "corrupt": 1, "skip": 1, "lost": 1, "jump": 10_000}.get(what, 0)
        self.offset += 77 if what == "device" else 0
        if what in ("trigger", "repeat", "corrupt"):
            post(edge(self.number, made.now))
        if what == "corrupt":
            post(FrameLost(FrameInfo(counter + 1, made.now, made.now, intact=False), "frame_corrupt"))
        elif what in ("frame", "late frame"):
            post(made.frame(counter, made.now - (50 * NS_PER_MS if what == "late frame" else 0), brightness))
        elif what == "stray":
            post(FramesMissed(7))
            post(made.frame(counter + 9, made.now, brightness))
        elif what == "lost":
            post(TriggersLost(self.number))
        elif what == "recipe":
            post(made.command(recipe(f"recipe {brightness}", 0.3 + brightness / 400)))
        elif what == "epoch":
            post(EpochChanged(self.number))
        elif what == "device":
            post(DeviceLost("camera", "unplugged"))
            post(DeviceBack("camera"))

    def speak(self, what: str) -> None:
        """Let the gateway say something."""
        if what == "beat":
            self.beats += 1
            self.made.say(wire.GatewayBeat(beat=self.beats, plc_ok=True, count=1000 * self.number + 200, mode="auto"))
        elif what == "grant":
            self.session += 1
            self.made.grant(self.session)
        elif what == "revoke":
            self.made.say(wire.Revoke(session=self.session, reason="test"))
        elif what == "garbage":
            self.made.say(b"\xff\x00{")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "POLL_S", 0.0003)


@usual(60)
@given(STEPS, STEPS, st.integers(1, 3))
def test_a_replay_is_the_run_itself(before: list[Step], steps: list[Step], pairs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = RecordedStation(Path(folder) / "r", begins=False, sync_pairs=pairs)
        story = Story(made)
        story.tell(before)
        ended = len(made.reports.ended)
        made.begin()
        story.tell(steps)
        recording = made.end()
        comparison, _ = replayed(recording)
        assert comparison.differences == []
        assert comparison.unseen == 0
        assert comparison.compared + comparison.lead_in == len(made.reports.ended) - ended  # none is forgotten


def busy(made: RecordedStation, parts: int) -> None:
    """Let parts of growing brightness pass."""
    for number in range(1, parts + 1):
        made.part(number, brightness=10 * number)


def test_what_is_compared_is_most_of_it(tmp_path: Path) -> None:
    made = RecordedStation(tmp_path / "r", sync_pairs=3)
    busy(made, 24)
    recording = made.end()
    comparison, result = replayed(recording)
    assert (comparison.lead_in, comparison.compared, comparison.differences) == (5, 19, [])  # it had to synchronise too
    assert {part.outcome for part in result.parts[5:]} == {"PASS", "REJECT"}


def test_events_of_one_turn_keep_their_own_times(tmp_path: Path) -> None:
    """A frame that was taken behind its deadline, yet before the station looked at deadlines, was taken."""
    made = RecordedStation(tmp_path / "r")
    busy(made, 3)
    made.now += 100 * NS_PER_MS
    t0_ns = made.now
    made.turn(edge(4, t0_ns), ms=1)
    frame = made.frame(4, t0_ns + NS_PER_MS, 0)
    made.turn(frame, ms=70)  # the frame's deadline is 60 ms after T0
    made.inspect()
    made.turn(ms=5)
    assert made.reports.causes()[4] == "clean"
    comparison, _ = replayed(made.end())
    assert (comparison.compared, comparison.differences) == (3, [])


def test_each_event_is_handled_at_its_own_time(tmp_path: Path) -> None:
    """A verdict that was taken in front of the deadline was in time, however long the rest of the turn took."""
    made = RecordedStation(tmp_path / "r")
    busy(made, 3)
    made.now += 100 * NS_PER_MS
    t0_ns = made.now
    made.turn(edge(4, t0_ns), ms=1)
    made.turn(made.frame(4, t0_ns + NS_PER_MS, 0), ms=1)
    made.inspect()
    made.reading_ns = 3 * NS_PER_MS
    made.now = t0_ns + 93 * NS_PER_MS  # the turn begins at 96, the verdict is taken at 99, the rest comes at 102
    made.turn()
    assert made.reports.causes()[4] == "clean"
    comparison, _ = replayed(made.end())
    assert (comparison.compared, comparison.differences) == (3, [])


def hold(made: RecordedStation, first: int, parts: int) -> None:
    """Let parts come whose inspection does not end."""
    for number in range(first, first + parts):
        made.now += 30 * NS_PER_MS
        made.turn(edge(number, made.now), ms=1)
        made.turn(made.frame(number, made.now, 0), ms=1)


def test_inspections_that_began_before_the_recording_belong_to_the_lead_in(tmp_path: Path) -> None:
    made = RecordedStation(tmp_path / "r", begins=False)
    busy(made, 3)
    hold(made, 4, 4)  # as many as may be under inspection
    made.begin()
    hold(made, 8, 2)
    assert made.reports.causes()[9] == "pool_exhausted"
    for _ in range(4):
        made.inspect()
    made.turn(ms=100)
    for number in range(10, 14):
        made.part(number)
    comparison, _ = replayed(made.end())
    assert (comparison.lead_in, comparison.compared, comparison.differences) == (6, 4, [])


@pytest.mark.parametrize("begins", [True, False])
def test_a_line_that_always_has_a_frame_in_use_leaves_the_lead_in(tmp_path: Path, begins: bool) -> None:
    """Each inspection takes so long that the next frame comes meanwhile."""
    made = RecordedStation(tmp_path / "r", begins=begins)
    hold(made, 1, 1)
    if not begins:
        made.begin()
    for number in range(2, 21):
        hold(made, number, 1)
        made.inspect()
        made.turn()
    comparison, _ = replayed(made.end())
    assert comparison.lead_in <= 4
    assert comparison.compared >= 15
    assert comparison.differences == []


def test_inspections_that_had_not_ended_with_the_recording_do_not_end_in_the_replay(tmp_path: Path) -> None:
    made = RecordedStation(tmp_path / "r")
    busy(made, 3)
    hold(made, 4, 5)
    made.turn(ms=50)
    hold(made, 9, 1)
    assert [made.reports.causes()[n] for n in (8, 9)] == ["pool_exhausted", "pool_exhausted"]
    comparison, _ = replayed(made.end())
    assert comparison.compared > 3
    assert comparison.differences == []


def test_the_session_in_force_is_heard_first(tmp_path: Path) -> None:
    made = RecordedStation(tmp_path / "r", begins=False)
    made.grant(7)
    busy(made, 2)
    made.begin()
    made.part(3)
    first = next(made.end().turns())
    assert [wire.decode_to_station(data) for data in first.heard] == [made.publisher.grant]
    assert made.publisher.session == 7


def test_a_part_that_ended_while_its_frame_was_inspected_ends_so_again(tmp_path: Path) -> None:
    made = RecordedStation(tmp_path / "r")
    busy(made, 2)
    made.now += 100 * NS_PER_MS
    made.turn(edge(3, made.now), ms=1)
    made.turn(made.frame(3, made.now, 0), ms=1)
    made.turn(ms=120)  # its deadline
    made.inspect()
    made.turn(ms=1)
    assert made.reports.causes()[3] == "compute_timeout"
    inspector = Pixels()
    comparison, _ = replayed(made.end(), inspector)
    assert (comparison.compared, comparison.differences) == (2, [])
    assert inspector.inspections == 2  # nobody inspected it then, as it was too late
