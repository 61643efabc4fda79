"""The physical line: belt, infeed, part eye, encoder, gate and bins.  Pure: time is an argument.

Everything on the belt happens at a place, so marks are kept by belt travel and their times follow from the speed.
Travel is an integer in nanometres and time an integer in nanoseconds, so that two runs agree to the last count.

This module judges, so it shares no code with what it judges.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from enum import Enum

NM_PER_MM = 1_000_000
NS_PER_MS = 1_000_000
COUNTER_SPAN = 1 << 32


class Kind(str, Enum):
    """What happened on the line."""

    EYE_FRONT = "eye_front"
    EYE_TAIL = "eye_tail"
    GATE = "gate"


class Bin(str, Enum):
    """Where a plate fell."""

    GOOD = "good"
    REJECT = "reject"


@dataclass(frozen=True)
class Line:
    """Geometry and timing.

    Attributes:
        speed_mm_s: belt speed at the start.
        pitch_mm, pitch_jitter_mm: front to front, and the half width of its uniform scatter.
        length_mm: of a plate, along the belt.
        infeed_mm: infeed to eye.
        gate_mm: eye to gate.
        counts_per_mm: whole encoder counts a millimetre.
        count_start: encoder reading at time zero, 32 bit.
        first_number: the eye counter's reading for the first plate, 32 bit.
        epoch: the encoder's epoch, 16 bit.
        output_ms, response_ms: PLC output module, and the gate's own movement, in either direction.
        parts: how many plates enter; 0 means no end.
        interlock: plates enter only while the PLC opens the infeed; otherwise they keep coming.
        seed: of the plates' tags and of the pitch's scatter.
    """

    speed_mm_s: float = 1000.0
    pitch_mm: float = 100.0
    pitch_jitter_mm: float = 0.0
    length_mm: float = 60.0
    infeed_mm: float = 200.0
    gate_mm: float = 500.0
    counts_per_mm: int = 10
    count_start: int = 4_000_000
    first_number: int = 1001
    epoch: int = 1
    output_ms: float = 2.0
    response_ms: float = 10.0
    parts: int = 0
    interlock: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Plate:
    """One physical plate.

    Attributes:
        index: 0 for the first that entered.
        number: what the eye's hardware counter reads for it, 32 bit.
        tag: its opaque physical mark, unique in the run; says nothing of its number.
    """

    index: int
    number: int
    tag: str


@dataclass(frozen=True)
class Event:
    """Something that happened to a plate at ``at_ns``, encoder at ``count``.  ``bin`` is set at the gate alone."""

    kind: Kind
    at_ns: int
    plate: Plate
    count: int
    bin: Bin | None = None


@dataclass(frozen=True)
class _Segment:
    """A stretch of constant speed: travel is ``start_nm`` at ``start_ns``."""

    start_ns: int
    start_nm: int
    speed_um_s: int

    def travel_nm(self, now_ns: int) -> int:
        return self.start_nm + self.speed_um_s * (now_ns - self.start_ns) // 1_000_000

    def time_ns(self, travel_nm: int) -> int:
        """Return the first nanosecond at which the travel is reached; the belt must be moving."""
        return self.start_ns - (self.start_nm - travel_nm) * 1_000_000 // self.speed_um_s


def _nm(length_mm: float) -> int:
    return round(length_mm * NM_PER_MM)


class World:
    """The line from ``start_ns`` on.  Call ``advance`` before any command of the same instant."""

    def __init__(self, line: Line, start_ns: int) -> None:
        self.line = line
        self.good: list[Plate] = []
        self.reject: list[Plate] = []
        self._segments = [_Segment(start_ns, 0, round(line.speed_mm_s * 1000))]
        self._random = random.Random(line.seed)
        self._infeed_open = not line.interlock
        self._entered = 0
        self._counted = 0
        self._feed_waits = False
        self._gate_delay_ns = round((line.output_ms + line.response_ms) * NS_PER_MS)
        self._gate_commands: list[tuple[int, bool]] = [(start_ns, False)]  # (physically effective from, open)
        self._marks: list[tuple[int, int, Kind | None, Plate | None]] = []  # heap by travel; no kind: the infeed
        self._marks_made = 0
        self._push(0, None, None)

    @property
    def eye_number(self) -> int:
        """Reading of the eye's hardware counter, 32 bit: the number of the latest plate."""
        return (self.line.first_number + self._counted - 1) % COUNTER_SPAN

    def count_at(self, now_ns: int) -> int:
        """Return the encoder's reading at any time since the start, 32 bit."""
        segment = next((s for s in reversed(self._segments) if s.start_ns <= now_ns), self._segments[0])
        return self._count(segment.travel_nm(now_ns))

    def moving(self) -> bool:
        """True while the belt moves."""
        return self._segments[-1].speed_um_s > 0

    def next_ns(self) -> int | None:
        """Return when the next thing happens, or None while nothing is due."""
        if not self._marks or not self.moving():
            return None
        return self._segments[-1].time_ns(self._marks[0][0])

    def advance(self, now_ns: int) -> list[Event]:
        """Return what happened up to and including ``now_ns``, in order."""
        events: list[Event] = []
        while (due_ns := self.next_ns()) is not None and due_ns <= now_ns:
            travel, _, kind, plate = heapq.heappop(self._marks)
            if kind is None or plate is None:
                self._feed(travel)
            else:
                events.append(self._happen(kind, plate, due_ns, travel))
        return events

    def set_infeed(self, now_ns: int, is_open: bool) -> None:
        """Open or hold the infeed; without an interlock nothing holds it."""
        self._infeed_open = is_open or not self.line.interlock
        if self._infeed_open and self._feed_waits:
            self._feed_waits = False
            self._feed(self._segments[-1].travel_nm(now_ns))

    def command_gate(self, now_ns: int, is_open: bool) -> None:
        """Switch the PLC's output; the gate follows after output and response time."""
        if is_open is not self._gate_commands[-1][1]:
            self._gate_commands.append((now_ns + self._gate_delay_ns, is_open))

    def set_speed(self, now_ns: int, speed_mm_s: float) -> None:
        """Change the belt's speed at once; 0 stops it.

        Raises:
            ValueError: a negative speed; this belt does not reverse.
        """
        if speed_mm_s < 0:
            raise ValueError(f"A belt speed of {speed_mm_s} mm/s is negative; this belt does not reverse.")
        travel = self._segments[-1].travel_nm(now_ns)
        self._segments.append(_Segment(now_ns, travel, round(speed_mm_s * 1000)))

    def _count(self, travel_nm: int) -> int:
        return (self.line.count_start + travel_nm * self.line.counts_per_mm // NM_PER_MM) % COUNTER_SPAN

    def _push(self, travel_nm: int, kind: Kind | None, plate: Plate | None) -> None:
        heapq.heappush(self._marks, (travel_nm, self._marks_made, kind, plate))
        self._marks_made += 1

    def _feed(self, travel_nm: int) -> None:
        """Let the next plate's front pass the infeed at this travel, or hold it there."""
        line = self.line
        if line.parts and self._entered >= line.parts:
            return
        if not self._infeed_open:
            self._feed_waits = True
            return
        number = (line.first_number + self._entered) % COUNTER_SPAN
        plate = Plate(self._entered, number, f"{self._random.getrandbits(64):016x}")
        self._entered += 1
        eye = travel_nm + _nm(line.infeed_mm)
        self._push(eye, Kind.EYE_FRONT, plate)
        self._push(eye + _nm(line.length_mm), Kind.EYE_TAIL, plate)
        self._push(eye + _nm(line.gate_mm + line.length_mm / 2), Kind.GATE, plate)  # its centre meets the gate
        scatter = self._random.uniform(-line.pitch_jitter_mm, line.pitch_jitter_mm)
        self._push(travel_nm + _nm(max(line.pitch_mm + scatter, line.length_mm)), None, None)

    def _happen(self, kind: Kind, plate: Plate, at_ns: int, travel_nm: int) -> Event:
        if kind is Kind.EYE_FRONT:
            self._counted += 1
        if kind is not Kind.GATE:
            return Event(kind, at_ns, plate, self._count(travel_nm))
        fell = Bin.GOOD if self._gate_is_open(at_ns) else Bin.REJECT
        (self.good if fell is Bin.GOOD else self.reject).append(plate)
        return Event(kind, at_ns, plate, self._count(travel_nm), fell)

    def _gate_is_open(self, at_ns: int) -> bool:
        while len(self._gate_commands) > 1 and self._gate_commands[1][0] <= at_ns:
            self._gate_commands.pop(0)
        return self._gate_commands[0][1] and self._gate_commands[0][0] <= at_ns
