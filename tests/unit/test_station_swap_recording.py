"""A recording has one model: what a hot swap does to one that runs, and to one that is just about to."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import ModelConfig
from edge.core.part import Identity
from edge.errors import RecordingError
from edge.record.recording import Decider
from edge.station.changes import Asked
from edge.station.orders import Order
from edge.station.pairs import Model, Pair
from edge.wire.control import Command, Peer
from tests.support_recording import BOUNDS, RecordedStation, recipe, replayed
from tests.support_station import rules

PEER = Peer(0, "root", 1)
OTHER = Decider("other@1", "test", "fp32", "1")


def swap(made: RecordedStation) -> None:
    """Put another model in force, in the same turn as whatever else is posted."""
    settings, dark = ModelConfig(package="/other"), recipe("dark", 0.1)
    model = Model(Identity("other@1", "test", "fp32"), settings, made, rules, lambda: None)

    def act(_: bool) -> str:
        made.station.changes.model(Pair(model, dark, rules(dark)), Asked("activate", PEER), made.now)
        made.tape.model_changed(dark, OTHER, settings)
        return ""

    made.turn(Order(Command("activate", {}, PEER), act=act))


def test_a_recording_ends_with_the_turn_of_the_swap_and_replays_as_recorded(tmp_path: Path) -> None:
    made = RecordedStation(tmp_path / "r")
    made.grant(1)
    for number in range(1, 7):
        made.part(number, brightness=100 if number % 2 else 200)
    swap(made)
    for number in range(7, 12):
        made.part(number, brightness=100)
    recording = made.end()
    assert "another model" in recording.header.ended
    assert [part.part for part in recording.reference] == [1, 2, 3, 4, 5, 6]
    assert recording.header.decider.model == "test@1"
    comparison, _ = replayed(recording)
    assert comparison.differences == []
    assert comparison.compared > 0
    assert {made.reports.parts[n].identity.model for n in range(7, 12)} == {"other@1"}


def test_the_next_recording_names_the_model_and_the_recipe_in_force(tmp_path: Path) -> None:
    made = RecordedStation(tmp_path / "r", begins=False)
    made.grant(1)
    swap(made)
    made.turn()
    made.begin()
    for number in range(1, 7):
        made.part(number, brightness=100)
    recording = made.end()
    header = recording.header
    assert header.decider == OTHER
    assert (header.config["model"]["package"], header.config["recipe"]["name"]) == ("/other", "dark")
    assert replayed(recording)[0].differences == []
    assert {part.outcome for part in recording.reference} == {"REJECT"}, "the recipe of before would have passed them"


def test_a_recording_that_was_opened_before_the_swap_does_not_begin_after_it(tmp_path: Path) -> None:
    made = RecordedStation(tmp_path / "r", begins=False)
    writer = made.tape.open(made.folder, BOUNDS)
    swap(made)
    with pytest.raises(RecordingError, match="another model or recipe"):
        made.tape.begin(writer, None)
    made.tape.close()
