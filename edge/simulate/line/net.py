"""The network between station and gateway: in memory, with small delays, in order, unless a fault says otherwise.

Acknowledgements and beats do not wake the station: it takes them up with whatever it does next, at the latest when its
loop turns by itself, as on a busy host.  That saves the simulator half of the station's turns.

It behaves as ZeroMQ does: a process that is stopped finds its messages when it goes on; one that is gone loses them,
and a new connection has a new identity.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable
from itertools import cycle
from typing import Protocol

from edge.simulate.line.scheduler import Scheduler

HIGH_WATER = 256
SHORTEST_NS, SPREAD_NS = 200_000, 500_000
DELAYS = 4093
"""So many are drawn and used in turn."""

Tamper = Callable[[bytes], list[int] | None]
"""What a fault makes of a message: delays of its copies in ns, none for a lost one; None leaves it alone."""

Tap = Callable[[bytes], None]
"""Told of each message that arrives at the gateway."""


class Wakes(Protocol):
    """A process that a message wakes."""

    def poke(self) -> None:
        """Look at what has come."""


class GatewayEnd:
    """The gateway's socket: what came, with the identity of who sent it."""

    def __init__(self, network: Network, process: Wakes) -> None:
        self._network, self.process = network, process
        self.inbox: deque[list[bytes]] = deque()
        self.strangers = 0

    def receive(self) -> list[bytes] | None:
        """Return (identity, message), or None where there is none."""
        return self.inbox.popleft() if self.inbox else None

    def send(self, identity: bytes, data: bytes) -> bool:
        """Send to one station.  False where it is gone."""
        return self._network.down(identity, data)

    def admits(self, _sender: bytes, _station: str, _lane: int, /) -> bool:
        """There are no strangers here."""
        return True

    def publish(self, topic: bytes, data: bytes) -> None:
        """Nobody listens to the telemetry here."""

    def wait(self, ms: int) -> None:
        """Never called: the scheduler wakes the process."""
        raise AssertionError(f"A simulated gateway waits {ms} ms by itself.")

    def close(self) -> None:
        """Leave the network."""
        self._network.gateway_gone(self)


class StationEnd:
    """A station's socket."""

    def __init__(self, network: Network, process: Wakes, sim: Scheduler) -> None:
        self._network, self.process, self._sim = network, process, sim
        self.inbox: deque[tuple[int, bytes]] = deque()  # when each message is there, and the message
        self.identity = b""

    def send(self, data: bytes) -> bool:
        """Send to the gateway.  False where there is none."""
        return self._network.up(self, data)

    def receive(self) -> bytes | None:
        """Return the next message, or None."""
        inbox = self.inbox
        return inbox.popleft()[1] if inbox and inbox[0][0] <= self._sim.now else None

    def close(self) -> None:
        """Leave the network."""
        self._network.station_gone(self)


