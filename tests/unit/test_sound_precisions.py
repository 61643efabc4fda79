"""The golden gate on the demo's network in FP16, bf16 and INT8: sound ones pass, and INT8 gone wrong does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.commands.processes import MODELS
from edge.engine.onnxruntime import OnnxRuntimeEngine
from edge.engine.openvino import OpenVinoEngine
from edge.engine.select import Choice, build, obstacle
from edge.errors import GoldenMismatch
from edge.model.derive import child
from edge.model.gate import golden_gate
from edge.model.golden import golden_cases
from edge.model.package import MODEL_FILE, Manifest, ModelPackage, Precision, load_package
from edge.model.quantizing.fp16 import to_float16
from edge.model.quantizing.graph import points, quantized
from edge.model.quantizing.layers import Network
from edge.model.quantizing.ranges import spreads
from tests.support_broken import Fault, broken, int8_range_too_small, int8_weights_doubled

ENGINES = ("openvino", "onnxruntime")


@pytest.fixture(scope="module")
def package() -> ModelPackage:
    return load_package(MODELS / "sim-strip")


def made(parent: ModelPackage, folder: Path, graph: bytes, precision: Precision) -> ModelPackage:
    """Make a package of another precision, both engines qualified, as ``edge model quantize`` does."""
    package, tried = child(parent, folder, graph, precision, [(e, precision) for e in ENGINES], lambda *_: "card")
    assert [pair.problem for pair in tried] == ["", ""]
    return package


def in_int8(package: ModelPackage) -> bytes:
    """Return the graph in INT8 but for its first and last layers, which cost the most."""
    graph = package.read(MODEL_FILE)
    layers = Network(graph).layers[8:-9]
    seen = spreads(graph, list(points(Network(graph), layers).tensors), [c.frame for c in golden_cases(package)], quiet)
    ranges = {name: spread.largest for name, spread in seen.items()}
    return quantized(graph, layers, ranges, [name for name, spread in seen.items() if not spread.signed])


def quiet(*_: object) -> None:
    """Show no progress."""


@pytest.fixture(scope="module")
def int8(package: ModelPackage, tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return made(package, tmp_path_factory.mktemp("made") / "int8", in_int8(package), "int8")


def check(package: ModelPackage, precision: Precision, least: float) -> None:
    """Every engine passes, by its own name, and strays enough to show that it did compute in that precision."""
    for name in ENGINES:
        with build(package, Choice(name, precision, "tested"), threads=1) as engine:
            assert (engine.name, engine.precision) == (name, precision)
            report = golden_gate(package, engine)
        assert report.matched > 50
        assert least < report.heads_rel < report.heads_rel_limit <= package.manifest.cap(precision).heads_rel


def test_int8_is_accepted(int8: ModelPackage, package: ModelPackage) -> None:
    check(int8, "int8", 0.01)
    assert (int8.manifest.precision, int8.manifest.parent) == ("int8", package.identity)


def test_openvino_tells_which_convolutions_run_in_8_bits(int8: ModelPackage, package: ModelPackage) -> None:
    with OpenVinoEngine(package, "fp32", threads=1) as engine:
        (whole,) = engine.convolutions().items()
    assert whole[0] == "f32"
    with OpenVinoEngine(int8, "int8", threads=1) as engine:
        found = engine.convolutions()
    assert sum(found.values()) == whole[1]
    assert sum(count for precision, count in found.items() if precision in ("u8", "i8")) > whole[1] / 2


def test_fp16_is_accepted(package: ModelPackage, tmp_path: Path) -> None:
    check(made(package, tmp_path / "fp16", to_float16(package.read(MODEL_FILE)), "fp16"), "fp16", 1e-4)


def test_bf16_is_accepted(package: ModelPackage) -> None:
    why_not = obstacle(with_bf16(package), "openvino", "bf16")
    if why_not is not None:
        pytest.skip(why_not)
    with OpenVinoEngine(package, "bf16", threads=1) as engine:
        report = golden_gate(with_bf16(package), engine)
    assert report.matched > 50
    assert 1e-3 < report.heads_rel < report.heads_rel_limit


def with_bf16(package: ModelPackage) -> ModelPackage:
    """Return the package with bf16 qualified at its cap."""
    pair = {"engine": "openvino", "precision": "bf16", **package.manifest.cap("bf16").model_dump()}
    fields = {**package.manifest.model_dump(), "qualified": [*package.manifest.qualified, pair]}
    return ModelPackage(package.path, Manifest(**fields))


@pytest.mark.parametrize("fault", [int8_weights_doubled, int8_range_too_small])
@pytest.mark.parametrize("name", ENGINES)
def test_int8_gone_wrong_is_refused(int8: ModelPackage, tmp_path: Path, fault: Fault, name: str) -> None:
    wrong = broken(int8, fault, tmp_path / "broken")
    with build(wrong, Choice(name, "int8", "tested"), threads=1) as engine, pytest.raises(GoldenMismatch):
        golden_gate(wrong, engine)


def test_an_int8_graph_does_not_pass_for_fp32(package: ModelPackage, tmp_path: Path) -> None:
    def exchanged(model: object) -> None:
        model.ParseFromString(in_int8(package))  # type: ignore[attr-defined]

    wrong = broken(package, exchanged, tmp_path / "broken")
    with OnnxRuntimeEngine(wrong, threads=1) as engine, pytest.raises(GoldenMismatch):
        golden_gate(wrong, engine)
