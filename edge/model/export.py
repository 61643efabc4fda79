"""An exported network as it was found: its ports, its opset, and what the exporter wrote into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import MissingExtra, ModelError
from edge.model.metadata import Metadata, check_metadata, read_metadata
from edge.model.onnx_builder import FLOAT, PREFIX
from edge.model.package import CANDIDATES_NAME, HEADS_NAME, Input

INPUT_NAME = "frame"
OPSETS = range(13, 21)  # 13: ReduceSum with axes as input; 20: the last that TensorRT 10.3 (JetPack 6) parses
OPEN = -1  # a dimension that the export left open

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Export:
    """A network with one float32 input, (1, 3, H, W) of the size asked for, and one float32 output.

    Attributes:
        model: the ``onnx.ModelProto``.
        shape: of the output; ``OPEN`` where the export leaves a dimension open.
    """

    source: Path
    model: Any
    opset: int
    input_name: str
    output_name: str
    shape: Shape
    metadata: Metadata


def read_export(source: Path, target: Input) -> Export:
    """Read an exported ONNX network, and check all that does not depend on its family.

    Raises:
        MissingExtra: onnx is not installed.
        ModelError: it is no valid ONNX file, was prepared already, has other ports than those of a bare network for
            ``target``, or its metadata says that it is none.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("onnx", "model") from error
    model = _load(onnx, source)
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset not in OPSETS:
        raise ModelError(
            f"{source} has opset {opset}, not one of {OPSETS[0]} to {OPSETS[-1]}.", "export it again with opset 17."
        )
    metadata = read_metadata(source, {entry.key: entry.value for entry in model.metadata_props})
    network_input, output = _ports(source, model.graph)
    check_metadata(source, metadata, target)
    expected = (1, 3, target.height, target.width)
    found = _shape(source, network_input, "input")
    if not fits(found, expected):
        raise ModelError(
            f"The input {network_input.name!r} of {source} is {written(found)}, not {written(expected)}.",
            "set input.width and input.height to those of the export, or export it again for 3 channels of that size.",
        )
    return Export(source, model, opset, network_input.name, output.name, _shape(source, output, "output"), metadata)


def fits(found: Shape, expected: Shape) -> bool:
    """Tell whether a port's shape is the one expected, dimensions that the export left open excepted."""
    return len(found) == len(expected) and all(f in (OPEN, e) for f, e in zip(found, expected, strict=True))


def written(shape: Shape) -> str:
    """Return a shape as ``1 x 84 x ?``."""
    return " x ".join("?" if size == OPEN else str(size) for size in shape)


def _load(onnx: Any, source: Path) -> Any:
    if not source.is_file():
        raise ModelError(f"{source} is not a file.", "give the path of an exported ONNX network.")
    try:
        model = onnx.load(str(source))
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, onnx and the file system each raise classes of their own
        raise ModelError(f"{source} is no valid ONNX file: {error}.", "export the network again.") from error
    return model


def _ports(source: Path, graph: Any) -> tuple[Any, Any]:
    names = (INPUT_NAME, CANDIDATES_NAME, HEADS_NAME)
    taken = [n for node in graph.node for n in node.output if n.startswith(PREFIX) or n in names]
    if taken:
        raise ModelError(f"{source} was prepared already: it computes {taken[0]!r}.", "give the export itself.")
    constants = {c.name for c in graph.initializer}
    inputs = [i for i in graph.input if i.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        outputs = ", ".join(f"{o.name!r} {written(_shape(source, o, 'output'))}" for o in graph.output)
        raise ModelError(
            f"{source} has {len(inputs)} inputs and {len(graph.output)} outputs ({outputs}), not one of each.",
            "export the bare network: one decoded output (YOLOv7: --grid), without post-processing.",
        )
    return inputs[0], graph.output[0]


def _shape(source: Path, port: Any, what: str) -> Shape:
    tensor = port.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else OPEN for d in tensor.shape.dim)
    if tensor.elem_type != FLOAT:
        raise ModelError(
            f"The {what} {port.name!r} of {source} is {written(shape)} of type {tensor.elem_type}, not {FLOAT} "
            "(float32).",
            "export it in float32 (without half); edge model quantize makes the smaller precisions.",
        )
    return shape
