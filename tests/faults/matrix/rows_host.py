"""Rows of the host: the disks of journals and evidence, and the wall clock."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.faults.matrix.rig import OUTAGE_S, Rig
from tests.faults.matrix.row import Fate, Row

HOUR_S = 3600.0
STANDS_S = 1.5
GUARD_S = 20

STATION_JOURNAL = 'edge_station_alarm{alarm="journal"} 1.0'
GATEWAY_JOURNAL = 'edge_gateway_alarm{alarm="journal"} 1.0'

_GUARD = "import sys, time; time.sleep(float(sys.argv[1])); time.clock_settime(time.CLOCK_REALTIME, {right})"
_RIGHT = "time.clock_gettime(time.CLOCK_MONOTONIC) + float(sys.argv[2])"


def step_wall_clock(_: Rig) -> None:
    """Step the machine's wall clock an hour ahead, an hour back, and to where it was."""
    right_s = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    guard = subprocess.Popen([sys.executable, "-c", _GUARD.format(right=_RIGHT), str(GUARD_S), repr(right_s)])
    try:
        for step_s in (HOUR_S, -HOUR_S):
            _set(right_s + step_s)
            time.sleep(STANDS_S)
    finally:
        _set(right_s)
        guard.kill()
        guard.wait()


def _set(ahead_s: float) -> None:
    time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_MONOTONIC) + ahead_s)
    off_s = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_MONOTONIC) - ahead_s
    assert abs(off_s) < 1.0, f"the wall clock was not set: it is {off_s:.1f} s off"


ROWS: tuple[Row, ...] = (
    Row(
        name="journal disk full",
        made="a small ext4 file system is filled for 4 s",
        inflict=lambda rig: rig.disk.full(OUTAGE_S + 1),
        fate=Fate.UNHARMED,
        causes=(),
        rises=('edge_journal_rows_total{process="station"}', 'edge_journal_rows_total{process="gateway"}'),
        shows=(STATION_JOURNAL, GATEWAY_JOURNAL),
        back_s=2.0,
        protections=("journal_apart",),
        setup="small disk",
    ),
    Row(
        name="journal disk stalled",
        made="the file system is frozen for 4 s: every write waits in the kernel",
        inflict=lambda rig: rig.disk.stalled(OUTAGE_S + 1),
        fate=Fate.UNHARMED,
        causes=(),
        rises=('edge_journal_rows_total{process="station"}', 'edge_journal_rows_total{process="gateway"}'),
        shows=(STATION_JOURNAL, GATEWAY_JOURNAL),
        back_s=2.0,
        protections=("journal_apart",),
        setup="small disk",
    ),
    Row(
        name="wall clock stepped",
        made="the machine's clock is set an hour ahead for 1.5 s, an hour back for 1.5 s, and right again",
        inflict=step_wall_clock,
        fate=Fate.UNHARMED,
        causes=(),
        rises=("edge_gateway_executed_parts_total", 'edge_journal_rows_total{process="station"}'),
        shows=(),
        back_s=2.0,
        protections=("monotonic_clock",),
        setup="small disk",
    ),
    Row(
        name="evidence disk full",
        made="a small ext4 file system that only evidence uses is filled for 4 s",
        inflict=lambda rig: rig.disk.full(OUTAGE_S + 1),
        fate=Fate.UNHARMED,
        causes=(),
        rises=(
            'edge_evidence_dropped_total{cause="disk_low"}',
            'edge_evidence_pictures_total{reason="reject"}',
            "edge_gateway_executed_parts_total",
        ),
        shows=('edge_station_alarm{alarm="disk_low"} 1.0',),
        back_s=2.0,
        protections=("evidence_apart",),
        setup="evidence",
    ),
    Row(
        name="evidence disk stalled",
        made="that file system is frozen for 4 s: every write waits in the kernel",
        inflict=lambda rig: rig.disk.stalled(OUTAGE_S + 1),
        fate=Fate.UNHARMED,
        causes=(),
        rises=(
            'edge_evidence_dropped_total{cause="no_slot"}',
            'edge_evidence_pictures_total{reason="reject"}',
            "edge_gateway_executed_parts_total",
        ),
        shows=(),
        back_s=2.0,
        protections=("evidence_apart",),
        setup="evidence",
    ),
)
