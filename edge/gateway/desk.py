"""Where commands wait for the gateway's loop, and how it carries them out."""

from __future__ import annotations

from queue import Queue
from typing import TYPE_CHECKING

import msgspec

from edge.record.trace import answer_trace
from edge.wire.control import Command

if TYPE_CHECKING:
    from edge.gateway.server import Gateway

_WAITING = 8


class Desk:
    """Takes commands from the control thread and hands them to the loop, which owns everything."""

    def __init__(self) -> None:
        self._commands: Queue[Command] = Queue(_WAITING)

    def post(self, command: Command) -> None:
        """Leave a command for the loop; a trace is written here, in the control thread, which may wait for a disk.

        Raises:
            queue.Full: too many commands wait.
        """
        if command.name == "trace":
            answer_trace(command)
        else:
            self._commands.put_nowait(command)

    def carry_out(self, gateway: Gateway) -> None:
        """Carry out what waits.  Called by the loop."""
        while not self._commands.empty():  # nobody else takes from it
            command = self._commands.get_nowait()
            if command.take():
                _carry_out(command, gateway)


def _carry_out(command: Command, gateway: Gateway) -> None:
    if command.name == "mode":
        command.answer(*gateway.set_mode(str(command.arguments.get("mode"))))
    elif command.name == "reset":
        command.answer(True, gateway.reset(command.peer.user))
    elif command.name == "status":
        status = gateway.status()
        stands = "; ".join(status.alarms.values()) or "no alarm stands"
        command.answer(True, f"Mode {status.mode}; {stands}.", **msgspec.to_builtins(status))
    else:
        known = "mode, reset, status, trace"
        command.answer(False, f"The gateway knows no command {command.name!r}; it knows {known}.")
