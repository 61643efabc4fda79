"""The gateway over real sockets, with a PLC in memory behind the driver's four calls and stations that the test plays.

The line is slow (100 mm/s, 1 count/ms), so that what a busy test machine loses in time moves the belt by little.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from edge import config as cfg
from edge.clock import NS_PER_S
from edge.core.counter import delta
from edge.core.register import Permit, Register
from edge.errors import PlcError
from edge.gateway.plc.base import PlcDriver
from edge.gateway.plc.signals import ACTION_GOOD, ARMED, GATEWAY_ALIVE, PERMIT_SLOTS, RUNNING, Control, PlcStatus
from edge.gateway.server import Gateway, geometry
from edge.wire import messages as wire
from edge.wire.sockets import Context, connect, receive

PATIENCE_S = 10.0
LATE = 5
STEP = 400  # counts between two reads: less than half a pitch, so the gateway believes them at any speed

NOTHING = Control(0, False, 0, 0, 0, 0, 0, "reject")
LINE = cfg.LineConfig(speed_min_mm_s=100.0, speed_max_mm_s=100.0)
HELLO = wire.Hello(
    station="s", lane=0, instance="i", recipe="r", recipe_number=7, line_digest=LINE.digest(), fail_safe="reject"
)


class Plc(PlcDriver):
    """A PLC that echoes what it is told, at once, until a test says otherwise."""

    def __init__(self) -> None:
        self.session, self.epoch, self.heartbeat = 900, 3, 0
        self.count = self.goal = 4_294_960_000  # the counter wraps on the way
        self.last_part, self.parts = 100, list[tuple[int, int]]()
        self.gated: list[tuple[int, int]] = [(0, 0)]
        self.control = NOTHING
        self.permits: list[Permit] = []
        self.echoes = [(0, 0)] * PERMIT_SLOTS
        self.echo: int | None = ARMED
        self.gone = self.refuses_permits = self.deaf = self.forgets_station = False

    def read(self) -> PlcStatus:
        if self.gone:
            raise PlcError("The PLC is gone.", "plug it in.")
        self.heartbeat = (self.heartbeat + 1) & 0xFFFF
        self.count = (self.count + min(STEP, delta(self.goal, self.count))) % (1 << 32)
        told = NOTHING if self.deaf else self.control
        station = 0 if self.forgets_station else told.station_session
        parts = tuple(part for part in self.parts[-12:] if part[0] <= self.last_part)
        return PlcStatus(
            self.heartbeat, RUNNING | GATEWAY_ALIVE, 1, self.session, self.count, self.last_part, told.gateway_session,
            station, told.fence, told.recipe, self.epoch, parts, tuple(self.echoes), tuple(self.gated[-8:]),
        )  # fmt: skip

    def write_control(self, control: Control) -> None:
        self.control = control

    def write_permit(self, slot: int, permit: Permit, sequence: int) -> None:
        self.permits.append(permit)
        if self.refuses_permits:
            raise PlcError("The permit was not taken.", "look at the PLC.")
        if self.echo is not None:
            self.echoes[slot] = (sequence, self.echo)

    def close(self) -> None:
        self.gone = True


class Station:
    """A station's end of a socket."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.socket = connect(line.context, zmq.DEALER, line.config.bind)
        assert self.socket.poll(int(PATIENCE_S * 1000), zmq.POLLOUT)
        self.heard: list[wire.ToStation] = []
        self.grant: wire.Grant

    def say(self, message: wire.ToGateway | bytes) -> None:
        self.socket.send(message if isinstance(message, bytes) else wire.encode(message))

    def all(self, kind: type[Any]) -> list[Any]:  # that the gateway has said
        while (frames := receive(self.socket)) is not None:
            self.heard.append(wire.decode_to_station(frames[-1]))
        return [m for m in self.heard if isinstance(m, kind)]

    def ask(self, message: wire.ToGateway | bytes, kind: type[Any]) -> Any:  # and wait for an answer of that kind
        before = len(self.all(kind))
        self.say(message)
        self._line.until(lambda: len(self.all(kind)) > before)
        return self.all(kind)[-1]

    def join(self) -> Station:  # and wait until its fence lies behind
        self.grant = self.ask(HELLO, wire.Grant)
        self._line.travel(delta(self.grant.fence, self._line.plc.count))
        return self

    def verdict(self, number: int, outcome: str = "PASS", count: int | None = None) -> wire.Verdict:
        latched = self._line.latched(number) if count is None else count
        return wire.Verdict(session=self.grant.session, part=number, count=latched, outcome=outcome, cause="")

    def revoked(self) -> str:  # after waiting for it
        self._line.until(lambda: any(m.session == self.grant.session for m in self.all(wire.Revoke)))
        return next(str(m.reason) for m in self.all(wire.Revoke) if m.session == self.grant.session)


