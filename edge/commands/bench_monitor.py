"""`edge bench monitor`: what do five viewers and a metrics scrape a second add to the time of a verdict?

The line is that of `edge bench plc`, with a real monitor beside it, with journals, evidence and live pictures, as in
production.  Blocks of parts alternate between a dashboard at which nobody looks and one at which five do; live pictures
are made only while somebody looks, so they are part of what is measured.  T4 is when the gateway accepted the verdict.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.commands.bench_blocks import gateway, gateway_config, monitor, rig, run, station_config
from edge.commands.bench_effects import Block, Effect, evaluate, schedule, summarise, until_t4
from edge.commands.bench_viewers import VIEWERS, Condition, Tally, serve
from edge.config import EvidenceConfig, JournalConfig, StationConfig
from edge.engine.null import Script
from edge.errors import EngineError
from edge.model.package import CANDIDATE_WIDTH, load_package
from edge.wire.messages import PartRecord, decode_published

BLOCKS = 8
PARTS = 400

TARGET_MS = 0.5
PAGE_TARGET_MS = 1000.0
MEMORY_TARGET_MB = 150.0

REJECT_EVERY = 25
"""One part in so many is rejected: one a second, whose picture is kept and looked at."""

_DEFECT = (40.0, 40.0, 80.0, 80.0, 0.9, 0.0)  # a candidate: a box in the network's pixels, its score and class


@dataclass(frozen=True)
class Watching:
    """The measurement.

    Attributes:
        unwatched_p99_ms: of T0 to T4, mean over the blocks in which nobody looked.
        effect: of being watched on the p99.
        blocks: in order.
        tally: what viewers and scrapes got.
        rss_mb, peak_mb: the monitor's resident memory at the end, and its highest.
    """

    unwatched_p99_ms: float
    effect: Effect
    blocks: list[Block]
    tally: Tally
    rss_mb: float
    peak_mb: float

    @property
    def page_ms(self) -> float:
        """The slowest page."""
        return max(self.tally.pages_ms)

    @property
    def misses(self) -> list[str]:
        """Which targets are missed, in words."""
        held = {
            f"the p99 grows by at most {TARGET_MS:g} ms": self.effect.upper_ms <= TARGET_MS,
            f"a page comes within {PAGE_TARGET_MS:g} ms": self.page_ms <= PAGE_TARGET_MS,
            f"the monitor takes less than {MEMORY_TARGET_MB:g} MB": self.peak_mb < MEMORY_TARGET_MB,
        }
        return [text for text, holds in held.items() if not holds]

    @property
    def holds(self) -> bool:
        """True where every target is met."""
        return not self.misses

    def as_dict(self) -> dict[str, Any]:
        """Return the measurement as plain values."""
        tally = asdict(self.tally)
        pages = tally.pop("pages_ms")
        return {
            "measured": "T0 to T4",
            "viewers": VIEWERS,
            "unwatched_p99_ms": self.unwatched_p99_ms,
            "added_p99_ms": {**asdict(self.effect), "target_ms": TARGET_MS},
            "page_ms": {
                "pages": len(pages),
                "p50": round(statistics.median(pages), 1),
                "max": round(self.page_ms, 1),
                "target_ms": PAGE_TARGET_MS,
            },
            "memory_mb": {"end": self.rss_mb, "peak": self.peak_mb, "target_mb": MEMORY_TARGET_MB},
            "received": tally,
            "misses": self.misses,
            "holds": self.holds,
            "blocks": [asdict(block) for block in self.blocks],
        }


def measure(config: StationConfig, blocks: int = BLOCKS, parts: int = PARTS) -> Watching:
    """Measure the station with and without viewers; this process is the station's, with its priority.

    Args:
        config: whose model and frame are used; the rest is the bench's own.
        blocks: with viewers, at least 2; as many and one without.
        parts: of each block, at the least.

    Raises:
        EdgeError: a process does not start, the machine is too slow, or a viewer did not get what it asked for.
    """
    candidates = load_package(Path(config.model.package)).manifest.output.candidates
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        port, plc = stack.enter_context(rig())
        station = _in_production(station_config(config, folder), folder)
        journal = JournalConfig(folder=str(folder / "gateway-journal"))
        stack.enter_context(gateway(gateway_config(folder, port).model_copy(update={"journal": journal}), folder))
        served = stack.enter_context(monitor(station, folder))
        audience = stack.enter_context(_audience(served.port))
        plan = schedule(Condition.UNWATCHED, (Condition.WATCHED,), blocks)
        outcomes = folder / "outcomes"
        edges_ns = run(station, plc, audience, plan, parts, outcomes, rejecting(candidates))
        tally = _got(audience)
        rss_mb, peak_mb = memory_mb(served.pid)
        records = [decode_published(line) for line in outcomes.read_bytes().splitlines()]
    found = summarise([r for r in records if isinstance(r, PartRecord)], plan, edges_ns, until_t4)
    effects = evaluate("T0 to T4", Condition.UNWATCHED, (Condition.WATCHED,), found)
    return Watching(effects.healthy_p99_ms, effects.effects[0], found, tally, rss_mb, peak_mb)


def render(report: Watching) -> str:
    """Return the measurement as text for a terminal."""
    effect, tally, pages = report.effect, report.tally, report.tally.pages_ms
    lines = [
        f"T0 to T4 p99 {report.unwatched_p99_ms:.2f} ms with nobody looking",
        f"added     {effect.mean_ms:.3f} ms by {VIEWERS} viewers and a scrape a second, upper 95 % bound"
        f" {effect.upper_ms:.3f} ms ({len(effect.differences_ms)} alternations)",
        f"page      {statistics.median(pages):.0f} ms until page and state are there, the slowest of {len(pages)}"
        f" {report.page_ms:.0f} ms",
        f"monitor   {report.rss_mb:.1f} MB resident, {report.peak_mb:.1f} MB at its highest",
        f"received  {tally.live} live pictures, {tally.thumbs} pictures of rejects, {tally.states} states,"
        f" {tally.scrapes} scrapes",
        *(f"misses    {text}" for text in report.misses),
    ]
    return "\n".join(lines)


def rejecting(candidates: int) -> Script:
    """Return an engine's script that finds a defect on one part of ``REJECT_EVERY``.

    Args:
        candidates: rows of the engine's output.
    """
    clean: NDArray[np.float32] = np.zeros((candidates, CANDIDATE_WIDTH), np.float32)
    defective = clean.copy()
    defective[0] = _DEFECT
    return lambda run: clean if (run + 1) % REJECT_EVERY else defective


def memory_mb(pid: int) -> tuple[float, float]:
    """Return a process's resident memory, MB: now, and the highest that it was."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    values = dict(line.split(":", 1) for line in text.splitlines())
    now, peak = (int(values[key].split()[0]) * 1024 / 1e6 for key in ("VmRSS", "VmHWM"))
    return round(now, 1), round(peak, 1)


def _in_production(station: StationConfig, folder: Path) -> StationConfig:
    """Return ``station`` with journal, evidence and live pictures."""
    evidence = EvidenceConfig(folder=str(folder / "evidence"), live=f"ipc://{folder}/live", free_gb=0.0)
    journal = JournalConfig(folder=str(folder / "station-journal"))
    return station.model_copy(update={"evidence": evidence, "journal": journal})


@contextmanager
def _audience(port: int) -> Iterator[Connection]:
    """Run the process of the viewers; yield where it takes conditions."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, port), name="audience", daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join()
        process.close()


def _got(audience: Connection) -> Tally:
    """Return what the viewers got.

    Raises:
        EngineError: not everything that they asked for, so that they were no load.
    """
    audience.send(None)
    tally: Tally = audience.recv()
    for what in ("pages_ms", "states", "live", "thumbs", "scrapes"):
        if not getattr(tally, what):
            tally.problems.append(f"no {what.removesuffix('_ms')} came")
    if tally.problems:
        raise EngineError(f"The viewers did not see the line: {'; '.join(tally.problems[:3])}.", "see the monitor.")
    return tally
