"""The gateway: verdicts in, permits out.  One thread, one loop of four verbs: listen, poll, beat, publish.

It holds the same default towards the station as the PLC holds towards it: a part that the PLC counted and for which
no timely PASS came gets no permit.  It decides nothing itself; the register does.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from threading import Event

from edge.clock import NS_PER_MS, NS_PER_S
from edge.config import GatewayConfig
from edge.core.counter import delta
from edge.core.modes import Mode
from edge.core.outcome import Disposition, Outcome
from edge.core.register import Register
from edge.core.session import Decision, Permit
from edge.errors import PlcError, WireError
from edge.gateway.actuation import Actuation
from edge.gateway.desk import Desk
from edge.gateway.link import PlcLink
from edge.gateway.operations import Operations
from edge.gateway.plc.base import PlcDriver
from edge.gateway.plc.signals import Control
from edge.gateway.reporting import status_message
from edge.gateway.stations import Stations
from edge.gateway.transport import Transport
from edge.wire import messages as wire

_log = logging.getLogger(__name__)

_MAX_MESSAGES_PER_TURN = 64
_RECONNECT_NS = 200 * NS_PER_MS


def new_session(previous: int = 0) -> int:
    """Return a random non-zero 31-bit session, never the previous one."""
    while (session := secrets.randbelow((1 << 31) - 1) + 1) == previous:
        pass
    return session


class Gateway:
    """Owns the register and the connections to stations and PLC.

    Args:
        config: from `gateway.toml`.
        driver: the PLC.
        link: what is known of it.
        actuation: how a permit moves the gate.
        register: who may pass.
        operations: mode and alarms.
        transport: to the stations.
        clock: monotonic nanoseconds.
        sessions: makes session numbers, given the previous one.
        desk: where commands wait, if somebody may command.
    """

    def __init__(
        self,
        config: GatewayConfig,
        driver: PlcDriver,
        link: PlcLink,
        actuation: Actuation,
        register: Register,
        operations: Operations,
        transport: Transport,
        clock: Callable[[], int],
        sessions: Callable[[int], int] = new_session,
        desk: Desk | None = None,
    ) -> None:
        self._config, self._driver, self._link = config, driver, link
        self._actuation, self._register = actuation, register
        self.operations = operations
        self._transport, self._desk, self._clock, self._new_session = transport, desk or Desk(), clock, sessions
        self._stations = Stations(config)
        self._session = register.session.gateway
        timing = config.plc_timing
        self._announce_ns = int((timing.write_ms + timing.scan_ms) * NS_PER_MS)
        self._fresh = True  # the next good read begins a session
        self._echoed = (0, 0)  # the station session and recipe that the PLC has echoed with the fence
        self._empty_at: int | None = None  # no station before the belt has come here: identity is in doubt
        self._heard_all = True
        self._last_doubt = ""
        self._doubt = ""  # why the gateway session must end after this turn
        self._beat = 0
        self._poll_ns = self._beat_ns = self._publish_ns = self._retry_ns = 0
        self._turn_ns = clock()
        self.wire_errors = self.plc_errors = self.sessions_granted = self.sessions_lost = 0

    def run(self, stop: Event) -> None:
        """Serve until ``stop`` is set."""
        while not stop.is_set():
            self.turn()

    def close(self) -> None:
        """Switch the output off, if there is one, and close all connections.  The PLC's watchdog does the rest."""
        self._rest()
        self._driver.close()
        self._transport.close()

    def turn(self) -> None:
        """Wait until something is to be done, and do it."""
        self._transport.wait(max(0, -((self._clock() - self.next_ns()) // NS_PER_MS)))
        self.work()

    def next_ns(self) -> int:
        """Return when ``work`` has something to do without being sent anything."""
        due = min(self._poll_ns, self._beat_ns, self._publish_ns)
        switch = self._actuation.due_ns(self._turn_ns)
        return due if switch is None else min(due, switch)

    def work(self) -> None:
        """Run the loop once, without waiting."""
        self._check_own_stall()
        self._listen()
        self._desk.carry_out(self)
        now = self._clock()
        if now >= self._poll_ns:
            self._poll(now)
        if self._register.ambiguous:
            self._resynchronise(now)
        if self._doubt:
            self._begin_anew(self._doubt)
        if self._actuation.switch(self._clock()):
            self._beat_ns = now
        if now >= self._beat_ns:
            self._send_beats(now)
        if now >= self._publish_ns:
            self._publish_ns = now + NS_PER_S
            self._transport.publish(b"gateway", wire.encode(self.status()))

    # -- commands ---------------------------------------------------------------------------------------------------

    def set_mode(self, name: str) -> tuple[bool, str]:
        """Change the mode; whatever is on the belt keeps no permit.  Return whether it was done, and what to say."""
        before = self.operations.mode
        done, text = self.operations.set_mode(name)
        if self.operations.mode is not before:
            self._begin_anew(f"mode {self.operations.mode.value}")
        return done, text

    def reset(self, who: str) -> str:
        """Clear latched alarms whose condition has ended."""
        return self.operations.reset(who)

    def status(self) -> wire.GatewayStatus:
        """Return counters and state."""
        return status_message(self._config, self._register, self._link, self._stations, self)

    # -- listen -----------------------------------------------------------------------------------------------------

    def _check_own_stall(self) -> None:
        """After a pause longer than the PLC's patience, whatever was known is in doubt: begin anew, first of all."""
        now = self._clock()
        if now - self._turn_ns > self._config.plc.stale_ms * NS_PER_MS:
            self._begin_anew("the gateway was held up")
        self._turn_ns = now

    def _listen(self) -> None:
        patience_ns = self._config.plc.stale_ms * NS_PER_MS / 3  # a slow PLC takes its time for each permit
        for _ in range(_MAX_MESSAGES_PER_TURN):
            if self._clock() - self._turn_ns > patience_ns or self._doubt or self._register.ambiguous:
                break
            if (frames := self._transport.receive()) is None:
                self._heard_all = True
                return
            try:
                if len(frames) != 2:
                    raise WireError(f"A message has {len(frames)} parts instead of 2.", "find who sends it.")
                self._handle(frames[0], wire.decode_to_gateway(frames[1]))
            except WireError:
                self.wire_errors += 1
        self._heard_all = False  # a heartbeat may wait behind the rest

    def _handle(self, identity: bytes, message: wire.ToGateway) -> None:
        now = self._clock()
        if isinstance(message, wire.Hello):
            self._greet(identity, message, now)
        elif not self._stations.is_current(identity):
            revoke = wire.Revoke(session=message.session, reason="this session has ended")
            self._transport.send(identity, wire.encode(revoke))
        elif isinstance(message, wire.Announce):
            self._register.announce(message.session, message.part, message.count)
        elif isinstance(message, wire.Verdict):
            self._judge(message, now)
        elif isinstance(message, wire.Heartbeat):
            self._stations.beat(message, now)
        elif message.session != self._stations.session:
            return
        elif isinstance(message, wire.Recipe):
            if message.recipe_number != self._stations.recipe_number:
                self._stations.recipe_number = message.recipe_number  # parts are held until the PLC has echoed it
                self._beat_ns = now
        else:
            self._revoke("the station said goodbye")

    def _judge(self, message: wire.Verdict, now: int) -> None:
        try:
            outcome = Outcome(message.outcome)
        except ValueError:
            raise WireError(f"Outcome {message.outcome!r} is unknown.", "update the older end.") from None
        count_now = self._link.count_now(now)
        self._act(self._register.verdict(message.session, message.part, message.count, outcome, count_now), now)

    def _greet(self, identity: bytes, hello: wire.Hello, now: int) -> None:
        refusal = self._stations.refusal(identity, hello, now) or self._not_now()
        if refusal is not None:
            self._transport.send(identity, wire.encode(refusal))
            return
        session = self._grant(now)
        self._stations.admit(identity, hello, session, now)
        self._write_control()  # the PLC knows of the fence before the station may use its session
        if self._clock() - now > self._announce_ns:
            self._revoke("the PLC took too long to learn of the session's fence")
        elif self._stations.is_current(identity):
            self._transport.send(identity, wire.encode(self._stations.grant(self._register.session)))

    def _not_now(self) -> wire.Refuse | None:
        if not self._link.armed or self._link.status is None:
            return wire.Refuse(reason=self._link.reason, remedy="wait, or check the PLC and its cable.")
        if not self.operations.mode.admits:
            return wire.Refuse(reason=f"the mode is {self.operations.mode.value}", remedy="set mode auto.")
        if self._empty_at is not None:
            return wire.Refuse(reason="parts of doubtful identity are on the belt", remedy="let it run empty.")
        return None

    def _grant(self, now: int) -> int:
        # The PLC learns of the fence one write and one scan from now, and the belt runs on until then.
        session = self._register.grant(self._new_session(0), self._link.count_now(now + self._announce_ns))
        self.sessions_granted += 1
        self._last_doubt = ""
        return session.station

    def _revoke(self, reason: str) -> None:
        identity = self._stations.identity
        if identity is not None:
            revoke = wire.Revoke(session=self._stations.session, reason=reason)
            self._transport.send(identity, wire.encode(revoke))
        self._stations.dismiss()
        self._register.revoke()
        self._beat_ns = 0

    # -- poll -------------------------------------------------------------------------------------------------------

    def _poll(self, now: int) -> None:
        self._poll_ns = now + int(self._config.plc.poll_ms * NS_PER_MS)
        if now < self._retry_ns:
            return
        try:
            status = self._driver.read()
        except PlcError as error:
            self.plc_errors += 1
            self._retry_ns = now + _RECONNECT_NS
            self._begin_anew(error.problem)
            return
        asked, now = now, self._clock()
        armed = self._link.armed
        if not self._link.take(status, self._session, asked, now):
            self.sessions_lost += armed  # the link no longer says so itself
            self._begin_anew(self._link.reason)
            return
        if self._fresh:
            self._fresh = False
            self._actuation.restart(status)
            self._register.restart(status.session, self._session, status.epoch, status.last_part)
            self.operations.resume(status)
            if self._empty_at is not None:
                self._empty_at = self._register.fence(status.count)  # in this session's counts
            return
        if not self._link.armed:
            self._actuation.restart(status)  # what it echoes of earlier sessions may still change
        if status.epoch != self._register.session.epoch:
            self._begin_anew("the encoder epoch changed")
            return
        if self._register.highest is not None and delta(status.last_part, self._register.highest) < 0:
            self._begin_anew("the PLC's part counter went back")
            return
        self._follow(now)

    def _follow(self, now: int) -> None:
        """Bring the register up to what the PLC has counted, echoed and gated."""
        status, register = self._link.status, self._register
        assert status is not None
        count_now = self._link.count_now(now)
        if self._empty_at is not None and delta(status.count, self._empty_at) >= 0:
            self._empty_at = None
        register.withheld = self.operations.withheld
        self._take_echo()
        highest = register.highest
        for number, count in status.parts if status.last_part != highest else ():
            if highest is None or delta(number, highest) > 0:
                self._actuation.counted(number, count)
                if (decision := register.plc_part(number, count, count_now)) is not None:
                    self._act(decision, now)
                if self._stations.wants_counts:
                    self._tell(wire.Counted(session=self._stations.session, part=number, count=count))
        if register.moved(status.count):
            self._actuation.went_back()
        executed, doubt = self._actuation.follow(status, count_now)
        self._doubt = self._doubt or doubt
        for number in executed:
            if register.executed(number):
                self._tell(wire.Executed(session=self._stations.session, part=number, echoed_ns=now))
        for decision in register.advance(count_now):
            self._act(decision, now)
        if self._heard_all and self._stations.is_stale(now):
            self._revoke("the station fell silent or its loop stands still")
        self._doubt = self._doubt or self.operations.watch(status, register, now)

    def _take_echo(self) -> None:
        """Note what the PLC echoes: only then may it let parts in.  In mode bypass the lane needs no station."""
        status, session = self._link.status, self._register.session
        assert status is not None
        self._register.bypass = self.operations.mode is Mode.BYPASS and not self.operations.alarms.rejects
        if self._register.bypass and self._link.armed and session.station == 0:
            self._grant(self._clock())
            self._beat_ns = 0  # the PLC learns of it at once
        if (status.station_session, status.fence) == (session.station, session.fence):
            self._echoed = session.station, status.recipe

    def _resynchronise(self, now: int) -> None:
        """Hold parts back and let the belt run until nothing is on it whose identity is in doubt; then begin anew."""
        self._empty_at = self._register.fence(self._link.count_now(now))
        self._doubt = self._register.ambiguous
        self._register.ambiguous = ""

    def _begin_anew(self, reason: str) -> None:
        """End the gateway session, and with it the station's.  The next good read of the PLC begins a new one."""
        reason = reason.rstrip(".")
        if reason != self._last_doubt:
            _log.warning("The gateway's session ended: %s.", reason)
        self._last_doubt = reason
        self.sessions_lost += self._link.armed
        self._rest()
        self._revoke(reason)
        self._link.doubt(reason)
        self._doubt = ""
        self._session = self._new_session(self._session)
        self._register.suspend()
        self._fresh = True

    def _rest(self) -> None:
        """Switch the gateway's own output off at once; where that fails, its watchdog does it."""
        if self._actuation.output:
            self._actuation.output = False
            with suppress(PlcError):
                self._driver.write_control(self._control())

    # -- act --------------------------------------------------------------------------------------------------------

    def _act(self, decision: Decision, now: int) -> None:
        disposition = decision.disposition
        if decision.permit is not None and not self._give(decision.permit):
            disposition = Disposition.UNPERMITTED
        if decision.answers:
            session, part = self._stations.session, decision.number
            self._tell(wire.Ack(session=session, part=part, disposition=disposition.value, accepted_ns=now))

    def _give(self, permit: Permit) -> bool:
        if not self._doubt:
            try:
                if self._actuation.give(permit):
                    return True
            except PlcError as error:
                self.plc_errors += 1
                self._doubt = error.problem
                return True  # whether it arrived is unknown: begin anew after this turn, and let the gate tell
        self._register.permit_failed(permit.number)
        return False

    def _tell(self, message: wire.ToStation) -> None:
        identity = self._stations.identity
        if identity is not None and not self._transport.send(identity, wire.encode(message)):
            self._revoke("the station's connection is gone")

    # -- beat -------------------------------------------------------------------------------------------------------

    def _send_beats(self, now: int) -> None:
        self._beat_ns = now + int(self._config.heartbeat_ms * NS_PER_MS)
        self._beat += 1
        self._write_control()
        count, mode = self._link.count_now(now), self.operations.mode.value
        self._tell(wire.GatewayBeat(beat=self._beat, plc_ok=self._link.armed, count=count, mode=mode))

    def _write_control(self) -> None:
        if self._link.status is None or self._fresh:
            return
        try:
            self._driver.write_control(self._control())
        except PlcError as error:
            self.plc_errors += 1
            self._begin_anew(error.problem)

    def _control(self) -> Control:
        session, stations = self._register.session, self._stations
        echoed = session.station != 0 and self._echoed == (session.station, stations.recipe_number)
        return Control(
            heartbeat=self._beat,
            ready=self.operations.feeds and echoed and (stations.ready or self._register.bypass),
            stop=self.operations.alarms.stops,
            gateway_session=session.gateway,
            station_session=session.station,
            fence=session.fence,
            recipe=stations.recipe_number,
            epoch=session.epoch,
            fail_safe=self._config.fail_safe,
            output=self._actuation.output,
            plc_session=session.plc,
        )
