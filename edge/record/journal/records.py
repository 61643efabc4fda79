"""What is read from the journal: rows with their texts in full and their times absolute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """A finding: class, score, box in frame pixels."""

    cls: str
    score: float
    box: tuple[float, float, float, float]


class PartRow(msgspec.Struct, frozen=True, kw_only=True):
    """A part as its station recorded it.  Times are monotonic ns of the boot ``boot``; ``wall_ms`` is for people."""

    boot: str
    wall_ms: int
    station: str
    lane: int
    session: int
    number: int
    count: int | None
    outcome: str
    cause: str
    rule: str
    disposition: str
    tag: str
    t0_ns: int
    t1_ns: int | None
    t2_ns: int | None
    t3_ns: int | None
    t4_ns: int | None
    recipe: str
    model: str
    engine: str
    precision: str
    version: str
    findings: list[Finding]


class GateRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway learnt of a part under one set of sessions: (detail, monotonic ns) by fact.

    ``count`` is None where the count was learnt under other sessions; for ``unread``, how many parts.
    """

    boot: str
    wall_ms: int
    plc: int
    gateway: int
    station: int
    epoch: int
    number: int
    count: int | None
    at_ns: int
    facts: dict[str, tuple[str, int]]


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, to the process ``process``.  Also made of table ``missing``, with kind "missing".

    ``run_ns`` is when the run of the process started that it happened to: with the boot, it names the run.
    """

    boot: str
    wall_ms: int
    at_ns: int
    process: str
    kind: str
    text: str
    data: dict[str, Any]
    run_ns: int


class CountsRow(msgspec.Struct, frozen=True, kw_only=True):
    """Cumulative counters of the run of the process that started at ``run_ns``."""

    boot: str
    wall_ms: int
    at_ns: int
    run_ns: int
    data: dict[str, Any]


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One start of the process."""

    process: str
    name: str
    lane: int
    pid: int
    version: str
    boot: str
    started_ns: int
    started_ms: int


@dataclass(frozen=True)
class Filter:
    """Which parts are wanted; None for all.  Times are wall-clock milliseconds, ``until_ms`` exclusive."""

    since_ms: int | None = None
    until_ms: int | None = None
    outcome: str | None = None
    cause: str | None = None
    number: int | None = None
    session: int | None = None
    recipe: str | None = None

    def holds(self, wall_ms: int) -> bool:
        """True for a time that is asked for."""
        since_ms, until_ms = self.since_ms, self.until_ms
        return (since_ms is None or wall_ms >= since_ms) and (until_ms is None or wall_ms < until_ms)

    def sql(self, names: tuple[str, ...]) -> tuple[str, list[Any]]:
        """Return the conditions on those of the columns ``names`` that are asked for, each with `AND` before."""
        wanted = {
            "wall_ms >= ?": self.since_ms,
            "wall_ms < ?": self.until_ms,
            **{f"{name} = ?": getattr(self, name) for name in names},
        }
        asked = {condition: value for condition, value in wanted.items() if value is not None}
        return "".join(f" AND {condition}" for condition in asked), list(asked.values())


ALL = Filter()
