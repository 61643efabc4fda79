"""The lives of the gateway's session with the PLC and of the station's under it: who is told, and what is recorded."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable

from edge import flight
from edge.clock import NS_PER_MS
from edge.config import GatewayConfig
from edge.core.counter import delta
from edge.core.register import Register
from edge.gateway.link import PlcLink
from edge.gateway.operations import Operations
from edge.gateway.plc.signals import PlcStatus
from edge.gateway.recorder import Recorder
from edge.gateway.stations import Stations
from edge.gateway.transport import Transport
from edge.wire import messages as wire

_log = logging.getLogger(__name__)

_NUMBERS = re.compile(r"[0-9]+")
"""Reasons that differ by these alone count as one where traces are rationed."""


def new_session(previous: int = 0) -> int:
    """Return a random non-zero 31-bit session, never the previous one."""
    while (session := secrets.randbelow((1 << 31) - 1) + 1) == previous:
        pass
    return session


class Sessions:
    """Begins and ends sessions, at the register and at everybody who must know.

    Args:
        config: from `gateway.toml`.
        link: what is known of the PLC.
        register: holds the present sessions.
        operations: its mode says whether a station is admitted.
        stations: who holds the lane.
        transport: to the stations.
        recorder: tells the journal.
        new_session: makes session numbers, given the previous one.

    Attributes:
        number: the gateway's session, as the PLC is to be told.
        fresh: the next good read of the PLC begins a session.
        changed: the PLC is to be told at once.
        granted, lost: cumulative.
    """

    def __init__(
        self,
        config: GatewayConfig,
        link: PlcLink,
        register: Register,
        operations: Operations,
        stations: Stations,
        transport: Transport,
        recorder: Recorder,
        new_session: Callable[[int], int],
    ) -> None:
        self._link, self._register, self._operations = link, register, operations
        self._stations, self._transport, self._recorder = stations, transport, recorder
        self._new_session = new_session
        self._announce_ns = int((config.plc_timing.write_ms + config.plc_timing.scan_ms) * NS_PER_MS)
        self.number = register.session.gateway
        self.fresh, self.changed = True, False
        self.granted = self.lost = 0
        self._echoed = (0, 0)  # the station session and recipe that the PLC has echoed with the fence
        self._empty_at: int | None = None  # no station before the belt has come here: identity is in doubt
        self._last_doubt = ""

    # -- of the gateway ---------------------------------------------------------------------------------------------

    def begin(self, status: PlcStatus) -> None:
        """Begin a session with a PLC that can be trusted."""
        self.fresh = False
        left_out = self._register.restart(
            status.session, self.number, status.epoch, status.last_part, self._link.most_parts
        )
        if self._empty_at is not None:
            self._empty_at = self._register.fence(status.count)  # in this session's counts
        self._recorder.session("begun", self._register.session, "The PLC is followed.", last_part=status.last_part)
        if left_out:
            text = f"The PLC's part counter leapt by {left_out} to {status.last_part}: nothing is booked for them."
            self._recorder.event("plc", text, parts=left_out, last_part=status.last_part)
            _log.warning(text)

    def end(self, reason: str) -> bool:
        """End the session, and with it the station's.  False where none had begun."""
        reason = reason.rstrip(".")
        if reason != self._last_doubt:
            _log.warning("The gateway's session ended: %s.", reason)
            flight.mark("session ended")
        self._last_doubt = reason
        self.lost += self._link.armed
        ended, self.fresh = not self.fresh, True
        before = self._register.session
        self.revoke(reason)
        self._register.suspend()
        self._link.doubt(reason)
        self.number = self._new_session(self.number)
        if ended:
            self._recorder.session("ended", before, reason, last_part=self._register.highest)
            flight.request("The gateway's session ended: " + _NUMBERS.sub("#", reason))
        return ended

    def hold(self, now: int) -> str:
        """Let no station in until the belt is empty of parts whose identity is in doubt.  Return the doubt."""
        self._empty_at = self._register.fence(self._link.count_now(now))
        doubt, self._register.ambiguous = self._register.ambiguous, ""
        self._recorder.event("fence", f"Parts are held until the belt is empty: {doubt}.", empty_at=self._empty_at)
        return doubt

    def moved(self, status: PlcStatus) -> None:
        """Take where the belt is, and which sessions the PLC echoes."""
        if self._empty_at is not None and delta(status.count, self._empty_at) >= 0:
            self._empty_at = None
        session = self._register.session
        if (status.station_session, status.fence) == (session.station, session.fence):
            self._echoed = session.station, status.recipe

    # -- of the station ---------------------------------------------------------------------------------------------

    @property
    def echoed(self) -> bool:
        """True while the PLC knows session, fence and recipe of whoever holds the lane: parts may be let in."""
        station = self._register.session.station
        return station != 0 and self._echoed == (station, self._stations.recipe_number)

    def admit(self, identity: bytes, hello: wire.Hello, now: int) -> bool:
        """Give the lane to whoever asks for it, or refuse.  The PLC must be told before ``confirm``."""
        refusal = self._stations.refusal(identity, hello, now) or self._not_now()
        if refusal is not None:
            self._transport.send(identity, wire.encode(refusal))
            return False
        self._stations.admit(identity, hello, self.grant(now, hello.station), now)
        return True

    def confirm(self, identity: bytes, took_ns: int) -> None:
        """Tell the station its session, where the PLC learnt of its fence in time."""
        if took_ns > self._announce_ns:
            self.revoke("the PLC took too long to learn of the session's fence")
        elif self._stations.is_current(identity):
            self._transport.send(identity, wire.encode(self._stations.grant(self._register.session)))

    def grant(self, now: int, holder: str) -> int:
        """Grant a session, and return it."""
        # The PLC learns of the fence one write and one scan from now, and the belt runs on until then.
        session = self._register.grant(self._new_session(0), self._link.count_now(now + self._announce_ns))
        self.granted += 1
        self._last_doubt = ""
        self._recorder.session("granted", session, f"{holder} holds the lane.", holder=holder)
        return session.station

    def revoke(self, reason: str) -> None:
        """Take the lane from its station."""
        if self._stations.identity is not None:
            revoke = wire.Revoke(session=self._stations.session, reason=reason)
            self._transport.send(self._stations.identity, wire.encode(revoke))
        self._stations.dismiss()
        before = self._register.session
        self._register.revoke()
        self.changed = True
        if before.station:
            self._recorder.session("revoked", before, reason)

    def tell(self, message: wire.ToStation) -> None:
        """Send to the station that holds the lane, if there is one."""
        identity = self._stations.identity
        if identity is not None and not self._transport.send(identity, wire.encode(message)):
            self.revoke("the station's connection is gone")

    def _not_now(self) -> wire.Refuse | None:
        if not self._link.armed or self._link.status is None:
            return wire.Refuse(reason=self._link.reason, remedy="wait, or check the PLC and its cable.")
        if not self._operations.mode.admits:
            return wire.Refuse(reason=f"the mode is {self._operations.mode.value}", remedy="set mode auto.")
        if self._empty_at is not None:
            return wire.Refuse(reason="parts of doubtful identity are on the belt", remedy="let it run empty.")
        return None
