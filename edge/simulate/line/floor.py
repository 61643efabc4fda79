"""The factory floor: world, PLC and registers in step, and what eye and camera send to the station."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple, Protocol

from edge.simulate import plc, plc_map
from edge.simulate.line.referee import Referee
from edge.simulate.line.scheduler import NEVER, Scheduler
from edge.simulate.line.setup import CAMERA_START, MS, Setup
from edge.simulate.line.trace import Trace
from edge.simulate.plc_io import Edge, Inputs, Outputs
from edge.simulate.registers import RegisterBank
from edge.simulate.world import COUNTER_SPAN, Event, Kind, World

EXPOSURE_NS, TRANSFER_NS, LINK_NS = 2 * MS, 4 * MS, 300_000
HELLO_NS = 100 * MS
"""Eye and camera say that often that they are alive."""

NO_PLATE = "ffffffffffffffff"
"""What a frame of the bare belt shows: as the oracle reads it, nothing wrong."""


class TriggerMessage(NamedTuple):
    """What the eye's counter card sends at a rising edge."""

    number: int
    latched: int
    t0_ns: int
    epoch: int


class FrameMessage(NamedTuple):
    """What the camera sends."""

    counter: int
    exposed_ns: int
    tag: str
    intact: bool = True


class Listens(Protocol):
    """The station's process, whatever its state."""

    def trigger(self, message: TriggerMessage) -> None:
        """An edge arrives."""

    def frame(self, message: FrameMessage) -> None:
        """A frame arrives."""


class Program(Protocol):
    """What the floor asks of a PLC program."""

    def scan(self, now_ns: int, inputs: Inputs) -> Outputs:
        """Run once."""

    def stop(self) -> None:
        """Go to STOP."""

    def reboot(self) -> None:
        """Start anew."""


TamperTrigger = Callable[[TriggerMessage], list[tuple[int, TriggerMessage]] | None]
"""What a fault makes of an edge's message: copies with extra delays in ns; None leaves it alone."""

TamperFrame = Callable[[FrameMessage], list[tuple[int, FrameMessage]] | None]


