"""Rows of the messages between station and gateway, hurt by the relay between them."""

from __future__ import annotations

import time
from typing import Any

from tests.faults.matrix.rig import OUTAGE_S, Rig
from tests.faults.matrix.row import SETTLED_PARTS, Fate, Row
from tests.faults.matrix.rows_process import MISSES_PARTS, NO_SESSION, UNANNOUNCED

LATE_MS = 600
"""The gateway's commit point is 448 ms after the trigger."""


def disposed(name: str) -> str:
    """Return the sample that counts the gateway's answers to verdicts."""
    return f'edge_gateway_dispositions_total{{disposition="{name}"}}'


def spoil(rig: Rig, seconds: float = OUTAGE_S, **how: Any) -> None:
    """Let the relay spoil messages for a while."""
    rig.relay.set(**how)
    time.sleep(seconds)
    rig.relay.set()


def reorder(rig: Rig) -> None:
    """Let each verdict come before its announcement for a while."""
    rig.relay.set(reorder=True)
    time.sleep(OUTAGE_S)
    swapped = rig.relay.set()
    assert swapped > SETTLED_PARTS, f"only {swapped} pairs of messages changed places"


ROWS: tuple[Row, ...] = (
    Row(
        name="verdict late",
        made="verdicts wait 600 ms in the relay, for 2 s",
        inflict=lambda rig: spoil(rig, 2.0, delay_ms=LATE_MS),
        fate=Fate.REJECTED,
        causes=("unanswered",),
        rises=(disposed("LATE"), 'edge_gateway_rejected_parts_total{cause="unanswered"}'),
        shows=(),
        back_s=3.0,
        protections=("commit_point",),
        setup="relayed",
    ),
    Row(
        name="verdict duplicated",
        made="each message of the station comes three times, for 3 s",
        inflict=lambda rig: spoil(rig, repeat=3),
        fate=Fate.UNHARMED,
        causes=(),
        rises=(disposed("DUPLICATE"),),
        shows=(),
        back_s=2.0,
        protections=("answered_once",),
        setup="relayed",
    ),
    Row(
        name="verdict reordered",
        made="pairs of messages about parts change places, for 3 s",
        inflict=reorder,
        fate=Fate.UNHARMED,
        causes=(),
        rises=(disposed("ACCEPTED"),),
        shows=(),
        back_s=2.0,
        protections=("verdict_alone",),
        setup="relayed",
    ),
    Row(
        name="verdict for an unknown part",
        made="with each verdict comes a PASS for a part 1000 numbers ahead, for 3 s",
        inflict=lambda rig: spoil(rig, invent=1000),
        fate=Fate.UNHARMED,
        causes=(),
        rises=(disposed("UNKNOWN"),),
        shows=(),
        back_s=2.0,
        protections=("plc_counts",),
        setup="relayed",
    ),
    Row(
        name="messages held up",
        made="the relay delivers nothing for 3 s, then all that was sent, as TCP does",
        inflict=lambda rig: spoil(rig, cut=True),
        fate=Fate.REJECTED,
        causes=("unannounced",),
        rises=(UNANNOUNCED, "edge_gateway_sessions_granted_total"),
        shows=(NO_SESSION, MISSES_PARTS, "edge_gateway_station_session 0.0"),
        back_s=5.0,
        protections=("gateway_default", "fence"),
        setup="relayed",
    ),
    Row(
        name="network cut and healed",
        made="the station in a network namespace of its own, TCP with keys; the cable is down for 3 s",
        inflict=lambda rig: rig.network.cut(OUTAGE_S),
        fate=Fate.REJECTED,
        causes=("unannounced",),
        rises=(UNANNOUNCED, "edge_gateway_sessions_granted_total"),
        shows=(NO_SESSION, MISSES_PARTS, "edge_gateway_station_session 0.0"),
        back_s=8.0,
        protections=("gateway_default", "fence"),
        setup="two hosts",
    ),
)
