"""What judges changes while the line runs: another recipe, another model, or the pair of before again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import msgspec

from edge.config import RecipeConfig
from edge.core.part import Identity
from edge.errors import ControlError
from edge.station.interfaces import Reports
from edge.station.link import GatewayLink
from edge.station.pairs import Pair, Pairs
from edge.wire.control import Peer

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """Who asked for another model, and by which command."""

    command: str
    peer: Peer


class Changes:
    """Changes the pair in force, and tells gateway, records and journal.  The signal thread owns it; nothing waits.

    A change holds for parts triggered from its time on.  Those triggered before keep the pair that they had.

    Args:
        pairs: which pair judges which part.
        link: tells the gateway.
        reporter: tells everybody else.
    """

    def __init__(self, pairs: Pairs, link: GatewayLink, reporter: Reports) -> None:
        self._pairs, self._link, self._reporter = pairs, link, reporter

    @property
    def current(self) -> Pair:
        """The pair in force."""
        return self._pairs.current

    @property
    def previous(self) -> Pair | None:
        """The pair that ``roll_back`` would put in force."""
        return self._pairs.previous

    def recipe(self, recipe: RecipeConfig, now: int) -> None:
        """Put another recipe in force.

        Raises:
            ConfigError: the model cannot serve it; nothing has changed.
        """
        self._pairs.change_recipe(recipe, self.current.model.rules(recipe), now)
        self._link.change_recipe(recipe)
        text = f"Parts triggered from now on are judged by recipe {recipe.name}, number {recipe.number()}."
        _log.warning("%s", text)
        self._reporter.note("recipe", text, now, recipe=recipe.model_dump(mode="json"))

    def model(self, to: Pair, asked: Asked, now: int) -> str:
        """Put another model in force with its recipe.  Return what to answer."""
        was = self.current
        self._pairs.change_model(to, now)
        return self._tell(was, asked, now)

    def roll_back(self, asked: Asked, now: int) -> str:
        """Put the pair in force that was before the last change of the model.  Return what to answer.

        Raises:
            ControlError: there is none; nothing has changed.
        """
        was, to = self.current, self.previous
        if to is None:
            raise ControlError(
                "There is no model to go back to: none was activated since the start, or the last change was undone.",
                "activate the package that is wanted (edge model activate).",
            )
        self._pairs.roll_back(to, now)
        return self._tell(was, asked, now)

    def failed(self, package: str, why: str, asked: Asked, now: int) -> None:
        """Note that a model was not put in force, and why."""
        present = self.current
        text = f"{package} was not activated: {why} {present.model.identity.model} goes on."
        _log.error("%s", text)
        self._reporter.note("model_failed", text, now, package=package, kept=_told(present), **_by(asked))

    def _tell(self, was: Pair, asked: Asked, now: int) -> str:
        pair = self.current
        identity, recipe = pair.model.identity, pair.recipe
        self._link.change_recipe(recipe)
        self._reporter.model_changed(identity)
        text = f"Parts triggered from now on are judged by {_named(identity)} and recipe {recipe.name}"
        _log.warning("%s, no longer by %s and recipe %s.", text, _named(was.model.identity), was.recipe.name)
        told = {"new": _told(pair), "old": _told(was), "recipe": recipe.model_dump(mode="json")}
        self._reporter.note("model", f"{text}, number {recipe.number()}.", now, **told, **_by(asked))
        return f"{text}."


def _named(identity: Identity) -> str:
    return f"{identity.model} on {identity.engine} {identity.precision}"


def _told(pair: Pair) -> dict[str, Any]:
    identity: dict[str, Any] = msgspec.to_builtins(pair.model.identity)
    return {**identity, "recipe": pair.recipe.name, "recipe_number": pair.recipe.number()}


def _by(asked: Asked) -> dict[str, Any]:
    return {"command": asked.command, "user": asked.peer.user, "uid": asked.peer.uid, "pid": asked.peer.pid}
