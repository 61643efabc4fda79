"""The state band: one word for the whole line, and why, in words that an operator understands.  Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edge.capture.events import CAMERA, TRIGGER
from edge.clock import NS_PER_S
from edge.core.alarms import ALARMS
from edge.core.modes import Mode
from edge.monitor.recent import UNDECIDED_MOST, Recent
from edge.monitor.state import SILENT_NS, LineState
from edge.wire.messages import StationStatus

Word = Literal["RUNNING", "WARNING", "FAULT", "STOPPED"]

IDLE_NS = 10 * NS_PER_S
"""A line on which nothing came for so long stands, or is empty."""

WAIT_NS = 60 * NS_PER_S
"""A line that starts with the monitor is heard within so long; a side that was not is down."""

REFUSED_NS = 10 * NS_PER_S
"""A station that starts waits for its session for so long at most; one that waits longer is refused."""

UNRECONCILED_NS = 5 * NS_PER_S
"""Counts that do not add up for so long belong to a part without an outcome."""

REMEDIES: dict[str, str] = {
    CAMERA: "Check the camera's cable, power and light; it is opened again by itself.",
    TRIGGER: "Check the part eye's cable and power; it is opened again by itself.",
}
"""For the alarms of a station's devices, which carry their own words."""

SILENT_REMEDIES: dict[str, str] = {
    "station_silent": "See whether the station runs; it is started again by itself.",
    "gateway_silent": "See whether the gateway runs; it is started again by itself.",
    "plc_silent": "Check the PLC, its program and the network cable.",
}
"""For the alarms of silence, whose names may say more behind these."""


@dataclass(frozen=True)
class Band:
    """What is shown largest.

    Attributes:
        word: the state.
        key: of ``reason`` in the catalogue of texts; "" where there is none to tell.
        reason: in English.
        remedy: in English, or "".
        values: what ``reason`` names, such as seconds.
        detail: the line's own words beyond ``reason``'s sentence, in English, or "".
    """

    word: Word
    key: str = ""
    reason: str = ""
    remedy: str = ""
    values: dict[str, str | int] = field(default_factory=dict)
    detail: str = ""


def band(state: LineState, recent: Recent, now_ns: int, expects_gateway: bool, rests_in_pass: bool = False) -> Band:
    """Return the band of a line.  What lets parts through uninspected comes first.

    Args:
        state, recent: what was heard.
        now_ns: monotonic.
        expects_gateway: a gateway that was never heard of is a fault.
        rests_in_pass: the gate lets parts through when nobody drives it.
    """
    gateway_silent = _gateway_silent(state, now_ns, expects_gateway, rests_in_pass)
    return (
        _bypassed(state, now_ns)
        or (gateway_silent if _is_open(state, rests_in_pass) else None)
        or _station_silent(state, now_ns, expects_gateway)
        or _station_fault(state)
        or gateway_silent
        or _held(state)
        or _waiting(state)
        or _refused(state, recent, now_ns)
        or _starting(state)
        or _warned(state, recent, now_ns)
        or _idle(recent, now_ns)
        or _undecided(recent)
        or Band("RUNNING")
    )


def silences(state: LineState, now_ns: int, expects_gateway: bool, rests_in_pass: bool = False) -> list[Band]:
    """Return who is silent, each as the band would tell it: the alarms that only the monitor can raise.

    A monitor that has just begun to listen grants a gateway the time that any side has.
    """
    gateway = _gateway_silent(state, now_ns, expects_gateway, rests_in_pass)
    if state.gateway is None and state.began_ns is not None and now_ns - state.began_ns <= SILENT_NS:
        gateway = None
    passes = _bypassed(state, now_ns) is not None or (gateway is not None and _is_open(state, rests_in_pass))
    station = _station_silent(state, now_ns, expects_gateway, passes)
    return [told for told in (station, gateway) if told is not None]


