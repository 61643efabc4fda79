from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from edge.commands.processes import MODELS
from edge.engine.onnxruntime import OnnxRuntimeEngine
from edge.errors import ModelError
from edge.model.cli import app
from edge.model.deviation import level_blocks
from edge.model.gate import golden_gate
from edge.model.golden import GOLDEN_FILE, HEADS_BYTES, golden_cases, kept_rows, synthetic_frame
from edge.model.package import MODEL_FILE, Heads, ModelPackage, load_package, read_manifest, write_manifest
from tests.support_broken import rehashed
from tests.support_models import SPEC, tiny_export, tiny_package


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return tiny_package(tmp_path_factory.mktemp("model"))


@pytest.fixture
def folder(pristine: ModelPackage, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(pristine.path, tmp_path / "copy"))


def edit(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))

    return change


def append(file: str, content: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with (folder / file).open("ab") as stream:
            stream.write(content)

    return change


MANIFEST = "manifest.toml"
FROZEN = {(0, (64, 64, 1)): 545873613, (1, (96, 160, 3)): 1266687588, (7, (200, 200, 1)): 1398485529}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "is not a folder"),
        (lambda folder: (folder / MANIFEST).unlink(), "manifest.toml cannot be read: No such file"),
        (lambda folder: (folder / "model.onnx").unlink(), "model.onnx cannot be read: No such file"),
        (lambda folder: (folder / "README.md").unlink(), "README.md is missing"),
        (lambda folder: (folder / GOLDEN_FILE).unlink(), "golden.npz cannot be read: No such file"),
        (lambda folder: shutil.rmtree(folder / "golden"), "golden.npz cannot be read: No such file"),
        (append("model.onnx", b"x"), "model.onnx has sha256 .*, the manifest says"),
        (append(GOLDEN_FILE, b"x"), "golden.npz has sha256"),
        (lambda folder: (folder / "model.onnx").write_bytes(b""), "model.onnx has sha256"),
        (lambda folder: (folder / "golden" / "extra.npz").write_bytes(b""), "extra.npz is not listed"),
        (append(MANIFEST, b"\n= 1\n"), "is no TOML"),
        (append(MANIFEST, b"\xff"), "is no TOML"),
        (append(MANIFEST, b'"../secret" = "00"\n'), "files"),
        (edit(MANIFEST, "format_version = 2", "format_version = 1"), "format_version: .*found 1"),
        (edit(MANIFEST, 'precision = "fp32"\nclasses', 'precision = "fp8"\nclasses'), "precision: .*found 'fp8'"),
        (
            edit(MANIFEST, 'precision = "fp32"\nclasses', 'precision = "int8"\nclasses'),
            "no engine runs a graph of int8 at fp32",
        ),
        (edit(MANIFEST, "columns = 8", "columns = 4"), "heads.columns: "),
        (edit(MANIFEST, "ranked = false", "ranked = true"), "ranked heads have 6 columns, not 8"),
        (edit(MANIFEST, 'layout = "rows"', 'layout = "anchors"'), "heads.layout: "),
        (edit(MANIFEST, "score_abs = 0.002", "score_abs = 0.4"), "score_abs 0.4 of onnxruntime fp32 is above 0.005"),
        (edit(MANIFEST, "box_px = 0.5", "box_px = 1.5"), "box_px 1.5 of onnxruntime fp32 is above 1"),
        (edit(MANIFEST, "heads_rel = 0.002", "heads_rel = 0.5"), "heads_rel 0.5 of onnxruntime fp32 is above 0.01"),
        (edit(MANIFEST, 'name = "tiny"', 'name = "tiny"\ncolour = 1'), "colour: Extra inputs"),
        (edit(MANIFEST, 'name = "tiny"', ""), "name: Field required"),
        (edit(MANIFEST, 'name = "tiny"', 'name = "../tiny"'), "name: "),
        (edit(MANIFEST, 'task = "detect"', 'task = "classify"'), "task: .*found 'classify'"),
        (edit(MANIFEST, "width = 64", "width = 0"), "input.width: "),
        (edit(MANIFEST, 'color = "mono8"', 'color = "yuv"'), "input.color: "),
        (edit(MANIFEST, "border = 114", "border = 256"), "input.border: "),
        (edit(MANIFEST, "iou = 0.5", "iou = 1.5"), "nms.iou: "),
        (edit(MANIFEST, "iou = 0.5", "iou = nan"), "nms.iou: "),
        (edit(MANIFEST, "recommended = 0.5", "recommended = 0.01"), "below candidate_floor"),
        (edit(MANIFEST, '"pit"', '"scratch"'), "classes repeat"),
        (edit(MANIFEST, 'precision = "bf16"', 'precision = "fp32"'), "qualified repeats"),
        (edit(MANIFEST, '"model.onnx" =', '"golden/model.onnx" ='), "lacks the sha256 of model.onnx"),
    ],
)
def test_a_damaged_package_is_refused(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    load_package(folder)
    damage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load_package(folder)
    assert caught.value.remedy


def test_a_manifest_survives_writing_and_reading(pristine: ModelPackage, tmp_path: Path) -> None:
    write_manifest(tmp_path / MANIFEST, pristine.manifest)
    assert read_manifest(tmp_path / MANIFEST) == pristine.manifest


def test_a_file_changed_after_loading_is_not_run(folder: Path) -> None:
    package = load_package(folder)
    append("model.onnx", b"x")(folder)
    with pytest.raises(ModelError, match="has sha256"):
        OnnxRuntimeEngine(package)


def test_a_graph_that_is_no_onnx_is_refused_by_the_engines(folder: Path) -> None:
    from edge.engine.openvino import OpenVinoEngine

    package = rehashed(folder, "model.onnx", b"not a graph")
    with pytest.raises(ModelError, match="ONNX Runtime cannot load"):
        OnnxRuntimeEngine(package)
    with pytest.raises(ModelError, match="OpenVINO cannot load"):
        OpenVinoEngine(package)


def test_a_graph_of_another_size_is_refused_by_the_engines(folder: Path, tmp_path: Path) -> None:
    from edge.engine.openvino import OpenVinoEngine

    other = tiny_package(tmp_path, size=96, name="other")
    package = rehashed(folder, "model.onnx", other.read("model.onnx"))
    with pytest.raises(ModelError, match="The input of model package"):
        OnnxRuntimeEngine(package)
    with pytest.raises(ModelError, match="The input of model package"):
        OpenVinoEngine(package)


def test_a_golden_file_that_is_none_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="is no golden file"):
        list(golden_cases(rehashed(folder, GOLDEN_FILE, b"nonsense")))


