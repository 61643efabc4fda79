"""From a frame to a verdict: stage, run, decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.core.nms import nms, vote
from edge.core.outcome import Outcome
from edge.core.part import Finding, Verdict
from edge.core.rules import Rule, close_call, decide, lowest_score
from edge.engine.base import Engine
from edge.engine.stage import Stager
from edge.errors import ConfigError, EngineError
from edge.model.package import Color, Manifest, ModelPackage

_CLOSE = 16
"""Findings that are asked whether they were close: a network may list hundreds, and a verdict waits."""

NON_FINITE = Verdict(Outcome.NO_DECISION, "non_finite")


@dataclass(frozen=True)
class Observation:
    """What the network sees on one frame.

    Attributes:
        findings: above the floor asked for, after suppression, by falling score, in px of the frame.
        list_end: score of the last of the K candidates; below it, findings may be missing.
    """

    findings: tuple[Finding, ...]
    list_end: float


class Inspector:
    """Inspects frames of one shape and colour by one engine.  One thread at a time.

    Args:
        package: what the engine runs.
        engine: built from ``package``, and through the golden gate.
        frame_shape: (H, W) for mono8, (H, W, 3) for bgr8 and rgb8.
        frame_color: of the frames.
        margin: how far below a rule's score a finding makes a pass a close one, 0..1; 0: none is looked for.

    Raises:
        ModelError: the engine's input is not the package's, or the frame's shape contradicts its colour.
    """

    def __init__(
        self,
        package: ModelPackage,
        engine: Engine,
        frame_shape: tuple[int, ...],
        frame_color: Color,
        margin: float = 0.0,
    ) -> None:
        self._stager = Stager(frame_shape, frame_color, package.manifest.input, engine.input)
        self._engine, self._margin = engine, margin
        self._classes = package.manifest.classes
        self._nms = package.manifest.nms

    def inspect(self, frame: NDArray[np.uint8], rules: Sequence[Rule]) -> Verdict:
        """Return the verdict on one frame, with its findings in px of the frame.

        Args:
            frame: uint8, of the shape agreed.
            rules: of the part's recipe, in order; they passed ``check_rules``.

        Raises:
            EngineError: the frame is not as agreed, the engine failed, or it returned a class that does not exist.
        """
        candidates = self._run(frame)
        if candidates is None:
            return NON_FINITE
        floor = lowest_score(rules)
        verdict = decide(self._findings(candidates, floor), rules, float(candidates[:, 4].min()) >= floor)
        if not self._margin or verdict.outcome is not Outcome.PASS:
            return verdict
        asked = (*self._below(candidates, floor), *verdict.findings)[:_CLOSE]
        return replace(verdict, near=close_call(asked, rules, self._margin)) if asked else verdict

    def observe(self, frame: NDArray[np.uint8], floor: float) -> Observation | None:
        """Return what the network sees with a score of at least ``floor``, or None where it computes nonsense.

        Raises:
            EngineError: as ``inspect``.
        """
        candidates = self._run(frame)
        if candidates is None:
            return None
        return Observation(self._findings(candidates, floor), float(candidates[:, 4].min()))

    def _run(self, frame: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        candidates = self._engine.run(self._stager.stage(frame))
        return candidates if np.isfinite(candidates).all() else None

    def _below(self, candidates: NDArray[np.float32], floor: float) -> tuple[Finding, ...]:
        """Return the best candidates within the margin below ``floor``: a few, as they are, for they decide nothing."""
        scores, classes = candidates[:, 4], candidates[:, 5].astype(np.intp)
        sound = (classes >= 0) & (classes < len(self._classes))
        within = np.flatnonzero((scores < floor) & (scores >= floor - self._margin) & sound)
        if not len(within):
            return ()
        best = within[np.argsort(-scores[within], kind="stable")[:_CLOSE]]
        return self._as_findings(candidates[best, :4], scores[best], classes[best])

    def _findings(self, candidates: NDArray[np.float32], floor: float) -> tuple[Finding, ...]:
        boxes, scores = candidates[:, :4], candidates[:, 4]
        survivors = np.flatnonzero(scores >= floor)
        if not len(survivors):
            return ()
        classes = candidates[:, 5].astype(np.intp)
        named = classes[survivors]
        if named.min() < 0 or named.max() >= len(self._classes):
            raise EngineError(
                f"Engine {self._engine.name} returned a class outside 0..{len(self._classes) - 1}: {named.tolist()}.",
                "run edge model verify on the package.",
            )
        kept = survivors[nms(boxes[survivors], scores[survivors], named, self._nms.iou, self._nms.class_aware)]
        found = boxes[kept]
        if self._nms.vote is not None:  # of all candidates, so that a box does not depend on the floor
            found = vote(boxes, scores, classes, kept, self._nms.vote, self._nms.class_aware)
        return self._as_findings(found, scores[kept], classes[kept])

    def _as_findings(
        self, boxes: NDArray[np.float32], scores: NDArray[np.float32], classes: NDArray[np.intp]
    ) -> tuple[Finding, ...]:
        placed = self._stager.to_frame(boxes).tolist()
        return tuple(
            Finding(self._classes[cls], score, (box[0], box[1], box[2], box[3]))
            for cls, score, box in zip(classes.tolist(), scores.tolist(), placed, strict=True)
        )


def check_rules(manifest: Manifest, rules: Sequence[Rule]) -> None:
    """Check that the network can serve every rule.

    Raises:
        ConfigError: a rule names a class that the network does not know, which would never fire, or a score below
            ``candidate_floor``, where the candidates are not vouched for.
    """
    for rule in rules:
        unknown = [name for name in rule.classes if name not in manifest.classes]
        if unknown:
            raise ConfigError(
                f"Rule {rule.name!r} looks for class {unknown[0]!r}, which model {manifest.name} does not know.",
                f"use its classes: {', '.join(manifest.classes)}.",
            )
        floor = manifest.score.candidate_floor
        if not floor <= rule.min_score <= 1.0:
            raise ConfigError(
                f"Rule {rule.name!r} has min_score {rule.min_score}, outside {floor}..1 of model {manifest.name}.",
                f"set it between {floor} and 1; the model card recommends {manifest.score.recommended}.",
            )