class Floor:
    """World, PLC, eye and camera.

    Attributes:
        due_ns: when the world next has something to tell.
        scan_ns: when the PLC scans next.
        station: who listens to eye and camera.
        camera_counter: of the last frame, 32 bit.
        camera_silent: frames are exposed, and nothing is sent.
        on_edge: told of each number that the eye counts.
        on_plate: told of the index of each plate whose front passes the eye.
        on_stand: told of each scan at which the belt stands.
        on_belt_stop: told when the PLC begins and ceases to hold the belt.
        reset_held: the operator holds the reset button.
        is_unguarded: True while gateway or station is down for so long that nothing may enter.
        entered_unguarded: plates that entered all the same.
    """

    def __init__(
        self,
        setup: Setup,
        sim: Scheduler,
        rng: random.Random,
        make_program: Callable[[list[int]], Program],
        trace: Trace | None,
    ) -> None:
        self._setup, self._sim, self._random, self._trace = setup, sim, rng.random, trace
        self.world = World(setup.line, sim.now)
        self.referee: Referee | None = None
        self.station: Listens | None = None
        self.bank = RegisterBank(plc.REGISTERS, plc.READ_ONLY_END, self._on_write)
        self.program = make_program(self.bank.registers)
        self.due_ns = sim.now
        self.infeed_open = False
        self.camera_counter = CAMERA_START
        self.camera_silent = False
        self.tamper_trigger: TamperTrigger | None = None
        self.tamper_frame: TamperFrame | None = None
        self.on_edge: Callable[[int], None] | None = None
        self.on_plate: Callable[[int], None] | None = None
        self.on_stand: Callable[[], None] | None = None
        self.on_belt_stop: Callable[[bool], None] | None = None
        self.reset_held = False
        self.is_unguarded: Callable[[], bool] | None = None
        self.entered_unguarded = 0
        self._entered = 0
        self._edges: list[Edge] = []
        self._confirms: list[int] = []
        self._gate_open = self._belt_stop = False
        self._plc_session = 0
        self.scan_ns = sim.now
        self._period_ns = int(setup.plc.scan_ms * MS)
        self._inputs = Inputs(0, self.world.eye_number)  # one image, kept up to date
        self._epoch = self.world.epoch

    # -- the world --------------------------------------------------------------------------------------------------

    def happen(self, now_ns: int) -> None:
        """Let the world go on to ``now_ns``, and tell of it."""
        world, inputs = self.world, self._inputs
        referee, station = self.referee, self.station
        assert referee is not None
        for event in world.advance(now_ns):
            kind = event.kind
            if kind is Kind.EYE_FRONT:
                inputs.number, inputs.eye_covered = event.number, True
                self._edges.append(Edge(True, event.number, event.count))
                referee.on_event(event, self._epoch)
                if self.on_edge is not None:
                    self.on_edge(event.number)
                if station is not None:
                    self._fire(event, station)
                if self.on_plate is not None and event.plate is not None:
                    self.on_plate(event.plate.index)
                if self._trace is not None:
                    self._trace.note(event.number, f"eye: plate {event.plate}, count {event.count}")
            elif kind is Kind.EYE_TAIL:
                inputs.eye_covered = False
                self._edges.append(Edge(False, event.number, event.count))
            elif kind is Kind.GATE:
                referee.on_event(event, self._epoch)
            else:
                self._confirms.append(event.count)
        self.refresh()

    def refresh(self) -> None:
        """Ask the world anew when something happens: after each command."""
        due_ns = self.world.next_ns()
        self.due_ns = NEVER if due_ns is None else due_ns

    def command(self, method: Callable[..., object], *args: object) -> None:
        """Give the world a command of this instant."""
        self.happen(self._sim.now)
        method(self._sim.now, *args)
        self._epoch = self.world.epoch
        self.refresh()
        if self._trace is not None:
            self._trace.note(None, f"world: {getattr(method, '__name__', method)} {args}")

    def reboot(self) -> None:
        """Start the PLC's program anew, from STOP or from anything else."""
        self.program.reboot()
        if self._trace is not None:
            self._trace.note(None, "PLC: starts anew")

    # -- the PLC ----------------------------------------------------------------------------------------------------

    def scan(self, now: int) -> None:
        """Let the PLC scan once, and the world follow its outputs."""
        world, bank, inputs = self.world, self.bank, self._inputs
        self.scan_ns = now + self._period_ns
        count = world.count_at(now)
        if count == inputs.count and world.moving():
            self.happen(now)  # the world knows its speed as of its last event: a ramp may have ended since
        inputs.count, inputs.belt_moving, inputs.epoch = count, world.moving(), self._epoch
        inputs.edges, inputs.confirms, inputs.reset = self._edges, self._confirms, self.reset_held
        if not inputs.belt_moving and self.on_stand is not None:
            self.on_stand()
        bank.begin_scan(now)
        outputs = self.program.scan(now, inputs)
        bank.end_scan()
        if self._edges:
            self._edges = []
        if self._confirms:
            self._confirms = []
        if outputs.gate_open is not self._gate_open:
            self._gate_open = outputs.gate_open
            world.command_gate(now, outputs.gate_open)
            if self._trace is not None:
                self._trace.note(None, f"PLC: gate output {'on' if outputs.gate_open else 'off'}")
        if outputs.infeed_open is not self.infeed_open:
            self.infeed_open = outputs.infeed_open
            world.set_infeed(now, outputs.infeed_open)
            self.refresh()
            if self._trace is not None:
                self._trace.note(None, f"PLC: infeed {'open' if outputs.infeed_open else 'held'}")
        if world.entered != self._entered:
            if self.is_unguarded is not None and self.is_unguarded():
                self.entered_unguarded += world.entered - self._entered
            self._entered = world.entered
        if outputs.belt_stop is not self._belt_stop:
            self._belt_stop = outputs.belt_stop
            if self.on_belt_stop is not None:
                self.on_belt_stop(outputs.belt_stop)
        registers = bank.registers
        if registers[plc_map.FLAGS] & plc_map.ENCODER_LOST and self.on_stand is not None:
            self.on_stand()
        session = registers[plc_map.PLC_SESSION_W] << 16 | registers[plc_map.PLC_SESSION_W + 1]
        if session != self._plc_session:
            self._plc_session = session
            assert self.referee is not None
            self.referee.on_plc_start(session)

    def _on_write(self, address: int, values: list[int], now_ns: int) -> None:
        if self.referee is not None:
            self.referee.on_write(address, values, now_ns)
        if self._trace is not None and address >= plc_map.PERMITS:
            self._trace.note(values[0] << 16 | values[1], f"register {address} written: {values}")

    # -- eye and camera ---------------------------------------------------------------------------------------------

    def _fire(self, event: Event, station: Listens) -> None:
        """The edge triggers station and camera alike."""
        at_ns, draw, sim = event.at_ns, self._random, self._sim
        edge = TriggerMessage(event.number, event.count, at_ns, self._epoch)
        sent = self.tamper_trigger(edge) if self.tamper_trigger is not None else None
        if sent is None:
            sim.at(at_ns + LINK_NS + int(700_000 * draw()), station.trigger, edge)
        else:
            for delay, copy in sent:
                sim.at(at_ns + LINK_NS + delay, station.trigger, copy)
        tag = NO_PLATE if event.plate is None else event.plate.tag
        self.expose(at_ns + EXPOSURE_NS + int(100_000 * draw()), tag, station)

    def expose(self, exposed_ns: int, tag: str, station: Listens) -> None:
        """Let the camera take one frame."""
        self.camera_counter = (self.camera_counter + 1) % COUNTER_SPAN
        if self.camera_silent:
            return
        frame = FrameMessage(self.camera_counter, exposed_ns, tag)
        sent = self.tamper_frame(frame) if self.tamper_frame is not None else None
        due_ns = exposed_ns + TRANSFER_NS + int(1_000_000 * self._random())
        if sent is None:
            self._sim.at(due_ns, station.frame, frame)
        else:
            for delay, copy in sent:
                self._sim.at(due_ns + delay, station.frame, copy)
