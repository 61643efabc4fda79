"""What an export is recognised as, what it says of itself, and which contradictions are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from edge.errors import ModelError
from edge.model.families import FAMILIES
from edge.model.package import Heads, Nms
from edge.model.prepare import prepare, prepare_graph
from tests.support_families import BARE_YOLOX, CLASSES, HEIGHT, WIDTH, made_up_export, made_up_spec

NAMES = "{0: 'scratch', 1: 'pit', 2: \"o'clock\", 3: 'stain'}"
SAID = {
    "names": NAMES,
    "stride": "32",
    "imgsz": f"[{HEIGHT}, {WIDTH}]",
    "task": "detect",
    "head": "Detect",
    "args": "{'batch': 1, 'nms': None}",
    "end2end": "False",
}
LEVELS = (320, 80, 20)


def test_classes_and_family_are_taken_from_the_export(tmp_path: Path) -> None:
    export = made_up_export(tmp_path / "export.onnx", "yolov8", metadata=SAID)
    package = prepare(export, tmp_path / "package", made_up_spec(classes=None))
    assert package.manifest.classes == ("scratch", "pit", "o'clock", "stain")
    assert package.manifest.family == "yolov8"
    assert package.manifest.heads == Heads(columns=4 + CLASSES, levels=LEVELS, layout="columns")
    assert package.manifest.nms == Nms()


@pytest.mark.parametrize(
    ("family", "heads"),
    [
        ("yolox", Heads(columns=5 + CLASSES, levels=LEVELS)),
        ("yolov5", Heads(columns=5 + CLASSES, levels=(960, 240, 60))),
        ("yolov8", Heads(columns=4 + CLASSES, levels=LEVELS, layout="columns")),
    ],
)
def test_a_family_is_recognised_by_its_output_alone(tmp_path: Path, family: str, heads: Heads) -> None:
    export = made_up_export(tmp_path / "export.onnx", family)
    _, fields = prepare_graph(export, made_up_spec(**BARE_YOLOX))
    assert (fields["family"], fields["heads"]) == (family, heads)


def test_an_nms_free_export_is_recognised_only_if_it_says_so(tmp_path: Path) -> None:
    """RT-DETR returns the same shape with another meaning."""
    silent = made_up_export(tmp_path / "silent.onnx", "yolov10", rows=77)
    with pytest.raises(ModelError, match=r"is 1 x 77 x 6, which could be of family yolov10.*set family"):
        prepare_graph(silent, made_up_spec())
    told, says = (
        prepare_graph(silent, made_up_spec(family="yolov10"))[1],
        prepare_graph(
            made_up_export(tmp_path / "says.onnx", "yolov10", rows=77, metadata=SAID | {"end2end": "True"}),
            made_up_spec(classes=None),
        )[1],
    )
    for fields in (told, says):
        assert fields["heads"] == Heads(columns=6, levels=(77,), ranked=True)
        assert fields["nms"].iou == 1.0


def test_suppression_of_an_nms_free_network_is_off_unless_it_is_asked_for(tmp_path: Path) -> None:
    export = made_up_export(tmp_path / "export.onnx", "yolov10")
    _, fields = prepare_graph(export, made_up_spec(family="yolov10", nms=Nms(iou=0.7)))
    assert fields["nms"].iou == 0.7


@pytest.mark.parametrize("names", [NAMES, "['scratch', 'pit', \"o'clock\", 'stain']"])
def test_names_come_as_a_dictionary_or_as_a_list(tmp_path: Path, names: str) -> None:
    export = made_up_export(tmp_path / "export.onnx", "yolov5", metadata={"names": names, "stride": "32"})
    assert prepare_graph(export, made_up_spec(classes=None))[1]["classes"][2] == "o'clock"


@pytest.mark.parametrize(
    ("family", "said", "spec", "message"),
    [
        ("yolov8", {"names": NAMES}, {}, r"The spec names classes \('class 0',.*has \('scratch',"),
        ("yolov8", {}, {"classes": None}, "does not name its classes"),
        ("yolov8", {}, {"classes": ("a", "b")}, "is 1 x 8 x 420, which no known family yields for 2 classes"),
        ("yolov8", {"task": "segment"}, {}, "a network for task 'segment'"),
        ("yolov10", {"head": "RTDETRDecoder"}, {"family": "yolov10"}, "head of RT-DETR"),
        ("yolov8", {"args": "{'nms': True}"}, {}, "exported with suppression inside"),
        ("yolov8", {"imgsz": "[640, 640]"}, {}, "exported for 640 x 640 px, the input is to be 160 x 128"),
        ("yolov8", {"stride": "64"}, {}, "largest stride is 64 px, which does not divide the input"),
        ("yolov8", {"end2end": "True"}, {"family": "yolov8"}, "says that it suppresses by itself"),
        ("yolov8", {"end2end": "True"}, {}, "no known family yields"),
        ("yolov10", {"end2end": "False"}, {"family": "yolov10"}, "says that it leaves suppression to others"),
        ("yolov5", {}, {"family": "yolox", **BARE_YOLOX}, r"1 x 1260 x 9; yolox yields 1 x 420 x 9.*yolov5 would"),
        ("yolox", {}, {"family": "yolov5"}, r"1 x 420 x 9; yolov5 yields 1 x 1260 x 9 or .*yolox would"),
        ("yolov8", {}, {"family": "yolov99"}, r"'yolov99' is unknown.*yolox, yolov5, yolov8, yolov10"),
        ("yolox", {}, {}, "says no network_color, mean, std"),
        ("yolox", {}, {"mean": (0, 0, 0), "std": (1, 1, 1)}, "says no network_color,"),
    ],
)
def test_what_contradicts_itself_or_is_left_open_is_refused(
    tmp_path: Path, family: str, said: dict[str, str], spec: dict[str, object], message: str
) -> None:
    export = made_up_export(tmp_path / "export.onnx", family, metadata=said)
    with pytest.raises(ModelError, match=message):
        prepare_graph(export, made_up_spec(**spec))


def test_the_channel_order_does_not_matter_for_grey_frames(tmp_path: Path) -> None:
    export = made_up_export(tmp_path / "export.onnx", "yolox")
    assert prepare_graph(export, made_up_spec("mono8", mean=(0, 0, 0), std=(1, 1, 1)))[1]["family"] == "yolox"


def test_two_families_of_one_shape_must_be_told_apart(tmp_path: Path) -> None:
    """With one class a YOLOX has six columns, as an NMS-free network has."""
    export = made_up_export(tmp_path / "export.onnx", "yolov10", rows=420, metadata={"names": "{0: 'pit'}"})
    with pytest.raises(ModelError, match="could be of family yolox or yolov10"):
        prepare_graph(export, made_up_spec(classes=None, **BARE_YOLOX))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("names", "dict(enumerate('abcd'))"),  # evaluated, it would be right
        ("names", "{0: 'a', 2: 'b'}"),
        ("names", "{False: 'a', 1: 'b'}"),
        ("names", "{0: 'a', 1: 'a'}"),
        ("names", "{0: 'a', 1: 7}"),
        ("names", "{}"),
        ("names", "'scratch'"),
        ("names", "{0: 'a'"),
        ("names", "-" * 100_000 + "1"),
        ("names", "[" * 100_000),
        ("names", NAMES + " " * 1_000_000),
        ("names", "\0"),
        ("stride", "0"),
        ("stride", "'32'"),
        ("stride", "True"),
        ("imgsz", "640"),
        ("imgsz", "[640, '640']"),
        ("end2end", "1"),
        ("args", "nms=True"),
    ],
)
def test_metadata_that_is_no_plain_literal_of_its_kind_is_refused(tmp_path: Path, key: str, value: str) -> None:
    export = made_up_export(tmp_path / "export.onnx", "yolov8", metadata={key: value})
    with pytest.raises(ModelError, match=rf"metadata of .*export.onnx has {key} = ") as caught:
        prepare_graph(export, made_up_spec())
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("family", ["yolov5", "yolov8"])
def test_open_dimensions_are_those_of_the_usual_pyramid_or_of_the_stride(tmp_path: Path, family: str) -> None:
    path = made_up_export(tmp_path / "export.onnx", family)
    model = onnx.load(str(path))
    for axis in range(3):
        if axis != {"yolov5": 2, "yolov8": 1}[family]:
            model.graph.output[0].type.tensor_type.shape.dim[axis].dim_param = f"open{axis}"
    onnx.save(model, str(path))
    per_cell = {"yolov5": 3, "yolov8": 1}[family]
    assert prepare_graph(path, made_up_spec(family=family))[1]["heads"].levels == tuple(
        per_cell * cells for cells in LEVELS
    )


def test_outputs_of_several_levels_are_refused_with_what_was_found(tmp_path: Path) -> None:
    path = made_up_export(tmp_path / "export.onnx", "yolov5")
    model = onnx.load(str(path))
    model.graph.output.append(onnx.helper.make_tensor_value_info("t1_0", onnx.TensorProto.FLOAT, [3, 9, 320]))
    onnx.save(model, str(path))
    with pytest.raises(ModelError, match=r"2 outputs \('output0' 1 x 1260 x 9, 't1_0' 3 x 9 x 320\)"):
        prepare_graph(path, made_up_spec())


def test_a_half_precision_export_is_refused(tmp_path: Path) -> None:
    path = made_up_export(tmp_path / "export.onnx", "yolov8")
    model = onnx.load(str(path))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, str(path))
    with pytest.raises(ModelError, match="of type 10, not 1"):
        prepare_graph(path, made_up_spec())


def test_levels_sum_to_the_rows_of_every_form() -> None:
    target = made_up_spec().input.model_copy(update={"width": 640, "height": 384})
    for family in FAMILIES.values():
        forms = family.heads(target, CLASSES, None)
        assert len({form.port_shape for form in forms}) == len(forms)
    shape = (np.array(FAMILIES["yolov8"].heads(target, CLASSES, 64)[0].levels) * 1).tolist()
    assert shape == [80 * 48, 40 * 24, 20 * 12, 10 * 6]
