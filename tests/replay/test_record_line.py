"""A recording of a real line, with real faults, and the replay of it: the same verdicts, part for part."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.commands.processes import MODELS, Line
from edge.commands.replay import Changes, run
from edge.record.recording import Recording
from tests.support_line import RECIPE

pytestmark = pytest.mark.process

PARTS = 60
SPEED = "speed_min_mm_s = 1000\nspeed_max_mm_s = 1000"
FAULTS = (
    *("--drop-frames", "34,50", "--corrupt-frames", "36", "--delay-frames", "38:70", "--delay-frames", "45:15"),
    *("--drop-triggers", "40", "--delay-triggers", "43:40"),
)


def edge(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    command = [sys.executable, "-m", "edge", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_line_is_recorded_and_replayed(tmp_path: Path) -> None:
    out = tmp_path / "recording"
    with Line(MODELS / "sim-strip", RECIPE, SPEED, (320, 256, "mono8")) as line:
        line.start_plant("--parts", "120", "--speed", "1000", "--v-max", "1000", "--defect-rate", "0.4", *FAULTS)
        line.start_gateway()
        line.start_station()
        line.wait_for(line.folder / "station.control", "station", 20.0)
        time.sleep(2.5)
        done = edge("record", str(line.folder / "station.toml"), "--out", str(out), "--parts", str(PARTS))
        assert done.returncode == 0, done.stderr
        again = edge("record", str(line.folder / "station.toml"), "--out", str(out), "--parts", "5")
        assert again.returncode == 12  # refused: the folder is taken
        assert line.stop("station") == 0
        outcomes = {part["part"]: part for part in line.records("outcomes.jsonl")}

    report = run(out, Changes())
    report.refuse()
    assert report.comparison.compared >= PARTS - 5
    recording = Recording(out)
    causes = {part.cause for part in recording.reference}
    assert causes == {"clean", "rule", "frame_missing", "frame_corrupt", "trigger_lost"}
    for part in recording.reference:  # what was recorded is what the station said at the time
        assert (part.outcome, part.cause) == (outcomes[part.part]["outcome"], outcomes[part.part]["cause"])
    assert not list(out.rglob("*.npy"))

    strict = tmp_path / "strict.toml"
    strict.write_text(
        f'[camera]\nwidth = 320\nheight = 256\n[model]\npackage = "{MODELS / "sim-strip"}"\n[line]\n{SPEED}\n'
        '[recipe]\nname = "strict"\nrules = [{ name = "any defect", min_score = 0.95 }]\n'
    )
    red = edge("replay", str(out), "--config", str(strict), "--json")
    assert red.returncode == 22
    assert {d["was"] for d in json.loads(red.stdout)["differences"] if d["what"] == "verdict"} == {
        "REJECT rule any defect"
    }