class Network:
    """Carries messages.

    Attributes:
        tamper_up: what a fault does to messages towards the gateway.
        cut: "" or what becomes of messages while the cable is cut: ``lost``, or ``held`` until it heals.
        cut_ns: since when, or None.
        on_verdict: told of the part of each verdict that the station sends.
        on_injected: told of the part of each verdict that a fault made up.
        on_cut: told that the cable is cut.
    """

    def __init__(self, sim: Scheduler, rng: random.Random, tap: Tap) -> None:
        self._sim, self._tap = sim, tap
        self._delays = cycle([SHORTEST_NS + rng.randrange(SPREAD_NS) for _ in range(DELAYS)])
        self._gateway: GatewayEnd | None = None
        self._stations: dict[bytes, StationEnd] = {}
        self._connections = 0
        self._up_ns = self._down_ns = 0
        self._held: list[tuple[Callable[[tuple[bytes, bytes]], None], bytes, bytes]] = []
        self._sessions: deque[int] = deque(maxlen=2)  # the last ones granted
        self.tamper_up: Tamper | None = None
        self.cut = ""
        self.cut_ns: int | None = None
        self.on_verdict: Callable[[int], None] | None = None
        self.on_injected: Callable[[int], None] | None = None
        self.on_cut: Callable[[], None] | None = None

    def sever(self, kind: str) -> None:
        """Cut the cable: messages are ``lost``, or ``held``."""
        self.cut, self.cut_ns = kind, self._sim.now
        if self.on_cut is not None:
            self.on_cut()

    def join_gateway(self, process: Wakes) -> GatewayEnd:
        """Connect a new gateway; stations connect to it anew."""
        end = self._gateway = GatewayEnd(self, process)
        for station in list(self._stations.values()):
            self._connect(station)
        return end

    def join_station(self, process: Wakes) -> StationEnd:
        """Connect a new station."""
        end = StationEnd(self, process, self._sim)
        self._connect(end)
        return end

    def gateway_gone(self, end: GatewayEnd) -> None:
        """Forget the gateway."""
        if self._gateway is end:
            self._gateway = None

    def station_gone(self, end: StationEnd) -> None:
        """Forget a station."""
        self._stations.pop(end.identity, None)

    def up(self, end: StationEnd, data: bytes) -> bool:
        """Take a message towards the gateway."""
        if self.on_verdict is not None and b'"verdict"' in data:
            self.on_verdict(int(data.partition(b'"part":')[2].partition(b",")[0]))
        if self._gateway is None:
            return False
        delays = self.tamper_up(data) if self.tamper_up is not None else None
        if delays is None and not self.cut:
            due = self._sim.now + next(self._delays)
            if due <= self._up_ns:
                due = self._up_ns + 1
            self._up_ns = due
            self._sim.at(due, self._arrive_up, (end.identity, data))
        else:
            self._carry(self._arrive_up, end.identity, data, delays)
        return True

    def down(self, identity: bytes, data: bytes) -> bool:
        """Take a message towards a station."""
        end = self._stations.get(identity)
        if end is None:
            return False
        if self.cut:
            self._carry(self._arrive_down, identity, data, None)
            return True
        due = self._sim.now + next(self._delays)
        if due <= self._down_ns:
            due = self._down_ns + 1
        self._down_ns = due
        self._lay_down(end, due, data)
        return True

    def old_session(self, rng: random.Random) -> int:
        """Return a session that was granted earlier, or an invented one."""
        return self._sessions[0] if len(self._sessions) > 1 else rng.getrandbits(30) + 1

    def inject_up(self, data: bytes, delay_ns: int = 0) -> None:
        """Let a verdict arrive at the gateway that seems to come from the present station."""
        if self._stations:
            if self.on_injected is not None:
                self.on_injected(json.loads(data)["part"])
            identity = next(reversed(self._stations))
            self._sim.after(delay_ns + SHORTEST_NS, self._arrive_up, (identity, data))

    def heal(self) -> None:
        """Mend the cable; what was held arrives in order."""
        self.cut, self.cut_ns = "", None
        held, self._held = self._held, []
        for arrive, identity, data in held:
            self._sim.after(SHORTEST_NS, arrive, (identity, data))

    def _connect(self, end: StationEnd) -> None:
        self._stations.pop(end.identity, None)
        self._connections += 1
        end.identity = b"s%d" % self._connections
        self._stations[end.identity] = end

    def _carry(
        self, arrive: Callable[[tuple[bytes, bytes]], None], identity: bytes, data: bytes, delays: list[int] | None
    ) -> None:
        if self.cut == "held" and len(self._held) < HIGH_WATER:
            self._held.append((arrive, identity, data))
        elif not self.cut:
            for delay in delays or ():
                self._sim.after(delay + SHORTEST_NS, arrive, (identity, data))

    def _arrive_up(self, message: tuple[bytes, bytes]) -> None:
        identity, data = message
        end = self._gateway
        if end is None or identity not in self._stations or len(end.inbox) >= HIGH_WATER:
            return
        self._tap(data)
        end.inbox.append([identity, data])
        end.process.poke()

    def _arrive_down(self, message: tuple[bytes, bytes]) -> None:
        identity, data = message
        end = self._stations.get(identity)
        if end is not None:
            self._lay_down(end, self._sim.now, data)

    def _lay_down(self, end: StationEnd, due_ns: int, data: bytes) -> None:
        """Put a message into the station's inbox, to be there at ``due_ns``; wake it then unless that can wait."""
        if len(end.inbox) >= HIGH_WATER:
            return
        end.inbox.append((due_ns, data))
        if b'"ack"' in data or b'"executed"' in data or b'"gateway_heartbeat"' in data:
            return
        if b'"grant"' in data:
            self._sessions.append(json.loads(data)["session"])
        self._sim.at(due_ns, _poke, end.process)


def _poke(process: Wakes) -> None:
    process.poke()
