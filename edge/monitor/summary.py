"""What the dashboard shows of a line, as plain values for JSON.  Pure: messages and times come as arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from edge import __version__
from edge.capture.events import CAMERA, TRIGGER
from edge.clock import NS_PER_MS, NS_PER_S
from edge.core.alarms import ALARMS
from edge.core.outcome import CAUSES, Outcome
from edge.monitor.band import Band, remedy
from edge.monitor.recent import Recent, latency_ms, wall_ms_of
from edge.monitor.state import SILENT_NS, LineState
from edge.record.annotations import Acknowledgement
from edge.wire.messages import FindingRecord, GatewayStatus, LiveFrame, PartRecord, StationStatus

POINTS = 200
"""Parts in the latency chart."""

FINDINGS = 50
"""Findings of a part that are sent to a browser."""

_ENGINE_CAUSES = ("engine_fault", "non_finite", "saturated", "compute_timeout")
_ENGINE_PARTS = 20
_ENGINE_NS = 60 * NS_PER_S
"""Latest parts, of the last minute, among which a cause of ``_ENGINE_CAUSES`` shows in the engine's light."""

_CAMERA_ALARMS = "camera_"
_DISK_ALARMS = ("journal", "evidence", "disk_low")


def summarise(
    state: LineState,
    recent: Recent,
    band: Band,
    silent: list[Band],
    since_ms: int,
    now_ns: int,
    wall_ms: int,
    acknowledged: Mapping[tuple[str, str], Acknowledgement],
) -> dict[str, Any]:
    """Return the whole state of a line, as `GET /api/state` answers it.

    Args:
        state, recent: what was heard.
        band: of the line.
        silent: alarms of the monitor's own, as ``edge.monitor.band.silences`` tells them.
        since_ms: wall-clock ms at which it came to be so.
        now_ns, wall_ms: monotonic and wall-clock time.
        acknowledged: the last acknowledgement of an alarm, by (source, name); it counts for what was raised before it.
    """
    station, gateway = state.station, state.gateway
    return {
        "now_ms": wall_ms,
        "page": __version__,
        "state": band.word,
        "since_ms": since_ms,
        "reason": band.reason,
        "reason_key": band.key,
        "reason_values": band.values,
        "reason_detail": band.detail,
        "remedy": band.remedy,
        "station": _station(state, now_ns),
        "gateway": _gateway(state, now_ns),
        "plc_ok": gateway.plc_ok if gateway else None,
        "mode": gateway.mode if gateway else None,
        "counts": _counts(station),
        "causes": {name: n for name, n in station.causes.items() if n} if station else {},
        "reject_rate": _share(recent, Outcome.REJECT),
        "not_passed_rate": _share(recent, Outcome.REJECT, Outcome.NO_DECISION),
        "trend": recent.trend.points(wall_ms),
        "latency": _latency(recent, station),
        "health": health(state, recent, now_ns),
        "alarms": _alarms(state, recent, silent, acknowledged, now_ns),
        "identity": _identity(station),
        "challenge": msgspec.to_builtins(station.challenge) if station else {},
    }


def part(record: PartRecord, wall_ms: int) -> dict[str, Any]:
    """Return what the dashboard shows of one part."""
    return {
        "wall_ms": wall_ms,
        "session": record.session,
        "part": record.part,
        "outcome": record.outcome,
        "cause": record.cause,
        "rule": record.rule,
        "disposition": record.disposition,
        "findings": findings(record.findings),
        "latency_ms": latency_ms(record),
        "challenge": record.challenge,
    }


def live(frame: LiveFrame, heard_ms: int) -> dict[str, Any]:
    """Return what the dashboard shows of a live picture, which is served apart."""
    return {
        "wall_ms": wall_ms_of(frame.wall, heard_ms),
        "part": frame.part,
        "outcome": frame.outcome,
        "cause": frame.cause,
        "rule": frame.rule,
        "findings": findings(frame.findings),
        "width": frame.width,
        "height": frame.height,
    }


