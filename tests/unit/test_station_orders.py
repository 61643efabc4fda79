"""Commands to the station: what the control thread prepares, and what the signal thread makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import ControlConfig
from edge.core.pool import Purpose
from edge.record.commands import control
from edge.station.orders import Order, receiver
from edge.wire.control import Answer, Command, Peer, request
from tests.support_station import UNKNOWN_CLASS, Rig

PEER = Peer(0, "root", 1)
RECIPE = '[recipe]\nname = "night"\nrules = [{{ name = "any", min_score = 0.3, classes = [{0}] }}]\n'


def ordered(made: Rig, name: str, **arguments: str) -> Answer:
    command = Command(name, dict(arguments), PEER)
    receiver(made.post)(command)
    return command.wait(0.0)


def test_a_recipe_is_read_changed_and_confirmed(tmp_path: Path) -> None:
    path, made = tmp_path / "night.toml", Rig().grant()
    path.write_text(RECIPE.format(""))
    assert ordered(made, "recipe", path=str(path)).ok
    made.part(1)
    assert made.reports.parts[1].recipe == "night"


@pytest.mark.parametrize(
    ("text", "word"),
    [(None, "cannot be read"), ("[recipe", "is not TOML"), ('[recipe]\nrules = []\n', "recipe.rules"),
     (RECIPE.format(f'"{UNKNOWN_CLASS}"'), UNKNOWN_CLASS)],
)  # fmt: skip
def test_a_recipe_that_cannot_be_used_is_refused_with_its_remedy(tmp_path: Path, text: str | None, word: str) -> None:
    path, made = tmp_path / "night.toml", Rig().grant()
    if text is not None:
        path.write_text(text)
    answer = ordered(made, "recipe", path=str(path))
    assert not answer.ok
    assert word in answer.text
    assert answer.extra["remedy"]
    made.part(1)
    assert made.reports.parts[1].recipe == "first"


def test_the_status_is_the_state_and_its_reason() -> None:
    made = Rig(gateway=False)
    assert ordered(made, "status") == Answer(True, " ".join(made.station.state(made.now)), {})
    assert ordered(made.__class__().grant(), "status").text == "RUNNING"


@pytest.mark.parametrize(("name", "arguments"), [("mode", {"mode": "auto"}), ("recipe", {}), ("", {})])
def test_what_a_station_does_not_know_is_refused(name: str, arguments: dict[str, str]) -> None:
    answer = ordered(Rig(), name, **arguments)
    assert not answer.ok
    assert "status, trace" in answer.text


def test_a_command_that_was_withdrawn_is_not_carried_out(tmp_path: Path) -> None:
    path, made = tmp_path / "night.toml", Rig().grant()
    path.write_text(RECIPE.format(""))
    orders: list[Order] = []
    command = Command("recipe", {"path": str(path)}, PEER)
    receiver(orders.append)(command)
    assert "withdrawn" in command.wait(0.0).text
    made.post(*orders)
    assert made.reports.recipe == ""


def test_a_command_comes_through_the_socket_and_a_number_is_no_path(tmp_path: Path) -> None:
    made = Rig().grant()
    config = ControlConfig(path=str(tmp_path / "control"))
    with control(config, receiver(made.post)):
        assert request(tmp_path / "control", "status")["ok"]
        assert not request(tmp_path / "control", "recipe", path=3)["ok"]
    assert made.pool.lease(Purpose.CAPTURE) is not None
