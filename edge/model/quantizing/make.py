"""``edge model quantize``: a package in INT8 or FP16 from one in FP32, with what it costs measured and told."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import ModelError
from edge.model.derive import Tried, child, shortfall
from edge.model.folder import require_absent
from edge.model.golden import golden_cases
from edge.model.package import MODEL_FILE, Manifest, ModelPackage, Precision
from edge.model.quantizing.effect import Effect
from edge.model.quantizing.fp16 import to_float16
from edge.model.quantizing.frames import staged_frames
from edge.model.quantizing.graph import SIGNED_LEVELS, UNSIGNED_LEVELS, points, quantized
from edge.model.quantizing.layers import Network
from edge.model.quantizing.ranges import METHODS, Progress, spreads
from edge.model.quantizing.sensitive import SENSITIVE, LayerEffect, choose

Target = Literal["int8", "fp16"]

ENGINES = ("onnxruntime", "openvino")
INT8_PAIRS = [(engine, "int8") for engine in ENGINES]


@dataclass(frozen=True)
class Quantization:
    """What was done to a graph, and what it cost.

    Attributes:
        precision: of the new graph.
        calibrated, measured: frames that ranges were taken from, and others that effects were measured on.
        lost: share of the FP32 candidates that the new graph loses on these others, 0..1.
        methods: in INT8, the same with all layers quantised, by the way ranges are chosen.
        method: the one that lost least.
        layers: in INT8, each layer's own effect, the largest on pictures first.
    """

    precision: Precision
    calibrated: int
    measured: int
    lost: float
    methods: dict[str, float]
    method: str
    layers: tuple[LayerEffect, ...]

    @property
    def in_float(self) -> tuple[LayerEffect, ...]:
        """The layers that were left in float."""
        return tuple(layer for layer in self.layers if layer.float_for != "none")


@dataclass(frozen=True)
class Result:
    """The new package, what was done to its graph, and the pairs that were tried on it."""

    package: ModelPackage
    quantization: Quantization
    tried: tuple[Tried, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "package": self.package.identity,
            "parent": self.package.manifest.parent,
            **asdict(self.quantization),
            "tried": [asdict(tried) for tried in self.tried],
        }


def quantize(
    package: ModelPackage,
    frames: Path,
    precision: Target,
    out: Path,
    signed: bool = False,
    progress: Progress = lambda *_: None,
) -> Result:
    """Make the package ``out`` in ``precision`` from one in FP32.

    Args:
        frames: folder of pictures from the line; of some the ranges are taken, on others the effects measured.
        precision: ``int8`` or ``fp16``.
        signed: int8 activations alone, as TensorRT needs them.
        progress: called with (what, done, of how many).

    Raises:
        ModelError: the package is not in FP32, ``out`` exists, ``signed`` without INT8, the pictures cannot be used or
            show nothing, or no engine keeps to the golden outputs within the caps of ``precision``.
        DatasetError: ``frames`` is a data set with errors.
        MissingExtra: onnx, tomli-w (extra ``model``) or onnxruntime is not installed.
    """
    own = package.manifest.precision
    if own != "fp32":
        raise ModelError(f"{package.identity} is in {own} already.", "give the package that it was made from.")
    require_absent(out)
    if signed and precision != "int8":
        raise ModelError(
            f"Signed activations were asked for in {precision}.", "leave --signed away, or quantise to int8."
        )
    calibrating, measuring = staged_frames(frames, package.manifest.input)
    content = package.read(MODEL_FILE)
    effect = Effect(content, measuring, package.manifest.score.candidate_floor)
    pairs = [(engine, precision) for engine in ENGINES]
    if precision == "int8":
        graph, done = _int8(package, calibrating, effect, signed, progress)
    else:
        graph = to_float16(content)
        done = Quantization(precision, 0, effect.frames, effect.of(graph), {}, "", ())
    made, tried = child(package, out, graph, precision, pairs, lambda manifest, tried: card(manifest, done, tried))
    return Result(made, done, tuple(tried))


def _int8(
    package: ModelPackage, frames: Sequence[NDArray[np.uint8]], effect: Effect, signed: bool, progress: Progress
) -> tuple[bytes, Quantization]:
    content = package.read(MODEL_FILE)
    cases = list(golden_cases(package))
    golden = [case.frame for case in cases]
    network = Network(content)
    every = points(network, network.layers).tensors
    # The golden frames too: they are synthetic, and what they excite must not be clipped to another verdict.
    spread = spreads(content, list(every), [*frames, *golden], progress)
    unsigned = frozenset() if signed else frozenset(name for name in every if not spread[name].signed)

    levels = {name: UNSIGNED_LEVELS if name in unsigned else SIGNED_LEVELS for name in every}
    ranges = {method: {name: pick(spread[name], levels[name]) for name in every} for method, pick in METHODS.items()}

    def graphs(method: str, layers: Collection[int]) -> bytes:
        return quantized(content, layers, ranges[method], unsigned)

    methods: dict[str, float] = {}
    for method in METHODS:
        methods[method] = effect.of(graphs(method, network.layers))
        progress("Comparing ranges", len(methods), len(METHODS))
    best = min(methods, key=lambda method: methods[method])
    floor = package.manifest.score.candidate_floor
    excited = any(float(case.expected[:, 4].max()) >= floor for case in cases)
    graph, effects = choose(
        [(at, network.nodes[at].name) for at in network.layers],
        partial(graphs, best),
        effect,
        Effect(content, golden, floor if excited else 0.0),
        lambda made: shortfall(package, made, "int8", INT8_PAIRS),
        progress,
    )
    done = Quantization("int8", len(frames) + len(golden), effect.frames, effect.of(graph), methods, best, effects)
    return graph, done


def card(manifest: Manifest, done: Quantization, tried: Sequence[Tried]) -> str:
    """Return the model card of the new package."""
    pairs = "\n".join(_pair_line(manifest, t) for t in tried)
    return f"""# {manifest.name} {manifest.version}

