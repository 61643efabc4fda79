"""The smallest recipe that trains: a tiny detector on a few simulated plates."""

from __future__ import annotations

from typing import Any

from edge.training.recipe import Recipe

SIZE = 64
TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 5,
    "input": {"width": SIZE, "height": SIZE},
    "data": {
        "kind": "sim",
        "frame_width": 128,
        "frame_height": 128,
        "seed": 1_000_000,
        "plates": 8,
        "validation_seed": 1_000_100,
        "validation_plates": 4,
        "defect_rate": 0.8,
    },
    "network": {"width": 16, "head_depth": 1, "short_backbone": True, "pretrained": False, "frozen_stages": 0},
    "augment": {"mosaic": 0.3, "plain_epochs": 1},
    "schedule": {"epochs": 3, "batch": 4, "learning_rate": 3e-3, "threads": 1},
}
STILL = {
    "mosaic": 0.0,
    "flip_horizontal": 0.0,
    "flip_vertical": 0.0,
    "scale": [1.0, 1.0],
    "shift": 0.0,
    "gain": [1.0, 1.0],
    "offset": 0.0,
    "gamma": [1.0, 1.0],
    "noise": 0.0,
}


def tiny(**sections: dict[str, Any]) -> Recipe:
    """The tiny recipe with keys of sections changed: `tiny(schedule={"epochs": 1})`."""
    values = {**TINY, **{name: {**TINY.get(name, {}), **keys} for name, keys in sections.items()}}
    return Recipe.model_validate(values)
