"""All shards of a run, over two processes, and the verdict on the whole."""

from __future__ import annotations

import contextlib
import gc
import logging
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from edge.simulate.line.catalogue import CATALOGUE
from edge.simulate.line.components import Components
from edge.simulate.line.director import ALLOWANCE_MS
from edge.simulate.line.sabotage import GAP_PARTS as SABOTAGE_GAP
from edge.simulate.line.sabotage import SABOTAGES
from edge.simulate.line.shard import Shard, Task

WORKERS = 2
PARTS_A_SHARD = 20_000
PER_MILLION = 200
"""Each fault is to be injected that often in a million parts."""

MUST_BE_ZERO = (
    "wrong_part",
    "late_fired",
    "escaped_no_permit",
    "misjudged",
    "false_rejects_unaffected",
    "entered_unguarded",
)
LEAST_PASSED, LEAST_PASSED_UNAFFECTED = 0.5, 0.9
FAILED = 21
"""Exit code of a run that did not keep the contract."""


@dataclass(frozen=True)
class ShardResult:
    """What one shard came to; plain values, to cross processes."""

    shard: int
    counts: Counter[str]
    books: dict[str, Any]
    problems: Counter[str]
    injected: Counter[str]
    resets: int
    first: tuple[int, str] | None


@dataclass(frozen=True)
class LineResult:
    """The whole run.

    Attributes:
        summary: as ``--json`` prints it.
        violations: the conditions that do not hold, in words; empty for a run that is as it must be.
        history: of the first part that went wrong, for people.
    """

    summary: dict[str, Any]
    violations: list[str]
    history: list[str] = field(default_factory=list)


def run_shard(task: Task) -> ShardResult:
    """Run one shard to its end."""
    gc.set_threshold(100_000, 50, 50)  # nearly nothing here lives in cycles
    return _result(_finished(task, traced=False))


