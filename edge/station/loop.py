"""The station: one signal thread that owns ledger, timers and sockets; the other threads post events to it.

The loop is three verbs: take what happened, close what is due, say what is known.  Nothing in it waits for a disk,
a socket or another thread; time and the wait between turns are given to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from threading import Event
from types import MappingProxyType

from edge import flight
from edge.capture.events import (
    CAMERA,
    DeviceBack,
    DeviceLost,
    EpochChanged,
    FrameArrived,
    FrameLost,
    FramesMissed,
    TriggersLost,
)
from edge.clock import NS_PER_MS, now_ns
from edge.config import RecipeConfig, StationConfig
from edge.core.ledger import PartLedger
from edge.core.match import Kind, Match, Matcher
from edge.core.part import UNNAMED, FrameInfo, Identity, Part, Trigger
from edge.core.pool import FramePool, Lease
from edge.core.rules import Rule
from edge.station.bystanders import ALONE, Bystanders
from edge.station.changes import Changes
from edge.station.doubts import Doubts
from edge.station.frames import Frames
from edge.station.hang import HangWatch
from edge.station.health import Health
from edge.station.inspection import Inspected
from edge.station.interfaces import Inbox, Inspection, Reports, StationEvent
from edge.station.link import GatewayLink
from edge.station.orders import Order
from edge.station.pairs import Model, Pair, Pairs
from edge.station.places import Places
from edge.station.progress import INSPECTION
from edge.station.standing import Standing
from edge.wire.publisher import Publisher

_log = logging.getLogger(__name__)

LONGEST_WAIT_NS = 50 * NS_PER_MS
NOBODY: Mapping[str, Callable[[], int]] = MappingProxyType({})


class Station:
    """Turns triggers and frames into exactly one outcome a part.  Everything here belongs to the signal thread.

    Args:
        config: from `station.toml`.
        ledger, matcher, pool: the pure core.
        mailbox: where capture, trigger and inspect threads post.
        inspect: the inspect thread.
        publisher: the link to the gateway, or None to inspect only.
        reporter: telemetry and outcomes.
        alive: by device, when it last showed that it is alive, monotonic.
        rules: makes a recipe's rules, or raises ``ConfigError`` where the model cannot serve them.
        wait: waits until the monotonic time that it is given, or until something has happened.
        clock: gives monotonic nanoseconds.
        reopen_camera: has the camera closed and opened again, for a reason in words.  None where frames that do not
            come are no reason: a folder or file that has ended would begin anew.
        around: who looks on.
        identity: of the model behind ``inspect`` and ``rules``.
        end: as for ``Model``, of that model.
        steps: by device, how many steps the thread has taken that stands at it.

    Attributes:
        changes: puts other models and recipes in force.

    Raises:
        ConfigError: the model cannot serve the recipe.
    """

    def __init__(
        self,
        config: StationConfig,
        ledger: PartLedger,
        matcher: Matcher,
        pool: FramePool,
        mailbox: Inbox,
        inspect: Inspection,
        publisher: Publisher | None,
        reporter: Reports,
        alive: Mapping[str, Callable[[], int]],
        rules: Callable[[RecipeConfig], tuple[Rule, ...]],
        wait: Callable[[int], None],
        clock: Callable[[], int] = now_ns,
        reopen_camera: Callable[[str], None] | None = None,
        around: Bystanders = ALONE,
        identity: Identity = UNNAMED,
        end: Callable[[], None] = lambda: None,
        steps: Mapping[str, Callable[[], int]] = NOBODY,
    ) -> None:
        limits, recipe = config.limits, config.recipe
        self._ledger, self._matcher = ledger, matcher
        self._mailbox, self._reporter, self._wait, self._clock = mailbox, reporter, wait, clock
        self._reopen_camera, self._steps = reopen_camera, steps
        self._tape, self._watch, self._challenges = around.tape, around.watch, around.challenges
        self._places = Places(config)
        self._link = GatewayLink(publisher, reporter, self._places, clock, self._challenges.heard)
        self._health = Health(alive, int(config.camera.silent_ms * NS_PER_MS))
        self._doubts = Doubts(self._health, matcher, self._link, reporter)
        self._standing = Standing(self._health, self._watch, self._challenges, self._link, reporter)
        first = Pair(Model(identity, config.model, inspect, rules, end), recipe, rules(recipe))
        self._pairs = Pairs(first, int(limits.ceiling_ms * NS_PER_MS))
        self._judged_by: dict[int, Pair] = {}  # the open parts' pairs, by number
        self.changes = Changes(self._pairs, self._link, reporter)
        self._frames = Frames(pool, around.tape, around.pictures)
        self._hang = HangWatch(self._pairs, limits.hang_ms)
        self._stopping = False
        self._hold_ns = int(limits.frame_timeout_ms * NS_PER_MS)

    def run(self, stop: Event, limit: int | None = None, turned: Callable[[int], None] = lambda _: None) -> None:
        """Work until ``stop`` is set, or until ``limit`` parts have closed; after each turn ``turned`` is
        told when it began.

        Raises:
            EngineHung: an inspection does not return.
        """
        while not stop.is_set():
            self.turn()
            turned(self._hang.turned_ns)
            if limit is not None and sum(self._ledger.outcomes.values()) >= limit:
                break

    def finish(self) -> None:
        """Close what is open, tell the gateway, and report it.  The threads that post events must have stopped."""
        self._stopping = True
        self._take_all()
        for part in self._ledger.drain("station_stopping", self._clock()):
            self._conclude(part)
        self._frames.discard_all()
        self._reporter.flush()

    def turn(self) -> None:
        """Wait until there is something to do, and do it."""
        self._wait(self.next_ns())
        self.work()

    def work(self) -> None:
        """Take what happened, close what is due, say what is known.  Never waits."""
        self._hang.turn(self._clock())
        self._take_all()
        now = self._clock()
        if self._tape is not None:
            self._tape.turn(now)
        self._hear(now)
        self._close_due(now)
        faults = self._standing.faults(now)
        self._challenges.tick(now, self._link.session, len(self._ledger), self.changes.current, bool(faults))
        gone = self._standing.gone(faults)
        self._link.tick(now, not gone and self._challenges.admits, self._ledger)
        self._reporter.tick(now, *self._standing.told(now, gone))

    def marks(self) -> dict[str, int | None]:
        """Return how far the threads at the devices and the inspection have come; see ``edge.progress``."""
        return {**{device: steps() for device, steps in self._steps.items()}, INSPECTION: self._frames.inspection_mark}

    def next_ns(self) -> int:
        """Return when ``work`` next has something to do by itself."""
        due = self._link.next_ns(min(self._hang.turned_ns + LONGEST_WAIT_NS, self._reporter.next_ns()))
        deadline = self._ledger.next_deadline_ns(self._places.track.earliest_ns)
        return due if deadline is None else min(due, deadline)

    def state(self, now: int) -> tuple[str, str]:
        """Return the state (RUNNING, WARNING, FAULT, STARTING) and its reason in words."""
        return self._standing.told(now, self._standing.gone(self._standing.faults(now)))[0]

    # -- take -------------------------------------------------------------------------------------------------------

    def _take_all(self) -> None:
        for event in self._mailbox.take():
            now = self._clock()
            if self._tape is not None:
                self._tape.event(now, event)
            self._take(event, now)

    def _take(self, event: StationEvent, now: int) -> None:
        if isinstance(event, Trigger):
            self._on_trigger(event, now)
        elif isinstance(event, FrameArrived):
            self._on_frame(event.info, event.lease, now)
        elif isinstance(event, Inspected):
            self._on_inspected(event, now)
        elif isinstance(event, FrameLost):
            self._reporter.lost(event.cause)
            self._on_frame(event.info, event.cause, now)
        elif isinstance(event, FramesMissed):
            self._reporter.lost("counter_gap", event.count)
        elif isinstance(event, TriggersLost):
            pair = self._pairs.at(now)
            lost = self._ledger.lose(event.last, pair.recipe.name, now, now, pair.model.identity)
            self._close_new(lost, None, now)
        elif isinstance(event, EpochChanged):
            self._on_epoch(now)
        elif isinstance(event, Order):
            event.carry_out(lambda recipe: self.changes.recipe(recipe, now), lambda: self.state(now))
        elif isinstance(event, DeviceLost):
            self._doubts.lost(event.device, event.text, now)
        elif isinstance(event, DeviceBack):
            self._on_back(event.device, now)

    def _on_trigger(self, trigger: Trigger, now: int) -> None:
        flight.mark("trigger", trigger.number)
        self._health.triggered(now)
        trigger = self._places.at_edge(trigger)
        number, count, misplaced = trigger.number, trigger.count, self._places.is_misplaced(trigger.count)
        jumps, unknown = self._ledger.jumps, self._ledger.unknown_triggers
        pair = self._pairs.at(trigger.t0_ns)
        closed = self._ledger.open(trigger, pair.recipe.name, now, misplaced, pair.model.identity)
        if self._ledger.unknown_triggers > unknown:
            return
        if self._ledger.jumps > jumps:  # before anything is said under a number that now has two meanings
            self._doubts.renew("the trigger counter jumped")
        self._close_new(closed, trigger, now)
        self._challenges.opened(number, now)
        if count is not None:
            self._places.passed(count, trigger.t0_ns, now, self._link.has_session)
        part = self._ledger.get(number)
        if part is None:
            return
        self._judged_by[number] = pair
        if count is not None:
            self._link.announce(part)
        elif (told := self._link.told_count(number)) is not None:
            self._locate(number, told, now)
        needs_frame = self._ledger.get(number) is not None
        take = self._matcher.trigger if needs_frame else self._matcher.skip
        for match in take(number, trigger.t0_ns):
            self._on_match(match, now)

    def _on_frame(self, info: FrameInfo, held: Lease | str, now: int) -> None:
        flight.mark("frame", info.counter)
        self._health.framed(now)
        self._reporter.frames += 1
        if self._frames.hold(info, held):
            self._on_match(self._matcher.frame(info), now)
        else:
            self._reporter.lost("repeated")

    def _on_match(self, match: Match, now: int) -> None:
        if match.kind is Kind.HELD:
            return
        if match.kind is Kind.MATCHED:
            self._inspect_frame(match.parts[0], match.info, now)
            return
        if match.kind is Kind.STRAY:
            self._reporter.lost("without_trigger")
        cause = "frame_ambiguous" if match.kind is Kind.AMBIGUOUS else "not_synchronised"
        for number in match.parts:
            self._fail(number, cause, now)
        self._frames.discard(match.info)

    def _inspect_frame(self, number: int, info: FrameInfo, now: int) -> None:
        flight.mark("matched", number)
        if self._places.source == "camera" and self._ledger.get(number) is not None:
            self._locate(number, self._places.of_frame(info), now)
            if self._ledger.get(number) is None:  # its own frame has closed it: that one is not late
                self._frames.discard(info)
                return
        held = self._frames.take(info)
        part = self._ledger.attach(number, info)
        if isinstance(held, str):
            self._fail(number, held, now)
        elif self._stopping or part is None:  # nobody would take the result any more
            self._frames.give_back(held)
        elif not self._frames.inspect(held, part):
            self._fail(number, "pool_exhausted", now)
            self._frames.give_back(held, part)
        else:
            due = None if part.commit_count is None else self._places.track.earliest_ns(part.commit_count)
            deadline = part.deadline_ns if due is None else min(due, part.deadline_ns)
            pair = self._judged_by[number]
            pair.model.inspect.submit(number, held, deadline, pair.rules)

    def _on_inspected(self, event: Inspected, now: int) -> None:
        flight.mark("verdict", event.number)
        inspected, present = self._frames.inspected(event.lease), self._ledger.get(event.number)
        if present is not None and present is not inspected:  # a namesake, of a counter that began anew
            self._ledger.late += 1
        elif part := self._ledger.close(event.number, event.verdict, now, self._places.track.at_most(now)):
            self._conclude(part)
        if self._watch is not None:
            self._watch.look(event.lease, now)
        self._frames.give_back(event.lease, inspected)

    # -- close ------------------------------------------------------------------------------------------------------

    def _close_due(self, now: int) -> None:
        if len(self._ledger):
            for part in self._ledger.expire(now, self._places.track.at_most(now)):
                self._conclude(part)
        for model in self._pairs.retired(now):
            model.end()
        self._drop_held(now - self._hold_ns)
        if self._reopen_camera is not None and self._health.take_reopening():
            self._reopen_camera("The camera delivers nothing while parts are triggered.")
        self._hang.check(now)

    def _drop_held(self, before_ns: int) -> None:
        """Give up frames that wait for a trigger and were complete before ``before_ns``."""
        for info in self._matcher.expire(before_ns):
            self._reporter.lost("without_trigger")
            self._frames.discard(info)

    def _close_new(self, parts: list[Part], trigger: Trigger | None, now: int) -> None:
        """Conclude parts that ``trigger`` closed: its own, those of lost triggers, or those before a jump."""
        for part in parts:
            self._matcher.forget(part.number)  # all of them, before a held frame is asked about again
        for part in parts:
            t0_ns = part.trigger.t0_ns if part.trigger is trigger else None
            for match in self._matcher.skip(part.number, t0_ns):
                self._on_match(match, now)
            self._conclude(part)

    def _fail(self, number: int, cause: str, now: int) -> None:
        part = self._ledger.fail(number, cause, now)
        if part is not None:
            self._conclude(part)

    def _conclude(self, part: Part) -> None:
        """Send what a part came to.  Every part comes here once; who looks on hears of it after that."""
        flight.mark("concluded", part.number)
        self._matcher.forget(part.number)
        pair = self._judged_by.pop(part.number, None)
        self._health.concluded(part)
        now = self._clock()
        self._challenges.opened(part.number, now)  # which names a test piece, for its record
        self._link.conclude(part)
        if self._watch is not None:  # test pieces are chosen: no sample of the parts
            self._watch.concluded(part, None if self._challenges.is_piece(part.number) else pair)
        self._challenges.concluded(part, () if pair is None else pair.rules, now)
        if self._tape is not None:
            self._tape.concluded(part)

    # -- places -----------------------------------------------------------------------------------------------------

    def _hear(self, now: int) -> None:
        for told in self._link.hear(now):
            if self._ledger.get(told.part) is not None:
                self._locate(told.part, told.count, now)
            else:
                self._link.keep_count(told)

    def _locate(self, number: int, count: int | None, now: int) -> None:
        """Take the count of an open part from camera or PLC."""
        part = self._ledger.get(number)
        if part is None or part.count is not None:
            return
        if count is None:
            self._fail(number, "unknown_position", now)
            return
        misplaced = self._places.is_misplaced(count)
        closed = self._ledger.locate(number, count, now, misplaced)
        self._places.passed(count, part.trigger.t0_ns, now, self._link.has_session)
        if closed is not None:
            self._conclude(closed)
        else:
            self._link.announce(part)

    def _on_back(self, device: str, now: int) -> None:
        if device == CAMERA:
            self._drop_held(now + 1)  # by their counter the offset of before would be learnt again
        self._doubts.back(device, now)

    def _on_epoch(self, now: int) -> None:
        for part in self._ledger.drain("not_synchronised", now):  # their counts mean nothing any more
            self._conclude(part)
        self._ledger.resynchronise()
        self._places.track.restart()
        self._doubts.renew("the encoder epoch changed")
