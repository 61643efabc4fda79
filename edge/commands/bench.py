"""`edge bench overhead`: what the station costs beyond the bare engine call, measured through the station itself.

Pictures from memory pass through capture thread, mailbox, signal loop, inspect thread, ledger and publisher to a
gateway process that acknowledges; nothing of the station is replaced.  Each engine is measured in a process of its
own, since the threads of one disturb the other.
"""

from __future__ import annotations

import logging
import multiprocessing
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from edge.clock import now_ns, wall_iso
from edge.commands import bench_measure as measure
from edge.commands.bench_line import bench_config, bench_gateway
from edge.commands.bench_measure import Figures
from edge.config import CameraConfig, RecipeConfig, RuleConfig, StationConfig
from edge.engine.select import PREFERENCE, Choice, choose
from edge.errors import EdgeError, EngineError, ModelError
from edge.model.package import MODEL_FILE, ModelPackage, load_package
from edge.record import qualified
from edge.station.hang import EngineHung

PARTS = 2000
ENGINE_PARTS = 2000
"""Most parts for each engine: enough for a 99th percentile."""

_log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Overhead:
    """The whole measurement.

    Attributes:
        null: the null engine, whose duration is fixed; resident memory was read before and after its parts.
        engines: by name.
        allocated_bytes_max: the most that Python and NumPy held at once for one part beyond what they held before it.
            No single block that was allocated for a frame can have been larger.
        ready_s: from the start of a process to a station that takes triggers.
        qualified_file: where mean and p99 of each steady engine were kept, for `edge check`.
    """

    frame: str
    model: str
    null: Figures
    engines: dict[str, Figures]
    allocated_bytes_max: int
    rss_start_mb: float
    rss_end_mb: float
    ready_s: float
    qualified_file: str

    def as_dict(self) -> dict[str, Any]:
        """Return the measurement as plain values."""
        return {
            "frame": self.frame,
            "model": self.model,
            "overhead_ms": {"p50": self.null.overhead_p50_ms, "p99": self.null.overhead_p99_ms},
            "null": asdict(self.null),
            "engines": {name: asdict(figures) for name, figures in self.engines.items()},
            "allocated_bytes_max": self.allocated_bytes_max,
            "rss_mb": {"start": self.rss_start_mb, "end": self.rss_end_mb},
            "ready_s": self.ready_s,
            "qualified_file": self.qualified_file,
        }


def default_config() -> StationConfig:
    """Return what is measured without a configuration: the default model on frames of 1280 x 1024 px, Mono8."""
    return StationConfig(
        camera=CameraConfig(width=1280, height=1024),
        recipe=RecipeConfig(rules=(RuleConfig(name="any defect"),)),
    )


def overhead(config: StationConfig, parts: int = PARTS, say: Say = _log.info) -> Overhead:
    """Measure the station on this machine, and keep what `edge check` needs.

    Args:
        config: whose model, recipe, frame and pool are used; camera, trigger and gateway are the bench's own.
        parts: of the null engine's run; the engines get at most ``ENGINE_PARTS``.
        say: told what happens next.

    Raises:
        EdgeError: the package or an engine must not decide, or the machine is too slow for what was asked.
    """
    package = load_package(Path(config.model.package))
    pairs = _pairs(package, config)
    frame = f"{config.camera.width}x{config.camera.height} {config.camera.color}"
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as name:
        bench = bench_config(config, Path(name))
        with bench_gateway(str(bench.gateway.endpoint)):
            say("Starting a station")
            ready_s = _in_process(measure.ready, bench, now_ns())
            say(f"Null engine, {parts} parts")
            null, rss_start, rss_end = _in_process(measure.null, bench, parts, name)
            say(f"Allocations, {measure.ALLOCATION_PARTS} parts")
            allocated = _in_process(measure.allocated, bench)
            engines = {}
            for pair in pairs:
                say(f"{pair.engine} {pair.precision}, {min(parts, ENGINE_PARTS)} parts")
                engines[pair.engine] = _in_process(measure.engine, bench, pair, min(parts, ENGINE_PARTS), name)
    for engine, figures in engines.items():
        if figures.steady:
            qualified.write(
                qualified.key(
                    package.manifest.files[MODEL_FILE], engine, figures.precision, config.model.threads, frame
                ),
                qualified.Qualified(figures.mean_ms, figures.p99_ms, figures.parts, wall_iso()),
            )
    file = str(qualified.state_file())
    return Overhead(frame, package.identity, null, engines, allocated, rss_start, rss_end, ready_s, file)


def render(report: Overhead) -> str:
    """Return the measurement as text for a terminal."""
    lines = [
        f"{report.frame}, {report.model}",
        f"overhead  p50 {report.null.overhead_p50_ms:.2f} ms, p99 {report.null.overhead_p99_ms:.2f} ms"
        f"  (T1 to T3 less the engine's time, {report.null.parts} parts, null engine)",
        f"allocated at most {report.allocated_bytes_max} bytes a part",
        f"resident  {report.rss_start_mb:.1f} MB before, {report.rss_end_mb:.1f} MB after",
        f"ready     {report.ready_s:.2f} s after the start of the process",
        "",
        f"{'engine':<20} {'bare':>8} {'T1 to T3':>9} {'ratio':>6} {'mean':>8} {'p99':>8}  (ms)",
    ]
    for name, f in report.engines.items():
        lines.append(
            f"{f'{name} {f.precision}':<20} {f.bare_ms:8.2f} {f.end_to_end_ms:9.2f} {f.ratio:6.3f}"
            f" {f.mean_ms:8.2f} {f.p99_ms:8.2f}{'' if f.steady else '  parts queued: this machine is busy; not kept'}"
        )
    return "\n".join([*lines, "", f"mean and p99 (T1 to T2) are kept in {report.qualified_file}"])


def _pairs(package: ModelPackage, config: StationConfig) -> list[Choice]:
    """Return, for each engine that may run here, the precision that ``config`` gives it."""
    found = []
    for engine in dict.fromkeys(engine for engine, _ in PREFERENCE):
        try:
            found.append(choose(package, engine, config.model.precision))
        except ModelError:
            continue  # not qualified or not installed: `choose` below says why if none is left
    return found or [choose(package, "auto", config.model.precision)]


# -- in processes of their own ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Failure:
    problem: str
    remedy: str


def _in_process(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run ``work`` in a fresh process and return what it returns.

    Raises:
        EngineError: it raised an ``EdgeError``, or the process died.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        try:
            result = executor.submit(_guarded, work, *args, **kwargs).result()
        except BrokenProcessPool:
            raise EngineError("The measuring process died.", "run edge doctor, and look for its last words.") from None
    if isinstance(result, _Failure):
        raise EngineError(result.problem, result.remedy)
    return result  # type: ignore[no-any-return]


def _guarded(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return work(*args, **kwargs)
    except EdgeError as error:
        return _Failure(error.problem, error.remedy)
    except EngineHung as error:
        return _Failure(str(error), measure.TOO_BUSY)
