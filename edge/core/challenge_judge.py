"""What is expected of a challenge's pieces, what was seen of them, and what is wrong with that.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from edge.core.outcome import Disposition, Outcome
from edge.core.part import Finding
from edge.core.rules import Rule


class Expect(str, Enum):
    """What must become of a piece."""

    REJECT = "reject"
    PASS = "pass"


@dataclass(frozen=True)
class FaultKind:
    """Something that fails a challenge.  ``escape``: a piece that must be rejected is, or may be, with the good."""

    name: str
    text: str
    remedy: str
    escape: bool = False


_LIGHT = "Look at light, focus, model and recipe."
_GATE = "Check the gate, its air and its sensor."
_HOLD = "HOLD what has passed since the last challenge that was passed."
_LOOK = f"{_HOLD} Find this piece on the good side."
_PIECES = "Find all pieces, on both sides of the gate, and repeat it."

FAULTS: dict[str, FaultKind] = {
    f.name: f
    for f in (
        FaultKind("passed", "must be rejected, and inspection passed it", f"{_LOOK} {_LIGHT}", escape=True),
        FaultKind("let_through", "must be rejected, and the gate was open for it", f"{_LOOK} {_GATE}", escape=True),
        FaultKind("seen_good", "must be rejected, and was seen on the good side", f"{_LOOK} {_GATE}", escape=True),
        FaultKind("rejected", "must pass, and inspection rejected it", _LIGHT),
        FaultKind("other_class", "was rejected, but not for a finding of its class", _LIGHT),
        FaultKind("undecided", "ended without a decision", "See the part's cause."),
        FaultKind("not_accepted", "has a verdict that the gateway did not take", "See the part's disposition."),
        FaultKind("gate_shut", "must pass, and the gate was not open for it", _GATE),
        FaultKind("not_arrived", "must pass, and was not seen on the good side", _GATE),
        FaultKind("not_executed", "must pass, and the PLC did not say that its permit was executed", _GATE),
        FaultKind("gate_silent", "met the gate, and the PLC did not say where", "Check PLC and gateway."),
        FaultKind("sensor_silent", "met the gate, and the sensor behind it said nothing", _GATE),
        FaultKind("not_placed", "did not meet the eye in time", "Place the pieces in their order, within piece_s."),
        FaultKind("missing", "was not found again", _LOOK, escape=True),
        FaultKind("not_cleared", "The belt did not run empty.", "Hold the infeed; see pieces_enter and clear_s."),
        FaultKind("extra_part", "A part came that is no piece.", "Hold the infeed, and repeat the challenge."),
        FaultKind("session_lost", "The session with the gateway changed.", "See the alarms, and repeat it."),
        FaultKind("changed", "What decides was changed.", "Repeat it with what shall be in force."),
        FaultKind("not_returned", "Nobody said that all pieces are back.", "Find all pieces, say so, and repeat it."),
        FaultKind("interrupted", "The station ended in its midst.", f"{_HOLD} {_PIECES}", escape=True),
        FaultKind("unrecorded", "Its record could not be written.", "See the disk of challenge.folder, and repeat it."),
    )
}


@dataclass(frozen=True)
class Fault:
    """A fault of ``FAULTS``, and the piece that it is about; "" for the challenge as a whole."""

    name: str
    piece: str = ""

    @property
    def escape(self) -> bool:
        """As for ``FaultKind``."""
        return FAULTS[self.name].escape

    @property
    def text(self) -> str:
        """What happened, in words."""
        return f"Piece {self.piece} {FAULTS[self.name].text}." if self.piece else FAULTS[self.name].text


@dataclass(frozen=True)
class Piece:
    """A test piece.  ``classes``: one of these must have made a rule fire; empty: any finding may have."""

    name: str
    expect: Expect
    classes: tuple[str, ...] = ()


@dataclass
class Seen:
    """What became of a piece: the three facts of a part.  None and "" where nothing was said."""

    number: int | None = None
    outcome: Outcome | None = None
    cause: str = ""
    rule: str = ""
    fired: frozenset[str] = frozenset()
    disposition: str = ""
    executed: bool = False
    gate_good: bool | None = None
    confirmed: bool | None = None


def fired_classes(findings: Sequence[Finding], rules: Sequence[Rule], classes: Collection[str]) -> frozenset[str]:
    """Return the class of the first finding that may count and for which a rule fires, or none.

    Zones make a look at a finding cost up to a millisecond, so none is looked at in vain.

    Args:
        findings: of a part that was rejected.
        rules: that judged it.
        classes: one of which is enough; where that is empty, any is.
    """
    for finding in findings:
        if (not classes or finding.cls in classes) and any(rule.matches(finding) for rule in rules):
            return frozenset((finding.cls,))
    return frozenset()


def judge(piece: Piece, seen: Seen, sensor: bool, final: bool) -> list[str]:
    """Return the names of what is wrong with a piece.

    Args:
        piece: what was expected.
        seen: what was seen of it.
        sensor: the sensor behind the gate must agree as well.
        final: nothing more will be heard: what was not said is a fault too.
    """
    if seen.number is None:
        return ["not_placed"] if final else []
    found = []
    if seen.outcome is Outcome.NO_DECISION or (final and seen.outcome is None):
        found.append("undecided")
    found += _judge_reject(piece, seen) if piece.expect is Expect.REJECT else _judge_pass(seen, final)
    if seen.disposition not in ("", Disposition.ACCEPTED.value) or (final and not seen.disposition):
        found.append("not_accepted")
    if final and seen.gate_good is None:
        found.append("gate_silent")
    if final and sensor and seen.confirmed is None:
        found.append("sensor_silent")
    return found


def _judge_reject(piece: Piece, seen: Seen) -> list[str]:
    found = []
    if seen.outcome is Outcome.PASS:
        found.append("passed")
    if seen.executed or seen.gate_good:
        found.append("let_through")
    if seen.confirmed is False:
        found.append("seen_good")
    if seen.outcome is Outcome.REJECT and piece.classes and not seen.fired.intersection(piece.classes):
        found.append("other_class")
    return found


def _judge_pass(seen: Seen, final: bool) -> list[str]:
    found = []
    if seen.outcome is Outcome.REJECT:
        found.append("rejected")
    if seen.gate_good is False:
        found.append("gate_shut")
    if seen.confirmed is False and seen.gate_good is not False:  # behind a gate that was shut it could not arrive
        found.append("not_arrived")
    if final and not seen.executed and seen.gate_good is not False:
        found.append("not_executed")
    return found
