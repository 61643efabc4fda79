"""A production station on a virtual clock: its gateway, camera, eye and engine are played, in memory, by the test."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from edge import config as cfg
from edge.capture.events import FrameArrived
from edge.clock import NS_PER_MS
from edge.core import budget
from edge.core.ledger import PartLedger
from edge.core.match import Matcher
from edge.core.outcome import Outcome
from edge.core.part import UNNAMED, FrameInfo, Identity, Part, Trigger, Verdict
from edge.core.pool import FramePool, Lease, Purpose
from edge.core.rules import Rule
from edge.errors import ConfigError
from edge.station.bystanders import Bystanders
from edge.station.inspection import Inspected
from edge.station.interfaces import ChallengeParts, StationEvent, Tape, Watcher
from edge.station.loop import Station
from edge.station.no_challenges import NO_CHALLENGES
from edge.wire import messages as wire
from edge.wire.publisher import Publisher

START_NS = 1_000_000 * NS_PER_MS
SLOTS = 12
PITCH, PITCH_NS = 1000, 100 * NS_PER_MS
"""Of the default line: 100 mm at 10 counts per mm, and at 1000 mm/s."""

PASS = Verdict(Outcome.PASS, "clean")
GRANT = wire.Grant(session=0, gateway_session=1, plc_session=1, epoch=0, fence=0, fail_safe="reject", boot_id="")
RECIPE = cfg.RecipeConfig(name="first", rules=(cfg.RuleConfig(name="any"),))
UNKNOWN_CLASS = "unknown to the model"


def rules(recipe: cfg.RecipeConfig) -> tuple[Rule, ...]:
    """Return the rules of ``recipe``, as for a model that does not know one class."""
    for rule in recipe.rules:
        if UNKNOWN_CLASS in rule.classes:
            raise ConfigError(f"Rule {rule.name!r} looks for a class {UNKNOWN_CLASS}.", "use its classes.")
    return tuple(Rule(r.name, r.classes, r.min_score) for r in recipe.rules)


class Memory:
    """A transport whose other end is the test.  ``room``: how many more messages it takes."""

    def __init__(self) -> None:
        self.sent: deque[bytes] = deque()
        self.to_come: deque[bytes] = deque()
        self.room = 1 << 60
        self.closed = False

    def send(self, data: bytes) -> bool:
        """Take a message while there is room."""
        if not self.room:
            return False
        self.room -= 1
        self.sent.append(data)
        return True

    def receive(self) -> bytes | None:
        """Return the next message of the test."""
        return self.to_come.popleft() if self.to_come else None

    def close(self) -> None:
        """Note it."""
        self.closed = True


class Box:
    """A mailbox of one thread."""

    def __init__(self) -> None:
        self.events: list[StationEvent] = []

    def take(self) -> list[StationEvent]:
        """Return all events."""
        taken, self.events = self.events, []
        return taken


@dataclass
class Reported:
    """Keeps what the station reports."""

    frames: int = 0
    parts: dict[int, Part] = field(default_factory=dict)
    ended: list[Part] = field(default_factory=list)
    sessions: dict[int, int] = field(default_factory=dict)
    acks: list[tuple[wire.Ack, int]] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    reconnects: Counter[str] = field(default_factory=Counter)
    notes: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)
    troubled: str = ""
    state: tuple[str, str] = ("", "")
    alarms: dict[str, str] = field(default_factory=dict)
    recipe: str = ""
    identity: Identity = UNNAMED
    executions: int = 0
    flushed: bool = False

    def lost(self, cause: str, frames: int = 1) -> None:
        """Keep the cause."""
        self.losses += [cause] * frames

    def concluded(self, part: Part, session: int) -> None:
        """Keep the part: its first end must be its only one.  ``parts`` has the newest of each number."""
        edges = {(p.number, p.trigger.t0_ns) for p in self.ended}
        assert (part.number, part.trigger.t0_ns) not in edges, f"part {part.number} ended twice"
        self.ended.append(part)
        assert part.verdict is not None
        self.parts[part.number], self.sessions[part.number] = part, session

    def acknowledged(self, ack: wire.Ack, t4_ns: int) -> None:
        """Keep the acknowledgement."""
        self.acks.append((ack, t4_ns))

    def executed(self) -> None:
        """Count it."""
        self.executions += 1

    def recipe_changed(self, name: str) -> None:
        """Keep the name."""
        self.recipe = name

    def model_changed(self, identity: Identity) -> None:
        """Keep it."""
        self.identity = identity

    def note(self, kind: str, text: str, now: int, **data: object) -> None:  # noqa: ARG002
        """Keep it."""
        self.notes.append((kind, text, data))

    def trouble(self, now: int) -> str:  # noqa: ARG002
        """Return what the test says."""
        return self.troubled

    def tick(self, now: int, state: tuple[str, str], alarms: Mapping[str, str]) -> None:  # noqa: ARG002
        """Keep the state."""
        self.state, self.alarms = state, dict(alarms)

    def next_ns(self) -> int:
        """Return never."""
        return 1 << 62

    def flush(self) -> None:
        """Note it."""
        self.flushed = True

    def causes(self) -> dict[int, str]:
        """Return the cause by part."""
        return {n: p.verdict.cause for n, p in self.parts.items() if p.verdict is not None}


class Engine:
    """Keeps what was submitted until the test says what came of it.

    Attributes:
        jobs: by part number.
        displaced: number and lease of those whose number came again meanwhile.
    """

    def __init__(self) -> None:
        self.jobs: dict[int, tuple[Lease, int, tuple[Rule, ...]]] = {}
        self.displaced: list[tuple[int, Lease]] = []
        self.hangs = False

    def submit(self, number: int, lease: Lease, deadline_ns: int, rules: tuple[Rule, ...]) -> None:
        """Keep the job."""
        if number in self.jobs:
            self.displaced.append((number, self.jobs[number][0]))
        self.jobs[number] = (lease, deadline_ns, rules)

    def hung(self, before_ns: int) -> bool:  # noqa: ARG002
        """Return what the test says."""
        return self.hangs


class Rig:
    """The station, and hands on everything around it.

    Args:
        sections: of the station's configuration.
        gateway: False without one.
        inspections: slots that may be under inspection.
        tape: of the station.
        watch: makes that of the station.
        challenges: makes those of the station, given this rig.
    """

    def __init__(
        self,
        gateway: bool = True,
        inspections: int = SLOTS,
        tape: Tape | None = None,
        watch: Callable[[cfg.StationConfig, FramePool], Watcher] | None = None,
        challenges: Callable[[Rig], ChallengeParts] | None = None,
        **sections: object,
    ) -> None:
        link = cfg.GatewayLinkConfig(stale_ms=10_000.0) if gateway else cfg.GatewayLinkConfig(endpoint=None)
        self.config = cfg.parse({"recipe": RECIPE, "gateway": link, **sections}, cfg.StationConfig, "test")
        self.now = START_NS
        self.budget = budget.compute(self.config.line, self.config.actuator, self.config.plc_timing, 100.0)
        limits, camera, line = self.config.limits, self.config.camera, self.config.line
        self.pool = FramePool(SLOTS, (4, 4), {Purpose.CAPTURE: SLOTS, Purpose.INSPECTION: inspections}, poison=True)
        self.ledger = PartLedger(
            limits.open_parts,
            int(limits.ceiling_ms * NS_PER_MS),
            int(limits.frame_timeout_ms * NS_PER_MS),
            int(line.counts_per_mm * line.part_length_max_mm),
            self.budget.station_commit,
            self.budget.match_counts,
        )
        matcher = Matcher(
            int(camera.window_early_ms * NS_PER_MS), int(camera.window_late_ms * NS_PER_MS), camera.sync_pairs
        )
        self.box, self.engine, self.reports, self.gateway = Box(), Engine(), Reported(), Memory()
        self.publisher = Publisher(self.config, self.gateway, "test") if gateway else None
        self.heard_ns: int | None = None
        self.waits: list[int] = []
        self.reopenings: list[str] = []
        self.station = Station(
            self.config,
            self.ledger,
            matcher,
            self.pool,
            self.box,
            self.engine,
            self.publisher,
            self.reports,
            {"camera": lambda: self.now if self.heard_ns is None else self.heard_ns},
            rules,
            self.waits.append,
            lambda: self.now,
            self.reopenings.append,
            Bystanders(
                tape,
                watch=None if watch is None else watch(self.config, self.pool),
                challenges=NO_CHALLENGES if challenges is None else challenges(self),
            ),
        )
        self.session = self.beats = 0

    def post(self, *events: StationEvent) -> None:
        """Let something happen, and the station notice it."""
        self.box.events += events
        self.station.work()

    def at(self, ns: int) -> None:
        """Let time pass until ``ns``, with all turns of the station that are due."""
        idle = 0
        while (due := self.station.next_ns()) <= ns:
            idle = idle + 1 if due <= self.now else 0
            assert idle < 3, "turns that lead nowhere"
            self.now = max(self.now, due)
            self.station.work()
        self.now = max(self.now, ns)

    def wait_ms(self, ms: float) -> None:
        """Let time pass."""
        self.at(self.now + int(ms * NS_PER_MS))

    def say(self, *messages: wire.ToStation) -> None:
        """Speak as the gateway."""
        self.gateway.to_come += [wire.encode(message) for message in messages]
        self.station.work()

    def grant(self, **fields: object) -> Rig:
        """Grant a new session."""
        self.session += 1
        self.say(msgspec.structs.replace(GRANT, session=self.session, **fields))
        self.heard()
        return self

    def beat(self, count: int, plc_ok: bool = True, mode: str = "auto") -> None:
        """Say as the gateway how far the belt may have come."""
        self.beats += 1
        self.say(wire.GatewayBeat(beat=self.beats, plc_ok=plc_ok, count=count % (1 << 32), mode=mode))

    def heard(self) -> list[wire.ToGateway]:
        """Return what the station has said since the last call."""
        said = [wire.decode_to_gateway(data) for data in self.gateway.sent]
        self.gateway.sent.clear()
        return said

    def edge(self, number: int, count: int | None = None, t0_ns: int | None = None) -> Trigger:
        """Return an edge, by default now, at a pitch per number."""
        count = PITCH * number if count is None else count
        return Trigger(number, count % (1 << 32), self.now if t0_ns is None else t0_ns)

    def frame(self, number: int, count: int | None = None, exposed_ns: int | None = None) -> FrameArrived:
        """Return the frame of part ``number``, exposed now."""
        lease = self.pool.lease(Purpose.CAPTURE)
        assert lease is not None
        exposed = self.now if exposed_ns is None else exposed_ns
        return FrameArrived(lease, FrameInfo((500 + number) % (1 << 32), exposed, exposed, count=count))

    def decide(self, number: int, verdict: Verdict = PASS) -> None:
        """Let the engine come to a verdict."""
        lease, _, _ = self.engine.jobs.pop(number)
        self.post(Inspected(number, lease, verdict))

    def part(self, number: int, count: int | None = None, verdict: Verdict = PASS) -> None:
        """Let one part be triggered, framed and judged at once."""
        self.post(self.edge(number, count))
        self.post(self.frame(number))
        if number in self.engine.jobs:
            self.decide(number, verdict)

    def free(self) -> bool:
        """Return whether every slot is free."""
        return self.pool.occupancy()["free"] == SLOTS


def verdicts(said: Sequence[wire.ToGateway]) -> list[tuple[int, int, str, str]]:
    """Return (part, count, outcome, cause) of the verdicts among ``said``."""
    return [(m.part, m.count, m.outcome, m.cause) for m in said if isinstance(m, wire.Verdict)]
