"""A gateway on a virtual clock: a PLC, stations and a network in memory, and nothing that waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from edge import config as cfg
from edge.core.counter import delta
from edge.core.register import Register
from edge.core.session import Permit
from edge.errors import PlcError
from edge.gateway.geometry import geometry
from edge.gateway.plc import signals
from edge.gateway.plc.base import PlcDriver
from edge.gateway.plc.signals import (
    ARMED,
    BELT_MOVING,
    GATEWAY_ALIVE,
    PERMIT_SLOTS,
    RUNNING,
    Control,
    PlcStatus,
)
from edge.gateway.recorder import Recorder
from edge.gateway.run import assemble
from edge.record.journal.rows import Counts, Event, Fact, Row
from edge.wire import messages as wire

MS = 1_000_000
SPAN = 1 << 32
COUNTS_PER_MS = 10
START = SPAN - 20_000
"""The counter wraps on the way."""
NOTHING = Control(0, False, False, 0, 0, 0, 0, 0, "reject", False, 0)
CONFIG = cfg.GatewayConfig()
PULSE: dict[str, Any] = {
    "plc": {"signal": "pulse"},
    "heartbeat_ms": 3.0,
    "pulse": {"link_p999_ms": 1.0, "output_watchdog_ms": 9.5},
    "plc_timing": {"scan_ms": 5.0},
}
PULSE_CONFIG = cfg.GatewayConfig.model_validate(PULSE)
GEOMETRY = geometry(CONFIG)
HELLO = wire.Hello(
    station="s",
    lane=0,
    instance="i",
    recipe="r",
    recipe_number=7,
    line_digest=CONFIG.line.digest(),
    fail_safe="reject",
    wants_counts=False,
)


class Clock:
    """Monotonic nanoseconds that a test moves."""

    def __init__(self) -> None:
        self.ns = 1_000 * MS

    def __call__(self) -> int:
        return self.ns


class Network:
    """The transport: what was sent lies in ``sent`` until the station reads it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.inbox: deque[list[bytes]] = deque()
        self.sent: dict[bytes, list[bytes]] = {}
        self.gone: set[bytes] = set()
        self.published: list[wire.GatewayStatus] = []
        self.closed = False
        self.strangers = 0

    def wait(self, most_ms: int) -> None:
        self._clock.ns += most_ms * MS

    def receive(self) -> list[bytes] | None:
        return self.inbox.popleft() if self.inbox else None

    def send(self, identity: bytes, data: bytes) -> bool:
        if identity in self.gone:
            return False
        self.sent.setdefault(identity, []).append(data)
        return True

    def admits(self, _sender: bytes, _station: str, _lane: int, /) -> bool:
        return True

    def publish(self, topic: bytes, data: bytes) -> None:
        assert topic == b"gateway"
        status = wire.decode_published(data)
        assert isinstance(status, wire.GatewayStatus)
        self.published.append(status)

    def close(self) -> None:
        self.closed = True


