"""The gateway: verdicts in, permits out.  One thread, one loop of four verbs: listen, poll, beat, publish.

It holds the same default towards the station as the PLC holds towards it: a part that the PLC counted and for which
no timely PASS came gets no permit.  It decides nothing itself; the register does.
"""

from __future__ import annotations

import logging
import secrets
from threading import Event

import zmq

from edge import __version__
from edge.clock import NS_PER_MS, NS_PER_S, now_ns
from edge.config import GatewayConfig
from edge.core import budget
from edge.core.counter import delta
from edge.core.outcome import Disposition, Outcome
from edge.core.register import Decision, Geometry, Permit, Register
from edge.errors import PlcError, WireError
from edge.gateway.link import PlcLink
from edge.gateway.permits import PermitRing
from edge.gateway.plc.base import PlcDriver
from edge.gateway.plc.signals import ACTION_GOOD, PERMIT_STATUS, Control
from edge.gateway.stations import Stations
from edge.wire import messages as wire
from edge.wire.sockets import bind, receive, send

_log = logging.getLogger(__name__)

_MAX_MESSAGES_PER_TURN = 64
_RECONNECT_NS = 200 * NS_PER_MS


def new_session(previous: int = 0) -> int:
    """Return a random non-zero 31-bit session, never the previous one."""
    while (session := secrets.randbelow((1 << 31) - 1) + 1) == previous:
        pass
    return session


def geometry(config: GatewayConfig) -> Geometry:
    """Return the register's distances for the configured line.

    Raises:
        BudgetError: they cannot hold.
    """
    b = budget.held(budget.compute(config.line, config.actuator, config.plc_timing, ceiling_ms=1e9), config.name)
    return Geometry(gate=b.gate_counts, commit=b.gateway_commit, pitch=b.pitch_counts, match=b.match_counts)


