"""What exporters write into an ONNX file about the network: names of classes, stride, input size, task, suppression.

Ultralytics' exports (YOLOv8 and later) and YOLOv5's carry it, YOLOX's and YOLOv7's do not.  Values are the ``repr`` of
Python literals, read by ``ast.literal_eval`` and never evaluated.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import ModelError
from edge.model.package import Input

MAX_CHARACTERS = 1_000_000  # of one value; beyond it is no list of names, and the parser may exhaust the stack
DETECT = "detect"
RTDETR = "RTDETRDecoder"  # its (1, k, 6) looks like an NMS-free YOLO's, but is normalised centres and sides


@dataclass(frozen=True)
class Metadata:
    """What an export says of itself; None where it says nothing.

    Attributes:
        classes: by index.
        stride: the largest, px.
        size: (height, width) of the input, px.
        end_to_end: the network suppresses by itself.
        suppressed: the exporter added suppression behind the network.
    """

    classes: tuple[str, ...] | None = None
    stride: int | None = None
    size: tuple[int, int] | None = None
    task: str | None = None
    head: str | None = None
    end_to_end: bool | None = None
    suppressed: bool = False


def read_metadata(source: Path, entries: Mapping[str, str]) -> Metadata:
    """Read the ``metadata_props`` of an export.

    Raises:
        ModelError: an entry that is used here is no literal, or not of the kind expected.
    """
    size = _literal(source, entries, "imgsz")
    stride = _literal(source, entries, "stride")
    end_to_end = _literal(source, entries, "end2end")
    arguments = _literal(source, entries, "args")
    if size is not None and not _is_size(size):
        raise _unusable(source, "imgsz", size, "[height, width]")
    if stride is not None and not (type(stride) is int and stride > 0):
        raise _unusable(source, "stride", stride, "a number of px")
    if end_to_end is not None and type(end_to_end) is not bool:
        raise _unusable(source, "end2end", end_to_end, "True or False")
    return Metadata(
        classes=_classes(source, _literal(source, entries, "names")),
        stride=stride,
        size=None if size is None else (size[0], size[1]),
        task=entries.get("task"),
        head=entries.get("head"),
        end_to_end=end_to_end,
        suppressed=isinstance(arguments, dict) and bool(arguments.get("nms")),
    )


def check_metadata(source: Path, metadata: Metadata, target: Input) -> None:
    """Check that an export is a bare detector for ``target``.

    Raises:
        ModelError: another task, decoder, input size or stride, or suppression was added to it.
    """
    if metadata.task not in (None, DETECT):
        raise ModelError(
            f"{source} is a network for task {metadata.task!r}, not {DETECT!r}.", "train and export a detector."
        )
    if metadata.head == RTDETR:
        raise ModelError(f"{source} has the head of RT-DETR, which is no known family.", "export a network of another.")
    if metadata.suppressed:
        raise ModelError(
            f"{source} was exported with suppression inside, which hides the scores below its threshold.",
            "export it again without nms=True.",
        )
    if metadata.size is not None and metadata.size != (target.height, target.width):
        height, width = metadata.size
        raise ModelError(
            f"{source} was exported for {width} x {height} px, the input is to be {target.width} x {target.height}.",
            "set input.width and input.height to those of the export, or export it again.",
        )

    if metadata.stride is not None and (target.width % metadata.stride or target.height % metadata.stride):
        raise ModelError(
            f"{source} says that its largest stride is {metadata.stride} px, which does not divide the input, "
            f"{target.width} x {target.height} px.",
            f"export it again with sides that are multiples of {metadata.stride} px.",
        )


def resolve_classes(source: Path, metadata: Metadata, told: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the names of the classes, by index: as told, or else as the export says.

    Raises:
        ModelError: neither says, or they contradict each other.
    """
    if told is None and metadata.classes is None:
        raise ModelError(f"{source} does not name its classes.", "list them in the spec: classes = [...].")
    if told is not None and metadata.classes not in (None, told):
        raise ModelError(
            f"The spec names classes {_shown(told)}, {source} has {_shown(metadata.classes or ())}.",
            "leave classes out of the spec, or correct them: their order is the network's.",
        )
    return told or metadata.classes or ()


def _is_size(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(type(side) is int for side in value)


def _classes(source: Path, names: Any) -> tuple[str, ...] | None:
    """Names by index, from ``{0: 'a', 1: 'b'}`` or, in older exports, ``['a', 'b']``."""
    if names is None:
        return None
    if isinstance(names, list | tuple):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or set(map(_kind, names)) != set(map(_kind, range(len(names)))):
        raise _unusable(source, "names", names, "{0: name, 1: name...} without gaps")
    classes = tuple(names[index] for index in range(len(names)))
    if not all(isinstance(name, str) and name for name in classes) or len(set(classes)) < len(classes):
        raise _unusable(source, "names", names, "names that differ")
    return classes


def _kind(key: object) -> tuple[type, object]:
    """Tell 1 from True and 1.0, which are equal."""
    return type(key), key


def _literal(source: Path, entries: Mapping[str, str], key: str) -> Any:
    text = entries.get(key)
    if text is None:
        return None
    try:
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"{len(text)} characters")
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise _unusable(source, key, text, "a Python literal") from error


def _unusable(source: Path, key: str, value: object, expected: str) -> ModelError:
    return ModelError(
        f"The metadata of {source} has {key} = {_shown(value)}, not {expected}.",
        "export the network again, or remove that entry.",
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
