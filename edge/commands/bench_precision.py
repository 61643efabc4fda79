"""`edge bench precision`: what one frame takes at each precision, engines beside each other in one run.

Each engine has a process of its own, since the threads of one disturb the other.  Short blocks of frames alternate
between them, so that a slow spell of the machine meets all.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.capture.base import frame_shape
from edge.clock import NS_PER_MS, now_ns
from edge.commands.bench_line import TimedEngine
from edge.commands.bench_measure import TOO_BUSY
from edge.engine.base import Engine
from edge.engine.inspector import Inspector
from edge.engine.select import Choice, build, obstacle
from edge.errors import EdgeError, EngineError, ModelError
from edge.model.gate import golden_gate
from edge.model.golden import synthetic_frame
from edge.model.package import CHANNELS, ModelPackage, load_package
from edge.realtime import settle

BLOCKS = 20
FRAMES = 50
"""Blocks of each engine, and frames of each block: 1,000 frames give a 99th percentile."""

WARM_UP = 30
PICTURES = 16
PATIENCE_S = 60.0

SPEED_UP = 1.4
INT8_MS, FP32_MS = 10.0, 20.0
"""Targets: INT8 against FP32, and the median answers on one 200 x 200 frame."""


@dataclass(frozen=True)
class Pair:
    """An engine at a precision, and the package folder that it runs."""

    package: str
    engine: str
    precision: str


@dataclass(frozen=True)
class Timing:
    """One pair, ms.

    Attributes:
        engine_p50_ms, engine_p99_ms: one call of the engine on a ready input.
        answer_p50_ms, answer_p99_ms: from a frame to its findings: staging, engine, suppression.
        convolutions: how many ran at each precision, as the library names it; empty where it does not tell.
    """

    identity: str
    engine: str
    precision: str
    engine_p50_ms: float
    engine_p99_ms: float
    answer_p50_ms: float
    answer_p99_ms: float
    frames: int
    convolutions: dict[str, int]


@dataclass(frozen=True)
class Precision:
    """The whole measurement: timings in the order asked for."""

    frame: str
    threads: int
    timings: tuple[Timing, ...]

    @property
    def speed_up(self) -> dict[str, float]:
        """How many times as fast as its FP32 each pair's engine call is, by engine and precision."""
        base = {t.engine: t.engine_p50_ms for t in self.timings if t.precision == "fp32"}
        return {
            f"{t.engine} {t.precision}": round(base[t.engine] / t.engine_p50_ms, 3)
            for t in self.timings
            if t.engine in base and t.precision != "fp32"
        }

    @property
    def misses(self) -> tuple[str, ...]:
        """The targets missed by OpenVINO, in words; pairs that were not measured miss nothing."""
        found = {t.precision: t for t in self.timings if t.engine == "openvino"}
        out = []
        ratio = self.speed_up.get("openvino int8")
        if ratio is not None and ratio < SPEED_UP:
            out.append(f"INT8 is {ratio:.2f} times as fast as FP32, not {SPEED_UP}")
        for precision, limit in (("int8", INT8_MS), ("fp32", FP32_MS)):
            if precision in found and found[precision].answer_p50_ms > limit:
                out.append(f"{precision} answers in {found[precision].answer_p50_ms:.2f} ms, not {limit:g}")
        return tuple(out)

    @property
    def holds(self) -> bool:
        """True where no target is missed."""
        return not self.misses

    def as_dict(self) -> dict[str, Any]:
        """Return the measurement as plain values."""
        return {
            "frame": self.frame,
            "threads": self.threads,
            "timings": [asdict(timing) for timing in self.timings],
            "speed_up": self.speed_up,
            "misses": list(self.misses),
            "holds": self.holds,
        }


def pairs(folders: Sequence[Path]) -> list[Pair]:
    """Return every qualified pair of the packages that can run here.

    Raises:
        ModelError: a package cannot be used, or none of its pairs can run here.
    """
    out: list[Pair] = []
    for folder in folders:
        package = load_package(folder)
        qualified = package.manifest.qualified
        whys = {q: obstacle(package, q.engine, q.precision) for q in qualified}
        found = [Pair(str(folder), q.engine, q.precision) for q in qualified if whys[q] is None]
        if not found:
            reasons = "; ".join(f"{q.engine} {q.precision}: {why}" for q, why in whys.items())
            raise ModelError(f"No qualified engine of {package.identity} can run here ({reasons}).", "install one.")
        out += found
    return out


