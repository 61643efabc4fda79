from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.commands.processes import MODELS
from edge.engine.base import Engine
from edge.engine.onnxruntime import OnnxRuntimeEngine
from edge.engine.openvino import OpenVinoEngine
from edge.errors import GoldenMismatch, ModelError
from edge.model.gate import MAX_FLIPPED, GateReport, _confused, golden_gate, measure
from edge.model.golden import golden_cases
from edge.model.package import ModelPackage, Score, load_package
from edge.model.prepare import prepare
from tests.support_families import made_up_export, made_up_spec
from tests.support_models import CLASSES, tiny_export, tiny_package, tiny_spec


class Recited(Engine):
    """Gives back the golden outputs, as ``candidates`` and ``heads`` alter them."""

    name, precision = "onnxruntime", "fp32"

    def __init__(
        self,
        package: ModelPackage,
        candidates: Callable[[NDArray[np.float32]], None] = lambda _: None,
        heads: Callable[[NDArray[np.float32]], None] = lambda _: None,
    ) -> None:
        super().__init__(package.manifest.input.shape)
        self._candidates: dict[bytes, NDArray[np.float32]] = {}
        self._raw: dict[bytes, NDArray[np.float32]] = {}
        for case in golden_cases(package):
            name = case.frame.tobytes()
            candidates(case.expected)
            self._candidates[name] = case.expected
            self._raw[name] = case.heads
            heads(case.heads)

    def _run(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._candidates[image.tobytes()]

    def _heads(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._raw[image.tobytes()]

    def _close(self) -> None:
        pass


def due(package: ModelPackage, output: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Say which candidates must be found."""
    least: float = max(package.manifest.score.candidate_floor, float(output[:, 4].min()))
    return output[:, 4] >= least + package.manifest.qualified[0].score_abs


def relabelled(package: ModelPackage, flips: int, only: int | None = None) -> Callable[[NDArray[np.float32]], None]:
    """Return what puts the first ``flips`` candidates that must be found, of all cases, under another class."""
    left = flips

    def change(output: NDArray[np.float32]) -> None:
        nonlocal left
        for row in output[due(package, output)]:
            if left and only in (None, int(row[5])):
                output[np.all(output == row, axis=1), 5] = (row[5] + 1) % len(package.manifest.classes)
                left -= 1

    return change


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return tiny_package(tmp_path_factory.mktemp("model"), color="bgr8")


@pytest.fixture(scope="module")
def sound(package: ModelPackage) -> GateReport:
    with OnnxRuntimeEngine(package) as engine:
        return golden_gate(package, engine)


def test_few_flipped_classes_pass_and_more_do_not(package: ModelPackage, sound: GateReport) -> None:
    allowed = int(MAX_FLIPPED * sound.matched)
    assert allowed >= 1
    assert golden_gate(package, Recited(package, relabelled(package, allowed))).flipped == allowed
    with pytest.raises(GoldenMismatch, match=f"{allowed + 1} of {sound.matched} candidates are of another class"):
        golden_gate(package, Recited(package, relabelled(package, allowed + 1)))


def test_a_rare_class_is_not_confused_unnoticed() -> None:
    """Two of three are few of all candidates, and most of their class; one of them may be a tie."""
    package = load_package(MODELS / "sim-strip")
    expected = np.concatenate([case.expected[due(package, case.expected)] for case in golden_cases(package)])
    counts = np.bincount(expected[:, 5].astype(int))
    rare, most = int(counts.argmin()), int(counts.min()) // 2
    assert 2 <= counts[rare] < MAX_FLIPPED * len(expected)
    assert golden_gate(package, Recited(package, relabelled(package, most, rare))).flipped == most
    with pytest.raises(
        GoldenMismatch, match=f"{most + 1} of {counts[rare]} candidates of {package.manifest.classes[rare]}"
    ):
        golden_gate(package, Recited(package, relabelled(package, most + 1, rare)))


def test_the_only_candidate_of_a_class_is_not_confused(package: ModelPackage) -> None:
    """One in a hundred candidates, and all that the golden frames show of its class."""
    lone = Counter({CLASSES.index("pit"): 1})
    assert _confused(package.manifest, Counter({0: 99}) + lone, lone) == ""
    assert "1 of 1 candidates of pit" in _confused(package.manifest, Counter({0: 99}), lone)


@pytest.mark.parametrize("label", [len(CLASSES), -1, 0.5])
def test_a_class_that_does_not_exist_is_no_tie(package: ModelPackage, label: float) -> None:
    done: list[int] = []

    def odd(output: NDArray[np.float32]) -> None:
        for row in output[due(package, output)][: 1 - len(done)]:
            output[np.all(output == row, axis=1), 5] = label
            done.append(1)

    with pytest.raises(GoldenMismatch, match=rf"class {label:g} is none of 0 to {len(CLASSES) - 1}"):
        golden_gate(package, Recited(package, odd))
    assert done == [1]


@pytest.mark.parametrize("column", [0, 5])
def test_boxes_and_classes_are_compared_where_nothing_reaches_the_floor(package: ModelPackage, column: int) -> None:
    """No manifest can take them out of the comparison by its floor."""
    score = Score(recommended=1.0, candidate_floor=1.0)
    silent = ModelPackage(package.path, package.manifest.model_copy(update={"score": score}))

    def wrong(output: NDArray[np.float32]) -> None:
        output[:, column] = output[:, column] + 30 if column < 4 else (output[:, column] + 1) % len(CLASSES)

    assert golden_gate(silent, Recited(silent)).matched > 0
    with pytest.raises(GoldenMismatch):
        golden_gate(silent, Recited(silent, wrong))


def test_heads_at_their_tolerance(package: ModelPackage, sound: GateReport) -> None:
    """Stretched by a share of the answer, every column strays by that share."""
    answers = np.stack([case.heads for case in golden_cases(package)])
    rest = answers.mean(axis=0)

    def stretched(share: float) -> Recited:
        def change(heads: NDArray[np.float32]) -> None:
            heads += (heads - rest) * np.float32(share)

        return Recited(package, heads=change)

    limit = sound.heads_rel_limit
    assert golden_gate(package, stretched(0.9 * limit)).heads_rel == pytest.approx(0.9 * limit, rel=0.05)
    with pytest.raises(GoldenMismatch, match=r"of the raw heads, level \d, is off by"):
        golden_gate(package, stretched(1.1 * limit))


def test_a_fault_that_candidates_do_not_show_is_found_in_the_heads(package: ModelPackage) -> None:
    def silent(heads: NDArray[np.float32]) -> None:
        heads[-4:, 6] = 0.0

    with pytest.raises(GoldenMismatch, match=r"column 6 \(class pit\) of the raw heads, level 2"):
        golden_gate(package, Recited(package, heads=silent))


def test_a_wider_limit_is_for_measuring_alone(package: ModelPackage) -> None:
    def off(heads: NDArray[np.float32]) -> None:
        heads[:, 0] *= 1.02

    engine = Recited(package, heads=off)
    report = measure(package, engine, package.manifest.cap("int8"))
    assert 0.002 < report.heads_rel < report.heads_rel_limit
    with pytest.raises(GoldenMismatch):
        golden_gate(package, engine)


def test_a_pair_that_is_not_qualified_is_refused(package: ModelPackage) -> None:
    engine = Recited(package)
    engine.precision = "fp64"
    with pytest.raises(ModelError, match="not qualified for onnxruntime fp64"):
        golden_gate(package, engine)


def test_the_report_says_what_no_frame_shows(sound: GateReport) -> None:
    assert list(sound.shown) == list(CLASSES)
    assert all(min(counts) > 0 for counts in sound.shown.values())
    assert sound.unshown == []
    hidden = GateReport(**{**vars(sound), "shown": {"pit": (0, 3), "stain": (2, 0), "dent": (0, 0)}})
    assert hidden.unshown == ["pit above", "stain below", "dent above", "dent below"]


@pytest.mark.parametrize(
    "fault",
    [{"swap_channels": True}, {"class_order": (1, 0, 2)}, {"class_order": (2, 1, 0)}],
    ids=["channels swapped", "classes 0 and 1 swapped", "classes 0 and 2 swapped"],
)
def test_an_export_with_another_order_is_refused(
    package: ModelPackage, tmp_path: Path, fault: dict[str, object]
) -> None:
    """Same name, shapes and classes; ``tests/unit/test_broken_exports.py`` has many more, on a real network."""
    export = tiny_export(tmp_path / "broken.onnx", **fault)  # type: ignore[arg-type]
    broken = prepare(export, tmp_path / "broken", tiny_spec(color="bgr8"))
    with (
        OnnxRuntimeEngine(broken) as engine,
        pytest.raises(GoldenMismatch, match="does not reproduce the golden outputs"),
    ):
        golden_gate(package, engine)


@pytest.mark.parametrize("family", ["yolov5", "yolov8", "yolov10"])
def test_every_family_is_held_to_its_outputs(tmp_path: Path, family: str) -> None:
    """Anchors as rows, as columns, and a list that the network ranks by itself; another training of it is refused."""
    spec = made_up_spec(family=family)
    made = prepare(made_up_export(tmp_path / "sound.onnx", family), tmp_path / "sound", spec)
    other = prepare(made_up_export(tmp_path / "other.onnx", family, seed=2), tmp_path / "other", spec)
    for engine in (OnnxRuntimeEngine(made, threads=1), OpenVinoEngine(made, threads=1)):
        with engine:
            assert golden_gate(made, engine).matched > 0
            assert engine.heads(engine.input).shape == (made.manifest.heads.rows, made.manifest.heads.columns)
    with OnnxRuntimeEngine(other, threads=1) as wrong, pytest.raises(GoldenMismatch):
        golden_gate(made, wrong)