{manifest.parent} in {done.precision.upper()}, made by `edge model quantize`. What the parent's card says of data, \
split, limits and licences holds here; its figures do not.

On {done.measured} pictures that no range was taken from, {done.lost:.1%} of the FP32 candidates are lost. Each is
kept to the degree of IoU x (1 - |difference of scores|) with its best partner of the same class, and weighs its score.
{_int8_text(done)}
## Pairs

Largest deviations from the parent's golden outputs in FP32, and the tolerance granted.

| engine | precision | score | box, px | raw heads |
|---|---|---|---|---|
{pairs}
"""


def _int8_text(done: Quantization) -> str:
    if done.precision != "int8":
        return ""
    ways = "; ".join(f"{name} {lost:.1%}" for name, lost in done.methods.items())
    kept = "\n".join(
        f"| {layer.layer} | {layer.lost:.1%} | {_golden_text(layer)} | {layer.float_for} |" for layer in done.in_float
    )
    return f"""
Weights and activations are 8 bits wide in {len(done.layers) - len(done.in_float)} of {len(done.layers)} layers. \
Ranges come from {done.calibrated} frames, by the way that loses least with all layers quantised ({ways}). \
Kept in float is each layer that alone loses more than {SENSITIVE:.0%} on pictures; then those that lose most on the \
golden frames, as many as these need to hold with the margin of their tolerance:

| layer | lost alone, pictures | golden frames | kept for |
|---|---|---|---|
{kept or "| none | | | |"}
"""


def _golden_text(layer: LayerEffect) -> str:
    return "-" if layer.golden_lost is None else f"{layer.golden_lost:.1%}"


def _pair_line(manifest: Manifest, tried: Tried) -> str:
    granted, report = manifest.tolerance(tried.engine, tried.precision), tried.report
    if granted is None or report is None:
        return f"| {tried.engine} | {tried.precision} | not qualified: {tried.problem} | | |"
    return (
        f"| {tried.engine} | {tried.precision} | {report.score_abs:.4f} of {granted.score_abs:g} "
        f"| {report.box_px:.2f} of {granted.box_px:g} | {report.heads_rel:.3f} of {granted.heads_rel:g} |"
    )


def precision_of(text: str) -> Target:
    """Return a precision that ``quantize`` makes.

    Raises:
        ModelError: there is no such one.
    """
    if text == "int8":
        return "int8"
    if text == "fp16":
        return "fp16"
    raise ModelError(f"There is no quantisation to {text!r}.", "use int8 or fp16.")


def render(result: Result) -> str:
    """Return the outcome as text for a terminal."""
    done = result.quantization
    lines = [
        f"{result.package.identity} in {result.package.path}, from {result.package.manifest.parent}",
        f"loses {done.lost:.2%} of the FP32 candidates on {done.measured} other pictures",
    ]
    if done.layers:
        lines.append(f"ranges: {done.method} ({', '.join(f'{m} {lost:.2%}' for m, lost in done.methods.items())})")
        lines.append(f"{len(done.in_float)} of {len(done.layers)} layers kept in float; lost alone by each:")
        lines += [
            f"  pictures {layer.lost:6.2%}, golden frames {_golden_text(layer):>5}, kept for {layer.float_for}: "
            f"{layer.layer}"
            for layer in done.in_float
        ]
    for t in result.tried:
        text = f"not qualified: {t.problem}"
        if t.report is not None:
            text = f"score {t.report.score_abs:.4f}, box {t.report.box_px:.2f} px, raw heads {t.report.heads_rel:.3f}"
        lines.append(f"{t.engine} {t.precision}: {text}")
    return "\n".join(lines)
