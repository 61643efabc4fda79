"""What the referee knows of one plate, and what it counts over all."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from edge.simulate.world import Bin

NAMES = (
    "parts", "good_bin", "reject_bin", "wrong_part", "escaped_no_permit", "passed_unasked", "unjudged",
    "permits_honoured", "frames_sent",
    "defective", "good", "defective_rejected_by_rule", "good_rejected_by_rule", "defective_in_good_bin",
    "good_in_reject_bin", "good_total", "good_passed", "good_unaffected", "good_unaffected_passed", "affected",
)  # fmt: skip
"""Of the counts, over all plates that met the gate."""


@dataclass(slots=True)
class PlateRecord:
    """All that is known of one plate.

    Attributes:
        number: that it latched first at the eye; -1 where it raised no edge.
        count: the encoder's, at that edge.
        defective: None where the truth is unknown.
        bin: None while it is on the belt.
        permit: it had a right to pass.
        unasked: it passed, permit or none, although the station did not pass it by its own frame.  In mode bypass that
            is so by order; and a plate that a fault affects may be without a word of a station that was killed.
        affected: names of the faults that may have cost it its verdict.
    """

    index: int
    number: int
    count: int
    tag: str
    defective: bool | None = None
    classes: tuple[str, ...] = ()
    bin: str | None = None
    permit: bool = False
    frame_sent: bool = False
    outcome: str | None = None
    cause: str | None = None
    rule: str | None = None
    disposition: str | None = None
    wrong_part: bool = False
    escaped: bool = False
    unasked: bool = False
    affected: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain values."""
        return asdict(self)


@dataclass
class Tally:
    """Counts over plates that met the gate, and how often the station came to each outcome and cause."""

    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(NAMES, 0)))
    outcomes: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)

    def copy(self) -> Tally:
        """Return a tally that goes on from here by itself."""
        return Tally(self.counts.copy(), self.outcomes.copy(), self.causes.copy())

    def add(self, record: PlateRecord, foreign: bool) -> None:
        """Count one judged plate; ``foreign``: the frame that decided shows another plate."""
        passed, good = record.bin == Bin.GOOD.value, record.defective is False
        by_rule = record.outcome == "REJECT" and not foreign
        self.outcomes[record.outcome or "none"] += 1
        self.causes[record.cause or "none"] += 1
        counts = self.counts
        counts["parts"] += 1
        counts["good_bin" if passed else "reject_bin"] += 1
        counts["wrong_part"] += record.wrong_part
        counts["escaped_no_permit"] += record.escaped
        counts["passed_unasked"] += record.unasked
        counts["unjudged"] += passed and record.outcome is None
        counts["permits_honoured"] += passed and record.permit
        counts["frames_sent"] += record.frame_sent
        counts["affected"] += bool(record.affected)
        if record.defective:
            counts["defective"] += 1
            counts["defective_rejected_by_rule"] += by_rule
            counts["defective_in_good_bin"] += passed
        if good:
            counts["good"] += 1
            counts["good_total"] += 1
            counts["good_passed"] += passed
            counts["good_in_reject_bin"] += not passed
            counts["good_rejected_by_rule"] += by_rule
            counts["good_unaffected"] += not record.affected
            counts["good_unaffected_passed"] += passed and not record.affected
