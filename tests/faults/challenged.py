"""A station or a plant that a challenge must find out.

Usage: python challenged.py NAME [the arguments of the command that it stands for]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults.matrix.protections import put


def passes_everything() -> None:
    """A station of which no rule ever fires."""
    from edge.core.outcome import Outcome
    from edge.core.part import Verdict
    from edge.engine import inspector

    def decide(findings: Sequence[Any], *_: object) -> Verdict:
        return Verdict(Outcome.PASS, "clean", tuple(findings))

    put(inspector, "decide", decide)


def rejects_everything() -> None:
    """A station that finds what it looks for on every part."""
    from edge.core.outcome import Outcome
    from edge.core.part import Finding, Verdict
    from edge.engine import inspector

    everywhere = tuple(Finding(cls, 0.99, (0.0, 0.0, 9.0, 9.0)) for cls in ("patches", "crazing"))

    def decide(findings: Sequence[Any], rules: Sequence[Any], *_: object) -> Verdict:
        return Verdict(Outcome.REJECT, "rule", (*findings, *everywhere), rules[0].name if rules else "warming up")

    put(inspector, "decide", decide)


def _stuck(is_open: bool) -> None:
    from edge.simulate.world import World

    make = World.__init__

    def made(self: World, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self._gate.command(0, is_open)
        put(self._gate, "command", lambda *_: None)

    put(World, "__init__", made)


def gate_jammed() -> None:
    """A plant whose gate stays in reject, whatever the PLC's output says."""
    _stuck(False)


def gate_stuck_open() -> None:
    """A plant whose gate stays open, whatever the PLC's output says."""
    _stuck(True)


def sensor_dead() -> None:
    """A plant whose PLC never says what the sensor behind the gate saw."""
    from edge.simulate.plc import PlcProgram

    put(PlcProgram, "_confirm_parts", lambda *_: None)


FAULTY = {f.__name__: f for f in (passes_everything, rejects_everything, gate_jammed, gate_stuck_open, sensor_dead)}

if __name__ == "__main__":
    FAULTY[sys.argv.pop(1)]()
    from edge.cli import main

    main()
