"""PLC programs without one protection."""

from __future__ import annotations

from typing import Any

from edge.simulate.plc import PlcProgram
from edge.simulate.plc_io import Inputs
from edge.simulate.plc_map import ARMED
from edge.simulate.plc_parts import Part


class FencelessPlc(PlcProgram):
    """The PLC ignores the fence."""

    def _is_fenced(self, _part: Part) -> bool:
        return False


class TimelessPlc(PlcProgram):
    """A permit is in time whenever it comes, and a gate that opens late is opened all the same."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._opens_last = self._gate

    def _is_late(self, _part: Part, _count: int) -> bool:
        return False


class SlowBeltPlc(TimelessPlc):
    """The PLC's commit point is where it would be if the belt crept."""

    def _is_late(self, part: Part, count: int) -> bool:
        return (count - part.count) % (1 << 32) > self._gate


class ReusingPlc(PlcProgram):
    """A part may get any number of permits."""

    def _is_used_up(self, _part: Part) -> bool:
        return False


class StickyPlc(PlcProgram):
    """A window that has opened ends three pitches behind its part."""

    def _window_end(self, part: Part) -> int:
        return super()._window_end(part) + 3 * self._pitch_min * (part.slot is not None)


class DeafPlc(PlcProgram):
    """The connection stands, so the gateway is alive."""

    def _is_stale(self, _now_ns: int) -> bool:
        return False


class EpochlessPlc(PlcProgram):
    """Counts of any epoch are compared, however far they are apart."""

    def scan(self, now_ns: int, inputs: Inputs) -> Any:
        inputs.epoch = 1
        return super().scan(now_ns, inputs)

    def _has_jumped(self, *_: Any) -> bool:
        return False

    def _has_reversed(self, _ahead: int) -> bool:
        return False

    def _is_seen_before(self, _part: Part) -> bool:
        return False


class BackwardsPlc(PlcProgram):
    """A belt that runs backwards changes nothing."""

    def _has_reversed(self, _ahead: int) -> bool:
        return False

    def _is_seen_before(self, _part: Part) -> bool:
        return False

    def _stands(self, _now_ns: int) -> bool:
        return False


class InheritingPlc(PlcProgram):
    """A permit is not used up by its part: the next one inherits it."""

    def _start_window(self, part: Part, place: int) -> None:
        super()._start_window(part, place)
        after = next((p for p in self._line if p.count != part.count and p.slot is None), None)
        if after is not None:
            after.status, after.slot, after.sequence = ARMED, part.slot, 0


class PlacelessPlc(PlcProgram):
    """A permit's count is not compared."""

    def _counts_agree(self, _count: int, _part: Part) -> bool:
        return True
