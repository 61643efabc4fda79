"""The `[challenge]` of `station.toml`: known pieces that must be rejected or passed, when, and what follows else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.config.line import NotNegative, Positive, Section

Reaction = Literal["alarm", "hold"]
"""``hold``: the station is in FAULT and lets nobody in until a challenge is passed."""

MOST_PIECES = 16


class PieceConfig(Section):
    """A test piece."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,31}$")]
    """As it is engraved on the piece."""
    expect: Literal["reject", "pass"]
    classes: tuple[str, ...] = ()
    """One of these must be among the findings that make a rule fire; empty: any."""
    certificate: Annotated[str, Field(max_length=64)] = ""
    """Number of the certificate, or of the drawing, by which the piece is known."""

    @model_validator(mode="after")
    def _class_of_a_reject(self) -> PieceConfig:
        if self.classes and self.expect == "pass":
            raise ValueError(f"piece {self.name!r} must pass, and cannot show classes {list(self.classes)}")
        return self


class ChallengeConfig(Section):
    """Challenge parts.  Without ``folder`` there are none."""

    folder: str | None = None
    """Of the signed records."""
    key: str | None = None
    """The private key that signs them, made by `edge challenge key`."""
    pieces: Annotated[tuple[PieceConfig, ...], Field(max_length=MOST_PIECES)] = ()
    """In the order in which they are placed."""
    pieces_enter: Literal["behind_infeed", "through_infeed"] = "behind_infeed"
    """``behind_infeed``: laid onto the belt while the infeed is held.  ``through_infeed``: the infeed is opened for
    them, and held again behind the last one."""
    confirmed_by: Literal["gate", "sensor"] = "gate"
    """``gate``: what the PLC says that the gate did.  ``sensor``: the sensor behind the gate must agree as well."""
    clear_s: Positive = 3.0
    """The belt is empty after this time without a part: longer than from infeed to eye at the lowest speed."""
    piece_s: Positive = 60.0
    """Longest time until the next piece meets the eye."""
    confirm_s: Positive = 10.0
    """Longest time from the last piece's edge to the last word of the gate."""
    return_s: Positive = 600.0
    """Longest time until somebody has said that all pieces are back; after it the challenge has failed, and the infeed
    stays held until somebody has."""
    every_h: NotNegative = 8.0
    """Hours of running after which a challenge is due; 0: not by hours."""
    shifts: tuple[Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")], ...] = ()
    """Starts of shifts, local time, at which a challenge is due."""
    after_start: bool = True
    after_change: bool = True
    """Of model, engine, precision, recipe or software."""
    after_fault: bool = True
    grace_min: NotNegative = 15.0
    """Minutes of running after which a challenge that is due counts as skipped."""
    on_skipped: Reaction = "alarm"
    on_failed: Reaction = "alarm"
    on_escape: Reaction = "hold"
    """A piece that must be rejected was passed, or may be among the good parts, as where the station ended in the midst
    of a challenge, or its records cannot be trusted.  The line is then held where ``on_failed`` says so, too."""

    @model_validator(mode="after")
    def _complete(self) -> ChallengeConfig:
        if self.folder is None:
            return self
        if self.key is None:
            raise ValueError("folder needs key: a record that nobody signs proves nothing; see `edge challenge key`")
        names = [piece.name for piece in self.pieces]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"pieces has {twice[0]!r} twice: give each its own name")
        if {piece.expect for piece in self.pieces} != {"reject", "pass"}:
            raise ValueError(
                "pieces needs one with expect 'reject' and one with expect 'pass' at least: a line that rejects "
                "everything, or passes everything, must fail"
            )
        return self
