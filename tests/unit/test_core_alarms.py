"""Alarms: which stand, which latch, what follows, and what a reset clears."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import GuardConfig
from edge.core.alarms import ALARMS, Alarms
from edge.core.guard import alarms as configured
from edge.core.modes import Mode
from tests.support_hypothesis import usual

REACTIONS = ["off", "alarm", "stop", "reject_all"]
NAME = "bin_full"


@pytest.mark.parametrize(
    ("reaction", "stands", "latched", "stops"),
    [
        ("off", False, False, False),
        ("alarm", True, False, False),
        ("stop", True, True, True),
        ("reject_all", True, True, False),
    ],
)
def test_what_follows_an_event(reaction: str, stands: bool, latched: bool, stops: bool) -> None:
    alarms = Alarms({NAME: reaction})
    assert alarms.happened(NAME, "Since noon.") is latched
    assert not alarms.happened(NAME, "Again."), "it is not new"
    assert alarms.standing == ({NAME: f"{ALARMS[NAME].text} Since noon."} if stands else {})
    assert (alarms.latched, alarms.stops, alarms.rejects) == ([NAME] if latched else [], stops, latched)
    assert alarms.reset() == ([NAME] if stands else [])
    assert (alarms.standing, alarms.latched, alarms.stops, alarms.rejects) == ({}, [], False, False)


@pytest.mark.parametrize("reaction", REACTIONS)
def test_a_condition_stands_while_it_holds_and_a_latched_one_until_the_reset(reaction: str) -> None:
    alarms = Alarms({NAME: reaction})
    latched, off = reaction in ("stop", "reject_all"), reaction == "off"
    assert alarms.condition(NAME, True) is latched
    assert not alarms.condition(NAME, True)
    assert alarms.reset() == [], "what still holds cannot be reset"
    assert alarms.standing == ({} if off else {NAME: ALARMS[NAME].text})
    assert not alarms.condition(NAME, False)
    assert (NAME in alarms.standing) is latched
    assert alarms.reset() == ([NAME] if latched else [])
    assert alarms.condition(NAME, True) is latched, "it can come again"


def test_a_condition_says_what_first_raised_it() -> None:
    alarms = Alarms({})
    alarms.condition("journal", True, "The disk is full.")
    alarms.condition("journal", True, "Rows were lost.")
    assert alarms.standing == {"journal": f"{ALARMS['journal'].text} The disk is full."}
    alarms.condition("journal", False)
    assert alarms.standing == {}


def test_a_condition_that_never_held_ends_nothing() -> None:
    alarms = Alarms({})
    assert not alarms.condition(NAME, False)
    assert alarms.standing == {}


def test_an_alarm_without_a_configured_reaction_only_tells() -> None:
    alarms = Alarms({})
    assert not alarms.happened("contradicted")
    assert alarms.standing == {"contradicted": ALARMS["contradicted"].text}
    assert (alarms.latched, alarms.stops, alarms.rejects) == ([], False, False)


def test_alarms_do_not_hide_one_another() -> None:
    alarms = Alarms({"air_low": "reject_all", NAME: "stop", "eye_blocked": "alarm"})
    alarms.condition("eye_blocked", True)
    alarms.condition("air_low", True)
    alarms.happened(NAME)
    assert list(alarms.standing) == ["eye_blocked", "air_low", NAME]
    assert (alarms.latched, alarms.stops, alarms.rejects) == (["air_low", NAME], True, True)
    assert alarms.reset() == [NAME]
    assert (alarms.latched, alarms.stops, alarms.rejects) == (["air_low"], False, True)


def test_what_is_told_cannot_be_changed_from_outside() -> None:
    alarms = Alarms({})
    alarms.happened(NAME)
    alarms.standing.clear()
    assert alarms.standing


@usual(60)
@given(st.lists(st.tuples(st.sampled_from(["happened", "holds", "ends", "reset"]), st.sampled_from(["air_low", NAME]))))
def test_a_latched_alarm_ends_with_a_reset_alone(steps: list[tuple[str, str]]) -> None:
    alarms, standing, active = Alarms({NAME: "stop", "air_low": "reject_all"}), set[str](), set[str]()
    for what, name in steps:
        new = name not in standing
        if what == "reset":
            alarms.reset()
            standing &= active
        elif what == "ends":
            assert not alarms.condition(name, False)
            active.discard(name)
        else:
            raised = alarms.happened(name) if what == "happened" else alarms.condition(name, True)
            assert raised is new
            standing.add(name)
            active |= {name} if what == "holds" else set()
        assert set(alarms.standing) == set(alarms.latched) == standing


def test_every_alarm_says_what_happened_and_what_to_do() -> None:
    for name, alarm in ALARMS.items():
        assert alarm.name == name
        assert alarm.text.endswith(".")
        assert alarm.remedy.endswith(".")


def test_every_configured_reaction_is_of_an_alarm() -> None:
    reactions = {field.removeprefix("on_") for field in GuardConfig.model_fields if field.startswith("on_")}
    assert reactions <= set(ALARMS)
    assert configured(GuardConfig())._reactions == {name: getattr(GuardConfig(), f"on_{name}") for name in reactions}


MODES = [
    (Mode.AUTO, "auto", True, True),
    (Mode.INSPECT_ONLY, "inspect-only", True, True),
    (Mode.BYPASS, "bypass", False, True),
    (Mode.JOG, "jog", False, False),
    (Mode.PURGE, "purge", False, False),
]


def test_no_mode_is_missing_here() -> None:
    assert [mode for mode, *_ in MODES] == list(Mode)


@pytest.mark.parametrize(("mode", "name", "admits", "feeds"), MODES)
def test_modes(mode: Mode, name: str, admits: bool, feeds: bool) -> None:
    assert (mode.value, mode.admits, mode.feeds) == (name, admits, feeds)
    assert mode.text
