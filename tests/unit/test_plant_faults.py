"""Each fault of the running line.  The plant is real and its time is the test's: it works through what is due."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from edge.simulate import plc_map as plc
from edge.simulate.devices import Broadcast
from edge.simulate.faults import FAULTS
from edge.simulate.plant import Plant
from edge.simulate.plc import PlcProgram
from edge.simulate.plc_io import Inputs, Outputs, PlcSettings
from edge.simulate.tally import PlateRecord
from edge.simulate.world import COUNTER_SPAN
from tests.support_plant import FlatScene, long, short_run

MS = 1_000_000


class Wire(Broadcast):
    """Keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[dict[str, Any], int]] = []

    def send(self, header: dict[str, Any], *payload: bytes | memoryview) -> None:
        """Keep a message."""
        self.sent.append((header, sum(len(part) for part in payload)))

    def of(self, kind: str, key: str) -> list[Any]:
        """Return a value of all messages of a kind."""
        return [header[key] for header, _ in self.sent if header["kind"] == kind]


class Watched:
    """A PLC program that is watched."""

    def __init__(self, settings: PlcSettings, registers: list[int]) -> None:
        self.program, self.registers, self.flags = PlcProgram(settings, registers), registers, 0
        self.stop, self.reboot = self.program.stop, self.program.reboot
        self.counts: list[int] = []
        self.moving: list[bool] = []
        self.holds = False  # the belt

    def scan(self, now_ns: int, inputs: Inputs) -> Outputs:
        """Scan, and keep what went in and all flags that came out."""
        outputs = self.program.scan(now_ns, inputs)
        self.flags |= self.registers[plc.FLAGS]
        self.counts.append(inputs.count)
        self.moving.append(inputs.belt_moving)
        return outputs._replace(belt_stop=True) if self.holds else outputs


class Run:
    """A plant whose time is the test's: ten plates a second pass the eye, plate n at 100 (n + 1) ms."""

    def __init__(self) -> None:
        settings = short_run(parts=0, line={"interlock": False, "infeed_mm": 100.0})
        settings = replace(settings, plc=replace(settings.plc, brake_mm_s2=20_000.0))
        self.plant = Plant(settings, Watched, FlatScene())
        self.plant.open()
        self.start_ns = self.now_ns = self.plant._now_ns
        self.triggers, self.frames = Wire(), Wire()
        self.plant.eye._out, self.plant.camera._out = self.triggers, self.frames
        self.program: Watched = self.plant.program  # type: ignore[assignment]

    def to(self, at_ms: float) -> None:
        """Let the line run to ``at_ms`` after its start."""
        self.now_ns = self.start_ns + round(at_ms * MS)
        for step in range(self.plant._now_ns, self.now_ns, 20 * MS):
            self.plant._catch_up(step)
            self._let_render()
        self.plant._catch_up(self.now_ns)

    def _let_render(self) -> None:
        with self.plant._renderer._changed:  # pictures are made ahead of a line that runs faster than time
            self.plant._renderer._changed.wait_for(lambda: len(self.plant._renderer._shots) >= 8, 1.0)

    def do(self, name: str, **args: float) -> None:
        """Start a fault now."""
        self.plant.ask({"do": "fault", "name": name, **args}, self.now_ns)

    def state(self) -> dict[str, Any]:
        """Ask for the state."""
        return self.plant.ask({"do": "state"}, self.now_ns)

    def affected(self) -> list[int]:
        """Return the plates that met the gate and were affected."""
        return [record.index for record in self.met() if record.affected]

    def met(self) -> list[PlateRecord]:
        """Return the plates that met the gate."""
        return [record for record in self.plant.records() if record.bin]

    @property
    def numbers(self) -> list[int]:
        """Return the eye's numbers that reached the station."""
        return self.triggers.of("trigger", "number")

    @property
    def counters(self) -> list[int]:
        """Return the camera's counters that reached the station."""
        return self.frames.of("frame", "counter")


@pytest.fixture
def run() -> Iterator[Run]:
    made = Run()
    made.to(450)  # plates 0 to 3
    yield made
    made.plant.close()


def seq(first: int, last: int, *without: int) -> list[int]:
    return [n for n in range(first, last + 1) if n not in without]


# -- camera ------------------------------------------------------------------------------------------------------


