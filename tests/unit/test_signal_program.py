"""The structured text of docs/signal.md does what the simulated PLC's program does, scan for scan."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from edge.gateway.plc import commissioning
from edge.gateway.plc.commissioning import Measured, Piece, parse
from edge.simulate import plc_map as m
from edge.simulate.plc import PlcProgram
from edge.simulate.plc_io import Edge, Inputs, PlcSettings
from tests.support_st import compiled

MS = 1_000_000
SESSION = 0x8000_0001
PAGE = Path(__file__).parents[2] / "docs" / "signal.md"
SHOWN = m.READ_ONLY_END
LENGTHS = (600, 700, 710, 450)  # counts, as all below: each bound is met exactly now and then
GAPS = (1000, 1010, 800, 790, 1330, 2050)
SPEEDS = (0, 100, 100, 100, 100, 90, -10, 10, 30, 120, 130)


def listings() -> list[str]:
    """Return the page's structured text: types, functions and the gate's block, and the commissioning block."""
    return [part.split("```")[0] for part in PAGE.read_text(encoding="utf-8").split("```iecst\n")[1:]]


def block(settings: PlcSettings) -> Any:
    s = settings
    return compiled(
        listings()[0],
        "PermitGate",
        GATE=s.counts(s.gate_mm),
        LEAD=s.counts(s.lead_mm),
        COMMIT=s.commit_counts,
        TOLERANCE=s.tolerance_counts,
        LENGTH_MAX=s.counts(s.length_max_mm),
        PITCH_MIN=s.counts(s.pitch_min_mm),
        BACKLASH=s.counts(s.backlash_mm),
        SENSOR=s.counts(s.confirm_mm),
        COUNTS_PER_S=round(s.counts_per_mm * s.v_max_mm_s),
        RESPONSE_MS=round(s.response_ms),
        OUTPUT_MS=round(s.output_ms),
        SCAN_MS=round(s.scan_ms),
        WATCHDOG_MS=round(s.watchdog_ms),
        STILL_MS=round(s.still_ms),
        BRAKE=round(s.counts_per_mm * s.brake_mm_s2),
        FAIL_SAFE=s.fail_safe,
        HAS_PULSE=s.pulse,
    )


class Line:
    """A belt and a gateway that both do as chance will have it."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        self.settings = PlcSettings(
            fail_safe=chance.choice((1, 2)),
            confirm_mm=chance.choice((0.0, 150.0)),
            brake_mm_s2=chance.choice((0.0, 20_000.0)),
            pulse=chance.random() < 0.2,
        )
        self.registers = [0] * m.REGISTERS
        self.now_ms = chance.choice((1_000, 0xFFFF_0000))
        self.session = SESSION
        self.program = PlcProgram(self.settings, self.registers, lambda: self.session)
        self.text = block(self.settings)
        self.text.Start(SESSION)
        self.count = chance.choice((5_000, 0xFFFF_F000))
        self.number = chance.choice((100, 0xFFFF_FFF8))
        self.epoch, self.beat, self.sequence, self.slot = 1, 0, 0, 0
        self.gateway, self.station, self.fence = 0x1111_2222, 0x3333_4444, self.count
        self.speed = self.step = 100  # counts in 10 ms, and in this scan
        self.moving, self.lying = True, 0
        self.front_in = 300  # counts to the next part's front
        self.tails: list[int] = []  # counts to tails
        self.passing: list[int] = []  # counts to the sensor behind the gate
        self.length = 600
        self.parts: list[tuple[int, int]] = []
        self.shown: set[str] = set()
        self.calm = (1, 4, 12)[seed % 3]  # on a wild line hardly any part reaches the gate

    def write(self, at: int, *values: int) -> None:
        for registers in (self.registers, self.text.reg):
            registers[at : at + len(values)] = values

    def write32(self, at: int, *values: int) -> None:
        for n, value in enumerate(values):
            self.write(at + 2 * n, value >> 16 & 0xFFFF, value & 0xFFFF)

    def start(self) -> None:
        """Start both programs anew."""
        self.session += 1
        self.program.reboot()
        self.text.Start(self.session)

    def happen(self) -> None:
        """Let something go wrong now and then."""
        chance = self.chance
        fate = chance.random() * self.calm
        high, low = self.registers[m.GATEWAY_ECHO_W : m.GATEWAY_ECHO_W + 2]
        if self.gateway != high << 16 | low and chance.random() < 0.2:
            self.gateway = chance.randrange(1, 1 << 31)  # a burnt session is given up
        if chance.random() < 0.05:
            self.station = 0x3333_4444
            self.speed, self.moving = 100, True
        if fate < 0.004:
            self.gateway = chance.randrange(1, 1 << 31)
        elif fate < 0.008:
            self.station = chance.choice((0, chance.randrange(1, 1 << 31)))
        elif fate < 0.012:
            ahead = chance.choice((self.count - 9_000, self.count + 3_000, *(at + 5_000 for _, at in self.parts[-4:])))
            self.fence = ahead & 0xFFFF_FFFF
        elif fate < 0.016:
            self.beat -= chance.choice((5, 20))  # the heartbeat stands for so many scans
            self.lying = chance.choice((5, 20))
        elif fate < 0.020:
            self.epoch = self.epoch % 5 + 1
            self.count = chance.randrange(1 << 32)
        elif fate < 0.024:
            self.count = (self.count + chance.choice((120, 130, -320, -330, 500, 5_000))) & 0xFFFF_FFFF
        elif fate < 0.025:
            self.start()
        elif fate < 0.050:
            self.speed = chance.choice(SPEEDS)
            self.moving = chance.random() < 0.5 or self.speed != 0

    def edges(self) -> tuple[list[Edge], list[int]]:
        found, seen = [], []
        self.front_in -= max(0, self.step)
        self.tails = [left - max(0, self.step) for left in self.tails]
        self.passing = [left - max(0, self.step) for left in self.passing]
        for left in [left for left in self.tails if left <= 0]:
            found.append(Edge(False, self.number, (self.count + left) & 0xFFFF_FFFF))
        self.tails = [left for left in self.tails if left > 0]
        for left in [left for left in self.passing if left <= 0]:
            if self.chance.random() < 0.8:
                seen.append((self.count + left) & 0xFFFF_FFFF)
        self.passing = [left for left in self.passing if left > 0]
        if self.front_in <= 0:
            self.number = (self.number + 1) & 0xFFFF_FFFF
            at = (self.count + self.front_in) & 0xFFFF_FFFF
            found.append(Edge(True, self.number, at))
            self.parts.append((self.number, at))
            self.length = self.chance.choice(LENGTHS)
            self.tails.append(self.length + self.front_in)
            self.passing.append(self.front_in + self.length + 5_000 + round(10 * self.settings.confirm_mm))
            self.front_in += self.chance.choice(GAPS)
        return found, seen

    def gatewaywards(self) -> None:
        chance, gone = self.chance, self.lying > 0
        self.lying -= gone
        if not gone:
            self.beat = (self.beat + 1) & 0xFFFF
        flags = 1 if chance.random() < 0.95 else chance.randrange(4)
        self.write(m.CONTROL, self.beat if not gone else self.registers[m.G_HEARTBEAT], flags)
        self.write32(m.G_SESSION_W, self.gateway, self.station, self.fence)
        agreed = self.settings.fail_safe if chance.random() < 0.998 else 3
        self.write(m.G_RECIPE, 7, self.epoch, agreed, chance.randrange(2))
        self.write32(m.G_PLC_SESSION_W, self.session if chance.random() < 0.998 else self.session + 1)
        for number, at in self.parts[-8:]:
            place = (self.count - at) & 0xFFFF_FFFF
            if chance.random() < (0.5 if 0 <= place - self.settings.commit_counts <= 10 else 0.04):
                self.permit(number, at)

    def permit(self, number: int, at: int) -> None:
        chance = self.chance
        self.sequence = self.sequence % 0xFFFF + 1
        base = m.PERMITS + self.slot * m.PERMIT_SIZE
        self.slot = (self.slot + 1) % m.PERMIT_SLOTS
        wrong = chance.random()
        self.write32(
            base,
            (number + (wrong < 0.03)) & 0xFFFF_FFFF,
            (at + chance.choice((0, 0, 0, 0, 100, 380, 390, -400))) & 0xFFFF_FFFF,
            self.session + (0.03 < wrong < 0.05),
            self.gateway ^ (0.05 < wrong < 0.07),
        )
        self.write(base + m.P_EPOCH, self.epoch + (0.07 < wrong < 0.09), 1 + (0.09 < wrong < 0.1), self.sequence)

    def scan(self) -> None:
        chance = self.chance
        late = chance.random() < 0.03
        self.now_ms += 30 if late else 10
        self.happen()
        self.step = self.speed * (3 if late else 1)
        self.count = (self.count + self.step) & 0xFFFF_FFFF
        edges, seen = self.edges()
        self.gatewaywards()
        button, covered = chance.random() < 0.03, bool(self.tails) and chance.random() < 0.99
        image = Inputs(
            self.count,
            self.number,
            self.epoch,
            tuple(edges),
            self.moving,
            reset=button,
            bin_full=chance.random() < 0.05,
            air_low=chance.random() < 0.05,
            eye_covered=covered,
            confirms=tuple(seen) if self.settings.confirm_mm else (),
        )
        out = self.program.scan(self.now_ms * MS, image)
        t = self.text
        t.nowMs = self.now_ms & 0xFFFF_FFFF
        t.count, t.number, t.epoch = image.count, image.number, image.epoch
        for n, edge in enumerate(edges):
            t.edges[n].rising, t.edges[n].number, t.edges[n].count = edge.rising, edge.number, edge.count
        t.edgeCount = len(edges)
        t.confirms[: len(image.confirms)] = image.confirms
        t.confirmCount = len(image.confirms)
        t.beltMoving, t.resetButton, t.eyeCovered = image.belt_moving, image.reset, image.eye_covered
        t.binFull, t.airLow = image.bin_full, image.air_low
        t.Scan()
        assert (t.gateOpen, t.infeedOpen, t.beltStop) == (out.gate_open, out.infeed_open, out.belt_stop)
        assert t.reg[:SHOWN] == self.registers[:SHOWN], [
            (n, a, b) for n, (a, b) in enumerate(zip(t.reg, self.registers[:SHOWN], strict=False)) if a != b
        ]
        self.note(out)

    def note(self, out: Any) -> None:
        """Keep what was seen, so that the test can tell that it saw everything."""
        self.shown |= {f"status {self.registers[at]}" for at in range(m.ECHO_RING + 1, m.GATE_RING, 2)}
        gated = range(m.GATE_RING, m.READ_ONLY_END, m.GATE_SIZE)
        self.shown |= {f"action {self.registers[at + 2]}" for at in gated}
        self.shown |= {f"confirmation {self.registers[at + 3]}" for at in gated}
        self.shown |= {f"flag {bit}" for bit in range(11) if self.registers[m.FLAGS] >> bit & 1}
        self.shown |= {name for name, on in zip(("gate", "infeed", "stop"), out, strict=True) if on}