class Line:
    """A gateway between a PLC in memory and stations."""

    def __init__(self, folder: Path, context: Context) -> None:
        self.context = context
        plc, telemetry = cfg.PlcConfig(poll_ms=1, stale_ms=10_000), cfg.TelemetryConfig(endpoint=f"ipc://{folder}/t")
        self.config = cfg.GatewayConfig(
            bind=f"ipc://{folder}/g", line=LINE, heartbeat_ms=1, stale_ms=10_000, plc=plc, telemetry=telemetry
        )
        self.plc = Plc()
        self.register = Register(geometry(self.config), 17)
        self.gateway = Gateway(self.config, self.plc, self.register, context)
        self.stations: list[Station] = []

    def until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end, f"it never came to that; heard: {[s.heard[-9:] for s in self.stations]}"
            self.gateway.turn()

    def reads(self, more: int = 3) -> None:
        goal = self.plc.heartbeat + more
        self.until(lambda: self.plc.heartbeat >= goal)

    def armed(self) -> Line:
        self.until(lambda: self.gateway._link.armed)
        return self

    def station(self) -> Station:
        self.stations.append(Station(self))
        return self.stations[-1]

    def travel(self, counts: int) -> None:
        self.plc.goal = (self.plc.goal + counts) % (1 << 32)
        self.until(lambda: self.plc.count == self.plc.goal)

    def part(self, number: int) -> int:  # which the PLC's eye counts here and now
        self.plc.parts, self.plc.last_part = [*self.plc.parts, (number, self.plc.count)], number
        self.reads()
        return number

    def latched(self, number: int) -> int:
        return dict(self.plc.parts)[number]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with zmq.Context[zmq.Socket[bytes]]() as context:
        made = Line(tmp_path, context)
        yield made
        assert made.register.reconciles()
        made.gateway.close()
        for station in made.stations:
            station.socket.close()


def test_a_session_is_granted_only_once_the_plc_is_armed(line: Line) -> None:
    line.plc.deaf = True
    station = line.station()
    assert "PLC" in station.ask(HELLO, wire.Refuse).reason
    line.plc.deaf = False
    line.armed()
    before = line.plc.count
    grant = station.ask(HELLO, wire.Grant)
    assert (grant.plc_session, grant.epoch, grant.fail_safe) == (900, 3, "reject")
    assert grant.gateway_session == line.plc.control.gateway_session != 0
    assert delta(grant.fence, before) >= 6000, "trigger to gate, and a pitch"


def test_a_pass_is_one_permit_and_nothing_else_is_any(line: Line) -> None:
    station = line.armed().station().join()
    for number, outcome in ((101, "PASS"), (102, "REJECT"), (103, "NO_DECISION")):
        station.say(wire.Announce(session=station.grant.session, part=line.part(number), count=line.latched(number)))
        assert station.ask(station.verdict(number, outcome), wire.Ack).disposition == "ACCEPTED"
    assert station.ask(station.verdict(101), wire.Ack).disposition == "DUPLICATE"
    assert [(p.number, p.count) for p in line.plc.permits] == [(101, line.latched(101))]
    assert line.plc.permits[0].session == line.register.session
    line.reads()
    line.plc.gated += [(102, ACTION_GOOD), (101, ACTION_GOOD)]
    line.reads(9)
    assert [m.part for m in station.all(wire.Executed)] == [101]
    counts = line.register.counts
    assert (counts.permitted, counts.executed, counts.plc_triggers, line.register.pending) == (1, 1, 3, 0)


def test_a_verdict_waits_for_the_plcs_own_count(line: Line) -> None:
    station = line.armed().station().join()
    station.say(station.verdict(101, count=line.plc.count))
    line.reads(9)
    assert (station.all(wire.Ack), line.plc.permits) == ([], [])
    line.part(101)
    assert [(m.part, m.disposition) for m in station.all(wire.Ack)] == [(101, "ACCEPTED")]
    assert [p.number for p in line.plc.permits] == [101]


def test_a_second_station_is_refused_while_the_first_one_lives(line: Line) -> None:
    first, second = line.armed().station().join(), line.station()
    assert "holds lane" in second.ask(HELLO, wire.Refuse).reason
    line.gateway._stations._heard_ns -= 60 * NS_PER_S  # the first one fell silent
    assert "silent" in first.revoked()
    second.join()
    line.part(101)
    first.ask(first.verdict(101), wire.Revoke)
    assert line.plc.permits == []


BREAKS: dict[str, Callable[[Line], None]] = {
    "gone": lambda line: setattr(line.plc, "gone", True),
    "restarted": lambda line: setattr(line.plc, "session", 901),
    "honours": lambda line: setattr(line.plc, "deaf", True),
    "epoch": lambda line: setattr(line.plc, "epoch", 4),
    "went back": lambda line: setattr(line.plc, "last_part", 100),
    "jumped": lambda line: setattr(line.plc, "count", line.plc.count - 100_000),
    "held up": lambda line: setattr(line.gateway, "_turn_ns", 0),
}


