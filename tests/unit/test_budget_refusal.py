"""What cannot hold is not started: the builders and the command line refuse it, by name, number and exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event
from typing import cast

import pytest

from edge import cli, logs
from edge.capture.base import Camera, TriggerSource
from edge.config import GatewayConfig, LineConfig, RecipeConfig, RuleConfig, StationConfig, TelemetryConfig
from edge.core import budget
from edge.errors import BudgetError
from edge.gateway.run import gateway
from edge.station.build import Deciding, assembled

SIM_STRIP = Path(__file__).parents[2] / "models" / "sim-strip"
TOO_SHORT = LineConfig(trigger_to_gate_mm=30)
RECIPE = '[recipe]\nrules = [{ name = "any defect" }]\n'
Edge = Callable[..., int]


def no_devices(_: StationConfig) -> AbstractContextManager[tuple[Camera, TriggerSource]]:
    raise AssertionError("a device was opened for a line that cannot work")


def station_commit(line: LineConfig) -> int:
    config = GatewayConfig()
    return budget.compute(line, config.actuator, config.plc_timing, ceiling_ms=100).station_commit


def test_a_station_is_not_assembled_for_a_line_that_cannot_hold() -> None:
    config = StationConfig(line=TOO_SHORT, recipe=RecipeConfig(rules=(RuleConfig(name="any"),)))
    counts = station_commit(TOO_SHORT)
    assert counts <= 0
    decides = cast(Deciding, None)  # not looked at
    with (
        pytest.raises(BudgetError, match=rf"station-1: station commit point is {counts} counts.*trigger_to_gate_mm"),
        assembled(config, decides, no_devices),
    ):
        pass


def test_a_gateway_is_not_built_for_a_line_that_cannot_hold(tmp_path: Path) -> None:
    bind = tmp_path / "gateway"
    config = GatewayConfig(line=TOO_SHORT, bind=f"ipc://{bind}")
    counts = station_commit(TOO_SHORT)
    with (
        pytest.raises(BudgetError, match=rf"gateway-1: station commit point is {counts} counts.*trigger_to_gate_mm"),
        gateway(config),
    ):
        pass
    assert not bind.exists()


def test_one_count_of_distance_decides(tmp_path: Path) -> None:
    least = next(mm for mm in range(1, 500) if station_commit(LineConfig(trigger_to_gate_mm=mm)) > 0)
    for mm in (least - 1, least):
        line = LineConfig(trigger_to_gate_mm=mm)
        config = GatewayConfig(
            line=line,
            bind=f"ipc://{tmp_path}/{mm}",
            telemetry=TelemetryConfig(endpoint=f"ipc://{tmp_path}/{mm}-telemetry"),
        )
        if mm == least:
            with gateway(config):
                assert (tmp_path / str(mm)).exists()
        else:
            with pytest.raises(BudgetError), gateway(config):
                pass


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Edge:
    """Run the command line in this process, on a machine that has measured nothing; return its exit code."""
    monkeypatch.setenv("EDGE_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(logs, "start", lambda _: None)
    monkeypatch.setattr("edge.commands.run.stop_on_signals", Event)

    def run(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["edge", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0)

    return run


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def station_toml(folder: Path, more: str = "", package: Path = SIM_STRIP) -> Path:
    return written(folder / "station.toml", f'{RECIPE}[model]\npackage = "{package}"\n{more}')


def test_check_lets_a_configuration_that_holds_pass(edge: Edge, tmp_path: Path) -> None:
    assert edge("check", station_toml(tmp_path)) == 0
    assert edge("check", written(tmp_path / "gateway.toml", 'bind = "ipc:///tmp/gateway"\n')) == 0


@pytest.mark.parametrize("kind", ["station", "gateway"])
def test_check_refuses_a_broken_budget(
    edge: Edge, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    line = "[line]\ntrigger_to_gate_mm = 30\n"
    gateway_toml = written(tmp_path / "gateway.toml", f'bind = "ipc:///tmp/gateway"\n{line}')
    assert edge("check", station_toml(tmp_path, line) if kind == "station" else gateway_toml) == 3
    printed = capsys.readouterr()
    counts = station_commit(TOO_SHORT)
    assert "FAIL station commit point" in printed.out
    assert printed.err.startswith("error: ")
    assert f"station commit point is {counts} counts" in printed.err
    assert "Remedy: raise line.trigger_to_gate_mm" in printed.err


def test_the_gateway_command_refuses_a_broken_budget(edge: Edge, tmp_path: Path) -> None:
    text = f'bind = "ipc://{tmp_path}/gateway"\nrealtime_priority = 0\n[line]\ntrigger_to_gate_mm = 30\n'
    assert edge("gateway", written(tmp_path / "gateway.toml", text)) == 3


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (RECIPE + "[limits]\nceilling_ms = 100\n", "limits.ceilling_ms: unknown key"),
        ('bind = "ipc:///tmp/g"\nspeed = 1\n', "speed: unknown key"),
        (RECIPE + "[limits]\nceiling_ms = -1\n", "limits.ceiling_ms = -1"),
        ("no toml", "is not TOML"),
    ],
)
def test_check_refuses_what_is_no_configuration(
    edge: Edge, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, word: str
) -> None:
    path = written(tmp_path / "some.toml", text)
    assert edge("check", path) == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert word in error


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_missing_model_is_refused(
    edge: Edge, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    path = station_toml(tmp_path, package=tmp_path / "no-such-model")
    path.write_text("realtime_priority = 0\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert edge(command, path) == 4
    assert "no-such-model is not a folder" in capsys.readouterr().err
