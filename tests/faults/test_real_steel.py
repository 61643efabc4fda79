"""Real steel through the whole line: what the gate did must be what `edge inspect` says of the same files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support_line import assert_nothing_escaped, end, running_line

pytestmark = [pytest.mark.process, pytest.mark.dataset, pytest.mark.timeout(300)]

RECIPE = """\
name = "strip"
[[recipe.rules]]
name = "line defect"
classes = ["inclusion", "scratches", "pitted_surface"]
min_score = 0.5
[[recipe.rules]]
name = "large patch"
classes = ["patches"]
min_score = 0.4
min_longer_side_px = 60
"""
EVERY = 6
"""One picture in so many: all classes, in half a minute."""


def pictures(tmp_path: Path) -> Path:
    """Return a folder with links to a part of NEU-DET."""
    source = Path(os.environ.get("EDGE_DATASETS", "")) / "neu-det" / "images"
    if not source.is_dir():
        pytest.skip(f"EDGE_DATASETS names no folder with neu-det/images: {source}")
    chosen = tmp_path / "pictures"
    chosen.mkdir()
    for file in sorted(source.glob("*.jpg"))[::EVERY]:
        (chosen / file.name).symlink_to(file)
    return chosen


def test_the_line_decides_on_real_steel_as_edge_inspect_does(tmp_path: Path) -> None:
    folder = pictures(tmp_path)
    names = sorted(path.name for path in folder.iterdir())
    options = ("--images", str(folder))
    with running_line(len(names), *options, package="neu-det", recipe=RECIPE, frame=(200, 200, "mono8")) as (line, _):
        command = [sys.executable, "-m", "edge", "inspect", str(folder), "--json", "--config"]
        config = (line.folder / "station.toml").read_text()
        seen = end(line, timeout_s=120)
    (tmp_path / "station.toml").write_text(config)
    offline = json.loads(
        subprocess.run([*command, str(tmp_path / "station.toml")], check=True, capture_output=True).stdout
    )
    assert_nothing_escaped(seen)
    keys = ("outcome", "cause", "rule")
    at_the_line = [tuple(record[key] for key in keys) for _, record in sorted(seen.outcomes.items())]
    assert at_the_line == [tuple(part[key] for key in keys) for part in offline["parts"]]
    assert [part["name"] for part in offline["parts"]] == names
    assert offline["no_decision"] == 0
    assert min(offline["pass"], offline["reject"]) >= 0.2 * len(names)
    bins = {"PASS": "good", "REJECT": "reject"}
    assert all(seen.plates[n]["bin"] == bins[record["outcome"]] for n, record in seen.outcomes.items())
