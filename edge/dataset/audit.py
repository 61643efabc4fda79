"""The leakage audit: which pictures of a data set show the same piece of surface.

Every pair that shares a class is compared, in four turns (see `edge.dataset.overlap`).  Thresholds are held against
pairs that cannot overlap: pictures without a common class, and pictures against mirror images, which have the same
texture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Literal

import numpy as np

from edge.dataset import overlap
from edge.dataset.groups import union
from edge.dataset.naming import number, series
from edge.dataset.overlap import Picture, Plane, Spectrum
from edge.dataset.sample import Dataset, Entry
from edge.errors import DatasetError

MIN_PEAK = 0.05
"""Of phase correlation, for a pair to be measured at full size; one in some hundred gets there by chance."""
MIN_SHARE = 0.2
MIN_CORRELATION = 0.55
NEAR_SHARE = 0.9
_NULL_PICTURES = 500
_NULL_MIRRORED = 200
_MEASURED_PX = 400
_CHUNK = 16
_KEPT = 512
_TOLD_EVERY = 5000

Kind = Literal["identical", "near-duplicate", "overlap"]
Turn = Callable[[Picture], Picture]
Progress = Callable[[float], None]
_Peak = tuple[int, int, float, tuple[float, float]]  # places of first and second, height, shift at working size


@dataclass(frozen=True)
class Pair:
    """shift: (dx, dy) px of the second picture, turned as `turn` says, in the first; the others: see `Overlap`."""

    first: str
    second: str
    kind: Kind
    turn: str
    shift: tuple[int, int]
    share: float
    correlation: float

    @property
    def distance(self) -> int | None:
        """Difference of their numbers; None if they are of different series."""
        numbers = number(self.first), number(self.second)
        if series(self.first) != series(self.second) or numbers[0] is None or numbers[1] is None:
            return None
        return abs(numbers[0] - numbers[1])


@dataclass(frozen=True)
class Null:
    """Pairs that cannot overlap.  measured: those that came to be measured.

    accepted: false alarms; or, of pictures without a common class, a surface that was filed under two of them.
    """

    called: str
    pairs: int
    highest_peak: float
    measured: int
    highest_correlation: float
    accepted: int


@dataclass(frozen=True)
class Audit:
    pictures: int
    compared: int
    pairs: tuple[Pair, ...]
    nulls: tuple[Null, ...]

    @property
    def groups(self) -> list[frozenset[str]]:
        """Pictures linked by pairs, directly or through others; the largest group first."""
        return union((pair.first, pair.second) for pair in self.pairs)


def audit(dataset: Dataset, progress: Progress = lambda _: None) -> Audit:
    """Compare all pairs of a data set that share a class.  Takes about a millisecond a pair, four turns together.

    Args:
        progress: called with the share that is done, 0..1.

    Raises:
        DatasetError: fewer than two pictures, or one that can no longer be read.
    """
    if len(dataset.entries) < 2:
        raise DatasetError(f"{dataset.folder} has {len(dataset.entries)} pictures; pairs need two.", "Add pictures.")
    buckets = _buckets(dataset)
    comparison = _Comparison(dataset.entries, buckets, progress)
    found = {frozenset((pair.first, pair.second)): pair for pair in _identical(dataset.entries)}
    for label, turn in ((label, turn) for label in buckets for turn in overlap.TURNS):
        for pair in comparison.overlapping(label, turn):
            key = frozenset((pair.first, pair.second))
            if key not in found or found[key].correlation < pair.correlation:
                found[key] = pair
    nulls = (comparison.null_foreign(), comparison.null_mirrored())
    progress(1.0)
    order = {entry.name: place for place, entry in enumerate(dataset.entries)}
    ordered = sorted(found.values(), key=lambda pair: (order[pair.first], order[pair.second]))
    return Audit(len(dataset.entries), _compared(dataset.entries), tuple(ordered), nulls)


def _compared(entries: Sequence[Entry]) -> int:
    return sum(_bucket_of(first, second) is not None for first, second in combinations(entries, 2))


def _buckets(dataset: Dataset) -> dict[int, list[int]]:
    """Places of the entries that show each class; -1: that show none."""
    buckets: dict[int, list[int]] = {}
    for place, entry in enumerate(dataset.entries):
        for label in entry.present or (-1,):
            buckets.setdefault(label, []).append(place)
    return dict(sorted(buckets.items()))


def _bucket_of(first: Entry, second: Entry) -> int | None:
    """The bucket in which a pair is compared: its first common class; None without one."""
    common = set(first.present or (-1,)) & set(second.present or (-1,))
    return min(common) if common else None


def _identical(entries: Sequence[Entry]) -> Iterator[Pair]:
    by_digest: dict[str, list[str]] = {}
    for entry in entries:
        by_digest.setdefault(entry.digest, []).append(entry.name)
    for names in by_digest.values():
        for first, second in combinations(names, 2):
            yield Pair(first, second, "identical", "as it is", (0, 0), 1.0, 1.0)


class _Comparison:
    """Spectra and textures of a data set's pictures, all at one scale."""

    def __init__(self, entries: Sequence[Entry], buckets: dict[int, list[int]], progress: Progress) -> None:
        longest = max(max(entry.size) for entry in entries)
        self._entries = entries
        self._buckets = buckets
        self._progress = progress
        self._done, self._all = 0, len(overlap.TURNS) * sum(math.comb(len(bucket), 2) for bucket in buckets.values())
        self._working = overlap.working_scale(longest)
        self._measured = min(1.0, _MEASURED_PX / longest)
        self._reach = math.ceil(self._measured / self._working) + 1
        self._texture = lru_cache(maxsize=_KEPT)(self._read_texture)

    def overlapping(self, label: int, turn: str) -> Iterator[Pair]:
        """Overlapping pairs of one class, the second picture turned."""
        way = overlap.TURNS[turn]
        for i, j, peak, shift in self._watched(self._peaks(self._buckets[label], way)):
            if peak < MIN_PEAK or _bucket_of(self._entries[i], self._entries[j]) != label:
                continue
            one = self._measure(i, j, way, shift)
            if one is not None and one.correlation >= MIN_CORRELATION:
                kind: Kind = "near-duplicate" if one.share >= NEAR_SHARE else "overlap"
                names = self._entries[i].name, self._entries[j].name
                dx, dy = (round(value / self._measured) for value in one.shift)
                yield Pair(*names, kind, turn, (dx, dy), round(one.share, 3), round(one.correlation, 3))

    def null_foreign(self) -> Null:
        """Pairs without a common class."""
        thinned = range(0, len(self._entries), math.ceil(len(self._entries) / _NULL_PICTURES))

        def foreign(i: int, j: int) -> bool:
            return _bucket_of(self._entries[i], self._entries[j]) is None

        pairs = (pair for pair in self._peaks(thinned, overlap.TURNS["as it is"]) if foreign(pair[0], pair[1]))
        return self._null("pictures without a common class", pairs, overlap.TURNS["as it is"])

    def null_mirrored(self) -> Null:
        """Pairs of a class, the second picture mirrored."""
        thinned = (bucket[:: math.ceil(len(bucket) / _NULL_MIRRORED)] for bucket in self._buckets.values())
        return self._null("mirror images", (pair for few in thinned for pair in self._peaks(few, np.fliplr)), np.fliplr)

    def _null(self, called: str, pairs: Iterable[_Peak], way: Turn) -> Null:
        peaks: list[float] = []
        correlations: list[float] = []
        for i, j, peak, shift in pairs:
            peaks.append(peak)
            one = self._measure(i, j, way, shift) if peak >= MIN_PEAK else None
            if one is not None:
                correlations.append(one.correlation)
        accepted = sum(correlation >= MIN_CORRELATION for correlation in correlations)
        return Null(
            called, len(peaks), max(peaks, default=0.0), len(correlations), max(correlations, default=0.0), accepted
        )

    def _watched(self, peaks: Iterator[_Peak]) -> Iterator[_Peak]:
        """Counts what goes by."""
        for peak in peaks:
            yield peak
            self._done += 1
            if self._done % _TOLD_EVERY == 0:
                self._progress(self._done / self._all)

    def _peaks(self, places: Sequence[int], way: Turn) -> Iterator[_Peak]:
        """All pairs among `places`."""
        plain = self._spectra(places, overlap.TURNS["as it is"])
        turned = np.conj(self._spectra(places, way))
        for row in range(len(places) - 1):
            for start in range(row + 1, len(places), _CHUNK):
                heights, shifts = overlap.strongest_shifts(plain[row], turned[start : start + _CHUNK])
                for offset, height in enumerate(heights.tolist()):
                    dx, dy = shifts[offset].tolist()
                    yield places[row], places[start + offset], height, (dx, dy)

    def _spectra(self, places: Sequence[int], way: Turn) -> Spectrum:
        return np.stack([overlap.spectrum(way(self._entries[i].read(grey=True).image), self._working) for i in places])

    def _measure(self, i: int, j: int, way: Turn, shift: tuple[float, float]) -> overlap.Overlap | None:
        ratio = self._measured / self._working
        first, second = self._texture(i, overlap.TURNS["as it is"]), self._texture(j, way)
        shift_px, period_px = (shift[0] * ratio, shift[1] * ratio), overlap.WORKING_PX * ratio
        return overlap.measure(first, second, shift_px, period_px, self._reach, MIN_SHARE)

    def _read_texture(self, place: int, way: Turn) -> Plane:
        return overlap.texture_of(way(self._entries[place].read(grey=True).image), self._measured)
