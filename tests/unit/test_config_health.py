"""`[health]`: what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from edge import config as cfg
from edge.core.alarms import ALARMS
from edge.errors import ConfigError
from edge.monitor.metric_table import STATION_ALARMS

RECIPE = {"rules": [{"name": "any"}]}
CHECKS = ("dark", "bright", "blurred", "frozen", "shifted", "reject", "score", "throughput", "temperature", "clock")


def parsed(health: dict[str, Any], **sections: Any) -> cfg.HealthConfig:
    return cfg.parse({"recipe": RECIPE, "health": health, **sections}, cfg.StationConfig, "test").health


def test_every_check_has_a_reaction_an_alarm_and_a_remedy() -> None:
    checks = {name for name, field in cfg.HealthConfig.model_fields.items() if hasattr(field.default, "reaction")}
    assert checks == set(CHECKS)
    names = cfg.HealthConfig().reactions()
    assert len(names) == len(CHECKS)
    for name in (*names, "health"):
        assert ALARMS[name].text
        assert ALARMS[name].remedy
        assert name in STATION_ALARMS


@pytest.mark.parametrize("check", CHECKS)
def test_a_reaction_is_that_of_its_own_alarm(check: str) -> None:
    reactions = parsed({"folder": "x", check: {"reaction": "off"}}).reactions()
    (off,) = [name for name, reaction in reactions.items() if reaction == "off"]
    assert check in off


def test_without_a_folder_nothing_is_watched_and_nothing_can_be_set() -> None:
    assert parsed({}).folder is None
    for check in CHECKS:
        with pytest.raises(ConfigError, match=rf"health\.{check} needs health\.folder"):
            parsed({check: {"reaction": "off"}})
    with pytest.raises(ConfigError, match=r"health\.pictures_per_s needs"):
        parsed({"pictures_per_s": 1.0})


def test_a_configuration_survives_being_written_out() -> None:
    for health in ({}, {"folder": "x", "dark": {"min_level": 30.0}}):
        made = cfg.parse({"recipe": RECIPE, "health": health}, cfg.StationConfig, "test")
        assert cfg.parse(made.model_dump(mode="json"), cfg.StationConfig, "test") == made


@pytest.mark.parametrize("check", [c for c in CHECKS if c not in ("throughput", "temperature", "clock")])
def test_a_hold_that_only_a_person_ends_needs_the_control_socket(check: str) -> None:
    health = {"folder": "x", check: {"reaction": "hold"}}
    with pytest.raises(ConfigError, match=r"control\.path is not set"):
        parsed(health)
    assert parsed(health, control={"path": "socket"}).needs_person()


@pytest.mark.parametrize("check", ["temperature", "clock"])
def test_what_is_measured_without_parts_ends_by_itself(check: str) -> None:
    assert not parsed({"folder": "x", check: {"reaction": "hold"}}).needs_person()


@pytest.mark.parametrize(
    "health",
    [
        {"folder": "x", "throughput": {"reaction": "hold"}},  # slow parts are not held back
        {"folder": "x", "dark": {"reaction": "stop"}},
        {"folder": "x", "reject": {"factor": 1.1}},
        {"folder": "x", "frozen": {"pictures": 1}},
        {"folder": "x", "pictures_per_s": 11.0},
        {"folder": "x", "baseline": {"false_alarms_per_year": 0.0}},
        {"folder": "x", "baseline": {"parts": 99}},
        {"folder": "x", "unknown": 1},
    ],
)
def test_what_cannot_be_is_refused(health: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        parsed(health)