SEEN: set[str] = set()


@pytest.mark.parametrize("seed", range(12))
def test_every_scan_agrees(seed: int) -> None:
    line = Line(seed)
    for _ in range(2_500):
        line.scan()
    SEEN.update(line.shown)


def test_the_runs_saw_everything() -> None:
    wanted = {f"status {n}" for n in range(11)} | {f"action {n}" for n in (1, 2)}
    wanted |= (
        {f"confirmation {n}" for n in range(3)} | {f"flag {bit}" for bit in range(11)} | {"gate", "infeed", "stop"}
    )
    if SEEN:  # not where a single test is asked for
        assert wanted <= SEEN, wanted - SEEN


class Bench:
    """The commissioning block, a gate with feedback, and one piece at a time."""

    def __init__(self) -> None:
        gate, commissioning = listings()
        self.text = compiled(gate.split("FUNCTION_BLOCK")[0] + commissioning, "Commissioning")
        self.text.nowMs = 0xFFFF_FFF0
        self.output_ms: list[int] = []

    def scan(self, follow_scans: int = 2, **inputs: Any) -> None:
        t = self.text
        t.nowMs = (t.nowMs + 10) & 0xFFFF_FFFF
        t.rising = t.falling = t.sensed = False
        for name, value in inputs.items():
            setattr(t, name, value)
        self.output_ms.append(t.energise)
        t.feedback = self.output_ms[-min(follow_scans, len(self.output_ms))]
        t.Scan()

    def measured(self) -> Measured:
        return parse(self.text.reg[: commissioning.STATUS_LENGTH])

    def cycle(self, sequence: int, scans: int = 40, **inputs: Any) -> Measured:
        self.text.reg[16:18] = [commissioning.CYCLE_GATE, sequence]
        for _ in range(scans):
            self.scan(**inputs)
        return self.measured()


