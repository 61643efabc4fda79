"""The PLC program's register table: holding registers of 16 bits.

It is this program's own; nothing is shared with the gateway that talks to it.  A name with _W is the first of two
registers, high word first.
"""

from __future__ import annotations

REGISTERS = 308
MAP_VERSION = 1

# PLC -> gateway
VERSION, HEARTBEAT, FLAGS, FAIL_SAFE, PLC_SESSION_W, COUNT_W, LAST_PART_W = 0, 1, 2, 3, 4, 6, 8
GATEWAY_ECHO_W, STATION_ECHO_W, FENCE_ECHO_W, RECIPE_ECHO, EPOCH = 10, 12, 14, 16, 17
HONOURED_W, REJECTED_W, GATED_W = 18, 20, 22
TRIGGER_RING, TRIGGER_ENTRIES, TRIGGER_SIZE = 24, 12, 4  # number, latched count
ECHO_RING = 72  # sequence and status of each permit slot
GATE_RING, GATE_ENTRIES, GATE_SIZE = 88, 8, 4  # number, action, confirmation
READ_ONLY_END = 120

# gateway -> PLC
CONTROL, CONTROL_SIZE = 200, 14
G_HEARTBEAT, G_FLAGS, G_SESSION_W, G_STATION_W, G_FENCE_W, G_RECIPE, G_EPOCH, G_FAIL_SAFE, G_OUTPUT, G_PLC_SESSION_W = (
    200, 201, 202, 204, 206, 208, 209, 210, 211, 212,
)  # fmt: skip
PERMITS, PERMIT_SLOTS, PERMIT_SIZE = 220, 8, 11
# A permit's words, from the first of its slot; the sequence comes last.
P_NUMBER_W, P_COUNT_W, P_PLC_W, P_GATEWAY_W, P_EPOCH, P_RESULT, P_SEQUENCE = 0, 2, 4, 6, 8, 9, 10

# FLAGS
RUNNING, GATEWAY_ALIVE, INFEED_OPEN, BELT_MOVING = 1, 2, 4, 8
RESET, BIN_FULL, AIR_LOW, EYE_BLOCKED = 16, 32, 64, 128
ENCODER_LOST, LINE_STOPPED, PULSE = 256, 512, 1024
# G_FLAGS
READY, STOP = 1, 2

(EMPTY, ARMED, WRONG_SESSION, UNKNOWN_PART, WRONG_COUNT, LATE, FENCED, EXECUTED, EXPIRED, NOT_PERMITTABLE,
 BAD_RESULT) = range(11)  # fmt: skip

REJECT, STOP_LINE = 1, 2  # FAIL_SAFE
PASS = 1
ACTION_GOOD, ACTION_REJECTED = 1, 2
CONFIRMED, CONTRADICTED = 1, 2


class Registers:
    """Reads and writes of one or two registers of a plain array."""

    def __init__(self, registers: list[int]) -> None:
        self._reg = registers

    def _get32(self, at: int) -> int:
        return self._reg[at] << 16 | self._reg[at + 1]

    def _put32(self, at: int, value: int) -> None:
        self._reg[at] = value >> 16 & 0xFFFF
        self._reg[at + 1] = value & 0xFFFF


def delta(later: int, earlier: int) -> int:
    """Return the signed difference of two 32-bit counts."""
    return (later - earlier + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000
