"""The station's process: production loop, ledger, matcher, pool and publisher, with simulated devices."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from edge.capture.events import EpochChanged, FrameArrived, FrameLost, FramesMissed, TriggersLost
from edge.core import budget
from edge.core.counter import delta
from edge.core.part import FrameInfo, Identity, Part, Trigger
from edge.core.pool import FramePool, Purpose
from edge.core.rules import rules_of
from edge.simulate.line.books import Books
from edge.simulate.line.components import Components
from edge.simulate.line.floor import HELLO_NS, Floor, FrameMessage, TriggerMessage
from edge.simulate.line.join import PATIENCE_NS
from edge.simulate.line.net import Network, StationEnd
from edge.simulate.line.oracle import SHAPE, Inspection, Oracle, pixels
from edge.simulate.line.process import RESTART_NS, Process
from edge.simulate.line.referee import Referee, Word
from edge.simulate.line.scheduler import NEVER, Scheduler
from edge.simulate.line.setup import MIN_SCORES, MS, Setup
from edge.simulate.line.trace import Trace
from edge.station.hang import EngineHung
from edge.station.sizing import CAPTURE_RESERVE
from edge.wire import messages as wire

TURN_NS = 1 * MS
"""Of a part whose edge is that near to the command of another recipe, either may be right."""

EYE_QUEUE, CAMERA_QUEUE = 64, 4
"""Messages that wait for a stopped process, as its sockets hold them."""


class Reports:
    """In the place of the reporter: tells the referee and the books."""

    def __init__(self, referee: Referee, books: Books, trace: Trace | None) -> None:
        self._referee, self._books, self._trace = referee, books, trace
        self.frames = 0
        self.reconnects: Counter[str] = Counter()

    def lost(self, cause: str, frames: int = 1) -> None:
        """Count frames that were lost or could not be used."""
        self._books.lost_frames[cause] += frames

    def concluded(self, part: Part, session: int) -> None:
        """Take a closed part, once."""
        verdict, frame = part.verdict, part.frame
        assert verdict is not None
        word = Word(verdict.outcome.value, verdict.cause, frame.tag if frame is not None else "")
        self._referee.on_concluded(part.number, word)
        self._books.concluded(part.number, word)
        if self._trace is not None:
            self._trace.note(part.number, f"station: {word}, session {session}")

    def acknowledged(self, ack: wire.Ack, t4_ns: int) -> None:
        """Take the gateway's answer to a verdict."""
        self._books.acknowledged += 1
        self._books.join.answered(ack.part, ack.disposition)
        if self._trace is not None:
            self._trace.note(ack.part, f"station: acknowledged {ack.disposition}, accepted at {t4_ns / MS:.3f} ms")

    def executed(self) -> None:
        """Count a part for which the PLC opened the gate."""
        self._books.executed += 1

    def recipe_changed(self, name: str) -> None:
        """Note the recipe by which parts are judged from now on."""
        if self._trace is not None:
            self._trace.note(None, f"station: recipe {name}")

    def model_changed(self, identity: Identity) -> None:
        """Note the model by which parts are judged from now on."""
        if self._trace is not None:
            self._trace.note(None, f"station: model {identity.model}")

    def note(self, kind: str, text: str, now: int, **data: object) -> None:  # noqa: ARG002
        """Note what happened to the station."""
        if self._trace is not None:
            self._trace.note(None, f"station: {kind}, {text}")

    def trouble(self, now: int) -> str:  # noqa: ARG002
        """Nothing is recorded here."""
        return ""

    def tick(self, now: int, state: tuple[str, str], alarms: Mapping[str, str]) -> None:
        """Nothing is published here."""

    def next_ns(self) -> int:
        """Return when ``tick`` has something to do."""
        return NEVER

    def flush(self) -> None:
        """Nothing waits here."""


