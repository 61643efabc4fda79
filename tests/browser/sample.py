"""Contract-shaped data of a line that inspects simulated steel: what the monitor's API answers."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import cv2

from edge.simulate.surface import Surface

Json = dict[str, Any]

NOW_MS = 1_795_089_600_000
"""A moment for pictures that must not change: 2026-11-19 12:00 UTC."""

SESSION = 1_581_433_273
WIDTH, HEIGHT = 640, 512
_PLATES = 24
_HOUR_MS = 3_600_000
RULE = "any defect"


@dataclass(frozen=True)
class Shot:
    """A frame as JPEG, and its findings as the API tells them."""

    jpeg: bytes
    findings: list[Json]


@cache
def shots() -> tuple[list[Shot], list[Shot]]:
    """Return some defective and some good plates of the simulated strip."""
    surface = Surface(WIDTH, HEIGHT, seed=4)
    plates = [surface.plate(n, defective=n % 4 != 3) for n in range(_PLATES)]
    shot = [Shot(_jpeg(p.image), [_finding(n, d.cls, d.box) for d in p.defects]) for n, p in enumerate(plates)]
    return [s for s in shot if s.findings], [s for s in shot if not s.findings]


def _jpeg(image: Any) -> bytes:
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert done
    return encoded.tobytes()


def _finding(number: int, cls: str, box: tuple[float, float, float, float]) -> Json:
    return {"cls": cls, "score": round(0.62 + 0.37 * ((number * 37 % 100) / 100), 2), "box": [round(v, 1) for v in box]}


def state(now_ms: int = NOW_MS, **changes: Any) -> Json:
    """Return a running line's state, with ``changes``."""
    chance = random.Random(7)
    rates = [0.021 + 0.011 * math.sin(n / 7) + chance.uniform(-0.004, 0.004) for n in range(60)]
    points = [
        [now_ms - 100 * (200 - n), round(min(92.0, chance.gauss(31, 2.4) + chance.expovariate(0.5)), 2)]
        for n in range(200)
    ]
    ordered = sorted(value for _, value in points)
    good = {"ok": True, "key": "", "text": ""}
    found: Json = {
        "now_ms": now_ms,
        "page": "0.1.0",
        "state": "RUNNING",
        "since_ms": now_ms - 7_860_000,
        "reason": "",
        "reason_key": "",
        "reason_detail": "",
        "reason_values": {},
        "remedy": "",
        "station": {
            "up": True,
            "age_ms": 400,
            "name": "station-1",
            "lane": 0,
            "state": "RUNNING",
            "reason": "",
            "session": SESSION,
            "open": 1,
            "unreconciled": 0,
        },
        "gateway": {"up": True, "age_ms": 300, "name": "gateway-1", "reason": "", "unreconciled": 0},
        "plc_ok": True,
        "mode": "auto",
        "counts": {"triggers": 78_412, "pass": 76_702, "reject": 1_683, "no_decision": 27},
        "causes": {"clean": 76_702, "rule": 1_683, "compute_timeout": 19, "frame_missing": 8},
        "reject_rate": 0.022,
        "not_passed_rate": 0.026,
        "trend": [
            {"t": now_ms - 60_000 * (59 - n), "parts": 598, "rejects": round(598 * rate)}
            for n, rate in enumerate(rates)
        ],
        "latency": {
            "deadline_ms": 100.0,
            "p50": ordered[100],
            "p99": ordered[197],
            "max": ordered[-1],
            "points": points,
            "unanswered": 0,
        },
        "health": dict.fromkeys(("camera", "trigger", "engine", "gateway", "plc", "disk"), good),
        "alarms": [],
        "identity": {
            "recipe": "strip 1.2 mm",
            "model": "sim-strip",
            "engine": "openvino",
            "precision": "fp32",
            "version": "0.1.0",
        },
        "challenge": challenge(now_ms),
    }
    return {**found, **changes}


def alarm(
    name: str = "reject_rate", text: str = "Too large a share of rejects. 41 of the last 200 parts", **changes: Any
) -> Json:
    """Return an alarm of the gateway, with ``changes``."""
    remedy = "Look at the rejected parts, then reset."
    told: Json = {"source": "gateway", "name": name, "text": text, "detail": "", "remedy": remedy}
    return {**told, "since_ms": NOW_MS - 95_000, "acknowledged_by": None, "stale": False, **changes}


