"""Rules as they are written down: what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.commands.check import check
from edge.commands.processes import MODELS
from edge.config import CameraConfig, RecipeConfig, RecipeFile, load, parse
from edge.core.rules import rules_of
from edge.errors import ConfigError
from edge.model.package import load_package
from edge.station.build import rules

SHARE = {"rectangle": [0, 0, 1, 1]}


def recipe(mm_per_px: float | None = None, **rule: Any) -> RecipeConfig:
    values = {"rules": [{"name": "scratch", **rule}]} | ({} if mm_per_px is None else {"mm_per_px": mm_per_px})
    return parse({"recipe": {"name": "ring", **values}}, RecipeFile, "ring.toml").recipe


@pytest.mark.parametrize("key", ["min_area_mm2", "min_longer_side_mm", "min_length_mm"])
def test_millimetres_without_a_scale_are_refused_by_both_names(key: str) -> None:
    with pytest.raises(ConfigError, match=f"rule 'scratch' has {key} = 2.5, and recipe 'ring' gives no mm_per_px"):
        recipe(**{key: 2.5})
    assert getattr(recipe(mm_per_px=0.1, **{key: 2.5}).rules[0], key) == 2.5


@pytest.mark.parametrize("scale", [0.0, -0.1, float("inf"), float("nan")])
def test_a_scale_is_a_positive_number(scale: float) -> None:
    with pytest.raises(ConfigError, match="mm_per_px"):
        recipe(mm_per_px=scale)


@pytest.mark.parametrize(
    ("zone", "message"),
    [
        ({}, "either a rectangle or a polygon"),
        (SHARE | {"polygon": [[0, 0], [1, 0], [1, 1]]}, "either a rectangle or a polygon"),
        ({"polygon": [[0, 0], [1, 0]]}, "at least 3"),
        ({"rectangle": [0.5, 0, 0.5, 1]}, "with x1 < x2 and y1 < y2"),
        ({"rectangle": [0.2, 0.9, 0.5, 0.1]}, "with x1 < x2 and y1 < y2"),
        ({"rectangle": [0, 0, 1]}, "rectangle"),
        (SHARE | {"unit": "mm"}, "unit"),
        (SHARE | {"invert": True}, "unknown key"),
        ({"rectangle": [0, 0, 1, float("nan")]}, "finite"),
    ],
)
def test_what_is_no_zone_is_refused(zone: dict[str, Any], message: str) -> None:
    for key in ("zones", "exclude"):
        with pytest.raises(ConfigError, match=message):
            recipe(**{key: [zone]})


def test_a_rule_has_no_more_corners_than_can_be_cut_while_the_line_runs() -> None:
    recipe(zones=[SHARE] * 8, exclude=[SHARE] * 8)
    with pytest.raises(ConfigError, match="rule 'scratch' has zones with 68 corners, more than 64"):
        recipe(zones=[SHARE] * 9, exclude=[SHARE] * 8)


def test_a_share_of_no_zone_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"min_share = 0\.5, and neither zones nor exclude"):
        recipe(min_share=0.5)
    assert recipe(min_share=0.5, exclude=[SHARE]).rules[0].min_share == 0.5


def test_another_zone_or_scale_is_another_number() -> None:
    made = [recipe(), recipe(zones=[SHARE]), recipe(exclude=[SHARE]), recipe(mm_per_px=0.1)]
    assert len({one.number() for one in made}) == len(made)


def test_the_recipe_of_the_documentation_can_be_used(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "recipe.md").read_text(encoding="utf-8")
    path = tmp_path / "recipe.toml"
    path.write_text(page.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    shown = load(path, RecipeFile).recipe
    assert [rule.min_length_px for rule in rules_of(shown, 640, 512)] == [pytest.approx(30.0), 0.0]


WIDE = {"rectangle": [0, 0, 330, 200], "unit": "px"}


def test_a_zone_outside_of_this_camera_is_refused() -> None:
    manifest = load_package(MODELS / "sim-strip").manifest
    assert rules(recipe(zones=[WIDE]), manifest, CameraConfig(width=330, height=200))
    with pytest.raises(ConfigError, match=r"zones\[0\].*\(330, 0\) in px.*ends at \(320, 200\)"):
        rules(recipe(zones=[WIDE]), manifest, CameraConfig(width=320, height=200))


def test_edge_check_refuses_it_too(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    text = 'camera = {{ width = {}, height = 200 }}\nmodel = {{ package = "{}" }}\n[[recipe.rules]]\nname = "scratch"\n'
    zone = "zones = [{ rectangle = [0, 0, 330, 200], unit = 'px' }]\n"
    path.write_text(text.format(330, MODELS / "sim-strip") + zone)
    assert check(path).decides
    path.write_text(text.format(320, MODELS / "sim-strip") + zone)
    with pytest.raises(ConfigError, match=r"zones\[0\]"):
        check(path)
