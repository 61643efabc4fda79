"""The Modbus signal map, version 1: holding registers, 32-bit values high word first.  docs/signal.md shows it.

A pure translation between register words and typed values; the driver moves the words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from edge.core.counter import delta, wrap
from edge.core.session import Permit
from edge.errors import PlcError

MAP_VERSION = 1

STATUS_BASE, STATUS_LENGTH = 0, 120
TRIGGERS_AT, TRIGGERS = 24, 12
ECHOES_AT, PERMIT_SLOTS = 72, 8
GATED_AT, GATED = 88, 8
CONTROL_BASE, CONTROL_LENGTH = 200, 14
PERMIT_BASE, PERMIT_LENGTH = 220, 11

RUNNING, GATEWAY_ALIVE, INFEED_OPEN, BELT_MOVING = 1, 2, 4, 8
RESET, BIN_FULL, AIR_LOW, EYE_BLOCKED, ENCODER_LOST, LINE_STOPPED, PULSE = 16, 32, 64, 128, 256, 512, 1024
READY, STOP = 1, 2
FAIL_SAFE = {"reject": 1, "stop_line": 2}
RESULT_PASS = 1
ACTION_GOOD, ACTION_REJECTED = 1, 2
CONFIRMED, CONTRADICTED = 1, 2

ARMED, EXECUTED = 1, 7
PERMIT_STATUS = {
    0: "empty",
    ARMED: "armed",
    2: "wrong_session",
    3: "unknown_part",
    4: "wrong_count",
    5: "late",
    6: "fenced",
    EXECUTED: "executed",
    8: "cleared",
    9: "not_permittable",
    10: "bad_result",
}


class PlcStatus(msgspec.Struct, frozen=True):
    """What the PLC says, from one read.

    Attributes:
        opened, without_permit, met_gate: parts since the PLC's start, see the map.
        parts: (number, latched count) of the last parts up to ``last_part`` that the PLC's eye counted, oldest first.
        echoes: (sequence, status) by permit slot.
        gated: (number, action, confirmation) of the last parts that met the gate.
    """

    heartbeat: int
    flags: int
    fail_safe: int
    session: int
    count: int
    last_part: int
    gateway_session: int
    station_session: int
    fence: int
    recipe: int
    epoch: int
    opened: int
    without_permit: int
    met_gate: int
    parts: tuple[tuple[int, int], ...]
    echoes: tuple[tuple[int, int], ...]
    gated: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Control:
    """What the gateway tells the PLC with every heartbeat.

    Attributes:
        ready: parts may be let in.
        stop: the belt must stand.
        output: of the `pulse` signal; on means PASS, where the gate rests in reject.
        plc_session: to which all this is said; a PLC that has restarted since ignores it.
    """

    heartbeat: int
    ready: bool
    stop: bool
    gateway_session: int
    station_session: int
    fence: int
    recipe: int
    epoch: int
    fail_safe: str
    output: bool
    plc_session: int


def words(value: int) -> list[int]:
    """Return a 32-bit value as two registers, high word first."""
    return [(value >> 16) & 0xFFFF, value & 0xFFFF]


def parse_status(registers: Sequence[int]) -> PlcStatus:
    """Read the status block, ``STATUS_LENGTH`` registers.

    Raises:
        PlcError: the block is short or of another version, or holds a word that the map does not know.
    """
    if len(registers) != STATUS_LENGTH:
        raise PlcError(
            f"The PLC answered {len(registers)} registers where {STATUS_LENGTH} were asked.", "check the PLC's program."
        )
    if registers[0] != MAP_VERSION:
        raise PlcError(
            f"The PLC's signal map has version {registers[0]}, and {MAP_VERSION} is understood.",
            "load the PLC program that belongs to this gateway; see docs/signal.md.",
        )

    def wide(at: int) -> int:
        return (registers[at] << 16) | registers[at + 1]

    last_part = wide(8)
    return PlcStatus(
        heartbeat=registers[1],
        flags=registers[2],
        fail_safe=registers[3],
        session=wide(4),
        count=wide(6),
        last_part=last_part,
        gateway_session=wide(10),
        station_session=wide(12),
        fence=wide(14),
        recipe=registers[16],
        epoch=registers[17],
        opened=wide(18),
        without_permit=wide(20),
        met_gate=wide(22),
        parts=_parts(tuple(registers[TRIGGERS_AT : TRIGGERS_AT + 4 * TRIGGERS]), last_part),
        echoes=_echoes(tuple(registers[ECHOES_AT : ECHOES_AT + 2 * PERMIT_SLOTS])),
        gated=_gated(tuple(registers[GATED_AT : GATED_AT + 4 * GATED])),
    )


# Most reads find the rings as the read before did, so the last few answers are kept.


@lru_cache(maxsize=4)
def _parts(ring: tuple[int, ...], last_part: int) -> tuple[tuple[int, int], ...]:
    entries = [(ring[at] << 16 | ring[at + 1], ring[at + 2] << 16 | ring[at + 3]) for at in range(0, 4 * TRIGGERS, 4)]
    known = [part for part in entries if -TRIGGERS < delta(part[0], last_part) <= 0]
    return tuple(sorted(known, key=lambda part: wrap(part[0] - last_part - 1)))


@lru_cache(maxsize=4)
def _echoes(ring: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    echoes = tuple(zip(ring[::2], ring[1::2], strict=True))
    if unknown := [status for _, status in echoes if status not in PERMIT_STATUS]:
        raise PlcError(
            f"The PLC echoes permit status {unknown[0]}, which the map does not know.", "see docs/signal.md."
        )
    return echoes


@lru_cache(maxsize=4)
def _gated(ring: tuple[int, ...]) -> tuple[tuple[int, int, int], ...]:
    gated = tuple((ring[at] << 16 | ring[at + 1], ring[at + 2], ring[at + 3]) for at in range(0, 4 * GATED, 4))
    for _, action, confirmation in gated:
        if action > ACTION_REJECTED or confirmation > CONTRADICTED:
            raise PlcError(
                f"The PLC says action {action}, confirmation {confirmation} of a part: the map does not know them.",
                "see docs/signal.md.",
            )
    return gated


def control_words(control: Control) -> list[int]:
    """Return the control block, for ``CONTROL_BASE``."""
    return [
        control.heartbeat & 0xFFFF,
        READY * control.ready | STOP * control.stop,
        *words(control.gateway_session),
        *words(control.station_session),
        *words(control.fence),
        control.recipe,
        control.epoch,
        FAIL_SAFE[control.fail_safe],
        int(control.output),
        *words(control.plc_session),
    ]


def permit_words(permit: Permit, sequence: int) -> list[int]:
    """Return one permit slot, the sequence last, so that a PLC which scans in mid-write never sees half a permit."""
    return [
        *words(permit.number),
        *words(permit.count),
        *words(permit.session.plc),
        *words(permit.session.gateway),
        permit.session.epoch,
        RESULT_PASS,
        sequence,
    ]
