"""How a camera's pictures are: dark, bright, blurred, frozen, shifted.  Pure.

Single pictures differ as parts do, so nothing is said of one: level and sharpness are medians of the last ``RECENT``
pictures, and a shift is that of the mean of ``PROFILE_PICTURES``, in which the parts' own surface averages out and what
keeps its place stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from edge.config.health import HealthConfig
from edge.core.lasting import Lasting
from edge.core.picture_measures import STARTS, Gray, Profile, Sample, Sampler, displacement, profiles, sharpness

CLIPPED_LEVEL = 250
"""Grey level from which a pixel counts as white."""

RECENT = 9
"""Pictures whose median is judged: five of nine must have changed, so no few odd parts raise an alarm."""

CALM = 2 * RECENT
"""Good pictures in a row after which an alarm ends."""

PROFILE_PICTURES = 2 * STARTS
"""Behind one measurement of a shift."""

REFERENCE_PICTURES = 2 * PROFILE_PICTURES
"""Behind a reference."""

SAME = 0.8
"""Least correlation of a profile's two halves, odd and even pictures, from which it shows something that stays."""

LOST = 0.5
"""Below this correlation with the reference it is no longer the same view."""


@dataclass(frozen=True)
class Reference:
    """How the pictures are when all is well.

    Attributes:
        width, height: of the frame, in px.
        level, sharpness: medians.
        down, across: mean profiles; empty where nothing in that direction keeps its place, so that no shift shows.
    """

    width: int
    height: int
    level: float
    sharpness: float
    down: list[float] = field(default_factory=list)
    across: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Look:
    """What the pictures show.

    Attributes:
        gauges: measured values, by name.
        standing: what is wrong, by the name of its alarm, in words.
    """

    gauges: dict[str, float] = field(default_factory=dict)
    standing: dict[str, str] = field(default_factory=dict)


