"""The claims of `edge bench overhead` that hold on any machine, however busy; its times are for people to read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.commands import bench, check
from edge.model.prepare import FP32_PAIRS
from edge.record import qualified
from tests.support_models import tiny_package

PARTS = 60
LARGE_BYTES = 64 * 1024


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bench.Overhead:
    monkeypatch.setenv("EDGE_STATE", str(tmp_path / "state"))
    only = tuple(pair for pair in FP32_PAIRS if pair.engine == "onnxruntime")
    package = tiny_package(tmp_path, size=320, qualified=only)
    config = bench.default_config()
    model = config.model.model_copy(update={"package": str(package.path)})
    return bench.overhead(config.model_copy(update={"model": model}), PARTS)


@pytest.mark.timeout(300)
def test_the_station_costs_little_beyond_its_engine(measured: bench.Overhead, tmp_path: Path) -> None:
    values = json.loads(json.dumps(measured.as_dict()))
    assert values["frame"] == "1280x1024 mono8"
    assert 0 < values["overhead_ms"]["p50"] <= values["overhead_ms"]["p99"]
    assert values["null"]["engine_ms"] >= 5
    engine = values["engines"]["onnxruntime"]
    assert engine["precision"] == "fp32"
    assert engine["ratio"] == pytest.approx(engine["end_to_end_ms"] / engine["bare_ms"], rel=0.01)
    assert engine["bare_ms"] < engine["end_to_end_ms"]
    assert values["ready_s"] > 0
    # No block of this size is allocated for a frame: not one of 1.3 MB, not the network's input of 100 KB.
    assert 0 < values["allocated_bytes_max"] < LARGE_BYTES
    assert abs(values["rss_mb"]["end"] - values["rss_mb"]["start"]) < 4
    assert "onnxruntime fp32" in bench.render(measured)

    if not engine["steady"]:
        pytest.skip("this machine is too busy for times that may be kept")
    kept = json.loads(Path(measured.qualified_file).read_text(encoding="utf-8"))
    assert Path(measured.qualified_file) == qualified.state_file()
    (name,) = kept
    assert name.endswith("onnxruntime fp32 x1 1280x1024 mono8")
    assert kept[name]["mean_ms"] == engine["mean_ms"]

    path = tmp_path / "station.toml"
    path.write_text(
        f'camera = {{ width = 1280, height = 1024 }}\nmodel = {{ package = "{tmp_path}/tiny" }}\n'
        'recipe = { rules = [{ name = "any" }] }\n',
        encoding="utf-8",
    )
    shown = {found.name: found.value for found in check.check(path).checks}
    assert shown["mean inspection time"] == f"{engine['mean_ms']:.1f} ms"
