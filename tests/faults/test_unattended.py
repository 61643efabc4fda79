"""The soak that nobody attends: its own judgement, which must not be lenient, and a short run of it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.clock import NS_PER_S
from tests.faults.unattended.faults import FAULTS, SHOWN_S
from tests.faults.unattended.page import Glance
from tests.faults.unattended.result import (
    DASHBOARD,
    FIRING,
    TOLD,
    Hurt,
    alert_problems,
    bound_problems,
    durations_s,
    hurt_problems,
    tell,
    texts,
)
from tests.faults.unattended.timeline import Spell, Timeline, Watcher
from tests.support_prometheus import alerts

MINUTES = float(os.environ.get("EDGE_UNATTENDED_MINUTES", "4"))

CAMERA = FAULTS[0]
SAYS = "FAULT: the camera is gone: no sign of life"
GLANCE = Glance("FAULT", "The camera is gone: no sign of life.", "Check the cable.", 1.0, 2.0, "x.png", ())


def at(seconds: float) -> int:
    return int(seconds * NS_PER_S)


HURT = Hurt(CAMERA, at(100), at(135), at(150), GLANCE)


def timeline(*spells: tuple[str, float, float | None]) -> Timeline:
    made = Timeline()
    made.spells = [Spell(what, at(begun), None if ended is None else at(ended)) for what, begun, ended in spells]
    return made


def seen(**changed: Timeline) -> dict[str, Timeline]:
    well = {
        DASHBOARD: timeline(("RUNNING", 0, 101), (SAYS, 101, 136), ("RUNNING", 136, None)),
        FIRING: timeline((CAMERA.alert, 108, 141)),
        TOLD: timeline((CAMERA.alert, 109, 200)),
    }
    return well | changed


# -- what is written down ----------------------------------------------------------------------------------------------


def test_every_alert_is_one_of_the_shipped_rules_and_fires_within_a_fault() -> None:
    known = {rule.name: rule for rule in alerts()}
    for fault in FAULTS:
        assert {fault.alert, *fault.also} <= known.keys(), fault.name
        hold_s = float(known[fault.alert].hold_for.removesuffix("s") or 0)
        assert 3 + 5 + 5 + hold_s < fault.lasts_s, fault.name


def test_the_faults_are_those_that_were_asked_for() -> None:
    assert [fault.name for fault in FAULTS] == ["camera lost", "PLC lost", "disk full", "station killed"]
    assert len({fault.alert for fault in FAULTS}) == len(FAULTS)


# -- what is seen when -------------------------------------------------------------------------------------------------


def test_a_timeline_notes_when_things_come_and_go() -> None:
    made = Timeline()
    made.see({"a"}, 1)
    made.see({"a", "b"}, 2)
    made.see({"b"}, 3)
    made.see({"a", "b"}, 4)
    assert made.spells == [Spell("a", 1, 3), Spell("b", 2), Spell("a", 4)]
    assert made.standing == {"a", "b"}


def test_a_span_reaches_from_the_first_to_the_last_of_those_that_began_in_a_time() -> None:
    made = timeline(("a", 0, 10), ("a", 20, 25), ("b", 21, 50), ("a", 30, 40), ("a", 60, None))
    wanted: Callable[[str], bool] = lambda text: text == "a"  # noqa: E731 - a name for a type
    assert made.find(wanted, at(15), at(50)) == Spell("a", at(20), at(40))
    assert made.find(wanted, at(15), at(70)) == Spell("a", at(20))
    assert made.find(wanted, at(41), at(50)) is None


def test_a_source_that_does_not_answer_is_seen_as_such() -> None:
    def refuse() -> frozenset[str]:
        raise ConnectionRefusedError("nobody there")

    watcher = Watcher({"here": lambda: frozenset({"x"}), "there": refuse})
    watcher.look()
    assert watcher.seen["here"].standing == {"x"}
    assert watcher.seen["there"].standing == {"no answer: nobody there"}


def test_the_dashboards_texts_are_its_reason_and_its_alarms() -> None:
    state: dict[str, Any] = {"state": "WARNING", "reason": "The disk.", "alarms": [{"text": "Parts."}]}
    assert texts(state) == {"WARNING: The disk.", "WARNING: Parts."}
    assert texts({"state": "RUNNING", "reason": "", "alarms": []}) == {"RUNNING"}


# -- the judgement -----------------------------------------------------------------------------------------------------


def test_a_fault_that_was_seen_as_it_must_be_is_no_problem() -> None:
    assert hurt_problems(HURT, seen()) == []
    told = tell(HURT, seen())
    assert told["dashboard"] == {"says": SAYS, "after_s": 1.0, "gone_after_s": 1.0}
    assert told["alert"] == {
        "name": "EdgeCameraLost",
        "fired_after_s": 8.0,
        "told_after_s": 9.0,
        "resolved_after_s": 6.0,
    }


MISSED = {
    "the dashboard did not show": seen(dashboard=timeline(("FAULT: something", 101, 136))),
    "the dashboard did not show FAULT with 'camera is gone' within": seen(
        dashboard=timeline((SAYS, 101 + SHOWN_S, 136))
    ),
    "the dashboard still showed": seen(dashboard=timeline((SAYS, 101, None))),
    "EdgeCameraLost did not fire": seen(firing=timeline(("EdgeStationFault", 108, 141))),
    "EdgeCameraLost did not resolve": seen(firing=timeline((CAMERA.alert, 108, None))),
    "Alertmanager was not told": seen(told=timeline()),
}


@pytest.mark.parametrize("problem", MISSED)
def test_what_was_not_seen_is_a_problem(problem: str) -> None:
    (found,) = hurt_problems(HURT, MISSED[problem])
    assert found.startswith(f"camera lost: {problem}")


def test_an_alert_of_another_time_is_not_this_faults() -> None:
    earlier = timeline((CAMERA.alert, 20, 50))
    assert "camera lost: EdgeCameraLost did not fire" in hurt_problems(HURT, seen(firing=earlier))


NOT_ON_PAGE: dict[str, dict[str, Any]] = {
    "the page did not show FAULT": {"after_s": None},
    "the page gave no remedy": {"remedy": ""},
    "the page did not show the line running again": {"back_s": None},
    "the page complained: error: 404": {"complaints": ("error: 404",)},
}


@pytest.mark.parametrize("problem", NOT_ON_PAGE)
def test_what_the_page_did_not_show_is_a_problem(problem: str) -> None:
    hurt = dataclasses.replace(HURT, glance=dataclasses.replace(GLANCE, **NOT_ON_PAGE[problem]))
    (found,) = hurt_problems(hurt, seen())
    assert found.startswith(f"camera lost: {problem}")


def test_an_alert_must_have_a_reason_before_it() -> None:
    firing = timeline(
        ("EdgeMonitorDown", 5, 8),  # before the first plates
        ("EdgeCameraLost", 50, 60),  # before the camera was lost
        ("EdgeStationFault", 110, 140),
        ("EdgePlcLost", 120, 121),
    )
    found = alert_problems([HURT], firing, at(10))
    assert found == [
        "EdgeCameraLost fired 40.0 s after the begin, for no reason",
        "EdgePlcLost fired 110.0 s after the begin, for no reason",
    ]


def test_a_disk_that_stood_still_is_a_reason_for_what_the_journals_say_and_for_nothing_else() -> None:
    stalls = [Spell("the disk stood still", at(20), at(22))]
    for begun, what, problems in [
        (21, "EdgeJournalFailing", 0),
        (40, "EdgeJournalBehind", 0),
        (19, "EdgeJournalFailing", 1),
        (43, "EdgeJournalFailing", 1),
        (21, "EdgePlcLost", 1),
    ]:
        assert len(alert_problems([HURT], timeline((what, begun, begun + 5)), at(10), stalls)) == problems


def test_it_is_told_how_long_each_alert_fired() -> None:
    firing = timeline(("a", 1, 3), ("b", 2, None), ("a", 10, 11))
    assert durations_s(firing, at(12)) == {"a": 3.0, "b": 10.0}


def test_the_monitors_bounds_hold() -> None:
    assert bound_problems(149.9) == []
    assert len(bound_problems(150.0)) == 1


# -- the run -----------------------------------------------------------------------------------------------------------


@pytest.mark.unattended
@pytest.mark.timeout(60 * MINUTES + 600)
def test_a_line_that_nobody_attends(tmp_path: Path) -> None:
    from tests.faults.unattended.run import unattended

    report = unattended(MINUTES, tmp_path, print)
    assert report.problems == []
    assert {fault["name"] for fault in report.faults} == {fault.name for fault in FAULTS}
    assert len(list(tmp_path.glob("*.png"))) == len(report.faults)
