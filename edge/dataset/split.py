"""Splits that do not leak: blocks of consecutive pictures with a gap between them, and overlapping pictures kept
together.

Neighbouring numbers are often crops of one surface.  A random split puts one crop into training and its neighbour into
validation, and the figures flatter.  Blocks need no seed, and the same data set gives the same blocks everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from edge.dataset.groups import union
from edge.dataset.naming import natural, series
from edge.dataset.sample import Dataset, Entry
from edge.errors import DatasetError

DEFAULT_GAP = 5
_SHORT = 30
"""A series of fewer pictures is too short to be cut: it is joined with the other short ones of its folder."""


@dataclass(frozen=True)
class Split:
    """Each part in the order of the data set.

    left_out: beside the validation block, or amid it and moved to another with their group: neither trained on nor
    scored.
    """

    train: tuple[Entry, ...]
    validation: tuple[Entry, ...]
    left_out: tuple[Entry, ...] = ()


def block_folds(
    dataset: Dataset, folds: int, gap: int = DEFAULT_GAP, groups: Iterable[Collection[str]] = ()
) -> tuple[Split, ...]:
    """`folds` splits, each with another block of every series as validation; together they validate on every picture
    once.

    Args:
        gap: pictures of a series that are left out on either side of its block.
        groups: names of pictures that overlap (`edge dataset audit`); pictures of the same pixels are added.  A group
            goes as a whole to the block that holds most of it, to the first of several.

    Raises:
        DatasetError: a class would be without a picture in a part, with the counts; or a group names a stranger.
    """
    if folds < 2:
        raise DatasetError(f"{folds} folds are no split.", "Give at least 2 folds.")
    blocks = [[length * fold // folds for fold in range(folds + 1)] for length in map(len, strata(dataset))]
    return tuple(
        _split(dataset, blocks, fold, gap, groups, f"fold {fold + 1} of {folds} with a gap of {gap}")
        for fold in range(folds)
    )


def block_split(
    dataset: Dataset, share: float, gap: int = DEFAULT_GAP, groups: Iterable[Collection[str]] = ()
) -> Split:
    """The last `share` of every series as validation.  Arguments and errors as for `block_folds`."""
    if not 0 < share < 1:
        raise DatasetError(f"A validation share of {share:g} is no split.", "Give a share between 0 and 1.")
    blocks = [[0, length - round(share * length), length] for length in map(len, strata(dataset))]
    return _split(dataset, blocks, 1, gap, groups, f"a share of {share:g} with a gap of {gap}")


def random_like(dataset: Dataset, split: Split, seed: int) -> Split:
    """A random split with as many pictures of a series in each part as `split`: to measure what leakage flatters."""
    generator = np.random.default_rng(seed)
    part_of = {e.name: part for part in range(3) for e in (split.train, split.validation, split.left_out)[part]}
    dealt: dict[str, int] = {}
    for entries in strata(dataset):
        parts = generator.permutation([part_of[entry.name] for entry in entries])
        dealt.update(zip((entry.name for entry in entries), parts.tolist(), strict=True))
    return Split(*(tuple(e for e in dataset.entries if dealt[e.name] == part) for part in range(3)))


def whole(dataset: Dataset) -> Split:
    """Everything to train on, as before a release.  Raises errors.DatasetError: a class has no picture."""
    split = Split(dataset.entries, ())
    _refuse_small(dataset, {"to train": split.train}, "a training")
    return split


def strata(dataset: Dataset) -> list[list[Entry]]:
    """Series of numbered names (`scratches_1`, `scratches_2`, ...), each in natural order; the short ones joined."""
    ordered = sorted(dataset.entries, key=lambda entry: natural(entry.name))
    by_series: dict[str, list[Entry]] = {}
    for entry in ordered:
        by_series.setdefault(series(entry.name), []).append(entry)
    found: dict[str, list[Entry]] = {}
    for entry in ordered:
        own = series(entry.name)
        key = f"series {own}" if len(by_series[own]) >= _SHORT else f"folder {entry.name.rpartition('/')[0]}"
        found.setdefault(key, []).append(entry)
    return list(found.values())


def _split(
    dataset: Dataset,
    blocks: Sequence[Sequence[int]],
    fold: int,
    gap: int,
    groups: Iterable[Collection[str]],
    called: str,
) -> Split:
    """blocks: of each series, the positions between which its blocks lie, ends included; fold: which to validate on."""
    block_of: dict[str, int] = {}
    near: set[str] = set()
    for entries, bounds in zip(strata(dataset), blocks, strict=True):
        for block, (first, end) in enumerate(pairwise(bounds)):
            block_of.update((entry.name, block) for entry in entries[first:end])
        if bounds[fold] < bounds[fold + 1]:
            near.update(entry.name for entry in entries[max(bounds[fold] - gap, 0) : bounds[fold + 1] + gap])
    for group in all_groups(dataset, groups):
        votes = Counter(block_of[name] for name in group)
        most = min(votes, key=lambda block: (-votes[block], block))
        block_of.update((name, most) for name in group)
    split = Split(
        tuple(e for e in dataset.entries if block_of[e.name] != fold and e.name not in near),
        tuple(e for e in dataset.entries if block_of[e.name] == fold),
        tuple(e for e in dataset.entries if block_of[e.name] != fold and e.name in near),
    )
    _refuse_small(dataset, {"to train": split.train, "to validate": split.validation}, called)
    return split


def all_groups(dataset: Dataset, groups: Iterable[Collection[str]]) -> list[frozenset[str]]:
    """The groups and those of equal pixels, joined where they meet.  Raises errors.DatasetError: a strange name."""
    names = {entry.name for entry in dataset.entries}
    given = [frozenset(group) for group in groups]
    strange = sorted({name for group in given for name in group} - names)
    if strange:
        raise DatasetError(
            f"The audit names {len(strange)} pictures that {dataset.folder} does not have: {', '.join(strange[:5])}.",
            "Audit this data set: edge dataset audit.",
        )
    by_digest: dict[str, list[str]] = {}
    for entry in dataset.entries:
        by_digest.setdefault(entry.digest, []).append(entry.name)
    return union([*given, *by_digest.values()])


def _refuse_small(dataset: Dataset, parts: dict[str, Sequence[Entry]], called: str) -> None:
    lacking = []
    for index, cls in enumerate(dataset.classes):
        counts = {part: sum(index in entry.present for entry in entries) for part, entries in parts.items()}
        if not all(counts.values()):
            pictures = sum(index in entry.present for entry in dataset.entries)
            told = ", ".join(f"{count} {part}" for part, count in counts.items())
            lacking.append(f"{cls}: {pictures} pictures, {told}")
    if lacking:
        raise DatasetError(
            f"{dataset.folder} is too small for {called}; {'; '.join(lacking)}.",
            "Add pictures of these classes, take fewer folds or a smaller gap, or leave the classes out.",
        )
