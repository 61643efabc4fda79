"""The command `trace`, which any process with a control socket answers: write the flight recorder's events now."""

from __future__ import annotations

from edge import flight
from edge.wire.control import Command


def answer_trace(command: Command) -> None:
    """Write a trace and say where it lies.  It waits for the disk: the control thread calls it."""
    try:
        path = flight.write("asked for by command")
    except OSError as error:
        command.answer(False, f"The trace cannot be written: {error}.", remedy="see to the disk of flight.folder.")
        return
    if path is None:
        command.answer(False, "Nothing is recorded: flight.folder is not set.", remedy="set it, and start again.")
    else:
        command.answer(True, f"The trace lies in {path}; ui.perfetto.dev shows it.", path=str(path))
