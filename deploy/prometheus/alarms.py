"""Writes rules/alarms.yml: one alert for each alarm of station and gateway, in the words of ``edge.core.alarms``.

    python deploy/prometheus/alarms.py --write

Without ``--write`` it prints the file.  A test compares the two.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.core.alarms import ALARMS, Alarm

PATH = Path(__file__).parent / "rules" / "alarms.yml"

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True)
class Row:
    """How an alarm is told to people who are not at the line.

    Attributes:
        alarm: its name; its text and remedy are those of ``ALARMS``.
        alert: the alert's name.
        severity: "critical": parts are not sorted, or not recorded: now.  "warning": in this shift.  "info": to know.
        component: what it is about.
        effect: what it means for the line.
        gateway: the gateway raises it.
        station: the station raises it.
    """

    alarm: str
    alert: str
    severity: Severity
    component: str
    effect: str
    gateway: bool = False
    station: bool = False


KEEP_S = 30
"""A monitor that is restarted (`RestartSec`, its start, a status, a scrape) tells of no alarm for some 10 s."""

_HELD = "Parts may be rejected or held by it: see the reactions in [guard] of gateway.toml."
_NONE = "No part passes, but in mode bypass."
_WATCHED = "Parts are still inspected, unless its reaction in [health] is hold."

DEVICES = {
    "camera": Alarm("camera", "The camera is gone, or delivers nothing.", "Its cable, power and trigger."),
    "trigger": Alarm("trigger", "The part eye's trigger source is gone.", "Its cable and power."),
}
"""The station's alarms of its devices, whose text is the driver's own."""

ROWS = (
    Row("bypass", "EdgeBypass", "critical", "mode", "Defective parts reach the good bin.", gateway=True),
    Row("accept_escapes", "EdgeEscapesAccepted", "info", "gate", "So it was configured.", gateway=True),
    Row("consecutive_rejects", "EdgeConsecutiveRejects", "warning", "quality", _HELD, gateway=True),
    Row("consecutive_no_decisions", "EdgeConsecutiveNoDecisions", "critical", "station", _HELD, gateway=True),
    Row("consecutive_unannounced", "EdgeConsecutiveUnannounced", "critical", "trigger", _HELD, gateway=True),
    Row("reject_rate", "EdgeRejectRate", "warning", "quality", _HELD, gateway=True),
    Row(
        "contradicted", "EdgeContradicted", "critical", "gate", "A defective part may be in the good bin.", gateway=True
    ),
    Row("missing", "EdgePartMissing", "warning", "gate", _HELD, gateway=True),
    Row("bin_full", "EdgeBinFull", "critical", "gate", _HELD, gateway=True),
    Row("air_low", "EdgeAirLow", "critical", "gate", "The gate may not move in time.", gateway=True),
    Row(
        "eye_blocked", "EdgeEyeBlocked", "critical", "trigger", "Parts are not counted, and none passes.", gateway=True
    ),
    Row("touching_parts", "EdgeTouchingParts", "warning", "infeed", "They get no permit.", gateway=True),
    Row(
        "encoder_lost", "EdgeEncoderLost", "critical", "encoder", "No part on the belt keeps its permit.", gateway=True
    ),
    Row("journal", "EdgeJournalFailing", "critical", "journal", "Parts are still sorted.", gateway=True, station=True),
    Row("camera", "EdgeCameraLost", "critical", "camera", f"{_NONE} The camera is opened again.", station=True),
    Row("trigger", "EdgeTriggerLost", "critical", "trigger", f"{_NONE} The device is opened again.", station=True),
    Row("camera_dark", "EdgeCameraDark", "warning", "camera", _WATCHED, station=True),
    Row("camera_bright", "EdgeCameraBright", "warning", "camera", _WATCHED, station=True),
    Row("camera_blurred", "EdgeCameraBlurred", "warning", "camera", _WATCHED, station=True),
    Row(
        "camera_frozen", "EdgeCameraFrozen", "critical", "camera", "What is inspected is not what passes.", station=True
    ),
    Row("camera_shifted", "EdgeCameraShifted", "warning", "camera", _WATCHED, station=True),
    Row("score_drift", "EdgeScoreDrift", "warning", "quality", _WATCHED, station=True),
    Row("reject_drift", "EdgeRejectDrift", "warning", "quality", _WATCHED, station=True),
    Row("throughput_low", "EdgeThroughputLow", "warning", "line", _WATCHED, station=True),
    Row("temperature_high", "EdgeTemperatureHigh", "warning", "computer", _WATCHED, station=True),
    Row("clock_slow", "EdgeClockSlow", "warning", "computer", _WATCHED, station=True),
    Row("health", "EdgeHealthNotWatched", "warning", "computer", "Camera and drift may change unseen.", station=True),
    Row("evidence", "EdgeEvidenceFailing", "warning", "evidence", "Verdicts are not touched.", station=True),
    Row(
        "disk_low",
        "EdgeDiskLow",
        "warning",
        "evidence",
        "Old pictures go first; verdicts are not touched.",
        station=True,
    ),
    Row(
        "challenge_failed",
        "EdgeChallengeFailed",
        "critical",
        "challenge",
        "The line may let defects pass.",
        station=True,
    ),
    Row(
        "challenge_due",
        "EdgeChallengeDue",
        "warning",
        "challenge",
        "Nobody knows whether it still rejects.",
        station=True,
    ),
)


def text() -> str:
    """Return the rule file."""
    head = "# Made from edge.core.alarms by alarms.py beside this folder.\ngroups:\n  - name: edge-alarms\n    rules:\n"
    return head + "".join(_alert(row) for row in ROWS) + _rest()


def _alert(row: Row) -> str:
    alarm = DEVICES.get(row.alarm) or ALARMS[row.alarm]
    sides = [side for side in ("station", "gateway") if getattr(row, side)]
    return f"""\
      - alert: {row.alert}
{_stands(dict.fromkeys(sides, f'alarm="{row.alarm}"'))}
        labels: {{severity: {row.severity}, component: {row.component}, kind: cause}}
        annotations:
          summary: {json.dumps("{{ $labels.line }}: " + alarm.text.rstrip("."))}
          description: {json.dumps(row.effect)}
          remedy: {json.dumps(alarm.remedy)}
"""


def _stands(selectors: dict[str, str]) -> str:
    """Return when an alarm stands: a side that is silent says it no longer, and a monitor's restart ends nothing."""
    expr = " or ".join(
        f"edge_{side}_alarm{{{selector}}} == 1 and on (line) edge_{side}_up == 1"
        for side, selector in selectors.items()
    )
    return f"        expr: {expr}\n        keep_firing_for: {KEEP_S}s"


def _rest() -> str:
    """Return the alert for alarms that this table does not know: those of a newer station or gateway."""
    known = {side: "|".join(row.alarm for row in ROWS if getattr(row, side)) for side in ("station", "gateway")}
    return f"""\
      - alert: EdgeUnlistedAlarm
{_stands({side: f'alarm!~"{names}"' for side, names in known.items()})}
        labels: {{severity: warning, component: versions, kind: cause}}
        annotations:
          summary: "{{{{ $labels.line }}}}: alarm {{{{ $labels.alarm }}}}"
          description: "These rules are older than the line's software."
          remedy: "See the line's dashboard, and install the rules of its version."
"""


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PATH.write_text(text(), encoding="utf-8")
    else:
        sys.stdout.write(text())
