from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.engine.onnxruntime import OnnxRuntimeEngine
from edge.errors import ModelError
from edge.model.cli import app
from edge.model.golden import GOLDEN_FILE, golden_cases, synthetic_frame
from edge.model.package import ModelPackage, load_package, read_manifest, write_manifest
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
        (edit(MANIFEST, "format_version = 1", "format_version = 2"), "format_version: .*found 2"),
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


def test_identity_names_model_version_and_graph(pristine: ModelPackage) -> None:
    assert pristine.identity == f"tiny@1.0.0+{pristine.manifest.files['model.onnx'][:12]}"


def test_a_file_changed_after_loading_is_not_run(folder: Path) -> None:
    package = load_package(folder)
    append("model.onnx", b"x")(folder)
    with pytest.raises(ModelError, match="has sha256"):
        OnnxRuntimeEngine(package)


def rehashed(folder: Path, file: str, content: bytes) -> ModelPackage:
    """Replace a file and its hash: an intact package with wrong content."""
    import hashlib

    manifest = read_manifest(folder / MANIFEST)
    files = {**manifest.files, file: hashlib.sha256(content).hexdigest()}
    (folder / file).write_bytes(content)
    write_manifest(folder / MANIFEST, manifest.model_copy(update={"files": files}))
    return load_package(folder)


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
    with pytest.raises(ModelError, match="comes out differently"):
        list(golden_cases(rehashed(folder, GOLDEN_FILE, wider.read(GOLDEN_FILE))))


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
    (tmp_path / "spec.toml").write_text(SPEC + "[output]\ncandidates = 20\n")
    export = tiny_export(tmp_path / "export.onnx", classes=1)
    arguments = ["prepare", str(export), str(tmp_path / "out"), "--spec", str(tmp_path / "spec.toml")]
    made = CliRunner().invoke(app, [*arguments, "--json"])
    assert made.exit_code == 0
    assert json.loads(made.stdout)["name"] == "line"
    assert isinstance(CliRunner().invoke(app, arguments).exception, ModelError)


def test_cli_verify_fails_on_wrong_outputs(folder: Path) -> None:
    import io

    import numpy as np

    content = dict(np.load(folder / GOLDEN_FILE))
    content["expected"][:, 0, 4] += 0.3
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)
    rehashed(folder, GOLDEN_FILE, buffer.getvalue())
    verified = CliRunner().invoke(app, ["verify", str(folder), "--json"])
    assert verified.exit_code == 4
    assert {r["status"] for r in json.loads(verified.stdout)["results"]} <= {"failed", "skipped"}
