"""`edge soak`: many parts in fast motion through real processes, with a random fault every few seconds."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable

from edge.clock import NS_PER_MS, now_ns
from edge.commands.processes import ProcessFailed
from edge.commands.soak_faults import Bag, Fault, catalogue
from edge.commands.soak_journals import fill, small_disk
from edge.commands.soak_line import TRAVEL_MS, FastLine
from edge.commands.soak_plan import Plan, Recovery
from edge.commands.soak_result import Report, judge
from edge.commands.soak_rig import Rig, keep
from edge.simulate.console import ConsoleError

BEGIN_S, RECOVER_S, QUIET_S = 30.0, 30.0, 4.0
"""For the first plate to pass; for the first one after a fault; and without a fault at the end, so that it settles."""


def soak(plan: Plan, say: Callable[[str], None]) -> Report:
    """Run a soak, and say what came of it.

    Args:
        plan: what is run.
        say: told now and then how far it is.

    Raises:
        BudgetError: `edge check` refuses the line at that rate.
        ProcessFailed: a process could not be started, or the line stood still.
    """
    fast = FastLine(plan.rate, plan.keep_gb)
    with Rig(fast, plan.parts, plan.seed, plan.programs) as rig:
        small = [rig.leaving.enter_context(small_disk(path, plan.keep_gb)) for path in rig.journals.values()]
        if plan.out is not None:
            rig.leaving.callback(keep, rig.line, plan.out)
        say("filling the journals")
        filled = {name: fill(path, name, plan.keep_gb) for name, path in rig.journals.items()}
        rig.open(plan.timeout_s)
        began = now_ns()
        recoveries = _hurt(rig, plan, all(small), say)
        took_s = (now_ns() - began) / 1e9
        _settle(rig)
        return judge(plan, rig, recoveries, took_s, filled)


def _hurt(rig: Rig, plan: Plan, small_disks: bool, say: Callable[[str], None]) -> list[Recovery]:
    """Do one fault after the other until the plates run out.

    Those that replace a process come last, so that each process has settled by the time its memory is followed; in a
    short run, where it is not judged, at the beginning too.
    """
    rng = random.Random(plan.seed)
    faults = catalogue(small_disks)
    harsh = Bag([fault for fault in faults if fault.replaces], rng)
    gentle = Bag([fault for fault in faults if not fault.replaces], rng)
    first, last = plan.stretch
    recoveries: list[Recovery] = []
    rig.wait_until(lambda: rig.passed > 0, BEGIN_S, "No plate has passed")
    while rig.lasts:
        rig.wait(rng.uniform(0.5, 1.5) * plan.fault_every_s if plan.fault_every_s else 1.0)
        parts = rig.seen
        say(f"{parts} of {plan.parts} plates, {rig.passed} passed, {len(recoveries)} faults")
        if plan.fault_every_s and parts < plan.parts - QUIET_S * plan.rate:
            fault = (harsh if parts >= last or (parts < first and not plan.long) else gentle).draw()
            say(f"{parts} of {plan.parts} plates, {fault.name}")
            try:
                recoveries += _inflict(rig, fault, rng, parts)
            except (ConsoleError, OSError, sqlite3.Error) as error:
                if rig.lasts:
                    raise ProcessFailed(
                        f"The fault {fault.name} could not be done: {error}.", "see the logs."
                    ) from error
    return recoveries


def _inflict(rig: Rig, fault: Fault, rng: random.Random, parts: int) -> list[Recovery]:
    """Do one fault and wait until a plate passes again; nothing where the plates ran out meanwhile."""
    began = now_ns()
    fault.run(rig, rng)
    ended = now_ns()
    rig.wait(TRAVEL_MS / 1000)  # a plate that passes from now on was behind the eye when the fault ended
    before = rig.passed
    if not rig.wait_until(lambda: rig.passed > before, RECOVER_S, f"No plate has passed after {fault.name}"):
        return []
    return [Recovery(fault.name, parts, (ended - began) / NS_PER_MS, (now_ns() - ended) / NS_PER_MS)]


def _settle(rig: Rig) -> None:
    """End all in order, the plant having ended already.

    Raises:
        ProcessFailed: the plant, which judges, did not end well.
    """
    if code := rig.line.wait("plant", 60.0):
        raise ProcessFailed(f"The plant ended with exit code {code}: {rig.line.log('plant')}", "mend what it says.")
    for name in ("station", "gateway", "monitor"):
        rig.stop(name)
