"""The whole station under any interleaving: each trigger ends once, by its own frame, and each slot comes back."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge import config as cfg
from edge.capture.events import DeviceBack, DeviceLost, EpochChanged, FrameArrived, FrameLost, TriggersLost
from edge.clock import NS_PER_MS
from edge.core.counter import wrap
from edge.core.outcome import Outcome
from edge.core.part import FrameInfo, Trigger, Verdict
from edge.core.pool import Purpose
from edge.station.inspection import Inspected
from edge.wire import messages as wire
from tests.support_station import PASS, PITCH, PITCH_NS, SLOTS, Rig

SPAN = 1 << 32
OFFSET = 123
OTHER = cfg.RecipeConfig(name="second", rules=(cfg.RuleConfig(name="any", min_score=0.25),))
VERDICTS = [PASS, PASS, Verdict(Outcome.REJECT, "rule"), Verdict(Outcome.NO_DECISION, "engine_fault")]


class StationMachine(RuleBasedStateMachine):
    """The test holds the true place and time of every edge; frames carry the time of the edge that they show."""

    source = "eye"

    @initialize(number=st.sampled_from([1, SPAN - 3]), count=st.sampled_from([0, SPAN - 2500]))
    def begin(self, number: int, count: int) -> None:
        self.rig = Rig(inspections=SLOTS - 2, position={"source": self.source, "camera_offset_mm": OFFSET / 10}).grant()
        self.number, self.place = number, count
        self.high: int | None = None  # of the edges since the last fence
        self.counts: dict[int, int] = {}  # number -> true count of its newest edge
        self.edges: list[Trigger] = []
        self.behind: set[int] = set()  # T0
        self.due: list[tuple[int, int, int]] = []  # frames under way: exposed, which is T0, camera counter, count
        self.camera = 7
        self.told: dict[tuple[int, int], tuple[str, str]] = {}
        self.epoch = 0

    def collect(self) -> None:
        for message in self.rig.heard():
            if isinstance(message, wire.Verdict):
                key = message.session, message.part
                assert key not in self.told, "two verdicts on one part"
                self.told[key] = message.outcome, message.cause
                if self.source != "time":
                    assert message.count == wrap(self.counts[message.part])

    @rule(
        step=st.sampled_from([1] * 8 + [2, 4, 70, 0, -1, -3]),
        move=st.sampled_from([PITCH] * 6 + [PITCH + 7, -15, -300, -3 * PITCH]),
        is_exposed=st.sampled_from([True] * 5 + [False]),
        lag_ms=st.sampled_from([0, 0, 0, 5, 120]),
    )
    def edge(self, step: int, move: int, is_exposed: bool, lag_ms: int) -> None:
        rig = self.rig
        rig.wait_ms(PITCH_NS / NS_PER_MS)
        self.collect()
        self.number, self.place = wrap(self.number + step), self.place + move
        self.counts[self.number] = self.place
        assert rig.publisher is not None
        t0, jumps = rig.now, rig.ledger.jumps
        if rig.publisher.session and self.high is not None and self.place < self.high - 20:
            self.behind.add(t0)
        self.high = self.place if self.high is None else max(self.high, self.place)
        self.camera += max(step, 1)
        if is_exposed:
            self.due.append((t0, self.camera, wrap(self.place + OFFSET)))
        rig.wait_ms(lag_ms)
        self.edges.append(rig.edge(self.number, self.place, t0))
        rig.post(self.edges[-1])
        if rig.ledger.jumps > jumps:  # the eye's counter began anew
            self.collect()
            rig.grant()
            self.high = None

    @precondition(lambda self: self.edges)
    @rule(which=st.integers(0, 3))
    def doubled(self, which: int) -> None:
        triggers = self.rig.ledger.triggers
        self.rig.post(self.edges[-1 - which % len(self.edges)])
        assert self.rig.ledger.triggers == triggers, "a part more for an edge that came twice"

    @precondition(lambda self: self.due)
    @rule(which=st.integers(0, 3), fate=st.sampled_from(["arrives"] * 6 + ["corrupt", "lost", "twice", "miscounted"]))
    def frame(self, which: int, fate: str) -> None:
        exposed, counter, count = self.due.pop(min(which, len(self.due) - 1))
        if fate == "lost":
            return
        counter += fate == "miscounted"
        info = FrameInfo(wrap(counter), exposed, self.rig.now, tag=str(exposed), count=count)
        for _ in range(2 if fate == "twice" else 1):
            lease = self.rig.pool.lease(Purpose.CAPTURE)
            if fate == "corrupt" or lease is None:
                if lease is not None:
                    self.rig.pool.release(lease)
                self.rig.post(FrameLost(info, "frame_corrupt"))
            else:
                self.rig.post(FrameArrived(lease, info))

    @precondition(lambda self: self.rig.engine.displaced)
    @rule(verdict=st.sampled_from(VERDICTS))
    def decide_for_a_namesake(self, verdict: Verdict) -> None:
        number, lease = self.rig.engine.displaced.pop()
        self.rig.post(Inspected(number, lease, verdict))

    @precondition(lambda self: self.rig.engine.jobs)
    @rule(which=st.integers(0, 5), verdict=st.sampled_from(VERDICTS))
    def decide(self, which: int, verdict: Verdict) -> None:
        numbers = list(self.rig.engine.jobs)
        self.rig.decide(numbers[which % len(numbers)], verdict)

    @rule(verdict=st.sampled_from(VERDICTS))
    def part(self, verdict: Verdict) -> None:
        self.edge(1, PITCH, True, 0)
        if self.due and self.due[-1][0] == self.edges[-1].t0_ns:
            self.frame(len(self.due) - 1, "arrives")
        if self.number in self.rig.engine.jobs:
            self.rig.decide(self.number, verdict)

    @rule(ms=st.sampled_from([0.5, 5, 30, 61, 101]))
    def wait(self, ms: float) -> None:
        self.rig.wait_ms(ms)

    @rule(ahead=st.sampled_from([0, 0, 300, 5000]))
    def beat(self, ahead: int) -> None:
        self.rig.beat(self.place + ahead)

    @rule(last=st.integers(0, 3))
    def counted(self, last: int) -> None:
        number = wrap(self.number - last)
        if number in self.counts:
            self.rig.say(wire.Counted(session=self.rig.session, part=number, count=wrap(self.counts[number])))

    @rule(really=st.sampled_from([False] * 5 + [True]))
    def new_session(self, really: bool) -> None:
        if really:
            self.rig.say(wire.Revoke(session=self.rig.session, reason="test"))
            self.collect()
            self.rig.grant()
            self.high = None  # re-passes are judged from the new fence

    @rule(really=st.sampled_from([False] * 9 + [True]))
    def new_epoch(self, really: bool) -> None:
        if really:
            self.epoch += 1
            self.rig.post(EpochChanged(self.epoch))
            self.collect()
            self.rig.grant()
            self.place, self.high = 0, None

    @rule(really=st.sampled_from([False] * 5 + [True]))
    def lose(self, really: bool) -> None:
        if really and self.rig.ledger._highest is not None:
            self.rig.wait_ms(1)
            self.number = wrap(self.number + 1)
            self.camera += 1
            self.counts[self.number] = self.place
            late = self.rig.edge(self.number, self.place)
            self.rig.post(TriggersLost(self.number))
            triggers = self.rig.ledger.triggers
            self.rig.post(late)
            assert self.rig.ledger.triggers == triggers, "a part more for an edge that was booked as lost"

    @rule(really=st.sampled_from([False] * 9 + [True]))
    def change_recipe(self, really: bool) -> None:
        if not really:
            return
        recipe = OTHER if self.rig.reports.recipe != "second" else self.rig.config.recipe
        self.rig.station.changes.recipe(recipe, self.rig.now)

    @rule(device=st.sampled_from([""] * 8 + ["camera", "trigger"]), counter=st.sampled_from([0, 1, 2, 70, -5]))
    def away(self, device: str, counter: int) -> None:
        if not device:
            return
        self.rig.post(DeviceLost(device, "test"))
        self.wait(30)
        if device == "camera":  # what it had exposed is lost with it, and its counter is another's
            self.due.clear()
            self.camera += counter
        self.rig.post(DeviceBack(device))
        self.collect()
        self.rig.grant()
        self.high = None

    @invariant()
    def all_adds_up(self) -> None:
        if not hasattr(self, "rig"):
            return
        self.collect()
        rig = self.rig
        assert rig.ledger.reconciles()
        assert rig.ledger.triggers == len(rig.reports.ended) + len(rig.ledger)
        held = SLOTS - rig.pool.occupancy()["free"]
        inspected = len(rig.engine.jobs) + len(rig.engine.displaced)
        assert held == inspected + sum(not isinstance(h, str) for h in rig.station._frames._waiting.values())
        for part in rig.reports.ended:
            assert part.verdict is not None
            assert part.frame is None or part.frame.tag == str(part.trigger.t0_ns), "another part's frame"
            if part.verdict.outcome is Outcome.PASS:
                assert part.frame is not None
                if self.source == "eye":
                    assert part.trigger.t0_ns not in self.behind, "a re-pass passed"

    def teardown(self) -> None:
        if not hasattr(self, "rig"):
            return
        rig = self.rig
        jobs = [(number, lease) for number, (lease, _, _) in rig.engine.jobs.items()]
        for number, lease in jobs + rig.engine.displaced:
            rig.box.events.append(Inspected(number, lease, PASS))
        rig.engine.jobs.clear()
        rig.station.finish()
        self.collect()
        assert rig.free()
        assert len(rig.ledger) == 0
        assert rig.ledger.triggers == len(rig.reports.ended)
        outcomes = Counter((part.number, part.trigger.t0_ns) for part in rig.reports.ended)
        assert {outcomes[edge.number, edge.t0_ns] for edge in self.edges} <= {1}, "not one outcome an edge"


class PlcMachine(StationMachine):
    source = "plc"


class CameraMachine(StationMachine):
    source = "camera"


class TimeMachine(StationMachine):
    source = "time"


SETTINGS = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
for _machine in (StationMachine, PlcMachine, CameraMachine, TimeMachine):
    _machine.TestCase.settings = SETTINGS
TestByEye, TestByPlc = StationMachine.TestCase, PlcMachine.TestCase
TestByCamera, TestByTime = CameraMachine.TestCase, TimeMachine.TestCase
