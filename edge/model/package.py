"""A model package: the folder that a station can load, and nothing in it that was not hashed.

::

    NAME/
    ├── model.onnx      the prepared graph: uint8 (1, H, W, C) in, float32 (K, 6) and the raw heads out
    ├── manifest.toml   what it is, for which engines it is qualified, under which licences, sha256 of the rest
    ├── README.md       the model card
    └── golden/         seeds of synthetic frames and the outputs expected for them
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.errors import MissingExtra, ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMAT_VERSION: Literal[2] = 2
MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.toml"
README_FILE = "README.md"
GOLDEN_FOLDER = "golden"

CANDIDATES_NAME, HEADS_NAME = "candidates", "heads"  # the graph's outputs, in this order
CANDIDATE_WIDTH = 6  # x1, y1, x2, y2 in px of the network's input, score 0..1, class index

Color = Literal["mono8", "bgr8", "rgb8"]
Precision = Literal["fp32", "fp16", "int8"]
CHANNELS: dict[Color, int] = {"mono8": 1, "bgr8": 3, "rgb8": 3}

Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
PackagedFile = Annotated[str, Field(pattern=r"^(model\.onnx|golden/[A-Za-z0-9][A-Za-z0-9._-]*)$")]


class Strict(BaseModel):
    """Base of all parts of a manifest: frozen, finite, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Input(Strict):
    """What the network takes: ``width`` x ``height`` px of ``color``, and how a frame of another size gets there.

    ``stretch`` scales both sides on their own; ``letterbox`` keeps the aspect, centres the frame and fills the
    ``border`` with one grey value, 0..255.
    """

    width: Annotated[int, Field(ge=1, le=16384)]
    height: Annotated[int, Field(ge=1, le=16384)]
    color: Color
    resize: Literal["stretch", "letterbox"] = "stretch"
    border: Annotated[int, Field(ge=0, le=255)] = 114

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the engine's input, uint8."""
        return self.height, self.width, CHANNELS[self.color]


class Output(Strict):
    """What it returns: the best ``candidates`` (K) as (K, 6) float32: x1, y1, x2, y2 (input px), score, class."""

    candidates: Annotated[int, Field(ge=1, le=1000)] = 100


class Heads(Strict):
    """The graph's second output, for the golden gate alone: the network's own output, nothing done to it.

    N anchors (the sum of ``levels``, one count a pyramid level, in the network's order) of ``columns`` values: four of
    a box, in the family's own units, then scores 0..1.  ``layout`` ``rows`` is float32 (1, N, columns), ``columns`` is
    (1, columns, N).  ``ranked``: the network sorts by itself, so its rows are x1, y1, x2, y2, score, class like
    candidates, and their order means nothing.
    """

    columns: Annotated[int, Field(ge=5)]
    levels: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    layout: Literal["rows", "columns"] = "rows"
    ranked: bool = False

    @property
    def rows(self) -> int:
        """N, the number of anchors."""
        return sum(self.levels)

    @property
    def port_shape(self) -> tuple[int, int, int]:
        """The shape of the graph's output."""
        return (1, self.rows, self.columns) if self.layout == "rows" else (1, self.columns, self.rows)

    @model_validator(mode="after")
    def _of_candidates(self) -> Heads:
        if self.ranked and self.columns != CANDIDATE_WIDTH:
            raise ValueError(f"ranked heads have {CANDIDATE_WIDTH} columns, not {self.columns}")
        return self


class Nms(Strict):
    """Non-maximum suppression: the largest overlap that both of two candidates survive.  With 1 it drops nothing.

    ``vote``: overlap above which candidates, dropped ones too, pull a survivor's box to their mean; None leaves it.
    """

    class_aware: bool = True
    iou: Unit = 0.5
    vote: Unit | None = None


class Score(Strict):
    """``recommended`` threshold, and the ``candidate_floor`` below which the package vouches for nothing."""

    recommended: Unit = 0.5
    candidate_floor: Unit = 0.05

    @model_validator(mode="after")
    def _ordered(self) -> Score:
        if self.recommended < self.candidate_floor:
            raise ValueError(f"recommended ({self.recommended}) is below candidate_floor ({self.candidate_floor})")
        return self


