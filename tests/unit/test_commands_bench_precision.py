"""`edge bench precision`: the targets at their bounds, and engines measured in processes of their own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from edge.commands import bench_precision as bench
from edge.commands.bench_cli import app
from edge.engine.select import Choice, build
from edge.errors import EngineError, GoldenMismatch, ModelError
from edge.model.package import MANIFEST_FILE, read_manifest, write_manifest
from tests.support_broken import broken, replace, value
from tests.support_models import tiny_package


def timing(precision: str, engine_ms: float, answer_ms: float = 1.0, engine: str = "openvino") -> bench.Timing:
    return bench.Timing("tiny@1", engine, precision, engine_ms, 9.0, answer_ms, 9.0, 100, {})


def report(*timings: bench.Timing) -> bench.Precision:
    return bench.Precision("200 x 200 px", 2, timings)


@pytest.mark.parametrize(
    ("int8_ms", "misses"),
    [(10.0, ()), (10.01, ("INT8 is 1.40 times as fast as FP32, not 1.4",)), (5.0, ())],
)
def test_the_ratio_is_of_the_engines_calls(int8_ms: float, misses: tuple[str, ...]) -> None:
    found = report(timing("fp32", 14.0), timing("int8", int8_ms))
    assert found.misses == misses
    assert found.holds == (not misses)


def test_the_answers_have_a_limit_each() -> None:
    assert report(timing("fp32", 30, 20.0), timing("int8", 10, 10.0), timing("bf16", 30, 30.0)).holds
    missed = report(timing("fp32", 30, 20.1), timing("int8", 10, 10.1)).misses
    assert missed == ("int8 answers in 10.10 ms, not 10", "fp32 answers in 20.10 ms, not 20")
    assert report(timing("fp32", 30, 30.0, "onnxruntime")).holds, "the targets are OpenVINO's"


def test_each_engine_is_compared_with_its_own_fp32() -> None:
    found = report(
        timing("bf16", 5), timing("fp32", 8), timing("int8", 4, engine="onnxruntime"), timing("int8", 2)
    ).speed_up
    assert found == {"openvino bf16": 1.6, "openvino int8": 4.0}
    text = bench.render(report(timing("fp32", 8), timing("int8", 4)))
    assert "2.00 x" in text


def test_figures_are_medians_and_99th_percentiles() -> None:
    rows = np.stack([np.arange(1.0, 102.0), np.arange(1.0, 102.0) * 2], axis=1)
    found = bench._timing(bench.Pair("p", "openvino", "int8"), "tiny@1", {"u8": 3, "f32": 1}, rows)
    assert found == bench.Timing("tiny@1", "openvino", "int8", 51.0, 100.0, 102.0, 200.0, 101, {"u8": 3, "f32": 1})
    assert "openvino int8: convolutions that ran: 1 f32, 3 u8" in bench.render(report(found))


def test_a_block_times_the_engine_inside_the_answer(tmp_path: Path) -> None:
    package = tiny_package(tmp_path)
    with build(package, Choice("onnxruntime", "fp32", "tested"), threads=1) as engine:
        rows = bench._block(package, engine, [np.zeros((200, 200), np.uint8)] * 2, 5)
    assert rows.shape == (5, 2)
    assert (rows[:, 0] > 0).all()
    assert (rows[:, 1] > rows[:, 0]).all()


@pytest.mark.process
def test_every_pair_is_measured_in_its_process(tmp_path: Path) -> None:
    package = tiny_package(tmp_path)
    wanted = bench.pairs([package.path])
    assert ("onnxruntime", "fp32") in {(pair.engine, pair.precision) for pair in wanted}
    found = CliRunner().invoke(app, ["precision", str(package.path), "--blocks", "2", "--threads", "1", "--json"])
    printed = json.loads(found.stdout)
    assert [(t["engine"], t["precision"]) for t in printed["timings"]] == [(p.engine, p.precision) for p in wanted]
    assert all(
        t["frames"] == 2 * bench.FRAMES and 0 < t["engine_p50_ms"] < t["answer_p50_ms"] for t in printed["timings"]
    )
    assert found.exit_code == (0 if printed["holds"] else 1)


@pytest.mark.process
def test_an_engine_that_must_not_decide_is_not_measured(tmp_path: Path) -> None:
    package = broken(tiny_package(tmp_path), doubled, tmp_path / "broken")
    with pytest.raises(GoldenMismatch):
        bench.measure(bench.pairs([package.path])[:1], 200, 200, 1, blocks=2)


@pytest.mark.process
def test_a_process_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_serve", dying)
    with pytest.raises(EngineError, match="process died"):
        bench.measure([bench.Pair(str(tmp_path), "onnxruntime", "fp32")], 200, 200, 1, blocks=2)


def doubled(model: onnx.ModelProto) -> None:
    """Double the weights of a level."""
    replace(model, "w16", value(model, "w16") * 2)


def dying(*_: object) -> None:
    """Take the place of a worker that is killed."""


def test_a_package_that_nothing_here_runs_is_refused(tmp_path: Path) -> None:
    package = tiny_package(tmp_path)
    manifest = read_manifest(package.path / MANIFEST_FILE)
    pair = manifest.qualified[0].model_copy(update={"engine": "tensorflow"})
    write_manifest(package.path / MANIFEST_FILE, manifest.model_copy(update={"qualified": (pair,)}))
    with pytest.raises(ModelError, match=r"No qualified engine .*tensorflow fp32: this software has no such engine"):
        bench.pairs([package.path])