def test_without_a_fault_all_is_sent_and_nothing_affected(run: Run) -> None:
    run.to(2050)
    assert run.numbers == seq(1001, 1020)
    assert run.counters == seq(77, 96)
    assert run.frames.of("frame", "tag") == [record.tag for record in run.plant.records()]
    assert run.affected() == []
    assert len(run.met()) == 14


def test_frames_are_lost_and_the_counter_goes_on(run: Run) -> None:
    run.do("drop_frames", parts=2)
    run.to(1050)
    assert run.counters == seq(77, 86, 81, 82)
    assert run.state()["open_faults"] == []


def test_a_fault_of_the_next_frames_lasts_until_they_have_come(run: Run) -> None:
    run.do("drop_frames", parts=2)
    run.to(550)
    assert run.state()["open_faults"] == ["drop_frames"]
    run.to(650)
    assert run.state()["open_faults"] == []


def test_frames_come_late(run: Run) -> None:
    run.do("delay_frames", parts=1, delay_ms=130.0)
    run.to(1050)
    assert run.counters == [77, 78, 79, 80, 82, 81, 83, 84, 85, 86]


def test_frames_come_short_and_with_a_wrong_geometry(run: Run) -> None:
    run.do("short_frames", parts=1)
    run.to(550)
    run.do("corrupt_frames", parts=1)
    run.to(750)
    sizes = [(header["width"], size) for header, size in run.frames.sent if header["kind"] == "frame"]
    assert sizes == [(8, 32)] * 4 + [(8, 16), (9, 32), (8, 32)]


def test_a_frame_comes_twice(run: Run) -> None:
    run.do("repeat_frame", parts=1)
    run.to(650)
    assert run.counters == [77, 78, 79, 80, 81, 81, 82]


def test_a_frame_comes_without_a_trigger_and_shows_no_plate(run: Run) -> None:
    run.do("extra_frame")
    run.to(650)
    assert run.counters == seq(77, 83)
    assert run.numbers == seq(1001, 1006)
    assert run.frames.of("frame", "tag")[4] == "bare belt"
    assert run.state()["frames_sent"] == 0  # nothing has met the gate yet
    run.to(1250)
    assert run.state()["frames_sent"] == run.state()["parts"]


def test_the_camera_s_counter_skips(run: Run) -> None:
    run.do("camera_gap", frames=3)
    run.to(650)
    assert run.counters == [77, 78, 79, 80, 84, 85]


def test_a_camera_is_gone_and_comes_back_with_its_counter(run: Run) -> None:
    run.do("camera_gone", ms=300)
    run.to(740)
    hellos = len(run.frames.of("hello", "counter"))
    run.to(1050)
    assert run.counters == seq(77, 86, 81, 82, 83)
    assert hellos == 4  # of the first 450 ms
    assert len(run.frames.of("hello", "counter")) == 7


def test_a_camera_that_is_silent_says_hello_and_counts(run: Run) -> None:
    run.do("camera_silent", ms=300)
    run.to(740)
    assert run.counters == seq(77, 80)
    assert run.frames.of("hello", "counter")[-3:] == [81, 82, 83]


def test_a_camera_begins_anew(run: Run) -> None:
    run.do("camera_restart", ms=200, counter=5)
    run.to(1050)
    assert run.counters == [77, 78, 79, 80, 5, 6, 7, 8]


# -- eye ---------------------------------------------------------------------------------------------------------


def test_triggers_are_lost_and_the_plc_counts_on(run: Run) -> None:
    run.do("drop_triggers", parts=2)
    run.to(1050)
    assert run.numbers == seq(1001, 1010, 1005, 1006)
    assert long(run.plant.bank.registers, plc.LAST_PART_W) == 1010
    assert run.counters == seq(77, 86)


def test_triggers_come_late(run: Run) -> None:
    run.do("delay_triggers", parts=1, delay_ms=130.0)
    run.to(1050)
    assert run.numbers == [1001, 1002, 1003, 1004, 1006, 1005, 1007, 1008, 1009, 1010]


def test_a_trigger_line_is_gone(run: Run) -> None:
    run.do("trigger_gone", ms=300)
    run.to(1050)
    assert run.numbers == seq(1001, 1010, 1005, 1006, 1007)
    assert len(run.triggers.of("hello", "number")) == 7


