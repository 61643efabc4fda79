"""What was set by command and outlives the process: the pair of model and recipe in force, in ``control.record``.

A restart, by a person or by a supervisor, changes nothing of what judges parts.  A recipe alone is kept as a recipe;
a model is kept with its recipe, by path and identity: whoever has replaced the folder meanwhile must say so.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from edge.config import ModelConfig, ModelFile, RecipeFile, StationConfig, parse
from edge.errors import ConfigError, ModelError
from edge.model.package import load_package
from edge.record.commands import CommandLog, last_state
from edge.station.pairs import Pair

_log = logging.getLogger(__name__)


class Keeper:
    """Remembers the pair in force.

    Args:
        own: the model of the configuration's file, which needs no remembering.

    Attributes:
        log: where it is remembered, or None.
    """

    def __init__(self, own: ModelConfig) -> None:
        whole = str(Path(own.package).resolve())  # as a command names it
        self._own = (own, own.model_copy(update={"package": whole}))
        self.log: CommandLog | None = None

    def keep(self, pair: Pair) -> bool:
        """Remember ``pair``.  False where nothing can.  Never waits."""
        if self.log is None or not self.log.lasts:
            return False
        settings = pair.model.settings
        state: dict[str, Any] = {"recipe": pair.recipe.model_dump(mode="json")}
        if settings not in self._own:
            state["model"] = {"identity": pair.model.identity.model, **settings.model_dump(mode="json")}
        self.log.state(state)
        return True


def with_kept(config: StationConfig) -> StationConfig:
    """Return ``config`` with the model and the recipe that were last set by command.

    Raises:
        ConfigError: the record holds what cannot be used, or the package is no longer the one that was activated.
    """
    record = config.control.record
    kept = last_state(Path(record)) if record is not None else None
    if kept is None:
        return config
    update: dict[str, Any] = {}
    if "recipe" in kept:
        update["recipe"] = recipe = parse({"recipe": kept["recipe"]}, RecipeFile, str(record)).recipe
        if recipe != config.recipe:
            _log.warning("Recipe %s, set by command, is kept; the file has %s.", recipe.name, config.recipe.name)
    if "model" in kept:
        update["model"] = model = _model(kept["model"], str(record))
        _log.warning("Model %s, set by command, is kept; the file has %s.", model.package, config.model.package)
    return config.model_copy(update=update)


def _model(kept: object, record: str) -> ModelConfig:
    if not isinstance(kept, dict):
        raise ConfigError(
            f"{record} names a model that was activated as {kept!r}.", f"move {record} away: the configuration holds."
        )
    values = dict(kept)
    identity = values.pop("identity", "")
    settings = parse({"model": values}, ModelFile, record).model
    remedy = f"put {identity} back, or move {record} away: then the configuration's model and recipe hold."
    try:
        found = load_package(Path(settings.package)).identity
    except ModelError as error:
        raise ConfigError(
            f"{record} names a model that was activated and cannot be read: {error.problem}", remedy
        ) from None
    if found != identity:
        raise ConfigError(f"{settings.package} holds {found}, and {identity} was activated there.", remedy)
    return settings
