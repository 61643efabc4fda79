"""The PLC program's gate and belt: when the one opens, and when the other is held."""

from __future__ import annotations

from edge.simulate.plc_io import Inputs, PlcSettings
from edge.simulate.plc_map import (
    ARMED,
    EMPTY,
    EXECUTED,
    EXPIRED,
    G_OUTPUT,
    STOP_LINE,
    delta,
)
from edge.simulate.plc_parts import Part, PartTable

FAR = 1 << 30  # further than any place on the belt, counts


class GateControl(PartTable):
    """Opens the gate for the window of a part with a permit, and tells when that has to be looked at again."""

    def __init__(self, settings: PlcSettings, registers: list[int]) -> None:
        super().__init__(settings, registers)
        self._lead = settings.counts(settings.lead_mm)
        moving_ms = settings.response_ms + settings.output_ms
        self._opens = self._gate - self._lead - settings.travel_counts(moving_ms + settings.scan_ms)
        self._opens_last = self._gate - self._lead - settings.travel_counts(moving_ms)
        self._stop_point = self._gate - self._lead
        if settings.pulse:
            self._opens = self._gate  # nothing of its own is due before
        self._rest()

    def _rest(self) -> None:
        self._honoured_session = 0  # of the gateway; 0 while there is none
        self._gate_open = False
        self._stop_latched = self._stop_asked = False
        self._reset_held = True  # a button that is held through the start does not count as pressed
        self._quiet_from, self._quiet_counts = 0, 0

    @property
    def _alive(self) -> bool:
        return self._honoured_session != 0

    # -- the gate ------------------------------------------------------------------------------------------------

    def _move_gate(self, count: int) -> None:
        """Open for the window of a part with a permit; else rest."""
        if self.settings.pulse:
            self._follow_coil(count)
            return
        is_open = self._gate_at_rest()
        for part in self._line:
            place = delta(count, part.count)
            if place < self._opens:
                break
            if part.status == ARMED:
                self._start_window(part, place)
            if part.status == EXECUTED and place < self._window_end(part):
                is_open = True
            elif part.status != EXECUTED and place >= self._stop_point and not part.stopped:
                part.stopped = True
                self._stop_line()
        self._gate_open = is_open

    def _gate_at_rest(self) -> bool:
        """Where the gate stands without a permit: in reject."""
        return False

    def _start_window(self, part: Part, place: int) -> None:
        if place > self._opens_last:  # a scan came late: the gate would still be moving when the part is there
            self._end_permit(part, EXPIRED)
            return
        self._end_permit(part, EXECUTED)
        self._executed += 1

    def _window_end(self, part: Part) -> int:
        length = self._length_max if part.length is None or part.barred else part.length
        return self._gate + length + self._lead

    def _follow_coil(self, count: int) -> None:
        """Let the gateway move the gate as long as its heart beats."""
        self._gate_open = self._alive and bool(self._reg[G_OUTPUT] & 1)
        for part in self._line:
            if delta(count, part.count) < self._gate:
                break
            if part.status == EMPTY:
                part.status = EXECUTED if self._gate_open else EXPIRED
                self._executed += self._gate_open

    def _record_gated(self, count: int) -> None:
        while self._line and delta(count, self._line[0].count) >= self._window_end(self._line[0]):
            part = self._line.popleft()
            self._record_part(part)
            if self.settings.confirm_mm > 0:
                self._unconfirmed.append(part)
        self._forget_oldest()

    # -- the belt ------------------------------------------------------------------------------------------------

    def _stop_line(self) -> None:
        """Hold the belt until the operator resets it, where that is the fail-safe."""
        if self.settings.fail_safe == STOP_LINE:
            self._stop_latched = self._disturbed = True

    def _give_up_parts(self, inputs: Inputs) -> None:
        if self._line:
            self._stop_line()  # nobody knows when they will be at the gate
        super()._give_up_parts(inputs)

    def _hold_belt(self, inputs: Inputs, asked: bool) -> None:
        """Hold the belt while the gateway asks for it, and on until the operator presses reset."""
        if asked and not self._stop_asked:
            self._stop_latched = True
        if inputs.reset and not self._reset_held:
            self._stop_latched = False
        self._stop_asked, self._reset_held = asked, inputs.reset

    # -- what can wait -------------------------------------------------------------------------------------------

    def _is_quiet(self, count: int) -> bool:
        return 0 <= delta(count, self._quiet_from) < self._quiet_counts

    def _find_quiet(self, count: int) -> None:
        """Find the stretch around ``count`` on which no part reaches a place of interest."""
        low, high = -FAR, FAR
        for part in self._line:
            place = delta(count, part.count)
            if place < self._opens:
                high = min(high, self._opens - place)
                break
            if part.status == EXECUTED:
                low = max(low, self._opens - place)
            if place < self._stop_point:
                high = min(high, self._stop_point - place)
            high = min(high, self._window_end(part) - place)
        for part in self._unconfirmed:
            high = min(high, self._passes_sensor(part) + self._tolerance + 1 - delta(count, part.count))
            break
        self._quiet_from, self._quiet_counts = count + low, high - low