def run_line(
    parts: int, faults: Sequence[str], seed: int, sabotage: str = "", shards: int = 0, workers: int = WORKERS
) -> LineResult:
    """Run ``parts`` plates, in shards that each start cold and shortly before their counters wrap.

    Args:
        parts: plates in all.
        faults: names of the catalogue.
        seed: of everything random; the same seed and number of shards give the same run.
        sabotage: a row of the table of sabotages, or "".
        shards: how many; 0 takes one for each ``PARTS_A_SHARD`` plates.
        workers: processes at a time; 1 runs in this one.
    """
    began = time.perf_counter()
    shards = min(parts, shards or max(1, round(parts / PARTS_A_SHARD)))
    base = Task(parts, seed, 0, tuple(faults), sabotage)
    if sabotage:
        base = replace(base, gap_parts=SABOTAGE_GAP, rates=SABOTAGES[sabotage].rates)
    tasks = [replace(base, parts=parts * (i + 1) // shards - parts * i // shards, shard=i) for i in range(shards)]
    results = list(_results(tasks, workers))
    summary = _summary(base, results, time.perf_counter() - began)
    violations = _violations(base, summary, results)
    failing = next((r for r in results if r.first is not None), None)
    history = [] if failing is None else replay(tasks[failing.shard])
    return LineResult(summary, violations, history)


def replay(task: Task) -> list[str]:
    """Run a shard again, with a trace; return the history of its first part that went wrong."""
    trace = _finished(task, traced=True).trace
    assert trace is not None
    return [f"seed {task.seed}, shard {task.shard} of {task.parts} parts", *trace.history]


def _finished(task: Task, traced: bool) -> Shard:
    components = SABOTAGES[task.sabotage].components if task.sabotage else Components()
    with _quiet():
        shard = Shard(task, components, traced)
        shard.run()
    return shard


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep thousands of warnings about injected faults off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _result(shard: Shard) -> ShardResult:
    books = shard.books
    return ShardResult(
        shard.task.shard,
        shard.referee.counts,
        {
            "triggers": books.triggers,
            "outcomes": books.outcomes,
            "causes": books.causes,
            "acknowledged": books.acknowledged,
            "dispositions": books.dispositions,
            "lost_with_process": books.lost_with_process,
            "plc_triggers": books.plc_triggers,
            "unowned": books.unowned,
        },
        books.problems,
        shard.director.injected,
        shard.line.resets,
        shard.referee.first,
    )


def _results(tasks: list[Task], workers: int) -> Iterator[ShardResult]:
    if workers == 1 or len(tasks) == 1:
        yield from map(run_shard, tasks)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(run_shard, tasks)


def _summary(task: Task, results: list[ShardResult], seconds: float) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    injected: Counter[str] = Counter(dict.fromkeys(task.faults, 0))
    problems: Counter[str] = Counter()
    sums: dict[str, Any] = {}
    for result in results:
        counts.update(result.counts)
        injected.update(result.injected)
        problems.update(result.problems)
        for name, value in result.books.items():
            sums[name] = sums[name] + value if name in sums else value
    good, unaffected = max(1, counts["good"]), max(1, counts["good_unaffected"])
    return {
        "parts": counts["parts"],
        "triggers": sums["triggers"],
        "outcomes": dict(sums["outcomes"]),
        "acknowledged": sums["acknowledged"],
        "reconciled": not problems,
        **{name: counts[name] for name in MUST_BE_ZERO},
        "permits_honoured": counts["good_passed"],
        "false_rejects": counts["false_rejects"],
        "collateral": sums["dispositions"]["COLLATERAL"],
        "causes": dict(sums["causes"]),
        "faults_injected": dict(injected),
        "parts_per_second": round(counts["parts"] / seconds),
        "seconds": round(seconds, 1),
        "good": counts["good"],
        "defective": counts["defective"],
        "defective_passed": counts["defective_passed"],
        "false_alarms": counts["false_alarms"],
        "passed_share": round(counts["good_passed"] / good, 4),
        "passed_unaffected_share": round(counts["good_passed_unaffected"] / unaffected, 4),
        "unaffected": counts["good_unaffected"],
        "clipped": counts["clipped"],
        "removed": counts["removed"],
        "edges": counts["edges"],
        "permits_written": counts["permits_written"],
        "dispositions": dict(sums["dispositions"]),
        "lost_with_process": sums["lost_with_process"],
        "plc_triggers": sums["plc_triggers"],
        "unowned": sums["unowned"],
        "counter_wraps": {name: len(results) for name in ("encoder", "number", "camera")},
        "resets": sum(result.resets for result in results),
        "problems": dict(problems),
        "recovery_allowance_ms": {name or "none": round(ms) for name, ms in ALLOWANCE_MS.items()},
        "seed": task.seed,
        "shards": len(results),
        "sabotage": task.sabotage,
    }


def _violations(task: Task, summary: dict[str, Any], results: list[ShardResult]) -> list[str]:
    found = [f"{name} is {summary[name]}, and must be 0" for name in MUST_BE_ZERO if summary[name]]
    if not summary["reconciled"]:
        found.append(f"reconciled is false: {summary['problems']}")
    if not task.faults and summary["false_rejects"]:
        found.append(f"false_rejects is {summary['false_rejects']} without a fault, and must be 0")
    for name, least in (("passed_share", LEAST_PASSED), ("passed_unaffected_share", LEAST_PASSED_UNAFFECTED)):
        if summary["good"] and summary[name] < least:
            found.append(f"{name} is {summary[name]}, and must be at least {least}")
    if set(task.faults) == set(CATALOGUE) and not task.sabotage:
        parts = sum(result.counts["parts"] + result.counts["removed"] for result in results)
        least_often = PER_MILLION * parts // 1_000_000
        rare = {name: n for name, n in summary["faults_injected"].items() if n < least_often}
        if rare:
            found.append(f"faults injected less than {least_often} times: {rare}")
    return found


def parse_faults(text: str) -> tuple[str, ...]:
    """Read ``all``, ``none`` or names separated by commas.

    Raises:
        ValueError: a name that the catalogue does not hold.
    """
    if text in ("all", "none"):
        return tuple(CATALOGUE) if text == "all" else ()
    names = tuple(name.strip() for name in text.split(","))
    if unknown := [name for name in names if name not in CATALOGUE]:
        raise ValueError(f"there is no fault {unknown[0]!r}; there are {', '.join(CATALOGUE)}")
    return names
