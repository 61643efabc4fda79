"""The signal map as two programs understand it that share no code: the gateway's driver and the PLC's program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from edge.core.session import Permit, Session
from edge.gateway.plc import signals
from edge.simulate import plc_map as plc
from edge.simulate.plc import PlcProgram
from edge.simulate.plc_io import Edge, Inputs, PlcSettings

MS = 1_000_000
PLC_SESSION, GATEWAY, STATION, FENCE = 0x8001_0002, 0x7003_0004, 0x6005_0006, 0xFFFF_0008
SESSION = Session(PLC_SESSION, GATEWAY, STATION, epoch=3, fence=FENCE)
PART, EYE = 0x0009_000A, 0x0000_0C00  # the count wraps between fence and part
PERMIT = Permit(PART, EYE, SESSION)
CONTROL = signals.Control(
    heartbeat=1,
    ready=True,
    stop=False,
    gateway_session=GATEWAY,
    station_session=STATION,
    fence=FENCE,
    recipe=0xABCD,
    epoch=3,
    fail_safe="reject",
    output=False,
    plc_session=PLC_SESSION,
)


class Scans:
    """The program, and the words that the gateway's driver would write into its registers."""

    def __init__(self, **settings: Any) -> None:
        self.registers = [0] * plc.REGISTERS
        self.program = PlcProgram(PlcSettings(**settings), self.registers, lambda: PLC_SESSION)
        self.now_ns, self.beat, self.number, self.count = 10_000 * MS, 0, PART - 1, EYE - 100

    def write(self, base: int, words: list[int]) -> None:
        self.registers[base : base + len(words)] = words

    def control(self, control: signals.Control = CONTROL) -> None:
        self.write(signals.CONTROL_BASE, signals.control_words(control))

    def permit(self, permit: Permit = PERMIT, slot: int = 0, sequence: int = 0x1234) -> None:
        self.write(signals.PERMIT_BASE + slot * signals.PERMIT_LENGTH, signals.permit_words(permit, sequence))

    def scan(self, count: int | None = None, edges: tuple[Edge, ...] = (), **inputs: Any) -> signals.PlcStatus:
        count = self.count if count is None else count
        self.now_ns += max(10 * MS, (count - self.count) * MS // 10)
        self.count = count
        self.beat += 1
        self.registers[plc.G_HEARTBEAT] = self.beat
        self.outputs = self.program.scan(self.now_ns, Inputs(count, self.number, 3, edges, **inputs))
        return self.status()

    def status(self) -> signals.PlcStatus:
        start = signals.STATUS_BASE
        return signals.parse_status(self.registers[start : start + signals.STATUS_LENGTH])

    def part(self) -> signals.PlcStatus:
        """Scan a part, 60 mm long, that has passed the eye."""
        self.number = PART
        return self.scan(EYE + 700, (Edge(True, PART, EYE), Edge(False, PART, EYE + 600)))


@pytest.fixture
def scans() -> Scans:
    made = Scans()
    made.control()
    made.scan()
    made.part()
    return made


def test_bases_and_lengths() -> None:
    assert signals.MAP_VERSION == plc.MAP_VERSION
    assert (signals.STATUS_BASE, signals.STATUS_LENGTH) == (plc.VERSION, plc.READ_ONLY_END)
    assert (signals.CONTROL_BASE, signals.CONTROL_LENGTH) == (plc.CONTROL, plc.CONTROL_SIZE)
    assert len(signals.control_words(CONTROL)) == plc.CONTROL_SIZE
    assert (signals.PERMIT_BASE, signals.PERMIT_LENGTH) == (plc.PERMITS, plc.PERMIT_SIZE)
    assert len(signals.permit_words(PERMIT, 1)) == plc.PERMIT_SIZE
    assert signals.PERMIT_SLOTS == plc.PERMIT_SLOTS
    assert (signals.TRIGGERS_AT, signals.TRIGGERS) == (plc.TRIGGER_RING, plc.TRIGGER_ENTRIES)
    assert signals.ECHOES_AT == plc.ECHO_RING
    assert (signals.GATED_AT, signals.GATED) == (plc.GATE_RING, plc.GATE_ENTRIES)
    assert plc.PERMITS + plc.PERMIT_SLOTS * plc.PERMIT_SIZE == plc.REGISTERS


def test_no_block_reaches_into_the_next() -> None:
    blocks = [
        (plc.TRIGGER_RING, plc.TRIGGER_ENTRIES * plc.TRIGGER_SIZE),
        (plc.ECHO_RING, 2 * plc.PERMIT_SLOTS),
        (plc.GATE_RING, plc.GATE_ENTRIES * plc.GATE_SIZE),
        (plc.CONTROL, plc.CONTROL_SIZE),
        (plc.PERMITS, plc.PERMIT_SLOTS * plc.PERMIT_SIZE),
    ]
    assert plc.GATED_W + 2 <= plc.TRIGGER_RING
    assert all(start + length <= following for (start, length), (following, _) in pairwise(blocks))
    assert plc.GATE_RING + plc.GATE_ENTRIES * plc.GATE_SIZE <= plc.READ_ONLY_END <= plc.CONTROL


def test_flags_and_codes() -> None:
    names = (
        *("RUNNING", "GATEWAY_ALIVE", "INFEED_OPEN", "BELT_MOVING", "RESET", "BIN_FULL", "AIR_LOW", "EYE_BLOCKED"),
        *("ENCODER_LOST", "LINE_STOPPED", "PULSE", "READY", "STOP", "ARMED", "EXECUTED"),
        *("ACTION_GOOD", "ACTION_REJECTED", "CONFIRMED", "CONTRADICTED"),
    )
    assert {name: getattr(signals, name) for name in names} == {name: getattr(plc, name) for name in names}
    assert signals.RESULT_PASS == plc.PASS
    assert signals.FAIL_SAFE == {"reject": plc.REJECT, "stop_line": plc.STOP_LINE}
    assert signals.control_words(CONTROL)[1] == plc.READY
    assert signals.control_words(replace(CONTROL, ready=False, stop=True))[1] == plc.STOP


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (plc.EMPTY, "empty"),
        (plc.ARMED, "armed"),
        (plc.WRONG_SESSION, "wrong_session"),
        (plc.UNKNOWN_PART, "unknown_part"),
        (plc.WRONG_COUNT, "wrong_count"),
        (plc.LATE, "late"),
        (plc.FENCED, "fenced"),
        (plc.EXECUTED, "executed"),
        (plc.EXPIRED, "cleared"),
        (plc.NOT_PERMITTABLE, "not_permittable"),
        (plc.BAD_RESULT, "bad_result"),
    ],
)
def test_a_permit_status_means_the_same_at_both_ends(code: int, name: str) -> None:
    assert signals.PERMIT_STATUS[code] == name
    assert len(signals.PERMIT_STATUS) == plc.BAD_RESULT + 1


