"""What is known of one part: plain, frozen values that travel between threads."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

from edge.core.outcome import Outcome


@dataclass(frozen=True)
class Trigger:
    """One edge of the part eye.

    Attributes:
        number: the eye's own counter, 32 bit; it is the part number.
        count: encoder count latched in hardware at the edge, 32 bit, or None where the eye latches none.
        t0_ns: when the edge came, on this host's monotonic clock.
        lane, gate: where the part travels and which gate it meets.
    """

    number: int
    count: int | None
    t0_ns: int
    lane: int = 0
    gate: int = 0


@dataclass(frozen=True)
class FrameInfo:
    """What a camera says of one frame.

    Attributes:
        counter: the camera's own frame counter, 32 bit; it knows nothing of part numbers.
        exposed_ns: when it was exposed on this host's monotonic clock, or None where the camera cannot tell.
        t1_ns: when the frame was complete in memory.
        intact: False for a short or damaged frame.
        tag: an opaque physical mark copied to telemetry alone, by which a referee recognises the frame.
        count: encoder count latched at the exposure, 32 bit, where the camera puts it into the frame's metadata.
    """

    counter: int
    exposed_ns: int | None
    t1_ns: int
    intact: bool = True
    tag: str = ""
    count: int | None = None


@dataclass(frozen=True)
class Finding:
    """One surface defect: class, score in 0..1, and its box (x1, y1, x2, y2) in pixels of the frame."""

    cls: str
    score: float
    box: tuple[float, float, float, float]

    @property
    def area_px(self) -> float:
        """Area of the box in square pixels."""
        x1, y1, x2, y2 = self.box
        return max(0.0, x2 - x1) * max(0.0, y2 - y1)

    @property
    def longer_side_px(self) -> float:
        """Longer side of the box in pixels."""
        x1, y1, x2, y2 = self.box
        return max(x2 - x1, y2 - y1)

    @property
    def length_px(self) -> float:
        """Diagonal of the box in pixels: the longest straight defect that it can hold."""
        x1, y1, x2, y2 = self.box
        return hypot(max(0.0, x2 - x1), max(0.0, y2 - y1))


@dataclass(frozen=True)
class Identity:
    """What decides: a model package, the engine that runs it, and its precision.  It stands in every record."""

    model: str
    engine: str
    precision: str


UNNAMED = Identity("", "", "")


@dataclass(frozen=True)
class Verdict:
    """What inspecting one frame came to.

    Attributes:
        rule: the rule that fired, if one did.
        near: the finding by whose score a pass was close, if it was; it decided nothing.
    """

    outcome: Outcome
    cause: str
    findings: tuple[Finding, ...] = ()
    rule: str = ""
    near: tuple[Finding, ...] = ()


@dataclass
class Part:
    """One part from trigger to outcome.  The ledger alone changes it, and an outcome is set once.

    Attributes:
        trigger: the edge that opened it.
        views: how many frames it needs (one camera today; the model carries more).
        recipe: the recipe in force when it was triggered.
        deadline_ns: when it closes without a verdict.
        frame_deadline_ns: when it closes without a frame.
        count: encoder count of its edge, or None while nobody has told it.
        count_interval: encoder counts (first, last) of the surface that it covers, as soon as its count is known.
        commit_count: where the belt must not be before its verdict has left, as soon as its count is known.
        t2_ns, t3_ns: when it closed, and when that was sent.
        identity: of the model in force when it was triggered.
    """

    trigger: Trigger
    recipe: str
    deadline_ns: int
    frame_deadline_ns: int
    count: int | None = None
    count_interval: tuple[int, int] | None = None
    commit_count: int | None = None
    views: int = 1
    frame: FrameInfo | None = None
    verdict: Verdict | None = None
    t2_ns: int | None = None
    t3_ns: int | None = None
    identity: Identity = UNNAMED

    @property
    def number(self) -> int:
        """The part number."""
        return self.trigger.number
