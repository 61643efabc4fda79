"""`edge model quantize` and `qualify`: from a package in FP32 to one in INT8, FP16 or with one more pair."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from typer.testing import CliRunner

from edge.engine.openvino import supported_precisions
from edge.engine.select import Choice, build
from edge.errors import DatasetError, ModelError
from edge.model.cli import app
from edge.model.derive import child, with_pair
from edge.model.gate import golden_gate
from edge.model.golden import GOLDEN_FILE
from edge.model.package import MODEL_FILE, Input, ModelPackage, load_package
from edge.model.prepare import prepare
from edge.model.quantizing import ranges
from edge.model.quantizing.effect import lost
from edge.model.quantizing.frames import CALIBRATED, FEWEST, MEASURED, staged_frames
from edge.model.quantizing.graph import SIGNED_LEVELS, UNSIGNED_LEVELS
from edge.model.quantizing.make import Result, precision_of, quantize
from edge.model.quantizing.sensitive import SENSITIVE
from tests.support_broken import replace, value
from tests.support_dataset import HEIGHT, WIDTH, Objects, write_folders, write_voc
from tests.support_models import blob_frame, tiny_export, tiny_package, tiny_spec

SIZE = 64


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return tiny_package(tmp_path_factory.mktemp("parent"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Squares on plain ground, two sizes, here and there."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(FEWEST):
        side = 16 if number % 2 else 32
        x, y = side * (number % (SIZE // side)), side * (number // 2 % (SIZE // side))
        write(folder, number, blob_frame((SIZE, SIZE), x, y, side, ground=60 + 4 * number))
    return folder


@pytest.fixture(scope="module")
def int8(parent: ModelPackage, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return quantize(parent, pictures, "int8", tmp_path_factory.mktemp("made") / "int8")


@pytest.fixture(scope="module")
def fp16(parent: ModelPackage, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return quantize(parent, pictures, "fp16", tmp_path_factory.mktemp("made") / "fp16")


def write(folder: Path, number: int, picture: NDArray[np.uint8]) -> None:
    assert cv2.imwrite(str(folder / f"{number:03}.png"), picture)


def check_gate(package: ModelPackage) -> None:
    for pair in package.manifest.qualified:
        with build(package, Choice(pair.engine, pair.precision, "tested"), threads=1) as engine:
            golden_gate(package, engine)


# -- the whole --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_a_package_of_its_own_is_held_to_the_parents_outputs(
    precision: str, parent: ModelPackage, request: pytest.FixtureRequest
) -> None:
    result: Result = request.getfixturevalue(precision)
    made = load_package(result.package.path)
    assert (made.manifest.precision, made.manifest.parent) == (precision, parent.identity)
    assert made.manifest.version == f"1.0.0-{precision}"
    assert made.identity != parent.identity
    assert made.read(GOLDEN_FILE) == parent.read(GOLDEN_FILE)
    assert {(q.engine, q.precision) for q in made.manifest.qualified} == {
        ("onnxruntime", precision),
        ("openvino", precision),
    }
    check_gate(made)
    assert 0 < result.quantization.lost < 0.1
    assert len(made.read(MODEL_FILE)) < len(parent.read(MODEL_FILE))
    card = (made.path / "README.md").read_text()
    assert parent.identity in card
    assert f"{result.quantization.lost:.1%}" in card


def test_ranges_are_chosen_by_what_they_lose(
    parent: ModelPackage, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ranges.METHODS, "clipping", lambda spread, _: spread.largest / 2)
    done = quantize(parent, pictures, "int8", tmp_path / "made").quantization
    assert set(done.methods) == set(ranges.METHODS)
    assert done.methods["clipping"] > done.methods[done.method] == min(done.methods.values())
    assert done.measured + done.calibrated > FEWEST, "the golden frames are calibrated with, too"


def test_a_sensitive_layer_stays_in_float(int8: Result, pictures: Path, tmp_path: Path) -> None:
    export = onnx.load(str(tiny_export(tmp_path / "tiny.onnx")))
    weights = value(export, "w16").copy()
    weights[4, 0, 0, 0:2] = 1000.0, -1000.0  # they cancel on plain ground, and leave the others no 8-bit step
    replace(export, "w16", weights)
    onnx.save(export, str(tmp_path / "tiny.onnx"))
    package = prepare(tmp_path / "tiny.onnx", tmp_path / "tiny", tiny_spec())
    done = quantize(package, pictures, "int8", tmp_path / "made").quantization
    assert [layer.layer for layer in done.in_float] == [done.layers[0].layer]
    assert done.layers[0].lost > SENSITIVE
    assert done.lost < min(done.methods.values()) / 2, "that is what the float layer is for"
    assert not int8.quantization.in_float, "without that, all three layers are quantised"


def test_signed_takes_int8_alone(parent: ModelPackage, pictures: Path, tmp_path: Path) -> None:
    made = quantize(parent, pictures, "int8", tmp_path / "made", signed=True).package
    graph = onnx.load_from_string(made.read(MODEL_FILE)).graph
    assert not any(i.data_type == onnx.TensorProto.UINT8 for i in graph.initializer)


@pytest.mark.parametrize(
    ("number", "level", "message"),
    [(FEWEST - 1, 255, f"holds {FEWEST - 1} pictures, fewer than {FEWEST}"), (FEWEST, 60, "finds nothing above 0.05")],
)
def test_pictures_that_show_too_little_are_refused(
    number: int, level: int, message: str, parent: ModelPackage, tmp_path: Path
) -> None:
    (tmp_path / "pictures").mkdir()
    for index in range(number):
        write(tmp_path / "pictures", index, blob_frame((SIZE, SIZE), 16, 16, 16, ground=60, level=level))
    with pytest.raises(ModelError, match=message):
        quantize(parent, tmp_path / "pictures", "int8", tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_quantised_package_is_not_quantised_again(
    parent: ModelPackage, fp16: Result, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="is in fp16 already"):
        quantize(fp16.package, pictures, "int8", tmp_path / "again")
    with pytest.raises(ModelError, match="exists already"):
        quantize(parent, pictures, "int8", fp16.package.path)
    with pytest.raises(ModelError, match="Signed activations were asked for in fp16"):
        quantize(parent, pictures, "fp16", tmp_path / "again", signed=True)
    with pytest.raises(ModelError, match="no quantisation to 'int4'"):
        precision_of("int4")


def test_a_graph_that_went_wrong_is_refused(parent: ModelPackage, tmp_path: Path) -> None:
    model = onnx.load_from_string(parent.read(MODEL_FILE))
    replace(model, "w16", value(model, "w16") * 2)
    with pytest.raises(ModelError, match=r"No pair of .* could be qualified: onnxruntime int8: .*; openvino int8: "):
        child(parent, tmp_path / "made", model.SerializeToString(), "int8", PAIRS, lambda *_: "card")
    assert not list(tmp_path.iterdir()), "nothing half-made stays"


PAIRS = [("onnxruntime", "int8"), ("openvino", "int8")]


# -- one more pair ----------------------------------------------------------------------------------------------------


def test_a_pair_is_qualified_by_measurement(tmp_path: Path) -> None:
    if "bf16" not in supported_precisions():
        pytest.skip("this CPU has no bf16")
    package = tiny_package(tmp_path, qualified=tiny_spec().qualified[:1])
    made, tried = with_pair(package, tmp_path / "made", "openvino", "bf16")
    granted, report = made.manifest.tolerance("openvino", "bf16"), tried.report
    assert granted is not None
    assert report is not None
    assert report.score_abs < granted.score_abs < made.manifest.cap("bf16").score_abs
    assert made.identity == package.identity
    assert made.manifest.qualified[0] == package.manifest.qualified[0]
    check_gate(made)


@pytest.mark.parametrize(
    ("engine", "precision", "message"),
    [
        ("openvino", "bf16", "is qualified for openvino bf16"),
        ("tensorflow", "bf16", "tensorflow bf16: this software has no such engine"),
    ],
)
def test_a_pair_that_cannot_be_qualified_is_refused(
    engine: str, precision: str, message: str, parent: ModelPackage, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        with_pair(parent, tmp_path / "made", engine, precision)
    assert not (tmp_path / "made").exists()


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command_tells_what_was_lost(parent: ModelPackage, pictures: Path, tmp_path: Path) -> None:
    arguments = ["quantize", str(parent.path), "--frames", str(pictures)]
    found = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "int8"), "--json"])
    assert found.exit_code == 0, found.output
    report: dict[str, Any] = json.loads(found.stdout)
    assert report["parent"] == parent.identity
    assert report["lost"] < 0.1
    assert len(report["layers"]) == 3
    assert [tried["problem"] for tried in report["tried"]] == ["", ""]
    text = CliRunner().invoke(app, [*arguments, "--to", "fp16", "--out", str(tmp_path / "fp16")])
    assert "onnxruntime fp16: score" in text.stdout


# -- its parts --------------------------------------------------------------------------------------------------------


def test_pictures_are_spread_over_the_folder_and_never_in_both(tmp_path: Path) -> None:
    total = 2 * (CALIBRATED + MEASURED)
    for number in range(total):
        write(tmp_path, number, np.full((10, 12), number % 256, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    calibrating, measuring = staged_frames(tmp_path, Input(width=6, height=5, color="mono8"))
    assert (len(calibrating), len(measuring)) == (CALIBRATED, MEASURED)
    assert {frame.shape for frame in calibrating + measuring} == {(5, 6, 1)}
    levels = [int(frame[0, 0, 0]) for frame in calibrating + measuring]
    assert sorted(levels) == sorted(number % 256 for number in range(0, total, 2))


HOLE = (("hole", (2.0, 2.0, 30.0, 15.0)),)


def voc(folder: Path) -> Path:
    return write_voc(folder, {f"p{number:02}": HOLE for number in range(FEWEST)})


def class_folders(folder: Path) -> Path:
    defective: dict[str, Objects] = {f"hole/p{number:02}": HOLE for number in range(FEWEST - 4)}
    return write_folders(folder, {**defective, **{f"free/p{number:02}": () for number in range(50, 54)}})


def one_class(folder: Path) -> Path:
    return write_folders(folder, {f"hole/p{number:02}": HOLE for number in range(FEWEST)}) / "hole"


@pytest.mark.parametrize("make", [voc, class_folders, one_class])
def test_a_data_set_gives_its_pictures_and_never_its_masks(make: Callable[[Path], Path], tmp_path: Path) -> None:
    calibrating, measuring = staged_frames(make(tmp_path), Input(width=WIDTH, height=HEIGHT, color="mono8"))
    frames = [*calibrating, *measuring]
    assert len(frames) == FEWEST
    assert min(len(np.unique(frame)) for frame in frames) > 50, "pictures are noise, masks are black and white"


def test_a_folder_without_pictures_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folders of classes with pictures"):
        staged_frames(tmp_path, Input(width=WIDTH, height=HEIGHT, color="mono8"))


@pytest.mark.parametrize(
    ("prepare_folder", "message"),
    [
        (lambda folder: folder.rmdir(), "is not a folder"),
        (lambda folder: [(folder / f"{n:03}.png").write_bytes(b"x") for n in range(FEWEST)], "000.png cannot be read"),
    ],
)
def test_a_folder_that_cannot_be_read_is_refused(
    prepare_folder: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    prepare_folder(tmp_path / "folder")
    with pytest.raises(ModelError, match=message):
        staged_frames(tmp_path / "folder", Input(width=6, height=5, color="mono8"))


def candidates(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


BOX = (0.0, 0.0, 10.0, 10.0)


@pytest.mark.parametrize(
    ("found", "share"),
    [
        (candidates((*BOX, 0.8, 1)), 0.0),
        (candidates((*BOX, 0.5, 1)), 0.3),
        (candidates((*BOX, 0.8, 0)), 1.0),
        (candidates((0, 0, 10, 5, 0.8, 1)), 0.5),
        (candidates((0, 0, 10, 5, 0.3, 1)), 0.75),
        (candidates((20, 20, 30, 30, 0.8, 1)), 1.0),
        (candidates((0, 0, 10, 5, 0.8, 1), (*BOX, 0.7, 1)), 0.1),
        (candidates((np.nan, 0, 10, 10, np.nan, 1)), 1.0),
    ],
)
def test_a_candidate_is_kept_to_the_degree_of_its_likeness(found: NDArray[np.float32], share: float) -> None:
    assert lost([candidates((*BOX, 0.8, 1))], [found]) == pytest.approx(share, abs=1e-6)


def test_candidates_weigh_their_score() -> None:
    expected = candidates((*BOX, 0.9, 1), (20, 20, 30, 30, 0.1, 0))
    assert lost([expected], [expected[:1]]) == pytest.approx(0.1)
    assert lost([expected[:1], expected[1:]], [expected[:1], expected[:1]]) == pytest.approx(0.1)


def spread_of(values: NDArray[np.float64]) -> ranges.Spread:
    top = float(np.abs(values).max())
    bins = (np.abs(values) * (ranges.BINS - 1) / top).astype(np.int64)
    return ranges.Spread(top, bool((values < 0).any()), np.bincount(bins, minlength=ranges.BINS))


def squared_error(values: NDArray[np.float64], clip: float, levels: int) -> float:
    step = clip / levels
    return float(((np.minimum(np.rint(np.abs(values) / step), levels) * step - np.abs(values)) ** 2).mean())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([SIGNED_LEVELS, UNSIGNED_LEVELS]), st.floats(1.0, 4.0))
def test_the_finest_range_errs_no_more_than_the_others(seed: int, levels: int, tail: float) -> None:
    values = np.random.default_rng(seed).standard_normal(400_000) ** 3 * tail  # with few, clipping one costs too much
    spread = spread_of(values)
    errors = {name: squared_error(values, choose(spread, levels), levels) for name, choose in ranges.METHODS.items()}
    assert errors["finest"] <= min(errors.values()) * 1.05
    assert ranges.finest(spread, levels) < ranges.largest(spread, levels)


def test_a_percentile_leaves_out_what_it_says() -> None:
    values = np.concatenate([np.linspace(0, 1, 9_999), [100.0]])
    assert ranges.percentile(spread_of(values), SIGNED_LEVELS) == pytest.approx(1.0, abs=100 / ranges.BINS)
    assert ranges.largest(spread_of(values), SIGNED_LEVELS) == 100.0
