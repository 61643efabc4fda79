"""How far a training is: a bar with the time that is left on a terminal, a line an epoch everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress:
    """Counts steps and epochs of one run, which may begin at a later epoch than the first."""

    def __init__(self, console: Console, epochs: int, done: int, steps: int) -> None:
        """epochs: of the whole training; done: of these before this run; steps: of an epoch."""
        self._console, self._epochs, self._done, self._first = console, epochs, done, done
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("steps", total=epochs * steps, completed=done * steps)
        self._start = monotonic()

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step_done(self) -> None:
        self._bar.advance(self._task)

    def epoch_done(self, entry: Mapping[str, float]) -> None:
        """Prints the epoch's figures and when the training will be finished at the mean pace of this run."""
        self._done += 1
        pace = (monotonic() - self._start) / (self._done - self._first)
        left = timedelta(seconds=round(pace * (self._epochs - self._done)))
        figures = "  ".join(f"{key} {value}" for key, value in entry.items() if key != "epoch")
        self._console.print(f"epoch {entry['epoch']}/{self._epochs}  {figures}  ({pace:.0f} s an epoch, {left} left)")
