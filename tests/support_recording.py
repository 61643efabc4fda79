"""A production station that records, on a clock that moves with every reading, and the same station for the replay."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.capture.events import FrameArrived, FrameLost
from edge.clock import NS_PER_MS
from edge.commands.replay import Comparison, compare
from edge.commands.replay_station import Replayed, replay
from edge.config import RecipeConfig, RuleConfig, StationConfig, parse
from edge.core.outcome import Outcome
from edge.core.part import Finding, FrameInfo, Trigger, Verdict
from edge.core.pool import Lease, Purpose
from edge.core.rules import Rule
from edge.record.recorder import Bounds, RecordingWriter
from edge.record.recording import Decider, Recording
from edge.station.build import Deciding
from edge.station.bystanders import Bystanders
from edge.station.inspection import TOO_LATE, Inspected
from edge.station.interfaces import StationEvent
from edge.station.loop import Station
from edge.station.orders import Order
from edge.station.sizing import compute_budget, frame_matcher, frame_pool, part_ledger
from edge.station.tape import Recorder, TapedTransport
from edge.wire import messages as wire
from edge.wire.control import Command, Peer
from edge.wire.publisher import Publisher
from tests.support_station import GRANT, START_NS, Memory, Reported, rules

DECIDER = Decider("test@1", "test", "fp32", "1")
BOUNDS = Bounds(100_000, 100.0, 3600.0)
READING_NS = 2_000


def recipe(name: str, min_score: float = 0.5) -> RecipeConfig:
    """Return a recipe of one rule."""
    return RecipeConfig(name=name, rules=(RuleConfig(name="bright", min_score=min_score),))


class Pixels:
    """An inspector that rejects a frame by the brightness of its first pixel, in 1/255.

    Attributes:
        inspections: so far.
    """

    def __init__(self) -> None:
        self.inspections = 0

    def inspect(self, frame: NDArray[np.uint8], rules: Sequence[Rule]) -> Verdict:
        """Return REJECT where the pixel clears a rule; 255 is more than the engine bears."""
        self.inspections += 1
        score = float(frame.flat[0]) / 255
        if score == 1.0:
            raise RuntimeError("too bright")
        found = Finding("bright", score, (0.0, 0.0, 4.0, 4.0))
        if any(score >= rule.min_score for rule in rules):
            return Verdict(Outcome.REJECT, "rule", (found,), rules[0].name)
        return Verdict(Outcome.PASS, "clean")


@dataclass
class _Decides:
    inspector: Pixels

    def rules(self, recipe: RecipeConfig) -> tuple[Rule, ...]:
        return rules(recipe)


def decides(inspector: Pixels) -> Deciding:
    """Return what decides, for a replay."""
    return cast(Deciding, _Decides(inspector))


class _Box:
    def __init__(self) -> None:
        self.events: deque[StationEvent] = deque()

    def take(self) -> list[StationEvent]:
        taken = list(self.events)
        self.events.clear()
        return taken


class RecordedStation:
    """A station that records from its start, or from ``begin`` on.

    Args:
        folder: of the recording.
        begins: record from the start.
        camera: further keys of the configuration's ``[camera]``.
    """

    def __init__(self, folder: Path, begins: bool = True, **camera: Any) -> None:
        values = {
            "recipe": recipe("first"),
            "camera": {"width": 16, "height": 16, **camera},
            "limits": {"pool_slots": 6},
            "gateway": {"stale_ms": 10_000.0},
        }
        self.config = parse(values, StationConfig, "test")
        self.now, self.reading_ns = START_NS, READING_NS
        self.folder = folder
        self.pool, self.box, self.reports, self.memory = frame_pool(self.config), _Box(), Reported(), Memory()
        self.tape = Recorder(self.config, DECIDER, self.pool)
        self.publisher = Publisher(self.config, TapedTransport(self.memory, self.tape), "test")
        self.jobs: deque[tuple[int, Lease, int, tuple[Rule, ...]]] = deque()
        self.station = Station(
            self.config,
            part_ledger(self.config, compute_budget(self.config)),
            frame_matcher(self.config),
            self.pool,
            self.box,
            self,
            self.publisher,
            self.reports,
            {},
            rules,
            lambda _: None,
            self._clock,
            around=Bystanders(self.tape),
        )
        self.writer: RecordingWriter | None = None
        if begins:
            self.begin()

    def begin(self, bounds: Bounds = BOUNDS) -> None:
        """Begin the recording, between two turns."""
        self.writer = self.tape.open(self.folder, bounds)
        self.tape.begin(self.writer, self.publisher.grant)

    def _clock(self) -> int:
        self.now += self.reading_ns
        return self.now

    def submit(self, number: int, lease: Lease, deadline_ns: int, rules: tuple[Rule, ...]) -> None:
        """Take a frame to inspect."""
        self.jobs.append((number, lease, deadline_ns, rules))

    def hung(self, before_ns: int) -> bool:  # noqa: ARG002
        """Never."""
        return False

    def frame(self, counter: int, exposed_ns: int, brightness: int) -> FrameArrived | FrameLost:
        """Do as the capture thread does with a frame."""
        info = FrameInfo(counter % (1 << 32), exposed_ns, self.now)
        lease = self.pool.lease(Purpose.CAPTURE)
        if lease is None:
            return FrameLost(info, "pool_exhausted")
        self.pool.frame(lease)[...] = brightness
        return FrameArrived(lease, info)

    def inspect(self) -> None:
        """Do as the inspect thread does with the oldest frame."""
        if not self.jobs:
            return
        number, lease, deadline_ns, rules = self.jobs.popleft()
        verdict = TOO_LATE if self.now >= deadline_ns else self._verdict(lease, rules)
        self.box.events.append(Inspected(number, lease, verdict))

    def _verdict(self, lease: Lease, rules: tuple[Rule, ...]) -> Verdict:
        try:
            return Pixels().inspect(self.pool.frame(lease), rules)
        except RuntimeError:
            return Verdict(Outcome.NO_DECISION, "engine_fault")

    def command(self, recipe: RecipeConfig) -> Order:
        """Return the command of another recipe, as the control thread posts it."""
        return Order(Command("recipe", {}, Peer(0, "root", 1)), recipe, self._keep)

    def _keep(self, recipe: RecipeConfig) -> bool:
        self.tape.recipe = recipe
        return True

    def grant(self, session: int) -> None:
        """Grant a session, as the gateway."""
        self.say(msgspec.structs.replace(GRANT, session=session))

    def say(self, message: wire.ToStation | bytes) -> None:
        """Speak as the gateway; the station hears it in its next turn."""
        self.memory.to_come.append(message if isinstance(message, bytes) else wire.encode(message))

    def turn(self, *events: StationEvent, ms: float = 0.0) -> None:
        """Let events happen after ``ms``, and the station notice."""
        self.now += int(ms * NS_PER_MS)
        self.box.events.extend(events)
        self.station.work()
        while self.pool.occupancy()[Purpose.EVIDENCE.value]:  # on this clock a disk would take no time at all
            sleep(0.0002)

    def part(self, number: int, brightness: int = 0) -> None:
        """Let a part be triggered, framed and judged, in 100 ms."""
        self.now += 100 * NS_PER_MS
        t0_ns = self.now
        self.turn(edge(number, t0_ns), ms=1)
        self.turn(self.frame(number, t0_ns + NS_PER_MS, brightness), ms=5)
        self.inspect()
        self.turn(ms=10)

    def end(self) -> Recording:
        """End the recording, and read it."""
        self.tape.close()
        return Recording(self.folder)


def edge(number: int, t0_ns: int) -> Trigger:
    """Return the edge of a part, at a pitch per number."""
    return Trigger(number % (1 << 32), 1000 * number % (1 << 32), t0_ns)


def replayed(recording: Recording, inspector: Pixels | None = None) -> tuple[Comparison, Replayed]:
    """Replay with what decided then, and compare everything."""
    result = replay(
        recording, parse(recording.header.config, StationConfig, "recording"), decides(inspector or Pixels())
    )
    lead_in_ns = recording.header.lead_in_ns
    ending_ns = max((part.t0_ns for part in recording.reference), default=0) + (1 << 40)
    until_ns = ending_ns if lead_in_ns is None else lead_in_ns
    return compare(recording.reference, result, until_ns, same=True, floor=0.0), result
