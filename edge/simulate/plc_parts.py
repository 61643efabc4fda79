"""The PLC program's table of parts: it counts them with its own eye, and gives them up when their places are lost."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import chain

from edge.simulate.plc_io import Edge, Inputs, PlcSettings
from edge.simulate.plc_map import (
    ACTION_GOOD,
    ACTION_REJECTED,
    ARMED,
    CONFIRMED,
    CONTRADICTED,
    ECHO_RING,
    EMPTY,
    EXECUTED,
    EXPIRED,
    GATE_ENTRIES,
    GATE_RING,
    GATE_SIZE,
    NOT_PERMITTABLE,
    TRIGGER_ENTRIES,
    TRIGGER_RING,
    TRIGGER_SIZE,
    Registers,
    delta,
)

REMEMBERED_PARTS = 16  # parts past the gate that a late permit is still told apart by
OVERSPEED = 1.2  # of the highest speed: beyond it the gate is too slow for its windows
JUMP_FACTOR = 2  # of the highest speed: no belt does that, whereas one a little too fast keeps its parts in place


@dataclass(eq=False)
class Part:
    """A row of the part table."""

    number: int
    count: int
    length: int | None = None  # counts; None until its tail has passed the eye
    barred: bool = False  # too long, too close to a neighbour, or seen before
    slot: int | None = None  # of the one permit that it was given
    sequence: int = 0
    status: int = EMPTY  # ARMED, EXECUTED or EXPIRED once it was given one
    gated: bool = False  # met the gate, or was given up before: no permit helps it any more
    stopped: bool = False  # the belt was stopped for it
    entry: int | None = None  # its own of the gate ring
    confirmed: bool = False  # the sensor behind the gate saw it
    doubtful: bool = False  # the gate closed on its open window: nobody can say on which side it went down


class PartTable(Registers):
    """Counts parts, watches the encoder that places them, and tells what became of them at the gate."""

    def __init__(self, settings: PlcSettings, registers: list[int]) -> None:
        super().__init__(registers)
        self.settings = s = settings
        self._length_max = s.counts(s.length_max_mm)
        self._pitch_min = s.counts(s.pitch_min_mm)
        self._backlash = s.counts(s.backlash_mm)
        self._tolerance = s.tolerance_counts
        self._still_ns = round(s.still_ms * 1_000_000)
        self._gate = s.counts(s.gate_mm)
        self._elapsed_ns, self._travel_most, self._fast, self._brakes = 0, self._backlash, 0.0, 0
        self._past_sensor = s.counts(s.gate_mm) + s.counts(s.confirm_mm)
        self._forget_parts()

    def _forget_parts(self) -> None:
        self._parts: dict[int, Part] = {}  # by number, oldest first
        self._line: deque[Part] = deque()  # those not yet gated, in the order of their places
        self._unconfirmed: deque[Part] = deque()  # those past the gate that the sensor behind it may still see
        self._newest: Part | None = None
        self._covered_at: int | None = None  # where the eye was covered, while it is
        self._disturbed = True  # something besides the belt's position has changed
        self._epoch: int | None = None  # None until the first scan
        self._high = self._peak = self._scan_ns = self._advanced_ns = self._stood_ns = 0
        self._fast_scans = self._ahead = 0
        self._lost_at: int | None = None  # where parts were given up, until one has been counted since
        self._executed = self._rejected = self._gated = 0

    # -- the eye -------------------------------------------------------------------------------------------------

    def _count_parts(self, inputs: Inputs) -> None:
        for edge in inputs.edges:
            if edge.rising:
                self._open_part(edge)
            else:
                self._measure_part(edge)
        if not inputs.eye_covered:
            self._covered_at = None
        elif self._covered_at is None:
            self._covered_at = inputs.count
        part = self._newest
        if part and part.length is None and self._is_too_long(delta(inputs.count, part.count)):
            self._bar(part)  # the eye is still covered

    def _is_eye_blocked(self, count: int) -> bool:
        return self._covered_at is not None and delta(count, self._covered_at) > self._length_max

    def _open_part(self, edge: Edge) -> None:
        part, before = Part(edge.number, edge.count), self._newest
        if before and self._is_too_close(part, before):
            self._bar(before)
            self._bar(part)
        if self._is_seen_before(part):
            self._bar(part)
        elif self._lost_at is not None and delta(part.count, self._lost_at) > 0:
            self._lost_at = None
        self._parts[part.number] = self._newest = part
        self._line.append(part)
        self._disturbed = True
        at = TRIGGER_RING + part.number % TRIGGER_ENTRIES * TRIGGER_SIZE
        self._put32(at, part.number)
        self._put32(at + 2, part.count)

    def _measure_part(self, edge: Edge) -> None:
        part = self._newest
        if part and part.length is None:
            part.length = delta(edge.count, part.count)
            self._disturbed = True
            if self._is_too_long(part.length):
                self._bar(part)

    def _is_too_long(self, length: int) -> bool:
        return length > self._length_max

    def _is_too_close(self, part: Part, before: Part) -> bool:
        return delta(part.count, before.count) < self._pitch_min

    def _is_seen_before(self, part: Part) -> bool:
        """True if the belt has been further than here: it ran back, and the eye sees a part again."""
        return self._epoch is not None and delta(part.count, self._peak) < -self._backlash

    def _bar(self, part: Part) -> None:
        part.barred = True
        if part.status == ARMED:
            self._end_permit(part, NOT_PERMITTABLE)

    # -- the encoder ---------------------------------------------------------------------------------------------

    def _check_encoder(self, now_ns: int, inputs: Inputs) -> None:
        """Give up every part on the belt when the counts that placed it no longer hold.

        The highest count is kept, not the last one: a belt that creeps backwards, or an encoder that trembles on the
        spot, then adds up to a reversal or a standstill.
        """
        if self._epoch is None:
            self._scan_ns = self._stood_ns = now_ns
            self._peak = inputs.count
            self._restart_counts(now_ns, inputs)
        elapsed_ns, self._scan_ns = now_ns - self._scan_ns, now_ns
        ahead = delta(inputs.count, self._high)
        if ahead > 0:
            self._high, self._advanced_ns = inputs.count, now_ns
        if not inputs.belt_moving:
            self._stood_ns = now_ns
        stands = self._stands(now_ns)
        if stands:
            self._end_permits(inputs.count, EXECUTED)  # the relay's word alone holds no gate open
        if elapsed_ns != self._elapsed_ns:
            self._take_time(elapsed_ns)  # most scans take the same time
        if self._runs_away(ahead):
            self._end_permits(inputs.count, ARMED)  # the gate is too slow for this belt
        jumped = inputs.epoch != self._epoch or self._has_jumped(ahead)
        jumped = jumped or self._has_stalled(ahead, inputs.belt_moving)
        frozen = stands and now_ns - self._stood_ns >= self._still_ns
        if jumped or frozen or self._has_reversed(ahead):
            self._give_up_parts(inputs)
            self._restart_counts(now_ns, inputs)
        if jumped or delta(inputs.count, self._peak) > 0:
            self._peak = inputs.count

    def _stands(self, now_ns: int) -> bool:
        return now_ns - self._advanced_ns >= self._still_ns

    def _has_reversed(self, ahead: int) -> bool:
        return ahead < -self._backlash

    def _has_jumped(self, ahead: int) -> bool:
        return abs(ahead) > self._travel_most

    def _take_time(self, elapsed_ns: int) -> None:
        """Work out what depends on the time between two scans."""
        self._elapsed_ns, self._ahead = elapsed_ns, 0
        travel = self.settings.travel_counts(elapsed_ns / 1_000_000)
        self._brakes = self.settings.counts(self.settings.brake_mm_s2 * (elapsed_ns / 1e9) ** 2)
        self._travel_most, self._fast = JUMP_FACTOR * travel + self._backlash, OVERSPEED * travel + 1

    def _has_stalled(self, ahead: int, moving: bool) -> bool:
        """True if the count slows down harder than the belt can brake, while the relay says that it runs.

        Two scans of one length are compared; a scan of another length is only remembered.
        """
        before, self._ahead = self._ahead, ahead if moving else 0
        return moving and 0 < self._brakes < before - ahead

    def _runs_away(self, ahead: int) -> bool:
        """True from the second scan in a row in which the belt was faster than the windows are made for."""
        self._fast_scans = self._fast_scans + 1 if ahead > self._fast else 0
        return self._fast_scans > 1

    def _restart_counts(self, now_ns: int, inputs: Inputs) -> None:
        self._epoch, self._high, self._advanced_ns = inputs.epoch, inputs.count, now_ns
        self._ahead = 0

    def _give_up_parts(self, inputs: Inputs) -> None:
        self._end_permits(self._high, ARMED, EXECUTED)
        for part in self._line:
            self._record_part(part)  # where it is now is unknown; it will find the gate in reject
        self._line.clear()
        self._unconfirmed.clear()
        if inputs.epoch != self._epoch:
            self._parts.clear()
        # The next part keeps its distance from here: one just behind a part given up is too close to tell apart.
        self._newest = Part(inputs.number, inputs.count)
        self._lost_at = inputs.count
        self._disturbed = True

    # -- what became of parts ------------------------------------------------------------------------------------

    def _end_permit(self, part: Part, status: int) -> None:
        part.status = status
        self._disturbed = True
        echo = ECHO_RING + 2 * (part.slot or 0)
        if self._reg[echo] == part.sequence:  # the slot may carry a newer permit by now
            self._reg[echo + 1] = status

    def _end_permits(self, count: int, *statuses: int) -> None:
        for part in self._line:
            if part.slot is not None and part.status in statuses and not self._is_through(part, count):
                part.doubtful = part.status == EXECUTED
                self._end_permit(part, EXPIRED)

    def _is_through(self, part: Part, count: int) -> bool:
        """True if the gate was open for the whole of the part: nothing takes that back."""
        if part.status != EXECUTED or part.length is None:
            return False
        return delta(count, part.count) > self._gate + part.length

    def _record_part(self, part: Part) -> None:
        part.gated, self._disturbed = True, True
        self._gated += 1
        self._rejected += part.status != EXECUTED
        part.entry = GATE_RING + self._gated % GATE_ENTRIES * GATE_SIZE
        self._put32(part.entry, part.number)
        self._reg[part.entry + 2] = ACTION_GOOD if part.status == EXECUTED else ACTION_REJECTED
        self._reg[part.entry + 3] = 0

    def _forget_oldest(self) -> None:
        while len(self._parts) > REMEMBERED_PARTS and (oldest := next(iter(self._parts.values()))).gated:
            del self._parts[oldest.number]

    # -- the sensor behind the gate ------------------------------------------------------------------------------

    def _confirm_parts(self, inputs: Inputs) -> None:
        """Compare the gate's action with what the sensor saw once a part must have passed it."""
        for count in inputs.confirms:
            for part in chain(self._unconfirmed, self._line):
                if abs(delta(count, part.count) - self._passes_sensor(part)) <= self._tolerance:
                    part.confirmed = True
        while self._unconfirmed:
            part = self._unconfirmed[0]
            if not part.confirmed and delta(inputs.count, part.count) <= self._passes_sensor(part) + self._tolerance:
                return
            self._unconfirmed.popleft()
            if part.doubtful or part.entry is None:
                continue
            if self._get32(part.entry) == part.number:  # the entry may be a newer part's
                good = self._reg[part.entry + 2] == ACTION_GOOD
                self._reg[part.entry + 3] = CONFIRMED if part.confirmed is good else CONTRADICTED

    def _passes_sensor(self, part: Part) -> int:
        return self._past_sensor + (self._length_max if part.length is None else part.length)
