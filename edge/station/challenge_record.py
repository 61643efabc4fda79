"""What is written and shown of a challenge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from edge import __version__
from edge.clock import NS_PER_MS
from edge.config import ChallengeConfig, PieceConfig
from edge.core.challenge import Challenge, Phase, Result
from edge.core.challenge_due import REASONS
from edge.core.challenge_judge import FAULTS, Expect, Fault, Piece, Seen
from edge.core.part import Part
from edge.record.challenge import Entry
from edge.station.pairs import Pair
from edge.wire import messages as wire

MUST = {"reject": "must be rejected", "pass": "must pass"}


@dataclass(frozen=True)
class Starter:
    """Who started a challenge: ``operator`` as given, the rest as the kernel says."""

    operator: str
    user: str
    uid: int
    pid: int
    note: str = ""


@dataclass
class Run:
    """A challenge with what the procedure has no use for.

    Attributes:
        steps: the procedure.
        starter: who.
        decides: what decided as it began, see ``deciding``.
        since_wall_ms: when it was started.
        parts: the pieces as parts that have closed, by number.
        returned_by: who said that all pieces are back.
        alarmed: for how many of its faults the alarm has been raised.
    """

    steps: Challenge
    starter: Starter
    decides: dict[str, Any]
    since_wall_ms: int
    parts: dict[int, Part] = field(default_factory=dict)
    returned_by: str = ""
    alarmed: int = 0


def pieces_of(config: ChallengeConfig) -> list[Piece]:
    """Return the configured pieces for the core."""
    return [Piece(piece.name, Expect(piece.expect), piece.classes) for piece in config.pieces]


def deciding(pair: Pair) -> dict[str, Any]:
    """Return what decides, as it stands in a record and is compared with the one before."""
    identity: dict[str, Any] = msgspec.to_builtins(pair.model.identity)
    recipe = {"recipe": pair.recipe.name, "recipe_number": pair.recipe.number()}
    return {**identity, **recipe, "version": __version__}


def begun(run: Run, config: ChallengeConfig, due: list[str]) -> dict[str, Any]:
    """Return the data of the entry "begun"."""
    starter = run.starter
    return {
        "operator": starter.operator,
        "user": starter.user,
        "uid": starter.uid,
        "pid": starter.pid,
        "note": starter.note,
        "due": {reason: REASONS[reason] for reason in due},
        "decides": run.decides,
        "pieces": [piece.model_dump(mode="json") for piece in config.pieces],
        "pieces_enter": config.pieces_enter,
        "confirmed_by": config.confirmed_by,
    }


def ended(run: Run, config: ChallengeConfig, result: Result, now: int) -> dict[str, Any]:
    """Return the data of the entry "ended"."""
    return {
        "result": result.value,
        "operator": run.starter.operator,
        "faults": [_fault(fault) for fault in run.steps.faults],
        "pieces": [_piece(run, piece, seen) for piece, seen in zip(config.pieces, run.steps.seen, strict=True)],
        "decides": run.decides,
        "returned_by": run.returned_by,
        "aborted": run.steps.aborted,
        "took_s": round((now - run.steps.started_ns) / NS_PER_MS / 1000, 3),
    }


def skipped(due: list[str], decides: dict[str, Any]) -> dict[str, Any]:
    """Return the data of the entry "skipped"."""
    return {
        "result": Result.SKIPPED.value,
        "due": {reason: REASONS[reason] for reason in due},
        "decides": decides,
        "faults": [],
        "pieces": [],
    }


def _fault(fault: Fault) -> dict[str, str]:
    return {"name": fault.name, "piece": fault.piece, "text": fault.text, "remedy": FAULTS[fault.name].remedy}


def _piece(run: Run, piece: PieceConfig, seen: Seen) -> dict[str, Any]:
    part = None if seen.number is None else run.parts.get(seen.number)
    verdict = None if part is None else part.verdict
    return {
        **piece.model_dump(mode="json"),
        "part": seen.number,
        "session": 0 if seen.number is None else run.steps.session,
        "tag": part.frame.tag if part is not None and part.frame is not None else "",
        "outcome": "" if seen.outcome is None else seen.outcome.value,
        "cause": seen.cause,
        "rule": seen.rule,
        "fired": sorted(seen.fired),
        "findings": [] if verdict is None else [[f.cls, round(f.score, 4), *f.box] for f in verdict.findings],
        "disposition": seen.disposition,
        "executed": seen.executed,
        "gate": gate_word(seen),
        "sensor": sensor_word(seen),
    }


def gate_word(seen: Seen) -> str:
    """Return where the gate stood, in a word, or ""."""
    return {None: "", True: "good", False: "rejected"}[seen.gate_good]


def sensor_word(seen: Seen) -> str:
    """Return what the sensor behind the gate says, in a word, or ""."""
    return {None: "", True: "confirmed", False: "contradicted"}[seen.confirmed]


def shown(run: Run | None, config: ChallengeConfig) -> list[wire.ChallengePiece]:
    """Return the pieces for people: of ``run``, or as configured."""
    if run is None:
        return [wire.ChallengePiece(piece.name, piece.expect) for piece in config.pieces]
    steps = run.steps
    wrong = [[fault.text for fault in steps.faults if fault.piece == piece.name] for piece in steps.pieces]
    settled = steps.phase in (Phase.RETURNING, Phase.ENDED)
    return [
        wire.ChallengePiece(
            piece.name,
            piece.expect.value,
            seen.number,
            0 if seen.number is None else steps.session,
            "" if seen.outcome is None else seen.outcome.value,
            gate_word(seen),
            sensor_word(seen),
            faults,
            False if faults else True if settled and not steps.aborted else None,
        )
        for piece, seen, faults in zip(steps.pieces, steps.seen, wrong, strict=True)
    ]


def instruction(steps: Challenge) -> str:
    """Return what somebody has to do now."""
    if steps.phase is Phase.CLEARING:
        return "Challenge: wait until the belt is empty, and lay nothing on it."
    if steps.phase is Phase.PLACING:
        number, piece = steps.placed + 1, steps.pieces[steps.placed]
        must = MUST[piece.expect.value]
        return f"Challenge: lay on piece {number} of {len(steps.pieces)}, {piece.name}, which {must}."
    if steps.phase is Phase.CONFIRMING:
        return "Challenge: wait for the gate, and lay nothing on the belt."
    pieces = f"all {steps.placed} pieces" if steps.placed == len(steps.pieces) else "all pieces that were laid on"
    return f"Challenge: bring {pieces} back from both sides of the gate, count them, and say so."


def texts(faults: Sequence[Fault]) -> str:
    """Return what is wrong and what to do, in words."""
    remedies = dict.fromkeys(FAULTS[fault.name].remedy for fault in faults)
    return " ".join([*(fault.text for fault in faults), *remedies])


def end_of(entry: Entry) -> wire.ChallengeEnd:
    """Return how a challenge ended, as it is shown."""
    data = entry.data
    return wire.ChallengeEnd(entry.number, str(data.get("result", "")), entry.wall_ms, str(data.get("operator", "")))
