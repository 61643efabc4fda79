"""Who holds the lane: one live station, or none.  Pure."""

from __future__ import annotations

from collections.abc import Callable

from edge.clock import NS_PER_MS, boot_id
from edge.config import GatewayConfig
from edge.core.session import Session
from edge.wire import messages as wire


class Stations:
    """Admits one station at a time and watches its heartbeat.

    Args:
        config: of the gateway.
        admits: tells whether a socket may speak for a station and a lane.

    Attributes:
        identity: the holder's socket identity, or None.
        session, name, recipe_number: of the holder.
        ready: the holder says that it may be sent parts.
        wants_counts: the holder's own trigger latches no count.
        wants_gate: the holder is to hear what every part met at the gate.
    """

    def __init__(self, config: GatewayConfig, admits: Callable[[bytes, str, int], bool]) -> None:
        self._config, self._admits = config, admits
        self._digest = config.line.digest()
        self._boot = boot_id()
        self._stale_ns = int(config.stale_ms * NS_PER_MS)
        self._beat = -1
        self._heard_ns = 0
        self.dismiss()

    def dismiss(self) -> None:
        """Nobody holds the lane."""
        self.identity: bytes | None = None
        self.session = 0
        self.name = ""
        self.recipe_number = 0
        self.ready = self.wants_counts = self.wants_gate = False

    def is_current(self, identity: bytes) -> bool:
        """True for the holder's socket."""
        return self.identity == identity

    def is_stale(self, now_ns: int) -> bool:
        """True when a station holds the lane and its loop has not been heard to progress."""
        return self.identity is not None and now_ns - self._heard_ns > self._stale_ns

    def beat(self, message: wire.Heartbeat, now_ns: int) -> None:
        """Take a heartbeat; one that repeats the last shows no progress and counts for nothing."""
        if message.session == self.session and message.beat != self._beat:
            self._beat, self._heard_ns = message.beat, now_ns
            self.ready = message.ready

    def refusal(self, identity: bytes, hello: wire.Hello, now_ns: int) -> wire.Refuse | None:
        """Return why ``hello`` cannot have the lane, or None."""
        config = self._config
        if not self._admits(identity, hello.station, hello.lane):
            return wire.Refuse(
                reason=f"the key used is not bound to station {hello.station!r}, lane {hello.lane}",
                remedy="correct name and lane, or use the key of that station; see `edge keys list` at the gateway.",
            )
        if hello.lane != config.lane:
            return wire.Refuse(reason=f"lane {hello.lane} is not lane {config.lane}", remedy="correct lane.")
        if hello.line_digest != self._digest:
            return wire.Refuse(
                reason="the [line] sections of station and gateway differ",
                remedy="make them equal; `edge check` prints the digest of each.",
            )
        if hello.fail_safe != config.fail_safe:
            return wire.Refuse(
                reason=f"the station expects fail-safe {hello.fail_safe!r}, the gateway has {config.fail_safe!r}",
                remedy="make gateway.fail_safe of the station and fail_safe of the gateway equal.",
            )
        if self.identity not in (None, identity) and not self.is_stale(now_ns):
            return wire.Refuse(
                reason=f"station {self.name!r} holds lane {config.lane}", remedy="stop one of the two stations."
            )
        return None

    def admit(self, identity: bytes, hello: wire.Hello, session: int, now_ns: int) -> None:
        """Give the lane to the sender of ``hello``."""
        self.identity, self.session, self.name = identity, session, hello.station
        self.recipe_number, self.wants_counts = hello.recipe_number, hello.wants_counts
        self.wants_gate = hello.wants_gate
        self.ready = False
        self._beat, self._heard_ns = -1, now_ns

    def grant(self, session: Session) -> wire.Grant:
        """Return the message that tells the holder its session."""
        return wire.Grant(
            session=session.station,
            gateway_session=session.gateway,
            plc_session=session.plc,
            epoch=session.epoch,
            fence=session.fence,
            fail_safe=self._config.fail_safe,
            boot_id=self._boot,
        )
