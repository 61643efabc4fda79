"""What came of a soak, and whether that will do."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from edge.commands import soak_record
from edge.commands.soak_journals import held
from edge.commands.soak_plan import Plan, Recovery
from edge.commands.soak_rig import WATCHED, Rig
from edge.commands.soak_watch import growth
from edge.record.journal.reconcile import Reconciliation, reconcile

GOOD_SHARE, UNAFFECTED_SHARE = 0.5, 0.8
"""How many of all good plates, and of those that no fault has touched, must have passed."""

LEAST_UNAFFECTED = 0.15
"""Of the good plates, so many must have met no fault: otherwise the share of them that passed says nothing."""

MOST_GROWTH_PERCENT, MOST_NEW_FDS = 1.0, 2
"""Of memory over the stretch in which no process was replaced; a connection may be in the making at its end."""

SHOWN = 5
"""Of the parts that nothing explains."""

NEVER = ("wrong_part", "escaped_no_permit", "passed_unasked", "defective_in_good_bin")


@dataclass(frozen=True)
class Report:
    """All of it, as plain values.

    Attributes:
        plan: what was asked for.
        took_s: from the first plate to the last.
        referee: its summary.
        faults: by name: how often, how long they lasted, and how long the line took to pass a plate again, ms.
        processes: by name: memory, descriptors and threads at both ends of the stretch.
        journals: by process: files that filled it before, and what it holds now.
        kills: by process, when it was killed, monotonic ns.
        join: plates by what referee and journals say of them.
        classes: parts by class, as the two journals are reconciled with each other and with the PLC's counts.
        problems: why this will not do, in words; empty if it will.
    """

    plan: dict[str, Any]
    took_s: float
    referee: dict[str, Any]
    faults: dict[str, dict[str, float]]
    processes: dict[str, dict[str, Any]]
    journals: dict[str, dict[str, int]]
    kills: dict[str, list[int]]
    join: dict[str, int]
    classes: dict[str, int]
    problems: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values, with ``holds``."""
        return {**asdict(self), "holds": not self.problems}


def judge(plan: Plan, rig: Rig, recoveries: Sequence[Recovery], took_s: float, filled: dict[str, int]) -> Report:
    """Bring together what everybody says; all processes have ended."""
    referee = rig.line.summary()
    faults = by_fault(recoveries)
    processes = {name: growth(rig.samples[name], *plan.stretch) for name in WATCHED}
    journals = {name: _journal(rig, name, filled[name]) for name in rig.journals}
    joined = soak_record.join(rig.line.records("plates.jsonl"), rig.journals, rig.kills)
    reconciled = reconcile(rig.journals["station"], rig.journals["gateway"])
    problems = [
        *referee_problems(referee, plan.parts),
        *process_problems(processes, judged=plan.long),
        *soak_record.problems(joined),
        *reconcile_problems(reconciled),
        *rig.fallen,
    ]
    what = {**asdict(plan), "out": str(plan.out), "programs": {k: list(v) for k, v in plan.programs.items()}}
    classes = dict(reconciled.classes)
    return Report(
        what, round(took_s, 1), referee, faults, processes, journals, rig.kills, dict(joined), classes, problems
    )


def _journal(rig: Rig, name: str, filled: int) -> dict[str, int]:
    size, files = held(rig.journals[name])
    return {"filled_files": filled, "files": files, "bytes": size}


def by_fault(recoveries: Sequence[Recovery]) -> dict[str, dict[str, float]]:
    """Return how often each fault came, how long it lasted, and how long the line took to recover, ms."""
    out: dict[str, dict[str, float]] = {}
    for name in sorted({r.name for r in recoveries}):
        lasted = [r.lasted_ms for r in recoveries if r.name == name]
        recovered = [r.recovered_ms for r in recoveries if r.name == name]
        out[name] = {
            "count": len(recovered),
            "lasted_ms_max": round(max(lasted)),
            "recovered_ms_p50": round(statistics.median(recovered)),
            "recovered_ms_max": round(max(recovered)),
        }
    return out


