"""Writes the dashboards that Grafana is provisioned with.

    python deploy/grafana/build.py [FOLDER]

The JSON is what is shipped; a test compares it with what this makes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lines import FLEET, LINE
from machines import GATEWAY, HEALTH
from parts import CAUSES, LATENCY

BOARDS = {"fleet": FLEET, "line": LINE, "latency": LATENCY, "causes": CAUSES, "gateway": GATEWAY, "health": HEALTH}


def write(folder: Path) -> None:
    """Write a file for each dashboard."""
    for name, board in BOARDS.items():
        (folder / f"{name}.json").write_text(json.dumps(board, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "dashboards")
