"""`edge model activate` and `rollback` against a real control socket, behind which the test plays the station."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from edge.commands import model_activate
from edge.commands.model_activate import activate, activate_command, rollback_command
from edge.config import ControlConfig
from edge.errors import ControlError
from edge.record.commands import control
from edge.wire.control import Command

app = typer.Typer()
app.command("activate")(activate_command)
app.command("rollback")(rollback_command)


def told(state: str, number: int = 1, text: str = "", remedy: str = "") -> dict[str, Any]:
    return {"activation": {"number": number, "package": "p", "state": state, "text": text, "remedy": remedy}}


@contextmanager
def station(folder: Path, *statuses: dict[str, Any]) -> Iterator[tuple[Path, list[Command]]]:
    """Serve a socket: an activation begins, and goes on as ``statuses`` say, one a question."""
    heard: list[Command] = []
    left = list(statuses)

    def post(command: Command) -> None:
        heard.append(command)
        assert command.take()
        if command.name == "status":
            command.answer(True, "RUNNING", **left.pop(0))
        elif command.name == "activate":
            command.answer(True, "It is being loaded.", **told("loading"))
        else:
            command.answer(False, "There is none.", remedy="activate one.")

    with control(ControlConfig(path=str(folder / "control")), post):
        yield folder / "control", heard


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_activate, "LOOK_S", 0.001)


def test_it_waits_until_the_model_is_in_force(tmp_path: Path) -> None:
    recipe = tmp_path / "night.toml"
    recipe.touch()
    with station(tmp_path, told("loading"), told("active", text="It judges.")) as (socket, heard):
        made = CliRunner().invoke(
            app, ["activate", str(socket), str(tmp_path), "--recipe", str(recipe), "--precision", "int8"]
        )
    assert made.exit_code == 0, made.output
    assert made.stdout == "It judges.\n"
    assert [command.name for command in heard] == ["activate", "status", "status"]
    assert heard[0].arguments == {
        "package": str(tmp_path), "recipe": str(recipe), "engine": "auto", "precision": "int8"
    }  # fmt: skip


def test_a_model_that_stays_out_is_an_error_with_its_reason_and_remedy(tmp_path: Path) -> None:
    failed = told("failed", text="Its hash is wrong.", remedy="copy it again.")
    reason = r"not activated: Its hash is wrong.*Remedy: copy it again"
    with station(tmp_path, failed) as (socket, _), pytest.raises(ControlError, match=reason):
        activate(socket, tmp_path)


def test_a_model_that_was_withdrawn_meanwhile_is_not_said_to_be_in_force(tmp_path: Path) -> None:
    back = told("rolled back", text="The one before judges.")
    with station(tmp_path, back) as (socket, _), pytest.raises(ControlError, match=r"withdrawn again: The one before"):
        activate(socket, tmp_path)


@pytest.mark.parametrize("status", [{}, told("active", number=2)])
def test_a_station_that_was_restarted_meanwhile_is_not_taken_for_one_that_did_it(
    tmp_path: Path, status: dict[str, Any]
) -> None:
    reason = "does not follow this activation"
    with station(tmp_path, status) as (socket, _), pytest.raises(ControlError, match=reason):
        activate(socket, tmp_path)


def test_a_rollback_to_nothing_is_an_error(tmp_path: Path) -> None:
    with station(tmp_path) as (socket, _):
        made = CliRunner().invoke(app, ["rollback", str(socket)])
    assert isinstance(made.exception, ControlError)
    assert made.exception.remedy == "activate one."
