"""The production station around an inspector that reads each plate's mark: `python -m edge.commands.soak_station`.

It is a program of its own, so that no configuration of `edge run` can select an inspector that looks at no surface.
Everything else is what `edge run` runs: threads, ledger, matcher, rules, publisher, journal.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, cast

import numpy as np
import typer
from numpy.typing import NDArray

from edge import logs
from edge.commands.run import run_station
from edge.config import StationConfig
from edge.core.outcome import Outcome
from edge.core.part import Finding, Verdict
from edge.core.rules import Rule, decide
from edge.engine.inspector import Inspector
from edge.engine.null import NullEngine
from edge.engine.select import Choice
from edge.errors import EdgeError, EngineError
from edge.model.package import load_package
from edge.simulate.marks import read_mark
from edge.station.build import Deciding

SPAN, UNDECIDED, FAILING = 1000, range(5), range(5, 8)
"""Of each ``SPAN`` plates, as the number in the mark draws them, so many get a score that is no number, and so many
let the engine raise: every way out of an inspection is used all the time."""

SCORE = 0.9


class MarkInspector:
    """Says what the mark in the corner of each frame says, after a fixed time, by the recipe's rules.

    Args:
        classes: of the model; a defect is one of these.
        duration_ms: how long each inspection takes, the interpreter released, as with the null engine.
    """

    def __init__(self, classes: Sequence[str], duration_ms: float) -> None:
        self._classes, self._duration_s = tuple(classes), duration_ms / 1e3

    def inspect(self, frame: NDArray[np.uint8], rules: Sequence[Rule]) -> Verdict:
        """Return the verdict on one frame, (H, W) uint8.   A frame without a mark decides nothing.

        Raises:
            EngineError: the mark's number asks for an engine that fails.
        """
        if self._duration_s > 0:
            time.sleep(self._duration_s)
        mark = read_mark(frame)
        if mark is None:
            return decide((), rules, saturated=True)
        if mark.number % SPAN in FAILING:
            raise EngineError("The scripted engine fails at this plate.", "nothing: the script says so.")
        if mark.number % SPAN in UNDECIDED:
            return Verdict(Outcome.NO_DECISION, "non_finite")
        if not mark.defective:
            return decide((), rules, saturated=False)
        height, width = frame.shape
        name = self._classes[mark.number // SPAN % len(self._classes)]
        return decide((Finding(name, SCORE, (1.0, 1.0, width - 1.0, height - 1.0)),), rules, saturated=False)


@contextmanager
def scripted(settings: StationConfig) -> Iterator[Deciding]:
    """Yield what decides in a soak: the configured package's name and classes, and ``MarkInspector``."""
    package = load_package(Path(settings.model.package))
    choice = Choice("scripted", "none", "a soak reads marks and looks at no surface")
    inspector = MarkInspector(package.manifest.classes, settings.model.null_ms)
    with NullEngine(package.manifest.input.shape) as engine:
        asked = cast(Inspector, inspector)  # for no more than `inspect`
        yield Deciding(package, engine, choice, asked, settings.camera)


def main(
    path: Annotated[Path, typer.Argument(help="The station's configuration, station.toml.")],
    outcomes: Annotated[Path | None, typer.Option(help="Write one JSON line a part to this file.")] = None,
) -> None:
    """Run the station of a soak."""
    logs.start(logging.INFO)
    try:
        run_station(path, outcomes, decide=scripted)
    except EdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    typer.run(main)