def findings(found: list[FindingRecord]) -> list[dict[str, Any]]:
    """Return the strongest ``FINDINGS`` of a part's findings, strongest first."""
    strongest = sorted(found, key=lambda finding: -finding.score)[:FINDINGS]
    return [{"cls": f.cls, "score": f.score, "box": [round(edge, 1) for edge in f.box]} for f in strongest]


def health(state: LineState, recent: Recent, now_ns: int) -> dict[str, dict[str, Any]]:
    """Return a light for each of camera, eye, engine, gateway, PLC and disk.  ``ok`` is None where nobody can tell."""
    station = state.station if _fresh(state.station_age_ns(now_ns)) else None
    gateway = state.gateway if _fresh(state.gateway_age_ns(now_ns)) else None
    return {
        "camera": _camera(station),
        "trigger": _trigger(station, recent),
        "engine": _engine(station, recent, now_ns),
        "gateway": _gateway_light(state, station, gateway),
        "plc": _plc(gateway),
        "disk": _disk(station, gateway),
    }


# -- details --------------------------------------------------------------------------------------------------------


def _station(state: LineState, now_ns: int) -> dict[str, Any]:
    station, age_ns = state.station, state.station_age_ns(now_ns)
    return {
        "up": _fresh(age_ns),
        "age_ms": None if age_ns is None else age_ns // NS_PER_MS,
        "name": station.station if station else "",
        "lane": station.lane if station else None,
        "state": station.state if station else "",
        "reason": station.reason if station else "",
        "session": station.session if station else 0,
        "open": station.open if station else 0,
        "unreconciled": state.station_unreconciled(),
    }


def _gateway(state: LineState, now_ns: int) -> dict[str, Any]:
    gateway, age_ns = state.gateway, state.gateway_age_ns(now_ns)
    return {
        "up": _fresh(age_ns),
        "age_ms": None if age_ns is None else age_ns // NS_PER_MS,
        "name": gateway.gateway if gateway else "",
        "reason": gateway.reason if gateway else "",
        "unreconciled": state.gateway_unreconciled(),
    }


def _counts(station: StationStatus | None) -> dict[str, int]:
    outcomes = station.outcomes if station else {}
    told = {outcome.value.lower(): outcomes.get(outcome.value, 0) for outcome in Outcome}
    return {"triggers": station.triggers if station else 0, **told}


def _share(recent: Recent, *outcomes: Outcome) -> float | None:
    """Return the share of some outcomes among the parts of the window, test pieces of a challenge left out."""
    parts = [seen for seen in recent.window if not seen.test_piece]
    if not parts:
        return None
    wanted = {outcome.value for outcome in outcomes}
    return round(sum(seen.outcome in wanted for seen in parts) / len(parts), 4)


def _latency(recent: Recent, station: StationStatus | None) -> dict[str, Any]:
    points = [(seen.wall_ms, seen.latency_ms) for seen in recent.window if seen.latency_ms is not None]
    ordered = sorted(ms for _, ms in points)
    return {
        "deadline_ms": station.deadline_ms if station else None,
        "p50": _quantile(ordered, 0.5),
        "p99": _quantile(ordered, 0.99),
        "max": ordered[-1] if ordered else None,
        "points": points[-POINTS:],
        "unanswered": sum(seen.unanswered for seen in recent.window),
    }


