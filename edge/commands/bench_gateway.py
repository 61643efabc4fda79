"""`edge bench gateway`: does the gateway's memory stay flat over very many parts?

The gateway is the production one, from `edge.gateway.run.assemble`.  PLC and network are in memory and the clock
moves by one period a part, so that a million parts, 28 hours of a line, take minutes.  Parts end in every way that the
register tells apart, and station or PLC break off again and again: what a gateway keeps for a part or a session and
never lets go shows as growth.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from time import process_time_ns
from typing import Any

from edge.commands.bench_gateway_line import Line

PARTS = 1_000_000
SHARES = (0.1, 0.5, 1.0)
"""Memory is read after these shares of the parts.  The first tenth fills what is bounded, and does not count."""

MOST_GROWTH_KB = 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """After ``parts`` parts: resident memory in KB (of 1024 bytes), and the length of every structure by its place."""

    parts: int
    rss_kb: int
    entries: dict[str, int]


@dataclass(frozen=True)
class GatewayMemory:
    """The measurement.

    Attributes:
        stages: one for each of ``SHARES``.
        part_us: processor time per part, the bench's own station and PLC included, microseconds.
        reconciles: the register's equations held at the end.
        dispositions, rejected: the register's counts: what the parts came to.
        sessions: how many were granted.
    """

    stages: list[Stage]
    part_us: float
    reconciles: bool
    dispositions: dict[str, int]
    rejected: dict[str, int]
    sessions: int

    @property
    def growth_kb(self) -> int:
        """Resident memory at the end beyond that after the first tenth, KB."""
        return self.stages[-1].rss_kb - self.stages[0].rss_kb

    @property
    def holds(self) -> bool:
        """True while memory is flat and every part is accounted for."""
        return self.growth_kb <= MOST_GROWTH_KB and self.reconciles

    def as_dict(self) -> dict[str, Any]:
        """Return the measurement as plain values."""
        return {
            "parts": self.stages[-1].parts,
            "growth_kb": self.growth_kb,
            "growth_kb_max": MOST_GROWTH_KB,
            "holds": self.holds,
            "part_us": self.part_us,
            "stages": [{"parts": s.parts, "rss_kb": s.rss_kb, "entries": sum(s.entries.values())} for s in self.stages],
            "entries": self.stages[-1].entries,
            "reconciles": self.reconciles,
            "sessions": self.sessions,
            "dispositions": self.dispositions,
            "rejected": self.rejected,
        }


def measure(parts: int = PARTS) -> GatewayMemory:
    """Take ``parts`` parts, at least 10, through a gateway in this process."""
    line = Line()
    stages = []
    begin_ns = process_time_ns()
    with _quiet():
        for share in SHARES:
            while line.plc.number < round(share * parts):
                line.part()
            stages.append(Stage(line.plc.number, _resident_kb(), entries(line.gateway)))
            _log.info("%d parts, %d KB resident", stages[-1].parts, stages[-1].rss_kb)
    counts = line.register.counts
    return GatewayMemory(
        stages=stages,
        part_us=round((process_time_ns() - begin_ns) / 1000 / parts, 1),
        reconciles=line.register.reconciles(),
        dispositions=dict(counts.dispositions),
        rejected=dict(counts.rejected),
        sessions=line.gateway.sessions.granted,
    )


def render(report: GatewayMemory) -> str:
    """Return the measurement as text for a terminal."""
    lines = [f"{'parts':>9} {'resident':>11} {'entries':>8}"]
    lines += [f"{s.parts:>9} {s.rss_kb:>8} KB {sum(s.entries.values()):>8}" for s in report.stages]
    lines.append(f"growth {report.growth_kb} KB after the first tenth (at most {MOST_GROWTH_KB} KB)")
    lines.append(f"{report.part_us:g} us of processor time a part, {report.sessions} sessions")
    lines.append(", ".join(f"{name} {number}" for name, number in report.dispositions.items() if number))
    if not report.reconciles:
        lines.append("The register does not reconcile.")
    return "\n".join(lines)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the gateway from logging each session that ends: a thousand do."""
    log = logging.getLogger("edge.gateway")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def entries(root: object) -> dict[str, int]:
    """Return the length of every container that ``root`` reaches through attributes of the product's objects."""
    found: dict[str, int] = {}
    seen, todo = set[int](), [(type(root).__name__, root)]
    while todo:
        path, thing = todo.pop()
        module = type(thing).__module__
        if isinstance(thing, Collection) and not isinstance(thing, str | bytes):
            found[path] = len(thing)
        if id(thing) in seen or isinstance(thing, Enum) or not module.startswith("edge."):
            continue
        if module.startswith("edge.commands") or module == "edge.config":
            continue  # the bench itself, and what never changes
        seen.add(id(thing))
        owner = type(thing).__name__
        todo += [(f"{owner}.{name.lstrip('_')}", value) for name, value in getattr(thing, "__dict__", {}).items()]
    return found


def _resident_kb() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
