"""The PLC's program: it counts parts with its own eye and opens the gate only for a part that has a permit.

Written as a PLC programmer would write it: one scan, a plain array of registers, small steps in a fixed order.

The eye and the encoder end in a hardware counter card that latches number and count at each edge and feeds the
station's trigger too.  The card goes on counting while the program is stopped; the program's table of parts does not.

The steps of gate and sensors run only in a scan in which something is due: something besides the belt's position has
changed, or the belt has reached the next place of interest.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from edge.simulate.plc_gate import GateControl
from edge.simulate.plc_io import Inputs, Outputs, PlcSettings
from edge.simulate.plc_map import (
    AIR_LOW,
    ARMED,
    BAD_RESULT,
    BELT_MOVING,
    BIN_FULL,
    CONTROL,
    CONTROL_SIZE,
    COUNT_W,
    ECHO_RING,
    ENCODER_LOST,
    EPOCH,
    EXPIRED,
    EYE_BLOCKED,
    FAIL_SAFE,
    FENCE_ECHO_W,
    FENCED,
    FLAGS,
    G_EPOCH,
    G_FAIL_SAFE,
    G_FENCE_W,
    G_FLAGS,
    G_HEARTBEAT,
    G_PLC_SESSION_W,
    G_RECIPE,
    G_SESSION_W,
    G_STATION_W,
    GATED_W,
    GATEWAY_ALIVE,
    GATEWAY_ECHO_W,
    HEARTBEAT,
    HONOURED_W,
    INFEED_OPEN,
    LAST_PART_W,
    LATE,
    LINE_STOPPED,
    MAP_VERSION,
    NOT_PERMITTABLE,
    P_COUNT_W,
    P_EPOCH,
    P_GATEWAY_W,
    P_NUMBER_W,
    P_PLC_W,
    P_RESULT,
    P_SEQUENCE,
    PASS,
    PERMIT_SIZE,
    PERMIT_SLOTS,
    PERMITS,
    PLC_SESSION_W,
    PULSE,
    READ_ONLY_END,
    READY,
    RECIPE_ECHO,
    REGISTERS,
    REJECTED_W,
    RESET,
    RUNNING,
    STATION_ECHO_W,
    STOP,
    UNKNOWN_PART,
    VERSION,
    WRONG_COUNT,
    WRONG_SESSION,
    delta,
)
from edge.simulate.plc_parts import Part

__all__ = ["READ_ONLY_END", "REGISTERS", "PlcProgram"]


def _random_session() -> int:
    return secrets.randbelow(0xFFFF_FFFF) + 1


class PlcProgram(GateControl):
    """The program over ``registers`` (at least ``REGISTERS`` long, 16-bit values), which it alone changes in a scan."""

    def __init__(
        self, settings: PlcSettings, registers: list[int], new_session: Callable[[], int] = _random_session
    ) -> None:
        super().__init__(settings, registers)
        self._commit = settings.commit_counts
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
        self._forget_parts()
        self._rest()
        self._session = self._new_session()
        self._burnt: set[int] = set()
        self._beat, self._beat_ns = 0, 0
        self._control: list[int] = []
        self._sequences = [0] * PERMIT_SLOTS
        self._running = True

    # -- one scan ------------------------------------------------------------------------------------------------

    def scan(self, now_ns: int, inputs: Inputs) -> Outputs:
        """Run the program once on this input image and return the output image."""
        if not self._running:
            return Outputs()
        own = self._is_own_block()
        asked = own and self._reg[G_FLAGS] & STOP != 0
        if asked or self._stop_asked or inputs.reset is not self._reset_held:
            self._hold_belt(inputs, asked)
        self._count_parts(inputs)
        self._check_encoder(now_ns, inputs)
        self._supervise_gateway(now_ns, own)
        self._take_permits(inputs)
        if self._disturbed or inputs.confirms or not self._is_quiet(inputs.count):
            self._move_gate(inputs.count)
            self._record_gated(inputs.count)
            self._confirm_parts(inputs)
            self._find_quiet(inputs.count)
            self._publish_state(inputs)
            self._disturbed = False
        infeed_open = self._honoured_session != 0 and self._reg[G_FLAGS] & READY != 0
        belt_stop = self._stop_latched or self._stop_asked
        self._publish(inputs, infeed_open, belt_stop)
        return Outputs(self._gate_open, infeed_open, belt_stop)

    # -- the gateway's session -----------------------------------------------------------------------------------

    def _supervise_gateway(self, now_ns: int, own: bool) -> None:
        control = self._reg[G_FLAGS : CONTROL + CONTROL_SIZE]
        if control != self._control:
            self._control, self._disturbed = control, True
            self._void_fenced()
        session = self._get32(G_SESSION_W)
        beats = own and self._reg[G_HEARTBEAT] != self._beat
        if beats:
            self._beat, self._beat_ns = self._reg[G_HEARTBEAT], now_ns
        agreed, stale = self._reg[G_FAIL_SAFE] == self.settings.fail_safe, self._is_stale(now_ns)
        if self._honoured_session and (stale or not agreed or not own or session != self._honoured_session):
            self._burn_session()
            if stale:
                self._stop_line()
        if beats and not self._honoured_session and session and session not in self._burnt:
            self._disturbed = True
            if agreed:
                self._honoured_session = session
            else:
                self._burnt.add(session)

    def _is_own_block(self) -> bool:
        """True if the control block was written to this start of the program."""
        return self._get32(G_PLC_SESSION_W) == self._session

    def _is_stale(self, now_ns: int) -> bool:
        return now_ns - self._beat_ns >= self.settings.watchdog_ms * 1_000_000

    def _burn_session(self) -> None:
        self._burnt.add(self._honoured_session)
        self._honoured_session = 0
        self._disturbed = True
        self._end_permits(self._high, ARMED)  # an open window ends by itself

    # -- permits -------------------------------------------------------------------------------------------------

    def _void_fenced(self) -> None:
        """Withdraw permits that a new fence has made wrong."""
        for part in self._line:
            if part.status == ARMED and self._is_fenced(part):
                self._end_permit(part, FENCED)

    def _is_fenced(self, part: Part) -> bool:
        return delta(part.count + self._gate, self._get32(G_FENCE_W)) < 0

    def _take_permits(self, inputs: Inputs) -> None:
        sequences = self._reg[PERMITS + P_SEQUENCE : PERMITS + PERMIT_SLOTS * PERMIT_SIZE : PERMIT_SIZE]
        if sequences == self._sequences or self.settings.pulse:
            return
        self._sequences, self._disturbed = sequences, True
        for slot, sequence in enumerate(sequences):
            echo = ECHO_RING + 2 * slot
            if sequence and sequence != self._reg[echo]:
                self._reg[echo] = sequence
                self._reg[echo + 1] = self._take_permit(PERMITS + slot * PERMIT_SIZE, slot, inputs)

    def _take_permit(self, at: int, slot: int, inputs: Inputs) -> int:
        """Arm the permit at this register if nothing speaks against it; return its status."""
        if self._reg[at + P_RESULT] != PASS:
            return BAD_RESULT
        if not self._sessions_agree(at, inputs.epoch):
            return WRONG_SESSION
        part = self._parts.get(self._get32(at + P_NUMBER_W))
        if part is None:
            return UNKNOWN_PART
        if not self._counts_agree(self._get32(at + P_COUNT_W), part):
            return WRONG_COUNT
        if self._is_fenced(part):
            return FENCED
        if self._is_late(part, inputs.count):
            return LATE
        if part.barred:
            return NOT_PERMITTABLE
        if self._is_used_up(part):
            return EXPIRED
        part.slot, part.sequence, part.status = slot, self._reg[at + P_SEQUENCE], ARMED
        return ARMED

    def _sessions_agree(self, at: int, epoch: int) -> bool:
        return (
            self._alive
            and self._get32(at + P_PLC_W) == self._session
            and self._get32(at + P_GATEWAY_W) == self._honoured_session
            and self._get32(G_STATION_W) != 0
            and self._reg[at + P_EPOCH] == epoch
            and self._reg[G_EPOCH] == epoch
        )

    def _counts_agree(self, count: int, part: Part) -> bool:
        return abs(delta(count, part.count)) <= self._tolerance

    def _is_late(self, part: Part, count: int) -> bool:
        return delta(count, part.count) > self._commit

    def _is_used_up(self, part: Part) -> bool:
        """True if the part was given up, or has been given its one permit."""
        return part.gated or part.slot is not None

    # -- registers -----------------------------------------------------------------------------------------------

    def _publish(self, inputs: Inputs, infeed_open: bool, belt_stop: bool) -> None:
        """Show what changes in every scan."""
        self._reg[HEARTBEAT] = (self._reg[HEARTBEAT] + 1) % 0x1_0000
        self._reg[FLAGS] = (
            RUNNING
            | GATEWAY_ALIVE * (self._honoured_session != 0)
            | INFEED_OPEN * infeed_open
            | BELT_MOVING * inputs.belt_moving
            | RESET * inputs.reset
            | BIN_FULL * inputs.bin_full
            | AIR_LOW * inputs.air_low
            | EYE_BLOCKED * (self._covered_at is not None and self._is_eye_blocked(inputs.count))
            | ENCODER_LOST * (self._lost_at is not None)
            | LINE_STOPPED * belt_stop
            | PULSE * self.settings.pulse
        )
        self._put32(COUNT_W, inputs.count)
        self._put32(LAST_PART_W, inputs.number)

    def _publish_state(self, inputs: Inputs) -> None:
        """Show what changes only when something has happened."""
        alive = self._alive
        self._reg[VERSION] = MAP_VERSION
        self._reg[FAIL_SAFE] = self.settings.fail_safe
        self._reg[RECIPE_ECHO] = self._reg[G_RECIPE] if alive else 0
        self._reg[EPOCH] = inputs.epoch
        self._put32(PLC_SESSION_W, self._session)
        self._put32(GATEWAY_ECHO_W, self._honoured_session)
        self._put32(STATION_ECHO_W, self._get32(G_STATION_W) if alive else 0)
        self._put32(FENCE_ECHO_W, self._get32(G_FENCE_W) if alive else 0)
        self._put32(HONOURED_W, self._executed)
        self._put32(REJECTED_W, self._rejected)
        self._put32(GATED_W, self._gated)
