"""From an exported network to a model package: prepared graph, manifest, model card and golden outputs."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from edge.engine.onnxruntime import OnnxRuntimeEngine
from edge.errors import ModelError
from edge.model.excite import make_golden
from edge.model.export import read_export
from edge.model.families import FAMILIES, Family, Normalisation
from edge.model.families.recognise import recognise
from edge.model.folder import require_absent, whole_folder
from edge.model.golden import GOLDEN_FILE
from edge.model.graph import splice
from edge.model.metadata import resolve_classes
from edge.model.package import (
    GOLDEN_FOLDER,
    MANIFEST_FILE,
    MODEL_FILE,
    README_FILE,
    Input,
    Licences,
    Manifest,
    ModelPackage,
    Name,
    Nms,
    Output,
    Qualified,
    Score,
    Strict,
    Text,
    Tolerance,
    first_problem,
    load_package,
    write_manifest,
)
from edge.model.plausible import check_plausible

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# FP32 differs between engines by the order of summation alone; measured deviations are a hundredth of these.
FP32_TOLERANCE = Tolerance(score_abs=0.002, box_px=0.5, heads_rel=0.002)
FP32_PAIRS = tuple(
    Qualified(engine=engine, precision="fp32", **FP32_TOLERANCE.model_dump()) for engine in ("onnxruntime", "openvino")
)

NO_NMS = Nms(iou=1.0)  # no overlap is larger

Positive = Annotated[float, Field(gt=0.0)]


class PrepareSpec(Strict):
    """What the export does not say of itself.

    Attributes:
        family: recognised by the export's output where it is left out.
        classes: by index; taken from the export's metadata where they are left out.
        nms: 0.5 within a class where it is left out; off for families that suppress by themselves.
        network_color: the channel order that the network was trained with; of no matter for mono8 frames.
        mean, std: in that order, of pixels scaled to 0..1: the network gets (pixel / 255 - mean) / std.

    Families whose exports are all alike say the last three themselves.
    """

    name: Name
    version: Name
    family: Name | None = None
    classes: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    input: Input
    output: Output = Output()
    nms: Nms | None = None
    score: Score = Score()
    qualified: Annotated[tuple[Qualified, ...], Field(min_length=1)] = FP32_PAIRS
    licences: Licences
    network_color: Literal["rgb8", "bgr8"] | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[Positive, Positive, Positive] | None = None


def read_spec(path: Path) -> PrepareSpec:
    """Read a ``PrepareSpec`` from a TOML file.

    Raises:
        ModelError: it is missing, is no TOML, or has a wrong, missing or unknown key.
    """
    try:
        return PrepareSpec.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.", "give the path of a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is no TOML: {error}.", "correct it.") from error
    except ValidationError as error:
        raise ModelError(f"{path}: {first_problem(error)}.", "correct that key.") from error


def prepare(
    source: Path, out: Path, spec: PrepareSpec, progress: Callable[[int, int], None] = lambda *_: None
) -> ModelPackage:
    """Turn the exported network ``source`` into the package folder ``out``, which appears complete or not at all.

    The export takes ``(1, 3, H, W)`` float32; its output is that of its family (``edge.model.families``).
    Golden outputs come from ONNX Runtime in FP32.  The model card is a stub of facts, to be completed: README.md is
    the one file that is not hashed.

    Args:
        progress: called with (done, of how many) while golden frames are searched, which takes nearly all the time.

    Raises:
        ModelError: ``out`` exists, or ``source`` is not what ``spec`` says.
        MissingExtra: onnx, tomli-w (extra ``model``) or onnxruntime is not installed.
    """
    require_absent(out)
    graph, fields = prepare_graph(source, spec)
    with whole_folder(out) as folder:
        write_package(folder, graph, fields, progress)
    return load_package(out)


def prepare_graph(source: Path, spec: PrepareSpec) -> tuple[bytes, dict[str, Any]]:
    """Return the prepared graph of an export, as ONNX bytes, and the fields of its manifest but ``files``.

    Raises:
        ModelError: ``source`` is not what ``spec`` says, or neither says something that is needed.
        MissingExtra: onnx (extra ``model``) is not installed.
    """
    export = read_export(source, spec.input)
    classes = resolve_classes(source, export.metadata, spec.classes)
    name, heads = recognise(export, FAMILIES, spec.family, spec.input, len(classes))
    family = FAMILIES[name]
    normalisation = _normalisation(spec, name, family)
    graph = splice(export, family, heads, spec.input, normalisation, spec.output.candidates)
    fields: dict[str, Any] = {
        **spec.model_dump(exclude={"network_color", "mean", "std"}),
        "family": name,
        "classes": classes,
        "heads": heads,
        "nms": spec.nms or (NO_NMS if family.end_to_end else Nms()),
    }
    return graph, fields


def _normalisation(spec: PrepareSpec, name: str, family: Family) -> Normalisation:
    """Return what the network takes: what the spec says of it, else what is true of the whole family."""
    usual = family.normalisation
    color, mean, std = spec.network_color, spec.mean, spec.std
    if usual is not None:
        return Normalisation(color or usual.color, mean or usual.mean, std or usual.std)
    if color is None and spec.input.color == "mono8":
        color = "rgb8"  # three equal channels have no order
    if color is None or mean is None or std is None:
        told = {"network_color": color, "mean": mean, "std": std}
        missing = ", ".join(key for key, value in told.items() if value is None)
        raise ModelError(
            f"The spec says no {missing}, and exports of family {name} differ in it.",
            "take them from the code that trained the network (YOLOX's own takes BGR, 0..255: network_color "
            '"bgr8", mean [0, 0, 0], std three times 0.00392156862745098).',
        )
    return Normalisation(color, mean, std)


def write_package(folder: Path, graph: bytes, fields: dict[str, Any], progress: Callable[[int, int], None]) -> None:
    """Write the files of a package into an empty folder: a prepared graph, golden outputs, manifest and card.

    Args:
        fields: of the manifest, all but ``files``.

    Raises:
        ModelError: the graph is not what ``fields`` says, or returns what cannot be of its family, or no numbers.
    """
    (folder / MODEL_FILE).write_bytes(graph)
    files = {MODEL_FILE: hashlib.sha256(graph).hexdigest()}
    draft = ModelPackage(folder, Manifest(**fields, files=files))
    with OnnxRuntimeEngine(draft) as engine:
        check_plausible(draft, engine)
        golden = make_golden(draft, engine, progress)
    (folder / GOLDEN_FOLDER).mkdir()
    (folder / GOLDEN_FILE).write_bytes(golden)
    manifest = Manifest(**fields, files={**files, GOLDEN_FILE: hashlib.sha256(golden).hexdigest()})
    write_manifest(folder / MANIFEST_FILE, manifest)
    (folder / README_FILE).write_text(_card(manifest), encoding="utf-8")


def _card(manifest: Manifest) -> str:
    target, licences = manifest.input, manifest.licences
    pairs = "\n".join(
        f"| {q.engine} | {q.precision} | {q.score_abs:g} | {q.box_px:g} | {q.heads_rel:g} |" for q in manifest.qualified
    )
    return f"""# {manifest.name} {manifest.version}

{manifest.family} detector for {", ".join(manifest.classes)}.

Input {target.width} x {target.height} px, {target.color}, by {target.resize}; the best {manifest.output.candidates} \
candidates. Recommended score {manifest.score.recommended:g}; nothing is vouched for below \
{manifest.score.candidate_floor:g}.

| engine | precision | score tolerance | box tolerance, px | raw heads, relative |
|---|---|---|---|---|
{pairs}

Licences: weights {licences.weights}; training code {licences.training_code}; pretraining {licences.pretraining}; \
data {licences.data}.
"""
