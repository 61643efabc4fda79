"""The PLC's program: it counts parts with its own eye and opens the gate only for a part that has a permit.

Written as a PLC programmer would write it: one scan, a plain array of registers, small steps in a fixed order.  The
register table is this program's own; nothing is shared with the gateway that talks to it.

The eye and the encoder end in a hardware counter card that latches number and count at each edge and feeds the
station's trigger too.  The card goes on counting while the program is stopped; the program's table of parts does not.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from edge.simulate.plc_io import Edge, Inputs, Outputs, PlcSettings

REGISTERS = 308
MAP_VERSION = 1

# PLC -> gateway.  A name with _W is the first of two registers, high word first.
VERSION, HEARTBEAT, FLAGS, FAIL_SAFE, PLC_SESSION_W, COUNT_W, LAST_PART_W = 0, 1, 2, 3, 4, 6, 8
GATEWAY_ECHO_W, STATION_ECHO_W, FENCE_ECHO_W, RECIPE_ECHO, EPOCH = 10, 12, 14, 16, 17
HONOURED_W, REJECTED_W, GATED_W = 18, 20, 22
TRIGGER_RING, TRIGGER_ENTRIES, TRIGGER_SIZE = 24, 12, 4
ECHO_RING = 72
GATE_RING, GATE_ENTRIES, GATE_SIZE = 88, 8, 4
READ_ONLY_END = 120

# gateway -> PLC
CONTROL, CONTROL_SIZE = 200, 12
G_HEARTBEAT, G_FLAGS, G_SESSION_W, G_STATION_W, G_FENCE_W, G_RECIPE, G_EPOCH, G_FAIL_SAFE = (
    200, 201, 202, 204, 206, 208, 209, 210,
)  # fmt: skip
PERMITS, PERMIT_SLOTS, PERMIT_SIZE = 220, 8, 11

RUNNING, GATEWAY_ALIVE, INFEED_OPEN, BELT_MOVING = 1, 2, 4, 8  # FLAGS
READY = 1  # G_FLAGS

(EMPTY, ARMED, WRONG_SESSION, UNKNOWN_PART, WRONG_COUNT, LATE, FENCED, EXECUTED, EXPIRED, NOT_PERMITTABLE,
 BAD_RESULT) = range(11)  # fmt: skip

PASS = 1
ACTION_GOOD, ACTION_REJECTED = 1, 2
REMEMBERED_PARTS = 16  # parts past the gate that a late permit is still told apart by
JUMP_FACTOR = 2  # of the highest speed: no belt does that, whereas one a little too fast keeps its parts in place


@dataclass
class _Part:
    """A row of the part table."""

    number: int
    count: int
    length: int | None = None  # counts; None until its tail has passed the eye
    barred: bool = False  # too long, or too close to a neighbour
    slot: int | None = None  # of the one permit that it was given
    sequence: int = 0
    status: int = EMPTY  # ARMED, EXECUTED or EXPIRED once it was given one
    gated: bool = False  # met the gate, or was given up before: no permit helps it any more


def _delta(later: int, earlier: int) -> int:
    """Signed 32-bit difference."""
    return (later - earlier + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000


def _random_session() -> int:
    return secrets.randbelow(0xFFFF_FFFF) + 1


class PlcProgram:
    """The program over ``registers`` (at least ``REGISTERS`` long, 16-bit values), which it alone changes in a scan."""

    def __init__(
        self, settings: PlcSettings, registers: list[int], new_session: Callable[[], int] = _random_session
    ) -> None:
        self.settings = settings
        self._reg = registers
        self._new_session = new_session
        self._running = False
        self.reboot()

    # -- start and stop ------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Put the CPU in STOP: outputs off, registers frozen as they are, the port open."""
        self._running = False

    def reboot(self) -> None:
        """Start anew: a new session; permits, parts and everything that the gateway wrote are forgotten."""
        self._reg[:] = [0] * len(self._reg)
        self._session = self._new_session()
        self._burnt: set[int] = set()
        self._honoured_session = 0
        self._beat, self._beat_ns = 0, 0
        self._parts: dict[int, _Part] = {}
        self._newest: _Part | None = None
        self._epoch: int | None = None  # None until the first scan
        self._high = self._scan_ns = self._advanced_ns = self._stood_ns = 0
        self._executed = self._rejected = self._gated = 0
        self._gate_open = False
        self._running = True

    # -- one scan ------------------------------------------------------------------------------------------------

    def scan(self, now_ns: int, inputs: Inputs) -> Outputs:
        """Run the program once on this input image and return the output image."""
        if not self._running:
            return Outputs()
        self._count_parts(inputs)
        self._check_encoder(now_ns, inputs)
        self._supervise_gateway(now_ns)
        self._void_permits()
        self._take_permits(inputs)
        self._move_gate(inputs.count)
        self._record_gated(inputs.count)
        self._publish(inputs)
        return Outputs(self._gate_open, self._infeed_open)

    @property
    def _alive(self) -> bool:
        return self._honoured_session != 0

    @property
    def _infeed_open(self) -> bool:
        return self._alive and bool(self._reg[G_FLAGS] & READY)

    # -- parts ---------------------------------------------------------------------------------------------------

    def _count_parts(self, inputs: Inputs) -> None:
        for edge in inputs.edges:
            if edge.rising:
                self._open_part(edge)
            else:
                self._measure_part(edge)
        part = self._newest
        if part and part.length is None and _delta(inputs.count, part.count) > self._length_max:
            part.barred = True  # the eye is still covered

    @property
    def _length_max(self) -> int:
        return self.settings.counts(self.settings.length_max_mm)

    def _open_part(self, edge: Edge) -> None:
        part = _Part(edge.number, edge.count)
        before = self._newest
        if before and _delta(part.count, before.count) < self.settings.counts(self.settings.pitch_min_mm):
            before.barred = part.barred = True
        self._parts[part.number] = self._newest = part
        at = TRIGGER_RING + part.number % TRIGGER_ENTRIES * TRIGGER_SIZE
        self._put32(at, part.number)
        self._put32(at + 2, part.count)

    def _measure_part(self, edge: Edge) -> None:
        part = self._newest
        if part and part.length is None:
            part.length = _delta(edge.count, part.count)
            part.barred = part.barred or part.length > self._length_max

    # -- the encoder ---------------------------------------------------------------------------------------------

    def _check_encoder(self, now_ns: int, inputs: Inputs) -> None:
        """Give up every part on the belt when the counts that placed it no longer hold.

        The highest count is kept, not the last one: a belt that creeps backwards, or an encoder that trembles on the
        spot, then adds up to a reversal or a standstill.
        """
        if self._epoch is None:
            self._scan_ns = self._stood_ns = now_ns
            self._restart_counts(now_ns, inputs)
        backlash = self.settings.counts(self.settings.backlash_mm)
        most = JUMP_FACTOR * self.settings.travel_counts((now_ns - self._scan_ns) / 1_000_000) + backlash
        ahead = _delta(inputs.count, self._high)
        self._scan_ns = now_ns
        if ahead > 0:
            self._high, self._advanced_ns = inputs.count, now_ns
        if not inputs.belt_moving:
            self._stood_ns = now_ns
        still_ns = self.settings.still_ms * 1_000_000
        still = now_ns - self._advanced_ns >= still_ns
        frozen = still and now_ns - self._stood_ns >= still_ns
        if still:
            self._end_permits(EXECUTED)  # the relay's word alone holds no gate open
        if frozen or inputs.epoch != self._epoch or not -backlash <= ahead <= most:
            self._give_up_parts(inputs)
            self._restart_counts(now_ns, inputs)

    def _restart_counts(self, now_ns: int, inputs: Inputs) -> None:
        self._epoch, self._high, self._advanced_ns = inputs.epoch, inputs.count, now_ns

    def _give_up_parts(self, inputs: Inputs) -> None:
        self._end_permits(ARMED, EXECUTED)
        for part in self._parts.values():
            if not part.gated:
                self._record_part(part)  # where it is now is unknown; it will find the gate in reject
        if inputs.epoch != self._epoch:
            self._parts.clear()
        # The next part keeps its distance from here: one just behind a part given up is too close to tell apart.
        self._newest = _Part(inputs.number, inputs.count)

    # -- the gateway's session -----------------------------------------------------------------------------------

    def _supervise_gateway(self, now_ns: int) -> None:
        session = self._get32(G_SESSION_W)
        changed = self._reg[G_HEARTBEAT] != self._beat
        if changed:
            self._beat, self._beat_ns = self._reg[G_HEARTBEAT], now_ns
        agreed = self._reg[G_FAIL_SAFE] == self.settings.fail_safe
        stale = now_ns - self._beat_ns >= self.settings.watchdog_ms * 1_000_000
        if self._alive and (stale or not agreed or session != self._honoured_session):
            self._burn_session()
        if not self._alive and changed and session and session not in self._burnt:
            if agreed:
                self._honoured_session = session
            else:
                self._burnt.add(session)

    def _burn_session(self) -> None:
        self._burnt.add(self._honoured_session)
        self._honoured_session = 0
        self._end_permits(ARMED)  # an open window ends by itself

    # -- permits -------------------------------------------------------------------------------------------------

    def _void_permits(self) -> None:
        """Withdraw permits that a new fence, a neighbour or a length seen since has made wrong."""
        for part in self._parts.values():
            if part.status == ARMED and part.barred:
                self._end_permit(part, NOT_PERMITTABLE)
            elif part.status == ARMED and self._is_fenced(part):
                self._end_permit(part, FENCED)

    def _is_fenced(self, part: _Part) -> bool:
        return _delta(part.count + self.settings.counts(self.settings.gate_mm), self._get32(G_FENCE_W)) < 0

    def _take_permits(self, inputs: Inputs) -> None:
        for slot in range(PERMIT_SLOTS):
            at = PERMITS + slot * PERMIT_SIZE
            sequence, echo = self._reg[at + 10], ECHO_RING + 2 * slot
            if sequence and sequence != self._reg[echo]:
                self._reg[echo] = sequence
                self._reg[echo + 1] = self._take_permit(at, slot, inputs)

    def _take_permit(self, at: int, slot: int, inputs: Inputs) -> int:
        """Arm the permit at this register if nothing speaks against it; return its status."""
        if self._reg[at + 9] != PASS:
            return BAD_RESULT
        if not self._sessions_agree(at, inputs.epoch):
            return WRONG_SESSION
        part = self._parts.get(self._get32(at))
        if part is None:
            return UNKNOWN_PART
        if abs(_delta(self._get32(at + 2), part.count)) > self.settings.tolerance_counts:
            return WRONG_COUNT
        if self._is_fenced(part):
            return FENCED
        if _delta(inputs.count, part.count) > self.settings.commit_counts:
            return LATE
        if part.barred:
            return NOT_PERMITTABLE
        if part.gated or part.slot is not None:
            return EXPIRED  # given up, or its one permit has been given
        part.slot, part.sequence, part.status = slot, self._reg[at + 10], ARMED
        return ARMED

    def _sessions_agree(self, at: int, epoch: int) -> bool:
        return (
            self._alive
            and self._get32(at + 4) == self._session
            and self._get32(at + 6) == self._honoured_session
            and self._get32(G_STATION_W) != 0
            and self._reg[at + 8] == epoch
            and self._reg[G_EPOCH] == epoch
        )

    def _end_permit(self, part: _Part, status: int) -> None:
        part.status = status
        echo = ECHO_RING + 2 * (part.slot or 0)
        if self._reg[echo] == part.sequence:  # the slot may carry a newer permit by now
            self._reg[echo + 1] = status

    def _end_permits(self, *statuses: int) -> None:
        for part in self._parts.values():
            if not part.gated and part.status in statuses:
                self._end_permit(part, EXPIRED)

    # -- the gate ------------------------------------------------------------------------------------------------

    def _move_gate(self, count: int) -> None:
        """Open for the window of a part with a permit; else rest in reject."""
        self._gate_open = False
        for part in self._parts.values():
            place = _delta(count, part.count)
            if part.gated or place < self._open_counts(self.settings.scan_ms):
                continue
            if part.status == ARMED:
                self._start_window(part, place)
            if part.status == EXECUTED and place < self._window_end(part):
                self._gate_open = True

    def _start_window(self, part: _Part, place: int) -> None:
        if place > self._open_counts(0.0):  # a scan came late: the gate would still be moving when the part is there
            self._end_permit(part, EXPIRED)
            return
        self._end_permit(part, EXECUTED)
        self._executed += 1

    def _open_counts(self, scan_ms: float) -> int:
        s = self.settings
        start = s.counts(s.gate_mm) - s.counts(s.lead_mm)
        return start - s.travel_counts(s.response_ms + s.output_ms + scan_ms)

    def _window_end(self, part: _Part) -> int:
        s = self.settings
        length = self._length_max if part.length is None else part.length
        return s.counts(s.gate_mm) + length + s.counts(s.lead_mm)

    def _record_gated(self, count: int) -> None:
        for part in self._parts.values():
            if not part.gated and _delta(count, part.count) >= self._window_end(part):
                self._record_part(part)
        while len(self._parts) > REMEMBERED_PARTS and (oldest := next(iter(self._parts.values()))).gated:
            del self._parts[oldest.number]

    def _record_part(self, part: _Part) -> None:
        part.gated = True
        self._gated += 1
        self._rejected += part.status != EXECUTED
        at = GATE_RING + self._gated % GATE_ENTRIES * GATE_SIZE
        self._put32(at, part.number)
        self._reg[at + 2] = ACTION_GOOD if part.status == EXECUTED else ACTION_REJECTED

    # -- registers -----------------------------------------------------------------------------------------------

    def _publish(self, inputs: Inputs) -> None:
        alive = self._alive
        flags = RUNNING | BELT_MOVING * inputs.belt_moving | GATEWAY_ALIVE * alive | INFEED_OPEN * self._infeed_open
        self._reg[VERSION] = MAP_VERSION
        self._reg[HEARTBEAT] = (self._reg[HEARTBEAT] + 1) % 0x1_0000
        self._reg[FLAGS] = flags
        self._reg[FAIL_SAFE] = self.settings.fail_safe
        self._reg[RECIPE_ECHO] = self._reg[G_RECIPE] if alive else 0
        self._reg[EPOCH] = inputs.epoch
        self._put32(PLC_SESSION_W, self._session)
        self._put32(COUNT_W, inputs.count)
        self._put32(LAST_PART_W, inputs.number)
        self._put32(GATEWAY_ECHO_W, self._honoured_session)
        self._put32(STATION_ECHO_W, self._get32(G_STATION_W) if alive else 0)
        self._put32(FENCE_ECHO_W, self._get32(G_FENCE_W) if alive else 0)
        self._put32(HONOURED_W, self._executed)
        self._put32(REJECTED_W, self._rejected)
        self._put32(GATED_W, self._gated)

    def _get32(self, at: int) -> int:
        return self._reg[at] << 16 | self._reg[at + 1]

    def _put32(self, at: int, value: int) -> None:
        self._reg[at] = value >> 16 & 0xFFFF
        self._reg[at + 1] = value & 0xFFFF
