"""A change of recipe at runtime: which parts it concerns, and who is told."""

from __future__ import annotations

import pytest

from edge import config as cfg
from edge.clock import NS_PER_MS
from edge.errors import ConfigError
from edge.wire import messages as wire
from tests.support_station import UNKNOWN_CLASS, Rig, rules

STRICTER = cfg.RecipeConfig(name="second", rules=(cfg.RuleConfig(name="any", min_score=0.25),))


def rig() -> Rig:
    return Rig().grant()


def test_parts_triggered_before_a_change_keep_their_recipe() -> None:
    made = rig()
    made.post(made.edge(1))
    made.post(made.frame(1))
    before = made.now + 30 * NS_PER_MS
    made.now = before + 1
    made.station.changes.recipe(STRICTER, made.now)
    made.now += 50 * NS_PER_MS
    made.post(made.edge(2, t0_ns=before))  # triggered before the change, and told after it
    made.post(made.frame(2, exposed_ns=before))
    made.now += NS_PER_MS
    made.post(made.edge(3))
    made.post(made.frame(3))
    assert {n: job[2] for n, job in made.engine.jobs.items()} == {
        1: rules(made.config.recipe), 2: rules(made.config.recipe), 3: rules(STRICTER)
    }  # fmt: skip
    for number in (1, 2, 3):
        made.decide(number)
    assert [made.reports.parts[n].recipe for n in (1, 2, 3)] == ["first", "first", "second"]
    assert made.reports.recipe == "second"


def test_a_change_is_told_under_the_session_and_with_the_next_hello() -> None:
    made = rig()
    made.station.changes.recipe(STRICTER, made.now)
    assert made.heard() == [wire.Recipe(session=1, recipe="second", recipe_number=STRICTER.number())]
    made.say(wire.Revoke(session=1, reason="test"))
    made.wait_ms(200.0)
    hellos = [message for message in made.heard() if isinstance(message, wire.Hello)]
    assert {(hello.recipe, hello.recipe_number) for hello in hellos} == {("second", STRICTER.number())}


def test_a_change_without_room_to_tell_it_is_told_later() -> None:
    made = rig()
    made.gateway.room = 0
    made.station.changes.recipe(STRICTER, made.now)
    made.gateway.room = 5
    made.beat(0)
    made.station.work()
    told = [message for message in made.heard() if isinstance(message, wire.Recipe)]
    assert [message.recipe for message in told] == ["second"]


def test_a_change_without_a_session_is_told_when_one_was_asked_for_before_it() -> None:
    made = Rig()
    made.station.work()
    assert isinstance(made.heard()[0], wire.Hello)
    made.station.changes.recipe(STRICTER, made.now)
    made.session = 1
    made.say(wire.Grant(session=1, gateway_session=1, plc_session=1, epoch=0, fence=0, fail_safe="reject", boot_id=""))
    assert [message.recipe for message in made.heard() if isinstance(message, wire.Recipe)] == ["second"]


def test_a_grant_that_answers_an_older_hello_is_told_of_a_change_that_a_newer_one_named() -> None:
    made = Rig()
    made.station.work()
    made.station.changes.recipe(STRICTER, made.now)
    made.wait_ms(100.0)
    assert [m.recipe for m in made.heard() if isinstance(m, wire.Hello)] == ["first", "second"]
    made.grant()
    made.gateway.sent.clear()
    made.say(wire.Grant(session=2, gateway_session=1, plc_session=1, epoch=0, fence=0, fail_safe="reject", boot_id=""))
    assert [(m.session, m.recipe) for m in made.heard() if isinstance(m, wire.Recipe)] == [(2, "second")]


def test_a_recipe_that_the_model_cannot_serve_changes_nothing() -> None:
    made = rig()
    unservable = cfg.RecipeConfig(rules=(cfg.RuleConfig(name="dents", classes=(UNKNOWN_CLASS,)),))
    with pytest.raises(ConfigError, match=UNKNOWN_CLASS):
        made.station.changes.recipe(unservable, made.now)
    assert made.heard() == []
    made.part(1)
    assert made.reports.parts[1].recipe == "first"
    with pytest.raises(ConfigError, match=UNKNOWN_CLASS):
        Rig(recipe={"rules": [{"name": "dents", "classes": [UNKNOWN_CLASS]}]})


def test_after_each_grant_the_recipe_is_told_once() -> None:
    made = rig()
    made.say(wire.Revoke(session=1, reason="test"))
    made.heard()
    made.station.changes.recipe(STRICTER, made.now)
    made.wait_ms(200.0)
    assert {m.recipe for m in made.heard() if isinstance(m, wire.Hello)} == {"second"}
    made.session = 1
    made.say(wire.Grant(session=2, gateway_session=1, plc_session=1, epoch=0, fence=0, fail_safe="reject", boot_id=""))
    made.wait_ms(200.0)
    told = [message for message in made.heard() if isinstance(message, wire.Recipe)]
    assert told == [wire.Recipe(session=2, recipe="second", recipe_number=STRICTER.number())]
