"""Whether a network's raw heads can be what its family's are: an export may have the shape and another meaning."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.engine.base import Engine
from edge.errors import ModelError
from edge.model.families import FAMILIES
from edge.model.golden import synthetic_frame
from edge.model.package import Manifest, ModelPackage

LOOKED_AT = 3  # synthetic frames
ROUNDING = 1e-3


def check_plausible(package: ModelPackage, engine: Engine) -> None:
    """Run some synthetic frames and check the raw heads.

    Raises:
        ModelError: scores outside 0..1, classes without a name, or boxes in other units than the family's.
        EngineError: the engine failed.
    """
    for seed in range(LOOKED_AT):
        rows = engine.heads(synthetic_frame(seed, package.manifest.input.shape))
        problem = implausible(package.manifest, rows)
        if problem:
            raise ModelError(
                f"What {package.identity} returns is no output of family {package.manifest.family}: {problem}.",
                "export the whole network in evaluation mode, as docs/models.md says of its family, or correct family "
                "and classes.",
            )


def implausible(manifest: Manifest, rows: NDArray[np.float32]) -> str:
    """Return why raw heads, (N, columns), are not the family's, or "" where they may be; non-finite ones may be."""
    if not np.isfinite(rows).all():
        return ""  # the search for golden frames refuses them
    scores = rows[:, 4:5] if manifest.heads.ranked else rows[:, 4:]
    lowest, highest = float(scores.min()), float(scores.max())
    if lowest < -ROUNDING or highest > 1.0 + ROUNDING:
        return f"its scores reach from {lowest:.3g} to {highest:.3g}, outside 0..1, as if its last sigmoid were missing"
    if manifest.heads.ranked:
        unnamed = [label for label in rows[:, 5].tolist() if label not in range(len(manifest.classes))]
        if unnamed:
            return f"it returns class {unnamed[0]:g}, and {len(manifest.classes)} classes are named"
    return FAMILIES[manifest.family].box_problem(rows)