def test_a_blocked_eye_sees_no_plates_and_they_are_judged_all_the_same(run: Run) -> None:
    run.to(470)
    run.do("eye_blocked", ms=300)  # its own edge, then none until plate 7, at 800
    run.to(2450)
    assert run.numbers[:6] == [1001, 1002, 1003, 1004, 1005, 1006]
    assert run.program.flags & plc.EYE_BLOCKED
    assert run.frames.of("frame", "tag")[4] == "bare belt"
    numbers = [record.number for record in run.met()]
    assert numbers[:8] == [1001, 1002, 1003, 1004, -1, -1, -1, 1006]
    assert [record.defective for record in run.met()] == [n % 3 == 0 for n in range(len(numbers))]
    assert run.affected() == seq(0, len(numbers) - 1)
    assert run.plant.camera.frames_late == 0


def test_a_bouncing_eye_gives_extra_edges_of_one_plate(run: Run) -> None:
    run.do("eye_bounce", edges=2)
    run.to(1250)
    assert run.numbers == seq(1001, 1014)
    tags = run.frames.of("frame", "tag")
    assert tags[4] == tags[5] == tags[6] != tags[7]
    assert [record.number for record in run.met()][:7] == [1001, 1002, 1003, 1004, 1005, 1008, 1009][: len(run.met())]


# -- encoder and belt --------------------------------------------------------------------------------------------


def test_the_encoder_stands_while_the_belt_runs(run: Run) -> None:
    run.do("encoder_frozen", ms=200)
    run.to(1050)
    counts = run.program.counts
    assert sum(later == earlier for earlier, later in itertools.pairwise(counts)) == 20
    assert run.program.flags & plc.ENCODER_LOST


def test_the_encoder_jumps_back_and_begins_anew(run: Run) -> None:
    run.do("encoder_jump", counts=-5000)
    run.to(500)
    assert run.plant.world.count_at(run.now_ns) == 4_000_000
    assert run.program.flags & plc.ENCODER_LOST
    run.do("encoder_restart", count=COUNTER_SPAN - 100)
    run.to(550)
    assert (run.plant.world.epoch, run.plant.world.count_at(run.now_ns)) == (2, 400)
    run.to(650)
    assert run.triggers.of("trigger", "epoch") == [1] * 5 + [2]


@pytest.mark.parametrize(
    ("name", "args", "travel_mm"),
    [
        ("belt_stop", {"ms": 500.0}, 450 + 600 - 500),
        ("belt_reverse", {"ms": 500.0, "speed_mm_s": 200.0}, 450 + 600 - 600),
        ("belt_fast", {"ms": 500.0, "factor": 2.0}, 450 + 600 + 500),
        ("belt_fast", {"ms": 500.0, "factor": 0.5}, 450 + 600 - 250),
    ],
)
def test_the_belt_runs_otherwise_for_a_while(run: Run, name: str, args: dict[str, float], travel_mm: float) -> None:
    run.do(name, **args)
    run.to(1500)
    assert run.plant.world.travel_mm(run.now_ns) == pytest.approx(travel_mm + 450, abs=1.0)
    assert run.plant.world.speed_mm_s == 1000
    assert (False in run.program.moving) is (name == "belt_stop")


def test_a_belt_that_the_plc_holds_stands_whatever_a_fault_wants(run: Run) -> None:
    run.program.holds = True
    run.to(500)
    run.do("belt_fast", ms=100)
    run.to(550)
    assert run.plant.world.speed_mm_s == 0
    run.program.holds = False
    run.to(580)
    assert run.plant.world.speed_mm_s == 2000  # it still wants to
    run.to(700)
    assert run.plant.world.speed_mm_s == 1000


# -- PLC ---------------------------------------------------------------------------------------------------------


def test_the_plc_stops_and_starts_anew(run: Run) -> None:
    session, beat = run.plant._plc_session, run.plant.bank.registers[plc.HEARTBEAT]
    run.do("plc_stop", ms=200)
    run.to(640)
    assert run.plant.bank.registers[plc.HEARTBEAT] == beat
    run.to(700)
    assert run.plant._plc_session != session
    session = run.plant._plc_session
    run.do("plc_reboot")
    run.to(720)
    assert run.plant._plc_session != session


# -- the referee's part, and what is refused ---------------------------------------------------------------------


