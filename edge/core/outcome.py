"""Outcomes and causes as one table.  The station's word on a part; what the gateway does with it is a disposition."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(str, Enum):
    """How a part ends at the station.  There is no other way out."""

    PASS = "PASS"
    REJECT = "REJECT"
    NO_DECISION = "NO_DECISION"


class Disposition(str, Enum):
    """What the gateway did with a part, which only it (who times the gate) can say."""

    ACCEPTED = "ACCEPTED"  # the verdict was taken; a PASS went to the PLC as a permit
    LATE = "LATE"  # the verdict came after the gateway's commit point
    DUPLICATE = "DUPLICATE"  # the part already has a verdict
    UNKNOWN = "UNKNOWN"  # the PLC has counted no such part, or counted it elsewhere on the belt
    OLD_SESSION = "OLD_SESSION"  # the verdict was given under a session that is no longer valid
    FENCED = "FENCED"  # the part was triggered before the fence of the present session
    UNANNOUNCED = "UNANNOUNCED"  # the PLC counted a part that the station never mentioned
    UNANSWERED = "UNANSWERED"  # the station announced the part and gave no verdict in time
    UNPERMITTED = "UNPERMITTED"  # a timely PASS that could not be written to the PLC in time, or that it refused
    AMBIGUOUS = "AMBIGUOUS"  # number and count name different parts: neither gets a permit
    COLLATERAL = "COLLATERAL"  # a PASS that the gate cannot tell apart from a reject beside it; rejects win
    VOIDED = "VOIDED"  # a permit that the PLC held and withdrew before the gate
    EXECUTED = "EXECUTED"  # the PLC echoed the permit and opened the gate for this part


@dataclass(frozen=True)
class Cause:
    """Why a part ended as it did.

    Attributes:
        name: the identifier in messages, metrics and records.
        outcome: the outcome that this cause leads to.
        text: what happened, in words for a person.
        remedy: what to do when it keeps happening.
    """

    name: str
    outcome: Outcome
    text: str
    remedy: str


_N = Outcome.NO_DECISION

CAUSES: dict[str, Cause] = {
    c.name: c
    for c in (
        Cause("clean", Outcome.PASS, "No rule fired.", ""),
        Cause("rule", Outcome.REJECT, "A rule of the recipe fired.", ""),
        Cause("trigger_lost", _N, "The trigger counter jumped over this part.", "Check the trigger link and its load."),
        Cause("trigger_late", _N, "The trigger arrived after its own timeout.", "Check the trigger link and its load."),
        Cause(
            "re_pass", _N, "The belt ran backwards, and the part met the eye again.", "Clear the belt; see its drive."
        ),
        Cause(
            "unknown_position",
            _N,
            "The part's count is missing, or lies behind the furthest and is no known part's.",
            "Check encoder, position.source, and whether the belt ran backwards.",
        ),
        Cause("frame_missing", _N, "No frame came for this trigger.", "Check camera, cable and trigger wiring."),
        Cause("frame_corrupt", _N, "The frame was short or damaged.", "Check the camera's cable and network buffers."),
        Cause("frame_ambiguous", _N, "The frame could belong to another part.", "Check trigger and frame counters."),
        Cause(
            "not_synchronised",
            _N,
            "The counters of trigger and frame, or their clocks, did not agree yet.",
            "Wait; if it stays, see above.",
        ),
        Cause("pool_exhausted", _N, "No free frame slot.", "Raise limits.pool_slots, or find what holds frames."),
        Cause("too_many_open", _N, "More parts open than the ledger holds.", "Check the line's pitch and speed."),
        Cause("engine_fault", _N, "The engine raised an error.", "See the station's log; run edge model verify."),
        Cause("non_finite", _N, "The network returned a value that is no number.", "Run edge model verify."),
        Cause(
            "saturated", _N, "More candidates than the network can list.", "Check light and focus; raise the scores."
        ),
        Cause("compute_timeout", _N, "No verdict before the deadline.", "Run edge bench overhead; check the load."),
        Cause(
            "commit_passed",
            _N,
            "No verdict before the belt may have passed the commit point.",
            "Use a faster engine or a slower line; see edge check.",
        ),
        Cause("station_stopping", _N, "The station was shut down with the part open.", ""),
    )
}
