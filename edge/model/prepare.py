"""From an exported network to a model package: prepared graph, manifest, model card and golden outputs."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from edge.engine.onnxruntime import OnnxRuntimeEngine
from edge.errors import ModelError
from edge.model.golden import GOLDEN_FILE, make_golden
from edge.model.graph import FAMILIES, splice
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
    first_problem,
    load_package,
    write_manifest,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Mean and standard deviation of ImageNet's training images in RGB, 0..1, as torchvision documents for its weights.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# FP32 differs between engines by the order of summation alone; measured deviations are a hundredth of these.
FP32_PAIRS = (
    Qualified(engine="onnxruntime", precision="fp32", score_abs=0.002, box_px=0.5),
    Qualified(engine="openvino", precision="fp32", score_abs=0.002, box_px=0.5),
)

Positive = Annotated[float, Field(gt=0.0)]


class PrepareSpec(Strict):
    """What the export does not say of itself.

    ``mean`` and ``std`` are in the network's own channel order, of pixels scaled to 0..1.
    """

    name: Name
    version: Name
    family: Name = "yolox"
    classes: Annotated[tuple[Text, ...], Field(min_length=1)]
    input: Input
    output: Output = Output()
    nms: Nms = Nms()
    score: Score = Score()
    qualified: Annotated[tuple[Qualified, ...], Field(min_length=1)] = FP32_PAIRS
    licences: Licences
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[Positive, Positive, Positive] = IMAGENET_STD


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

    The export takes ``(1, 3, H, W)`` float32, normalised RGB; its output is the family's (``edge.model.graph``).
    Golden outputs come from ONNX Runtime in FP32.  The model card is a stub of facts, to be completed: README.md is
    the one file that is not hashed.

    Args:
        progress: called with (done, of how many) while golden frames are searched, which takes nearly all the time.

    Raises:
        ModelError: ``out`` exists, or ``source`` is not what ``spec`` says.
        MissingExtra: onnx, tomli-w (extra ``model``) or onnxruntime is not installed.
    """
    if out.exists():
        raise ModelError(f"{out} exists already.", "choose another folder, or remove it: packages are never changed.")
    family = FAMILIES.get(spec.family)
    if family is None:
        raise ModelError(f"Family {spec.family!r} is unknown.", f"use one of: {', '.join(FAMILIES)}.")
    graph = splice(source, family, spec.input, len(spec.classes), spec.output.candidates, spec.mean, spec.std)
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        _write(work, graph, spec, progress)
        work.chmod(0o755)  # mkdtemp's 0700 would lock out the user that the station runs as
        os.rename(work, out)
    except BaseException:
        shutil.rmtree(work)
        raise
    return load_package(out)


def _write(folder: Path, graph: bytes, spec: PrepareSpec, progress: Callable[[int, int], None]) -> None:
    (folder / MODEL_FILE).write_bytes(graph)
    fields = spec.model_dump(exclude={"mean", "std"})
    files = {MODEL_FILE: hashlib.sha256(graph).hexdigest()}
    draft = ModelPackage(folder, Manifest(**fields, files=files))
    with OnnxRuntimeEngine(draft) as engine:
        golden = make_golden(draft, engine, progress)
    (folder / GOLDEN_FOLDER).mkdir()
    (folder / GOLDEN_FILE).write_bytes(golden)
    manifest = Manifest(**fields, files={**files, GOLDEN_FILE: hashlib.sha256(golden).hexdigest()})
    write_manifest(folder / MANIFEST_FILE, manifest)
    (folder / README_FILE).write_text(_card(manifest), encoding="utf-8")


def _card(manifest: Manifest) -> str:
    target, licences = manifest.input, manifest.licences
    pairs = "\n".join(f"| {q.engine} | {q.precision} | {q.score_abs:g} | {q.box_px:g} |" for q in manifest.qualified)
    return f"""# {manifest.name} {manifest.version}

{manifest.family} detector for {", ".join(manifest.classes)}.

Input {target.width} x {target.height} px, {target.color}, by {target.resize}; the best {manifest.output.candidates} \
candidates. Recommended score {manifest.score.recommended:g}; nothing is vouched for below \
{manifest.score.candidate_floor:g}.

| engine | precision | score tolerance | box tolerance, px |
|---|---|---|---|
{pairs}

Licences: weights {licences.weights}; training code {licences.training_code}; pretraining {licences.pretraining}; \
data {licences.data}.
"""