def test_plates_between_eye_and_gate_are_affected_and_the_others_not(run: Run) -> None:
    run.to(2000)
    run.do("plc_reboot", allowance_ms=300)
    run.to(5000)
    affected = run.affected()
    # On the way to the gate at 2000: the plates after that with 1440 mm; until 2300, and one smallest pitch behind.
    assert affected == seq(14, 22)
    assert {record.affected for record in run.met()} == {(), ("plc_reboot",)}
    state = run.state()
    good = [record for record in run.met() if record.defective is False]
    assert state["good_total"] == len(good)
    assert state["good_unaffected"] == len([record for record in good if not record.affected])
    assert (state["affected"], state["good_passed"], state["faults"]) == (9, 0, {"plc_reboot": 1})


def test_a_fault_from_outside_is_marked(run: Run) -> None:
    run.plant.ask({"do": "affected", "name": "station killed", "begin": True}, run.now_ns)
    run.to(1000)
    assert run.state()["open_faults"] == ["station killed"]
    run.plant.ask({"do": "affected", "name": "station killed", "begin": False, "allowance_ms": 0}, run.now_ns)
    run.to(3000)
    assert run.affected() == seq(0, 10)[: len(run.affected())]
    assert run.state()["open_faults"] == []


def test_a_look_tells_what_the_line_does_without_the_referee(run: Run) -> None:
    run.do("belt_stop", ms=5000)
    run.to(1000)
    look = run.plant.ask({"do": "look"}, run.now_ns)
    assert look["open_faults"] == ["belt_stop"]
    world = run.plant.world
    assert (look["number"], look["entered"], look["belt_mm_s"]) == (world.eye_number, world.entered, 0.0)
    assert look["count"] == world.count_at(run.now_ns)
    assert "escaped_no_permit" not in look


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"do": "fault", "name": "gremlins"}, "there is no fault 'gremlins'; there are drop_frames"),
        ({"do": "fault", "name": "belt_stop", "parts": 1}, "belt_stop takes ms, allowance_ms, not parts"),
        ({"do": "fault", "name": "belt_stop", "ms": "1"}, "ms is a number"),
        ({"do": "fault", "name": "belt_stop", "ms": True}, "ms is a number"),
        ({"do": "fault", "name": "belt_stop", "ms": float("inf")}, "ms lies within 1e\\+12, not at inf"),
        ({"do": "fault", "name": "drop_frames", "parts": float("nan")}, "parts lies within"),
        ({"do": "fault", "name": "belt_stop", "ms": 10**400}, "ms lies within"),
        ({"do": "affected", "name": "x", "begin": False, "allowance_ms": float("-inf")}, "allowance_ms lies within"),
        ({"do": "fault", "name": 3}, "name is a text"),
        ({"do": "fault"}, "name is a text"),
        ({"do": "affected", "name": "x"}, "begin is true or false"),
        ({"do": "affected", "name": "x", "begin": False}, "no fault 'x' is running"),
        ({"do": "dance"}, "there is no request 'dance'"),
        ({}, "there is no request None"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(run: Run, request_: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        run.plant.ask(request_, run.now_ns)
    run.to(1050)
    assert (run.numbers, run.counters, run.affected()) == (seq(1001, 1010), seq(77, 86), [])
    assert run.state()["faults"] == {}


def test_two_faults_of_one_group_do_not_run_at_once(run: Run) -> None:
    run.do("belt_stop", ms=200)
    with pytest.raises(ValueError, match="belt_fast must wait: belt_stop is running"):
        run.do("belt_fast")
    run.do("plc_reboot")
    run.to(700)
    run.do("belt_fast")
    assert run.state()["faults"] == {"belt_stop": 1, "plc_reboot": 1, "belt_fast": 1}


def test_every_fault_ends_and_the_line_is_as_before(run: Run) -> None:
    now = 450.0
    for name, fault in FAULTS.items():
        if name == "plc_closed":
            continue  # its port opens in real time
        run.do(name, **({"ms": 150.0} if "ms" in fault.args else {}))
        run.to(now := now + 600)
        assert run.state()["open_faults"] == [], name
    sent, triggered = len(run.counters), len(run.numbers)
    run.to(now + 1000)
    assert (len(run.counters), len(run.numbers)) == (sent + 10, triggered + 10)
    assert vars(run.plant._server.trouble) == vars(type(run.plant._server.trouble)())
    assert set(run.state()["faults"]) == FAULTS.keys() - {"plc_closed"}
