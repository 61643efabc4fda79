"""Makes the recording that `test_replay.py` replays: `python -m tests.replay.make_recording FOLDER`.

A line of real processes on small simulated plates, where some frames and triggers are lost, late or damaged.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import msgspec

from edge import config
from edge.commands.processes import MODELS, Line
from edge.commands.record import record
from edge.record.recorder import Bounds
from edge.record.recording import EVENTS, Header, Recording, write_header

FRAME = (160, 128, "mono8")
PARTS = 24
RECIPE = 'name = "synthetic"\nrules = [{ name = "any defect", min_score = 0.5 }]'
SPEED = "speed_min_mm_s = 1000\nspeed_max_mm_s = 1000"
FAULTS = (
    *("--drop-frames", "34", "--corrupt-frames", "36", "--delay-frames", "38:70", "--delay-frames", "45:15"),
    *("--drop-triggers", "40", "--delay-triggers", "42:60", "--delay-triggers", "43:20"),
)
OF_THE_CONFIG = ("name", "lane", "line", "actuator", "plc_timing", "position", "recipe", "limits")
CAUSES = {"clean", "rule", "frame_missing", "frame_corrupt", "trigger_lost"}


def main(folder: Path) -> None:
    """Record, and take out what belongs to this machine alone."""
    with Line(MODELS / "sim-strip", RECIPE, SPEED, FRAME) as line:
        line.start_plant(
            *("--parts", "80", "--speed", "1000", "--v-max", "1000", "--seed", "7", "--defect-rate", "0.5", *FAULTS)
        )
        line.start_gateway()
        line.start_station()
        settings = config.load(line.folder / "station.toml", config.StationConfig)
        assert settings.control.path is not None
        line.wait_for(Path(settings.control.path), "station", 20.0)
        time.sleep(2.8)  # some 26 plates
        record(settings, folder, Bounds(PARTS, 100.0, 20.0), print)
    _depersonalise(folder)
    recording = Recording(folder)
    causes = {part.cause for part in recording.reference if part.t0_ns > (recording.header.lead_in_ns or 0)}
    if missing := CAUSES - causes:
        raise SystemExit(
            f"{folder} has no {', '.join(sorted(missing))}: the plates came too early or too late; repeat."
        )


def _depersonalise(folder: Path) -> None:
    header: Header = Recording(folder).header
    values = {key: header.config[key] for key in OF_THE_CONFIG}
    values["camera"] = {"width": FRAME[0], "height": FRAME[1], "color": FRAME[2]}
    values["model"] = {"package": "models/sim-strip"}
    write_header(folder, msgspec.structs.replace(header, config=values))
    events = folder / EVENTS
    boot = json.dumps('"boot_id":"synthetic"')[1:-1]
    events.write_text(re.sub(r'\\"boot_id\\":\\"[^"\\]*\\"', lambda _: boot, events.read_text()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