def remedy(name: str) -> str:
    """Return what to do about the alarm ``name``; "" where nobody wrote it down."""
    if name in ALARMS:
        return ALARMS[name].remedy
    silent = name.removesuffix("_unsorted").removesuffix("_open")
    return REMEDIES.get(name, "") or SILENT_REMEDIES.get(silent, "")


def _bypassed(state: LineState, now_ns: int) -> Band | None:
    """Bypass needs no station, and is what a plant sets where one is dead."""
    gateway, age_ns = state.gateway, state.gateway_age_ns(now_ns)
    if gateway is None or age_ns is None or age_ns > SILENT_NS or not gateway.plc_ok or gateway.latched:
        return None
    if gateway.mode != Mode.BYPASS.value:
        return None
    return Band("FAULT", f"mode.{gateway.mode}", "Bypass: parts pass uninspected.", "Set mode auto.")


def _is_open(state: LineState, rests_in_pass: bool) -> bool:
    """Say whether a gate that nobody drives lets parts through, as the configuration or the gateway itself says."""
    return rests_in_pass or (state.gateway is not None and "accept_escapes" in state.gateway.alarms)


def _waiting(state: LineState) -> Band | None:
    if state.station is not None:
        return None
    return Band("STOPPED", "waiting", "The station has not been heard yet.", "Start the station.")


