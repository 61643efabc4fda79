"""`edge demo` as a newcomer runs it, and its equations when one of the witnesses is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge.simulate.surface import Surface

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

KEYS = {
    *("parts", "pass", "reject", "no_decision", "defective", "good", "detection_rate", "false_reject_rate"),
    *("escapes", "overkill", "by_class", "wrong_part", "escaped_no_permit", "latency_ms", "deadline_ms", "missed"),
    *("triggers", "outcomes", "acknowledged", "reconciled"),
}


def test_the_demo_finds_the_defects_and_reconciles() -> None:
    command = [sys.executable, "-m", "edge", "demo", "--parts", "120", "--seed", "23", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary.keys() >= KEYS
    assert summary["reconciled"] is True, summary["problems"]
    assert summary["parts"] == summary["triggers"] == summary["outcomes"] == summary["acknowledged"] == 120
    assert summary["detection_rate"] >= 0.95
    assert summary["false_reject_rate"] <= 0.05
    assert summary["missed"] <= 1
    assert summary["deadline_ms"] <= 100
    assert summary["wrong_part"] == summary["escaped_no_permit"] == 0
    assert 0.2 <= summary["defective"] / summary["parts"] <= 0.4


def neu(folder: Path, *options: str) -> dict[str, Any]:
    """Run the demo on the pictures of ``folder`` and return its summary."""
    command = [sys.executable, "-m", "edge", "demo", "--surface", "neu", "--images", str(folder), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    assert summary["reconciled"] is True, summary["problems"]
    assert summary["wrong_part"] == summary["escaped_no_permit"] == 0
    assert summary["parts"] == summary["triggers"] == summary["outcomes"]
    assert summary["model"].startswith("neu-det")
    return summary


def test_pictures_of_ones_own_are_judged_by_their_annotations(tmp_path: Path) -> None:
    """The pictures are simulated steel, of which this model knows nothing: only the books are looked at."""
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    surface, classes = Surface(200, 200, seed=5), {}
    for number in range(24):
        plate = surface.plate(number, defective=number % 3 > 0)
        classes[number] = {defect.cls for defect in plate.defects}
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), plate.image)
        objects = "".join(_object(defect.cls, defect.box) for defect in plate.defects)
        size = "<size><width>200</width><height>200</height></size>"
        annotation = f"<annotation><filename>{number}.png</filename>{size}{objects}</annotation>"
        (tmp_path / "annotations" / f"{number}.xml").write_text(annotation)
    summary = neu(tmp_path)
    assert (summary["parts"], summary["defective"], summary["good"]) == (24, 16, 8)
    shown = {name: count["plates"] for name, count in summary["by_class"].items()}
    assert shown == {name: sum(name in found for found in classes.values()) for name in set().union(*classes.values())}
    assert sum(count["escapes"] for count in summary["by_class"].values()) >= summary["escapes"]
    assert summary["pass"] + summary["reject"] == 24


def _object(cls: str, box: tuple[float, float, float, float]) -> str:
    low = [int(side) + 1 for side in box[:2]]
    high = [int(side) for side in box[2:]]
    corners = zip(("xmin", "ymin", "xmax", "ymax"), (*low, *high), strict=True)
    return f"<object><name>{cls}</name><bndbox>{''.join(f'<{k}>{v}</{k}>' for k, v in corners)}</bndbox></object>"


@pytest.mark.dataset
def test_real_steel_is_shown_with_its_truth() -> None:
    folder = Path(os.environ.get("EDGE_DATASETS", "")) / "neu-det"
    if not folder.is_dir():
        pytest.skip(f"EDGE_DATASETS names no folder with neu-det: {folder}")
    summary = neu(folder, "--parts", "150")
    assert (summary["defective"], summary["good"], summary["false_reject_rate"]) == (150, 0, None)
    assert len(summary["by_class"]) == 6
    assert summary["detection_rate"] >= 0.85


def test_a_surface_without_its_pictures_is_refused() -> None:
    command = [sys.executable, "-m", "edge", "demo", "--surface", "neu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--images" in done.stderr


def test_a_rate_that_the_gate_cannot_hold_is_refused_by_its_number() -> None:
    command = [sys.executable, "-m", "edge", "demo", "--rate", "1200", "--parts", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "gate tolerance at 2000 mm/s is 5.0 ms" in done.stderr
