"""Which model and recipe judge a part, and when a model may go: by a history that the test keeps for itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from edge.config import ModelConfig, RecipeConfig, RuleConfig
from edge.core.part import Identity
from edge.core.pool import Lease
from edge.core.rules import Rule
from edge.station.pairs import Model, Pair, Pairs

LIFE = 100
RULES = (Rule("any"),)


def recipe(name: str) -> RecipeConfig:
    return RecipeConfig(name=name, rules=(RuleConfig(name="any"),))


class Engine:
    def __init__(self) -> None:
        self.hangs = False

    def submit(self, number: int, lease: Lease, deadline_ns: int, rules: tuple[Rule, ...]) -> None:  # noqa: ARG002
        raise AssertionError("nothing is inspected here")

    def hung(self, before_ns: int) -> bool:  # noqa: ARG002
        return self.hangs


def model(name: str) -> Model:
    return Model(Identity(name, "e", "p"), ModelConfig(package=name), Engine(), lambda _: RULES, lambda: None)


def pair(name: str) -> Pair:
    return Pair(model(name), recipe(f"recipe of {name}"), RULES)


@dataclass
class History:
    """Every pair that was ever in force, and since when."""

    entries: list[tuple[int, str, str]] = field(default_factory=list)

    def at(self, t0_ns: int) -> tuple[str, str]:
        return [(name, recipe) for since, name, recipe in self.entries if since <= t0_ns][-1]


STEPS = st.lists(st.tuples(st.integers(1, 250), st.sampled_from(["model", "recipe", "rollback"])), max_size=12)


@given(STEPS)
def test_each_part_that_can_be_open_is_judged_by_the_pair_of_its_trigger(steps: list[tuple[int, str]]) -> None:
    pairs, now, number = Pairs(pair("0"), LIFE), 0, 0
    history = History([(-LIFE, "0", "recipe of 0")])
    gone: list[str] = []
    for later, what in steps:
        now, number = now + later, number + 1
        previous = pairs.previous
        if what == "model":
            pairs.change_model(pair(str(number)), now)
        elif what == "recipe":
            pairs.change_recipe(recipe(str(number)), RULES, now)
        elif previous is not None:
            pairs.roll_back(previous, now)
        current = pairs.current
        history.entries.append((now, current.model.identity.model, current.recipe.name))
        gone += [left.identity.model for left in pairs.retired(now)]
        for t0_ns in range(now - LIFE, now + 1):
            found = pairs.at(t0_ns)
            assert (found.model.identity.model, found.recipe.name) == history.at(t0_ns)
            assert found.model.identity.model not in gone
    pairs.retired(now + LIFE + 1)
    assert len(set(gone)) == len(gone)


def test_going_back_restores_the_recipe_that_was_in_force_with_the_model() -> None:
    pairs = Pairs(pair("a"), LIFE)
    pairs.change_recipe(recipe("mended"), RULES, 10)
    pairs.change_model(pair("b"), 20)
    pairs.change_recipe(recipe("other"), RULES, 30)
    assert pairs.previous is not None
    pairs.roll_back(pairs.previous, 40)
    assert (pairs.current.model.identity.model, pairs.current.recipe.name) == ("a", "mended")
    assert pairs.previous is None


def test_a_model_is_retired_once_and_only_when_no_part_of_it_can_be_open() -> None:
    pairs = Pairs(pair("a"), LIFE)
    pairs.change_model(pair("b"), 1000)
    assert pairs.retired(5000) == [], "it can be gone back to"
    pairs.change_model(pair("c"), 6000)
    assert pairs.retired(6000 + LIFE) == []
    assert [gone.identity.model for gone in pairs.retired(6000 + LIFE + 1)] == ["a"]
    assert pairs.retired(9000) == []
    assert pairs.previous is not None
    pairs.roll_back(pairs.previous, 9000)
    assert [gone.identity.model for gone in pairs.retired(9000 + LIFE + 1)] == ["c"]


def test_every_model_that_may_still_inspect_can_hang() -> None:
    pairs, models = Pairs(pair("a"), LIFE), {}
    models["a"] = pairs.current.model
    for now, name in ((10, "b"), (20, "c")):
        pairs.change_model(pair(name), now)
        models[name] = pairs.current.model
    for name, made in models.items():
        engine = made.inspect
        assert isinstance(engine, Engine)
        engine.hangs = True
        assert pairs.hung(0), name
        engine.hangs = False
    assert not pairs.hung(0)


def test_old_pairs_are_forgotten() -> None:
    pairs = Pairs(pair("0"), LIFE)
    for number in range(1, 1000):
        pairs.change_recipe(recipe(str(number)), RULES, number * (LIFE + 1))
    assert len(pairs._newest_first) <= 3