def _station_silent(state: LineState, now_ns: int, expects_gateway: bool, passes: bool = False) -> Band | None:
    age_ns, most_ns = state.station_age_ns(now_ns), SILENT_NS
    if age_ns is None:  # it never spoke
        age_ns, most_ns = state.listened_ns(now_ns), WAIT_NS
    if age_ns <= most_ns:
        return None
    todo = SILENT_REMEDIES["station_silent"]
    values: dict[str, str | int] = {"seconds": age_ns // NS_PER_S}
    if passes or _is_unsorted(state, expects_gateway):
        reason = "The inspection station is silent; parts go on uninspected."
        return Band("FAULT", "station_silent_unsorted", reason, todo, values)
    reason = "The inspection station is silent; nothing is inspected, and no part passes."
    return Band("FAULT", "station_silent", reason, todo, values)


def _is_unsorted(state: LineState, expects_gateway: bool) -> bool:
    """Say whether there is no gateway.  One elsewhere is not heard; its station has a session, or waits for one."""
    if state.gateway is not None or expects_gateway:
        return False
    return state.station is None or (state.station.session == 0 and state.station.state != "STARTING")


def _station_fault(state: LineState) -> Band | None:
    station = state.station
    if station is None or station.state != "FAULT":
        return None
    name = _alarm_of(station)
    if not name:
        return Band("FAULT", "station_fault", station.reason, detail=station.reason)
    return Band("FAULT", name if name in REMEDIES else f"alarm.{name}", station.reason, remedy(name))


def _alarm_of(station: StationStatus) -> str:
    """Return the alarm of which a station's reason speaks, or "".

    A device's has the reason's own words; that of a check begins with the same sentence, and goes on with what was
    measured where the reason goes on with what follows.
    """
    for name, text in station.alarms.items():
        if text == station.reason:
            return name
    known = (name for name in station.alarms if name in ALARMS)
    return next((name for name in known if station.reason.startswith(ALARMS[name].text)), "")


def _gateway_silent(state: LineState, now_ns: int, expected: bool, rests_in_pass: bool) -> Band | None:
    gateway, age_ns = state.gateway, state.gateway_age_ns(now_ns)
    if age_ns is None and not expected:
        return None
    if state.station is None and gateway is None and state.listened_ns(now_ns) <= WAIT_NS:
        return None
    is_open = _is_open(state, rests_in_pass)
    if gateway is None or age_ns is None or age_ns > SILENT_NS:
        values: dict[str, str | int] = {} if age_ns is None else {"seconds": age_ns // NS_PER_S}
        todo = SILENT_REMEDIES["gateway_silent"]
        if is_open:
            reason = "Parts may pass uninspected: the gateway is silent."
            return Band("FAULT", "gateway_silent_open", reason, todo, values)
        return Band("FAULT", "gateway_silent", "The gateway is silent; no part passes.", todo, values)
    if gateway.plc_ok:
        return None
    todo = SILENT_REMEDIES["plc_silent"]
    if is_open:
        reason = "Parts may pass uninspected: the PLC does not answer, or cannot be trusted."
        return Band("FAULT", "plc_silent_open", reason, todo, detail=gateway.reason)
    reason = "The PLC does not answer, or cannot be trusted; no part passes."
    return Band("FAULT", "plc_silent", reason, todo, detail=gateway.reason)


def _held(state: LineState) -> Band | None:
    gateway = state.gateway
    if gateway is None:
        return None
    for name in gateway.latched:
        return Band("FAULT", f"alarm.{name}", gateway.alarms.get(name, ""), remedy(name))
    if gateway.mode in (Mode.JOG.value, Mode.PURGE.value):
        return Band("STOPPED", f"mode.{gateway.mode}", f"Mode {gateway.mode}: {Mode(gateway.mode).text}.")
    return None


def _refused(state: LineState, recent: Recent, now_ns: int) -> Band | None:
    station, gateway = state.station, state.gateway
    if station is None or gateway is None or gateway.mode != Mode.AUTO.value:
        return None
    if recent.refused_ns is None or now_ns - recent.refused_ns <= REFUSED_NS:
        return None
    reason, todo = "The gateway does not let the station in; no part passes.", "Correct what it says, or call plant IT."
    return Band("FAULT", "refused", reason, todo, detail=station.reason)


def _starting(state: LineState) -> Band | None:
    station = state.station
    if station is None or station.state != "STARTING":
        return None
    if station.reason:
        return Band("STOPPED", "no_session", station.reason, detail=station.reason)
    return Band("STOPPED", "starting", "The station starts.")


def _warned(state: LineState, recent: Recent, now_ns: int) -> Band | None:
    station, gateway = state.station, state.gateway
    if state.unreconciled_ns is not None and now_ns - state.unreconciled_ns > UNRECONCILED_NS:
        reason, todo = "The counts do not add up: a part has no outcome.", "Call plant IT: see edge journal reconcile."
        return Band("WARNING", "unreconciled", reason, todo)
    if recent.sight.is_blind and _idle(recent, now_ns) is None:
        reason = "Parts come that the station does not see; each is rejected."
        return Band("WARNING", "unseen", reason, "Check the part eye's cable to the station.")
    if gateway is not None and gateway.mode == Mode.INSPECT_ONLY.value:
        return Band("WARNING", f"mode.{gateway.mode}", f"Mode {gateway.mode}: {Mode(gateway.mode).text}.")
    if station is not None and station.challenge.phase:
        return Band("WARNING", "challenge", station.challenge.text or station.reason)
    for alarms in (station.alarms if station else {}, gateway.alarms if gateway else {}):
        for name, text in alarms.items():
            return Band("WARNING", f"alarm.{name}", text, remedy(name))
    if station is not None and station.state == "WARNING":
        key = "no_gateway" if gateway is None and station.session == 0 else "undecided"
        return Band("WARNING", key, station.reason)
    return None


def _idle(recent: Recent, now_ns: int) -> Band | None:
    moved_ns = recent.sight.moved_ns
    if moved_ns is None or now_ns - moved_ns <= IDLE_NS:
        return None
    return Band("STOPPED", "idle", "No part comes.", "", {"seconds": (now_ns - moved_ns) // NS_PER_S})


def _undecided(recent: Recent) -> Band | None:
    if recent.undecided() <= UNDECIDED_MOST:
        return None
    return Band("WARNING", "many_undecided", "Many parts end without a decision.", "See the causes.")
