"""Challenges over a real line: real frames, verdicts, permits and a gate, with a sensor behind it.

Plates 0, 1 and 2 of seed 22 are the pieces: defective, good, defective.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.commands.challenge_cli import app
from edge.commands.control import command
from edge.commands.processes import MODELS, Line
from edge.errors import ChallengeError
from edge.record.challenge_keys import write_pair
from tests.support_line import RECIPE, end

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

HERE = Path(__file__).resolve().parent
SEED = 22
PITCH_MM = 1000  # a plate a second: the infeed has time to close behind the last piece
SENSOR_MM = 100
CHALLENGE = """
[challenge]
folder = "{folder}/challenges"
key = "{folder}/challenge.key"
pieces_enter = "through_infeed"
confirmed_by = "sensor"
clear_s = 1.5
piece_s = 10.0
confirm_s = 4.0
grace_min = 0.0
on_skipped = "hold"
pieces = [
  {{ name = "patch 1", expect = "reject", classes = ["patches"] }},
  {{ name = "clean 1", expect = "pass" }},
  {{ name = "crack 1", expect = "reject", classes = ["crazing"] }},
]
"""


class Operator:
    """Who makes a challenge, by command."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._socket = line.folder / "station.control"

    def status(self) -> dict[str, Any]:
        """Return the challenge's status."""
        found: dict[str, Any] = command(self._socket, "status")["challenge"]
        return found

    def wait(self, holds: Callable[[dict[str, Any]], bool], seconds: float = 45.0) -> dict[str, Any]:
        """Wait until the status is as asked."""
        deadline = time.monotonic() + seconds
        while True:
            self._line.check("station")
            status = self.status()
            if holds(status):
                return status
            assert time.monotonic() < deadline, status
            time.sleep(0.1)

    def edge(self, *arguments: str) -> str:
        """Run ``edge challenge``."""
        words = [
            {"SOCKET": str(self._socket), "FOLDER": str(self._line.folder / "challenges")}.get(a, a) for a in arguments
        ]
        done = CliRunner().invoke(app, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return str(done.output)

    def challenge(self) -> dict[str, Any]:
        """Make a whole challenge; return the record of its end."""
        self.wait(lambda s: s["runs"]["skipped"] > 0)
        assert "The infeed is held" in self.edge("start", "SOCKET", "--operator", "anna")
        self.wait(lambda s: s["phase"] == "returning")
        self.edge("returned", "SOCKET", "--operator", "ben")
        number = self.wait(lambda s: s["last"] and s["last"]["result"] != "skipped")["last"]["number"]
        record: dict[str, Any] = json.loads(self.edge("show", "FOLDER", str(number), "--json"))["data"]
        return record


@contextmanager
def challenged(plant: str = "", station: str = "") -> Iterator[tuple[Line, Operator]]:
    """Start a line that must be challenged before a plate may enter; ``plant`` and ``station`` name what is wrong."""

    def program(name: str) -> tuple[str, str] | None:
        return (str(HERE / "challenged.py"), name) if name else None

    with Line(MODELS / "sim-strip", RECIPE) as line:
        options = ("--parts", "20", "--seed", str(SEED), "--defect-rate", "0.5", "--pitch", str(PITCH_MM))
        line.start_plant(*options, "--confirm", str(SENSOR_MM), program=program(plant))
        write_pair(line.folder / "challenge.key")
        with (line.folder / "station.toml").open("a") as config:
            config.write(CHALLENGE.format(folder=line.folder))
        line.start_gateway()
        line.start_station(program=program(station))
        line.wait_for(line.folder / "station.control", "station", 60.0)
        yield line, Operator(line)


def test_a_sound_line_passes_its_challenge_and_only_then_takes_parts() -> None:
    with challenged() as (line, operator):
        held = operator.wait(lambda s: s["runs"]["skipped"] > 0)
        time.sleep(2.0)
        assert command(line.folder / "station.control", "status")["text"].startswith("FAULT")
        assert line.records("outcomes.jsonl") == [], "nothing comes before the challenge"
        assert held["due"]["start"] == "the station was started"
        record = operator.challenge()
        assert record["result"] == "passed", record["faults"]
        assert [(p["part"], p["outcome"], p["gate"], p["sensor"]) for p in record["pieces"]] == [
            (1001, "REJECT", "rejected", "confirmed"),
            (1002, "PASS", "good", "confirmed"),
            (1003, "REJECT", "rejected", "confirmed"),
        ]
        assert record["decides"]["model"].startswith("sim-strip")
        assert "PASSED" in operator.edge("list", "FOLDER")
        assert "No challenge is due" in operator.edge("status", "SOCKET")
        key = str(line.folder / "challenge.key.pub")
        assert "unchanged and complete up to 3:" in operator.edge("verify", "FOLDER", "--key", key)
        (line.folder / "challenges" / "00000002.json").unlink()
        with pytest.raises(ChallengeError):
            operator.edge("verify", "FOLDER", "--key", key)
        deadline = time.monotonic() + 15
        while len(line.records("outcomes.jsonl")) < 9:
            assert time.monotonic() < deadline, "production does not begin"
            time.sleep(0.1)
        seen = end(line, stop=True)
    assert [seen.outcomes[n]["challenge"] for n in (1001, 1002, 1003, 1004)] == ["patch 1", "clean 1", "crack 1", ""]
    assert [seen.plates[n]["bin"] for n in (1001, 1002, 1003)] == ["reject", "good", "reject"]
    assert any(plate["bin"] == "good" for number, plate in seen.plates.items() if number > 1003)
    assert seen.summary["escaped_no_permit"] == seen.summary["passed_unasked"] == 0


@pytest.mark.parametrize(
    ("plant", "station", "result", "faults"),
    [
        ("", "passes_everything", "escaped", {("passed", "patch 1"), ("passed", "crack 1")}),
        ("", "rejects_everything", "failed", {("rejected", "clean 1"), ("gate_shut", "clean 1")}),
        ("gate_jammed", "", "failed", {("not_arrived", "clean 1")}),
        ("gate_stuck_open", "", "escaped", {("seen_good", "patch 1"), ("seen_good", "crack 1")}),
        ("sensor_dead", "", "failed", {("sensor_silent", f"{name} 1") for name in ("patch", "clean", "crack")}),
    ],
)
def test_a_line_that_is_not_sound_fails_it_and_is_held(
    plant: str, station: str, result: str, faults: set[tuple[str, str]]
) -> None:
    with challenged(plant, station) as (line, operator):
        record = operator.challenge()
        found = {(fault["name"], fault["piece"]) for fault in record["faults"]}
        assert faults <= found, found
        assert record["result"] == result
        assert operator.status()["passed"] is False
        before = len(line.records("outcomes.jsonl"))
        time.sleep(2.5)
        assert len(line.records("outcomes.jsonl")) == before == 3, "held until one is passed"
        assert command(line.folder / "station.control", "status")["text"].startswith("FAULT")
