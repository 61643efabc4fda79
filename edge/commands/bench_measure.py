"""What `edge bench` measures, each function in a process of its own: a station between a bench camera and gateway."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.capture.base import frame_shape
from edge.clock import NS_PER_MS, NS_PER_S, now_ns
from edge.commands.bench_line import TimedEngine, bench_devices
from edge.config import StationConfig
from edge.engine.base import Engine
from edge.engine.inspector import Inspector
from edge.engine.null import NullEngine
from edge.engine.select import NULL, Choice
from edge.errors import EngineError
from edge.model.golden import synthetic_frame
from edge.model.package import ModelPackage, load_package
from edge.realtime import settle
from edge.station.build import Deciding, assembled, deciding
from edge.station.loop import Station
from edge.wire.messages import PartRecord, decode_published

WARM_UP = 30
"""Parts after the gateway's grant that do not count yet."""

EARLY_RUNS = 4096
"""Room for runs in front of the measurement: until the grant and during the warm-up."""

PATIENCE_S = 30.0
PATIENCE_FACTOR = 10.0
"""A measurement is given up after this time and this many times what it should take."""

ROUNDS = 4
BARE_RUNS = 100
"""Bare calls and parts alternate in this many rounds, so that a slow spell of the machine meets both."""

ALLOCATION_PARTS = 100
PERIOD_MS = 10.0
SHORTEST_PERIOD_MS = 5.0
HEADROOM = 1.5
"""Period between parts over the time of one bare call: nothing queues, and the caches stay warm."""

_INSPECTED = frozenset({"clean", "rule", "saturated", "non_finite"})
"""Causes that come from a completed run of the engine."""

TOO_BUSY = "this machine is too busy to be measured: stop what else runs on it."


@dataclass(frozen=True)
class Figures:
    """One engine.  Times in ms, medians where nothing else is said.

    Attributes:
        bare_ms: one call on a ready input tensor, one after the other.
        engine_ms: the same call inside the station.
        end_to_end_ms: T1 to T3, frame complete to verdict sent.
        ratio: end_to_end_ms over bare_ms.
        overhead_p50_ms, overhead_p99_ms: T1 to T3 less the engine's own time, part by part.
        mean_ms, p99_ms: T1 to T2, frame in its slot to verdict.
        parts: that were measured.
        steady: the mean is below the period, so parts did not queue.  Times of a machine that is too busy for that say
            nothing about the station.
    """

    precision: str
    bare_ms: float
    engine_ms: float
    end_to_end_ms: float
    ratio: float
    overhead_p50_ms: float
    overhead_p99_ms: float
    mean_ms: float
    p99_ms: float
    parts: int
    steady: bool


def ready(config: StationConfig, started_ns: int) -> float:
    """Return the time from ``started_ns``, when this process was asked for, to a station that takes triggers, s."""
    with deciding(config) as decides, assembled(config, decides, bench_devices(PERIOD_MS)):
        settle()
        return round((now_ns() - started_ns) / NS_PER_S, 3)


def null(config: StationConfig, parts: int, folder: str) -> tuple[Figures, float, float]:
    """Measure the null engine.  Return its figures, and resident memory in MB before and after its parts."""
    package = load_package(Path(config.model.package))
    target, null_ms = package.manifest, config.model.null_ms
    period_ms = max(PERIOD_MS, 2 * null_ms)
    with NullEngine(target.input.shape, target.output.candidates, null_ms) as engine:
        decides = _decides(config, package, engine, Choice(*NULL, "its duration is fixed"))
        bare = _bare(engine, BARE_RUNS)
        measured, rss_start, rss_end = _stretch(config, decides, period_ms, parts, Path(folder, "null"))
    return figures(engine.precision, bare, measured, period_ms), rss_start, rss_end


