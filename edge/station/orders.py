"""Commands to the station from its control socket.

What waits for a disk is done in the control thread; the signal thread gets an order that it can carry out at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.config import RecipeConfig, RecipeFile, load
from edge.errors import ConfigError, EdgeError
from edge.record.trace import answer_trace
from edge.wire.control import Command

FORGOTTEN = " A restart forgets it: control.record is not set."


@dataclass(frozen=True)
class Order:
    """A command, with the recipe that it names where it names one.

    ``keep`` remembers a recipe beyond the end of the process, or returns False where nothing can.
    """

    command: Command
    recipe: RecipeConfig | None = None
    keep: Callable[[RecipeConfig], bool] = lambda _: False
    act: Callable[[bool], str] | None = None
    """Does it instead, told whether the command still stands, and returns the answer, or raises ``EdgeError``."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else the answer holds."""

    def carry_out(self, change: Callable[[RecipeConfig], None], state: Callable[[], tuple[str, str]]) -> None:
        """Do it, in the signal thread, and answer.

        Args:
            change: changes the recipe, or raises ``ConfigError``.
            state: says how the station is, and why.
        """
        stands = self.command.take()
        if self.act is not None:
            try:
                text = self.act(stands)
            except EdgeError as error:
                self.command.answer(False, error.problem, remedy=error.remedy)
            else:
                self.command.answer(True, text, **self.details)
            return
        if not stands:
            return
        if self.recipe is None:
            self.command.answer(True, " ".join(state()).strip(), **self.details)
            return
        try:
            change(self.recipe)
        except ConfigError as error:
            self.command.answer(False, error.problem, remedy=error.remedy)
        else:
            text = f"Parts triggered from now on are judged by recipe {self.recipe.name}."
            forgets = "" if self.keep(self.recipe) else FORGOTTEN
            self.command.answer(True, text + forgets)


def receiver(
    post: Callable[[Order], None],
    keep: Callable[[RecipeConfig], bool] = lambda _: False,
    others: Mapping[str, Callable[[Command], None]] | None = None,
    details: Callable[[], dict[str, Any]] = dict,
    check: Callable[[RecipeConfig], object] = lambda _: None,
) -> Callable[[Command], None]:
    """Return what takes commands in the control thread and posts what the signal thread has to do.

    ``recipe`` with the argument ``path``: a TOML file with a ``[recipe]``.  ``status``, ``trace``: nothing else.

    Args:
        post: takes orders for the signal thread.
        keep: as for ``Order``.
        others: take the commands of these names: see ``edge.station.tape`` and ``edge.station.activation``.
        details: what ``status`` answers besides.
        check: raises ``ConfigError`` where a recipe cannot be served.  It also makes the rules, so that the signal
            thread finds them made: 64 zones of 64 corners took 127 ms.
    """
    names = {} if others is None else others

    def receive(command: Command) -> None:
        path = command.arguments.get("path")
        if command.name == "status":
            post(Order(command, details=details()))
        elif command.name in names:
            names[command.name](command)
        elif command.name == "trace":
            answer_trace(command)
        elif command.name == "recipe" and isinstance(path, str):
            try:
                recipe = load(Path(path), RecipeFile).recipe
                check(recipe)
            except EdgeError as error:
                command.answer(False, error.problem, remedy=error.remedy)
                return
            post(Order(command, recipe, keep))
        else:
            known = ", ".join(sorted({*names, "recipe", "status", "trace"}))
            command.answer(False, f"A station knows no command {command.name!r} with these arguments: {known}.")

    return receive
