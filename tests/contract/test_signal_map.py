"""The signal map as two programs understand it that share no code: the gateway's driver and the PLC's program."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from edge.core.register import Permit, Session
from edge.gateway.plc import signals
from edge.simulate import plc
from edge.simulate.plc_io import Edge, Inputs, PlcSettings

MS = 1_000_000
PLC_SESSION, GATEWAY, STATION, FENCE = 0x8001_0002, 0x7003_0004, 0x6005_0006, 0xFFFF_0008
SESSION = Session(PLC_SESSION, GATEWAY, STATION, epoch=3, fence=FENCE)
PART, EYE = 0x0009_000A, 0x0000_0C00  # the count wraps between fence and part
PERMIT = Permit(PART, EYE, SESSION)
CONTROL = signals.Control(1, True, GATEWAY, STATION, FENCE, 0xABCD, 3, "reject")


class Scans:
    """The program, and the words that the gateway's driver would write into its registers."""

    def __init__(self, fail_safe: int = 1) -> None:
        self.registers = [0] * plc.REGISTERS
        self.program = plc.PlcProgram(PlcSettings(fail_safe=fail_safe), self.registers, lambda: PLC_SESSION)
        self.now_ns, self.beat, self.number, self.count = 10_000 * MS, 0, PART - 1, EYE - 100

    def write(self, base: int, words: list[int]) -> None:
        self.registers[base : base + len(words)] = words

    def control(self, control: signals.Control = CONTROL) -> None:
        self.write(signals.CONTROL_BASE, signals.control_words(control))

    def permit(self, permit: Permit = PERMIT, slot: int = 0, sequence: int = 0x1234) -> None:
        self.write(signals.PERMIT_BASE + slot * signals.PERMIT_LENGTH, signals.permit_words(permit, sequence))

    def scan(self, count: int | None = None, edges: tuple[Edge, ...] = ()) -> signals.PlcStatus:
        count = self.count if count is None else count
        self.now_ns += max(10 * MS, (count - self.count) * MS // 10)
        self.count = count
        self.beat += 1
        self.registers[plc.G_HEARTBEAT] = self.beat
        self.program.scan(self.now_ns, Inputs(count, self.number, 3, edges))
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
    assert (signals.CONTROL_BASE, len(signals.control_words(CONTROL))) == (plc.CONTROL, plc.CONTROL_SIZE)
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
    names = ("RUNNING", "GATEWAY_ALIVE", "INFEED_OPEN", "BELT_MOVING", "ARMED", "EXECUTED", "ACTION_GOOD")
    assert {name: getattr(signals, name) for name in names} == {name: getattr(plc, name) for name in names}
    assert signals.RESULT_PASS == plc.PASS
    assert signals.control_words(CONTROL)[1] == plc.READY


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
    assert set(status.gated) == {(0, 0)}


@pytest.mark.parametrize("slot", range(plc.PERMIT_SLOTS))
def test_a_permit_arms_opens_the_gate_and_is_reported(scans: Scans, slot: int) -> None:
    scans.permit(slot=slot)
    assert scans.scan(EYE + 800).echoes[slot] == (0x1234, signals.ARMED)
    status = scans.status()
    for count in range(EYE + 900, EYE + 6500, 50):
        status = scans.scan(count)
    assert status.echoes[slot] == (0x1234, signals.EXECUTED)
    assert (PART, signals.ACTION_GOOD) in status.gated


def test_a_part_without_a_permit_is_reported_as_rejected(scans: Scans) -> None:
    status = scans.status()
    for count in range(EYE + 900, EYE + 6500, 50):
        status = scans.scan(count)
    assert [action for number, action in status.gated if number == PART] == [plc.ACTION_REJECTED]
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
    scans.control(signals.Control(9, True, GATEWAY, STATION, EYE + 6000, 7, 3, "reject"))


def _no_station(scans: Scans) -> None:
    scans.control(signals.Control(9, True, GATEWAY, 0, FENCE, 7, 3, "reject"))


def _other_epoch(scans: Scans) -> None:
    scans.control(signals.Control(9, True, GATEWAY, STATION, FENCE, 7, 4, "reject"))


@pytest.mark.parametrize(
    ("change", "status"), [(_fence_ahead, "fenced"), (_no_station, "wrong_session"), (_other_epoch, "wrong_session")]
)
def test_each_field_of_the_control_block_lies_where_the_program_looks(
    scans: Scans, change: Change, status: str
) -> None:
    change(scans)
    scans.permit()
    assert signals.PERMIT_STATUS[scans.scan(EYE + 800).echoes[0][1]] == status


@pytest.mark.parametrize(("ready", "is_open"), [(True, signals.INFEED_OPEN), (False, 0)])
def test_ready_opens_the_infeed(scans: Scans, ready: bool, is_open: int) -> None:
    scans.control(signals.Control(9, ready, GATEWAY, STATION, FENCE, 7, 3, "reject"))
    assert scans.scan().flags & signals.INFEED_OPEN == is_open


@pytest.mark.parametrize("plc_says", ["reject", "stop_line"])
@pytest.mark.parametrize("gateway_says", ["reject", "stop_line"])
def test_the_fail_safe_must_be_the_same(plc_says: str, gateway_says: str) -> None:
    scans = Scans(signals.FAIL_SAFE[plc_says])
    scans.control(signals.Control(1, True, GATEWAY, STATION, FENCE, 7, 3, gateway_says))
    status = scans.scan()
    assert status.fail_safe == signals.FAIL_SAFE[plc_says]
    assert bool(status.flags & signals.GATEWAY_ALIVE) is (plc_says == gateway_says)