class Plc(PlcDriver):
    """A PLC that echoes what it is told, at once, until a test says otherwise.  Its belt runs with the clock."""

    def __init__(self, clock: Clock, pulse: bool = False) -> None:
        self._clock = clock
        self.session, self.epoch, self.heartbeat = 900, 3, 0
        self.flags = RUNNING | GATEWAY_ALIVE | BELT_MOVING | (signals.PULSE if pulse else 0)
        self.fail_safe = 1
        self.speed, self._from = COUNTS_PER_MS, (START, clock.ns)
        self.last_part, self.parts = 100, list[tuple[int, int]]()
        self.gated: list[tuple[int, int, int]] = [(0, 0, 0)]
        self.control = NOTHING
        self.outputs: list[tuple[int, bool]] = []  # count and new state
        self.permits: list[Permit] = []
        self.slots: list[int] = []
        self.echoes = [(0, 0)] * PERMIT_SLOTS
        self.echo: int | None = ARMED
        self.gone = self.refuses_reads = self.refuses_permits = self.refuses_control = self.deaf = (
            self.forgets_station
        ) = False
        self.recipe: int | None = None
        self.read_takes_ms = self.permit_takes_ms = 0
        self.scan_ms = 0
        """The count shown is latched this often; 0: it is never old."""

    @property
    def count(self) -> int:
        """Where the belt is."""
        return (self._from[0] + self.speed * (self._clock.ns - self._from[1]) // MS) % SPAN

    @property
    def latched(self) -> int:
        """Where it was at the last scan."""
        old_ns = self._clock.ns % (self.scan_ms * MS) if self.scan_ms else 0
        return (self.count - self.speed * old_ns // MS) % SPAN

    def run(self, speed: int) -> None:
        self._from = self.count, self._clock.ns
        self.speed = speed

    def jump(self, counts: int) -> None:
        self._from = (self.count + counts) % SPAN, self._clock.ns

    def read(self) -> PlcStatus:
        if self.gone or self.refuses_reads:
            raise PlcError("The PLC is gone.", "plug it in.")
        self.heartbeat = (self.heartbeat + 1) & 0xFFFF
        told = NOTHING if self.deaf else self.control
        status = PlcStatus(
            heartbeat=self.heartbeat,
            flags=self.flags,
            fail_safe=self.fail_safe,
            session=self.session,
            count=self.latched,
            last_part=self.last_part,
            gateway_session=told.gateway_session,
            station_session=0 if self.forgets_station else told.station_session,
            fence=told.fence,
            recipe=told.recipe if self.recipe is None else self.recipe,
            epoch=self.epoch,
            opened=sum(action == signals.ACTION_GOOD for _, action, _ in self.gated),
            without_permit=sum(action == signals.ACTION_REJECTED for _, action, _ in self.gated),
            met_gate=len(self.gated) - 1,
            parts=tuple(part for part in self.parts[-12:] if delta(part[0], self.last_part) <= 0),
            echoes=tuple(self.echoes),
            gated=tuple(self.gated[-8:]),
        )
        self._clock.ns += self.read_takes_ms * MS
        return status

    def write_control(self, control: Control) -> None:
        if self.gone or self.refuses_control:
            raise PlcError("The PLC did not take the control block.", "plug it in.")
        if control.output is not self.control.output:
            self.outputs.append((self.count, control.output))
        self.control = control

    def write_permit(self, slot: int, permit: Permit, sequence: int) -> None:
        self.permits.append(permit)
        self.slots.append(slot)
        self._clock.ns += self.permit_takes_ms * MS
        if self.refuses_permits:
            raise PlcError("The permit was not taken.", "look at the PLC.")
        if self.echo is not None:
            self.echoes[slot] = (sequence, self.echo)

    def say(self, number: int, status: int) -> None:
        """Echo another status of a permit."""
        at = self.slots[[permit.number for permit in self.permits].index(number)]
        self.echoes[at] = (self.echoes[at][0], status)

    def close(self) -> None:
        self.gone = True


class Station:
    """A station's end of the network."""

    def __init__(self, line: Line, name: bytes) -> None:
        self._line, self.name = line, name
        self._sent = line.network.sent.setdefault(name, [])
        self._beat = 0
        self.grant: wire.Grant

    def say(self, message: wire.ToGateway | bytes) -> None:
        data = message if isinstance(message, bytes) else wire.encode(message)
        self._line.network.inbox.append([self.name, data])

    def heard(self, kind: type[Any]) -> list[Any]:
        messages = [wire.decode_to_station(data) for data in self._sent]
        return [m for m in messages if isinstance(m, kind)]

    def ask(self, message: wire.ToGateway | bytes, kind: type[Any]) -> Any:
        """Say something, and return the answer of that kind."""
        before = len(self.heard(kind))
        self.say(message)
        self._line.work()
        assert len(self.heard(kind)) == before + 1, self._sent[-3:]
        return self.heard(kind)[-1]

    def join(self, recipe_number: int = 7) -> Station:
        """Ask for the lane, and wait until the fence lies behind."""
        hello = wire.Hello(
            **{**{f: getattr(HELLO, f) for f in HELLO.__struct_fields__}, "recipe_number": recipe_number}
        )
        self.grant = self.ask(hello, wire.Grant)
        self.beat()
        self._line.travel(delta(self.grant.fence, self._line.plc.count) - GEOMETRY.gate)
        return self

    def beat(self, ready: bool = True) -> None:
        self._beat += 1
        session = self.grant.session
        self.say(wire.Heartbeat(session=session, beat=self._beat, ready=ready, triggers=0, frames=0, closed=0, open=0))

    def verdict(self, number: int, outcome: str = "PASS", count: int | None = None) -> wire.Verdict:
        latched = self._line.latched(number) if count is None else count
        return wire.Verdict(session=self.grant.session, part=number, count=latched, outcome=outcome, cause="")

    def judge(self, number: int, outcome: str = "PASS") -> str:
        """Say a verdict, and return its disposition."""
        return str(self.ask(self.verdict(number, outcome), wire.Ack).disposition)

    def announce(self, number: int, count: int | None = None) -> None:
        latched = self._line.latched(number) if count is None else count
        self.say(wire.Announce(session=self.grant.session, part=number, count=latched))
        self._line.work()

    def revoked(self) -> str:
        """Return why the session ended, or ""."""
        return next((str(m.reason) for m in self.heard(wire.Revoke) if m.session == self.grant.session), "")


class Line:
    """A gateway between a PLC and stations."""

    def __init__(self, config: cfg.GatewayConfig = CONFIG, state: dict[str, Any] | None = None) -> None:
        self.config = config
        self.clock = Clock()
        self.network = Network(self.clock)
        self.plc = Plc(self.clock, pulse=config.plc.signal == "pulse")
        self.states: list[dict[str, Any]] = []
        self.register = Register(geometry(config), 17)
        self.rows: list[Row] = []
        self.journal = wire.JournalStatus()
        self.gateway = assemble(
            config,
            self.plc,
            self.network,
            clock=self.clock,
            changed=self.states.append,
            register=self.register,
            recorder=Recorder(self.rows.append, lambda: self.journal, self.clock),
        )
        self.stations: list[Station] = []
        if state is not None:
            self.gateway.operations.restore(state)

    def work(self) -> None:
        self.gateway.work()
        assert self.register.reconciles()

    def pass_time(self, ms: float) -> None:
        """Let the gateway do what falls due, and its stations beat."""
        end = self.clock.ns + round(ms * MS)
        while (due := max(self.clock.ns, self.gateway.next_ns())) <= end:
            self.clock.ns = due
            for station in self.stations:
                station.beat()
            self.work()
        self.clock.ns = max(end, self.clock.ns)

    def until(self, done: Callable[[], bool], most_ms: float = 2_000) -> None:
        end = self.clock.ns + round(most_ms * MS)
        while not done():
            assert self.clock.ns < end, "it never came to that"
            self.pass_time(1)

    def armed(self) -> Line:
        self.until(lambda: self.gateway.status().plc_ok)
        return self

    def station(self, name: bytes = b"a") -> Station:
        return Station(self, name)

    def joined(self, name: bytes = b"a") -> Station:
        """Return a station that holds the lane, and that beats as time passes."""
        station = self.armed().station(name).join()
        self.stations.append(station)
        self.pass_time(30)
        return station

    def rejoin(self, station: Station) -> Station:
        """Let a station that lost its session join anew."""
        self.stations.clear()
        self.armed().pass_time(30)
        self.stations.append(station.join())
        self.pass_time(30)
        return station

    def travel(self, counts: int) -> None:
        self.pass_time(max(0.0, counts / COUNTS_PER_MS))

    def part(self, number: int) -> int:
        """Let the PLC's eye count a part here and now, and the gateway read it."""
        self.plc.parts = [*self.plc.parts, (number, self.plc.count)]
        self.plc.last_part = number
        self.pass_time(self.config.plc.poll_ms)
        return number

    def latched(self, number: int) -> int:
        return dict(self.plc.parts)[number]

    def gate(self, number: int, action: int, confirmation: int = 0) -> None:
        """Let the PLC tell what it did at the gate."""
        self.plc.gated.append((number, action, confirmation))
        self.pass_time(self.config.plc.poll_ms)

    def facts(self, number: int) -> list[tuple[str, str]]:
        """Return what the journal was told of a part."""
        return [(row.fact, row.detail) for row in self.rows if isinstance(row, Fact) and row.number == number]

    def events(self, kind: str) -> list[Event]:
        return [row for row in self.rows if isinstance(row, Event) and row.kind == kind]

    def counts(self) -> list[Counts]:
        return [row for row in self.rows if isinstance(row, Counts)]

    @property
    def control(self) -> Control:
        """What the gateway tells the PLC, as of its next heartbeat."""
        self.pass_time(self.config.heartbeat_ms)
        return self.plc.control


def guarded(**changes: object) -> Line:
    """Return a line with some limits or reactions of the guard changed."""
    return Line(cfg.GatewayConfig(guard=cfg.GuardConfig.model_validate(changes)))


def press_reset(line: Line) -> None:
    """Press the button at the PLC, and let it go."""
    line.plc.flags |= signals.RESET
    line.pass_time(20)
    line.plc.flags &= ~signals.RESET
    line.pass_time(20)
