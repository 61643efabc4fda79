"""`edge replay`: does a recording come to the same verdicts, with this software, this model, this recipe?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from edge import __version__
from edge.clock import wall_iso
from edge.commands.replay_station import Replayed, replay
from edge.config import StationConfig, load, parse
from edge.core.part import Finding
from edge.errors import RecordingError, ReplayMismatch
from edge.record.recording import Accepted, Decider, PartResult, Recording
from edge.station.build import deciding

SCORE_TOLERANCE = 1e-3
BOX_TOLERANCE_PX = 1.0
SHOWN = 20

LEAST_COMPARED = 0.5
"""Of the recorded parts: where fewer can be compared, agreement says little."""


@dataclass(frozen=True)
class Changes:
    """What is to be other than when the recording was made; None and "" leave it as it was."""

    config: Path | None = None
    package: Path | None = None
    engine: str = ""
    precision: str = ""


class Difference(NamedTuple):
    """One part that is not as in the reference: its verdict, recipe, frame, findings, or its being there at all."""

    part: int
    what: Literal["verdict", "recipe", "frame", "findings", "missing", "new"]
    was: str
    now: str

    def __str__(self) -> str:
        return f"part {self.part}: {self.what}: {self.was or '-'} -> {self.now or '-'}"


@dataclass
class Comparison:
    """What came of comparing.  Lead-in parts, and those whose pixels were not kept, are not compared."""

    compared: int = 0
    lead_in: int = 0
    unseen: int = 0
    differences: list[Difference] = field(default_factory=list)


def compare(
    reference: Sequence[PartResult],
    replayed: Replayed,
    lead_in_ns: int,
    same: bool,
    floor: float,
    recipes: bool = True,
) -> Comparison:
    """Compare part by part.

    Args:
        reference: as recorded.
        replayed: as it came out now.
        lead_in_ns: parts triggered up to then are not compared.
        same: model, engine and precision are those of the reference, so that findings must agree too.
        floor: the lowest score of a finding; one so near to it may be there or not.
        recipes: each part must have been decided by the recipe of the same name.
    """
    result = Comparison()
    now = {(part.part, part.t0_ns): part for part in replayed.parts}
    for was in reference:
        other = now.pop((was.part, was.t0_ns), None)
        if was.t0_ns <= lead_in_ns:
            result.lead_in += 1
        elif (was.part, was.t0_ns) in replayed.unseen:
            result.unseen += 1
        else:
            result.compared += 1
            result.differences += _differences(was, other, same, floor, recipes)
    for part in now.values():
        if part.t0_ns > lead_in_ns:
            result.differences.append(Difference(part.part, "new", "", _verdict(part)))
    return result


def _differences(was: PartResult, now: PartResult | None, same: bool, floor: float, recipes: bool) -> list[Difference]:
    if now is None:
        return [Difference(was.part, "missing", _verdict(was), "")]
    found = []
    if was.frame != now.frame:
        found.append(Difference(was.part, "frame", str(was.frame), str(now.frame)))
    if recipes and was.recipe != now.recipe:
        found.append(Difference(was.part, "recipe", was.recipe, now.recipe))
    if _verdict(was) != _verdict(now):
        found.append(Difference(was.part, "verdict", _verdict(was), _verdict(now)))
    elif same:
        lost, new = _unmatched(was.findings, now.findings, floor), _unmatched(now.findings, was.findings, floor)
        if lost or new:
            found.append(Difference(was.part, "findings", _findings(lost), _findings(new)))
    return found


def _unmatched(findings: Sequence[Finding], others: Sequence[Finding], floor: float) -> list[Finding]:
    """Return the findings that have no counterpart among the others, one each, and clear the floor."""
    left = list(others)
    alone = []
    for finding in findings:
        counterpart = next((other for other in left if _agree(finding, other)), None)
        if counterpart is not None:
            left.remove(counterpart)
        elif finding.score > floor + SCORE_TOLERANCE:
            alone.append(finding)
    return alone


def _agree(one: Finding, other: Finding) -> bool:
    return (
        one.cls == other.cls
        and abs(one.score - other.score) <= SCORE_TOLERANCE
        and all(abs(a - b) <= BOX_TOLERANCE_PX for a, b in zip(one.box, other.box, strict=True))
    )


def _verdict(part: PartResult) -> str:
    return " ".join(filter(None, (part.outcome, part.cause, part.rule)))


def _findings(findings: Sequence[Finding]) -> str:
    return ", ".join(f"{f.cls} {f.score:.3f} at {[round(x, 1) for x in f.box]}" for f in findings)


# -- the command ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """What `edge replay` tells."""

    folder: Path
    was: Decider
    now: Decider
    comparison: Comparison
    accepted: bool

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        told = asdict(self.comparison)
        told["differences"] = [d._asdict() for d in self.comparison.differences]
        was, now = msgspec.to_builtins(self.was), msgspec.to_builtins(self.now)
        return {"folder": str(self.folder), "was": was, "now": now, "accepted": self.accepted, **told}

    def __str__(self) -> str:
        c = self.comparison
        lines = [
            f"recorded  {_decider(self.was)}",
            f"replayed  {_decider(self.now)}",
            f"{c.compared} parts compared; not compared: {c.lead_in} of the lead-in, {c.unseen} without kept pixels",
            *map(str, c.differences[:SHOWN]),
        ]
        if len(c.differences) > SHOWN:
            lines.append(f"... and {len(c.differences) - SHOWN} more; --json lists all")
        end = "accepted as the new reference" if self.accepted else "as recorded"
        lines.append(end if self.accepted or not c.differences else f"{len(c.differences)} differences")
        return "\n".join(lines)

    def refuse(self) -> None:
        """Raise where the replay is not as recorded and was not accepted, or too little of it was compared.

        Raises:
            ReplayMismatch: naming the first difference.
            RecordingError: there is none, and fewer than half of the parts were compared.
        """
        if self.comparison.differences and not self.accepted:
            raise ReplayMismatch(
                f"{self.folder}: {len(self.comparison.differences)} differences in {self.comparison.compared} parts "
                f"compared, the first: {self.comparison.differences[0]}.",
                "mend what changed the verdicts, or accept an intended change with --update.",
            )
        _demand_enough(self.folder, self.comparison)


def run(folder: Path, changes: Changes, update: bool = False) -> Report:
    """Replay the recording in ``folder`` with ``changes``, and compare; with ``update`` what came out is accepted.

    Raises:
        RecordingError: the recording is damaged, or holds nothing that can be compared.
        EdgeError: what is to decide cannot, or the configuration is refused.
    """
    recording = Recording(folder)
    config = _config(recording, changes)
    own_recipe = changes.config is not None or recording.header.own_recipe
    with deciding(config) as decides:
        now = Decider(decides.package.identity, decides.choice.engine, decides.choice.precision, __version__)
        replayed = replay(recording, config, decides, own_recipe=own_recipe)
    was = recording.header.decider
    same = (was.model, was.engine, was.precision) == (now.model, now.engine, now.precision)
    floor = min(rule.min_score for rule in config.recipe.rules)
    lead_in_ns = recording.header.lead_in_ns
    if lead_in_ns is None:
        raise RecordingError(f"{folder} ended before a replay of it could be compared.", "record more parts.")
    recipes = changes.config is None
    comparison = compare(recording.reference, replayed, lead_in_ns, same, floor, recipes)
    if not comparison.compared:
        raise RecordingError(f"{folder} holds no part that can be compared.", "record more parts.")
    if update:
        _demand_enough(folder, comparison)
        _accept(recording, config, now, replayed, len(comparison.differences), own_recipe)
    return Report(folder, was, now, comparison, update)


def _demand_enough(folder: Path, comparison: Comparison) -> None:
    parts = comparison.compared + comparison.lead_in + comparison.unseen
    if comparison.compared < LEAST_COMPARED * parts:
        raise RecordingError(
            f"Only {comparison.compared} of the {parts} parts of {folder} can be compared.",
            "record more parts, on a disk that takes every frame.",
        )


def _config(recording: Recording, changes: Changes) -> StationConfig:
    """Return the configuration to replay with: the recorded one, decided by what decided then, but for the changes."""
    was = recording.header.decider
    if changes.config is not None:
        config = load(changes.config, StationConfig)
        model = {}
    else:
        config = parse(recording.header.config, StationConfig, "the recording's configuration")
        model = {"engine": was.engine, "precision": was.precision}
    if changes.package is not None:
        model["package"] = str(changes.package)
    if changes.engine:
        model |= {"engine": changes.engine, "precision": "auto"}
    if changes.precision:
        model["precision"] = changes.precision
    values = config.model_dump(mode="json")
    return parse({**values, "model": {**values["model"], **model}}, StationConfig, "the replay's configuration")


def _accept(
    recording: Recording,
    config: StationConfig,
    decider: Decider,
    replayed: Replayed,
    differences: int,
    own_recipe: bool,
) -> None:
    accepted = (*recording.header.accepted, Accepted(wall_iso(), decider, differences))
    header = msgspec.structs.replace(
        recording.header,
        config=config.model_dump(mode="json"),
        decider=decider,
        accepted=accepted,
        own_recipe=own_recipe,
    )
    recording.accept(header, replayed.parts)


def _decider(decider: Decider) -> str:
    return f"{decider.model} on {decider.engine} {decider.precision}, version {decider.version}"
