"""A hot swap on a virtual clock: which engine, rules and identity each part gets, and who is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import config as cfg
from edge.clock import NS_PER_MS
from edge.core.outcome import Outcome
from edge.core.part import Identity, Verdict
from edge.errors import ControlError
from edge.station.changes import Asked
from edge.station.hang import EngineHung
from edge.station.inspection import Inspected
from edge.station.pairs import Model, Pair
from edge.wire import messages as wire
from edge.wire.control import Peer
from tests.support_station import PASS, Engine, Rig, rules

ASKED = Asked("activate", Peer(1000, "anna", 7))
REJECT = Verdict(Outcome.REJECT, "rule", rule="any")
CEILING_MS = 100.0


class Swapped(Rig):
    """A station, and models that can be put in force.

    Attributes:
        engines: by model name.
        ended: models that were given back.
    """

    def __init__(self) -> None:
        super().__init__()
        self.engines: dict[str, Engine] = {"": self.engine}
        self.ended: list[str] = []

    def pair(self, name: str) -> Pair:
        """Return a new model with its recipe."""
        engine = self.engines[name] = Engine()
        recipe = cfg.RecipeConfig(name=f"for {name}", rules=(cfg.RuleConfig(name=name),))
        settings = cfg.ModelConfig(package=f"/{name}")
        model = Model(Identity(name, "e", "p"), settings, engine, rules, lambda: self.ended.append(name))
        return Pair(model, recipe, rules(recipe))

    def swap(self, name: str) -> None:
        """Put a new model in force, now."""
        self.station.changes.model(self.pair(name), ASKED, self.now)

    def back(self) -> None:
        """Go back."""
        self.station.changes.roll_back(ASKED, self.now)

    def holder(self, number: int) -> str:
        """Return which model was given the frame of a part."""
        [name] = [name for name, engine in self.engines.items() if number in engine.jobs]
        return name

    def judged(self, number: int, verdict: Verdict = PASS) -> None:
        """Let the model that has it come to a verdict."""
        lease, _, _ = self.engines[self.holder(number)].jobs.pop(number)
        self.post(Inspected(number, lease, verdict))

    def record(self, number: int) -> tuple[str, str]:
        """Return what stands in the record of a part: model and recipe."""
        part = self.reports.parts[number]
        return part.identity.model, part.recipe


def rig() -> Swapped:
    made = Swapped()
    made.grant()
    return made


def test_parts_triggered_before_the_fence_are_decided_by_the_old_pair_whenever_their_frame_comes() -> None:
    made = rig()
    made.post(made.edge(1), made.frame(1))  # under inspection
    made.now += 5 * NS_PER_MS
    made.post(made.edge(2))  # its frame is on its way
    made.now += 5 * NS_PER_MS
    late = made.now  # the edge of part 3, told after the swap
    made.now += 1
    made.swap("b")
    made.now += 10 * NS_PER_MS
    made.post(made.frame(2, exposed_ns=late - 5 * NS_PER_MS))
    made.post(made.edge(3, t0_ns=late), made.frame(3, exposed_ns=late))
    made.post(made.edge(4), made.frame(4))
    assert [made.holder(n) for n in (1, 2, 3, 4)] == ["", "", "", "b"]
    assert made.engine.jobs[3][2] == rules(made.config.recipe)
    assert made.engines["b"].jobs[4][2] == rules(made.station.changes.current.recipe)
    for number in (4, 3, 2, 1):  # in any order
        made.judged(number, REJECT if number == 4 else PASS)
    assert [made.record(n) for n in (1, 2, 3, 4)] == [("", "first")] * 3 + [("b", "for b")]
    assert made.ledger.reconciles()
    assert made.free()


def test_a_part_that_is_never_inspected_has_the_identity_of_its_trigger() -> None:
    made = rig()
    made.post(made.edge(1))
    made.now += NS_PER_MS
    made.swap("b")
    made.post(made.edge(2, t0_ns=made.now))
    made.wait_ms(CEILING_MS)
    assert made.reports.causes() == {1: "frame_missing", 2: "frame_missing"}
    assert [made.record(n)[0] for n in (1, 2)] == ["", "b"]


def test_a_verdict_of_the_old_model_after_its_time_is_late_and_changes_nothing() -> None:
    made = rig()
    made.post(made.edge(1), made.frame(1))
    made.swap("b")
    made.wait_ms(CEILING_MS + 1)
    made.judged(1)
    assert made.reports.causes() == {1: "compute_timeout"}
    assert made.ledger.late == 1
    assert made.free()


def test_an_old_model_is_given_back_when_no_part_of_it_can_be_open_and_it_is_no_longer_kept() -> None:
    made = rig()
    made.swap("b")
    made.wait_ms(3 * CEILING_MS)
    assert made.ended == []
    made.post(made.edge(1, t0_ns=made.now), made.frame(1))
    made.now += 1
    made.swap("c")  # b is kept; the first one leaves
    made.wait_ms(3 * CEILING_MS)
    made.now += 1
    made.post(made.edge(2), made.frame(2))
    made.now += 1
    made.back()
    assert made.record(1)[0] == "b"
    assert made.holder(2) == "c"
    assert made.ended == []
    made.judged(2)
    assert made.record(2)[0] == "c"
    made.wait_ms(CEILING_MS + 60)
    assert made.ended == ["c"]


def test_going_back_holds_at_once_and_only_once() -> None:
    made = rig()
    with pytest.raises(ControlError, match="no model to go back to"):
        made.back()
    made.swap("b")
    made.now += 1
    made.post(made.edge(1), made.frame(1))
    made.now += 1
    made.back()
    made.post(made.edge(2), made.frame(2))
    assert (made.holder(1), made.holder(2)) == ("b", "")
    with pytest.raises(ControlError, match="no model to go back to"):
        made.back()


def test_gateway_records_and_journal_are_told() -> None:
    made = rig()
    made.swap("b")
    told = [m for m in made.heard() if isinstance(m, wire.Recipe)]
    number = cfg.RecipeConfig(name="for b", rules=(cfg.RuleConfig(name="b"),)).number()
    assert told == [wire.Recipe(session=1, recipe="for b", recipe_number=number)]
    assert (made.reports.recipe, made.reports.identity.model) == ("for b", "b")
    [(kind, text, data)] = made.reports.notes[-1:]
    assert kind == "model"
    assert "b on e p and recipe for b" in text
    assert data["old"] == {"model": "", "engine": "", "precision": "", "recipe": "first",
                           "recipe_number": made.config.recipe.number()}  # fmt: skip
    assert (data["user"], data["uid"], data["command"]) == ("anna", 1000, "activate")
    made.back()
    assert (made.reports.recipe, made.reports.identity.model) == ("first", "")
    assert [m.recipe for m in made.heard() if isinstance(m, wire.Recipe)] == ["first"]


def test_a_recipe_after_the_swap_is_that_of_the_new_model() -> None:
    made = rig()
    made.swap("b")
    made.station.changes.recipe(cfg.RecipeConfig(name="mended", rules=(cfg.RuleConfig(name="r"),)), made.now)
    made.now += 1
    made.post(made.edge(1), made.frame(1))
    assert made.holder(1) == "b"
    made.judged(1)
    assert made.record(1) == ("b", "mended")


@pytest.mark.parametrize("hanging", ["", "b"])
def test_a_model_that_hangs_ends_the_process_whichever_it_is(hanging: str) -> None:
    made = rig()
    made.swap("b")
    made.wait_ms(1)
    made.engines[hanging].hangs = True
    with pytest.raises(EngineHung):
        made.wait_ms(5_000)


@given(st.lists(st.sampled_from(["edge", "frame", "decide", "swap", "back", "wait"]), max_size=40))
def test_whatever_the_order_no_part_is_lost_and_each_has_one_pair(steps: list[str]) -> None:
    made = rig()
    fences = [(0, "", "first")]
    edges: dict[int, int] = {}
    framed = 0
    for step in steps:
        made.now += 2 * NS_PER_MS
        if step == "edge":
            edges[len(edges) + 1] = made.now
            made.post(made.edge(len(edges)))
        elif step == "frame" and framed < len(edges):
            framed += 1
            made.post(made.frame(framed, exposed_ns=edges[framed]))
        elif step == "decide":
            for engine in list(made.engines.values()):
                for number in list(engine.jobs):
                    made.judged(number)
        elif step == "swap":
            made.swap(f"m{len(made.engines)}")
        elif step == "back" and made.station.changes.previous is not None:
            made.back()
        elif step == "wait":
            made.wait_ms(30)
        current = made.station.changes.current
        fences.append((made.now, current.model.identity.model, current.recipe.name))
    for engine in list(made.engines.values()):
        for number in list(engine.jobs):
            made.judged(number)
    made.wait_ms(3 * CEILING_MS)
    assert set(made.reports.parts) == set(edges)
    assert made.ledger.reconciles()
    assert made.free()
    for number, t0_ns in edges.items():
        expected = [(model, recipe) for since, model, recipe in fences if since <= t0_ns][-1]
        assert made.record(number) == expected
    kept = made.station.changes.previous
    live = {made.station.changes.current.model.identity.model} | ({kept.model.identity.model} if kept else set())
    assert set(made.ended) == set(made.engines) - live - {""}
