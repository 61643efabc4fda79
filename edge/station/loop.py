"""The station: one signal thread that owns ledger, timers and sockets; the other threads post events to it.

The loop is three verbs: take what happened, close what is due, say what is known.  Nothing in it waits for a disk,
a socket or another thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from threading import Event

import zmq

from edge.capture.events import (
    CaptureEvent,
    CaptureFault,
    EpochChanged,
    FrameArrived,
    FrameLost,
    FramesMissed,
    TriggerEvent,
    TriggerFault,
)
from edge.clock import NS_PER_MS, NS_PER_S, now_ns
from edge.config import StationConfig
from edge.core.ledger import PartLedger
from edge.core.match import Kind, Match, Matcher
from edge.core.outcome import Outcome
from edge.core.part import FrameInfo, Part, Trigger
from edge.core.pool import FramePool, Lease, Purpose
from edge.errors import CameraError
from edge.station.inspection import Inspected, InspectThread
from edge.station.mailbox import Mailbox
from edge.station.reporting import Reporter
from edge.wire import messages as wire
from edge.wire.publisher import Progress, Publisher

_log = logging.getLogger(__name__)

StationEvent = CaptureEvent | TriggerEvent | Inspected

_LONGEST_WAIT_MS = 50
SILENT_TRIGGERS = 2
"""A camera that delivered nothing for this many triggers in a row is called silent."""

STALL_NS = 10 * _LONGEST_WAIT_MS * NS_PER_MS
"""A wait that lasts this long was no wait: the process was stopped, or got no processor."""

UNHEARD_NS = NS_PER_S
"""A device that has sent nothing for this long, not even its own heartbeat, is gone."""

UNDECIDED_IN_A_ROW = 5

UNKNOWN_TRIGGERS = 3
"""This many known or older numbers in a row are no re-passes: the counter has started anew."""


class DeviceFailed(CameraError):
    """Camera or trigger source ended for good.  A station that cannot see must not look as if it did."""


class EngineHung(RuntimeError):
    """An inspection does not return.  It cannot be cancelled, so the process must end and be started again."""


class Station:
    """Turns triggers and frames into exactly one outcome a part.

    Args:
        config: from `station.toml`.
        ledger, matcher, pool: the pure core.
        mailbox: where capture, trigger and inspect threads post.
        inspect: the inspect thread.
        publisher: the link to the gateway, or None to inspect only.
        reporter: telemetry and outcomes.
        alive: by device, when it last showed that it is alive, monotonic.
    """

    def __init__(
        self,
        config: StationConfig,
        ledger: PartLedger,
        matcher: Matcher,
        pool: FramePool,
        mailbox: Mailbox[StationEvent],
        inspect: InspectThread,
        publisher: Publisher | None,
        reporter: Reporter,
        alive: Mapping[str, Callable[[], int]],
    ) -> None:
        self._config = config
        self._ledger, self._matcher, self._pool = ledger, matcher, pool
        self._mailbox, self._inspect = mailbox, inspect
        self._publisher, self._reporter, self._alive = publisher, reporter, alive
        self._frames: dict[FrameInfo, Lease | str] = {}  # frames that wait for a trigger: their slot, or why it is lost
        self._frameless = 0  # triggers in a row for which no frame came
        self._unknown_in_row = 0
        self._last_frame_ns = self._last_trigger_ns = 0
        self._awake_ns = self._turned_ns = 0
        self._undecided = 0  # parts in a row
        self._hang_ns = int(config.limits.hang_ms * NS_PER_MS)
        self._hold_ns = int(config.limits.frame_timeout_ms * NS_PER_MS)
        self._silent_ns = int(config.camera.silent_ms * NS_PER_MS)
        self._poller = zmq.Poller()
        self._poller.register(mailbox.fd, zmq.POLLIN)
        if publisher is not None:
            self._poller.register(publisher.socket, zmq.POLLIN)

    def run(self, stop: Event, limit: int | None = None) -> None:
        """Work until ``stop`` is set, or until ``limit`` parts have closed.

        Raises:
            EngineHung: an inspection does not return.
            DeviceFailed: camera or trigger source ended for good.
        """
        while not stop.is_set():
            self.turn()
            if limit is not None and sum(self._ledger.outcomes.values()) >= limit:
                break

    def finish(self) -> None:
        """Close what is open, tell the gateway, and report it.  The threads that post frames must have stopped."""
        now = now_ns()
        for event in self._mailbox.take():
            if not isinstance(event, CaptureFault | TriggerFault):
                self._take(event, now)
        for part in self._ledger.drain("station_stopping", now):
            self._conclude(part)
        for info in list(self._frames):
            self._discard(info)
        self._reporter.flush()

    def abandon(self) -> None:
        """Finish without the threads, of which one hangs: what is known is recorded before the process ends."""
        self.finish()
        self._reporter.close()

    def turn(self) -> None:
        """Run the loop once."""
        self._poller.poll(self._wait_ms())
        now = now_ns()
        if now - self._turned_ns > STALL_NS:
            self._awake_ns = now  # the whole process was held up: no engine can be blamed for that time
        self._turned_ns = now
        for event in self._mailbox.take():
            self._take(event, now_ns())
        now = now_ns()
        self._close_due(now)
        self._talk(now)
        self._reporter.tick(now, self.state(now))

    def state(self, now: int) -> tuple[str, str]:
        """Return the state (RUNNING, WARNING, FAULT, STARTING) and its reason in words."""
        if (device := self._unheard(now)) is not None:
            return "FAULT", f"the {device} shows no sign of life"
        if self._camera_silent(now):
            return "FAULT", "the camera delivers nothing while parts are triggered"
        if self._undecided >= UNDECIDED_IN_A_ROW:
            return "WARNING", "part after part ends without a decision; see the causes"
        if self._publisher is None:
            return "WARNING", "inspecting only: there is no gateway, and nothing is permitted"
        if self._publisher.session == 0:
            return "STARTING", self._publisher.refusal
        return "RUNNING", ""

    # -- take -------------------------------------------------------------------------------------------------------

    def _take(self, event: StationEvent, now: int) -> None:
        if isinstance(event, Trigger):
            self._on_trigger(event, now)
        elif isinstance(event, FrameArrived):
            self._on_frame(event.info, event.lease, now)
        elif isinstance(event, FrameLost):
            self._reporter.lost(event.cause)
            self._on_frame(event.info, event.cause, now)
        elif isinstance(event, Inspected):
            self._on_inspected(event, now)
        elif isinstance(event, FramesMissed):
            self._reporter.lost("counter_gap", event.count)
        elif isinstance(event, EpochChanged):
            self._renew("the encoder epoch changed")
        elif isinstance(event, CaptureFault | TriggerFault):
            raise DeviceFailed(event.text, "mend the device; the process ends, to be started again.")

    def _on_trigger(self, trigger: Trigger, now: int) -> None:
        self._last_trigger_ns = now
        jumps, unknown = self._ledger.jumps, self._ledger.unknown_triggers
        for part in self._ledger.open(trigger, self._config.recipe.name, now):
            self._conclude(part)
        self._unknown_in_row = self._unknown_in_row + 1 if self._ledger.unknown_triggers > unknown else 0
        if self._ledger.jumps > jumps or self._unknown_in_row >= UNKNOWN_TRIGGERS:
            self._renew("the trigger counter jumped")
        opened = self._ledger.get(trigger.number)
        if opened is None:
            return
        if self._publisher is not None:
            self._publisher.announce(opened)
        for match in self._matcher.trigger(trigger.number, trigger.t0_ns):
            self._on_match(match, now)

    def _on_frame(self, info: FrameInfo, held: Lease | str, now: int) -> None:
        self._last_frame_ns = now
        self._frameless = 0
        self._reporter.frames += 1
        if info in self._frames:  # the same frame twice
            self._reporter.lost("repeated")
            self._give_back(held)
            return
        self._frames[info] = held
        self._on_match(self._matcher.frame(info), now)

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
        self._discard(match.info)

    def _inspect_frame(self, number: int, info: FrameInfo, now: int) -> None:
        held = self._frames.pop(info)
        part = self._ledger.attach(number, info)
        if isinstance(held, str):
            self._fail(number, held, now)
        elif part is None:
            self._pool.release(held)
        elif not self._pool.hand_over(held, Purpose.INSPECTION):
            self._pool.release(held)
            self._fail(number, "pool_exhausted", now)
        else:
            self._inspect.submit(number, held, part.deadline_ns)

    def _on_inspected(self, event: Inspected, now: int) -> None:
        self._pool.release(event.lease)
        part = self._ledger.close(event.number, event.verdict, now)
        if part is not None:
            self._conclude(part)

    # -- close ------------------------------------------------------------------------------------------------------

    def _close_due(self, now: int) -> None:
        for part in self._ledger.expire(now):
            self._conclude(part)
        for info in self._matcher.expire(now - self._hold_ns):
            self._reporter.lost("without_trigger")
            self._discard(info)
        if self._inspect.hung(now - self._hang_ns) and now - self._awake_ns > self._hang_ns:
            raise EngineHung(f"An inspection has not returned for {self._config.limits.hang_ms:g} ms.")

    def _fail(self, number: int, cause: str, now: int) -> None:
        part = self._ledger.fail(number, cause, now)
        if part is not None:
            self._conclude(part)

    def _conclude(self, part: Part) -> None:
        """Send what a part came to.  Every part comes here once."""
        self._matcher.forget(part.number)
        if part.verdict is not None:
            self._frameless += part.verdict.cause == "frame_missing"
            self._undecided = self._undecided + 1 if part.verdict.outcome is Outcome.NO_DECISION else 0
        session, sending_ns = 0, now_ns()
        if self._publisher is not None and self._publisher.verdict(part):
            session, part.t3_ns = self._publisher.session, sending_ns
        self._reporter.concluded(part, session)

    def _discard(self, info: FrameInfo) -> None:
        self._give_back(self._frames.pop(info))

    def _give_back(self, held: Lease | str) -> None:
        if not isinstance(held, str):
            self._pool.release(held)

    # -- talk -------------------------------------------------------------------------------------------------------

    def _talk(self, now: int) -> None:
        if self._publisher is None:
            return
        for message in self._publisher.receive(now):
            if isinstance(message, wire.Ack):
                self._reporter.acknowledged(message, self._publisher.accepted_ns(message, now))
            elif isinstance(message, wire.Executed):
                self._reporter.executed()
            elif isinstance(message, wire.Revoke):
                _log.warning("The session ended: %s.", message.reason)
            elif isinstance(message, wire.Grant):
                _log.info("Session %d granted, fence %d.", message.session, message.fence)
        ledger = self._ledger
        progress = Progress(ledger.triggers, self._reporter.frames, ledger.triggers - len(ledger), len(ledger))
        if not self._publisher.tick(now, ready=self._unheard(now) is None, progress=progress):
            _log.warning("The session ended: the gateway fell silent.")

    def _renew(self, reason: str) -> None:
        """Ask for a new session, whose fence clears the stretch where identity is in doubt."""
        _log.warning("Asking for a new session: %s.", reason)
        if self._publisher is not None:
            self._publisher.renew(reason)
        self._ledger.resynchronise()
        self._matcher.resynchronise()

    def _unheard(self, now: int) -> str | None:
        """Return which device has not shown that it is alive, or None."""
        for name, heard_ns in self._alive.items():
            if now - heard_ns() > UNHEARD_NS:
                return name
        return None

    def _camera_silent(self, now: int) -> bool:
        waiting = self._last_trigger_ns > self._last_frame_ns and now - self._last_trigger_ns > self._silent_ns
        return self._frameless >= SILENT_TRIGGERS or waiting

    def _wait_ms(self) -> int:
        now = now_ns()
        due = [now + _LONGEST_WAIT_MS * NS_PER_MS, self._reporter.next_ns()]
        if (deadline := self._ledger.next_deadline_ns()) is not None:
            due.append(deadline)
        if self._publisher is not None:
            due.append(self._publisher.next_ns())
        wait_ns = min(due) - now
        return max(0, -(-wait_ns // NS_PER_MS))
