"""`edge model evaluate`: how good a packaged model is on a data set, by the engine and precision that would decide.

Each picture goes through the production path once: staging, the engine that passed the golden gate, suppression, rules.
Everything else is computed from what was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge import config
from edge.core.rules import Rule, lowest_score, rules_of
from edge.dataset.folders import GOOD_NAMES
from edge.dataset.leakage import read_groups
from edge.dataset.open import open_dataset
from edge.dataset.sample import Dataset, Entry
from edge.engine.base import Engine
from edge.engine.inspector import Inspector, Observation, check_rules
from edge.engine.select import Choice, build, choose
from edge.errors import ConfigError
from edge.model.gate import golden_gate
from edge.model.package import ModelPackage, load_package
from edge.quality import average_precision as ap
from edge.quality import detection, rates
from edge.quality.intervals import bootstrap_map
from edge.quality.repeatability import VARIATIONS, Decision, Repeatability, compare

Image = NDArray[np.uint8]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Request:
    """What to evaluate, on what.

    Attributes:
        score: from which a finding rejects; None is the recipe's, or without one the package's recommended.
        recipe: file whose rules decide about parts; None rejects any finding.
        prevalence: share of defective parts on the line, 0..1, for escapes per million.
        mm_per_px: scale of the pictures; None is the recipe's, or sizes are in px.
        measure: what the size of a box is, for the probability of detection.
        repeated: pictures on which repeatability is tried, spread evenly over all; 0 leaves it out.
        audit: file of ``edge dataset audit``, by whose groups of overlapping pictures the bootstrap draws.
        good: folders of defect-free pictures in a folder of classes.
    """

    package: Path
    dataset: Path
    format: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    threads: int = 0
    score: float | None = None
    recipe: Path | None = None
    prevalence: float | None = None
    mm_per_px: float | None = None
    measure: detection.Measure = "sqrt_area"
    repeated: int = 100
    audit: Path | None = None
    good: tuple[str, ...] = GOOD_NAMES


@dataclass(frozen=True)
class Step:
    """Rates of parts, and of boxes where the data set has any, at one score."""

    parts: rates.Rates
    boxes: rates.BoxRates | None


@dataclass(frozen=True)
class Boxes:
    """What only a data set with boxes can tell.

    Attributes:
        interval: of ``quality.map50``, 95 %.
        drawn: how many units the bootstrap drew from: pictures, or groups of them.
        rankings: all detections of each class.
        sizes: of each class, sizes (B,) and hits (B,).
    """

    quality: ap.Quality
    interval: tuple[float, float]
    drawn: int
    rankings: dict[str, ap.Ranking]
    pods: dict[str, detection.Pod]
    sizes: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]


@dataclass(frozen=True)
class Evaluation:
    """Everything that was found.  ``boxes`` is None where the data set has none."""

    request: Request
    package: ModelPackage
    choice: Choice
    dataset: Dataset
    at: Step
    sweep: tuple[Step, ...]
    boxes: Boxes | None
    repeatability: Repeatability | None


class Eye:
    """The production path of one engine, for pictures of any size.

    Args:
        recipe: whose rules decide, or None: any finding from ``score`` on rejects.
        score: moves the score of all rules; None leaves a recipe's, or takes the package's recommended.
    """

    def __init__(
        self, package: ModelPackage, engine: Engine, recipe: config.RecipeConfig | None, score: float | None
    ) -> None:
        self._package, self._engine, self._recipe = package, engine, recipe
        self._score = package.manifest.score.recommended if score is None and recipe is None else score
        self._floor = package.manifest.score.candidate_floor
        self._shape: tuple[int, ...] | None = None
        self.grey = package.manifest.input.color == "mono8"

    def see(self, image: Image, defective: bool) -> tuple[rates.Part, Observation | None]:
        """Look at a picture, (H, W) or (H, W, 3) BGR: the part as rules see it, and all down to ``SCORE_FLOOR``."""
        if image.shape != self._shape:  # a new stager also draws the border that another size left its picture on
            self._shape = image.shape
            self._inspector = Inspector(self._package, self._engine, image.shape, "mono8" if self.grey else "bgr8")
            self._rules = self._rules_for(image.shape[1], image.shape[0])
        seen = self._inspector.observe(image, ap.SCORE_FLOOR)
        if seen is None:
            return rates.Part(defective, self._rules, (), 0.0, finite=False), None
        findings = tuple(finding for finding in seen.findings if finding.score >= self._floor)
        return rates.Part(defective, self._rules, findings, seen.list_end), seen

    def _rules_for(self, width: int, height: int) -> tuple[Rule, ...]:
        rules = (Rule("any finding"),) if self._recipe is None else rules_of(self._recipe, width, height)
        if self._score is not None:
            rules = tuple(replace(rule, min_score=self._score) for rule in rules)
        check_rules(self._package.manifest, rules)
        return rules


def evaluate(request: Request, progress: Progress = lambda _what, _done, _total: None) -> Evaluation:
    """Evaluate a package.

    Args:
        progress: called with (what is done, how many are done, of how many).

    Raises:
        ModelError, GoldenMismatch, EngineError: this package must not decide on this engine.
        DatasetError: the data set has errors, all of which are listed.
        ConfigError: a recipe or score that the package cannot serve, two scales, or an audit of another data set.
        MissingExtra: SciPy is not installed.
    """
    recipe = None if request.recipe is None else config.load(request.recipe, config.RecipeFile).recipe
    scale = _scale(request.mm_per_px, recipe)
    overlapping = read_groups(request.audit) if request.audit is not None else []
    package = load_package(request.package)
    with _deciding(package, request) as (choice, engine):
        eye = Eye(package, engine, recipe, request.score)
        dataset = open_dataset(request.dataset, package.manifest.classes, request.format, request.good)
        groups = _groups(dataset, overlapping)
        parts, found = _look(eye, dataset, package.manifest.classes, progress)
        repeatability = _repeat(eye, dataset.entries, request.repeated, progress)
    truth = [ap.Truth(entry.boxes, entry.labels) for entry in dataset.entries]
    rankings = {cls: ap.rank(found, truth, index) for index, cls in enumerate(package.manifest.classes)}
    score = lowest_score(parts[0].rules)
    boxed = any(len(true.labels) for true in truth)

    def step(at: float | None) -> Step:
        rated = rates.part_rates(parts, at)
        return Step(rated, rates.box_rates(rankings, rated.score) if boxed else None)

    return Evaluation(
        replace(request, score=score, mm_per_px=scale),
        package,
        choice,
        dataset,
        step(None),
        tuple(step(s) for s in rates.SWEPT if s >= package.manifest.score.candidate_floor),
        _boxes(found, truth, rankings, groups, score, request.measure, scale or 1.0) if boxed else None,
        repeatability,
    )


def _scale(mm_per_px: float | None, recipe: config.RecipeConfig | None) -> float | None:
    told = recipe.mm_per_px if recipe is not None else None
    if mm_per_px is not None and told is not None and mm_per_px != told:
        raise ConfigError(
            f"--scale-mm-per-px is {mm_per_px:g}, and the recipe's mm_per_px is {told:g}.", "leave the option out."
        )
    return told if mm_per_px is None else mm_per_px


def _groups(dataset: Dataset, overlapping: Sequence[frozenset[str]]) -> NDArray[np.int64]:
    """Return the group of each entry, numbered from 0; an entry that overlaps no other is one of its own."""
    group_of = {name: number for number, names in enumerate(overlapping) for name in names}
    if group_of and not any(entry.name in group_of for entry in dataset.entries):
        raise ConfigError(
            f"--audit names no picture of {dataset.folder}, but {next(iter(group_of))} and others.",
            "give the audit of this data set, or leave the option out.",
        )
    alone = range(len(overlapping), len(overlapping) + len(dataset.entries))
    numbers = [group_of.get(entry.name, own) for own, entry in zip(alone, dataset.entries, strict=True)]
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64)


@contextmanager
def _deciding(package: ModelPackage, request: Request) -> Iterator[tuple[Choice, Engine]]:
    """Yield the instance that passed the golden gate."""
    choice = choose(package, request.engine, request.precision)
    with build(package, choice, request.threads) as engine:
        golden_gate(package, engine)
        yield choice, engine


def _look(
    eye: Eye, dataset: Dataset, classes: tuple[str, ...], progress: Progress
) -> tuple[list[rates.Part], list[ap.Detections]]:
    parts, found = [], []
    for number, entry in enumerate(dataset.entries, 1):
        part, seen = eye.see(entry.read(eye.grey).image, entry.defective)
        parts.append(part)
        found.append(_detections(seen, classes))
        progress("Inspecting pictures", number, len(dataset.entries))
    return parts, found


def _detections(seen: Observation | None, classes: tuple[str, ...]) -> ap.Detections:
    findings = seen.findings if seen is not None else ()
    return ap.Detections(
        np.array([finding.box for finding in findings], np.float32).reshape(-1, 4),
        np.array([finding.score for finding in findings], np.float32),
        np.array([classes.index(finding.cls) for finding in findings], np.int64),
    )


def _repeat(eye: Eye, entries: tuple[Entry, ...], wanted: int, progress: Progress) -> Repeatability | None:
    chosen = sorted(set(np.linspace(0, len(entries) - 1, min(wanted, len(entries))).round().astype(int).tolist()))
    if not chosen:
        return None
    undisturbed, disturbed = [], []
    for number, index in enumerate(chosen, 1):
        image = entries[index].read(eye.grey).image
        undisturbed.append(_decision(eye, image))
        disturbed.append([_decision(eye, variation.apply(image)) for variation in VARIATIONS])
        progress("Moving pictures and light", number, len(chosen))
    return compare(undisturbed, disturbed)


def _decision(eye: Eye, image: Image) -> Decision:
    part, _seen = eye.see(image, defective=False)
    return Decision(rates.outcome(part), part.best)


def _boxes(
    found: list[ap.Detections],
    truth: list[ap.Truth],
    rankings: dict[str, ap.Ranking],
    groups: NDArray[np.int64],
    score: float,
    measure: detection.Measure,
    scale: float,
) -> Boxes:
    sizes = {
        cls: detection.hits_and_sizes(found, truth, index, score, measure, scale) for index, cls in enumerate(rankings)
    }
    return Boxes(
        ap.quality_of(rankings),
        bootstrap_map(rankings, groups=groups),
        int(groups.max()) + 1,
        rankings,
        {cls: detection.fit(*data) for cls, data in sizes.items()},
        sizes,
    )
