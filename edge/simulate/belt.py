"""How the belt travels and what its encoder reads.  Pure: time is an argument.

Travel is an integer in nanometres and time an integer in nanoseconds, so that two runs agree to the last count.  Speed
is constant over a stretch; an acceleration is a staircase of short ones.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

NM_PER_MM = 1_000_000
NS_PER_S = 1_000_000_000
COUNTER_SPAN = 1 << 32
EPOCH_SPAN = 1 << 16
REMEMBERED_NS = 5 * NS_PER_S  # how far back travel and count stay exact
RAMP_STEP_NS = 5_000_000


@dataclass(frozen=True)
class _Stretch:
    """A time of constant speed: travel is ``start_nm`` at ``start_ns``.  A negative speed runs backwards."""

    start_ns: int
    start_nm: int
    speed_um_s: int

    def travel_nm(self, now_ns: int) -> int:
        return self.start_nm + self.speed_um_s * (now_ns - self.start_ns) // 1_000_000

    def reaches_ns(self, travel_nm: int) -> int:
        """Return the first nanosecond with at least this travel; the speed must be positive."""
        return self.start_ns - (self.start_nm - travel_nm) * 1_000_000 // self.speed_um_s

    def leaves_ns(self, travel_nm: int) -> int:
        """Return the first nanosecond with less than this travel; the speed must be negative."""
        return self.start_ns + (self.start_nm - travel_nm) * 1_000_000 // -self.speed_um_s + 1


class Belt:
    """Travel over time, with the planned future of a ramp and a short memory.

    Args:
        start_ns: when travel is 0.
        speed_mm_s: from then on.
    """

    def __init__(self, start_ns: int, speed_mm_s: float) -> None:
        self._stretches = [_Stretch(start_ns, 0, round(speed_mm_s * 1000))]
        self._starts = [start_ns]

    def travel_nm(self, at_ns: int) -> int:
        """Return the travel at a time not further back than ``REMEMBERED_NS``."""
        stretch = self._stretches[-1]
        if at_ns < stretch.start_ns:
            stretch = self._stretches[self._index(at_ns)]
        return stretch.start_nm + stretch.speed_um_s * (at_ns - stretch.start_ns) // 1_000_000

    def speed_um_s(self, at_ns: int) -> int:
        """Return the speed at a time."""
        stretch = self._stretches[-1]
        return stretch.speed_um_s if at_ns >= stretch.start_ns else self._stretches[self._index(at_ns)].speed_um_s

    def crossing(self, from_ns: int, up_nm: int | None, down_nm: int | None) -> tuple[int, bool] | None:
        """Return when the belt next reaches ``up_nm`` or falls below ``down_nm``, and True for the former.

        None if it does neither, as far as its speed is planned.
        """
        for index in range(self._index(from_ns), len(self._stretches)):
            stretch = self._stretches[index]
            if stretch.speed_um_s > 0 and up_nm is not None:
                at_ns, upwards = stretch.reaches_ns(up_nm), True
            elif stretch.speed_um_s < 0 and down_nm is not None:
                at_ns, upwards = stretch.leaves_ns(down_nm), False
            else:
                continue
            if index + 1 == len(self._starts) or at_ns <= self._starts[index + 1]:
                return max(at_ns, from_ns), upwards
        return None

    def set_speed(self, now_ns: int, speed_mm_s: float) -> None:
        """Change the speed at once, and drop what was planned."""
        self._plan(now_ns, [(now_ns, round(speed_mm_s * 1000))])

    def ramp(self, now_ns: int, to_mm_s: float, accel_mm_s2: float) -> None:
        """Change the speed evenly, from now on, and drop what was planned.

        Each step has the mean speed of its time, so that the distance is that of the even change.

        Raises:
            ValueError: an acceleration that is not positive.
        """
        if accel_mm_s2 <= 0:
            raise ValueError(f"An acceleration of {accel_mm_s2} mm/s2 reaches no speed; give a positive one.")
        before, after = self.speed_um_s(now_ns), round(to_mm_s * 1000)
        slope = math.copysign(accel_mm_s2 * 1000, after - before)  # um/s2
        whole_ns = round(abs(after - before) / abs(slope) * NS_PER_S)
        steps = []
        for at_ns in range(0, whole_ns, RAMP_STEP_NS):
            middle_ns = (at_ns + min(at_ns + RAMP_STEP_NS, whole_ns)) / 2
            steps.append((now_ns + at_ns, before + round(slope * middle_ns / NS_PER_S)))
        self._plan(now_ns, [*steps, (now_ns + whole_ns, after)])

    def _plan(self, now_ns: int, speeds: list[tuple[int, int]]) -> None:
        index = self._index(now_ns)
        travel_nm = self._stretches[index].travel_nm(now_ns)
        first = bisect_right(self._starts, now_ns - REMEMBERED_NS)
        kept = self._stretches[max(0, first - 1) : index + 1]
        last = _Stretch(now_ns, travel_nm, 0)
        for start_ns, speed_um_s in speeds:
            last = _Stretch(start_ns, last.travel_nm(start_ns), speed_um_s)
            kept.append(last)
        self._stretches = kept
        self._starts = [stretch.start_ns for stretch in kept]

    def _index(self, at_ns: int) -> int:
        if at_ns >= self._starts[-1]:
            return len(self._starts) - 1
        return max(0, bisect_right(self._starts, at_ns) - 1)


@dataclass(frozen=True)
class _Reading:
    """How the reading follows the travel from ``start_ns`` on: shifted by ``offset``, or standing at ``frozen``."""

    start_ns: int
    epoch: int
    offset: int
    frozen: int | None = None


class Encoder:
    """The belt's 32-bit encoder, with its faults.

    Args:
        belt: that it sits on.
        counts_per_mm: whole counts a millimetre.
        start_ns, count_start, epoch: its first reading.
    """

    def __init__(self, belt: Belt, counts_per_mm: int, start_ns: int, count_start: int, epoch: int) -> None:
        self._belt = belt
        self._counts_per_mm = counts_per_mm
        self._readings = [_Reading(start_ns, epoch, count_start - self._travelled(start_ns))]

    @property
    def epoch(self) -> int:
        """The present epoch, 16 bit."""
        return self._readings[-1].epoch

    def count_at(self, at_ns: int) -> int:
        """Return the reading at a time not further back than ``REMEMBERED_NS``, 32 bit."""
        reading = self._readings[-1]
        if at_ns < reading.start_ns:
            reading = next((r for r in reversed(self._readings) if r.start_ns <= at_ns), self._readings[0])
        if reading.frozen is not None:
            return reading.frozen % COUNTER_SPAN
        travelled = self._belt.travel_nm(at_ns) * self._counts_per_mm // NM_PER_MM
        return (reading.offset + travelled) % COUNTER_SPAN

    def freeze(self, now_ns: int) -> None:
        """Let the reading stand."""
        self._change(_Reading(now_ns, self.epoch, 0, self.count_at(now_ns)))

    def thaw(self, now_ns: int) -> None:
        """Let the reading go on from where it stands."""
        self._set(now_ns, self.epoch, self.count_at(now_ns))

    def jump(self, now_ns: int, counts: int) -> None:
        """Shift the reading, also one that stands."""
        last = self._readings[-1]
        frozen = None if last.frozen is None else last.frozen + counts
        self._change(_Reading(now_ns, last.epoch, last.offset + counts, frozen))

    def new_epoch(self, now_ns: int, count: int) -> None:
        """Start anew at ``count``, in the next epoch."""
        self._set(now_ns, (self.epoch + 1) % EPOCH_SPAN, count)

    def _set(self, now_ns: int, epoch: int, count: int) -> None:
        self._change(_Reading(now_ns, epoch, count - self._travelled(now_ns)))

    def _change(self, reading: _Reading) -> None:
        before_ns = reading.start_ns - REMEMBERED_NS
        first = next((i for i, r in reversed(list(enumerate(self._readings))) if r.start_ns <= before_ns), 0)
        self._readings = [*self._readings[first:], reading]

    def _travelled(self, at_ns: int) -> int:
        return self._belt.travel_nm(at_ns) * self._counts_per_mm // NM_PER_MM
