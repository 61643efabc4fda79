"""The station's side of the link to the gateway: ask for a session, announce parts, send verdicts, take answers.

Nothing here waits.  A message that cannot be sent is dropped and counted: the gateway's default stands for it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from edge.clock import NS_PER_MS, boot_id
from edge.config import RecipeConfig, StationConfig
from edge.core.part import Part
from edge.errors import WireError
from edge.wire import messages as wire

HELLO_NS = 100 * NS_PER_MS


class Progress(NamedTuple):
    """How far the station has come; it travels with every heartbeat.  All but ``open`` only grow."""

    triggers: int
    frames: int
    closed: int
    open: int


class StationTransport(Protocol):
    """Carries messages between one station and its gateway.  Nothing in it waits."""

    def send(self, data: bytes) -> bool:
        """Take a message for the gateway.  False where it cannot be sent."""

    def receive(self) -> bytes | None:
        """Return the gateway's next message, or None where there is none."""

    def close(self) -> None:
        """Give the connection back, after what was sent."""


class Publisher:
    """A transport and the session that runs over it.

    Args:
        config: of the station.
        transport: to the gateway; it is closed with the publisher.
        instance: names this process among its predecessors.

    Attributes:
        session: the granted session, 0 without one.
        grant: the grant, or None.
        refusal: why the gateway refuses, in words, or "".
        dropped: messages that could not be sent.
        errors: messages that could not be understood.
    """

    def __init__(self, config: StationConfig, transport: StationTransport, instance: str) -> None:
        self._config, self._transport, self._instance = config, transport, instance
        self._recipe = config.recipe
        self._recipe_told = True
        self._boot = boot_id()
        self._beat = 0
        self._hello_ns = self._beat_ns = self._heard_ns = 0
        self.session = 0
        self.grant: wire.Grant | None = None
        self.refusal = "no gateway has answered yet"
        self.dropped = self.errors = 0

    def close(self) -> None:
        """Say goodbye if there is a session, and close the transport."""
        if self.session:
            self._send(wire.Goodbye(session=self.session))
        self._transport.close()

    def receive(self, now_ns: int) -> list[wire.ToStation]:
        """Return what the gateway says that concerns the station: all but refusals, and answers of other sessions."""
        out: list[wire.ToStation] = []
        while (data := self._transport.receive()) is not None:
            try:
                message = wire.decode_to_station(data)
            except WireError:
                self.errors += 1
                continue
            self._heard_ns = now_ns
            if self._take(message):
                out.append(message)
        return out

    def _take(self, message: wire.ToStation) -> bool:
        if isinstance(message, wire.Grant):
            if message.fail_safe != self._config.gateway.fail_safe:
                self._send(wire.Goodbye(session=message.session))
                self.drop(f"the gateway's fail-safe is {message.fail_safe!r}")
                return False
            self.grant, self.session, self.refusal = message, message.session, ""
            self._recipe_told = False  # which Hello this answers is unknown, and an equal number changes nothing
            return True
        if isinstance(message, wire.Refuse):
            self.refusal = f"{message.reason} ({message.remedy})"
            return False
        if isinstance(message, wire.Revoke):
            if message.session != self.session:
                return False
            self.drop(message.reason)
            return True
        if isinstance(message, wire.GatewayBeat):
            return self.session != 0
        return message.session == self.session

    def drop(self, reason: str) -> None:
        """End the session on this side; the next tick asks for a new one."""
        self.session, self.grant, self.refusal = 0, None, reason

    def renew(self, reason: str) -> None:
        """Give the session back and ask for a new one, with a new fence."""
        if self.session:
            self._send(wire.Goodbye(session=self.session))
            self.drop(reason)

    def tick(self, now_ns: int, ready: bool, progress: Progress) -> bool:
        """Send what is due.  Return False when a session has just been lost because the gateway fell silent."""
        link = self._config.gateway
        if self.session == 0:
            if now_ns >= self._hello_ns:
                self._hello_ns = now_ns + HELLO_NS
                self._recipe_told = self._send(self._hello())
            return True
        if now_ns - self._heard_ns > link.stale_ms * NS_PER_MS:
            self.drop("the gateway fell silent")
            return False
        if not self._recipe_told:
            self._tell_recipe()
        if now_ns >= self._beat_ns:
            self._beat_ns = now_ns + int(link.heartbeat_ms * NS_PER_MS)
            self._beat += 1
            self._send(
                wire.Heartbeat(
                    session=self.session,
                    beat=self._beat,
                    ready=ready,
                    triggers=progress.triggers,
                    frames=progress.frames,
                    closed=progress.closed,
                    open=progress.open,
                )
            )
        return True

    def next_ns(self) -> int:
        """Return when ``tick`` next has something to send."""
        return self._beat_ns if self.session else self._hello_ns

    def announce(self, part: Part) -> None:
        """Say that a trigger opened ``part``."""
        if self.session and part.count is not None:
            self._send(wire.Announce(session=self.session, part=part.number, count=part.count))

    def verdict(self, part: Part) -> bool:
        """Send the verdict of a closed part under the present session.

        False where it could not be sent, as that of a part whose count nobody knows: the gateway could not tell
        which part is meant.
        """
        verdict = part.verdict
        if verdict is None:
            raise ValueError(f"Part {part.number} is still open.")
        if not self.session or part.count is None:
            return False
        return self._send(
            wire.Verdict(
                session=self.session,
                part=part.number,
                count=part.count,
                outcome=verdict.outcome.value,
                cause=verdict.cause,
            )
        )

    def change_recipe(self, recipe: RecipeConfig) -> None:
        """Name ``recipe`` to the gateway, now or with the next session."""
        self._recipe, self._recipe_told = recipe, False
        if self.session:
            self._tell_recipe()

    def accepted_ns(self, ack: wire.Ack, arrived_ns: int) -> int:
        """Return T4: by the gateway's clock where it is also ours, else the acknowledgement's arrival."""
        same_host = self.grant is not None and self.grant.boot_id == self._boot
        return ack.accepted_ns if same_host else arrived_ns

    def _tell_recipe(self) -> None:
        recipe = self._recipe
        message = wire.Recipe(session=self.session, recipe=recipe.name, recipe_number=recipe.number())
        self._recipe_told = self._send(message)

    def _hello(self) -> wire.Hello:
        config, recipe = self._config, self._recipe
        return wire.Hello(
            station=config.name,
            lane=config.lane,
            instance=self._instance,
            recipe=recipe.name,
            recipe_number=recipe.number(),
            line_digest=config.line.digest(),
            fail_safe=config.gateway.fail_safe,
            wants_counts=config.position.source == "plc",
            wants_gate=config.challenge.folder is not None,
        )

    def _send(self, message: wire.ToGateway) -> bool:
        sent = self._transport.send(wire.encode(message))
        self.dropped += not sent
        return sent
