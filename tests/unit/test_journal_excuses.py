"""What the join must not excuse: an excuse holds for what it can explain, for as long as it lasts, and no longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.clock import wall_ns
from edge.record.journal import Event
from tests.support_journal import DAY_NS, MS, STATION, Plant, fact, journal, part, the_file


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def lose(plant: Plant, process: str, kind: str, start: int, end: int) -> None:
    plant.change(process, f"INSERT INTO word(text) VALUES ('{kind}')")
    run = f"(SELECT id FROM run), 0, (SELECT id FROM word WHERE text = '{kind}'), 1, {start}, {end}"
    plant.change(process, f"INSERT INTO missing(run, wall_ms, kind, rows, from_ns, to_ns) VALUES ({run})")


AGREES = """UPDATE counts SET data = replace(data, '"PASS":32', '"PASS":31')"""
"""The station's own counters know nothing of one part either."""

REFUSED = "UPDATE part SET outcome = (SELECT id FROM word WHERE text = 'REJECT') WHERE number = "


@pytest.mark.parametrize(
    ("number", "fact_", "detail"),
    [(21, "permit", ""), (21, "executed", ""), (20, "ended", "late"), (20, "gated", "good"), (21, "confirmed", "")],
)
def test_a_fact_that_is_told_again_is_a_contradiction(plant: Plant, number: int, fact_: str, detail: str) -> None:
    plant.extra["gateway"] = [fact(number, fact_, detail, plant.at(number) + 800 * MS)]
    plant.write()
    result = plant.reconcile()
    assert result.remainder == 1
    assert f"the gateway told again: {fact_}" in result.examples[0]


def test_an_answer_may_be_told_again(plant: Plant) -> None:
    plant.extra["gateway"] = [fact(21, "answered", "DUPLICATE", plant.at(21) + 30 * MS)]
    plant.write()
    assert plant.reconcile().reconciled


def test_a_gate_that_opens_without_a_permit_is_left_over(plant: Plant) -> None:
    plant.write()
    plant.change("gateway", "UPDATE gate SET permit = NULL, permit_dt = NULL WHERE number = 21")
    result = plant.reconcile()
    assert result.remainder == 1
    assert "the gate opened for it without a permit" in result.examples[0]
    plant.change("gateway", "UPDATE gate SET executed_dt = NULL, ended = 1, ended_dt = 300000000 WHERE number = 21")
    assert any("without a permit" in example for example in plant.reconcile().examples), "it was seen to pass"


def test_a_permit_that_a_missing_row_may_have_told_of_is_no_secret_opening(plant: Plant) -> None:
    plant.write()
    plant.change("gateway", "UPDATE gate SET permit = NULL, permit_dt = NULL WHERE number = 21")
    lose(plant, "gateway", "fact", plant.at(21), plant.at(21) + 50 * MS)
    result = plant.reconcile()
    assert result.classes["its permit not recorded: the gateway's journal had no room"] == 1
    assert result.reconciled


def test_a_gate_that_rests_in_pass_needs_no_permit(plant: Plant) -> None:
    actuator = {"line": {}, "actuator": {"deenergised_state": "pass"}}
    plant.extra["gateway"] = [Event("started", "", {"config": actuator}, plant.start)]
    plant.write()
    plant.change("gateway", "UPDATE gate SET permit = NULL, permit_dt = NULL WHERE number = 21")
    assert plant.reconcile().reconciled


def test_a_gate_that_closed_on_its_part_has_a_class_of_its_own(plant: Plant) -> None:
    plant.write()
    plant.change("gateway", "UPDATE gate SET gated = (SELECT gated FROM gate WHERE number = 20) WHERE number = 21")
    result = plant.reconcile()
    assert (result.reconciled, result.classes["complete, the gate closed on it"]) == (True, 1)


def test_mode_bypass_excuses_until_it_ends_and_nothing_but_a_permit(plant: Plant) -> None:
    plant.extra["gateway"] = [
        Event("mode", "", {"mode": "bypass"}, plant.at(10) - 10 * MS),
        Event("mode", "", {"mode": "auto"}, plant.at(20) - 10 * MS),
    ]
    plant.write()
    plant.change("station", f"{REFUSED} 11")
    result = plant.reconcile()
    assert (result.reconciled, result.classes["mode bypass"]) == (True, 1)
    plant.change("station", f"{REFUSED} 31")
    assert plant.reconcile().remainder == 1, "it was over"
    plant.change("station", "UPDATE part SET disposition = outcome WHERE number = 12")
    assert plant.reconcile().remainder == 2, "an answer that differs has nothing to do with it"


def test_mode_bypass_ends_with_the_run_of_the_gateway(plant: Plant) -> None:
    earlier = journal(plant.gateway, "gateway", clock=lambda: plant.start - 10**9)
    earlier.put(Event("mode", "", {"mode": "bypass"}, plant.start - 10**9))
    earlier.close()
    plant.write()
    assert plant.reconcile().reconciled
    plant.change("station", f"{REFUSED} 11")
    assert plant.reconcile().remainder == 1


def test_a_trigger_source_that_an_earlier_run_lost_excuses_nothing(plant: Plant) -> None:
    earlier = journal(plant.station, clock=lambda: plant.start - 10**9)
    earlier.put(Event("device_lost", "", {"device": "trigger"}, plant.start - 10**9))
    earlier.close()
    del plant.parts[21]
    plant.write()
    plant.change("station", AGREES)
    assert plant.reconcile().remainder == 1


def test_runs_are_in_order_though_the_wall_clock_was_not(plant: Plant) -> None:
    """The earlier run wrote into tomorrow's file."""
    early = plant.start - 10**9
    earlier = journal(plant.station, clock=lambda: early, wall=lambda: wall_ns() + DAY_NS)
    earlier.put(Event("state", "RUNNING", {}, early))
    earlier.close()
    tomorrow = the_file(plant.station)
    tomorrow.rename(aside := tomorrow.with_suffix(".aside"))
    del plant.parts[21]
    plant.write()
    plant.change("station", AGREES)
    aside.rename(tomorrow)
    assert plant.reconcile().remainder == 1


def test_missing_rows_of_another_kind_excuse_nothing(plant: Plant) -> None:
    del plant.parts[21]
    plant.write()
    plant.change("station", AGREES)
    lose(plant, "station", "event", plant.at(20), plant.at(22))
    assert plant.reconcile().remainder == 1
    lose(plant, "station", "part", plant.at(20), plant.at(22))
    assert plant.reconcile().classes["not at the station: the station's journal had no room"] == 1


def test_a_part_that_the_station_tells_twice_is_left_over(plant: Plant) -> None:
    plant.extra["station"] = [part(21, plant.at(21), disposition="LATE")]
    plant.write()
    plant.change("station", """UPDATE counts SET data = replace(data, '"PASS":32', '"PASS":33')""")
    result = plant.reconcile()
    assert result.examples == [f"the station told part 21 of session {STATION} again"]


@pytest.mark.parametrize("process", ["station", "gateway"])
def test_a_run_that_stopped_in_order_without_counters_is_left_over(plant: Plant, process: str) -> None:
    plant.write()
    plant.change(process, "DELETE FROM counts")
    result = plant.reconcile()
    assert result.examples == [f"a run of the {process} has parts and stopped in order, and its counters are missing"]