class Gateway:
    """Owns the sockets, the register, and the connection to the PLC.

    Args:
        config: from `gateway.toml`.
        driver: the PLC.
        register: who may pass.
        context: for the sockets.

    Raises:
        PortBusy: an endpoint is taken.
    """

    def __init__(
        self, config: GatewayConfig, driver: PlcDriver, register: Register, context: zmq.Context[zmq.Socket[bytes]]
    ) -> None:
        self._config, self._driver, self._register = config, driver, register
        self._link = PlcLink(config)
        self._ring = PermitRing()
        self._stations = Stations(config)
        self._session = register.session.gateway
        self._router = bind(context, zmq.ROUTER, config.bind, router_mandatory=True)
        self._publisher = bind(context, zmq.PUB, config.telemetry.endpoint)
        timing = config.plc_timing
        self._announce_ns = int((timing.write_ms + timing.scan_ms) * NS_PER_MS)
        self._armed_parts: dict[int, None] = {}  # permitted parts that have not met the gate, oldest first
        self._fresh = True  # the next good read begins a session
        self._echoed_session = 0  # the station session whose fence and recipe the PLC has echoed
        self._last_doubt = ""
        self._doubt = ""  # why the gateway session must end after this turn
        self._beat = 0
        self._poll_ns = self._beat_ns = self._publish_ns = self._retry_ns = 0
        self._turn_ns = now_ns()
        self.wire_errors = self.plc_errors = self.sessions_granted = self.sessions_lost = 0

    def run(self, stop: Event) -> None:
        """Serve until ``stop`` is set."""
        while not stop.is_set():
            self.turn()

    def close(self) -> None:
        """Close the sockets and the PLC's connection.  The PLC's watchdog does the rest."""
        self._driver.close()
        self._router.close()
        self._publisher.close()

    def turn(self) -> None:
        """Run the loop once."""
        due = min(self._poll_ns, self._beat_ns, self._publish_ns)
        self._router.poll(max(0, -((now_ns() - due) // NS_PER_MS)), zmq.POLLIN)
        self._check_own_stall()
        self._listen()
        now = now_ns()
        if now >= self._poll_ns:
            self._poll(now)
        if self._doubt:
            self._begin_anew(self._doubt)
        if now >= self._beat_ns:
            self._send_beats(now)
        if now >= self._publish_ns:
            self._publish(now)

    # -- listen -----------------------------------------------------------------------------------------------------

    def _check_own_stall(self) -> None:
        """After a pause longer than the PLC's patience, whatever was known is in doubt: begin anew, first of all."""
        now = now_ns()
        if now - self._turn_ns > self._config.plc.stale_ms * NS_PER_MS:
            self._begin_anew("the gateway was held up")
        self._turn_ns = now

    def _listen(self) -> None:
        for _ in range(_MAX_MESSAGES_PER_TURN):
            if self._doubt or (frames := receive(self._router)) is None:
                return
            try:
                if len(frames) != 2:
                    raise WireError(f"A message has {len(frames)} parts instead of 2.", "find who sends it.")
                self._handle(frames[0], wire.decode_to_gateway(frames[1]))
            except WireError:
                self.wire_errors += 1

    def _handle(self, identity: bytes, message: wire.ToGateway) -> None:
        now = now_ns()
        if isinstance(message, wire.Hello):
            self._greet(identity, message, now)
        elif not self._stations.is_current(identity):
            session = message.session
            send(self._router, identity, wire.Revoke(session=session, reason="this session has ended"))
        elif isinstance(message, wire.Announce):
            self._register.announce(message.session, message.part, message.count)
        elif isinstance(message, wire.Verdict):
            self._judge(message, now)
        elif isinstance(message, wire.Heartbeat):
            self._stations.beat(message, now)
        elif message.session == self._stations.session:
            self._revoke("the station said goodbye")

    def _judge(self, message: wire.Verdict, now: int) -> None:
        try:
            outcome = Outcome(message.outcome)
        except ValueError:
            raise WireError(f"Outcome {message.outcome!r} is unknown.", "update the older end.") from None
        count_now = self._link.count_now(now)
        self._act(self._register.verdict(message.session, message.part, message.count, outcome, count_now), now)

    def _greet(self, identity: bytes, hello: wire.Hello, now: int) -> None:
        refusal = self._stations.refusal(identity, hello, now)
        if refusal is None and not self._link.armed:
            refusal = wire.Refuse(reason=self._link.reason, remedy="wait, or check the PLC and its cable.")
        if refusal is not None:
            send(self._router, identity, refusal)
            return
        # The PLC learns of the fence one write and one scan from now, and the belt runs on until then.
        session = self._register.grant(new_session(), self._link.count_now(now + self._announce_ns))
        self.sessions_granted += 1
        self._last_doubt = ""
        self._stations.admit(identity, hello, session.station, now)
        send(self._router, identity, self._stations.grant(session))
        self._beat_ns = now  # the PLC learns of it at once

    def _revoke(self, reason: str) -> None:
        identity = self._stations.identity
        if identity is not None:
            send(self._router, identity, wire.Revoke(session=self._stations.session, reason=reason))
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
        asked, now = now, now_ns()
        if not self._link.take(status, self._session, asked, now):
            self._begin_anew(self._link.reason)
            return
        if self._fresh:
            self._fresh = False
            self._ring.restart(status.echoes)
            self._register.restart(status.session, self._session, status.epoch, status.last_part)
            return
        if not self._link.armed:
            self._ring.restart(status.echoes)  # what it echoes of earlier sessions may still change
        if status.epoch != self._register.session.epoch:
            self._begin_anew("the encoder epoch changed")
            return
        if self._register.highest is not None and delta(status.last_part, self._register.highest) < 0:
            self._begin_anew("the PLC's part counter went back")
            return
        self._follow(now)

    def _follow(self, now: int) -> None:
        """Bring the register up to what the PLC has counted, echoed and gated."""
        status = self._link.status
        assert status is not None
        session, count_now = self._register.session, self._link.count_now(now)
        expected = (session.station, session.fence, self._stations.recipe_number)
        if (status.station_session, status.fence, status.recipe) == expected:
            self._echoed_session = session.station  # only now may the PLC let parts in
        for number, count in status.parts:
            if (decision := self._register.plc_part(number, count, count_now)) is not None:
                self._act(decision, now)
        for echo in self._ring.read(status.echoes):
            if echo.armed:
                self._register.permit_written(echo.number)
                self._armed_parts[echo.number] = None
            else:
                self._register.permit_failed(echo.number, PERMIT_STATUS[echo.status])
        for permit in self._ring.unanswered():
            if self._register.has_passed(permit, count_now):
                self._doubt = f"the PLC did not echo the permit of part {permit.number}"
        for decision in self._register.advance(count_now):
            self._act(decision, now)
        for number, action in status.gated:
            if number in self._armed_parts:
                del self._armed_parts[number]
                if action == ACTION_GOOD:
                    self._register.executed(number)
                    self._tell(wire.Executed(session=self._stations.session, part=number, echoed_ns=now))
        if self._stations.is_stale(now):
            self._revoke("the station fell silent or its loop stands still")

    def _begin_anew(self, reason: str) -> None:
        """End the gateway session, and with it the station's.  The next good read of the PLC begins a new one."""
        reason = reason.rstrip(".")
        if reason != self._last_doubt:
            _log.warning("The gateway's session ended: %s.", reason)
        self._last_doubt = reason
        self.sessions_lost += self._link.armed
        self._revoke(reason)
        self._link.doubt(reason)
        self._doubt = ""
        self._armed_parts.clear()
        self._session = new_session(self._session)
        self._register.suspend()
        self._fresh = True

    # -- act --------------------------------------------------------------------------------------------------------

    def _act(self, decision: Decision, now: int) -> None:
        disposition = decision.disposition
        if decision.permit is not None and not self._write(decision.permit):
            disposition = Disposition.UNPERMITTED
        if decision.answers:
            self._tell(
                wire.Ack(
                    session=self._stations.session,
                    part=decision.number,
                    disposition=disposition.value,
                    accepted_ns=now,
                )
            )

    def _write(self, permit: Permit) -> bool:
        """Write a permit once; it is never tried again, so that none arrives after its commit point."""
        placed = self._ring.place(permit) if not self._doubt else None
        if placed is not None:
            try:
                self._driver.write_permit(placed[0], permit, placed[1])
                return True
            except PlcError as error:
                self.plc_errors += 1
                self._doubt = error.problem  # whether it arrived is unknown: begin anew after this turn
        self._register.permit_failed(permit.number)
        return False

    def _tell(self, message: wire.ToStation) -> None:
        identity = self._stations.identity
        if identity is not None and not send(self._router, identity, message):
            self._revoke("the station's connection is gone")

    # -- beat and publish -------------------------------------------------------------------------------------------

    def _send_beats(self, now: int) -> None:
        self._beat_ns = now + int(self._config.heartbeat_ms * NS_PER_MS)
        self._beat += 1
        session = self._register.session
        if self._link.status is not None and not self._fresh:
            control = Control(
                heartbeat=self._beat,
                ready=self._stations.ready and self._echoed_session == session.station != 0,
                gateway_session=session.gateway,
                station_session=session.station,
                fence=session.fence,
                recipe=self._stations.recipe_number,
                epoch=session.epoch,
                fail_safe=self._config.fail_safe,
            )
            try:
                self._driver.write_control(control)
            except PlcError as error:
                self.plc_errors += 1
                self._begin_anew(error.problem)
        self._tell(wire.GatewayBeat(beat=self._beat, plc_ok=self._link.armed, count=self._link.count_now(now)))

    def _publish(self, now: int) -> None:
        self._publish_ns = now + NS_PER_S
        counts, session = self._register.counts, self._register.session
        status = wire.GatewayStatus(
            gateway=self._config.name,
            lane=self._config.lane,
            plc_ok=self._link.armed,
            reason=self._link.reason,
            station=self._stations.name,
            station_session=session.station,
            plc_session=session.plc,
            fence=session.fence,
            plc_triggers=counts.plc_triggers,
            announced=counts.announced,
            unannounced=counts.unannounced,
            permitted=counts.permitted,
            rejected=dict(counts.rejected),
            pending=self._register.pending,
            dispositions=dict(counts.dispositions),
            executed=counts.executed,
            wire_errors=self.wire_errors,
            plc_errors=self.plc_errors,
            sessions_granted=self.sessions_granted,
            sessions_lost=self.sessions_lost,
            version=__version__,
        )
        self._publisher.send_multipart([b"gateway", wire.encode(status)])
