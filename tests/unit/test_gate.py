from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.engine.base import Engine
from edge.engine.onnxruntime import OnnxRuntimeEngine
from edge.errors import GoldenMismatch
from edge.model.gate import MAX_FLIPPED, compare, golden_gate
from edge.model.golden import golden_cases
from edge.model.package import ModelPackage, Qualified
from edge.model.prepare import prepare
from tests.support_models import tiny_export, tiny_package, tiny_spec

LIMIT = Qualified(engine="onnxruntime", precision="fp32", score_abs=0.02, box_px=1.0)
FLOOR = 0.1


def table(*rows: tuple[float, float, float, float, float, float]) -> NDArray[np.float32]:
    """Candidates, filled up to five with background."""
    return np.array([*rows, *[(0, 0, 1, 1, 0.01, 0)] * (5 - len(rows))], np.float32)


A = (0.0, 0.0, 10.0, 10.0, 0.9, 0.0)
B = (20.0, 20.0, 40.0, 40.0, 0.9, 1.0)
C = (5.0, 5.0, 25.0, 25.0, 0.5, 2.0)


def moved(row: tuple[float, ...], **change: float) -> tuple[float, float, float, float, float, float]:
    fields = dict(zip(("x1", "y1", "x2", "y2", "score", "cls"), row, strict=True))
    for key, value in change.items():
        fields[key] += value
    x1, y1, x2, y2, score, cls = fields.values()
    return x1, y1, x2, y2, score, cls


def test_the_same_list_matches() -> None:
    result = compare(table(A, B, C), table(A, B, C), FLOOR, LIMIT)
    assert (result.matched, result.score_abs, result.box_px, result.problem) == (3, 0.0, 0.0, "")


def test_order_does_not_matter() -> None:
    assert compare(table(A, B, C), table(B, C, A), FLOOR, LIMIT).problem == ""


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (table(moved(A, x2=0.99, score=-0.019), B, C), ""),
        (table(moved(A, x2=1.01), B, C), "expected and missing: class 0"),
        (table(moved(A, score=-0.021), B, C), "a score is off by 0.0210"),
        (table(A, A, C), "expected and missing: class 1"),
        (table(A, B), "a score is off"),
        (table(A, B, C, (60, 60, 70, 70, 0.3, 0)), "a score is off"),
        (table(A, B, moved(C, score=float("nan"))), "not finite"),
        (table(A, B, C)[:4], "not finite, or"),
    ],
)
def test_tolerances_at_their_boundaries(found: NDArray[np.float32], problem: str) -> None:
    result = compare(table(A, B, C), found, FLOOR, LIMIT)
    assert result.problem.startswith(problem) or problem in result.problem
    assert bool(result.problem) == bool(problem)


def test_a_candidate_under_another_class_is_flipped() -> None:
    result = compare(table(A, B, C), table(moved(A, cls=1), B, C), FLOOR, LIMIT)
    assert (result.matched, result.flipped, result.problem) == (2, 1, "")


class Relabelled(Engine):
    """Gives back the golden outputs, the first ``flips`` due candidates of all under another class."""

    name, precision = "onnxruntime", "fp32"

    def __init__(self, package: ModelPackage, flips: int) -> None:
        super().__init__(package.manifest.input.shape)
        self._outputs = {case.frame.tobytes(): case.expected for case in golden_cases(package)}
        for output in self._outputs.values():
            apart = [row for row in output if row[4] > max(0.1, output[:, 4].min() + 0.01)]
            for row in apart[:flips]:
                row[5] = (row[5] + 1) % 3
            flips -= min(flips, len(apart))

    def _run(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._outputs[image.tobytes()]

    def _close(self) -> None:
        pass


def test_few_flipped_classes_pass_and_more_do_not(package: ModelPackage) -> None:
    due = golden_gate(package, Relabelled(package, 0)).matched
    allowed = int(MAX_FLIPPED * due)
    assert allowed >= 1
    assert golden_gate(package, Relabelled(package, allowed)).flipped == allowed
    with pytest.raises(GoldenMismatch, match=f"{allowed + 1} of {due} candidates are of another class"):
        golden_gate(package, Relabelled(package, allowed + 1))


def test_a_candidate_too_many_is_found_backwards() -> None:
    """Where expected holds a pair of twins, one of them replaced leaves each expected one a partner."""
    result = compare(table(A, A, C), table(A, moved(A, x1=30, x2=30), C), FLOOR, LIMIT)
    assert result.problem.startswith("found and not expected")


@pytest.mark.parametrize(("score", "must_match"), [(FLOOR + 0.019, False), (FLOOR + 0.021, True)])
def test_close_to_the_floor_a_partner_is_not_needed(score: float, must_match: bool) -> None:
    expected = table(A, (50, 50, 60, 60, score, 1))
    found = table(A, (80, 80, 90, 90, score, 2))
    assert bool(compare(expected, found, FLOOR, LIMIT).problem) == must_match


def test_at_the_end_of_a_full_list_a_partner_is_not_needed() -> None:
    rows = [(20.0 * i, 0.0, 20.0 * i + 9, 9.0, 0.9 - 0.1 * i, 0.0) for i in range(4)]
    expected = table(*rows, (100, 0, 109, 9, 0.505, 0))
    found = table(*rows, (200, 0, 209, 9, 0.5, 0))
    assert compare(expected, found, FLOOR, LIMIT).problem == ""


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.99))
def test_noise_within_the_tolerance_and_any_order_pass(seed: int, share: float) -> None:
    random = np.random.RandomState(seed)
    expected = np.concatenate(
        [random.uniform(0, 64, (20, 4)), random.uniform(0, 1, (20, 1)), random.randint(0, 3, (20, 1))], axis=1
    )
    found = expected.copy()
    found[:, :4] += random.uniform(-share, share, (20, 4)) * LIMIT.box_px
    found[:, 4] += random.uniform(-share, share, 20) * LIMIT.score_abs
    random.shuffle(found)
    assert compare(expected.astype(np.float32), found.astype(np.float32), FLOOR, LIMIT).problem == ""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return tiny_package(tmp_path_factory.mktemp("model"), color="bgr8")


def test_golden_frames_show_every_class(package: ModelPackage) -> None:
    seen = np.concatenate([case.expected for case in golden_cases(package)])
    assert set(seen[seen[:, 4] > 0.5, 5].tolist()) == {0.0, 1.0, 2.0}


@pytest.mark.parametrize(
    "fault",
    [{"swap_channels": True}, {"class_order": (1, 0, 2)}, {"class_order": (2, 1, 0)}],
    ids=["channels swapped", "classes 0 and 1 swapped", "classes 0 and 2 swapped"],
)
def test_a_quietly_broken_export_is_refused(package: ModelPackage, tmp_path: Path, fault: dict[str, object]) -> None:
    """Same name, shapes and classes; only what the network computes is wrong."""
    export = tiny_export(tmp_path / "broken.onnx", **fault)  # type: ignore[arg-type]
    broken = prepare(export, tmp_path / "broken", tiny_spec(color="bgr8"))
    with (
        OnnxRuntimeEngine(broken) as engine,
        pytest.raises(GoldenMismatch, match="does not reproduce the golden outputs"),
    ):
        golden_gate(package, engine)
    with OnnxRuntimeEngine(package) as engine:
        assert golden_gate(package, engine).matched > 20