def test_a_piece_alone_is_reported_and_two_are_not() -> None:
    bench = Bench()
    bench.scan(rising=True, number=7, frontCount=100)
    bench.scan(falling=True, tailCount=700)
    assert bench.measured().piece == Piece(0, 0, 0, 0)
    bench.scan(sensed=True, gateCount=5100)
    assert bench.measured().piece == Piece(7, 100, 700, 5100)
    bench.scan(rising=True, number=8, frontCount=9000)
    bench.scan(rising=True, number=9, frontCount=9900)
    bench.scan(sensed=True, gateCount=14_000)
    bench.scan(sensed=True, gateCount=14_900)
    assert (bench.measured().piece.number, bench.measured().discarded) == (7, 1)
    bench.scan(rising=True, number=10, frontCount=0xFFFF_FF00)
    bench.scan(falling=True, tailCount=300)
    bench.scan(sensed=True, gateCount=4700)
    assert bench.measured().piece == Piece(10, 0xFFFF_FF00, 300, 4700)


def test_the_gate_is_cycled_once_for_a_sequence() -> None:
    bench = Bench()
    done = bench.cycle(5)
    assert (done.state, done.cycle, done.resolution_ms) == (commissioning.DONE, 5, 10.0)
    assert (done.on_ms, done.off_ms) == (20.0, 20.0)
    assert (sum(bench.output_ms), bench.text.energise) == (7, False)  # on for the feedback, and for the rest
    assert bench.cycle(5) == done
    assert sum(bench.output_ms) == 7
    assert bench.cycle(6, follow_scans=3).on_ms == 30.0


def test_a_cycle_that_cannot_be_ends_with_the_output_off() -> None:
    bench = Bench()
    refused = bench.cycle(1, gatewayAlive=True)
    assert (refused.state, refused.cycle, any(bench.output_ms)) == (commissioning.REFUSED, 1, False)
    bench.text.gatewayAlive = False
    silent = bench.cycle(2, scans=110, follow_scans=10_000)
    assert (silent.state, silent.cycle, bench.text.energise) == (commissioning.NO_FEEDBACK, 2, False)