def test_a_golden_file_of_another_network_is_refused(folder: Path, tmp_path: Path) -> None:
    other = tiny_package(tmp_path, candidates=10, name="other")
    with pytest.raises(ModelError, match="not \\(6, 20, 6\\)"):
        list(golden_cases(rehashed(folder, GOLDEN_FILE, other.read(GOLDEN_FILE))))
    wider = tiny_package(tmp_path, size=96, name="wider")
    with pytest.raises(ModelError, match="holds heads of anchors 0 to 188, but there are 84"):
        list(golden_cases(rehashed(folder, GOLDEN_FILE, wider.read(GOLDEN_FILE))))


def altered(folder: Path, change: Callable[[dict[str, NDArray[Any]]], None]) -> ModelPackage:
    """Change the arrays of a golden file, all hashes right."""
    with np.load(folder / GOLDEN_FILE) as file:
        content = dict(file)
    change(content)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)
    return rehashed(folder, GOLDEN_FILE, buffer.getvalue())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(checksums=c["checksums"] + 1), "comes out differently here"),
        (lambda c: c.pop("heads"), "is no golden file"),
        (lambda c: c.update(heads=c["heads"].astype(np.float64)), "is no golden file"),
        (lambda c: c.update(heads=c["heads"][:, :-1]), "holds heads of shape"),
        (lambda c: c.update(heads=c["heads"][..., :-1]), "holds heads of shape"),
        (lambda c: c.update(expected=c["expected"][:, :-1]), "holds expected of shape"),
        (lambda c: c.update(seeds=c["seeds"][:0]), "holds checksums of shape"),
        (lambda c: c["seeds"].fill(-1), "holds no frame, or one without a seed"),
        (lambda c: c.update({k: c[k][:0] for k in ("seeds", "checksums", "expected", "heads")}), "holds no frame"),
        (lambda c: c["rows"].sort() or c.update(rows=c["rows"][::-1].copy()), "no heads of one of the levels"),
        (lambda c: c.update(rows=c["rows"][:64], heads=c["heads"][:, :64]), "no heads of one of the levels"),
    ],
)
def test_a_golden_file_that_contradicts_itself_is_refused(
    folder: Path, change: Callable[[dict[str, NDArray[Any]]], None], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        list(golden_cases(altered(folder, change)))


def test_a_child_may_keep_the_golden_file_of_its_parent(pristine: ModelPackage, folder: Path) -> None:
    """The file names frames and outputs, not the graph: it fits any package of the same classes and shapes."""
    model = onnx.load_from_string(pristine.read("model.onnx"))
    model.doc_string = "another graph"
    child = rehashed(folder, "model.onnx", model.SerializeToString())
    assert child.identity != pristine.identity
    with OnnxRuntimeEngine(child) as engine:
        assert golden_gate(child, engine).heads_rel == 0.0


@pytest.mark.parametrize("columns", [11, 85, 600])
def test_too_many_heads_are_thinned_out_level_by_level(columns: int) -> None:
    form = Heads(columns=columns, levels=(6400, 1600, 400))
    heads = np.zeros((8, form.rows, columns), np.float32)
    heads[0, 7000, 5] = 1.0
    rows = kept_rows(heads, form)
    assert (np.diff(rows) > 0).all()
    assert 8 * len(rows) * columns * 4 <= HEADS_BYTES or columns == 600
    assert all(len(rows[block]) >= 8 for block in level_blocks(rows, form.levels))
    assert 7000 in rows, "the one that answers"
    assert {0, 6400, 8399} <= set(rows.tolist())


def test_heads_that_fit_are_all_kept() -> None:
    form = Heads(columns=11, levels=(784, 196, 49))
    assert kept_rows(np.zeros((12, form.rows, 11), np.float32), form).tolist() == list(range(1029))


def test_synthetic_frames_are_the_same_bytes_everywhere() -> None:
    """The checksums were taken once; another value on any machine would void every package's golden file."""
    import zlib

    found = [zlib.crc32(synthetic_frame(seed, shape).tobytes()) for seed, shape in FROZEN]
    assert found == list(FROZEN.values())


def test_cli_shows_and_verifies(pristine: ModelPackage) -> None:
    runner = CliRunner()
    shown = runner.invoke(app, ["show", str(pristine.path), "--json"])
    assert json.loads(shown.stdout)["identity"] == pristine.identity
    assert pristine.identity in runner.invoke(app, ["show", str(pristine.path)]).stdout
    verified = runner.invoke(app, ["verify", str(pristine.path), "--threads", "1", "--json"])
    assert verified.exit_code == 0
    results = json.loads(verified.stdout)["results"]
    assert [r["engine"] for r in results] == ["onnxruntime", "openvino", "openvino"]
    assert {r["status"] for r in results} <= {"passed", "skipped"}
    assert results[0]["report"]["matched"] > 0


def test_cli_prepares(tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text('family = "yolox"\n' + SPEC + "[output]\ncandidates = 20\n")
    export = tiny_export(tmp_path / "export.onnx", classes=1)
    arguments = ["prepare", str(export), str(tmp_path / "out"), "--spec", str(tmp_path / "spec.toml")]
    made = CliRunner().invoke(app, [*arguments, "--json"])
    assert made.exit_code == 0
    assert json.loads(made.stdout)["name"] == "line"
    assert isinstance(CliRunner().invoke(app, arguments).exception, ModelError)


def test_cli_verify_fails_on_wrong_outputs(folder: Path) -> None:
    def better(content: dict[str, NDArray[Any]]) -> None:
        content["expected"][:, 0, 4] += 0.3

    altered(folder, better)
    verified = CliRunner().invoke(app, ["verify", str(folder), "--json"])
    assert verified.exit_code == 4
    assert {r["status"] for r in json.loads(verified.stdout)["results"]} <= {"failed", "skipped"}


def test_identity_tells_apart_what_decides_differently_and_nothing_else(pristine: ModelPackage) -> None:
    manifest = pristine.manifest
    score = manifest.score.model_copy(update={"recommended": 0.61})
    decide = [
        {"nms": manifest.nms.model_copy(update={"iou": 0.61})},
        {"nms": manifest.nms.model_copy(update={"vote": 0.61})},
        {"input": manifest.input.model_copy(update={"border": 7})},
        {"files": {**manifest.files, MODEL_FILE: "0" * 64}},
        {"files": {**manifest.files, GOLDEN_FILE: "0" * 64}},
        {"score": score},
        {"classes": ("x", "y", "z")},
    ]
    others = {replace(pristine, manifest=manifest.model_copy(update=update)).identity for update in decide}
    assert len(others - {pristine.identity}) == len(decide)
    licences = manifest.licences.model_copy(update={"data": "another"})
    same = manifest.model_copy(update={"qualified": manifest.qualified[:1], "licences": licences})
    assert replace(pristine, manifest=same).identity == pristine.identity
    assert re.fullmatch(r"[\w-]+@[\w.]+\+[0-9a-f]{12}", pristine.identity)


def test_the_shipped_int8_package_names_the_shipped_parent() -> None:
    assert load_package(MODELS / "neu-det-int8").manifest.parent == load_package(MODELS / "neu-det").identity
