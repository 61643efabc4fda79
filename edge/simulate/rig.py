"""What faults of the running line take hold of, and what one fault is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from edge import clock
from edge.simulate.affected import ALLOWANCE_MS
from edge.simulate.drive import Drive
from edge.simulate.instruments import Camera, Eye, Schedule
from edge.simulate.modbus import ModbusServer
from edge.simulate.world import World

Done = Callable[[], None]


class Program(Protocol):
    """What faults ask of the PLC's program."""

    def stop(self) -> None:
        """Go to STOP."""

    def reboot(self) -> None:
        """Start anew."""


@dataclass
class Rig:
    """What faults take hold of."""

    world: World
    drive: Drive
    eye: Eye
    camera: Camera
    port: ModbusServer
    program: Program
    at: Schedule
    speed_mm_s: float
    accel_mm_s2: float


@dataclass(frozen=True)
class Order:
    """One fault as it was ordered; ``done`` is to be called when it has ended."""

    rig: Rig
    now_ns: int
    args: Mapping[str, float]
    done: Done

    def for_a_while(self, mend: Callable[[int], object]) -> None:
        """Mend the fault after its ``ms``."""

        def end(now_ns: int) -> None:
            mend(now_ns)
            self.done()

        self.rig.at(self.now_ns + round(self.args["ms"] * clock.NS_PER_MS), end)


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        name, text: for callers and people.
        group: of which one fault at a time may run.
        args: their names and what they are when nobody says otherwise.
        start: begins it.
        allowance_ms: how long after its end the line may take to recover.
    """

    name: str
    text: str
    group: str
    args: Mapping[str, float]
    start: Callable[[Order], None]
    allowance_ms: float = ALLOWANCE_MS
