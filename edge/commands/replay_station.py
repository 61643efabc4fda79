"""The production loop on a recording: what it took, when it took it, with inspections made anew.

The clock, the mailbox and the transport give the loop turn by turn what it was given when the recording was made.  So
whatever decides by time, a late frame or a missed deadline, decides as it did.  An inspection is made anew, and ends
when it ended.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from edge.capture.events import FrameArrived, FrameLost
from edge.clock import NS_PER_MS
from edge.config import RecipeConfig, RecipeFile, StationConfig, parse
from edge.core import budget
from edge.core.outcome import Outcome
from edge.core.part import FrameInfo, Identity, Part, Verdict
from edge.core.pool import FramePool, Lease, Purpose
from edge.core.rules import Rule
from edge.engine.inspector import Inspector
from edge.errors import EdgeError, RecordingError
from edge.record.recording import Commanded, Framed, Happened, Judged, PartResult, Recording, Turn
from edge.station.build import Deciding
from edge.station.inspection import TOO_LATE, Inspected
from edge.station.interfaces import StationEvent
from edge.station.loop import Station
from edge.station.orders import Order
from edge.station.sizing import compute_budget, frame_matcher, frame_pool, part_ledger
from edge.wire import messages as wire
from edge.wire.control import Command, Peer
from edge.wire.publisher import Publisher

_log = logging.getLogger(__name__)

USUAL_NS = 20 * NS_PER_MS
"""How long an inspection takes that the recording knows nothing of, where it knows of none at all."""


@dataclass
class Replayed:
    """What a replay came to.

    Attributes:
        parts: a result for each part that ended, in their order.
        unseen: parts, by number and T0, whose frame's pixels were not kept, so that the recorded verdict was taken.
    """

    parts: list[PartResult] = field(default_factory=list)
    unseen: set[tuple[int, int]] = field(default_factory=set)


def replay(recording: Recording, config: StationConfig, decides: Deciding, own_recipe: bool = False) -> Replayed:
    """Run the station of ``config`` through ``recording``.

    Args:
        recording: what was taken.
        config: of the station; its frames must have the recording's shape.
        decides: inspects.
        own_recipe: the recipe of ``config`` holds throughout, whatever was commanded meanwhile.

    Raises:
        RecordingError: the recording is damaged.
        BudgetError: the configuration's budget cannot hold.
    """
    result = Replayed()
    turns = list(recording.turns())
    clock = _Clock(turns[0].at_ns if turns else 0)
    pool = frame_pool(config)
    ledger = part_ledger(config, budget.held(compute_budget(config), config.name))
    inspection = _Inspection(decides.inspector, pool, clock, turns)
    mailbox = _Mailbox(clock, inspection, _Frames(recording, config.camera.color, pool, inspection), own_recipe)
    transport = _Transport()
    publisher = None if config.gateway.endpoint is None else Publisher(config, transport, "replay")
    station = Station(
        config,
        ledger,
        frame_matcher(config),
        pool,
        mailbox,
        inspection,
        publisher,
        _Reports(result, inspection.unseen),
        {},
        decides.rules,
        _never,
        clock,
    )
    for turn in turns:
        mailbox.turn, transport.messages = turn, turn.heard
        station.work()
    return result


class _Clock:
    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class _Frames:
    """Puts recorded frames into slots, as the capture thread does."""

    def __init__(self, recording: Recording, color: str, pool: FramePool, inspection: _Inspection) -> None:
        self._recording, self._color, self._pool, self._inspection = recording, color, pool, inspection

    def event(self, line: Framed) -> FrameArrived | FrameLost:
        lease = self._pool.lease(Purpose.CAPTURE)
        if lease is None:
            return FrameLost(line.info, "pool_exhausted")
        slot, pixels = self._pool.frame(lease), self._recording.frame(line.frame, self._color)
        if pixels is not None and pixels.shape != slot.shape:
            raise RecordingError(
                f"Frame {line.frame} has the shape {pixels.shape}, and the station's are {slot.shape}.",
                "replay with a configuration of the same camera.width, height and color.",
            )
        if pixels is not None:
            slot[...] = pixels
        self._inspection.came(line, lease, pixels is not None)
        return FrameArrived(lease, line.info)


class _Mailbox:
    """Gives out the events of ``turn``, and sets the clock to the time of each, and of the turn's rest after them."""

    def __init__(self, clock: _Clock, inspection: _Inspection, frames: _Frames, own_recipe: bool) -> None:
        self._clock, self._inspection, self._frames, self._own_recipe = clock, inspection, frames, own_recipe
        self.turn: Turn

    def take(self) -> Iterator[StationEvent]:
        for line in self.turn.lines:
            yield from self._overdue(line.at_ns)
            self._clock.now = line.at_ns
            event = self._event(line)
            if event is not None:
                yield event
        yield from self._overdue(self.turn.at_ns)
        self._clock.now = self.turn.at_ns

    def _overdue(self, until_ns: int) -> Iterator[Inspected]:
        for at_ns, event in self._inspection.unrecorded(until_ns):
            self._clock.now = max(at_ns, self._clock.now)
            yield event

    def _event(self, line: Happened | Framed | Judged | Commanded) -> StationEvent | None:
        if isinstance(line, Happened):
            return line.event()
        if isinstance(line, Framed):
            return self._frames.event(line)
        if isinstance(line, Judged):
            return self._inspection.recorded(line)
        if self._own_recipe:
            return None
        return Order(Command("recipe", {}, Peer(0, "replay", 0)), _recipe(line.recipe))