class Tolerance(Strict):
    """How far outputs may stray from the golden ones (``edge.model.gate`` says how each is measured).

    ``score_abs`` and ``box_px`` (px of the input) are of candidates, ``heads_rel`` of the raw heads: root mean square
    of the deviation over that of the response, the worst level and column.
    """

    score_abs: Annotated[float, Field(gt=0.0, le=0.5)]
    box_px: Annotated[float, Field(gt=0.0)]
    heads_rel: Annotated[float, Field(gt=0.0, lt=1.0)]


class Pair(Strict):
    """An engine at a precision."""

    engine: Name
    precision: Name


class Qualified(Tolerance, Pair):
    """A pair that may decide, and its tolerance: at most ``TOLERANCE_CAPS``."""


PRECISIONS: dict[Precision, tuple[str, ...]] = {"fp32": ("fp32", "bf16"), "fp16": ("fp16",), "int8": ("int8",)}
"""Which precisions of a pair a graph of some precision may be run at."""

CAP_SIDE_PX = 256
TOLERANCE_CAPS: dict[str, Tolerance] = {
    "fp32": Tolerance(score_abs=0.005, box_px=1.0, heads_rel=0.01),
    "fp16": Tolerance(score_abs=0.03, box_px=2.0, heads_rel=0.06),
    "bf16": Tolerance(score_abs=0.15, box_px=5.0, heads_rel=0.3),
    "int8": Tolerance(score_abs=0.2, box_px=5.0, heads_rel=0.35),
}
"""The most that a manifest may grant a pair, by its precision: one and a half times to three times what sound networks
strayed, and in at least one of the three less than each broken one did (tests/support_broken.py).  Boxes: up to an
input of ``CAP_SIDE_PX``; for larger inputs in proportion, since the deviation of a side grows with the side."""


class Licences(Strict):
    """SPDX identifiers, or words where there is none."""

    weights: Text
    training_code: Text
    pretraining: Text
    data: Text


class Manifest(Strict):
    """The content of ``manifest.toml``.

    ``precision`` is of the graph's own arithmetic, and ``parent`` the identity of the package that it was made from, if
    it was; golden outputs are then the parent's.
    """

    format_version: Literal[2] = FORMAT_VERSION
    name: Name
    version: Name
    task: Literal["detect"] = "detect"
    family: Name
    precision: Precision = "fp32"
    parent: Text | None = None
    classes: Annotated[tuple[Text, ...], Field(min_length=1)]
    input: Input
    output: Output
    heads: Heads
    nms: Nms
    score: Score
    qualified: Annotated[tuple[Qualified, ...], Field(min_length=1)]
    licences: Licences
    files: dict[PackagedFile, Sha256]

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes repeat a name: {list(self.classes)}")
        pairs = [(q.engine, q.precision) for q in self.qualified]
        if len(set(pairs)) != len(pairs):
            raise ValueError(f"qualified repeats a pair: {pairs}")
        for pair in self.qualified:
            self._check_pair(pair)
        if MODEL_FILE not in self.files:
            raise ValueError(f"files lacks the sha256 of {MODEL_FILE}")
        return self

    def _check_pair(self, pair: Qualified) -> None:
        if pair.precision not in PRECISIONS[self.precision]:
            raise ValueError(f"no engine runs a graph of {self.precision} at {pair.precision} (engine {pair.engine})")
        granted = pair.model_dump()
        for name, most in self.cap(pair.precision).model_dump().items():
            if granted[name] > most:
                raise ValueError(f"{name} {granted[name]:g} of {pair.engine} {pair.precision} is above {most:g}")

    def cap(self, precision: str) -> Tolerance:
        """Return the most that this manifest may grant a pair at ``precision``: ``TOLERANCE_CAPS``, scaled."""
        cap = TOLERANCE_CAPS[precision]
        scale = max(1.0, max(self.input.width, self.input.height) / CAP_SIDE_PX)
        return cap.model_copy(update={"box_px": cap.box_px * scale})

    def tolerance(self, engine: str, precision: str) -> Qualified | None:
        """Return the entry of a qualified pair, or None where the pair is not qualified."""
        return next((q for q in self.qualified if (q.engine, q.precision) == (engine, precision)), None)


