"""What came of it, and whether that will do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge.clock import NS_PER_S
from tests.faults.unattended.faults import Fault
from tests.faults.unattended.host_disk import explains
from tests.faults.unattended.page import Glance
from tests.faults.unattended.timeline import Spell, Timeline

RUNNING = "RUNNING"
DASHBOARD, FIRING, TOLD = "dashboard", "firing", "told"
"""Names of what is watched: the dashboard's texts, the alerts that fire, and those that Alertmanager holds."""

MONITOR_MB = 150.0


@dataclass(frozen=True)
class Hurt:
    """A fault as it was made; times are monotonic ns.

    Attributes:
        fault: which.
        begun_ns, mended_ns: from when to when it lasted.
        quiet_ns: when the line ran again and the alert had gone, or patience had.
        glance: what stood on the page.
    """

    fault: Fault
    begun_ns: int
    mended_ns: int
    quiet_ns: int
    glance: Glance


@dataclass(frozen=True)
class Report:
    """All of it, as plain values.

    Attributes:
        minutes: asked for.
        took_s: from the first plate to the last.
        faults: each as it was made, what was seen of it, and when, in seconds after its begin or its end.
        alerts: every alert that fired, and for how long in all, s.
        disk_stalls_s: how long the machine's own disk stood still, each time.
        referee: its summary.
        join: plates by what referee and journals say of them.
        classes: parts by class, as the two journals are reconciled.
        memory: by process, resident memory, descriptors and threads at both ends.
        monitor_peak_mb: the highest that the monitor's resident memory was.
        first_paint_ms: of each page, in a browser that shares the machine with the whole line.
        problems: why this will not do, in words; empty if it will.
    """

    minutes: float
    took_s: float
    faults: list[dict[str, Any]]
    alerts: dict[str, float]
    disk_stalls_s: list[float]
    referee: dict[str, Any]
    join: dict[str, int]
    classes: dict[str, int]
    memory: dict[str, dict[str, Any]]
    monitor_peak_mb: float
    first_paint_ms: list[float]
    problems: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values, with ``holds``."""
        return {**asdict(self), "holds": not self.problems}


def texts(state: Mapping[str, Any]) -> frozenset[str]:
    """Return what the dashboard says, from the answer of `GET /api/state`: its state before each text."""
    said = [state["reason"], *(alarm["text"] for alarm in state["alarms"])]
    return frozenset(f"{state['state']}: {text}" for text in said if text) or frozenset({state["state"]})


def tell(hurt: Hurt, seen: Mapping[str, Timeline]) -> dict[str, Any]:
    """Return what was seen of a fault, as plain values."""
    fault = hurt.fault
    shown = _shown(hurt, seen[DASHBOARD])
    fired, told = (_fired(hurt, seen[name]) for name in (FIRING, TOLD))
    return {
        "name": fault.name,
        "made": fault.made,
        "lasted_s": _seconds(hurt.begun_ns, hurt.mended_ns),
        "quiet_after_s": _seconds(hurt.mended_ns, hurt.quiet_ns),
        "dashboard": {
            "says": shown.what if shown else "",
            "after_s": _seconds(hurt.begun_ns, shown.begun_ns) if shown else None,
            "gone_after_s": _seconds(hurt.mended_ns, shown.ended_ns) if shown and shown.ended_ns else None,
        },
        "page": asdict(hurt.glance),
        "alert": {
            "name": fault.alert,
            "fired_after_s": _seconds(hurt.begun_ns, fired.begun_ns) if fired else None,
            "told_after_s": _seconds(hurt.begun_ns, told.begun_ns) if told else None,
            "resolved_after_s": _seconds(hurt.mended_ns, fired.ended_ns) if fired and fired.ended_ns else None,
        },
    }


def hurt_problems(hurt: Hurt, seen: Mapping[str, Timeline]) -> list[str]:
    """Return what was not seen of a fault that had to be, in words."""
    fault, glance = hurt.fault, hurt.glance
    shown = _shown(hurt, seen[DASHBOARD])
    fired, told = (_fired(hurt, seen[name]) for name in (FIRING, TOLD))
    late_ns = hurt.begun_ns + int(fault.shown_s * NS_PER_S)
    held = {
        f"the dashboard did not show {fault.state} with {fault.words!r} within {fault.shown_s:g} s": shown is not None
        and shown.begun_ns <= late_ns,
        "the dashboard still showed it after it was mended": shown is None or shown.ended_ns is not None,
        f"the page did not show {fault.state} with {fault.words!r}": glance.after_s is not None,
        "the page gave no remedy": bool(glance.remedy),
        "the page did not show the line running again": glance.back_s is not None,
        f"the page complained: {'; '.join(glance.complaints[:3])}": not glance.complaints,
        f"{fault.alert} did not fire": fired is not None,
        f"{fault.alert} did not resolve": fired is None or fired.ended_ns is not None,
        f"Alertmanager was not told of {fault.alert}": told is not None,
    }
    return [f"{fault.name}: {text}" for text, holds in held.items() if not holds]


def alert_problems(hurts: Sequence[Hurt], firing: Timeline, began_ns: int, stalls: Sequence[Spell] = ()) -> list[str]:
    """Return the alerts that no fault before them explains, in words.

    Args:
        hurts: in order.
        firing: alerts.
        began_ns: when the first plates had passed; what fired before is the start's.
        stalls: when the machine's own disk stood still.
    """
    found = []
    for spell in firing.spells:
        known = {name for h in hurts if h.begun_ns <= spell.begun_ns for name in (h.fault.alert, *h.fault.also)}
        if spell.begun_ns >= began_ns and spell.what not in known and not explains(stalls, spell):
            found.append(f"{spell.what} fired {_seconds(began_ns, spell.begun_ns)} s after the begin, for no reason")
    return found


def durations_s(firing: Timeline, end_ns: int) -> dict[str, float]:
    """Return how long each alert fired in all, s; one that still does, until ``end_ns``."""
    found: dict[str, float] = {}
    for spell in firing.spells:
        ended_ns = end_ns if spell.ended_ns is None else spell.ended_ns
        found[spell.what] = round(found.get(spell.what, 0.0) + _seconds(spell.begun_ns, ended_ns), 1)
    return dict(sorted(found.items()))


def bound_problems(monitor_peak_mb: float) -> list[str]:
    """Return which bounds of the monitor are broken, in words."""
    if monitor_peak_mb < MONITOR_MB:
        return []
    return [f"the monitor took {monitor_peak_mb:g} MB, and {MONITOR_MB:g} MB are the bound"]


def _shown(hurt: Hurt, dashboard: Timeline) -> Spell | None:
    fault = hurt.fault
    return dashboard.find(
        lambda text: text.startswith(f"{fault.state}: ") and fault.words in text, hurt.begun_ns, hurt.mended_ns
    )


def _fired(hurt: Hurt, alerts: Timeline) -> Spell | None:
    return alerts.find(lambda name: name == hurt.fault.alert, hurt.begun_ns, hurt.quiet_ns)


def _seconds(from_ns: int, to_ns: int) -> float:
    return round((to_ns - from_ns) / NS_PER_S, 1)
