"""`edge bench plc`: does a PLC that is down, slow or refusing delay verdicts?

The station runs in this process, between a camera in memory and a timer, with an engine whose duration is fixed; the
gateway is `edge gateway` in a process of its own, and so is a PLC on a real Modbus port.  Blocks of parts alternate
between a healthy PLC and one of its faults, so that a slow spell of the machine meets both.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from edge.commands.bench_blocks import gateway, gateway_config, rig, run, station_config
from edge.commands.bench_effects import Effects, evaluate, schedule, summarise, until_t3
from edge.commands.bench_plc_rig import Condition
from edge.config import StationConfig
from edge.wire.messages import PartRecord, decode_published

BLOCKS = 6
PARTS = 250

FAULTS = tuple(condition for condition in Condition if condition is not Condition.HEALTHY)


def measure(config: StationConfig, blocks: int = BLOCKS, parts: int = PARTS) -> Effects:
    """Measure the station beside a gateway and a PLC that fails; this process is the station's, with its priority.

    Everything from the moment at which a fault begins to the moment at which the station is back after it belongs to
    the fault's block.  T3 is when the verdict was sent; where there was no session to send it under, the moment at
    which it was ready, which is T2.  All parts count whose trigger was seen, however they ended.

    Args:
        config: whose model and frame are used; the rest is the bench's own.
        blocks: of each fault, at least 2.
        parts: of each block, at the least.

    Raises:
        EdgeError: a process does not start, or the machine is too slow.
    """
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as name:
        folder = Path(name)
        with rig() as (port, commands), gateway(gateway_config(folder, port), folder):
            plan = schedule(Condition.HEALTHY, FAULTS, blocks)
            edges_ns = run(station_config(config, folder), commands, commands, plan, parts, folder / "outcomes")
        records = [decode_published(line) for line in (folder / "outcomes").read_bytes().splitlines()]
    found = summarise([r for r in records if isinstance(r, PartRecord)], plan, edges_ns, until_t3)
    return evaluate("T0 to T3", Condition.HEALTHY, FAULTS, found)
