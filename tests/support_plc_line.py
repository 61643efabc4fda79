"""World and PLC program scan by scan, with a gateway that permits every plate but the bad ones, and with faults."""

import random
from collections.abc import Callable
from typing import Any

from edge.simulate import plc_map as plc
from edge.simulate.plc import PlcProgram
from edge.simulate.plc_io import Edge, Inputs, Outputs, PlcSettings
from edge.simulate.registers import RegisterBank
from edge.simulate.world import UNCOUNTED, Bin, Event, Kind, Line, Plate, World

MS = 1_000_000
PITCH, GATE = 660, 5000  # counts
LINE = Line(
    pitch_mm=66.0,
    pitch_jitter_mm=3.0,
    length_mm=20.0,
    confirm_mm=50.0,
    eye_jitter_counts=8,
    count_start=2**32 - 8000,
    first_number=2**32 - 9,
)
PLC = PlcSettings(length_max_mm=25.0, pitch_min_mm=60.0, confirm_mm=50.0)


def halves(value: int) -> list[int]:
    return [value >> 16 & 0xFFFF, value & 0xFFFF]


class Rig:
    """One line.  A plate whose index is a multiple of ``bad`` never gets a permit."""

    def __init__(self, line: Line = LINE, settings: PlcSettings = PLC, bad: int = 5, program: Any = PlcProgram) -> None:
        sessions = iter(range(900, 10_000))
        self.world = World(line, 0)
        self.bank = RegisterBank(plc.REGISTERS, plc.READ_ONLY_END)
        self.program = program(settings, self.bank.registers, lambda: next(sessions))
        self.bad, self.now = bad, 0
        self.gateway_alive = True
        self.fell: dict[int, Event] = {}
        self.wrong: list[Event] = []  # good plates that have no right to be
        self.permitted: set[int] = set()  # plates
        self._edges: list[Edge] = []
        self._confirms: list[int] = []
        self._waiting: list[tuple[int, Event]] = []
        self._beat = self._sequence = 0
        self._seen = (0, 0)
        self._gateway, self._fence = 5, 0
        self.outputs = Outputs()

    def run(self, ms: int, each: Callable[[], None] = lambda: None) -> None:
        """Run a number of milliseconds in scans of 10, with ``each`` after each scan."""
        for _ in range(ms // 10):
            self.now += 10 * MS
            for event in self.world.advance(self.now):
                self._take(event)
            self.scan()
            self._gateway_works()
            each()

    def scan(self) -> None:
        world = self.world
        inputs = Inputs(
            world.count_at(self.now),
            world.eye_number,
            world.epoch,
            self._edges,
            world.moving(),
            eye_covered=world.eye_covered,
            confirms=self._confirms,
        )
        self._edges, self._confirms = [], []
        self.bank.begin_scan(self.now)
        self.outputs = self.program.scan(self.now, inputs)
        self.bank.end_scan()
        world.command_gate(self.now, self.outputs.gate_open)
        world.set_infeed(self.now, self.outputs.infeed_open)

    def _take(self, event: Event) -> None:
        if event.kind is Kind.CONFIRM:
            self._confirms.append(event.count)
        elif event.kind is Kind.GATE:
            self._judge(event)
        else:
            self._edges.append(Edge(event.kind is Kind.EYE_FRONT, event.number, event.count))
            if event.kind is Kind.EYE_FRONT:
                self._waiting.append((self.now + 30 * MS, event))

    def _judge(self, event: Event) -> None:
        assert event.plate is not None
        assert event.plate.index not in self.fell
        self.fell[event.plate.index] = event
        if event.bin is Bin.GOOD and (
            self._is_bad(event.plate) or event.number == UNCOUNTED or event.plate.index not in self.permitted
        ):
            self.wrong.append(event)

    def _is_bad(self, plate: Plate | None) -> bool:
        return plate is None or plate.index % self.bad == 0

    def _gateway_works(self) -> None:
        if not self.gateway_alive or self.now % (20 * MS):
            return
        words = self.bank.read(0, 24)
        session, count = words[4] << 16 | words[5], words[6] << 16 | words[7]
        if self._seen != (session, self.world.epoch) or words[10] << 16 | words[11] != self._gateway:
            self._gateway += self._seen != (0, 0)
            self._seen = (session, self.world.epoch)
            self._fence = count + GATE + PITCH
            self._waiting.clear()
        self._beat = self._beat % 0xFFFF + 1
        head = [self._beat, plc.READY, *halves(self._gateway), *halves(7), *halves(self._fence), 1]
        self.bank.write(plc.CONTROL, [*head, self.world.epoch, 1, 0, *halves(session)], self.now)
        while self._waiting and self._waiting[0][0] <= self.now:
            event = self._waiting.pop(0)[1]
            if not self._is_bad(event.plate):
                self._permit(event, session)

    def _permit(self, event: Event, session: int) -> None:
        assert event.plate is not None
        self.permitted.add(event.plate.index)
        self._sequence = self._sequence % 0xFFFF + 1
        words = [*halves(event.number), *halves(event.count), *halves(session), *halves(self._gateway)]
        at = plc.PERMITS + self._sequence % plc.PERMIT_SLOTS * plc.PERMIT_SIZE
        self.bank.write(at, [*words, self.world.epoch, plc.PASS, self._sequence], self.now)


class Faults:
    """Breaks something on a rig now and then, and mends it."""

    def __init__(self, rig: Rig, seed: int, chance: float = 0.02) -> None:
        self.rig, self.random, self.chance = rig, random.Random(seed), chance
        self.mend_at, self.mend = 0, lambda: None
        self.done: list[str] = []

    def __call__(self) -> None:
        rig = self.rig
        if self.mend_at and rig.now >= self.mend_at:
            self.mend_at = 0
            self.mend()
        if not self.mend_at and self.random.random() < self.chance:
            name = self.random.choice([name for name in dir(self) if name.startswith("fault_")])
            self.done.append(name)
            getattr(self, name)()

    def _mend_later(self, ms: int, mend: Callable[[], None]) -> None:
        self.mend_at, self.mend = self.rig.now + ms * MS, mend

    def fault_ramp(self) -> None:
        self.rig.world.ramp(self.rig.now, self.random.choice([0, 300, 1000]), 3000)
        self._mend_later(self.random.randint(200, 900), lambda: self.rig.world.ramp(self.rig.now, 1000, 2000))

    def fault_stop(self) -> None:
        self.rig.world.set_speed(self.rig.now, 0)
        self._mend_later(self.random.randint(20, 400), lambda: self.rig.world.set_speed(self.rig.now, 1000))

    def fault_reverse(self) -> None:
        self.rig.world.ramp(self.rig.now, -self.random.randint(50, 500), 10_000)
        self._mend_later(self.random.randint(200, 900), lambda: self.rig.world.ramp(self.rig.now, 800, 10_000))

    def fault_freeze(self) -> None:
        self.rig.world.freeze_encoder(self.rig.now)
        self._mend_later(self.random.randint(100, 600), lambda: self.rig.world.thaw_encoder(self.rig.now))

    def fault_jump(self) -> None:
        self.rig.world.jump_encoder(self.rig.now, self.random.choice([-1, 1]) * self.random.randint(400, 9000))

    def fault_epoch(self) -> None:
        self.rig.world.new_epoch(self.rig.now, self.random.getrandbits(32))

    def fault_eye(self) -> None:
        self.rig.world.block_eye(self.rig.now, self.random.randint(1, 300))

    def fault_bounce(self) -> None:
        self.rig.world.bounce_next(self.random.randint(1, 4))

    def fault_touch(self) -> None:
        self.rig.world.touch_next()

    def fault_hand(self) -> None:
        self.rig.world.remove(len(self.rig.fell) + self.rig.world.removed + self.random.randint(0, 8))

    def fault_plc(self) -> None:
        self.rig.program.stop()
        self._mend_later(self.random.randint(0, 300), self.rig.program.reboot)

    def fault_gateway(self) -> None:
        self.rig.gateway_alive = False

        def mend() -> None:
            self.rig.gateway_alive = True

        self._mend_later(self.random.randint(50, 500), mend)