def test_the_gateway_reads_what_the_program_says(scans: Scans) -> None:
    status = scans.status()
    alive = signals.RUNNING | signals.GATEWAY_ALIVE | signals.INFEED_OPEN | signals.BELT_MOVING
    assert (status.heartbeat, status.flags, status.fail_safe) == (2, alive, signals.FAIL_SAFE["reject"])
    assert (status.session, status.count, status.last_part) == (PLC_SESSION, EYE + 700, PART)
    assert (status.gateway_session, status.station_session) == (GATEWAY, STATION)
    assert (status.fence, status.recipe, status.epoch) == (FENCE, 0xABCD, 3)
    assert status.parts == ((PART, EYE),)
    assert set(status.echoes) == {(0, plc.EMPTY)}
    assert set(status.gated) == {(0, 0, 0)}


@pytest.mark.parametrize("slot", range(plc.PERMIT_SLOTS))
def test_a_permit_arms_opens_the_gate_and_is_reported(scans: Scans, slot: int) -> None:
    scans.permit(slot=slot)
    assert scans.scan(EYE + 800).echoes[slot] == (0x1234, signals.ARMED)
    status = scans.status()
    for count in range(EYE + 900, EYE + 6500, 50):
        status = scans.scan(count)
    assert status.echoes[slot] == (0x1234, signals.EXECUTED)
    assert (PART, signals.ACTION_GOOD, 0) in status.gated


def test_a_part_without_a_permit_is_reported_as_rejected(scans: Scans) -> None:
    status = scans.status()
    for count in range(EYE + 900, EYE + 6500, 50):
        status = scans.scan(count)
    assert [action for number, action, _ in status.gated if number == PART] == [plc.ACTION_REJECTED]
    assert plc.ACTION_REJECTED != signals.ACTION_GOOD


@pytest.mark.parametrize(
    ("permit", "status"),
    [
        (Permit(PART + 1, EYE, SESSION), "unknown_part"),
        (Permit(PART, EYE + 1000, SESSION), "wrong_count"),
        (Permit(PART, EYE, Session(PLC_SESSION + 1, GATEWAY, STATION, 3, FENCE)), "wrong_session"),
        (Permit(PART, EYE, Session(PLC_SESSION, GATEWAY + 1, STATION, 3, FENCE)), "wrong_session"),
        (Permit(PART, EYE, Session(PLC_SESSION, GATEWAY, STATION, 4, FENCE)), "wrong_session"),
    ],
)
def test_each_field_of_a_permit_lies_where_the_program_looks(scans: Scans, permit: Permit, status: str) -> None:
    scans.permit(permit)
    sequence, code = scans.scan(EYE + 800).echoes[0]
    assert (sequence, signals.PERMIT_STATUS[code]) == (0x1234, status)


