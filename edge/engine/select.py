"""Which engine runs a package here: only pairs that its manifest qualifies, and always with the reason said."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from dataclasses import dataclass

from edge.engine.base import Engine
from edge.errors import ModelError
from edge.model.package import ModelPackage

_log = logging.getLogger(__name__)

AUTO = "auto"

# (engine, precision), fastest first as measured on x86 CPUs with bfloat16.
PREFERENCE: tuple[tuple[str, str], ...] = (
    ("openvino", "int8"),
    ("openvino", "bf16"),
    ("openvino", "fp32"),
    ("onnxruntime", "int8"),
    ("onnxruntime", "fp32"),
    ("openvino", "fp16"),
    ("onnxruntime", "fp16"),
)
NULL = ("null", "none")


@dataclass(frozen=True)
class Choice:
    """An engine at a precision, and why it was chosen, in words for a person."""

    engine: str
    precision: str
    reason: str


def choose(package: ModelPackage, engine: str = AUTO, precision: str = AUTO) -> Choice:
    """Choose what runs ``package`` on this machine.

    ``auto`` takes the first pair of ``PREFERENCE`` that the manifest qualifies and that can run here; a named engine
    or precision narrows that down and never widens it.  The null engine must be asked for by name.

    Raises:
        ModelError: no such pair, with the reason for each.
    """
    if engine == NULL[0]:
        return Choice(*NULL, "asked for by name; it looks at nothing and must not decide about parts")
    passed_over: list[str] = []
    for pair in PREFERENCE:
        if engine not in (AUTO, pair[0]) or precision not in (AUTO, pair[1]):
            continue
        why_not = obstacle(package, *pair)
        if why_not is None:
            reason = "qualified by the manifest and available here"
            return Choice(*pair, "; ".join([reason, *passed_over]))
        passed_over.append(f"not {pair[0]} {pair[1]}: {why_not}")
    raise ModelError(
        f"No engine may run {package.identity} as engine {engine!r}, precision {precision!r}: "
        f"{'; '.join(passed_over) or 'there is no such pair'}.",
        f"choose a qualified pair ({_pairs(package)}), or qualify another (edge model qualify).",
    )


def obstacle(package: ModelPackage, engine: str, precision: str) -> str | None:
    """Say why a pair cannot run ``package`` here, or None if it can."""
    if package.manifest.tolerance(engine, precision) is None:
        return "the manifest does not qualify it"
    if (engine, precision) not in PREFERENCE:
        return "this software has no such engine"
    if importlib.util.find_spec(engine) is None:
        return f"the Python module {engine} is not installed"
    if engine == "openvino":
        from edge.engine.openvino import supported_precisions

        if precision not in supported_precisions():
            return "this CPU does not have it"
    return None


def import_libraries() -> None:
    """Import each engine's library that is installed, in front of the first part.

    Beside a running line, for a model that is activated, an import holds the interpreter for 40 ms at a time (either
    library, measured), and with it the thread that carries verdicts.
    """
    for library in sorted({engine for engine, _ in PREFERENCE}):
        if importlib.util.find_spec(library) is not None:
            try:
                importlib.import_module(library)
            except ImportError as error:  # what decides may not need it
                _log.warning("%s is installed and cannot be imported: %s.", library, error)


def build(package: ModelPackage, choice: Choice, threads: int = 0, null_ms: float = 0.0) -> Engine:
    """Build the chosen engine, warmed up by one run.  It must still pass the golden gate before it may decide.

    Args:
        threads: of the library; 0 leaves it to the library.
        null_ms: duration of one run of the null engine.

    Raises:
        ModelError: the package's graph cannot be loaded, or the choice names no engine.
        EngineError: the library does not run what was asked for.
        MissingExtra: the library is not installed.
    """
    if (choice.engine, choice.precision) == ("onnxruntime", package.manifest.precision):
        from edge.engine.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(package, threads)
    if choice.engine == "openvino":
        from edge.engine.openvino import OpenVinoEngine

        return OpenVinoEngine(package, choice.precision, threads)
    if choice.engine == NULL[0]:
        from edge.engine.null import NullEngine

        return NullEngine(package.manifest.input.shape, package.manifest.output.candidates, null_ms)
    raise ModelError(
        f"There is no engine {choice.engine!r} at {choice.precision!r}.", f"choose a qualified pair: {_pairs(package)}."
    )


def _pairs(package: ModelPackage) -> str:
    return ", ".join(f"{q.engine} {q.precision}" for q in package.manifest.qualified)
