"""The golden gate against exports that are broken without a trace, on the network that the demo decides with."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.commands.processes import MODELS
from edge.engine.onnxruntime import OnnxRuntimeEngine
from edge.engine.openvino import OpenVinoEngine
from edge.errors import GoldenMismatch, ModelError
from edge.model.gate import golden_gate, measure
from edge.model.package import ModelPackage, load_package
from tests.support_broken import FAULTS, broken, few_candidates


@pytest.fixture(scope="module")
def package() -> ModelPackage:
    return load_package(MODELS / "sim-strip")


def test_the_sound_one_is_accepted_by_every_engine(package: ModelPackage) -> None:
    for engine in (OnnxRuntimeEngine(package, threads=1), OpenVinoEngine(package, threads=1)):
        with engine:
            report = golden_gate(package, engine)
        assert report.matched > 200
        assert report.heads_rel < 0.01 * report.heads_rel_limit
        assert report.unshown == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_one_is_refused(package: ModelPackage, tmp_path: Path, fault: str) -> None:
    """Even within the widest tolerance that any manifest may grant, so that an INT8 pair is no way in."""
    wrong = broken(package, fault, tmp_path / "broken")
    with OnnxRuntimeEngine(wrong, threads=1) as engine, pytest.raises(GoldenMismatch):
        measure(wrong, engine, wrong.manifest.cap("int8"))


def test_a_list_that_is_too_short_does_not_even_load(package: ModelPackage, tmp_path: Path) -> None:
    wrong = broken(package, few_candidates, tmp_path / "broken")
    for engine in (OnnxRuntimeEngine, OpenVinoEngine):
        with pytest.raises(ModelError, match="The output of model package"):
            engine(wrong)
