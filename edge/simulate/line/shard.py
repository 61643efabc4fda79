"""One shard: a line with all its processes, from a cold start to the last plate at the gate."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

from edge.simulate.line.books import Books
from edge.simulate.line.catalogue import CATALOGUE
from edge.simulate.line.components import Components
from edge.simulate.line.director import GAP_PARTS, Director, Line
from edge.simulate.line.floor import Floor, Program
from edge.simulate.line.gatewayside import GatewayProcess, SimDriver
from edge.simulate.line.net import Network
from edge.simulate.line.oracle import Oracle, Rates
from edge.simulate.line.referee import Referee
from edge.simulate.line.scheduler import Scheduler
from edge.simulate.line.setup import (
    LINK_MS,
    MS,
    PLC_WATCHDOG_MS,
    POLL_MS,
    SCAN_MS,
    STATION_STALE_MS,
    WRITE_MS,
    setup,
)
from edge.simulate.line.stationside import StationProcess
from edge.simulate.line.trace import Trace

START_NS = 10_000 * MS
CONFIRMED_SHARDS = 3
"""One shard in that many has a sensor behind the gate, as some lines have."""

SETTLE_NS = 1_500 * MS
STEP_NS = 1_000 * MS
LONGEST_NS_A_PART = 2_000 * MS
"""A line that needs longer than this a part has come to a standstill."""

GATEWAY_MISSED_NS = int((PLC_WATCHDOG_MS + 2 * SCAN_MS) * MS)
"""So long after the gateway's last sign the PLC has closed the infeed."""

STATION_MISSED_NS = int((STATION_STALE_MS + POLL_MS + WRITE_MS + 2 * SCAN_MS + 2 * LINK_MS) * MS)
"""So long after the station's last sign the gateway has withdrawn READY, and the PLC has closed the infeed."""


@dataclass(frozen=True)
class Task:
    """What one shard has to run."""

    parts: int
    seed: int
    shard: int = 0
    faults: tuple[str, ...] = ()
    sabotage: str = ""
    rates: Rates = field(default_factory=Rates)
    gap_parts: int = GAP_PARTS

    @property
    def key(self) -> int:
        """The seed of everything random in this shard."""
        return self.seed * 1_000_003 + self.shard


class Shard:
    """The whole line."""

    def __init__(self, task: Task, components: Components, traced: bool = False) -> None:
        self.task = task
        self.rng = random.Random(task.key)
        configured = setup(task.key, confirms=task.shard % CONFIRMED_SHARDS == 0)
        self.setup = replace(configured, line=replace(configured.line, parts=task.parts))
        self.sim = Scheduler(START_NS)
        self.trace = Trace(self.sim.clock) if traced else None
        oracle = Oracle(task.rates)
        self.books = Books(self.sim.clock)
        self.floor = Floor(self.setup, self.sim, self.rng, self._program(components), self.trace)
        self.sim.physics = self.floor
        world, sim = self.floor.world, self.sim
        self.referee = Referee(
            self.setup.judge, lambda: world.travel_mm(sim.now), oracle.score, oracle.defective, self.trace
        )
        self.floor.referee = self.referee
        self.network = Network(sim, self.rng, self.referee.on_arrival)
        self.driver = SimDriver(self.floor.bank, sim, self.setup.gateway.plc.timeout_ms)
        self.gateway = GatewayProcess(
            self.setup, sim, self.rng, self.network, self.driver, self.books, components, self.trace
        )
        self.station = StationProcess(
            self.setup,
            sim,
            self.rng,
            self.network,
            self.floor,
            oracle,
            self.referee,
            self.books,
            components,
            self.trace,
        )
        self.floor.station = self.station
        self.line = Line(
            sim, self.floor, self.station, self.gateway, self.network, self.driver, self.referee, self.rng, self.trace
        )
        self.floor.on_edge = self.books.join.edge
        self.referee.on_met, self.referee.on_taken = self.books.join.met, self.books.join.removed
        self.referee.on_turned = self.floor.on_stand = self.books.join.belt_held
        self.network.on_verdict, self.network.on_cut = self.books.join.sent, self.books.join.broken
        self.network.on_injected = self.books.join.injected
        self.floor.is_unguarded = self._is_unguarded
        self.director = Director(self.line, CATALOGUE, task.faults, task.gap_parts, self.rng, self.trace)

    def _is_unguarded(self) -> bool:
        """True while a process is down, or the cable cut, for longer than watchdogs and what they start take."""
        now, gateway_ns = self.sim.now, self.gateway.down_ns
        if gateway_ns is not None:
            return now - gateway_ns > GATEWAY_MISSED_NS
        unheard_ns = min((ns for ns in (self.station.down_ns, self.network.cut_ns) if ns is not None), default=now)
        return now - unheard_ns > STATION_MISSED_NS

    def _program(self, components: Components) -> Any:
        def make(registers: list[int]) -> Program:
            program: Program = components.program(self.setup.plc, registers, lambda: self.rng.getrandbits(31) + 1)
            return program

        return make

    def run(self) -> None:
        """Run until every plate has met the gate and the line has settled; a traced run ends with its history."""
        self.gateway.start()
        self.station.start()
        counts, parts = self.referee.counts, self.task.parts
        limit_ns = self.sim.now + 10_000 * MS + parts * LONGEST_NS_A_PART
        while counts["parts"] + counts["removed"] < parts:
            self.sim.run_until(self.sim.now + STEP_NS)
            if self.trace is not None and self.trace.history:
                return
            if self.sim.now > limit_ns:
                self.books.problems["the line stands still"] += 1
                break
        self.sim.run_until(self.sim.now + SETTLE_NS)
        if self.station.crashes != self.director.injected["engine_hung"]:
            self.books.problems["the station ended itself without an engine that hung, or not with one"] += 1
        counts["entered_unguarded"] = self.floor.entered_unguarded
        down_ns = self.station.down_ns
        self.books.close(counts["edges"], self.floor.world.eye_number, self.sim.now if down_ns is None else down_ns)
