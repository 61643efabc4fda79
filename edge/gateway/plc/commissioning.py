"""The commissioning registers of the signal map, and the driver that reads them.  docs/signal.md shows the block.

Only `edge commission` uses them.  A PLC program may leave them out once the line has been measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.errors import PlcError
from edge.gateway.plc.modbus import ModbusDriver

BLOCK_VERSION = 1
BASE, STATUS_LENGTH, LENGTH = 320, 16, 20
STATE_AT, PIECE_AT, FRONT_AT, TAIL_AT, GATE_AT, DISCARDED_AT = 321, 322, 324, 326, 328, 330
CYCLE_AT, ON_AT, OFF_AT, RESOLUTION_AT = 331, 332, 333, 334
COMMAND_AT, SEQUENCE_AT = 336, 337

IDLE, CYCLING, DONE, NO_FEEDBACK, REFUSED = range(5)
STATES = {IDLE: "idle", CYCLING: "cycling", DONE: "done", NO_FEEDBACK: "no_feedback", REFUSED: "refused"}
CYCLE_GATE = 1
MS_PER_UNIT = 0.1


@dataclass(frozen=True)
class Piece:
    """A test piece that went from eye to gate with no other between them.  All counts are 32-bit readings.

    Attributes:
        number: of the piece, as the PLC's eye counts.
        front, tail: at the two edges of the eye.
        gate: when its front reached the sensor at the gate.
    """

    number: int
    front: int
    tail: int
    gate: int


@dataclass(frozen=True)
class Measured:
    """What the block says.

    Attributes:
        state: of the gate's cycle, see ``STATES``.
        piece: the last one measured; its number is 0 before the first.
        discarded: pieces that were not alone between eye and gate.
        cycle: sequence of the last cycle that ended.
        on_ms, off_ms: of that cycle, from the output's command to the gate's feedback.
        resolution_ms: how coarsely the PLC times the feedback.
    """

    state: int
    piece: Piece
    discarded: int
    cycle: int
    on_ms: float
    off_ms: float
    resolution_ms: float


def parse(registers: Sequence[int]) -> Measured:
    """Read the status side of the block, ``STATUS_LENGTH`` registers from ``BASE``.

    Raises:
        PlcError: the PLC has no such block, or one of another version, or says what the map does not know.
    """

    def word(at: int) -> int:
        return registers[at - BASE]

    def wide(at: int) -> int:
        return word(at) << 16 | word(at + 1)

    if len(registers) != STATUS_LENGTH or registers[0] != BLOCK_VERSION:
        found = registers[0] if registers else "nothing"
        raise PlcError(
            f"The PLC's commissioning block at register {BASE} has version {found}, and {BLOCK_VERSION} is understood.",
            "add the block to the PLC's program; see docs/signal.md.",
        )
    if word(STATE_AT) not in STATES:
        raise PlcError(f"The PLC reports state {word(STATE_AT)} of the gate's cycle.", "see docs/signal.md.")
    return Measured(
        state=word(STATE_AT),
        piece=Piece(wide(PIECE_AT), wide(FRONT_AT), wide(TAIL_AT), wide(GATE_AT)),
        discarded=word(DISCARDED_AT),
        cycle=word(CYCLE_AT),
        on_ms=word(ON_AT) * MS_PER_UNIT,
        off_ms=word(OFF_AT) * MS_PER_UNIT,
        resolution_ms=word(RESOLUTION_AT) * MS_PER_UNIT,
    )


class CommissioningDriver(ModbusDriver):
    """A PLC behind Modbus TCP whose program has the commissioning block."""

    def measured(self) -> Measured:
        """Read the block in one request.

        Raises:
            PlcError: the PLC does not answer, refuses, or has no such block.
        """
        return parse(self.read_registers(BASE, STATUS_LENGTH))

    def cycle_gate(self, sequence: int) -> None:
        """Ask for one cycle of the gate: on, wait for the feedback, off, wait again.

        Raises:
            PlcError: the PLC does not answer, or refuses.
        """
        self.write_registers(COMMAND_AT, [CYCLE_GATE, sequence])
