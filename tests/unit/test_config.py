"""Configuration: what is refused, and that each refusal names file, key, value and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.config import (
    GatewayConfig,
    LineConfig,
    RecipeConfig,
    RecipeFile,
    RuleConfig,
    StationConfig,
    load,
    load_any,
    parse,
)
from edge.errors import ConfigError

RECIPE: dict[str, Any] = {"rules": [{"name": "any"}]}


def station(**sections: Any) -> StationConfig:
    return parse({"recipe": RECIPE, **sections}, StationConfig, "station.toml")


def refusal(**sections: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        station(**sections)
    assert caught.value.exit_code == 2
    assert caught.value.remedy
    text = str(caught.value)
    assert text.startswith("station.toml: ")
    assert "Remedy: " in text
    return text


def test_the_defaults_are_usable() -> None:
    assert station().line == LineConfig()
    assert parse({}, GatewayConfig, "gateway.toml").line.digest() == station().line.digest()


@pytest.mark.parametrize(
    ("sections", "path", "value"),
    [
        ({"line": {"pitch_min_mm": 0}}, "line.pitch_min_mm", "0"),
        ({"line": {"counts_per_mm": -2.5}}, "line.counts_per_mm", "-2.5"),
        ({"line": {"pitch_min_mm": float("nan")}}, "line.pitch_min_mm", "nan"),
        ({"camera": {"kind": "usb"}}, "camera.kind", "usb"),
        ({"camera": {"width": 15}}, "camera.width", "15"),
        ({"camera": {"endpoint": "somewhere"}}, "camera.endpoint", "somewhere"),
        ({"camera": {"kind": "folder"}}, "camera", "folder"),
        ({"gateway": {"endpoint": "udp://host:1"}}, "gateway.endpoint", "udp://host:1"),
        ({"gateway": {"fail_safe": "pass"}}, "gateway.fail_safe", "pass"),
        ({"recipe": {"rules": []}}, "recipe.rules", "[]"),
        ({"recipe": {"rules": [{"name": "a"}, {"name": "b", "min_score": 1.5}]}}, "recipe.rules.1.min_score", "1.5"),
        ({"limits": {"pool_slots": 2}}, "limits.pool_slots", "2"),
        ({"lane": 256}, "lane", "256"),
        ({"model": {"threads": "many"}}, "model.threads", "many"),
    ],
)
def test_a_refusal_names_the_key_and_the_value(sections: dict[str, Any], path: str, value: str) -> None:
    text = refusal(**sections)
    assert path in text
    assert value in text


@pytest.mark.parametrize(
    ("sections", "path"),
    [
        ({"bogus": 1}, "bogus"),
        ({"line": {"pitch_mm": 100}}, "line.pitch_mm"),
        ({"recipe": {"rules": [{"name": "a", "score": 0.5}]}}, "recipe.rules.0.score"),
        ({"gateway": {"end_point": "ipc:///x"}}, "gateway.end_point"),
    ],
)
def test_an_unknown_key_is_refused_by_its_path(sections: dict[str, Any], path: str) -> None:
    assert f"{path}: unknown key" in refusal(**sections)


def test_all_problems_are_named_at_once() -> None:
    text = refusal(lane=-1, line={"slip_mm": -1, "typo": 2})
    assert all(name in text for name in ("lane", "line.slip_mm", "line.typo"))


def test_a_missing_recipe_is_named() -> None:
    with pytest.raises(ConfigError, match="recipe: is required"):
        parse({}, StationConfig, "station.toml")


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        ({"speed_min_mm_s": 1000, "speed_max_mm_s": 1000}, True),
        ({"speed_min_mm_s": 1000.1, "speed_max_mm_s": 1000}, False),
        ({"part_length_min_mm": 60, "part_length_max_mm": 60}, True),
        ({"part_length_min_mm": 60.1, "part_length_max_mm": 60}, False),
        ({"part_length_max_mm": 99.9}, True),
        ({"part_length_max_mm": 100}, False),
    ],
)
def test_the_orders_of_a_line_at_their_bounds(line: dict[str, float], holds: bool) -> None:
    if holds:
        station(line=line)
    else:
        assert "line" in refusal(line=line)


@pytest.mark.parametrize(
    ("limits", "holds"),
    [
        ({"ceiling_ms": 10_000, "hang_ms": 10_001}, True),
        ({"ceiling_ms": 10_000, "hang_ms": 10_000}, False),
        ({"ceiling_ms": 10_000.1}, False),
        ({"ceiling_ms": 0}, False),
        ({"open_parts": 4096, "pool_slots": 256}, True),
        ({"open_parts": 4097}, False),
        ({"pool_slots": 3}, True),
    ],
)
def test_limits_at_their_bounds(limits: dict[str, float], holds: bool) -> None:
    if holds:
        station(limits=limits)
    else:
        refusal(limits=limits)


@pytest.mark.parametrize("score", [1, 0.0001])
def test_scores_that_can_be_reached(score: float) -> None:
    assert RuleConfig(name="r", min_score=score).min_score == score


@pytest.mark.parametrize(
    "sections",
    [
        {"line": {"pitch_min_mm": float("inf")}},
        {"line": {"trigger_to_gate_mm": float("inf")}},
        {"limits": {"frame_timeout_ms": float("inf")}},
        {"actuator": {"response_max_ms": float("inf")}},
    ],
)
def test_infinity_is_no_length_and_no_time(sections: dict[str, Any]) -> None:
    """TOML can say `inf`; the arithmetic behind it would end in an OverflowError."""
    refusal(**sections)


def test_a_window_as_long_as_the_period_is_refused() -> None:
    """With one agreeing pair, a frame whose own trigger is late would be given to the part before it."""
    line = {"pitch_min_mm": 100, "speed_max_mm_s": 1000, "speed_min_mm_s": 1000}
    station(line=line, camera={"window_early_ms": 1, "window_late_ms": 98})
    text = refusal(line=line, camera={"window_early_ms": 1, "window_late_ms": 99})
    assert "window" in text


def test_a_line_that_nothing_counts_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"plc\.counts_parts"):
        parse({"plc": {"counts_parts": False}}, GatewayConfig, "gateway.toml")


def test_the_tree_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        station().lane = 3  # type: ignore[misc]


def test_a_digest_follows_the_numbers_not_their_spelling() -> None:
    line = LineConfig(pitch_min_mm=100)
    assert line.digest() == LineConfig(pitch_min_mm=100.0).digest() == LineConfig.model_validate({}).digest()
    for name in LineConfig.model_fields:
        if name.endswith(("_max_mm", "_max_mm_s")):
            continue
        changed = line.model_copy(update={name: getattr(line, name) * 0.5 + 0.1})
        assert changed.digest() != line.digest(), name


def test_a_recipe_number_has_16_bits_and_follows_its_rules() -> None:
    numbers = {RecipeConfig(rules=(RuleConfig(name="r", min_score=n / 500),)).number() for n in range(1, 400)}
    assert all(1 <= n <= 0xFFFF for n in numbers)
    assert len(numbers) > 380


GOOD = '[recipe]\nrules = [{ name = "any" }]\n'


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text(GOOD)
    assert isinstance(load(path, StationConfig), StationConfig)
    assert isinstance(load_any(path), StationConfig)


@pytest.mark.parametrize("text", ['bind = "ipc:///tmp/x"\n', "[plc]\nport = 502\n"])
def test_the_kind_of_a_file_is_told_by_its_keys(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    assert isinstance(load_any(path), GatewayConfig)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"lane = = 3", "not TOML"),
        (b"\xff\xfe", "UTF-8"),
        (b"[line]\npitch_mm = 3\n" + GOOD.encode(), "line.pitch_mm"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    for read in (lambda: load(path, StationConfig), lambda: load_any(path)):
        with pytest.raises(ConfigError) as caught:
            read()
        assert str(path) in str(caught.value)
        assert word in str(caught.value)
        assert caught.value.remedy


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    for read in (lambda: load(tmp_path / name, StationConfig), lambda: load_any(tmp_path / name)):
        with pytest.raises(ConfigError, match=str(tmp_path)):
            read()


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"position": {"source": "gps"}}, ["position.source", "gps"]),
        ({"position": {"camera_offset_mm": -1.0}}, ["position.camera_offset_mm", "-1.0"]),
        ({"position": {"source": "time"}, "line": {"speed_min_mm_s": 999.0}}, ["'time'", "999", "1000"]),
        ({"position": {"source": "plc"}, "gateway": {"endpoint": None}}, ["'plc'", "gateway.endpoint"]),
        (
            {"position": {"source": "time"}, "gateway": {"endpoint": "tcp://10.0.0.2:5570"}},
            ["'time'", "this host", "10.0.0.2"],
        ),
        ({"trigger": {"kind": "timer"}}, ["'timer'", "gateway.endpoint = 'none'"]),
        ({"position": {"source": "camera"}, "camera": {"kind": "folder", "source": "x"}}, ["'camera'", "'folder'"]),
        ({"line": {"backlash_mm": 50.0}}, ["backlash_mm 50.0", "pitch_min_mm 100.0"]),
        ({"control": {"mode": "rw"}}, ["control.mode", "rw"]),
    ],
)
def test_a_position_that_nobody_tells_is_refused(sections: dict[str, Any], words: list[str]) -> None:
    text = refusal(**sections)
    assert all(word in text for word in words), text


@pytest.mark.parametrize("source", ["eye", "plc", "camera", "time"])
def test_every_source_of_the_position_can_be_configured(source: str) -> None:
    assert station(position={"source": source}, line={"backlash_mm": 49.9}).position.source == source


@pytest.mark.parametrize(
    "endpoint", ["none", "ipc:///tmp/g", "tcp://127.0.0.1:5570", "tcp://localhost:5570", "tcp://[::1]:5570"]
)
def test_a_position_by_time_needs_no_gateway_or_one_on_this_host(endpoint: str) -> None:
    security = {"key": "k", "server_key": "p"} if endpoint.startswith("tcp://") else {}
    made = station(position={"source": "time"}, gateway={"endpoint": endpoint}, security=security)
    assert made.gateway.endpoint == (None if endpoint == "none" else endpoint)


def test_a_station_without_a_gateway_may_number_by_a_timer_and_not_place_by_the_plc() -> None:
    assert station(trigger={"kind": "timer"}, gateway={"endpoint": "none"}).gateway.endpoint is None
    assert "'plc' needs gateway.endpoint" in refusal(position={"source": "plc"}, gateway={"endpoint": "none"})


def test_a_recipe_file_holds_a_recipe_alone(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('[recipe]\nname = "night"\nrules = [{ name = "any" }]\n')
    assert load(path, RecipeFile).recipe.name == "night"
    path.write_text('lane = 1\n[recipe]\nrules = [{ name = "any" }]\n')
    with pytest.raises(ConfigError, match="lane: unknown key"):
        load(path, RecipeFile)


def test_a_gate_that_rests_in_pass_may_reject_for_as_long_as_it_takes() -> None:
    gateway: dict[str, Any] = {
        "accept_escapes": True,
        "plc": {"signal": "pulse"},
        "pulse": {"link_p999_ms": 1.0, "output_watchdog_ms": 9.0},
        "actuator": {"deenergised_state": "pass"},
    }
    assert parse(gateway, GatewayConfig, "gateway.toml").actuator.max_energised_ms == 0
    for state, refused in (("pass", True), ("reject", False)):
        gateway["actuator"] = {"deenergised_state": state, "max_energised_ms": 50.0}
        if not refused:
            parse(gateway, GatewayConfig, "gateway.toml")
            continue
        with pytest.raises(ConfigError, match="max_energised_ms would end the REJECT"):
            parse(gateway, GatewayConfig, "gateway.toml")


@pytest.mark.parametrize(
    ("control", "refused"),
    [({}, False), ({"path": "c"}, False), ({"path": "c", "record": "r"}, False), ({"record": "r"}, True)],
)
def test_a_record_of_commands_needs_a_socket_that_takes_some(control: dict[str, str], refused: bool) -> None:
    if refused:
        with pytest.raises(ConfigError, match="record needs path"):
            parse({"control": control}, GatewayConfig, "gateway.toml")
    else:
        parse({"control": control}, GatewayConfig, "gateway.toml")
