"""The table of sabotages: components that lack one protection, each with the counter that must tell of it.

Protections are doubled, in gateway and PLC, so a sabotage removes both where one would hide the other's loss.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.simulate.line.components import Components
from edge.simulate.line.oracle import Rates
from edge.simulate.line.sabotage_parts import (
    BackwardsRegister,
    DefaultPass,
    FencelessRegister,
    FifoMatcher,
    ForgetfulRegister,
    GaplessLedger,
    MumblingRegister,
    PassingRegister,
    PlacelessRegister,
    RewritingLedger,
    SessionlessRegister,
    SilentPublisher,
    SlowBeltLink,
    SlowBeltRegister,
    TimelessRegister,
    TrustingLink,
    UnfencedStation,
    UnwatchedGateway,
    UnwrappedRegister,
    WordlessRegister,
)
from edge.simulate.line.sabotage_plc import (
    BackwardsPlc,
    DeafPlc,
    EpochlessPlc,
    FencelessPlc,
    InheritingPlc,
    PlacelessPlc,
    ReusingPlc,
    SlowBeltPlc,
    StickyPlc,
    TimelessPlc,
)


@dataclass(frozen=True)
class Sabotage:
    """One row: what is put in, what that removes, by which counter it must show, and the faults that bring it out."""

    name: str
    removes: str
    counter: str
    components: Components
    faults: tuple[str, ...]
    parts: int = 1500
    rates: Rates = field(default_factory=Rates)


GAP_PARTS = 20
"""Plates between two faults of a sabotaged run: more than otherwise, as nothing need be unaffected."""


_P = Components
_ROWS: tuple[Sabotage, ...] = (
    Sabotage(
        "default_pass",
        "NO_DECISION is no PASS",
        "wrong_part",
        _P(publisher=DefaultPass),
        ("engine_fault", "frame_corrupt"),
    ),
    Sabotage(
        "fifo_matching",
        "frames are matched by counters and time",
        "wrong_part",
        _P(matcher=FifoMatcher),
        ("frame_lost", "frame_stray"),
    ),
    Sabotage(
        "no_fence",
        "parts before the fence get no permit",
        "escaped_no_permit",
        _P(register=FencelessRegister, program=FencelessPlc),
        ("gateway_killed", "station_stopped", "network_cut"),
    ),
    Sabotage(
        "late_accepted",
        "a verdict after the commit point changes nothing",
        "late_fired",
        _P(register=TimelessRegister, program=TimelessPlc),
        ("verdict_late",),
    ),
    Sabotage(
        "commit_ignores_ramp",
        "the commit point reckons with the highest speed",
        "late_fired",
        _P(link=SlowBeltLink, register=SlowBeltRegister, program=SlowBeltPlc),
        ("verdict_late",),
        4000,
    ),
    Sabotage(
        "no_dedupe",
        "a part has one verdict and one permit",
        "wrong_part",
        _P(register=ForgetfulRegister, program=ReusingPlc),
        ("verdict_conflicting",),
    ),
    Sabotage(
        "old_session_accepted",
        "a message counts in its own session alone",
        "escaped_no_permit",
        _P(register=SessionlessRegister),
        ("verdict_replayed",),
    ),
    Sabotage(
        "wrap_ignored",
        "counters wrap at 32 bit",
        "false_rejects_unaffected",
        _P(register=UnwrappedRegister),
        (),
        600,
    ),
    Sabotage(
        "window_never_closes",
        "the gate rests in reject behind each part",
        "wrong_part",
        _P(program=StickyPlc),
        (),
        600,
    ),
    Sabotage(
        "heartbeat_by_transport",
        "a heartbeat shows progress of the loop, not of the connection",
        "entered_unguarded",
        _P(program=DeafPlc, gateway=UnwatchedGateway),
        ("station_hung", "gateway_stopped"),
    ),
    Sabotage(
        "epoch_ignored",
        "counts of different epochs are not compared",
        "escaped_no_permit",
        _P(program=EpochlessPlc, link=TrustingLink),
        ("encoder_epoch",),
    ),
    Sabotage(
        "reversal_ignored",
        "a belt that runs backwards voids permits",
        "escaped_no_permit",
        _P(register=BackwardsRegister, program=BackwardsPlc),
        ("belt_reversed",),
    ),
    Sabotage(
        "permit_reused",
        "a permit is honoured once",
        "wrong_part",
        _P(program=InheritingPlc),
        (),
        600,
    ),
    Sabotage(
        "gateway_default_permit",
        "a part without a PASS gets no permit",
        "wrong_part",
        _P(register=PassingRegister),
        (),
        600,
    ),
    Sabotage(
        "count_ignored",
        "number and count must name the same part",
        "wrong_part",
        _P(register=PlacelessRegister, program=PlacelessPlc),
        ("verdict_misplaced",),
        4000,
    ),
    Sabotage(
        "verdict_overwritten",
        "a part closes once, irrevocably",
        "reconciled",
        _P(ledger=RewritingLedger),
        ("engine_slow",),
    ),
    Sabotage(
        "lost_trigger_ignored",
        "a number that the eye's counter skips is a part",
        "reconciled",
        _P(ledger=GaplessLedger),
        ("trigger_lost",),
    ),
    Sabotage(
        "execution_ignored",
        "what the PLC says of the gate is booked",
        "reconciled",
        _P(register=WordlessRegister),
        (),
        600,
    ),
    Sabotage(
        "answers_all_alike",
        "the station hears what became of its verdict",
        "reconciled",
        _P(register=MumblingRegister),
        (),
        600,
    ),
    Sabotage(
        "no_decision_unsent",
        "the station says of each part what it came to",
        "reconciled",
        _P(publisher=SilentPublisher),
        ("engine_fault",),
    ),
    Sabotage(
        "recipe_unfenced",
        "a part is judged by the recipe of its trigger",
        "misjudged",
        _P(station=UnfencedStation),
        ("recipe_changed",),
        2500,
        Rates(defective=0.6),  # more plates on which the recipes disagree
    ),
)

SABOTAGES: dict[str, Sabotage] = {row.name: row for row in _ROWS}