def fault(now_ms: int = NOW_MS) -> Json:
    """Return the state of a line whose camera is gone."""
    text, since_ms = "the camera is gone: no frame for 1.2 s, the device does not answer", now_ms - 34_000
    remedy = "Check the camera's cable, power and light; it is opened again by itself."
    lost = alarm("camera", text, source="station", since_ms=since_ms, remedy=remedy)
    health = state(now_ms)["health"] | {"camera": {"ok": False, "key": "alarm.camera", "text": text}}
    told = {"reason": text, "reason_key": "camera", "remedy": remedy, "since_ms": since_ms}
    return state(now_ms, state="FAULT", alarms=[lost], health=health, **told)


def warning(now_ms: int = NOW_MS) -> Json:
    """Return the state of a line that rejects too much."""
    one = alarm(since_ms=now_ms - 95_000)
    trend = state(now_ms)["trend"]
    for minute, rejects in zip(trend[-4:], (31, 74, 118, 122), strict=True):
        minute["rejects"] = rejects
    disk = alarm("disk_low", "", source="station", since_ms=now_ms - 1_260_000, acknowledged_by="anna")
    told = {"reason": one["text"], "reason_key": "alarm.reject_rate", "since_ms": now_ms - 95_000}
    rates = {"reject_rate": 0.205, "not_passed_rate": 0.211}
    return state(now_ms, state="WARNING", alarms=[one, disk], trend=trend, **rates, **told)


def stopped(now_ms: int = NOW_MS) -> Json:
    """Return the state of a line on which no part comes."""
    return state(now_ms, state="STOPPED", reason="No part comes.", reason_key="idle", since_ms=now_ms - 410_000)


def reject(number: int, wall_ms: int, session: int = SESSION) -> Json:
    """Return the event of a rejected part."""
    findings = shots()[0][number % len(shots()[0])].findings
    told: Json = {
        "session": session,
        "part": number,
        "outcome": "REJECT",
        "cause": "rule",
        "rule": RULE,
        "disposition": "ACCEPTED",
    }
    return {**told, "wall_ms": wall_ms, "findings": findings, "latency_ms": 31.4, "width": WIDTH, "height": HEIGHT}


def picture(identity: int, wall_ms: int, session: int = SESSION) -> Json:
    """Return a picture of the evidence; ``identity`` is its number and tells its kind."""
    kinds = [("REJECT", "rule", "reject")] * 8 + [
        ("NO_DECISION", "compute_timeout", "no_decision"),
        ("PASS", "clean", "sample"),
    ]
    outcome, cause, reason = kinds[identity % 10]
    finding = max(shots()[0][identity % len(shots()[0])].findings, key=lambda f: float(f["score"]))
    x1, y1, x2, y2 = finding["box"]
    seen: Json = {"cls": "", "score": None, "rule": "", "size_px": None}
    if outcome == "REJECT":
        seen = {"cls": finding["cls"], "score": finding["score"], "rule": RULE, "size_px": [x2 - x1, y2 - y1]}
    told: Json = {
        "id": identity,
        "wall_ms": wall_ms,
        "session": session,
        "part": 60_000 + identity,
        "outcome": outcome,
        "cause": cause,
    }
    mark = {3: "right", 7: "wrong"}.get(identity % 23)
    return {
        **told,
        **seen,
        "reason": reason,
        "mark": mark,
        "url": f"/pictures/{identity}.jpg",
        "thumb": f"/pictures/{identity}.jpg?thumb=1",
    }


def part(of: Json) -> Json:
    """Return the record of the part that the picture ``of`` shows."""
    is_reject = of["outcome"] == "REJECT"
    findings = shots()[0][of["id"] % len(shots()[0])].findings if is_reject else []
    times = {
        "T0": 0.0,
        "T1": 7.21,
        "T2": 30.94,
        "T3": 31.02,
        "T4": 31.47,
        "T5": None if is_reject else 58.2,
        "T6": 576.7,
    }
    gate = "good" if of["outcome"] == "PASS" else "rejected"
    told: Json = {name: of[name] for name in ("session", "part", "wall_ms", "outcome", "cause", "rule")}
    return {
        **told,
        "station": "station-1",
        "lane": 0,
        "count": of["part"],
        "latency_ms": times["T4"],
        "disposition": "ACCEPTED",
        "permit": "",
        "end": {"REJECT": "reject", "PASS": "executed"}.get(of["outcome"], "no_decision"),
        "gate": gate,
        "sensor": "confirmed",
        "deadline_ms": 100.0,
        "times": times,
        "findings": findings,
        "picture": {"id": of["id"], "url": of["url"], "width": WIDTH, "height": HEIGHT, "reason": of["reason"]},
        "marks": [],
        "identity": state()["identity"],
    }