@dataclass(frozen=True)
class _Job:
    number: int
    lease: Lease
    rules: tuple[Rule, ...]
    since_ns: int


class _Inspection:
    """In the place of the inspect thread: does the work when the recorded inspection of the frame ended."""

    def __init__(self, inspector: Inspector, pool: FramePool, clock: _Clock, turns: list[Turn]) -> None:
        self._inspector, self._pool, self._clock = inspector, pool, clock
        self.unseen: set[FrameInfo] = set()  # frames whose recorded verdict was taken
        lines = [line for turn in turns for line in turn.lines]
        came_ns = {line.frame: line.at_ns for line in lines if isinstance(line, Framed)}
        judged = [line for line in lines if isinstance(line, Judged) and line.frame in came_ns]
        took = [line.at_ns - came_ns[line.frame] for line in judged]
        self._usual_ns = int(median(took)) if took else USUAL_NS
        self._to_come = {line.frame for line in judged}
        self._frames: dict[Lease, tuple[Framed, bool]] = {}
        self._jobs: dict[int, _Job] = {}  # by frame

    def came(self, line: Framed, lease: Lease, has_pixels: bool) -> None:
        self._frames[lease] = line, has_pixels

    def submit(self, number: int, lease: Lease, deadline_ns: int, rules: tuple[Rule, ...]) -> None:  # noqa: ARG002
        self._jobs[self._frames[lease][0].frame] = _Job(number, lease, rules, self._clock.now)

    def hung(self, before_ns: int) -> bool:  # noqa: ARG002 - the recording would have ended
        return False

    def recorded(self, line: Judged) -> Inspected | None:
        """Inspect the frame of a recorded inspection; None where the station did not ask for it."""
        self._to_come.discard(line.frame)
        job = self._jobs.pop(line.frame, None)
        return None if job is None else self._inspect(job, line.verdict)

    def unrecorded(self, until_ns: int) -> Iterator[tuple[int, Inspected]]:
        """Inspect frames whose inspection the recording does not have; they take the usual time.

        One whose pixels it does not have either was under inspection at the recording's end, and stays so.
        """
        for frame, job in list(self._jobs.items()):
            awaited = frame in self._to_come or not self._frames[job.lease][1]
            if not awaited and job.since_ns + self._usual_ns <= until_ns:
                del self._jobs[frame]
                yield job.since_ns + self._usual_ns, self._inspect(job, None)

    def _inspect(self, job: _Job, recorded: Verdict | None) -> Inspected:
        line, has_pixels = self._frames.pop(job.lease)
        if recorded == TOO_LATE:
            return Inspected(job.number, job.lease, TOO_LATE)
        if recorded is not None and not has_pixels:
            self.unseen.add(line.info)
            return Inspected(job.number, job.lease, recorded)
        try:
            verdict = self._inspector.inspect(self._pool.frame(job.lease), job.rules)
        except Exception as error:  # noqa: BLE001 - as in the inspect thread: it costs the part its decision
            _log.error("Inspection failed: %s", error, exc_info=not isinstance(error, EdgeError))
            verdict = Verdict(Outcome.NO_DECISION, "engine_fault")
        return Inspected(job.number, job.lease, verdict)


class _Transport:
    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def send(self, data: bytes) -> bool:  # noqa: ARG002 - nobody listens
        return True

    def receive(self) -> bytes | None:
        return self.messages.pop(0) if self.messages else None

    def close(self) -> None: ...


class _Reports:
    """Keeps the parts, and nothing else."""

    def __init__(self, result: Replayed, unseen: set[FrameInfo]) -> None:
        self._result, self._unseen = result, unseen
        self.frames = 0
        self.reconnects: Counter[str] = Counter()

    def concluded(self, part: Part, session: int) -> None:  # noqa: ARG002
        self._result.parts.append(PartResult.of(part))
        if part.frame in self._unseen:
            self._result.unseen.add((part.number, part.trigger.t0_ns))

    def lost(self, cause: str, frames: int = 1) -> None: ...
    def acknowledged(self, ack: wire.Ack, t4_ns: int) -> None: ...
    def executed(self) -> None: ...
    def recipe_changed(self, name: str) -> None: ...
    def model_changed(self, identity: Identity) -> None: ...
    def note(self, kind: str, text: str, now: int, **data: object) -> None: ...
    def tick(self, now: int, state: tuple[str, str], alarms: Mapping[str, str]) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...

    def trouble(self, now: int) -> str:  # noqa: ARG002
        return ""

    def next_ns(self) -> int:
        return 1 << 62


def _recipe(values: dict[str, Any]) -> RecipeConfig:
    return parse({"recipe": values}, RecipeFile, "the recording").recipe


def _never(until_ns: int) -> None:
    raise AssertionError(f"A replayed station waits until {until_ns} ns by itself.")
