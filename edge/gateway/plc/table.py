"""The signal map in words, for docs/signal.md.  Addresses come from the constants that the driver uses.

A test reads and writes a block through the driver's functions by these rows, so none can point elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.gateway.plc import commissioning as block
from edge.gateway.plc import signals


@dataclass(frozen=True)
class Row:
    """One value of a register block.

    Attributes:
        address: of its first register; within a permit's slot, from the slot's first.
        length: in registers; 2 hold a 32-bit value, high word first, and more hold a ring.
        name: of the value, as in the driver's types where it has one there.
        meaning: in words.
    """

    address: int
    length: int
    name: str
    meaning: str


def _rows(start: int, *values: tuple[int, str, str]) -> tuple[Row, ...]:
    """Return rows that follow each other from ``start`` on."""
    rows = []
    for length, name, meaning in values:
        rows.append(Row(start, length, name, meaning))
        start += length
    return tuple(rows)


STATUS = (
    *_rows(
        signals.STATUS_BASE,
        (1, "map_version", f"{signals.MAP_VERSION}"),
        (1, "heartbeat", "+1 with every scan of the *program*; an open port is not a running program"),
        (1, "flags", "see below"),
        (1, "fail_safe", "1 reject, 2 stop_line; must be what the gateway is configured for"),
        (2, "session", "random, not zero, new at every start of the program"),
        (2, "count", "encoder count now"),
        (2, "last_part", "the number that the PLC's own eye gave last"),
        (2, "gateway_session", "that the PLC honours; 0 for none"),
        (2, "station_session", "echo of the control block, 0 without an honoured gateway session"),
        (2, "fence", "echo of the control block, 0 without an honoured gateway session"),
        (1, "recipe", "echo of the control block, 0 without an honoured gateway session"),
        (1, "epoch", "of the encoder; new whenever its count starts anew"),
        (2, "opened", "parts since the start for which the gate opened"),
        (2, "without_permit", "parts since the start that met the gate without a permit, or were given up before"),
        (2, "met_gate", "parts since the start that met the gate at all, or were given up"),
    ),
    Row(
        signals.TRIGGERS_AT,
        4 * signals.TRIGGERS,
        "parts",
        f"trigger ring: {signals.TRIGGERS} x (part number, latched count); entry = part number modulo "
        f"{signals.TRIGGERS}",
    ),
    Row(
        signals.ECHOES_AT,
        2 * signals.PERMIT_SLOTS,
        "echoes",
        f"permit echoes: {signals.PERMIT_SLOTS} x (sequence, status), by slot",
    ),
    Row(
        signals.GATED_AT,
        4 * signals.GATED,
        "gated",
        f"gate ring: {signals.GATED} x (part number, action, confirmation); entry = parts gated modulo "
        f"{signals.GATED}; action {signals.ACTION_GOOD} good, {signals.ACTION_REJECTED} rejected; confirmation 0 none "
        f"yet or no sensor, {signals.CONFIRMED} confirmed, {signals.CONTRADICTED} contradicted",
    ),
)

STATUS_FLAGS = {
    "RUNNING": "the program runs",
    "GATEWAY_ALIVE": "a gateway session is honoured, and its heartbeat beats",
    "INFEED_OPEN": "parts are let in: RUNNING, GATEWAY_ALIVE and READY",
    "BELT_MOVING": "from the drive; must not come before the belt moves",
    "RESET": "the operator holds the reset button; its rising edge clears latched faults here and at the gateway",
    "BIN_FULL": "the reject bin is full",
    "AIR_LOW": "the gate's air pressure is low",
    "EYE_BLOCKED": "the eye has been covered for more than L_max of belt",
    "ENCODER_LOST": "frozen, jumped or reversed: parts were given up; stands until a part has been counted since",
    "LINE_STOPPED": "the PLC holds the belt",
    "PULSE": "the program is of the `pulse` kind",
}

CONTROL = _rows(
    signals.CONTROL_BASE,
    (1, "heartbeat", "+1 with every write of the block"),
    (1, "flags", "bit 0 READY: parts may be let in; bit 1 STOP: hold the belt"),
    (2, "gateway_session", "new whenever the gateway begins anew"),
    (2, "station_session", "0 while no station holds the lane: then no permit may be armed"),
    (2, "fence", "a part that meets the gate before this count gets no permit"),
    (1, "recipe", "number of the station's recipe"),
    (1, "epoch", "the encoder epoch that the gateway has read"),
    (1, "fail_safe", "1 reject, 2 stop_line; a difference burns the session"),
    (1, "output", "bit 0: the output of the `pulse` signal; 0 otherwise"),
    (2, "plc_session", "to which the block is written; a program with another session ignores all of it"),
)

PERMIT = _rows(
    0,
    (2, "number", "of the part"),
    (2, "count", "its latched count, as read from the trigger ring"),
    (2, "plc_session", "under which it was counted"),
    (2, "gateway_session", "that permits it"),
    (1, "epoch", "of the encoder"),
    (1, "result", f"{signals.RESULT_PASS} = PASS; nothing else opens the gate"),
    (1, "sequence", "1 to 65535, never the one that the slot's echo shows; written last"),
)

PERMIT_STATUS = {
    "empty": "nothing was read from this slot since the start",
    "armed": "taken; the gate will open for the part",
    "wrong_session": "PLC session, gateway session or epoch is not the present one, or no station holds the lane",
    "unknown_part": "no such part was counted here",
    "wrong_count": "the counts disagree by more than half of p_min less the eye's scatter",
    "late": "the commit point has passed",
    "fenced": "the part meets the gate before the fence, or a later fence overtook it",
    "executed": "the gate opened for the part",
    "cleared": "withdrawn: gateway lost, encoder lost, belt stopped in the window, or the part had its one permit",
    "not_permittable": "longer than L_max, closer than p_min to a neighbour, or seen before",
    "bad_result": "the result is not PASS",
}

COMMISSIONING = (
    Row(block.BASE, 1, "version", f"{block.BLOCK_VERSION}; 0 where the program has no such block"),
    Row(
        block.STATE_AT,
        1,
        "state",
        "of the gate's cycle: " + ", ".join(f"{code} {name}" for code, name in block.STATES.items()),
    ),
    Row(block.PIECE_AT, 2, "piece_number", "last piece that went from eye to gate with no other between them"),
    Row(block.FRONT_AT, 2, "piece_front", "its count at the eye's rising edge"),
    Row(block.TAIL_AT, 2, "piece_tail", "its count at the eye's falling edge"),
    Row(block.GATE_AT, 2, "piece_gate", "its count when its front reached the sensor at the gate"),
    Row(block.DISCARDED_AT, 1, "discarded", "pieces that were not alone between eye and gate"),
    Row(block.CYCLE_AT, 1, "cycle", "sequence of the last gate cycle that ended"),
    Row(block.ON_AT, 1, "on_time", "of that cycle, from switching the output on to the feedback, in 0.1 ms"),
    Row(block.OFF_AT, 1, "off_time", "of that cycle, from switching the output off to the feedback, in 0.1 ms"),
    Row(block.RESOLUTION_AT, 1, "resolution", "of both times, in 0.1 ms: how often the feedback is sampled"),
    Row(block.COMMAND_AT, 1, "command", f"written by the gateway's side: 0 none, {block.CYCLE_GATE} cycle the gate"),
    Row(block.SEQUENCE_AT, 1, "sequence", "written with it; a new one, not 0, starts the command"),
)