def measure(
    wanted: Sequence[Pair], width: int, height: int, threads: int, blocks: int = BLOCKS, frames: int = FRAMES
) -> Precision:
    """Measure every pair on frames of ``width`` x ``height`` px.

    Args:
        threads: of each engine; only one works at a time.
        blocks: of each pair; every other round goes the other way round.

    Raises:
        EngineError: an engine must not decide, or its process died.
    """
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(pair, width, height, threads)) for pair in wanted]
        engines = [_received(worker) for worker in workers]
        samples: list[list[NDArray[np.float64]]] = [[] for _ in workers]
        for turn in range(blocks):
            order = range(len(workers)) if turn % 2 == 0 else reversed(range(len(workers)))
            for at in order:
                workers[at].send(frames)
                samples[at].append(_received(workers[at]))
    timings = [
        _timing(pair, identity, convolutions, np.concatenate(rows))
        for pair, (identity, convolutions), rows in zip(wanted, engines, samples, strict=True)
    ]
    return Precision(f"{width} x {height} px", threads, tuple(timings))


def _timing(pair: Pair, identity: str, convolutions: dict[str, int], rows: NDArray[np.float64]) -> Timing:
    """Return the figures of ``rows``, (N, 2) ms: the engine's call, and the whole answer."""
    (engine_p50, answer_p50), (engine_p99, answer_p99) = np.percentile(rows, [50, 99], axis=0).round(3).tolist()
    times = (engine_p50, engine_p99, answer_p50, answer_p99)
    return Timing(identity, pair.engine, pair.precision, *times, len(rows), convolutions)


def render(report: Precision) -> str:
    """Return the measurement as text for a terminal."""
    lines = [
        f"{report.frame} frames, {report.threads} threads; ms",
        f"{'':<20} {'engine p50':>10} {'p99':>8} {'answer p50':>11} {'p99':>8}  {'to FP32':>8}",
    ]
    for t in report.timings:
        ratio = report.speed_up.get(f"{t.engine} {t.precision}")
        lines.append(
            f"{f'{t.engine} {t.precision}':<20} {t.engine_p50_ms:10.2f} {t.engine_p99_ms:8.2f} {t.answer_p50_ms:11.2f}"
            f" {t.answer_p99_ms:8.2f}  {f'{ratio:.2f} x' if ratio else '':>8}  {t.identity}"
        )
    for t in report.timings:
        if t.convolutions:
            ran = ", ".join(f"{count} {name}" for name, count in sorted(t.convolutions.items()))
            lines.append(f"{t.engine} {t.precision}: convolutions that ran: {ran}")
    return "\n".join([*lines, *(f"missed: {miss}" for miss in report.misses)])


# -- in processes of their own ----------------------------------------------------------------------------------------


@contextmanager
def _worker(pair: Pair, width: int, height: int, threads: int) -> Iterator[Connection]:
    """Run a pair in a process: it sends its identity and convolutions; then takes numbers of frames and
    sends their times, (N, 2) ms.

    What it cannot do it sends as an ``EdgeError``.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, pair, width, height, threads), name="bench", daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.terminate()
        process.join()
        process.close()


def _received(worker: Connection) -> Any:
    try:
        if not worker.poll(PATIENCE_S):
            raise EngineError(f"An engine has not answered for {PATIENCE_S:g} s.", TOO_BUSY)
        result = worker.recv()
    except (EOFError, ConnectionResetError):
        raise EngineError("The measuring process died.", "run edge doctor, and look for its last words.") from None
    if isinstance(result, EdgeError):
        raise result
    return result


def _serve(commands: Connection, pair: Pair, width: int, height: int, threads: int) -> None:
    try:
        package = load_package(Path(pair.package))
        color = package.manifest.input.color
        with build(package, Choice(pair.engine, pair.precision, "to be measured"), threads) as engine:
            golden_gate(package, engine)
            shape = frame_shape(width, height, color)
            drawn = (height, width, CHANNELS[color])
            pictures = [synthetic_frame(seed, drawn).reshape(shape) for seed in range(PICTURES)]
            _block(package, engine, pictures, WARM_UP)
            settle()
            commands.send((package.identity, engine.convolutions()))
            while True:
                commands.send(_block(package, engine, pictures, commands.recv()))
    except EdgeError as error:
        commands.send(error)
    except EOFError:
        return  # the parent has what it wanted


def _block(
    package: ModelPackage, engine: Engine, pictures: Sequence[NDArray[np.uint8]], frames: int
) -> NDArray[np.float64]:
    """Return the times of ``frames`` frames, (N, 2) ms: the engine's call, and the whole answer."""
    timed = TimedEngine(engine, frames)
    timed.count = 0  # the warm-up is behind it
    inspector = Inspector(package, timed, pictures[0].shape, package.manifest.input.color)
    floor = package.manifest.score.recommended
    answers = np.zeros(frames)
    for frame in range(frames):
        start = now_ns()
        inspector.observe(pictures[frame % len(pictures)], floor)
        answers[frame] = now_ns() - start
    calls = timed.runs_ns[:, 1] - timed.runs_ns[:, 0]
    return np.stack([calls, answers], axis=1) / NS_PER_MS
