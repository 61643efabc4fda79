"""The line of `edge bench gateway`: a production gateway between a PLC and stations in memory, on a clock of its own.

Parts end in every way that the register tells apart, and again and again station or PLC break off.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from edge.clock import NS_PER_MS, NS_PER_S
from edge.config import GatewayConfig, PlcConfig
from edge.core.counter import wrap
from edge.core.outcome import Outcome
from edge.core.register import Register
from edge.core.session import Permit
from edge.errors import PlcError
from edge.gateway.geometry import geometry
from edge.gateway.plc import signals
from edge.gateway.plc.base import PlcDriver
from edge.gateway.run import assemble
from edge.gateway.sessions import new_session
from edge.wire import messages as wire

PERIOD_MS = 100
"""Between two parts; the gateway turns, polls and beats once a part, which is enough to follow all of them."""

BREAK_EVERY = 1000
RECIPE = 7
_FIRST_COUNT = (1 << 32) - 50_000_000  # wraps after 50,000 parts
_PAST_EYE = 200  # counts, when the PLC is read
_SILENT_TURNS = 5
_UNKNOWN_PART, _CLEARED = 3, 8  # of signals.PERMIT_STATUS


class Line:
    """A gateway between a PLC and a station in memory."""

    def __init__(self) -> None:
        config = GatewayConfig(
            heartbeat_ms=PERIOD_MS, plc=PlcConfig(poll_ms=PERIOD_MS, timeout_ms=1, stale_ms=5 * PERIOD_MS)
        )
        self._now_ns = NS_PER_S
        self._network = Network()
        distances = geometry(config)
        self.plc = Plc(distances.pitch, distances.gate)
        self.station = Station(config, self._network, self.plc.place)
        self.register = Register(distances, new_session())
        self.gateway = assemble(config, self.plc, self._network, clock=lambda: self._now_ns, register=self.register)

    def part(self) -> None:
        """Let one more part meet the eye, and everything happen that follows within a period."""
        self._now_ns += PERIOD_MS * NS_PER_MS
        number = self.plc.count_part()
        if number % BREAK_EVERY == 0:
            self._break_off(number)
        self.station.speak(number)
        self.gateway.work()
        self.station.hear()

    def _break_off(self, number: int) -> None:
        """End the session in one of five ways by turns."""
        how = number // BREAK_EVERY % 5
        if how == 0:
            self.plc.disappear()
        elif how == 1:
            self.plc.restart()
        elif how == 2:
            self.station.leave()
        elif how == 3:
            self.station.fall_silent()
        else:
            self.station.mistake(number)


class Network:
    """A transport that holds what was sent until it is taken."""

    def __init__(self) -> None:
        self.to_gateway: deque[list[bytes]] = deque()
        self.to_station: deque[bytes] = deque()
        self.strangers = 0

    def wait(self, most_ms: int) -> None:
        """Return at once: the clock moves by itself."""

    def receive(self) -> list[bytes] | None:
        """Return the oldest message for the gateway."""
        return self.to_gateway.popleft() if self.to_gateway else None

    def send(self, identity: bytes, data: bytes) -> bool:  # noqa: ARG002 (there is one station at a time)
        """Keep a message for the station."""
        self.to_station.append(data)
        return True

    def admits(self, _sender: bytes, _station: str, _lane: int, /) -> bool:
        """There are no strangers here."""
        return True

    def publish(self, topic: bytes, data: bytes) -> None:
        """Nobody listens."""

    def close(self) -> None:
        """There is no socket."""


class Plc(PlcDriver):
    """The registers of a PLC that counts a part a pitch, arms what it is sent and opens the gate for it.

    Args:
        pitch, gate: of the parts, and from eye to gate; counts.
    """

    def __init__(self, pitch: int, gate: int) -> None:
        self._pitch, self._behind = pitch, -(-gate // pitch)  # parts from eye to gate
        self._words = [0] * signals.STATUS_LENGTH
        self._words[0:4] = [signals.MAP_VERSION, 0, signals.RUNNING | signals.BELT_MOVING, signals.FAIL_SAFE["reject"]]
        self._session = 1
        self._armed: dict[int, tuple[int, int]] = {}  # part -> slot and sequence
        self._gone = False
        self.number = 0
        self._put(4, self._session)

    def place(self, number: int) -> int:
        """Return the count that is latched for a part; one of a hundred comes too close to its forerunner."""
        touching = self._pitch // 4 if number % 100 == 90 else 0
        return wrap(_FIRST_COUNT + number * self._pitch - touching)

    def count_part(self) -> int:
        """Let the belt run on by a pitch: one more part meets the eye, and an older one the gate."""
        self.number += 1
        self._put(6, wrap(self.place(self.number) + _PAST_EYE))
        self._put(8, self.number)
        at = signals.TRIGGERS_AT + 4 * (self.number % signals.TRIGGERS)
        self._put(at, self.number)
        self._put(at + 2, self.place(self.number))
        if self.number > self._behind:
            self._meet_gate(self.number - self._behind)
        return self.number

    def disappear(self) -> None:
        """Fail the next read."""
        self._gone = True

    def restart(self) -> None:
        """Begin a new session without permits."""
        self._session += 1
        self._put(4, self._session)
        self._withdraw()

    def read(self) -> signals.PlcStatus:
        """Translate the registers, as the Modbus driver does."""
        if self._gone:
            self._gone = False
            raise PlcError("The PLC did not answer.", "it will.")
        self._words[1] = (self._words[1] + 1) & 0xFFFF
        return signals.parse_status(self._words)

    def write_control(self, control: signals.Control) -> None:
        """Echo sessions and fence; a new gateway session withdraws the permits of the old one."""
        words = signals.control_words(control)
        if words[2:4] != self._words[10:12]:
            self._withdraw()
        self._words[10:17] = words[2:9]  # sessions, fence and recipe lie in the same order
        self._words[17] = control.epoch

    def write_permit(self, slot: int, permit: Permit, sequence: int) -> None:
        """Arm the permit, or refuse it for one part of five hundred."""
        signals.permit_words(permit, sequence)
        refused = permit.number % 500 == 210
        self._echo(slot, sequence, _UNKNOWN_PART if refused else signals.ARMED)
        if not refused:
            self._armed[permit.number] = slot, sequence

    def close(self) -> None:
        """There is no connection."""

    def _meet_gate(self, number: int) -> None:
        slot, sequence = self._armed.pop(number, (-1, 0))
        at = signals.GATED_AT + 4 * (number % signals.GATED)
        self._put(at, number)
        self._words[at + 2] = signals.ACTION_GOOD if slot >= 0 else signals.ACTION_REJECTED
        self._words[at + 3] = signals.CONFIRMED
        if slot >= 0 and self._words[signals.ECHOES_AT + 2 * slot] == sequence:
            self._echo(slot, sequence, signals.EXECUTED)

    def _withdraw(self) -> None:
        for slot, sequence in self._armed.values():
            if self._words[signals.ECHOES_AT + 2 * slot] == sequence:
                self._echo(slot, sequence, _CLEARED)
        self._armed.clear()

    def _echo(self, slot: int, sequence: int, status: int) -> None:
        at = signals.ECHOES_AT + 2 * slot
        self._words[at : at + 2] = sequence, status

    def _put(self, at: int, value: int) -> None:
        self._words[at : at + 2] = signals.words(value)


class Station:
    """Plays every station in turn.  Of a hundred parts some are judged late, twice, not at all, or not announced."""

    def __init__(self, config: GatewayConfig, network: Network, place: Callable[[int], int]) -> None:
        self._network, self._place = network, place
        self._hello = wire.Hello(
            station="bench",
            lane=config.lane,
            instance="bench",
            recipe="bench",
            recipe_number=RECIPE,
            line_digest=config.line.digest(),
            fail_safe=config.fail_safe,
            wants_counts=False,
        )
        self._life = self._silent = self._session = 0
        self._identity = b"0"

    def speak(self, newest: int) -> None:
        """Send what a station would send as the PLC counts part ``newest``."""
        if self._silent:
            self._silent -= 1
        elif not self._session:
            self._say(self._hello)
        else:
            closed = newest - 1
            self._say(wire.Heartbeat(
                session=self._session, beat=newest, ready=True, triggers=newest, frames=newest, closed=closed, open=1
            ))  # fmt: skip
            if newest % 2 == 0 and newest % 100 != 40:  # the others are announced by their verdicts alone
                self._say(wire.Announce(session=self._session, part=newest, count=self._place(newest)))
            self._judge(closed)
            if (newest - 6) % 100 == 50:
                self._verdict(newest - 6)  # late

    def hear(self) -> None:
        """Take the gateway's answers."""
        while self._network.to_station:
            message = wire.decode_to_station(self._network.to_station.popleft())
            if isinstance(message, wire.Grant):
                self._session = message.session
            elif isinstance(message, wire.Revoke):
                self._session = 0

    def leave(self) -> None:
        """End in order; another one starts."""
        self._say(wire.Goodbye(session=self._session))
        self._restart()

    def fall_silent(self) -> None:
        """Die; another one starts after the gateway has noticed."""
        self._silent = _SILENT_TURNS
        self._restart()

    def mistake(self, newest: int) -> None:
        """Give a part the count of another one, so that identity is in doubt, and send what is no message."""
        self._verdict(newest - 1, count=self._place(newest))
        self._network.to_gateway.append([self._identity, b"{"])

    def _judge(self, number: int) -> None:
        how = number % 100
        if how in (40, 50):  # never, or late
            return
        self._verdict(number)
        if how == 60:
            self._verdict(number)
        elif how == 70:
            self._verdict(number + 1_000_000_000, count=self._place(number))
        elif how == 80:
            self._verdict(number, session=self._session ^ 1)

    def _verdict(self, number: int, count: int | None = None, session: int | None = None) -> None:
        outcome = {3: Outcome.REJECT, 7: Outcome.NO_DECISION}.get(number % 10, Outcome.PASS)
        self._say(wire.Verdict(
            session=self._session if session is None else session,
            part=number,
            count=self._place(number) if count is None else count,
            outcome=outcome.value,
            cause="bench",
        ))  # fmt: skip

    def _restart(self) -> None:
        self._life += 1
        self._identity, self._session = str(self._life).encode(), 0

    def _say(self, message: wire.Message) -> None:
        self._network.to_gateway.append([self._identity, wire.encode(message)])
