"""What an audit means for splits: of how many validation pictures training shows a piece; and the audit's file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge.dataset.audit import Audit, Null, Pair
from edge.dataset.sample import Dataset
from edge.dataset.split import Split, block_folds, random_like
from edge.errors import DatasetError

_RANDOM_SPLITS = 10


class Leak(NamedTuple):
    """Pictures, means over folds.  pictures: validated on; leaking: of these, such as have a partner in training."""

    called: str
    train: float
    leaking: float
    pictures: float

    @property
    def share(self) -> float:
        return self.leaking / self.pictures if self.pictures else 0.0


def leaking(split: Split, pairs: Sequence[Pair]) -> int:
    """Validation pictures with a partner in training."""
    train, validation = ({e.name for e in part} for part in (split.train, split.validation))
    leaks = {one for pair in pairs for one, other in _both_ways(pair) if one in validation and other in train}
    return len(leaks)


def _both_ways(pair: Pair) -> tuple[tuple[str, str], tuple[str, str]]:
    return (pair.first, pair.second), (pair.second, pair.first)


def compare_splits(dataset: Dataset, audit: Audit, folds: int, gap: int) -> list[Leak]:
    """Random folds, blocks, blocks with a gap, and blocks with a gap that keep groups whole, of equal numbers of folds.

    What a data set is too small for has no pictures.
    """

    def drawn() -> list[Split]:
        return [
            random_like(dataset, fold, seed)
            for seed in range(_RANDOM_SPLITS)
            for fold in block_folds(dataset, folds, 0)
        ]

    return [
        _leak("random", drawn, audit),
        _leak("blocks", lambda: block_folds(dataset, folds, 0), audit),
        _leak(f"blocks, gap of {gap}", lambda: block_folds(dataset, folds, gap), audit),
        _leak(f"blocks, gap of {gap}, groups whole", lambda: block_folds(dataset, folds, gap, audit.groups), audit),
    ]


def _leak(called: str, splits: Callable[[], Sequence[Split]], audit: Audit) -> Leak:
    try:
        found = splits()
    except DatasetError:
        return Leak(called, 0.0, 0.0, 0.0)
    return Leak(
        called,
        float(np.mean([len(split.train) for split in found])),
        float(np.mean([leaking(split, audit.pairs) for split in found])),
        float(np.mean([len(split.validation) for split in found])),
    )


def as_dict(audit: Audit) -> dict[str, Any]:
    return {
        "pictures": audit.pictures,
        "compared": audit.compared,
        "nulls": [vars(null) for null in audit.nulls],
        "groups": [sorted(group) for group in audit.groups],
        "pairs": [[p.first, p.second, p.kind, p.turn, *p.shift, p.share, p.correlation] for p in audit.pairs],
    }


def write_audit(audit: Audit, path: Path) -> None:
    """JSON, a pair a line.  Raises errors.DatasetError: not writable."""
    content = as_dict(audit)
    heads = [f" {json.dumps(key)}: {json.dumps(content[key])}" for key in ("pictures", "compared", "nulls", "groups")]
    pairs = ",\n  ".join(json.dumps(pair) for pair in content["pairs"])
    try:
        path.write_text("{\n" + ",\n".join(heads) + f',\n "pairs": [\n  {pairs}\n ]\n' + "}\n", encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"{path} cannot be written: {error.strerror}.", "Give a folder that can.") from error


def read_audit(path: Path) -> Audit:
    """Raises errors.DatasetError: no file of `write_audit`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        pairs = tuple(Pair(p[0], p[1], p[2], p[3], (p[4], p[5]), p[6], p[7]) for p in content["pairs"])
        return Audit(content["pictures"], content["compared"], pairs, tuple(Null(**null) for null in content["nulls"]))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DatasetError(
            f"{path} is no audit of a data set: {error}.", "Give the JSON file that `edge dataset audit` wrote."
        ) from error


def read_groups(path: Path) -> list[frozenset[str]]:
    """Groups of overlapping pictures, for `block_folds`.  Raises errors.DatasetError: no file of `write_audit`."""
    return read_audit(path).groups
