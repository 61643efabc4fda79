from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from edge.errors import ModelError
from edge.model.golden import synthetic_frame
from edge.model.package import CHANNELS, Color, Manifest
from edge.model.prepare import PrepareSpec, prepare, prepare_graph, read_spec
from tests.support_models import (
    CLASSES,
    IMAGENET_MEAN,
    IMAGENET_STD,
    SPEC,
    STRIDES,
    tiny_export,
    tiny_package,
    tiny_spec,
)

SIZE, K = 64, 20


def decoded(raw: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Decode a YOLOX output (N, 5 + nc) anchor by anchor, best first: the definition, written as loops."""
    rows = []
    anchor = 0
    for stride in STRIDES:
        for y in range(size // stride):
            for x in range(size // stride):
                values = raw[anchor].astype(np.float64)
                centre_x, centre_y = (values[0] + x) * stride, (values[1] + y) * stride
                width, height = np.exp(values[2]) * stride, np.exp(values[3]) * stride
                label = int(values[5:].argmax())
                rows.append(
                    [
                        centre_x - width / 2,
                        centre_y - height / 2,
                        centre_x + width / 2,
                        centre_y + height / 2,
                        values[4] * values[5 + label],
                        label,
                    ]
                )
                anchor += 1
    table = np.array(rows, np.float32)
    return table[np.argsort(-table[:, 4], kind="stable")]


def reference(export: Path, frame: NDArray[np.uint8], color: Color) -> NDArray[np.float32]:
    rgb = {"mono8": lambda f: f.repeat(3, axis=2), "bgr8": lambda f: f[..., ::-1], "rgb8": lambda f: f}[color](frame)
    tensor = (rgb / 255.0 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    session = onnxruntime.InferenceSession(str(export), providers=["CPUExecutionProvider"])
    (raw,) = session.run(None, {"images": tensor.transpose(2, 0, 1)[None].astype(np.float32)})
    return decoded(raw[0], frame.shape[0])


@pytest.mark.parametrize("color", ["mono8", "bgr8", "rgb8"])
@pytest.mark.parametrize("opset", [13, 17, 18, 20])
def test_prepared_graph_equals_normalise_run_decode(tmp_path: Path, color: Color, opset: int) -> None:
    export = tiny_export(tmp_path / "export.onnx", SIZE, opset=opset)
    graph, _ = prepare_graph(export, tiny_spec(SIZE, color, candidates=K))
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    compared = 0
    for seed in range(8):
        frame = synthetic_frame(seed, (SIZE, SIZE, CHANNELS[color]))
        found, _ = session.run(None, {"frame": frame[None]})
        expected = reference(export, frame, color)
        np.testing.assert_allclose(found[:, 4], expected[:K, 4], rtol=1e-3, atol=1e-6)
        for row in found[found[:, 4] > 0.01]:  # equal scores may come in any order, so each looks for itself
            assert np.abs(expected - row).max(axis=1).min() < 1e-3
            compared += 1
    assert compared >= 20


def test_the_graph_is_fixed_and_small(tmp_path: Path) -> None:
    export = tiny_export(tmp_path / "export.onnx")
    package = prepare(export, tmp_path / "package", tiny_spec())
    model = onnx.load(str(package.path / "model.onnx"))
    onnx.checker.check_model(model, full_check=True)
    (port,), (out, heads) = model.graph.input, model.graph.output
    assert [d.dim_value for d in port.type.tensor_type.shape.dim] == [1, SIZE, SIZE, 1]
    assert port.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [d.dim_value for d in out.type.tensor_type.shape.dim] == [K, 6]
    assert [d.dim_value for d in heads.type.tensor_type.shape.dim] == [1, 84, 5 + len(CLASSES)]
    assert len(model.graph.node) - len(onnx.load(str(export)).graph.node) < 40


def test_preparing_twice_gives_the_same_package(tmp_path: Path) -> None:
    export = tiny_export(tmp_path / "export.onnx")
    one, two = (prepare(export, tmp_path / name, tiny_spec()) for name in ("one", "two"))
    assert one.manifest == two.manifest


def test_open_dimensions_of_an_export_are_fixed(tmp_path: Path) -> None:
    path = tiny_export(tmp_path / "export.onnx")
    model = onnx.load(str(path))
    for port in (model.graph.input[0], model.graph.output[0]):
        port.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, str(path))
    assert prepare(path, tmp_path / "package", tiny_spec()).manifest.output.candidates == K


def test_an_existing_folder_is_never_overwritten(tmp_path: Path) -> None:
    package = tiny_package(tmp_path)
    before = (package.path / "manifest.toml").read_bytes()
    with pytest.raises(ModelError, match="exists already"):
        prepare(tmp_path / "tiny.onnx", package.path, tiny_spec())
    assert (package.path / "manifest.toml").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 96}, "not 1 x 3 x 96 x 96"),
        ({"classes": ("a", "b")}, "is 1 x 84 x 8, which no known family yields for 2 classes"),
        ({"candidates": 85}, "yields 84 candidates, fewer than 85"),
    ],
)
def test_an_export_that_contradicts_the_spec_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    export = tiny_export(tmp_path / "export.onnx")
    with pytest.raises(ModelError, match=message):
        prepare(export, tmp_path / "package", tiny_spec(**change))  # type: ignore[arg-type]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["export.onnx"]


def test_an_unknown_family_is_refused(tmp_path: Path) -> None:
    spec = tiny_spec().model_copy(update={"family": "yolov99"})
    with pytest.raises(ModelError, match=r"'yolov99' is unknown.*yolox"):
        prepare(tiny_export(tmp_path / "export.onnx"), tmp_path / "package", spec)


@pytest.mark.parametrize("content", [None, b"", b"no protobuf at all", b"\x08\x07"])
def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path, content: bytes | None) -> None:
    export = tmp_path / "export.onnx"
    if content is not None:
        export.write_bytes(content)
    with pytest.raises(ModelError, match=r"not a file|no valid ONNX"):
        prepare(export, tmp_path / "package", tiny_spec())


def test_a_prepared_graph_is_not_prepared_again(tmp_path: Path) -> None:
    package = tiny_package(tmp_path)
    with pytest.raises(ModelError, match="prepared already"):
        prepare(package.path / "model.onnx", tmp_path / "again", tiny_spec())


def test_an_export_with_an_unsupported_opset_is_refused(tmp_path: Path) -> None:
    export = tiny_export(tmp_path / "export.onnx", opset=21)
    with pytest.raises(ModelError, match="opset 21"):
        prepare(export, tmp_path / "package", tiny_spec())


def test_a_network_that_computes_nonsense_leaves_nothing_behind(tmp_path: Path) -> None:
    export = tiny_export(tmp_path / "export.onnx")
    model = onnx.load(str(export))
    bias = next(c for c in model.graph.initializer if c.name == "b8")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(5 + len(CLASSES), np.nan, np.float32), "b8"))
    onnx.save(model, str(export))
    with pytest.raises(ModelError, match="no numbers"):
        prepare(export, tmp_path / "package", tiny_spec())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["export.onnx"]


def test_a_spec_file_has_defaults(tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(SPEC)
    spec = read_spec(path)
    assert (spec.family, spec.output.candidates, spec.nms, spec.network_color) == (None, 100, None, None)
    assert {(q.engine, q.precision) for q in spec.qualified} == {("onnxruntime", "fp32"), ("openvino", "fp32")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SPEC.replace('name = "line"', ""), "name: Field required"),
        (SPEC + "[extra]\n", "extra: Extra inputs"),
        (SPEC.replace("width = 64", "width = 0"), r"input.width: .*found 0"),
        ("name = ", "no TOML"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_spec_file_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "spec.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ModelError, match=message):
        read_spec(path)


def test_every_field_of_a_spec_but_normalisation_is_a_field_of_the_manifest() -> None:
    assert set(PrepareSpec.model_fields) - {"network_color", "mean", "std"} <= set(Manifest.model_fields)
