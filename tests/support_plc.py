"""A PLC program on a bench, with a hand on every input and register."""

from typing import Any

from edge.simulate import plc_map as plc
from edge.simulate.plc import PlcProgram
from edge.simulate.plc_io import Edge, Inputs, Outputs, PlcSettings

MS = 1_000_000
GATEWAY, STATION = 0x1111_2222, 0x3333_4444
C = 4_000_000  # where the part's edge is latched
SETTINGS = PlcSettings()
N_D = 5000
COMMIT = 5000 - 50 - 270


def put32(registers: list[int], at: int, value: int) -> None:
    registers[at : at + 2] = [value >> 16 & 0xFFFF, value & 0xFFFF]


class Bench:
    """A program with a hand on every input.  A scan comes no sooner than the belt at its highest speed allows."""

    def __init__(self, settings: PlcSettings = SETTINGS) -> None:
        self.reg = [0] * plc.REGISTERS
        sessions = iter(range(900, 1000))
        self.program = PlcProgram(settings, self.reg, lambda: next(sessions))
        self.now_ns = 10_000 * MS
        self.count, self.number = C - 500, 1000
        self.beating = self.moving = True
        self.epoch = 1
        self.slip = 0  # counts that the encoder has read too much
        self.sequence = 0
        self.edges: list[Edge] = []

    def get32(self, at: int) -> int:
        return self.reg[at] << 16 | self.reg[at + 1]

    def flag(self, bit: int) -> bool:
        return bool(self.reg[plc.FLAGS] & bit)

    def scan(self, count: int | None = None, ms: float = 10, **sensors: Any) -> Outputs:
        count = self.count if count is None else count
        self.now_ns += round(max(ms, (count - self.count) / 10) * MS)
        self.count = count
        if self.beating:
            self.reg[plc.G_HEARTBEAT] = self.reg[plc.G_HEARTBEAT] % 0xFFFF + 1
        count = (self.count + self.slip) % 2**32
        inputs = Inputs(count, self.number, self.epoch, tuple(self.edges), self.moving, **sensors)
        self.edges = []
        return self.program.scan(self.now_ns, inputs)

    def part(self, number: int = 1001, count: int = C, length: int | None = 600) -> None:
        self.number = number
        self.edges.append(Edge(True, number, count % 2**32))
        if length is not None:
            self.edges.append(Edge(False, number, (count + length) % 2**32))

    def control(self, gateway: int = GATEWAY, station: int = STATION, fence: int = 0, **changes: int) -> None:
        self.reg[plc.G_FLAGS] = changes.get("flags", plc.READY)
        put32(self.reg, plc.G_SESSION_W, gateway)
        put32(self.reg, plc.G_STATION_W, station)
        put32(self.reg, plc.G_FENCE_W, fence % 2**32)
        self.reg[plc.G_RECIPE] = 7
        self.reg[plc.G_EPOCH] = changes.get("epoch", 1)
        self.reg[plc.G_FAIL_SAFE] = changes.get("fail_safe", 1)
        self.reg[plc.G_OUTPUT] = changes.get("output", 0)
        put32(self.reg, plc.G_PLC_SESSION_W, changes.get("plc_session", self.program._session))

    def permit(self, number: int = 1001, count: int = C, slot: int = 0, **changes: int) -> None:
        self.sequence += 1
        at = plc.PERMITS + slot * plc.PERMIT_SIZE
        put32(self.reg, at, number)
        put32(self.reg, at + 2, count % 2**32)
        put32(self.reg, at + 4, changes.get("plc_session", 900))
        put32(self.reg, at + 6, changes.get("gateway", GATEWAY))
        self.reg[at + 8] = changes.get("epoch", 1)
        self.reg[at + 9] = changes.get("result", 1)
        self.reg[at + 10] = self.sequence

    def status(self, slot: int = 0) -> int:
        at = plc.ECHO_RING + 2 * slot
        assert self.reg[at] == self.reg[plc.PERMITS + slot * plc.PERMIT_SIZE + 10]
        return self.reg[at + 1]


def running(settings: PlcSettings = SETTINGS, **control: int) -> Bench:
    """Return a bench with a live gateway, the fence behind it, and part 1001 at ``C``."""
    bench = Bench(settings)
    bench.control(fence=C - 10_000, fail_safe=settings.fail_safe, **control)
    bench.scan()
    bench.part()
    bench.scan(C + 700)
    return bench


def armed(settings: PlcSettings = SETTINGS) -> Bench:
    """Return that bench with a permit for the part."""
    bench = running(settings)
    bench.permit()
    bench.scan(C + 800)
    assert bench.status() == plc.ARMED
    return bench
