"""Which model and recipe a station starts with after a command changed them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge import config as cfg
from edge.core.part import Identity
from edge.errors import ConfigError
from edge.model.package import load_package
from edge.record.commands import CommandLog
from edge.station.kept import Keeper, with_kept
from edge.station.pairs import Model, Pair
from tests.support_station import RECIPE, Engine, rules

SIM_STRIP = Path(__file__).parents[2] / "models" / "sim-strip"
NIGHT = cfg.RecipeConfig(name="night", rules=(cfg.RuleConfig(name="any"),))


def config(folder: Path) -> cfg.StationConfig:
    values = {"recipe": RECIPE, "control": {"path": str(folder / "s"), "record": str(folder / "record.jsonl")}}
    return cfg.parse(values, cfg.StationConfig, "test")


def pair(settings: cfg.ModelConfig, identity: str) -> Pair:
    model = Model(Identity(identity, "openvino", "fp32"), settings, Engine(), rules, lambda: None)
    return Pair(model, NIGHT, ())


def remember(made: cfg.StationConfig, kept: Pair) -> None:
    assert made.control.record is not None
    log, keeper = CommandLog(Path(made.control.record)), Keeper(made.model)
    keeper.log = log
    assert keeper.keep(kept)
    log.close()


def activated(folder: Path) -> tuple[cfg.ModelConfig, str]:
    shutil.copytree(SIM_STRIP, folder / "other")
    settings = cfg.ModelConfig(package=str(folder / "other"), engine="openvino", precision="fp32")
    return settings, load_package(folder / "other").identity


def test_a_model_that_was_activated_is_there_again_with_its_recipe(tmp_path: Path) -> None:
    made, (settings, identity) = config(tmp_path), activated(tmp_path)
    remember(made, pair(settings, identity))
    found = with_kept(made)
    assert (found.model, found.recipe) == (settings, NIGHT)


def test_going_back_to_the_files_own_model_leaves_it_to_the_file(tmp_path: Path) -> None:
    made, (settings, identity) = config(tmp_path), activated(tmp_path)
    remember(made, pair(settings, identity))
    remember(made, pair(made.model, "own"))
    other = made.model_copy(update={"model": cfg.ModelConfig(package="another that the file names now")})
    assert with_kept(other).model == other.model
    assert with_kept(other).recipe == NIGHT


def test_the_files_own_package_by_its_whole_path_is_the_files_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(SIM_STRIP)
    made = config(tmp_path).model_copy(update={"model": cfg.ModelConfig(package="link")})
    for package in ("link", str(SIM_STRIP.resolve())):
        remember(made, pair(cfg.ModelConfig(package=package), "whatever is there"))
        assert with_kept(made).model == made.model


def test_a_record_that_somebody_mended_badly_is_refused_by_name(tmp_path: Path) -> None:
    made = config(tmp_path)
    assert made.control.record is not None
    log = CommandLog(Path(made.control.record))
    log.state({"model": "sim-strip"})
    log.close()
    with pytest.raises(ConfigError, match=r"record.jsonl names a model.*'sim-strip'.*Remedy: move"):
        with_kept(made)


def test_a_package_that_was_replaced_or_removed_is_refused_with_both_names(tmp_path: Path) -> None:
    made, (settings, identity) = config(tmp_path), activated(tmp_path)
    remember(made, pair(settings, "other@2+0123"))
    with pytest.raises(ConfigError, match=r"holds sim-strip.*other@2\+0123 was activated.*Remedy: put other@2"):
        with_kept(made)
    remember(made, pair(settings, identity))
    shutil.rmtree(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"not a folder.*Remedy: put sim-strip"):
        with_kept(made)


def test_nothing_is_kept_without_a_record(tmp_path: Path) -> None:
    made = config(tmp_path)
    assert with_kept(made) == made
    keeper = Keeper(made.model)
    assert not keeper.keep(pair(made.model, "own"))
    keeper.log = CommandLog(None)
    assert not keeper.keep(pair(made.model, "own"))
