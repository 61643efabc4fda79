"""The line's geometry, what rides on it, and what happens there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

UNCOUNTED = -1  # the number of a plate that raised no edge of its own


class Kind(str, Enum):
    """What happened on the line."""

    EYE_FRONT = "eye_front"  # the eye was covered: rising edge
    EYE_TAIL = "eye_tail"  # it was uncovered: falling edge
    GATE = "gate"  # a plate's tail met the gate
    CONFIRM = "confirm"  # a plate's tail passed the sensor behind the gate on the good path


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
        confirm_mm: gate to a sensor behind it on the good path; 0 means that there is none.
        counts_per_mm: whole encoder counts a millimetre.
        eye_jitter_counts: half width of the uniform scatter of the count that an edge latches.
        count_start: encoder reading at time zero, 32 bit.
        first_number: the eye counter's reading for the first edge, 32 bit.
        epoch: the encoder's epoch, 16 bit.
        output_ms, response_ms: PLC output module, and the gate's own movement, in either direction.
        parts: how many plates enter; 0 means no end.
        interlock: plates enter only while the PLC opens the infeed; otherwise they keep coming.
        seed: of the plates' tags and of all scatter.
    """

    speed_mm_s: float = 1000.0
    pitch_mm: float = 100.0
    pitch_jitter_mm: float = 0.0
    length_mm: float = 60.0
    infeed_mm: float = 200.0
    gate_mm: float = 500.0
    confirm_mm: float = 0.0
    counts_per_mm: int = 10
    eye_jitter_counts: int = 0
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
    """One physical plate: ``index`` is 0 for the first that entered, ``tag`` an opaque mark, unique in the run."""

    index: int
    tag: str


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        at_ns: when, in the order of events.
        plate: the plate, or the one under the eye; None where a hand or dirt covers or frees the eye.
        number: at the eye the counter card's reading; elsewhere the number that the plate latched first, or UNCOUNTED.
        count: the encoder's reading, 32 bit; at the eye as latched, with its scatter.
        bin, clipped: at the gate alone; a clipped plate met a gate that moved, and fell into the reject bin.
    """

    kind: Kind
    at_ns: int
    plate: Plate | None
    number: int
    count: int
    bin: Bin | None = None
    clipped: bool = False


@dataclass(eq=False)
class Ride:
    """A plate on its way."""

    plate: Plate
    number: int = UNCOUNTED
    under_eye: bool = False
    met_open: tuple[bool, int] | None = None  # the gate when the front met it
    gone: bool = False  # off the belt
