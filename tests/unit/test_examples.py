"""The commented examples under deploy/ say of themselves that they show the defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.config import GatewayConfig, RecipeConfig, RuleConfig, StationConfig, load, load_any

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.mark.parametrize(
    ("name", "tree", "needed"),
    [
        ("station.toml", StationConfig, {"recipe": RecipeConfig(rules=(RuleConfig(name="any defect"),))}),
        ("gateway.toml", GatewayConfig, {}),
    ],
)
def test_an_example_shows_the_defaults(name: str, tree: Any, needed: dict[str, Any]) -> None:
    assert load(DEPLOY / name, tree) == tree(**needed)
    assert isinstance(load_any(DEPLOY / name), tree)


@pytest.mark.parametrize(("name", "tree"), [("station.toml", StationConfig), ("gateway.toml", GatewayConfig)])
def test_an_example_shows_every_section(name: str, tree: Any) -> None:
    text = (DEPLOY / name).read_text()
    for section, field in tree.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            keys = [section, *field.annotation.model_fields]
            assert all(key in text for key in keys), [key for key in keys if key not in text]
