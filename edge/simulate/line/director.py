"""Decides when which fault strikes, and runs the belt's ordinary speed profile."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.simulate.line.floor import Floor
from edge.simulate.line.gatewayside import GatewayProcess, SimDriver
from edge.simulate.line.net import Network
from edge.simulate.line.referee import Referee
from edge.simulate.line.scheduler import Scheduler
from edge.simulate.line.setup import (
    GATE_MM,
    GATEWAY_BEAT_MS,
    INFEED_MM,
    LINK_MS,
    MS,
    PITCH_MM,
    PLC_WATCHDOG_MS,
    POLL_MS,
    SCAN_MS,
    STATION_BEAT_MS,
    STATION_STALE_MS,
    V_MAX,
    V_MIN,
    WRITE_MS,
)
from edge.simulate.line.stationside import StationProcess
from edge.simulate.line.trace import Trace

FIRST_FAULT_AT, GAP_PARTS = 40, 80
"""Plates before the first fault, and from the end of one to the next on average: with all faults of the catalogue each
is then injected more than 200 times in a million parts."""

CEILING_MS = 100.0
"""The compute timeout."""

HELLO_MS = 100.0
"""A station without a session asks for one that often."""

RECONNECT_MS = 200.0
"""The gateway leaves a PLC alone for that long after an error."""

SESSION_MS = (
    POLL_MS  # the gateway reads the PLC and begins a session of its own
    + GATEWAY_BEAT_MS  # tells it to the PLC
    + SCAN_MS  # which takes it up
    + POLL_MS  # and echoes it
    + HELLO_MS  # the station asks
    + 2 * LINK_MS  # and is heard
    + WRITE_MS
    + SCAN_MS  # the PLC learns of the fence
)

ALLOWANCE_MS: dict[str, float] = {
    "": 0.0,
    "backlog": CEILING_MS,
    "resync": 0.0,
    "plc": SESSION_MS + RECONNECT_MS + PLC_WATCHDOG_MS,
    "process": SESSION_MS + STATION_STALE_MS + STATION_BEAT_MS + PLC_WATCHDOG_MS,
    "empty": SESSION_MS + RECONNECT_MS + PLC_WATCHDOG_MS,
}
"""How long after its repair a fault may still cost parts, by what has to be agreed on anew; from the protocol's own
periods.  ``backlog``: frames that wait behind a slow one, until their timeout.  ``resync``: no time, but ``FIRST_MM``
of belt: the counters of camera and eye are paired anew with the next two parts.  ``plc``: the gateway waits before it
tries a PLC again, or the PLC's watchdog has to run out.  ``process``: a station that died without a goodbye holds the
lane until the gateway finds it stale.  ``empty``: identity is in doubt, so first the belt runs ``EMPTY_MM``, with the
infeed held."""

EMPTY_MM = GATE_MM + INFEED_MM + PITCH_MM

FIRST_MM: dict[str, float] = {"resync": 2 * PITCH_MM, "empty": EMPTY_MM}
"""How far the belt must run first, before the time begins."""

ACCELERATION = 2000.0
OPERATOR_MS = 400.0


@dataclass(frozen=True)
class Fault:
    """One row of the catalogue.

    Attributes:
        name: as in ``--faults``.
        text: what is broken, and how it is mended.
        inject: breaks it, and calls ``Line.repaired`` in the end.
        recovery: which allowance its repair needs.
    """

    name: str
    text: str
    inject: Callable[[Line], None]
    recovery: str = ""


class Line:
    """What a fault may lay hands on.

    Attributes:
        speed: the speed that the belt's ordinary profile asks for, mm/s.
        belt_free: the profile may change it.
    """

    def __init__(
        self,
        sim: Scheduler,
        floor: Floor,
        station: StationProcess,
        gateway: GatewayProcess,
        network: Network,
        driver: SimDriver,
        referee: Referee,
        rng: random.Random,
        trace: Trace | None,
    ) -> None:
        self.sim, self.floor, self.world, self._trace = sim, floor, floor.world, trace
        self.station, self.gateway, self.network, self.driver = station, gateway, network, driver
        self.referee, self.rng = referee, rng
        self.speed = V_MAX
        self.belt_free = True
        self.repaired: Callable[[], None] = _nothing
        self.resets = 0
        self._belt_held = False
        floor.on_belt_stop = self._hold_belt
        self.later(OPERATOR_MS, self._operate)

    def later(self, ms: float, action: Callable[[], Any]) -> None:
        """Call ``action()`` after a time."""
        self.sim.after(int(ms * MS), _call, action)

    def for_a_while(self, low_ms: float, high_ms: float, repair: Callable[[], object]) -> None:
        """Repair after a time between the two."""

        def mend() -> None:
            repair()
            self.repaired()

        self.later(self.rng.uniform(low_ms, high_ms), mend)

    def when(self, condition: Callable[[], bool], action: Callable[[], Any]) -> None:
        """Call ``action()`` as soon as the condition holds, to within a few milliseconds."""
        if condition():
            action()
        else:
            self.later(5.0, lambda: self.when(condition, action))

    def to_speed(self, speed: float, sudden: bool = False) -> None:
        """Bring the belt to a speed, unless the PLC holds it."""
        if self._belt_held:
            return
        if sudden:
            self.floor.command(self.world.set_speed, speed)
        else:
            self.floor.command(self.world.ramp, speed, ACCELERATION)

    def _hold_belt(self, held: bool) -> None:
        if held:
            self.to_speed(0.0)
        self._belt_held = held
        if not held:
            self.to_speed(self.speed)

    def _operate(self) -> None:
        """The operator looks at the line now and then, and presses the reset button where something is latched."""
        gateway = self.gateway
        latched = self._belt_held or (gateway.alive and bool(gateway.operations.alarms.latched))
        if latched and not self.floor.reset_held:
            self.resets += 1
            if self._trace is not None:
                alarms = gateway.operations.alarms.standing if gateway.alive else {}
                self._trace.note(None, f"operator: presses reset, {alarms}")
            self.floor.reset_held = True
            self.later(OPERATOR_MS / 2, lambda: setattr(self.floor, "reset_held", False))
        self.later(OPERATOR_MS, self._operate)


class Director:
    """Injects faults, one after the other, evenly over the catalogue.

    Attributes:
        injected: how often, by name.
    """

    def __init__(
        self,
        line: Line,
        catalogue: Mapping[str, Fault],
        names: Sequence[str],
        gap_parts: int,
        rng: random.Random,
        trace: Trace | None,
    ) -> None:
        self._gap = gap_parts
        self._line, self._rng, self._trace = line, rng, trace
        self._faults = [catalogue[name] for name in names]
        self._deck: list[Fault] = []
        self.injected: Counter[str] = Counter()
        self._index = 0
        self._next_at = FIRST_FAULT_AT
        self._next_speed = rng.randrange(20, 200)
        line.floor.on_plate = self._on_plate

    def _on_plate(self, index: int) -> None:
        """A plate has passed the eye."""
        self._index = index
        if index >= self._next_speed and self._line.belt_free:
            slow = self._line.speed == V_MAX
            self._next_speed = index + (self._rng.randrange(6, 24) if slow else self._rng.randrange(60, 240))
            self._line.speed = self._rng.uniform(V_MIN, V_MAX) if slow else V_MAX
            self._line.to_speed(self._line.speed)
        if self._faults and index >= self._next_at:
            self._next_at = 1 << 60
            self._line.sim.after(self._rng.randrange(60 * MS), _call, self._strike)

    def _strike(self) -> None:
        if not self._deck:
            self._deck = list(self._faults)
            self._rng.shuffle(self._deck)
        fault, line = self._deck.pop(), self._line
        self.injected[fault.name] += 1
        stretch = line.referee.fault_begins()
        if self._trace is not None:
            self._trace.note(None, f"fault: {fault.name} begins")

        def over() -> None:
            line.referee.fault_ends(stretch)
            self._next_at = self._index + self._rng.randrange(self._gap // 2, 3 * self._gap // 2)

        def repaired() -> None:
            line.repaired = _nothing
            if self._trace is not None:
                self._trace.note(None, f"fault: {fault.name} is repaired")

            def settle() -> None:
                line.later(ALLOWANCE_MS[fault.recovery], over)

            if fault.recovery not in FIRST_MM:
                settle()
                return
            target_mm = line.world.travel_mm(line.sim.now) + FIRST_MM[fault.recovery]
            line.when(lambda: line.world.travel_mm(line.sim.now) >= target_mm, settle)

        line.repaired = repaired
        fault.inject(line)


def _nothing() -> None:
    """No fault is to be repaired."""


def _call(action: Callable[[], Any]) -> None:
    action()