def engine(config: StationConfig, choice: Choice, parts: int, folder: str) -> Figures:
    """Measure one engine: bare calls and parts in alternation."""
    model = config.model.model_copy(update={"engine": choice.engine, "precision": choice.precision})
    config = config.model_copy(update={"model": model})
    bare, measured = [], []
    with deciding(config) as decides:
        period_ms = max(HEADROOM * float(np.median(_bare(decides.engine, BARE_RUNS))), SHORTEST_PERIOD_MS)
        for turn in range(ROUNDS):
            bare.append(_bare(decides.engine, BARE_RUNS))
            file = Path(folder, f"{choice.engine}-{turn}")
            measured.append(_stretch(config, decides, period_ms, -(-parts // ROUNDS), file)[0])
    return figures(choice.precision, np.concatenate(bare), np.concatenate(measured), period_ms)


def allocated(config: StationConfig) -> int:
    """Return the most bytes that were held for one part beyond what was held before it, on the engine that decides."""
    period_ms = 2 * PERIOD_MS
    with deciding(config) as decides:
        timed = TimedEngine(decides.engine, EARLY_RUNS)
        wrapped = _decides(config, decides.package, timed, decides.choice)
        with assembled(config, wrapped, bench_devices(period_ms)) as running:
            settle()
            _warm_up(running, timed)
            tracemalloc.start()
            largest = 0
            for _ in range(ALLOCATION_PARTS):
                before = tracemalloc.get_traced_memory()[0]
                tracemalloc.reset_peak()
                _runs(running, timed, 1, period_ms)
                largest = max(largest, tracemalloc.get_traced_memory()[1] - before)
            tracemalloc.stop()
    return largest


def _decides(config: StationConfig, package: ModelPackage, engine: Engine, choice: Choice) -> Deciding:
    camera = config.camera
    shape = frame_shape(camera.width, camera.height, camera.color)
    return Deciding(package, engine, choice, Inspector(package, engine, shape, camera.color), camera)


def _bare(engine: Engine, runs: int) -> NDArray[np.float64]:
    """Return the times of ``runs`` calls on a ready input tensor, ms."""
    image = synthetic_frame(0, engine.input.shape)
    times = np.zeros(runs)
    for run in range(runs):
        start = now_ns()
        engine.run(image)
        times[run] = (now_ns() - start) / NS_PER_MS
    return times


def _stretch(
    config: StationConfig, decides: Deciding, period_ms: float, parts: int, file: Path
) -> tuple[NDArray[np.float64], float, float]:
    """Run a station for ``parts`` parts after the warm-up.

    Returns:
        (N, 3) ms: T1 to T2, T1 to T3 and the engine's own time of the parts measured; resident memory in MB before
        and after.
    """
    timed = TimedEngine(decides.engine, EARLY_RUNS + parts)
    wrapped = _decides(config, decides.package, timed, decides.choice)
    with assembled(config, wrapped, bench_devices(period_ms), file) as running:
        settle()
        _warm_up(running, timed)
        first, rss_start = timed.count, _resident_mb()
        _runs(running, timed, parts, period_ms)
        rss_end = _resident_mb()
    return samples(file, timed, first), rss_start, rss_end


def _warm_up(running: Station, timed: TimedEngine) -> None:
    """Work until the gateway has granted a session, and for some parts more."""
    _work(running, lambda: running.state(now_ns())[0] == "RUNNING", PATIENCE_S)
    _runs(running, timed, WARM_UP, PERIOD_MS)


def _runs(running: Station, timed: TimedEngine, parts: int, period_ms: float) -> None:
    goal = timed.count + parts
    _work(running, lambda: timed.count >= goal, PATIENCE_S + PATIENCE_FACTOR * parts * period_ms / 1e3)


def _work(running: Station, done: Callable[[], bool], patience_s: float) -> None:
    give_up = now_ns() + int(patience_s * NS_PER_S)
    while not done():
        running.turn()
        if now_ns() > give_up:
            state, reason = running.state(now_ns())
            raise EngineError(
                f"The station did not get through its parts in {patience_s:.0f} s ({state} {reason}).", TOO_BUSY
            )


def samples(file: Path, timed: TimedEngine, first: int) -> NDArray[np.float64]:
    """Join the records of the parts with the engine's runs from the ``first`` on; they came in one order, one a frame.

    Returns:
        As ``_stretch``, for the parts that were inspected and sent.

    Raises:
        EngineError: parts and runs do not belong together, or there are none.
    """
    records = [decode_published(line) for line in file.read_bytes().splitlines()]
    inspected = sorted(
        (r for r in records if isinstance(r, PartRecord) and r.t1_ns is not None and r.cause in _INSPECTED),
        key=lambda r: r.t1_ns or 0,
    )
    rows = []
    for record, (start, end) in list(zip(inspected, timed.runs_ns.tolist(), strict=False))[first:]:
        t1, t2, t3 = record.t1_ns, record.t2_ns, record.t3_ns
        if t1 is None or t2 is None or not t1 <= start < end <= t2:
            raise EngineError(
                f"Part {record.part} ended as {record.cause} and not by the engine's run from {start} to {end} ns.",
                TOO_BUSY,
            )
        if t3 is not None:
            rows.append((t2 - t1, t3 - t1, end - start))
    if not rows:
        raise EngineError(f"None of {len(records)} parts was inspected and sent.", TOO_BUSY)
    return np.array(rows, np.float64) / NS_PER_MS


def figures(precision: str, bare: NDArray[np.float64], measured: NDArray[np.float64], period_ms: float) -> Figures:
    """Return the figures of ``bare`` calls, (M,) ms, and of parts as ``_stretch`` returns them, one a ``period_ms``."""
    verdict, sent, engine = measured.T
    beyond = np.percentile(sent - engine, [50, 99])
    bare_ms, sent_ms = float(np.median(bare)), float(np.median(sent))
    return Figures(
        precision=precision,
        bare_ms=round(bare_ms, 4),
        engine_ms=round(float(np.median(engine)), 4),
        end_to_end_ms=round(sent_ms, 4),
        ratio=round(sent_ms / bare_ms, 4),
        overhead_p50_ms=round(float(beyond[0]), 4),
        overhead_p99_ms=round(float(beyond[1]), 4),
        mean_ms=round(float(verdict.mean()), 4),
        p99_ms=round(float(np.percentile(verdict, 99)), 4),
        parts=len(measured),
        steady=bool(verdict.mean() < period_ms),
    )


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 2)