def shifts(day: str) -> Json:
    """Return the totals of a day of three shifts, UTC."""
    sums = [_sums(12_402, 271, 3), _sums(286_113, 6_204, 31), _sums(284_950, 7_918, 114)]
    spans = [("22:00", "06:00"), ("06:00", "14:00"), ("14:00", "22:00")]
    night_ms = round(datetime.fromisoformat(f"{day}T22:00+00:00").timestamp() * 1000) - 24 * _HOUR_MS
    at = [{"from_ms": night_ms + 8 * n * _HOUR_MS, "until_ms": night_ms + 8 * (n + 1) * _HOUR_MS} for n in range(3)]
    each = [{"start": a, "end": b, "begun": True, **t, **s} for (a, b), t, s in zip(spans, at, sums, strict=True)]
    total = _sums(*(sum(s[key] for s in sums) for key in ("triggers", "reject", "no_decision")))
    return {"day": day, "timezone": "Europe/Berlin", "shifts": each, "total": total}


def _sums(triggers: int, rejects: int, undecided: int) -> Json:
    counted = {
        "triggers": triggers,
        "pass": triggers - rejects - undecided,
        "reject": rejects,
        "no_decision": undecided,
    }
    causes = {"rule": rejects, "compute_timeout": undecided * 2 // 3, "frame_missing": undecided - undecided * 2 // 3}
    rules = {RULE: rejects * 3 // 4, "long scratch": rejects - rejects * 3 // 4}
    return {
        **counted,
        "reject_rate": rejects / triggers,
        "causes": causes,
        "rules": rules,
        "p99_ms": 38.6,
        "missing": 0,
    }


def alarm_history(now_ms: int = NOW_MS) -> list[Json]:
    """Return some alarms that were."""
    kinds = [
        ("gateway", "reject_rate", "Too large a share of rejects. 41 of the last 200 parts"),
        ("station", "camera", "the camera shows no sign of life"),
        ("gateway", "bin_full", "The reject bin is full."),
        ("station", "journal", "Parts are not being recorded. No space left on device"),
    ]
    each = []
    for n, (source, name, text) in enumerate(kinds):
        raised = now_ms - (n + 1) * 3_100_000
        seen = {
            "acknowledged_by": "anna" if n % 2 else None,
            "acknowledged_ms": None,
            "note": "emptied" if n == 2 else "",
        }
        cleared = None if n == 0 else raised + (n * 94_000)
        each.append(
            {
                "source": source,
                "name": name,
                "text": text,
                "remedy": "",
                "raised_ms": raised,
                "cleared_ms": cleared,
                **seen,
            }
        )
    return each


def challenge(now_ms: int = NOW_MS, **changes: Any) -> Json:
    """Return a station's challenge that is not due, with ``changes``."""
    pieces = [_piece("A1 scratch", "reject"), _piece("G1", "pass"), _piece("A2 scale", "reject"), _piece("G2", "pass")]
    last = {"number": 14, "result": "passed", "wall_ms": now_ms - 14_400_000, "operator": "anna"}
    told: Json = {
        "configured": True,
        "phase": "",
        "text": "",
        "operator": "",
        "since_wall_ms": 0,
        "pieces": pieces,
        "due": {},
    }
    return {**told, "hours_left": 4.0, "last": last, "passed": True, "runs": {"passed": 1}, "problem": "", **changes}


def _piece(name: str, expect: str) -> Json:
    told: Json = {"name": name, "expect": expect, "part": None, "session": 0, "outcome": "", "gate": ""}
    return {**told, "sensor": "", "faults": [], "ok": None}


def challenge_running(now_ms: int = NOW_MS) -> Json:
    """Return a challenge of which two pieces have met their end."""
    told = challenge(now_ms, phase="placing", operator="anna", since_wall_ms=now_ms - 40_000)
    first, second = told["pieces"][:2]
    first.update(part=61_204, session=SESSION, outcome="REJECT", gate="rejected", ok=True)
    second.update(part=61_205, session=SESSION, outcome="PASS", gate="good", ok=True)
    return told


def challenge_runs(now_ms: int = NOW_MS) -> list[Json]:
    """Return the records of earlier challenges."""
    piece = "Piece A2 scale must be rejected, and inspection passed it."
    ends: list[tuple[str, int, str, list[str]]] = [
        ("passed", 4, "anna", []),
        ("escaped", 3, "anna", [piece]),
        ("skipped", 0, "", []),
    ]
    return [
        {"number": 14 - n, "wall_ms": now_ms - 14_400_000 * (n + 1), "pieces": 4}
        | {"result": result, "operator": who, "pieces_ok": right, "faults": faults}
        for n, (result, right, who, faults) in enumerate(ends)
    ]
