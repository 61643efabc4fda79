"""Run a line for a while, hurt it now and then, and judge what was seen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edge.clock import NS_PER_S, now_ns
from edge.commands import soak_record
from edge.commands.bench_monitor import memory_mb
from edge.commands.soak_result import reconcile_problems, referee_problems
from edge.commands.soak_rig import keep
from edge.commands.soak_watch import growth
from edge.record.journal.reconcile import reconcile
from tests.faults.unattended.faults import FAULTS, Fault
from tests.faults.unattended.host_disk import HostDisk
from tests.faults.unattended.page import PATIENCE_S, Operator
from tests.faults.unattended.result import (
    DASHBOARD,
    FIRING,
    RUNNING,
    TOLD,
    Hurt,
    Report,
    alert_problems,
    bound_problems,
    durations_s,
    hurt_problems,
    tell,
    texts,
)
from tests.faults.unattended.rig import WATCHED, Rig
from tests.faults.unattended.timeline import Spell, Watcher
from tests.support_alerting import Alerting
from tests.support_line import RATE_PER_S

NAME = "line-1"
CALM_S = 30.0
"""Before the first fault, and after the last: what fires then fires for no reason."""

ROUND_MIN = 10.0
"""Each fault comes once in this time, and once in a shorter run."""

TRAVEL_MS = 500.0  # from eye to gate, of the default line
LEAST_SHARE = 0.5  # of the plates that the belt could have carried in that time

NEVER = ("wrong_part", "escaped_no_permit", "passed_unasked")
"""A defective plate in the good bin may be the network's own miss, which the report tells: its engine is a real one."""

_READY_S = 60.0
_QUIET_S = 90.0


def unattended(minutes: float, out: Path, say: Callable[[str], None]) -> Report:
    """Run it.

    Args:
        minutes: how long; a run that is too short for each fault and its recovery takes as long as they do.
        out: folder for screenshots, logs, configurations, journals and the referee's records.
        say: told what happens.

    Raises:
        ProcessFailed: a process ended by itself, or the line did not come back.
    """
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        rig = stack.enter_context(Rig())
        stack.callback(keep, rig.line, out)
        folder = rig.line.folder / "alerting"
        folder.mkdir()
        alerting = stack.enter_context(Alerting(folder, rig.port, NAME))
        rig.wait_until(alerting.ready, _READY_S, "Prometheus and Alertmanager do not answer")
        operator = stack.enter_context(Operator(rig.url, out))
        watcher = Watcher(
            {
                DASHBOARD: lambda: texts(rig.dashboard()),
                FIRING: lambda: frozenset(alerting.firing()),
                TOLD: lambda: frozenset(alerting.told()),
            }
        )
        watcher.start()
        stack.callback(watcher.stop)
        host_disk = HostDisk(rig.line.folder)
        host_disk.start()
        stack.callback(host_disk.stop)
        began_ns = now_ns()
        hurts = _hurt_all(rig, operator, watcher, minutes, say)
        _wait_until(rig, began_ns + int(60 * minutes * NS_PER_S))
        rig.wait(CALM_S)
        host_disk.stop()
        return _judge(rig, operator, watcher, hurts, minutes, began_ns, host_disk.stalls)


def _hurt_all(rig: Rig, operator: Operator, watcher: Watcher, minutes: float, say: Callable[[str], None]) -> list[Hurt]:
    """Do every fault in turn, evenly over the time that there is."""
    plan = FAULTS * max(1, int(minutes / ROUND_MIN))
    began_ns, slot_s = now_ns() + int(CALM_S * NS_PER_S), (60 * minutes - 2 * CALM_S) / len(plan)
    hurts = []
    for number, fault in enumerate(plan, 1):
        _wait_until(rig, began_ns + int((number - 1) * slot_s * NS_PER_S))
        say(f"{number} of {len(plan)}: {fault.name}")
        hurts.append(_hurt(rig, operator, watcher, fault, f"{number:02}-{fault.name.replace(' ', '-')}"))
    return hurts


def _hurt(rig: Rig, operator: Operator, watcher: Watcher, fault: Fault, name: str) -> Hurt:
    look = operator.open(name)
    begun_ns = now_ns()
    with fault.inflict(rig):
        look.wait_for(fault.state, fault.words, fault.shown_s + PATIENCE_S)
        _wait_until(rig, begun_ns + int(fault.lasts_s * NS_PER_S))
        mended_ns = now_ns()

    def quiet() -> bool:
        gone = fault.alert not in watcher.seen[FIRING].standing
        return (gone and RUNNING in watcher.seen[DASHBOARD].standing) or now_ns() > mended_ns + _QUIET_S * NS_PER_S

    rig.wait_until(quiet, 2 * _QUIET_S, "Nobody looks any more")
    quiet_ns = now_ns()
    return Hurt(fault, begun_ns, mended_ns, quiet_ns, look.close(RUNNING))


def _judge(
    rig: Rig,
    operator: Operator,
    watcher: Watcher,
    hurts: list[Hurt],
    minutes: float,
    began_ns: int,
    stalls: list[Spell],
) -> Report:
    """End everything, and bring together what everybody says."""
    watcher.stop()
    end_ns, standing = now_ns(), watcher.seen[DASHBOARD].standing
    took_s = (end_ns - began_ns) / NS_PER_S
    monitor_peak_mb = memory_mb(rig.line.pid("monitor"))[1]
    rig.end()
    referee: dict[str, Any] = rig.line.summary()
    joined = soak_record.join(rig.line.records("plates.jsonl"), rig.journals, rig.kills, TRAVEL_MS)
    reconciled = reconcile(rig.journals["station"], rig.journals["gateway"])
    memory = {name: growth(rig.samples[name], 0, referee["parts"]) for name in WATCHED}
    firing = watcher.seen[FIRING]
    problems = [
        *(text for hurt in hurts for text in hurt_problems(hurt, watcher.seen)),
        *alert_problems(hurts, firing, began_ns, stalls),
        *([] if standing == {RUNNING} else [f"the dashboard shows {sorted(standing)} at the end"]),
        *referee_problems(referee, int(LEAST_SHARE * RATE_PER_S * took_s), NEVER),
        *soak_record.problems(joined),
        *reconcile_problems(reconciled),
        *bound_problems(monitor_peak_mb),
    ]
    return Report(
        minutes,
        round(took_s, 1),
        [tell(hurt, watcher.seen) for hurt in hurts],
        durations_s(firing, end_ns),
        [round(((stall.ended_ns or end_ns) - stall.begun_ns) / NS_PER_S, 1) for stall in stalls],
        referee,
        dict(joined),
        dict(reconciled.classes),
        memory,
        monitor_peak_mb,
        operator.paints_ms,
        problems,
    )


def _wait_until(rig: Rig, at_ns: int) -> None:
    rig.wait(max(0, at_ns - now_ns()) / NS_PER_S)
