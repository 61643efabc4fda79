"""Rows of processes: killed, stopped, restarted, kept from starting; and of the monitor."""

from __future__ import annotations

import time

from tests.faults.matrix.rig import OUTAGE_S, Rig
from tests.faults.matrix.row import Fate, Row

UNANNOUNCED = 'edge_gateway_rejected_parts_total{cause="unannounced"}'
STATION_DOWN = "edge_station_up 0.0"
GATEWAY_DOWN = "edge_gateway_up 0.0"
NO_SESSION = 'edge_station_state{state="STARTING"} 1.0'
MISSES_PARTS = 'edge_gateway_alarm{alarm="consecutive_unannounced"} 1.0'
MONITOR_SILENT = "up 0.0"
ALONE = "no session"

START_S = 15.0
"""Bound for what includes the start of a process, on a machine that is shared."""


def with_bad_config(rig: Rig) -> None:
    """Restart the station on a configuration with a key that there is not."""
    path = rig.line.folder / "station.toml"
    good = path.read_text()
    rig.line.stop("station")
    try:
        path.write_text(f"ceiling_mss = 100\n{good}")
        rig.refuses_to_start("station", 2, "ceiling_mss: unknown key")
        time.sleep(OUTAGE_S)
    finally:
        path.write_text(good)
    rig.start("station")


def with_corrupt_model(rig: Rig) -> None:
    """Restart the station on a model of which one byte has changed."""
    path = rig.package / "model.onnx"
    good = path.read_bytes()
    rig.line.stop("station")
    middle = len(good) // 2
    try:
        path.write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
        rig.refuses_to_start("station", 4, "has sha256")
        time.sleep(OUTAGE_S)
    finally:
        path.write_bytes(good)
    rig.start("station")


ROWS: tuple[Row, ...] = (
    Row(
        name="station killed",
        made="SIGKILL; started again after 3 s",
        inflict=lambda rig: rig.kill("station"),
        fate=Fate.REJECTED,
        causes=("unannounced",),
        rises=(UNANNOUNCED,),
        shows=(STATION_DOWN, MISSES_PARTS),
        back_s=START_S,
        protections=("gateway_default", "default_reject"),
    ),
    Row(
        name="station stopped",
        made="SIGSTOP for 3 s",
        inflict=lambda rig: rig.halt("station"),
        fate=Fate.REJECTED,
        causes=("unannounced",),
        rises=(UNANNOUNCED,),
        shows=(STATION_DOWN, MISSES_PARTS, "edge_gateway_station_session 0.0"),
        back_s=5.0,
        protections=("gateway_default", "stale_station"),
    ),
    Row(
        name="station restarted",
        made="SIGTERM; started again 3 s after its end",
        inflict=lambda rig: rig.restart("station"),
        fate=Fate.REJECTED,
        causes=("unannounced",),
        rises=(UNANNOUNCED,),
        shows=(STATION_DOWN, MISSES_PARTS),
        back_s=START_S,
        protections=("gateway_default", "fence"),
    ),
    Row(
        name="gateway killed",
        made="SIGKILL; started again after 3 s",
        inflict=lambda rig: rig.kill("gateway"),
        fate=Fate.REJECTED,
        causes=(ALONE,),
        rises=("edge_gateway_sessions_granted_total",),
        shows=(GATEWAY_DOWN, NO_SESSION),
        back_s=START_S,
        protections=("default_reject", "plc_watchdog", "fence"),
    ),
    Row(
        name="gateway stopped",
        made="SIGSTOP for 3 s",
        inflict=lambda rig: rig.halt("gateway"),
        fate=Fate.REJECTED,
        causes=("session_lost", ALONE),
        rises=("edge_gateway_sessions_lost_total",),
        shows=(GATEWAY_DOWN, NO_SESSION),
        back_s=5.0,
        protections=("default_reject", "fence"),
    ),
    Row(
        name="gateway restarted",
        made="SIGTERM; started again 3 s after its end",
        inflict=lambda rig: rig.restart("gateway"),
        fate=Fate.REJECTED,
        causes=(ALONE,),
        rises=("edge_gateway_sessions_granted_total",),
        shows=(GATEWAY_DOWN, NO_SESSION),
        back_s=START_S,
        protections=("default_reject", "fence"),
    ),
    Row(
        name="station and gateway stopped",
        made="SIGSTOP of both for 3 s",
        inflict=lambda rig: rig.halt("station", "gateway"),
        fate=Fate.REJECTED,
        causes=("session_lost",),
        rises=("edge_gateway_sessions_lost_total",),
        shows=(STATION_DOWN, GATEWAY_DOWN),
        back_s=5.0,
        protections=("default_reject", "fence"),
    ),
    Row(
        name="monitor hung",
        made="SIGSTOP for 3 s",
        inflict=lambda rig: rig.halt("monitor"),
        fate=Fate.UNHARMED,
        causes=(),
        rises=("edge_gateway_executed_parts_total",),
        shows=(MONITOR_SILENT,),
        back_s=2.0,
        protections=("monitor_apart",),
    ),
    Row(
        name="bad config",
        made="the station is restarted on a file with an unknown key, refuses (exit code 2), then on the good one",
        inflict=with_bad_config,
        fate=Fate.REJECTED,
        causes=("unannounced",),
        rises=(UNANNOUNCED,),
        shows=(STATION_DOWN, MISSES_PARTS),
        back_s=START_S,
        protections=("strict_config",),
    ),
    Row(
        name="corrupt model",
        made="the station is restarted on a model with one bit changed, refuses (exit code 4), then on the good one",
        inflict=with_corrupt_model,
        fate=Fate.REJECTED,
        causes=("unannounced",),
        rises=(UNANNOUNCED,),
        shows=(STATION_DOWN, MISSES_PARTS),
        back_s=START_S,
        protections=("model_hash",),
    ),
    Row(
        name="all processes killed",
        made="SIGKILL of station, gateway and monitor; started again after 3 s",
        inflict=lambda rig: rig.kill("station", "gateway", "monitor"),
        fate=Fate.REJECTED,
        causes=(),
        rises=("edge_gateway_sessions_granted_total",),
        shows=(MONITOR_SILENT,),
        back_s=START_S,
        protections=("default_reject", "fence"),
    ),
)
