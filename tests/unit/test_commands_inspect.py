from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest

from edge.commands import inspect
from edge.config import (
    CameraConfig,
    GatewayLinkConfig,
    LimitsConfig,
    LineConfig,
    ModelConfig,
    RecipeConfig,
    RuleConfig,
    StationConfig,
    TelemetryConfig,
    TriggerConfig,
)
from edge.errors import CameraError
from edge.station.build import station
from edge.wire.messages import PartRecord, decode_published
from tests.support_models import blob_frame, tiny_package

WIDTH, HEIGHT = 128, 128
PATIENCE_PARTS = 500
"""A busy machine is too slow to trigger some of the parts, which then have no picture."""
VERDICTS = {
    "a-clean.png": ("PASS", "clean"),
    "b-blob.png": ("REJECT", "rule"),
    "c-other-size.png": ("NO_DECISION", "frame_corrupt"),
    "d-broken.png": ("NO_DECISION", "frame_corrupt"),
    "e-full.png": ("NO_DECISION", "saturated"),
    "f-clean.png": ("PASS", "clean"),
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_package(tmp_path_factory.mktemp("model")).path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    clean = np.full((HEIGHT, WIDTH), 90, np.uint8)
    cv2.imwrite(str(folder / "f-clean.png"), clean)  # files come in order of name, not of making
    cv2.imwrite(str(folder / "a-clean.png"), clean)
    cv2.imwrite(str(folder / "b-blob.png"), blob_frame((HEIGHT, WIDTH), 32, 64, 32))
    cv2.imwrite(str(folder / "c-other-size.png"), np.full((HEIGHT, WIDTH + 1), 90, np.uint8))
    (folder / "d-broken.png").write_bytes(b"\x89PNG and nothing more")
    cv2.imwrite(str(folder / "e-full.png"), np.full((HEIGHT, WIDTH), 255, np.uint8))
    (folder / "notes.txt").write_text("no picture", encoding="utf-8")
    return folder


@pytest.fixture
def make_config(package: Path, tmp_path: Path) -> Callable[..., StationConfig]:
    def make(source: Path, min_area_px: float = 0.0) -> StationConfig:
        return StationConfig(
            camera=CameraConfig(kind="folder", source=str(source), width=WIDTH, height=HEIGHT),
            trigger=TriggerConfig(kind="timer", period_ms=30),
            model=ModelConfig(package=str(package), engine="onnxruntime"),
            recipe=RecipeConfig(
                rules=(RuleConfig(name="small blob", classes=("scratch",), min_score=0.6, min_area_px=min_area_px),)
            ),
            line=LineConfig(trigger_to_gate_mm=50_000),
            limits=LimitsConfig(ceiling_ms=10_000, hang_ms=20_000, frame_timeout_ms=1000),
            gateway=GatewayLinkConfig(endpoint=None),
            telemetry=TelemetryConfig(endpoint=f"ipc://{tmp_path}/telemetry"),
        )

    return make


def test_each_picture_has_a_verdict_in_order_of_names(
    pictures: Path, make_config: Callable[..., StationConfig]
) -> None:
    # An area that no box of the full picture reaches by itself, so that its list is saturated and no rule fires.
    config = make_config(pictures, min_area_px=WIDTH * HEIGHT)
    records = list(inspect.inspect_folder(pictures, config))
    assert [record.name for record in records] == list(VERDICTS)
    by_name = {record.name: (record.verdict.outcome.value, record.verdict.cause) for record in records}
    assert by_name == {**VERDICTS, "b-blob.png": ("PASS", "clean")}


def test_a_finding_carries_class_score_and_box_in_px_of_the_frame(
    pictures: Path, make_config: Callable[..., StationConfig]
) -> None:
    record = list(inspect.inspect_folder(pictures, make_config(pictures)))[1]
    values = record.as_dict()
    assert (values["outcome"], values["rule"]) == ("REJECT", "small blob")
    finding = values["findings"][0]
    assert finding["class"] == "scratch"
    assert 0.6 <= finding["score"] <= 1
    x1, y1, x2, y2 = finding["box"]
    assert 0 <= x1 < 48 < x2 <= WIDTH
    assert 0 <= y1 < 80 < y2 <= HEIGHT


def test_the_summary_counts_every_picture_and_names_what_decided(
    pictures: Path, make_config: Callable[..., StationConfig]
) -> None:
    config = make_config(pictures)
    result = json.loads(json.dumps(inspect.summary(inspect.collect(inspect.inspect_folder(pictures, config)), config)))
    assert result["images"] == result["pass"] + result["reject"] + result["no_decision"] == len(VERDICTS)
    assert len(result["parts"]) == len(VERDICTS)
    assert (result["engine"], result["precision"], result["recipe"]) == ("onnxruntime", "fp32", "default")
    assert result["model"].startswith("tiny@1.0.0+")


def shown(outcomes: Path) -> dict[str, PartRecord]:
    """Return the records of parts that had a picture, by its name."""
    records = [decode_published(line) for line in outcomes.read_bytes().rpartition(b"\n")[0].splitlines()]
    return {record.tag: record for record in records if isinstance(record, PartRecord) and record.tag}


def test_the_station_says_the_same_of_the_same_pictures(
    pictures: Path, make_config: Callable[..., StationConfig], tmp_path: Path
) -> None:
    config = make_config(pictures)
    offline = {record.name: record.as_dict() for record in inspect.inspect_folder(pictures, config)}
    outcomes = tmp_path / "outcomes"
    with station(config, outcomes) as running:
        for parts in range(len(offline), PATIENCE_PARTS):
            running.run(Event(), parts)
            if len(online := shown(outcomes)) == len(offline):
                break
    assert list(online) == list(offline)
    for name, record in online.items():
        expected = offline[name]
        assert (record.outcome, record.cause, record.rule) == tuple(expected[k] for k in ("outcome", "cause", "rule"))
        assert [(f.cls, f.score) for f in record.findings] == [(f["class"], f["score"]) for f in expected["findings"]]


def test_a_line_names_outcome_picture_and_findings(pictures: Path, make_config: Callable[..., StationConfig]) -> None:
    lines = [inspect.line(record) for record in inspect.inspect_folder(pictures, make_config(pictures))]
    assert lines[0] == "PASS        a-clean.png  clean"
    assert lines[1].startswith("REJECT      b-blob.png  rule 'small blob': scratch 0.")


def test_an_empty_folder_is_refused(tmp_path: Path, make_config: Callable[..., StationConfig]) -> None:
    with pytest.raises(CameraError, match="holds no picture"):
        list(inspect.inspect_folder(tmp_path, make_config(tmp_path)))
