"""Processes with a protection taken out, or with an engine that can be made to fail, for tests.

Usage: python sabotaged.py NAME[,NAME..] [the arguments of the command that it stands for]
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults.matrix import protections, protections_line, protections_station
from tests.faults.matrix.protections import FAULTY_ENGINE


def faulty_engine() -> None:
    """A station whose engine fails as the file ``engine.fault`` beside its configuration says."""
    import numpy as np

    from edge.engine.base import Engine
    from edge.errors import EngineError

    path = Path(sys.argv[2]).parent / "engine.fault"  # of: run CONFIG
    run = Engine.run

    def failing(self: Engine, image: Any) -> Any:
        how, _, seconds = path.read_text().partition(" ") if path.exists() else ("", "", "")
        if how == "hang":
            threading.Event().wait()
        if how == "raise":
            raise EngineError("The device is gone.", "for a test there is none.")
        if how == "slow":
            time.sleep(float(seconds))
        found = run(self, image)
        return np.full_like(found, np.nan) if how == "nan" else found

    protections.put(Engine, "run", failing)


PROTECTIONS = (*protections.PROTECTIONS, *protections_station.PROTECTIONS, *protections_line.PROTECTIONS)
SABOTAGES = {FAULTY_ENGINE: faulty_engine, **{p.name: p.take_out for p in PROTECTIONS}}


if __name__ == "__main__":
    for name in sys.argv.pop(1).split(","):
        SABOTAGES[name]()
    from edge.cli import main

    main()
