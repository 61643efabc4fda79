"""The plant: world, PLC, camera, trigger and referee in one process of its own, in real time.

One thread runs the line.  It sleeps until the next thing happens, and where the host wakes it late it works through
what was due, in order and at the times at which it was due: a slow host delays messages but bends no physics.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Protocol

import zmq

from edge import clock, errors
from edge.simulate.console import ConsoleServer
from edge.simulate.desk import Desk, FaultBoard
from edge.simulate.devices import Broadcast, Renderer, Scene
from edge.simulate.drive import Drive
from edge.simulate.instruments import EXPOSURE_NS, Camera, Eye
from edge.simulate.judge import Judge
from edge.simulate.modbus import ModbusServer
from edge.simulate.plant_settings import PlantSettings, judge_settings
from edge.simulate.plc import PlcProgram
from edge.simulate.plc_io import Edge, Inputs, Outputs, PlcSettings
from edge.simulate.plc_map import PLC_SESSION_W, READ_ONLY_END, REGISTERS
from edge.simulate.registers import RegisterBank
from edge.simulate.rig import Rig
from edge.simulate.tally import PlateRecord
from edge.simulate.world import Event, Kind, World

__all__ = ["Plant", "PlantSettings", "ProgramFactory"]

HELLO_NS = 100 * clock.NS_PER_MS
RESET_NS = 200 * clock.NS_PER_MS  # how long the operator holds the button


class Program(Protocol):
    """What the plant asks of a PLC program."""

    def scan(self, now_ns: int, inputs: Inputs) -> Outputs:
        """Run once."""
        ...

    def stop(self) -> None:
        """Go to STOP."""
        ...

    def reboot(self) -> None:
        """Start anew."""
        ...


ProgramFactory = Callable[[PlcSettings, list[int]], Program]


class Plant:
    """One run: ``open``, ``run`` in one thread, ``stop`` from any, ``close``.

    Args:
        settings: of the run.
        program_factory: the PLC's program; tests put a faulty one here.
        scene: where images come from, instead of the settings' own.
    """

    def __init__(
        self, settings: PlantSettings, program_factory: ProgramFactory = PlcProgram, scene: Scene | None = None
    ) -> None:
        line, faults = settings.line, settings.faults
        self.settings = settings
        self.plc_settings = replace(
            settings.plc,
            counts_per_mm=line.counts_per_mm,
            gate_mm=line.gate_mm,
            confirm_mm=line.confirm_mm,
            response_ms=line.response_ms,
            output_ms=line.output_ms,
        )
        self._scene = scene or settings.scene()
        self._faults = faults
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._renderer = Renderer(self._scene, line.parts)
        self._program_factory = program_factory
        self._cleanup = ExitStack()
        self._actions: list[tuple[int, int, Callable[[int], object]]] = []
        self._actions_made = 0
        self._scan_ns = round(self.plc_settings.scan_ms * clock.NS_PER_MS)
        self._edges: list[Edge] = []
        self._confirms: list[int] = []
        self._reset_pressed = self._infeed_open = False
        self._last_gate_ns = 0
        self._plc_session = 0
        self._stopping = False
        self._console: ConsoleServer | None = None
        self.lag_ns_max = 0
        self.telemetry_malformed = 0

    # -- life ------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Bind everything and set the line's clock to zero.

        Raises:
            PortBusy: an address is taken.
            ConfigError: an endpoint that is none.
        """
        trigger = Broadcast(self._context, self.settings.trigger, "trigger")
        self._cleanup.callback(trigger.close)
        camera = Broadcast(self._context, self.settings.camera, "camera")
        self._cleanup.callback(camera.close)
        self._endpoints = {"trigger": trigger.endpoint, "camera": camera.endpoint}
        self._telemetry = self._context.socket(zmq.SUB)
        self._cleanup.callback(self._telemetry.close)
        self._telemetry.setsockopt(zmq.LINGER, 0)
        self._telemetry.setsockopt(zmq.SUBSCRIBE, b"part")
        try:
            self._telemetry.connect(self.settings.telemetry)
        except zmq.ZMQError as error:
            raise errors.ConfigError(
                f"The telemetry endpoint {self.settings.telemetry} cannot be used ({error}).",
                "name it as tcp://HOST:PORT or ipc://PATH",
            ) from error
        self._renderer.start()
        self._cleanup.callback(self._renderer.close)
        self.judge = Judge(judge_settings(self.plc_settings), self._place_at)
        self.eye = Eye(trigger, self._at, self._faults)
        start = self.settings.camera_start
        self.camera = Camera(camera, self._at, self._scene, self._renderer, self.judge, self._faults, start)
        self.bank = RegisterBank(REGISTERS, READ_ONLY_END, self.judge.on_write)
        self.program = self._program_factory(self.plc_settings, self.bank.registers)
        self._server = ModbusServer(self.bank, self.settings.modbus_host, self.settings.modbus_port)
        self._server.start()
        self._cleanup.callback(self._server.stop)
        start_ns = clock.now_ns()
        self.world = World(self.settings.line, start_ns)
        line, plc_settings = self.settings.line, self.plc_settings
        self.drive = Drive(self.world, line.speed_mm_s, plc_settings.v_max_mm_s**2 / (2 * plc_settings.lead_mm))
        self._now_ns = start_ns  # how far the line has come
        self._desk = self._make_desk()
        if self.settings.console is not None:
            self._console = ConsoleServer(self.settings.console, self.ask)
            self._cleanup.callback(self._console.close)
        self._next_scan_ns = start_ns
        self._at(start_ns + HELLO_NS, self._say_hello)

    @property
    def addresses(self) -> dict[str, Any]:
        """Where the plant can be reached."""
        return {"modbus": self._server.port, **self._endpoints}

    def run(self) -> None:
        """Run the line until its plates have met the gate and the rest has settled, or ``stop``."""
        while not self._stopping:
            now_ns = clock.now_ns()
            self._catch_up(now_ns)
            self._hear_station()
            if self._console is not None:
                self._console.turn()
            if self._is_over(now_ns):
                return
            time.sleep(max(0, self._next_ns() - clock.now_ns()) / clock.NS_PER_S)

    def stop(self) -> None:
        """Let ``run`` return within a scan; for signal handlers and other threads."""
        self._stopping = True

    def close(self) -> None:
        """Release ports and threads; also after an ``open`` that failed half way."""
        self._cleanup.close()
        self._context.term()

    # -- result ----------------------------------------------------------------------------------------------------

    def summary(self) -> dict[str, Any]:
        """Return the referee's counts and how well the host kept up."""
        return {
            **self.judge.summary(),
            "frames_late": self.camera.frames_late,
            "telemetry_malformed": self.telemetry_malformed,
            "host_lag_ms_max": round(self.lag_ns_max / clock.NS_PER_MS, 1),
        }

    def records(self) -> Sequence[PlateRecord]:
        """Return one record a plate."""
        return self.judge.records()

    # -- the console -----------------------------------------------------------------------------------------------

    def ask(self, request: dict[str, Any], now_ns: int) -> dict[str, Any]:
        """Answer a request of the console, in the thread that runs the line; raises as ``Desk.answer``."""
        self._catch_up(now_ns)
        self.world.advance(now_ns)  # the world takes commands of the instant at which it stands
        self._now_ns = now_ns
        return self._desk.answer(request, now_ns)

    def _make_desk(self) -> Desk:
        speed_mm_s = self.settings.line.speed_mm_s
        accel_mm_s2 = self.plc_settings.brake_mm_s2 / 2  # what brakes at its hardest is taken for a lost encoder
        server, program = self._server, self.program
        rig = Rig(self.world, self.drive, self.eye, self.camera, server, program, self._at, speed_mm_s, accel_mm_s2)
        return Desk(FaultBoard(rig, self.judge, lambda: self._now_ns), self.judge, self._look)

    def _look(self) -> dict[str, Any]:
        """Return what the line does now, for the console."""
        return {
            "number": self.world.eye_number,
            "count": self.world.count_at(self._now_ns),
            "entered": self.world.entered,
            "good_bin": self.world.good,
            "reject_bin": self.world.reject,
            "infeed_open": self._infeed_open,
            "belt_mm_s": self.world.speed_mm_s,
            "host_lag_ms_max": round(self.lag_ns_max / clock.NS_PER_MS, 1),
        }

    # -- the line's clock ------------------------------------------------------------------------------------------

    def _at(self, at_ns: int, action: Callable[[int], object]) -> None:
        heapq.heappush(self._actions, (at_ns, self._actions_made, action))
        self._actions_made += 1

    def _next_ns(self) -> int:
        due = [self._next_scan_ns, self.world.next_ns(), self._actions[0][0] if self._actions else None]
        return min(ns for ns in due if ns is not None)

    def _catch_up(self, now_ns: int) -> None:
        """Do all that was due up to ``now_ns``, in order."""
        while (due_ns := self._next_ns()) <= now_ns:
            self.lag_ns_max = max(self.lag_ns_max, now_ns - due_ns)
            self._now_ns = due_ns
            for event in self.world.advance(due_ns):
                self._on_event(event)
            while self._actions and self._actions[0][0] <= due_ns:
                heapq.heappop(self._actions)[2](due_ns)
            if self._next_scan_ns <= due_ns:
                self._scan(due_ns)

    def _scan(self, now_ns: int) -> None:
        self._next_scan_ns = now_ns + self._scan_ns
        world, bank = self.world, self.bank
        inputs = Inputs(
            world.count_at(now_ns),
            world.eye_number,
            world.epoch,
            self._edges,
            belt_moving=world.moving(),
            reset=self._reset_pressed,
            eye_covered=world.eye_covered,
            confirms=self._confirms,
        )
        self._edges, self._confirms = [], []
        bank.begin_scan(now_ns)
        outputs = self.program.scan(now_ns, inputs)
        bank.end_scan()
        world.command_gate(now_ns, outputs.gate_open)
        world.set_infeed(now_ns, outputs.infeed_open)
        self._infeed_open = outputs.infeed_open
        self.judge.watch(now_ns)
        if outputs.belt_stop is not self.drive.held:
            self._hold_belt(now_ns, outputs.belt_stop)
        self._watch_plc_session(now_ns)

    def _hold_belt(self, now_ns: int, held: bool) -> None:
        """Brake within the lead of the gate's window, or start again; the operator resets what was stopped."""
        self.drive.hold(now_ns, held)
        if held:
            press_ns = now_ns + round(self.settings.reset_s * clock.NS_PER_S)
            self._at(press_ns, lambda _: self._press_reset(True))
            self._at(press_ns + RESET_NS, lambda _: self._press_reset(False))

    def _press_reset(self, pressed: bool) -> None:
        self._reset_pressed = pressed

    def _watch_plc_session(self, now_ns: int) -> None:
        high, low = self.bank.registers[PLC_SESSION_W : PLC_SESSION_W + 2]
        if (session := high << 16 | low) != self._plc_session:
            self._plc_session = session
            self.judge.on_plc_start(session, now_ns)

    def _place_at(self, at_ns: int) -> int:  # looked up late: the world starts when everything else is up
        return self.world.place_at(at_ns)

    def _is_over(self, now_ns: int) -> bool:
        parts = self.settings.line.parts
        met = self.world.good + self.world.reject
        return bool(parts) and met >= parts and now_ns >= self._last_gate_ns + self.settings.settle_s * clock.NS_PER_S

    # -- devices ---------------------------------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        world, plate = self.world, event.plate
        self.judge.on_event(event, world.epoch)
        if event.kind is Kind.GATE:
            self._last_gate_ns = event.at_ns
            if plate is not None:
                self.camera.forget(event.at_ns, plate.index)
            return
        if event.kind is Kind.CONFIRM:
            self._confirms.append(event.count)
            return
        self._edges.append(Edge(event.kind is Kind.EYE_FRONT, event.number, event.count))
        if event.kind is Kind.EYE_FRONT:
            self.eye.fire(event, world.epoch)
            exposed_ns = event.at_ns + EXPOSURE_NS
            if plate is None:
                self.camera.expose(exposed_ns, None)
            else:
                self.camera.expose(exposed_ns, plate.index, plate.tag)
                self._break_something(event, plate.index)

    def _break_something(self, event: Event, index: int) -> None:
        if index in self._faults.stop_plc:
            self.program.stop()
            start_ns = event.at_ns + round(self._faults.stop_plc[index] * clock.NS_PER_MS)
            self._at(start_ns, lambda _: self.program.reboot())
        if index in self._faults.stop_belt:
            self.drive.force(event.at_ns, 0.0)
            restart_ns = event.at_ns + round(self._faults.stop_belt[index] * clock.NS_PER_MS)
            self._at(restart_ns, lambda now_ns: self.drive.force(now_ns, None))

    def _say_hello(self, now_ns: int) -> None:
        world = self.world
        self.eye.hello(world.eye_number, world.count_at(now_ns), world.epoch)
        self.camera.hello()
        self._at(now_ns + HELLO_NS, self._say_hello)

    def _hear_station(self) -> None:
        while self._telemetry.poll(0):
            parts = self._telemetry.recv_multipart()
            try:
                topic, body = parts
                if topic == b"part":
                    self.judge.on_telemetry(json.loads(body))
            except (ValueError, KeyError, TypeError):
                self.telemetry_malformed += 1