class Mailbox:
    """Where the simulated threads of the station post."""

    def __init__(self) -> None:
        self._events: list[Any] = []

    def post(self, event: object) -> None:
        """Add an event."""
        self._events.append(event)

    def take(self) -> list[Any]:
        """Return all events, oldest first."""
        events, self._events = self._events, []
        return events


class StationProcess(Process):
    """The station, as a process that can be killed, stopped and restarted."""

    def __init__(
        self,
        setup: Setup,
        sim: Scheduler,
        rng: random.Random,
        network: Network,
        floor: Floor,
        oracle: Oracle,
        referee: Referee,
        books: Books,
        components: Components,
        trace: Trace | None,
    ) -> None:
        super().__init__(sim)
        self._setup, self._rng, self._network, self._floor = setup, rng, network, floor
        self._oracle, self._referee, self._books = oracle, referee, books
        self._components, self._trace = components, trace
        b = budget.held(
            budget.compute(
                setup.station.line, setup.station.actuator, setup.station.plc_timing, setup.station.limits.ceiling_ms
            ),
            "line",
        )
        self._budget = b
        self.crashes = 0
        self._died_ns = sim.now
        self._recipe = 0  # in force, of the two
        self.restart_ns = RESTART_NS  # after the process has ended itself
        self._eye_queue: list[TriggerMessage] = []
        self._camera_queue: list[FrameMessage] = []

    # -- life -------------------------------------------------------------------------------------------------------

    def _build(self) -> tuple[Callable[[], None], Callable[[], int]]:
        config, limits, make = self._setup.station, self._setup.station.limits, self._components
        b, camera = self._budget, config.camera
        quotas = {Purpose.CAPTURE: limits.pool_slots, Purpose.INSPECTION: limits.pool_slots - CAPTURE_RESERVE}
        self.pool = FramePool(limits.pool_slots, SHAPE, quotas)
        self.ledger = make.ledger(
            limits.open_parts,
            int(limits.ceiling_ms * MS),
            int(limits.frame_timeout_ms * MS),
            int(config.line.counts_per_mm * config.line.part_length_max_mm),
            b.station_commit,
            b.match_counts,
        )
        matcher = make.matcher(int(camera.window_early_ms * MS), int(camera.window_late_ms * MS), camera.sync_pairs)
        self.mailbox = Mailbox()
        self.inspection = Inspection(self._sim, self._oracle, self.pool, self._rng, self._inspected, make.decide)
        self.end: StationEnd = self._network.join_station(self)
        self.publisher = make.publisher(config, self.end, f"{self._rng.getrandbits(64):016x}")
        self._epoch = self._floor.world.epoch
        self._frame_counter: int | None = None
        self._in_force(0, self._died_ns - PATIENCE_NS)
        self._eye_queue.clear()
        self._camera_queue.clear()
        reports = Reports(self._referee, self._books, self._trace)
        alive = {"camera": self._camera_heard_ns, "trigger source": self._eye_heard_ns}
        self.station = make.station(
            config,
            self.ledger,
            matcher,
            self.pool,
            self.mailbox,
            self.inspection,
            self.publisher,
            reports,
            alive,
            partial(rules_of, width=config.camera.width, height=config.camera.height),
            _never,
            self._sim.clock,
        )
        self._books.station_started(self.ledger)
        if self._trace is not None:
            self._trace.note(None, f"station: process {self.life} starts")
        return self.station.work, self.station.next_ns

    def _tear_down(self) -> None:
        self._died_ns = self._sim.now if self.down_ns is None else self.down_ns
        self.inspection.alive = False
        self._network.station_gone(self.end)
        self._books.station_ended(self._sim.now if self.down_ns is None else self.down_ns)
        if self._trace is not None:
            self._trace.note(None, f"station: process {self.life} is gone")

    def _raised(self, error: Exception) -> None:
        if not isinstance(error, EngineHung):
            super()._raised(error)
            return
        if self._trace is not None:
            self._trace.note(None, f"station: ends itself, {error}")
        self.crashes += 1
        self.station.finish()
        self.publisher.close()
        self.kill()
        self._sim.after(self.restart_ns, _start, self)

    def _tell(self, problem: str) -> None:
        self._books.problems[problem] += 1

    def stop(self) -> None:
        """Stop the whole process, its inspection with it."""
        super().stop()
        if self.alive:
            self.inspection.freeze()

    def go_on(self) -> None:
        """Let it go on, with what its sockets have kept."""
        if not self.alive:
            return
        self.stopped = self.hung = False
        self.down_ns = None
        edges, self._eye_queue = self._eye_queue, []
        frames, self._camera_queue = self._camera_queue, []
        for edge in edges:
            self._take_trigger(edge)
        for frame in frames:
            self._take_frame(frame)
        self.inspection.thaw()
        self.poke()

    def change_to_other_recipe(self) -> None:
        """Command the one of the two recipes that is not in force."""
        if self.works:
            self._in_force(1 - self._recipe, self._sim.now - TURN_NS)
            self.station.changes.recipe(self._setup.recipes[self._recipe], self._sim.now)
            self.poke()

    def _in_force(self, recipe: int, doubtful_ns: int) -> None:
        self._recipe = recipe
        self._referee.on_recipe(MIN_SCORES[recipe], doubtful_ns, self._sim.now + TURN_NS)

    # -- devices ----------------------------------------------------------------------------------------------------

    def trigger(self, message: TriggerMessage) -> None:
        """An edge arrives."""
        if not self.alive:
            return
        if self.stopped:
            if len(self._eye_queue) < EYE_QUEUE:
                self._eye_queue.append(message)
            return
        self._take_trigger(message)
        self.poke()

    def frame(self, message: FrameMessage) -> None:
        """A frame arrives."""
        if not self.alive:
            return
        if self.stopped:
            if len(self._camera_queue) < CAMERA_QUEUE:
                self._camera_queue.append(message)
            return
        self._take_frame(message)
        self.poke()

    def eye_hello(self, hello: tuple[int, int]) -> None:
        """The eye's heartbeat arrives, with its last number and the encoder's epoch.

        It comes every 100 ms on a line; it is only sent here where it has something to tell.
        """
        number, epoch = hello
        if not self.alive or self.stopped:
            return
        if epoch != self._epoch:
            self._epoch = epoch
            self.mailbox.post(EpochChanged(epoch))
        self.mailbox.post(TriggersLost(number))
        self.poke()

    def _take_trigger(self, message: TriggerMessage) -> None:
        if message.epoch != self._epoch:
            self._epoch = message.epoch
            self.mailbox.post(EpochChanged(message.epoch))
        self._books.join.triggered(message.number)
        self.mailbox.post(Trigger(message.number, message.latched, message.t0_ns))

    def _take_frame(self, message: FrameMessage) -> None:
        """Do as the capture thread does."""
        missed = 0 if self._frame_counter is None else delta(message.counter, self._frame_counter) - 1
        self._frame_counter = message.counter
        if missed > 0:
            self.mailbox.post(FramesMissed(missed))
        info = FrameInfo(message.counter, message.exposed_ns, self._sim.now, message.intact, message.tag)
        if not message.intact:
            self.mailbox.post(FrameLost(info, "frame_corrupt"))
        elif (lease := self.pool.lease(Purpose.CAPTURE)) is None:
            self.mailbox.post(FrameLost(info, "pool_exhausted"))
        else:
            self.pool.frame(lease)[0, :] = pixels(message.tag)
            self.mailbox.post(FrameArrived(lease, info))

    def _inspected(self, event: object) -> None:
        self.mailbox.post(event)
        self.poke()

    def _eye_heard_ns(self) -> int:
        return self._sim.now - self._sim.now % HELLO_NS

    def _camera_heard_ns(self) -> int:
        return self._sim.now - self._sim.now % HELLO_NS


def _never(until_ns: int) -> None:
    raise AssertionError(f"A simulated station waits until {until_ns} ns by itself.")


def _start(process: Process) -> None:
    process.start()
