"""Processes with one protection taken out, for tests that must turn red.  Production code has no switch for this.

Usage: python sabotaged.py NAME [the arguments of the command that it stands for]
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

from edge.core.match import Kind, Match, Matcher
from edge.core.part import FrameInfo
from edge.core.register import Register


class NoFence(Register):
    """A register whose session covers what is already on the belt."""

    def fence(self, count: int) -> int:
        """Return a fence behind every part."""
        return (count - 10 * self._g.gate) % (1 << 32)


class InOrder(Matcher):
    """A matcher that takes each frame for the oldest part that waits for one."""

    def _find(self, info: FrameInfo) -> Match:
        if not self._waiting:
            return self._hold_or_stray(info)
        return Match(Kind.MATCHED, info, (next(iter(self._waiting)),))


def no_fence() -> None:
    """A gateway without a fence."""
    from edge.gateway import run

    run.Register = NoFence  # type: ignore[misc]


def by_order() -> None:
    """A station that matches frames by order alone."""
    from edge.station import build

    build.Matcher = InOrder  # type: ignore[misc]


def default_pass() -> None:
    """A PLC that opens the gate for every part, with a permit or without."""
    from edge.simulate import cli
    from edge.simulate.plant import Plant
    from edge.simulate.plc import PlcProgram
    from edge.simulate.plc_io import Inputs, Outputs

    class DefaultPass(PlcProgram):
        """Leaves the gate open."""

        def scan(self, now_ns: int, inputs: Inputs) -> Outputs:
            """Run the program, then open the gate whatever it said."""
            return Outputs(True, super().scan(now_ns, inputs).infeed_open)

    cli.Plant = functools.partial(Plant, program_factory=DefaultPass)  # type: ignore[assignment]


SABOTAGES: dict[str, Callable[[], None]] = {f.__name__: f for f in (no_fence, by_order, default_pass)}


if __name__ == "__main__":
    SABOTAGES[sys.argv.pop(1)]()
    from edge.cli import main

    main()