_NOT_OF_IDENTITY = frozenset({"qualified", "licences"})


@dataclass(frozen=True)
class ModelPackage:
    """A package whose files were found and matched their hashes when it was loaded."""

    path: Path
    manifest: Manifest

    @cached_property
    def identity(self) -> str:
        """Name, version and a digest of all that decides: what verdicts and records name.

        The digest is of the manifest and, through its hashes, of the graph: two packages of one graph that suppress
        otherwise are told apart.  Not counted are licences, and which engines are qualified: which of them decided
        stands beside the identity in every record.  Nor is what is at its default, so that keys can be added to the
        format; within one format version a default never changes.
        """
        decides = self.manifest.model_dump(mode="json", exclude=set(_NOT_OF_IDENTITY), exclude_defaults=True)
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        return f"{self.manifest.name}@{self.manifest.version}+{digest[:12]}"

    def read(self, file: str) -> bytes:
        """Return the bytes of a packaged file, hashed again, so that what runs is what the manifest names.

        Raises:
            ModelError: the file is missing, unreadable, unlisted, or not the one that was hashed.
        """
        expected = self.manifest.files.get(file)
        if expected is None:
            raise ModelError(
                f"{self.path / MANIFEST_FILE} lists no sha256 for {file}.", "prepare the package again from its export."
            )
        try:
            content = (self.path / file).read_bytes()
        except OSError as error:
            raise ModelError(
                f"{self.path / file} cannot be read: {error.strerror}.", "copy the whole package folder again."
            ) from error
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            raise ModelError(
                f"{self.path / file} has sha256 {found}, the manifest says {expected}.",
                "copy the package again; a changed network needs a package of its own (edge model prepare).",
            )
        return content


def load_package(path: Path) -> ModelPackage:
    """Load a package folder: every file must be there, and be the one that the manifest names.

    Whether ``model.onnx`` runs is for the engine to say, and whether it is right for the golden gate.

    Raises:
        ModelError: a missing folder or file, a manifest that cannot be used, a wrong hash, or an unlisted golden file.
    """
    if not path.is_dir():
        raise ModelError(f"Model package {path} is not a folder.", "give the path of a folder with a manifest.toml.")
    package = ModelPackage(path, read_manifest(path / MANIFEST_FILE))
    if not (path / README_FILE).is_file():
        raise ModelError(f"{path / README_FILE} is missing.", "copy the whole package folder; the model card is part.")
    for file in package.manifest.files:
        package.read(file)
    listed = {Path(file).name for file in package.manifest.files if file != MODEL_FILE}
    golden = path / GOLDEN_FOLDER
    unlisted = sorted({p.name for p in golden.iterdir()} - listed) if golden.is_dir() else []
    if unlisted:
        raise ModelError(
            f"{golden / unlisted[0]} is not listed in the manifest.", "remove it, or prepare the package again."
        )
    return package


def read_manifest(path: Path) -> Manifest:
    """Read and check ``manifest.toml``.

    Raises:
        ModelError: it is missing, is no TOML, or has a wrong, missing or unknown key.
    """
    try:
        return Manifest.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror}.", "give the path of a complete model package."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is no TOML: {error}.", "copy the package again; do not edit manifests.") from error
    except ValidationError as error:
        raise ModelError(
            f"{path}: {first_problem(error)}.", "prepare the package again (edge model prepare)."
        ) from error


def first_problem(error: ValidationError) -> str:
    """Return the first finding of a pydantic error as ``key: what is wrong (value)``, one line."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(step) for step in first["loc"]) or "the whole"
    value = repr(first["input"])
    return f"{where}: {first['msg']} (found {value if len(value) <= 80 else value[:77] + '...'})"


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write ``manifest.toml``.

    Raises:
        MissingExtra: tomli-w (extra ``model``) is not installed.
    """
    try:
        import tomli_w
    except ImportError as error:
        raise MissingExtra("tomli_w", "model") from error
    path.write_text(tomli_w.dumps(manifest.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