@pytest.mark.parametrize("reason", BREAKS)
def test_whatever_is_in_doubt_begins_anew(line: Line, reason: str) -> None:
    station = line.armed().station().join()
    line.part(101)
    before = line.plc.control.gateway_session
    BREAKS[reason](line)
    assert reason in station.revoked()
    station.say(station.verdict(101))
    line.plc.gone = line.plc.deaf = False
    line.armed().reads()
    station.join()
    assert station.grant.gateway_session != before
    assert (station.grant.plc_session, station.grant.epoch) == (line.plc.session, line.plc.epoch)
    assert line.plc.permits == []
    station.ask(station.verdict(line.part(102)), wire.Ack)
    assert [p.number for p in line.plc.permits] == [102]


def test_after_its_own_stall_no_message_is_handled_before_the_session_has_ended(line: Line) -> None:
    station = line.armed().station().join()
    station.say(station.verdict(line.part(101)))
    assert line.gateway._router.poll(int(PATIENCE_S * 1000))
    line.gateway._turn_ns = 0
    line.gateway.turn()
    assert "held up" in station.revoked()
    assert (station.all(wire.Ack), line.plc.permits) == ([], [])


def test_a_permit_that_could_not_be_written_is_not_tried_again(line: Line) -> None:
    station = line.armed().station().join()
    line.plc.refuses_permits = True
    assert station.ask(station.verdict(line.part(101)), wire.Ack).disposition == "UNPERMITTED"
    assert "not taken" in station.revoked()
    line.armed().reads(9)
    assert ([p.number for p in line.plc.permits], line.register.counts.permitted) == ([101], 0)


def test_a_permit_that_the_plc_refuses_is_counted_as_none(line: Line) -> None:
    station = line.armed().station().join()
    line.plc.echo = LATE
    station.ask(station.verdict(line.part(101)), wire.Ack)
    line.reads()
    line.plc.gated.append((101, ACTION_GOOD))
    line.reads()
    assert (line.register.counts.executed, line.register.counts.rejected) == (0, {"permit_late": 1})


def test_a_permit_that_the_plc_never_echoes_ends_the_session_and_the_next_one_works(line: Line) -> None:
    station = line.armed().station().join()
    line.plc.echo = None
    station.ask(station.verdict(line.part(101)), wire.Ack)
    line.travel(4000)
    assert not station.all(wire.Revoke)
    line.travel(1500)
    assert "did not echo" in station.revoked()
    line.plc.echo = ARMED
    line.armed().reads(9)
    assert line.gateway.sessions_lost == 1
    station.join()
    station.ask(station.verdict(line.part(102)), wire.Ack)
    line.reads()
    assert (line.register.counts.permitted, line.register.counts.rejected) == (1, {"session_lost": 1})


@pytest.mark.parametrize(
    "garbage",
    [
        wire.encode(HELLO).replace(b'"recipe_number":7', b'"recipe_number":70000'),
        wire.encode(HELLO).replace(b'"recipe_number":7', b'"recipe_number":-1'),
        b'{"x":' * 2_000,
        b'{"kind":"announce","session":' + b"9" * 5000 + b',"part":1,"count":1}',
        b'{"kind":"announce","session":1,"part":-1,"count":1}',
    ],
)
def test_garbage_is_counted_and_the_loop_goes_on(line: Line, garbage: bytes) -> None:
    station = line.armed().station().join()
    station.say(garbage)
    station.ask(station.verdict(line.part(101)), wire.Ack)
    assert (line.gateway.wire_errors, station.all(wire.Revoke)) == (1, [])
    assert [p.number for p in line.plc.permits] == [101]


def test_a_verdict_of_another_session_or_of_no_known_outcome_has_no_effect(line: Line) -> None:
    station = line.armed().station().join()
    line.part(101)
    station.say(station.verdict(101, outcome="PASS?"))
    station.say(msgspec.structs.replace(station.verdict(101), session=station.grant.session + 1))
    line.until(lambda: line.register.counts.dispositions["OLD_SESSION"] == 1)
    assert (line.gateway.wire_errors, line.plc.permits) == (1, [])


def test_the_goodbye_of_an_old_session_does_not_end_the_new_one(line: Line) -> None:
    station = line.armed().station().join()
    old = station.grant.session
    station.join()
    station.say(wire.Goodbye(session=old))
    station.ask(station.verdict(line.part(101)), wire.Ack)
    assert line.register.session.station == station.grant.session
    station.say(wire.Goodbye(session=station.grant.session))
    assert ("goodbye" in station.revoked(), line.register.session.station) == (True, 0)


def test_ready_only_after_the_plc_has_echoed_session_fence_and_recipe(line: Line) -> None:
    line.plc.forgets_station = True
    station = line.armed().station()
    station.grant = station.ask(HELLO, wire.Grant)
    session = station.grant.session
    beat = wire.Heartbeat(session=session, beat=1, ready=True, triggers=0, frames=0, closed=0, open=0)
    station.say(beat)
    line.until(lambda: line.gateway._stations.ready)
    line.reads(9)
    control = line.plc.control
    assert (control.station_session, control.fence, control.recipe) == (session, station.grant.fence, 7)
    assert not control.ready
    line.plc.forgets_station = False
    line.until(lambda: line.plc.control.ready)