class PictureHealth:
    """Judges samples, one after the other, against bounds and a reference.  One thread at a time.

    Args:
        config: the bounds.
        width, height: of the frames, in px.
        step: as of ``Sampler``.
        reference: to judge against, or None.

    Attributes:
        reference: the one in force.
    """

    def __init__(
        self, config: HealthConfig, width: int, height: int, step: int, reference: Reference | None = None
    ) -> None:
        self._config, self._width, self._height, self._step = config, width, height, step
        self.reference = reference
        self._taking: _Seen | None = None  # pictures for a reference
        self._last: Gray | None = None
        self.clear()

    def clear(self) -> None:
        """Forget the pictures seen."""
        self._seen = _Seen(RECENT, PROFILE_PICTURES)
        self._lasting = Lasting(CALM)
        self._shift: tuple[float, bool] | None = None  # px, and whether the view is lost
        self._alike = 1
        self._alike_since_ns = self._at_ns = 0
        self.look = Look()

    def take_reference(self) -> None:
        """Take a reference from the next ``REFERENCE_PICTURES`` pictures; the present one holds until then."""
        self._taking = _Seen(REFERENCE_PICTURES, REFERENCE_PICTURES)

    @property
    def taking(self) -> int:
        """How many pictures a reference that is being taken still needs; 0 where none is."""
        return 0 if self._taking is None else REFERENCE_PICTURES - len(self._taking.levels)

    def add(self, sample: Sample) -> Reference | None:
        """Take a picture.  Return a new reference where this was its last picture."""
        picture = _Picture(sample)
        made = self._take(picture)
        self._compare(sample)
        self._seen.add(picture)
        self._measure_shift()
        self._judge()
        return made

    def _compare(self, sample: Sample) -> None:
        """Count pictures that are bit by bit alike; an even one shows nothing of the kind."""
        now = sample.tiles.copy()
        if self._last is not None and np.array_equal(now, self._last) and now.min() < now.max():
            self._alike += 1
        else:
            self._alike, self._alike_since_ns = 1, sample.at_ns
        self._last, self._at_ns = now, sample.at_ns

    def _take(self, picture: _Picture) -> Reference | None:
        if self._taking is None:
            return None
        self._taking.add(picture)
        if self.taking:
            return None
        seen, self._taking = self._taking, None
        down, across = ([] if p is None else [round(v, 4) for v in p.tolist()] for p in seen.lasting())
        level, sharp = median(seen.levels), median(seen.sharpness)
        self.reference = Reference(self._width, self._height, level, sharp, down, across)
        self.clear()
        return self.reference

    def _measure_shift(self) -> None:
        """Every quarter of a window: the odd and the even pictures must both say that something has moved."""
        reference, seen = self.reference, self._seen
        if reference is None or not (reference.down or reference.across) or not seen.due(PROFILE_PICTURES // 4):
            return
        shifts: list[float] = []
        lost = False
        for now, then in zip(seen.halves(), (reference.down, reference.across), strict=True):
            if not then:
                continue
            found = [displacement(half, np.array(then)) for half in now]
            shifts.append(min((points for points, _ in found), key=abs) * self._step)
            lost = lost or all(alike < LOST for _, alike in found)
        self._shift = max(map(abs, shifts)), lost

    def _judge(self) -> None:
        config, reference, seen = self._config, self.reference, self._seen
        frozen_s = (self._at_ns - self._alike_since_ns) / 1e9
        level, clipped, sharp = median(seen.levels), median(seen.clipped), median(seen.sharpness)
        gauges = {"brightness": level, "clipped": clipped, "sharpness": sharp, "frozen_s": frozen_s}
        standing: dict[str, str] = {}
        if self._alike >= config.frozen.pictures:
            standing["camera_frozen"] = f"{self._alike} pictures in a row are alike, bit by bit."
        if len(seen.levels) == RECENT:
            # Of pictures that are too dark or too bright nothing else need be said.
            standing |= _level(config, level, clipped, reference) or _blur(config, sharp, reference)
        if self._shift is not None:
            shift_px, lost = self._shift
            gauges["shift_px"] = shift_px
            if lost and not standing:  # likewise
                standing["camera_shifted"] = "The view no longer resembles the reference."
            elif not lost and shift_px >= config.shifted.max_px:
                standing["camera_shifted"] = f"By {shift_px:.0f} px against the reference."
        self.look = Look(gauges, self._lasting.take(standing))


class _Picture:
    """The measures of one picture."""

    def __init__(self, sample: Sample) -> None:
        self.level = float(sample.grid.mean())
        self.clipped = float((sample.grid >= CLIPPED_LEVEL).mean())
        self.sharpness = sharpness(sample.tiles)
        self.down, self.across = profiles(sample.grid)


class _Seen:
    """The last pictures' measures.

    Args:
        recent: pictures whose level and sharpness are kept.
        profiled: pictures whose profiles are kept.
    """

    def __init__(self, recent: int, profiled: int) -> None:
        self.levels: deque[float] = deque(maxlen=recent)
        self.clipped: deque[float] = deque(maxlen=recent)
        self.sharpness: deque[float] = deque(maxlen=recent)
        self._profiles: deque[tuple[Profile, Profile]] = deque(maxlen=profiled)
        self._count = 0

    def add(self, picture: _Picture) -> None:
        self.levels.append(picture.level)
        self.clipped.append(picture.clipped)
        self.sharpness.append(picture.sharpness)
        self._profiles.append((picture.down, picture.across))
        self._count += 1

    def due(self, every: int) -> bool:
        """True with every ``every``-th picture, once there are enough profiles."""
        return len(self._profiles) == self._profiles.maxlen and self._count % every == 0

    def halves(self) -> list[list[Profile]]:
        """Return, down and across, the mean profile of the one half of the pictures and that of the other."""
        kept = list(self._profiles)
        return [[np.mean([pair[way] for pair in kept[half::2]], axis=0) for half in (0, 1)] for way in (0, 1)]

    def lasting(self) -> list[Profile | None]:
        """Return, down and across, the mean profile, or None where its halves have too little in common."""
        return [(one + other) / 2 if _alike(one, other) >= SAME else None for one, other in self.halves()]


def _alike(one: Profile, other: Profile) -> float:
    """Return the correlation of two profiles, 0 where one of them is flat."""
    a, b = one - one.mean(), other - other.mean()
    power = float((a**2).sum() * (b**2).sum())
    return float((a * b).sum()) / power**0.5 if power > 0 else 0.0


def _level(config: HealthConfig, level: float, clipped: float, reference: Reference | None) -> dict[str, str]:
    """Return what is wrong with the grey level."""
    dark, bright = config.dark, config.bright
    lowest, highest = dark.min_level, bright.max_level
    if reference is not None:
        lowest = max(lowest, dark.min_share * reference.level)
        highest = min(highest, bright.max_share * reference.level)
    if level < lowest:
        return {"camera_dark": f"Grey level {level:.0f}, below {lowest:.0f}."}
    if level > highest:
        return {"camera_bright": f"Grey level {level:.0f}, above {highest:.0f}."}
    if clipped > bright.max_clipped:
        return {"camera_bright": f"{100 * clipped:.0f} % of the pixels are white."}
    return {}


def _blur(config: HealthConfig, sharp: float, reference: Reference | None) -> dict[str, str]:
    """Return what is wrong with the sharpness."""
    if reference is None or sharp >= config.blurred.min_share * reference.sharpness:
        return {}
    return {"camera_blurred": f"Sharpness {sharp:.3g}; the reference has {reference.sharpness:.3g}."}


def usable(reference: Reference, width: int, height: int) -> bool:
    """True where ``reference`` is of frames of this size, in px, and can be compared with them."""
    step = Sampler((height, width)).step
    sizes: Sequence[tuple[list[float], int]] = ((reference.down, height), (reference.across, width))
    fits = all(not profile or len(profile) == side // step - 1 for profile, side in sizes)
    return fits and (reference.width, reference.height) == (width, height)
