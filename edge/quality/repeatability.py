"""Whether a part is decided alike when it lies a little elsewhere or the light is a little different."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.core.outcome import Outcome
from edge.quality.intervals import Proportion

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Variation:
    """A disturbance of ``group``: the picture moved by whole px, its values times ``gain`` plus ``offset``."""

    group: str
    dx: int = 0
    dy: int = 0
    gain: float = 1.0
    offset: float = 0.0

    def apply(self, image: Image) -> Image:
        """Return ``image``, (H, W) or (H, W, 3), disturbed; its edge repeats where it moved away."""
        out = image
        if self.dx or self.dy:
            far = max(abs(self.dx), abs(self.dy))
            widths = [(far, far), (far, far), (0, 0)][: image.ndim]
            height, width = image.shape[:2]
            padded = np.pad(image, widths, mode="edge")
            out = padded[far - self.dy :, far - self.dx :][:height, :width]
        if self.gain != 1.0 or self.offset:
            out = np.clip(np.rint(out * self.gain + self.offset), 0, 255)
        return np.ascontiguousarray(out, np.uint8)


VARIATIONS: tuple[Variation, ...] = (
    *(
        Variation(f"shift by {px} px", dx * px, dy * px)
        for px in range(1, 5)
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1))
    ),
    *(Variation("gain +-10 %", gain=gain) for gain in (0.9, 1.1)),
    *(Variation("offset +-10 %", offset=offset) for offset in (-25.5, 25.5)),
)


@dataclass(frozen=True)
class Decision:
    """The outcome of a picture, and the highest score of its findings."""

    outcome: Outcome
    best: float


@dataclass(frozen=True)
class Spread:
    """Of one group of variations.

    Attributes:
        flips: decisions other than that on the undisturbed picture.
        to_pass: those of them that became PASS.
        mean, p95, largest: of the change of the highest score.
    """

    flips: Proportion
    to_pass: int
    mean: float
    p95: float
    largest: float


@dataclass(frozen=True)
class Repeatability:
    """``unstable``: pictures that at least one variation flips; ``groups``: each with its spread."""

    unstable: Proportion
    groups: dict[str, Spread]


def compare(undisturbed: Sequence[Decision], disturbed: Sequence[Sequence[Decision]]) -> Repeatability:
    """Compare the decisions on P pictures with those under each of ``VARIATIONS``: P rows of len(VARIATIONS)."""
    pairs = list(zip(undisturbed, disturbed, strict=True))
    unstable = sum(any(other.outcome is not base.outcome for other in row) for base, row in pairs)
    groups = {}
    for group in dict.fromkeys(variation.group for variation in VARIATIONS):
        members = [index for index, variation in enumerate(VARIATIONS) if variation.group == group]
        groups[group] = _spread([(base, row[index]) for base, row in pairs for index in members])
    return Repeatability(Proportion(unstable, len(pairs)), groups)


def _spread(pairs: Sequence[tuple[Decision, Decision]]) -> Spread:
    flipped = [other for base, other in pairs if other.outcome is not base.outcome]
    change = np.array([abs(other.best - base.best) for base, other in pairs])
    return Spread(
        Proportion(len(flipped), len(pairs)),
        sum(other.outcome is Outcome.PASS for other in flipped),
        float(change.mean()),
        float(np.quantile(change, 0.95)),
        float(change.max()),
    )
