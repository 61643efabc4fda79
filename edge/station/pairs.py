"""Which model and recipe judge which part: the pair in force when it was triggered.  Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from edge.config import ModelConfig, RecipeConfig
from edge.core.part import Identity
from edge.core.rules import Rule
from edge.station.interfaces import Inspection


@dataclass(frozen=True, eq=False)
class Model:
    """An engine instance that may decide, in a thread of its own.

    Attributes:
        identity: stands in the records of its parts.
        settings: by which it was loaded.
        inspect: its thread.
        rules: makes a recipe's rules, or raises ``ConfigError`` where the model cannot serve them.
        end: gives the instance back, once all that it was given to inspect is done.  Never waits; called once.
    """

    identity: Identity
    settings: ModelConfig
    inspect: Inspection
    rules: Callable[[RecipeConfig], tuple[Rule, ...]]
    end: Callable[[], None]


@dataclass(frozen=True, eq=False)
class Pair:
    """A model and a recipe that it serves, and since when they are in force, monotonic."""

    model: Model
    recipe: RecipeConfig
    rules: tuple[Rule, ...]
    since_ns: int = 0


class Pairs:
    """The pair in force, the one before it, and earlier ones for as long as parts of theirs can be open.

    Args:
        first: the first pair.
        part_life_ns: the longest that a part is open.

    Attributes:
        previous: the pair with another model that can be in force again at once, or None.
    """

    def __init__(self, first: Pair, part_life_ns: int) -> None:
        self._life_ns = part_life_ns
        self._newest_first = deque([first])
        self._leaving: list[tuple[int, Model]] = []  # since when no more parts are theirs
        self.previous: Pair | None = None

    @property
    def current(self) -> Pair:
        """The pair in force."""
        return self._newest_first[0]

    def at(self, t0_ns: int) -> Pair:
        """Return the pair of a part triggered at ``t0_ns``."""
        return next((pair for pair in self._newest_first if pair.since_ns <= t0_ns), self._newest_first[-1])

    def change_recipe(self, recipe: RecipeConfig, rules: tuple[Rule, ...], now_ns: int) -> None:
        """Judge parts triggered from ``now_ns`` on by another recipe."""
        self._add(Pair(self.current.model, recipe, rules, now_ns))

    def change_model(self, to: Pair, now_ns: int) -> None:
        """Judge parts triggered from ``now_ns`` on by ``to``, with another model.  The present becomes ``previous``."""
        if self.previous is not None:
            self._leaving.append((now_ns, self.previous.model))
        self.previous = self.current
        self._add(replace(to, since_ns=now_ns))

    def roll_back(self, to: Pair, now_ns: int) -> None:
        """Judge parts triggered from ``now_ns`` on by ``to``, which is ``previous``.  The present model leaves."""
        self._leaving.append((now_ns, self.current.model))
        self.previous = None
        self._add(replace(to, since_ns=now_ns))

    def retired(self, now_ns: int) -> list[Model]:
        """Return, once each, the models of which no part can be open any more, and that nobody can go back to."""
        done = [model for left_ns, model in self._leaving if now_ns - left_ns > self._life_ns]
        if done:
            self._leaving = [entry for entry in self._leaving if entry[1] not in done]
            self._forget(now_ns)
        return done

    def hung(self, before_ns: int) -> bool:
        """True while an inspection of any model runs that began before ``before_ns``."""
        kept = [] if self.previous is None else [self.previous.model]
        live = (self.current.model, *kept, *(model for _, model in self._leaving))
        return any(model.inspect.hung(before_ns) for model in live)

    def _add(self, pair: Pair) -> None:
        self._forget(pair.since_ns)
        self._newest_first.appendleft(pair)

    def _forget(self, now_ns: int) -> None:
        """Drop pairs whose successor has been in force for longer than a part is open."""
        while len(self._newest_first) > 1 and now_ns - self._newest_first[-2].since_ns > self._life_ns:
            self._newest_first.pop()