Change = Callable[[Scans], None]


def _fence_ahead(scans: Scans) -> None:
    scans.control(replace(CONTROL, fence=EYE + 6000))


def _no_station(scans: Scans) -> None:
    scans.control(replace(CONTROL, station_session=0))


def _other_plc_session(scans: Scans) -> None:
    scans.control(replace(CONTROL, plc_session=PLC_SESSION + 1))


def _other_epoch(scans: Scans) -> None:
    scans.control(replace(CONTROL, epoch=4))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (_fence_ahead, "fenced"),
        (_no_station, "wrong_session"),
        (_other_epoch, "wrong_session"),
        (_other_plc_session, "wrong_session"),
    ],
)
def test_each_field_of_the_control_block_lies_where_the_program_looks(
    scans: Scans, change: Change, status: str
) -> None:
    change(scans)
    scans.permit()
    assert signals.PERMIT_STATUS[scans.scan(EYE + 800).echoes[0][1]] == status


@pytest.mark.parametrize(("ready", "is_open"), [(True, signals.INFEED_OPEN), (False, 0)])
def test_ready_opens_the_infeed(scans: Scans, ready: bool, is_open: int) -> None:
    scans.control(replace(CONTROL, ready=ready))
    assert scans.scan().flags & signals.INFEED_OPEN == is_open


@pytest.mark.parametrize("plc_says", ["reject", "stop_line"])
@pytest.mark.parametrize("gateway_says", ["reject", "stop_line"])
def test_the_fail_safe_must_be_the_same(plc_says: str, gateway_says: str) -> None:
    scans = Scans(fail_safe=signals.FAIL_SAFE[plc_says])
    scans.control(replace(CONTROL, fail_safe=gateway_says))
    status = scans.scan()
    assert status.fail_safe == signals.FAIL_SAFE[plc_says]
    assert bool(status.flags & signals.GATEWAY_ALIVE) is (plc_says == gateway_says)


@pytest.mark.parametrize(
    ("inputs", "bit"),
    [
        ({"reset": True}, signals.RESET),
        ({"bin_full": True}, signals.BIN_FULL),
        ({"air_low": True}, signals.AIR_LOW),
        ({"belt_moving": False}, 0),
    ],
)
def test_the_gateway_reads_the_inputs(scans: Scans, inputs: dict[str, bool], bit: int) -> None:
    seen = signals.RESET | signals.BIN_FULL | signals.AIR_LOW
    assert scans.scan(**inputs).flags & seen == bit
    assert bool(scans.status().flags & signals.BELT_MOVING) is ("belt_moving" not in inputs)


def test_the_gateway_reads_that_the_eye_is_blocked_and_the_encoder_lost(scans: Scans) -> None:
    for count in range(EYE + 800, EYE + 1600, 50):
        scans.scan(count, eye_covered=True)
    assert scans.status().flags & signals.EYE_BLOCKED
    assert not scans.status().flags & signals.ENCODER_LOST
    assert scans.scan(EYE - 800).flags & signals.ENCODER_LOST


@pytest.mark.parametrize(("stop", "flag"), [(True, signals.LINE_STOPPED), (False, 0)])
def test_stop_holds_the_belt(scans: Scans, stop: bool, flag: int) -> None:
    scans.control(replace(CONTROL, stop=stop))
    assert scans.scan().flags & signals.LINE_STOPPED == flag
    assert scans.outputs.belt_stop is stop


@pytest.mark.parametrize("output", [True, False])
def test_the_coil_moves_the_gate_of_a_pulse_program(output: bool) -> None:
    scans = Scans(pulse=True)
    scans.control(replace(CONTROL, output=output))
    assert scans.scan().flags & signals.PULSE
    assert scans.outputs.gate_open is output


@pytest.mark.parametrize(("seen", "word"), [(True, signals.CONFIRMED), (False, signals.CONTRADICTED)])
def test_a_confirmation_is_reported(seen: bool, word: int) -> None:
    scans = Scans(confirm_mm=50.0)
    scans.control()
    scans.scan()
    scans.part()
    scans.permit()
    for count in range(EYE + 800, EYE + 6100, 50):
        scans.scan(count)
    assert (PART, signals.ACTION_GOOD, 0) in scans.status().gated
    scans.scan(EYE + 6120, confirms=(EYE + 6110,) if seen else ())
    for count in range(EYE + 6150, EYE + 6600, 50):
        scans.scan(count)
    assert (PART, signals.ACTION_GOOD, word) in scans.status().gated
