"""Evidence of a real line: every reject has its own picture, and a live picture is seen as it happens."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zmq

from edge.commands.evidence import Wanted, verify
from edge.commands.evidence_export import export
from edge.config import StationConfig, load
from edge.core.outcome import Outcome
from edge.dataset.open import open_dataset
from edge.record.evidence.reader import Evidence
from edge.station.build import deciding
from edge.wire.messages import LiveFrame, decode_live
from edge.wire.sockets import connect
from tests.support_line import assert_nothing_escaped, end, running_line

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

PARTS = 90
KEPT = """
folder = "{folder}/evidence"
format = "png"
sample_share = 0.3
free_gb = 0.0
live = "ipc://{folder}/live"
"""


def watch(endpoint: str, seconds: float) -> list[tuple[float, LiveFrame, bytes]]:
    """Return the live pictures that come, with their times in s."""
    seen = []
    until = time.monotonic() + seconds
    with zmq.Context[Any]() as context, connect(context, zmq.SUB, endpoint) as viewer:
        while time.monotonic() < until:
            if viewer.poll(100):
                seen.append((time.monotonic(), *decode_live(viewer.recv_multipart())))
    return seen


def test_every_reject_has_the_picture_by_which_it_was_rejected(tmp_path: Path) -> None:
    with running_line(PARTS, evidence=KEPT.format(folder=tmp_path)) as (line, eye):
        eye.wait_honoured(5, 40)
        live = watch(f"ipc://{tmp_path}/live", 3.0)
        seen = end(line)
        settings = load(line.folder / "station.toml", StationConfig)
    assert_nothing_escaped(seen)

    evidence = Evidence(tmp_path / "evidence")
    pictures = {picture.part: picture for picture in evidence.search(limit=10 * PARTS)}
    framed = {n for n, part in seen.outcomes.items() if part["outcome"] == "REJECT"}
    assert framed, "nothing was rejected"
    assert framed <= pictures.keys(), "a reject has no picture"
    passes = [picture for picture in pictures.values() if picture.outcome == "PASS"]
    assert 0 < len(passes) < len([part for part in seen.outcomes.values() if part["outcome"] == "PASS"])

    with deciding(settings) as decides:
        rules = decides.rules(settings.recipe)
        for number in sorted(framed):
            frame = cv2.imread(str(evidence.path(pictures[number])), cv2.IMREAD_GRAYSCALE)
            assert frame is not None
            verdict = decides.inspector.inspect(np.asarray(frame, np.uint8), rules)
            assert verdict.outcome is Outcome.REJECT
            found = [(f["cls"], f["score"], f["box"]) for f in evidence.sidecar(pictures[number])["findings"]]
            assert found == [(f.cls, round(f.score, 4), list(f.box)) for f in verdict.findings], "another part's frame"
    evidence.close()
    assert verify(tmp_path / "evidence").problems == ()

    done = export(tmp_path / "evidence", tmp_path / "set", Wanted(), None, unmarked=True)
    dataset = open_dataset(tmp_path / "set")
    assert sum(entry.defective for entry in dataset.entries) == done.defective == len(framed)

    assert len(live) >= 5
    assert len(live) <= 5 * 3.0 + 2, "at most five a second"
    assert all((told.width, told.height) == (640, 512) for _, told, _ in live)
    assert all(told.outcome == seen.outcomes[told.part]["outcome"] for _, told, _ in live)