def _quantile(ordered: list[float], share: float) -> float | None:
    """Return the smallest value that at least ``share`` of the values do not exceed (nearest rank)."""
    if not ordered:
        return None
    rank = -(-round(share * 1000) * len(ordered) // 1000)
    return ordered[max(0, rank - 1)]


def _alarms(
    state: LineState,
    recent: Recent,
    silent: list[Band],
    acknowledged: Mapping[tuple[str, str], Acknowledgement],
    now_ns: int,
) -> list[dict[str, Any]]:
    """Return what stands, newest first.  Of a silent side it is what stood when it was last heard: stale."""
    told: list[dict[str, Any]] = []
    sides = (
        ("station", state.station, state.station_age_ns(now_ns)),
        ("gateway", state.gateway, state.gateway_age_ns(now_ns)),
    )
    for source, side, age_ns in sides:
        for name, text in (side.alarms if side else {}).items():
            detail = text.removeprefix(ALARMS[name].text).strip() if name in ALARMS else ""
            words = {"text": text, "detail": detail, "remedy": remedy(name)}
            told.append({"source": source, "name": name, **words, "stale": not _fresh(age_ns)})
    for one in silent:
        words = {"text": one.reason, "detail": one.detail, "remedy": one.remedy}
        told.append({"source": "monitor", "name": one.key, **words, "stale": False})
    for alarm in told:
        key = alarm["source"], alarm["name"]
        alarm["since_ms"] = recent.standing.since_ms.get(key, 0)
        seen = acknowledged.get(key)
        alarm["acknowledged_by"] = seen.who if seen and seen.wall_ms >= alarm["since_ms"] else None
    return sorted(told, key=lambda alarm: -int(alarm["since_ms"]))


def _identity(station: StationStatus | None) -> dict[str, str]:
    names = ("recipe", "model", "engine", "precision", "version")
    return {name: getattr(station, name) if station else "" for name in names}


def _fresh(age_ns: int | None) -> bool:
    return age_ns is not None and age_ns <= SILENT_NS


def _light(ok: bool | None, key: str, text: str) -> dict[str, Any]:
    return {"ok": ok, "key": "" if ok else key, "text": "" if ok else text}


def _camera(station: StationStatus | None) -> dict[str, Any]:
    if station is None:
        return _light(None, "", "")
    for name, text in station.alarms.items():
        if name == CAMERA or name.startswith(_CAMERA_ALARMS):
            return _light(False, f"alarm.{name}", text)
    return _light(True, "", "")


def _trigger(station: StationStatus | None, recent: Recent) -> dict[str, Any]:
    if station is None:
        return _light(None, "", "")
    if TRIGGER in station.alarms:
        return _light(False, f"alarm.{TRIGGER}", station.alarms[TRIGGER])
    return _light(not recent.sight.is_blind, "reason.unseen", "Parts come that the station does not see.")


def _engine(station: StationStatus | None, recent: Recent, now_ns: int) -> dict[str, Any]:
    if station is None or not recent.run_parts:
        return _light(None, "", "")  # before its first part it may still load
    for seen in list(recent.window)[-_ENGINE_PARTS:]:
        if seen.cause in _ENGINE_CAUSES and now_ns - seen.heard_ns <= _ENGINE_NS:
            return _light(False, f"cause.{seen.cause}", CAUSES[seen.cause].text)
    return _light(True, "", "")


def _gateway_light(state: LineState, station: StationStatus | None, gateway: GatewayStatus | None) -> dict[str, Any]:
    if state.gateway is None and (station is None or station.session == 0):
        return _light(None, "", "")  # perhaps there is none
    return _light(gateway is not None, "gateway_silent", "The gateway is silent.")


def _plc(gateway: GatewayStatus | None) -> dict[str, Any]:
    if gateway is None:
        return _light(None, "", "")
    return _light(gateway.plc_ok, "plc_silent", gateway.reason or "The PLC does not answer.")


def _disk(station: StationStatus | None, gateway: GatewayStatus | None) -> dict[str, Any]:
    sides = [side for side in (station, gateway) if side is not None]
    if not sides:
        return _light(None, "", "")
    for side in sides:
        if side.journal.problem:
            return _light(False, "alarm.journal", side.journal.problem)
        for name in _DISK_ALARMS:
            if name in side.alarms:
                return _light(False, f"alarm.{name}", side.alarms[name])
    return _light(True, "", "")
