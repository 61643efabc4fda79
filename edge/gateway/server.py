"""The gateway: verdicts in, permits out.  One thread, one loop of four verbs: listen, poll, beat, publish.

It holds the same default towards the station as the PLC holds towards it: a part that the PLC counted and for which
no timely PASS came gets no permit.  It decides nothing itself; the register does.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

from edge import flight
from edge.clock import NS_PER_MS, NS_PER_S, wall_iso
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
from edge.gateway.plc.signals import PlcStatus
from edge.gateway.progress import PLC, TELEMETRY
from edge.gateway.recorder import CHANGES_NS, COUNTS_NS, Recorder, said_under
from edge.gateway.reporting import status_message
from edge.gateway.sessions import Sessions, new_session
from edge.gateway.stations import Stations
from edge.gateway.telling import Telling
from edge.gateway.transport import Transport
from edge.wire import messages as wire

_MAX_MESSAGES_PER_TURN = 64
_RECONNECT_NS = 200 * NS_PER_MS
"""How long a PLC that failed is left alone, and how fast sessions may follow each other: nonsense fills no disk."""


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
        recorder: tells the journal.
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
        recorder: Recorder,
        clock: Callable[[], int],
        sessions: Callable[[int], int] = new_session,
        desk: Desk | None = None,
    ) -> None:
        self._config, self._driver, self._link = config, driver, link
        self._actuation, self._register = actuation, register
        self.operations, self.recorder = operations, recorder
        self._transport, self._desk, self._clock = transport, desk or Desk(), clock
        self._stations = Stations(config, transport.admits)
        self.sessions = Sessions(config, link, register, operations, self._stations, transport, recorder, sessions)
        self._telling = Telling(config, driver, register, operations, self._stations, self.sessions, actuation)
        self._every_ns = int(config.plc.poll_ms * NS_PER_MS)
        self._heard_all = True
        self._doubt = ""  # why the gateway session must end after this turn
        self._read: PlcStatus | None = None  # the last block, trusted or not any more
        self._poll_ns = self._beat_ns = self._publish_ns = self._retry_ns = 0
        self._begun_ns = -_RECONNECT_NS  # when the last gateway session began
        self._turn_ns = clock()
        self.started_wall = wall_iso()
        self.wire_errors = self.plc_errors = self._polls = self._published = 0

    def run(self, stop: Event, turned: Callable[[int], None] = lambda _: None) -> None:
        """Serve until ``stop`` is set; after each turn ``turned`` is told when it began."""
        while not stop.is_set():
            self.turn()
            turned(self._turn_ns)

    def marks(self) -> dict[str, int | None]:
        """Return how far the loop's own tasks have come; see ``edge.progress``."""
        return {PLC: self._polls, TELEMETRY: self._published}

    def close(self) -> None:
        """Switch the output off, if there is one, and close all connections.  The PLC's watchdog does the rest.

        What is on the belt is recorded as ended: from here on nobody will hear of it.
        """
        self._telling.rest()
        self._register.stop()
        self._note(self._clock())
        self._record_counts()
        self._driver.close()
        self._transport.close()

    def turn(self) -> None:
        """Wait until something is to be done, and do it."""
        self._transport.wait(max(0, -((self._clock() - self.next_ns()) // NS_PER_MS)))
        self.work()

    def next_ns(self) -> int:
        """Return when ``work`` has something to do without being sent anything."""
        if self.sessions.changed:
            return 0
        due = min(self._poll_ns, self._beat_ns, self._publish_ns)
        switch = self._actuation.due_ns(self._turn_ns)
        return due if switch is None else min(due, switch)

    def work(self) -> None:
        """Run the loop once, without waiting."""
        flight.begin("turn")
        self._check_own_stall()
        self._listen()
        self._desk.carry_out(self)
        now = self._clock()
        self._heed_doubt(now)
        if now >= self._poll_ns:
            self._poll(now)
            self._heed_doubt(now)
        self._note(now)
        if self._actuation.switch(self._clock()):
            self._beat_ns = now
        if now >= self._beat_ns or self.sessions.changed:
            self._send_beats(now)
        if now >= self._publish_ns:
            self._publish(now)
        flight.end("turn")

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

    @property
    def strangers(self) -> int:
        """Connections and messages that were refused because of who sent them."""
        return self._transport.strangers

    def status(self) -> wire.GatewayStatus:
        """Return counters and state."""
        return status_message(self._config, self._register, self._link, self._stations, self)

    # -- listen -----------------------------------------------------------------------------------------------------

    def _check_own_stall(self) -> None:
        """After a pause longer than the PLC's patience, whatever was known is in doubt: begin anew, first of all."""
        now = self._clock()
        before, self._turn_ns = self._turn_ns, now
        if now - before > self._config.plc.stale_ms * NS_PER_MS:
            self._begin_anew("the gateway was held up")

    def _listen(self) -> None:
        patience_ns = self._config.plc.stale_ms * NS_PER_MS / 3  # a slow PLC takes its time for each permit
        for _ in range(_MAX_MESSAGES_PER_TURN):
            if self._clock() - self._turn_ns > patience_ns or self._doubt or self._register.ambiguous:
                break
            if not (frames := self._transport.receive()):
                self._heard_all = frames is None  # else more may wait behind what strangers sent
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
            self.sessions.revoke("the station said goodbye")

    def _judge(self, message: wire.Verdict, now: int) -> None:
        try:
            outcome = Outcome(message.outcome)
        except ValueError:
            raise WireError(f"Outcome {message.outcome!r} is unknown.", "update the older end.") from None
        flight.mark("verdict", message.part)
        count_now = self._link.count_now(now)
        decision = self._register.verdict(message.session, message.part, message.count, outcome, count_now)
        self._act(decision, now, message.session)

    def _greet(self, identity: bytes, hello: wire.Hello, now: int) -> None:
        if self.sessions.admit(identity, hello, now):
            self._write_control()  # the PLC knows of the fence before the station may use its session
            self.sessions.confirm(identity, self._clock() - now)

    # -- poll -------------------------------------------------------------------------------------------------------

    def _poll(self, now: int) -> None:
        self._poll_ns = now + self._every_ns
        if now < self._retry_ns:
            return
        flight.begin("poll")
        self._polls += 1
        try:
            status = self._driver.read()
        except PlcError as error:
            self.plc_errors += 1
            self._retry_ns = now + _RECONNECT_NS
            self.recorder.plc_answers(False, error.problem)
            self._begin_anew(error.problem, failed=True)
            return
        finally:
            flight.end("poll")
        self.recorder.plc_answers(True, "The PLC answers.")
        asked, now = now, self._clock()
        armed = self._link.armed
        if not self._link.take(status, self.sessions.number, asked, now):
            self.sessions.lost += armed  # the link no longer says so itself
            self._begin_anew(self._link.reason)
            return
        self._read = status
        if self.sessions.fresh:
            self._begun_ns = now
            self._actuation.restart(status)
            self.sessions.begin(status)
            self.operations.resume(status)
            self._note(now)
            self._session_changed(now)
            return
        if not self._link.armed:
            self._actuation.restart(status)  # what it echoes of earlier sessions may still change
        if status.epoch != self._register.session.epoch:
            self._begin_anew("the encoder epoch changed")
            return
        if self._register.highest is not None and delta(status.last_part, self._register.highest) < 0:
            self._begin_anew("the PLC's part counter went back")
            return
        self._follow(status, now)

    def _follow(self, status: PlcStatus, now: int) -> None:
        """Bring the register up to what the PLC has counted, echoed and gated."""
        register = self._register
        count_now = self._link.count_now(now)
        self.sessions.moved(status)
        register.withheld = self.operations.withheld
        self._let_through(now)
        highest = register.highest
        for number, count in status.parts if status.last_part != highest else ():
            if highest is None or delta(number, highest) > 0:
                self._actuation.counted(number, count)
                if (decision := register.plc_part(number, count, count_now)) is not None:
                    self._act(decision, now)
                if self._stations.wants_counts:
                    self.sessions.tell(wire.Counted(session=self._stations.session, part=number, count=count))
        if register.moved(status.count):
            self._actuation.went_back()
        executed, doubt = self._actuation.follow(status, count_now)
        self._doubt = self._doubt or doubt
        for number in executed:
            if register.executed(number):
                self.sessions.tell(wire.Executed(session=self._stations.session, part=number, echoed_ns=now))
        for decision in register.advance(count_now):
            self._act(decision, now)
        self._note(now)
        for number, fact in self.recorder.gate(status, register.session, now):
            if self._stations.wants_gate:
                self.sessions.tell(wire.Gated(session=self._stations.session, part=number, fact=fact))
        if self._heard_all and self._stations.is_stale(now):
            self.sessions.revoke("the station fell silent or its loop stands still")
        self._doubt = self._doubt or self.operations.watch(status, register.counts.crowded, now)

    def _let_through(self, now: int) -> None:
        """In mode bypass the lane needs no station."""
        self._register.bypass = self.operations.mode is Mode.BYPASS and not self.operations.alarms.rejects
        if self._register.bypass and self._link.armed and self._register.session.station == 0:
            self.sessions.grant(now, "mode bypass")
            self._beat_ns = 0  # the PLC learns of it at once

    def _heed_doubt(self, now: int) -> None:
        if self._register.ambiguous:
            self._doubt = self.sessions.hold(now)
        if self._doubt:
            self._begin_anew(self._doubt)

    def _begin_anew(self, reason: str, failed: bool = False) -> None:
        """End the gateway session, and with it the station's.  A good read of the PLC in a later turn begins a new one.

        A PLC that does not answer costs a time-out, and one more to connect.  So that the turn stays within `poll_ms`
        and two of them, as the configuration demands, a PLC that has just ``failed`` is told nothing unless it did so
        at once, and it is not read again before the next turn.
        """
        self._telling.rest(tell=not failed or self._clock() - self._turn_ns <= self._every_ns)
        ended = self.sessions.end(reason)
        self._doubt = ""
        now = self._clock()
        self._poll_ns = max(self._poll_ns, now + self._every_ns)
        if ended:
            self._retry_ns = max(self._retry_ns, self._begun_ns + _RECONNECT_NS)
            self._note(now)
            self._session_changed(now)

    def _note(self, now: int) -> None:
        """Pass on what the register has learnt of parts: to the journal, and to whoever counts rejects in a row."""
        news = self._register.take_news()
        if news:
            self.recorder.parts(news, now)
            self.operations.ended(news)

    # -- act --------------------------------------------------------------------------------------------------------

    def _act(self, decision: Decision, now: int, station: int | None = None) -> None:
        """Carry out a decision; ``station`` is the session that a verdict named, where one led to it just now."""
        disposition, session = decision.disposition, self._register.session
        self._note(now)
        if decision.permit is not None and not self._give(decision.permit):
            disposition = Disposition.UNPERMITTED
        if decision.answers:
            number, holder = decision.number, self._stations.session
            ack = wire.Ack(session=holder, part=number, disposition=disposition.value, accepted_ns=now)
            self.sessions.tell(ack)
            self.recorder.answered(said_under(session, station), number, disposition, now)

    def _give(self, permit: Permit) -> bool:
        if not self._doubt:
            flight.begin("permit", permit.number)
            try:
                if self._actuation.give(permit):
                    self.recorder.permit(permit, "", self._clock())
                    return True
            except PlcError as error:
                self.plc_errors += 1
                self._doubt = error.problem
                self.recorder.permit(permit, "failed", self._clock())
                return True  # whether it arrived is unknown: begin anew after this turn, and let the gate tell
            finally:
                flight.end("permit")
        self._register.permit_failed(permit.number)
        return False

    # -- beat -------------------------------------------------------------------------------------------------------

    def _send_beats(self, now: int) -> None:
        self._beat_ns = now + int(self._config.heartbeat_ms * NS_PER_MS)
        self._telling.beat += 1
        self.sessions.changed = False
        self._write_control()
        count, mode = self._link.count_now(now), self.operations.mode.value
        self.sessions.tell(wire.GatewayBeat(beat=self._telling.beat, plc_ok=self._link.armed, count=count, mode=mode))

    def _write_control(self) -> None:
        if self._link.status is None or self.sessions.fresh:
            return
        try:
            self._telling.write()
        except PlcError as error:
            self.plc_errors += 1
            self._begin_anew(error.problem, failed=True)

    # -- publish ----------------------------------------------------------------------------------------------------

    def _publish(self, now: int) -> None:
        self._publish_ns = now + NS_PER_S
        self.operations.journal(self.recorder.status().problem)
        self._transport.publish(b"gateway", wire.encode(self.status()))
        self._published += 1
        if self.recorder.counts_due(now, COUNTS_NS):
            self._record_counts()

    def _session_changed(self, now: int) -> None:
        if self.recorder.counts_due(now, CHANGES_NS):
            self._record_counts()

    def _record_counts(self) -> None:
        self.recorder.counts(self.status(), self._read, self._clock())