def referee_problems(referee: dict[str, Any], parts: int, never: Sequence[str] = NEVER) -> list[str]:
    """Return what the referee holds against the line, in words.

    Args:
        referee: its summary.
        parts: that must have met the gate.
        never: counts that must be zero.
    """
    problems = [f"{name} is {referee[name]}" for name in never if referee[name]]
    if referee["parts"] < parts:
        problems.append(f"only {referee['parts']} of {parts} plates met the gate")
    for share, passed, of, text in (
        (GOOD_SHARE, "good_passed", "good_total", "all good plates"),
        (UNAFFECTED_SHARE, "good_unaffected_passed", "good_unaffected", "the good plates that no fault touched"),
    ):
        if referee[passed] < share * referee[of] or not referee[of]:
            problems.append(f"{referee[passed]} of {referee[of]} passed of {text}, and {share:.0%} must")
    if referee["good_unaffected"] < LEAST_UNAFFECTED * referee["good_total"]:
        problems.append(f"only {referee['good_unaffected']} of {referee['good_total']} good plates met no fault")
    if not referee["defective_rejected_by_rule"]:
        problems.append("no plate was rejected by the rule: passing everything proves nothing")
    return problems


def reconcile_problems(reconciled: Reconciliation) -> list[str]:
    """Return what the journals of station and gateway leave unexplained, in words."""
    if reconciled.reconciled:
        return []
    if not reconciled.parts:
        return ["the journals hold no part"]
    return [f"the journals leave {reconciled.remainder} parts unexplained: {'; '.join(reconciled.examples[:SHOWN])}"]


def process_problems(processes: dict[str, dict[str, Any]], judged: bool) -> list[str]:
    """Return what has grown that must not, in words.

    Args:
        processes: by name, from ``growth``.
        judged: the run was long enough for its memory to have settled first.  The plant is no part of the product: it
            keeps a record of every plate.
    """
    problems = []
    for name in ("station", "gateway", "monitor"):
        found = processes[name]
        if not judged:
            continue
        if found.get("restarts", 1):
            problems.append(f"the {name}'s memory could not be followed: {found}")
            continue
        if found["growth_percent"] > MOST_GROWTH_PERCENT:
            problems.append(f"the {name}'s memory grew by {found['growth_percent']} %: {found['rss_kb']} kB")
        if found["threads"][1] > found["threads"][0]:
            problems.append(f"the {name}'s threads grew: {found['threads']}")
        if found["fds"][1] > found["fds"][0] + MOST_NEW_FDS:
            problems.append(f"the {name}'s file descriptors grew: {found['fds']}")
    return problems


def render(report: Report) -> list[Table]:
    """Return the report for a person."""
    referee = report.referee
    table = Table(title="edge soak", show_header=False)
    rows = {
        "plates": f"{referee['parts']} in {report.took_s:g} s, {referee['affected']} affected by faults",
        "good plates": f"{referee['good_passed']} of {referee['good_total']} passed; of the unaffected "
        f"{referee['good_unaffected_passed']} of {referee['good_unaffected']}",
        "never": ", ".join(f"{name} {referee[name]}" for name in NEVER),
        "journals": "; ".join(f"{name} {of['bytes'] // 1_000_000} MB" for name, of in report.journals.items()),
        "join": ", ".join(f"{name} {value}" for name, value in report.join.items()),
        "classes": ", ".join(f"{name} {value}" for name, value in report.classes.items()),
        "result": "[green]holds" if not report.problems else "[red]" + "; ".join(report.problems),
    }
    for name, text in rows.items():
        table.add_row(name, text)
    return [table, _processes(report), _faults(report)]


def _processes(report: Report) -> Table:
    table = Table("process", "parts", "memory kB", "growth %", "descriptors", "threads")
    for name, of in report.processes.items():
        if "rss_kb" in of:
            ends = [" to ".join(map(str, of[key])) for key in ("parts", "rss_kb", "fds", "threads")]
            restarts = f" ({of['restarts']} restarts)" if of["restarts"] else ""
            table.add_row(name, ends[0], ends[1], f"{of['growth_percent']}{restarts}", ends[2], ends[3])
    return table


def _faults(report: Report) -> Table:
    table = Table("fault", "times", "longest ms", "recovered ms, median", "most")
    for name, of in report.faults.items():
        keys = ("count", "lasted_ms_max", "recovered_ms_p50", "recovered_ms_max")
        table.add_row(name, *(f"{of[key]:g}" for key in keys))
    return table
