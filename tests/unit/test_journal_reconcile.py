"""The join of station, gateway and PLC: everything has a name, and what has none is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge.cli import app
from edge.record.journal import Counts, Event, Fact
from edge.record.journal.lines import GatePart
from edge.record.journal.pairing import Numbers, Pairing
from edge.record.journal.reconcile import reconcile
from edge.record.journal.records import Filter, GateRow, PartRow
from edge.record.journal.spans import FOREVER, Span, excuse
from tests.support_hypothesis import usual
from tests.support_journal import GATEWAY, MS, PERIOD, PLC, Plant, fact, journal, part


def without_a_verdict(number: int, t0_ns: int) -> list[Fact]:
    told = ("counted", "", 5), ("ended", "unannounced", 300), ("gated", "rejected", 600)
    return [fact(number, what, detail, t0_ns + ms * MS) for what, detail, ms in told]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def test_a_line_without_trouble_is_complete(plant: Plant) -> None:
    plant.write()
    result = plant.reconcile()
    assert (result.reconciled, result.parts, dict(result.classes)) == (True, 40, {"complete": 40})
    assert "station: parts closed: 40 by the counters, 40 on record" in result.books
    assert f"PLC session {PLC}: parts at the gate: 40 by the counters, 40 on record" in result.books


def test_two_empty_journals_are_not_reconciled(tmp_path: Path) -> None:
    for name in ("station", "gateway"):
        journal(tmp_path / name, name).close()
    result = reconcile(tmp_path / "station", tmp_path / "gateway")
    assert (result.reconciled, result.remainder) == (False, 0)


_PASS_20 = "(SELECT id FROM part WHERE number = 21)"
_GATE_20 = "(SELECT id FROM gate WHERE number = 21)"
CHANGES = {
    "a station's row is gone": ("station", f"DELETE FROM part WHERE id = {_PASS_20}", "station's journal has nothing"),
    "a gateway's row is gone": ("gateway", f"DELETE FROM gate WHERE id = {_GATE_20}", "gateway's journal has nothing"),
    "its end is gone": ("gateway", f"UPDATE gate SET executed_dt = NULL WHERE id = {_GATE_20}", "part 21 of"),
    "the outcome is another": (
        "station",
        f"UPDATE part SET outcome = (SELECT id FROM word WHERE text = 'REJECT') WHERE id = {_PASS_20}",
        "it was permitted, and the station said REJECT",
    ),
    "the answer is another": (
        "station",
        f"UPDATE part SET disposition = (SELECT id FROM word WHERE text = 'PASS') WHERE id = {_PASS_20}",
        "the gateway answered ACCEPTED, and the station heard PASS",
    ),
    "the answer is gone": ("gateway", f"UPDATE gate SET answered_dt = NULL WHERE id = {_GATE_20}", "part 21 of"),
    "the number is another": ("station", f"UPDATE part SET number = 521 WHERE id = {_PASS_20}", "part 521 of"),
    "the session is another": (
        "station",
        "UPDATE identity SET session = 7",
        "of session 7: PASS (clean), answered ACCEPTED; the gateway's journal has nothing of it",
    ),
    "a part was refused and passed": (
        "gateway",
        "UPDATE gate SET gated = (SELECT gated FROM gate WHERE number = 21) WHERE number = 20",
        "it was permitted, and the station said REJECT",
    ),
    "two ends": (
        "gateway",
        f"UPDATE gate SET ended = 1, ended_dt = 5 WHERE id = {_GATE_20}",
        "as ended and as executed",
    ),
    "the station counted more": (
        "station",
        """UPDATE counts SET data = '{"outcomes": {"PASS": 41}}' """,
        "station: parts closed: 41 by the counters, 40 on record",
    ),
    "the PLC counted more": (
        "gateway",
        "UPDATE counts SET data = replace(data, '\"met_gate\":40', '\"met_gate\":41')",
        "parts at the gate: 41 by the counters, 40 on record",
    ),
    "the gate opened once more": (
        "gateway",
        "UPDATE counts SET data = replace(data, '\"opened\":32', '\"opened\":33')",
        "gate opened: 33 by the counters, 32 on record",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_not_fit_is_left_over(plant: Plant, name: str) -> None:
    process, sql, words = CHANGES[name]
    if name == "the session is another":  # nor does the count tell whose it is
        plant.parts = {n: part(n, plant.at(n), count=7 * n) for n in plant.numbers}
    plant.write()
    plant.change(process, sql)
    result = plant.reconcile()
    assert result.remainder > 0
    assert any(words in example for example in result.examples), result.examples


def test_the_command_says_so_and_exits_with_20(plant: Plant) -> None:
    plant.write()
    arguments = ["journal", "reconcile", str(plant.station), str(plant.gateway)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    plant.change("station", "DELETE FROM part WHERE number = 21")
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 20
    told = json.loads(result.stdout)
    assert (told["reconciled"], told["remainder"] > 0, told["classes"]["complete"]) == (False, True, 39)
    assert "without an explanation" in CliRunner().invoke(app, arguments).stdout


def test_a_stretch_of_time_is_joined_without_a_rest_at_its_edges(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The station records a part some ms after the gateway has counted it."""
    monkeypatch.setattr("edge.record.journal.reconcile.EDGE_MS", 1000)
    plant.write()
    plant.change("gateway", "UPDATE gate SET wall_ms = 1000000 + number * 100")
    plant.change("station", "UPDATE part SET wall_ms = 1000000 + number * 100 + 25")
    within = Filter(since_ms=1_000_000 + 1510, until_ms=1_000_000 + 2510)
    result = reconcile(plant.station, plant.gateway, within)
    assert (result.reconciled, set(result.classes)) == (True, {"complete"}), result.examples
    assert 10 <= result.parts <= 30
    plant.change("station", "DELETE FROM part WHERE number = 20")
    assert reconcile(plant.station, plant.gateway, within).remainder == 1
    plant.change("station", "DELETE FROM part WHERE number = 35")
    assert reconcile(plant.station, plant.gateway, within).remainder == 1, "it lies outside"


def test_what_retention_has_taken_of_either_is_not_looked_for_in_the_other(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes have been running since before the first file that is left of each."""
    monkeypatch.setattr("edge.record.journal.reconcile.EDGE_MS", 1000)
    plant.extra["gateway"] = [Counts({"plc": None, **_REGISTER_AT_25}, plant.at(25) + 50 * MS)]
    plant.extra["station"] = [Counts({"outcomes": {"PASS": 20, "REJECT": 5}}, plant.at(25) + 50 * MS)]
    plant.write()
    wall = f"(at_ns - {plant.start}) / 1000000"
    for process, table, at in [
        ("station", "part", wall.replace("at_ns", "t0_ns")), ("gateway", "gate", wall),
        *((process, table, wall) for process in ("station", "gateway") for table in ("event", "counts")),
    ]:  # fmt: skip
        plant.change(process, f"UPDATE {table} SET wall_ms = {at}")
    for process in ("station", "gateway"):
        plant.change(process, "UPDATE run SET started_ms = 0")
        assert plant.reconcile().parts == 40
    plant.change("station", "DELETE FROM part WHERE number < 12")
    plant.change("gateway", "DELETE FROM gate WHERE number < 8")
    for process in ("station", "gateway"):
        plant.change(process, f"DELETE FROM event WHERE at_ns < {plant.at(12)}")
    plant.change("gateway", f"DELETE FROM counts WHERE at_ns < {plant.at(12)}")
    result = plant.reconcile()
    assert (result.remainder, set(result.classes)) == (0, {"complete"}), result.examples
    assert 19 <= result.parts <= 29
    assert "gateway: parts counted by the PLC: 15 by the counters, 15 on record" in result.books
    plant.change("station", "DELETE FROM part WHERE number = 30")
    assert plant.reconcile().remainder > 0


_REGISTER_AT_25 = {"plc_triggers": 25, "rejected": {"reject": 5}, "executed": 16, "voided": {}}


# -- classes ----------------------------------------------------------------------------------------------------------


def test_rows_that_found_no_room_excuse_their_time_and_no_other(plant: Plant) -> None:
    lost = range(20, 23)
    for number in lost:
        del plant.parts[number]
    plant.write()
    result = plant.reconcile()
    assert result.remainder >= 3
    start, end = plant.at(20), plant.at(22) + 30 * MS
    run = f"(SELECT id FROM run), 0, (SELECT id FROM word WHERE text = 'part'), 3, {start}, {end}"
    plant.change("station", "INSERT INTO word(text) VALUES ('part')")
    plant.change("station", f"INSERT INTO missing(run, wall_ms, kind, rows, from_ns, to_ns) VALUES ({run})")
    result = plant.reconcile()
    assert result.classes["not at the station: the station's journal had no room"] == 3
    assert result.reconciled, result.examples
    plant.change("station", "DELETE FROM part WHERE number = 35")
    assert not plant.reconcile().reconciled


def test_a_station_that_was_killed_may_lack_what_was_under_way_and_no_more(plant: Plant) -> None:
    for number in range(30, 41):
        del plant.parts[number]
        plant.facts[number] = without_a_verdict(number, plant.at(number))
    plant.clean["station"] = False
    plant.write()
    for words in ('"executed":32', '"executed":24'), ('"opened":32', '"opened":24'), ('"reject":8', '"reject":16'):
        plant.change("gateway", f"UPDATE counts SET data = replace(data, '{words[0]}', '{words[1]}')")
    result = plant.reconcile()
    assert result.classes["not at the station: the station's journal ends"] == 11
    assert result.reconciled, result.examples
    plant.change("station", "DELETE FROM part WHERE number = 10")
    assert plant.reconcile().remainder == 1


def test_a_station_that_was_killed_may_not_lack_what_the_gateway_had_answered_long_before(plant: Plant) -> None:
    """Its journal has 100 ms, and the commit under way: 250 ms, and 100 ms from an answer to its record."""
    for number in range(30, 41):
        del plant.parts[number]
    plant.clean["station"] = False
    plant.write()
    result = plant.reconcile()
    assert (result.classes["not at the station: the station's journal ends"], result.remainder) == (4, 7)


def test_a_gateway_that_was_killed_may_not_lack_what_the_station_had_heard_long_before(plant: Plant) -> None:
    for number in range(31, 41):
        plant.facts[number] = []
    plant.clean["gateway"] = False
    plant.write()
    result = plant.reconcile()
    assert result.classes["not at the gateway: the gateway's journal ends"] == 3
    assert result.remainder == 7


def test_a_gateway_that_was_killed_may_lack_what_was_on_the_belt_and_no_more(plant: Plant) -> None:
    for number in range(36, 41):
        del plant.facts[number]
    for number in range(33, 36):
        plant.facts[number] = plant.facts[number][:1]
    for number in range(33, 41):
        plant.parts[number] = part(number, plant.at(number), disposition="", t4_ns=None)
    plant.clean["gateway"] = False
    plant.write()
    result = plant.reconcile()
    assert result.classes["not at the gateway: the gateway's journal ends"] == 5
    assert result.classes["its end not recorded: the gateway's journal ends"] == 3
    assert result.reconciled, result.examples
    plant.change("gateway", "UPDATE gate SET executed_dt = NULL WHERE number = 12")
    assert plant.reconcile().remainder == 1


def test_parts_without_a_session_are_joined_by_number_and_count(plant: Plant) -> None:
    for number in (11, 12):
        plant.parts[number] = part(number, plant.at(number), session=0, disposition="")
        plant.facts[number] = [
            fact(number, what, detail, plant.at(number) + ms * MS, station=0)
            for what, detail, ms in (("counted", "", 5), ("ended", "unannounced", 300), ("gated", "rejected", 600))
        ]
    plant.write()
    result = plant.reconcile()
    assert result.classes["complete, without a session of the station"] == 2
    plant.change("station", "UPDATE part SET count = 1 WHERE number = 11")
    result = plant.reconcile()
    assert any("part 11 of PLC session" in example for example in result.examples), "the count is another part's"


def test_counts_that_were_never_read_are_told_apart(plant: Plant) -> None:
    for number in range(15, 18):
        plant.facts[number] = []
        plant.parts[number] = part(number, plant.at(number), disposition="")
    plant.facts[17] = [fact(17, "unread", "session_lost", plant.at(18), count=3)]
    plant.write()
    result = plant.reconcile()
    assert result.classes["counted, and its count never read: session_lost"] == 3
    assert not [example for example in result.examples if "part 1" in example and "of PLC" in example], result.examples


@pytest.mark.parametrize(
    ("followed_again_s", "told", "joined"), [(5, True, True), (40, True, True), (4000, True, True), (40, False, False)]
)
def test_what_was_counted_while_the_plc_was_away_is_joined_however_long_that_was(
    plant: Plant, followed_again_s: int, told: bool, joined: bool
) -> None:
    lost, back = plant.at(15) - PERIOD // 2, plant.at(15) + followed_again_s * 1000 * MS
    begun = {"plc": PLC, "gateway": GATEWAY, "station": 0, "epoch": 1, "fence": 0, "last_part": 17}
    plant.numbers = range(1, 15)
    for number in range(15, 41):
        del plant.facts[number], plant.parts[number]
    for number in range(15, 18):
        plant.parts[number] = part(number, plant.at(number), session=0, disposition="")
    plant.extra["gateway"] = [
        *([Event("session", "", {"what": "ended"}, lost)] if told else []),
        Event("session", "", {**begun, "what": "begun"}, back),
        fact(17, "unread", "session_lost", back, count=3, station=0),
    ]
    plant.write()
    result = plant.reconcile()
    assert (result.classes["counted, and its count never read: session_lost"] == 3) == joined
    assert not [example for example in result.examples if joined and "part 1" in example], result.examples


def test_a_part_that_nobody_saw_at_the_gate_must_be_in_the_plcs_books(plant: Plant) -> None:
    plant.facts[12] = [told for told in plant.facts[12] if told.fact not in ("gated", "confirmed")]
    plant.write()
    result = plant.reconcile()
    assert result.classes["not seen at the gate, and booked by the PLC"] == 1
    assert result.reconciled
    plant.change("gateway", "UPDATE counts SET data = replace(data, '\"met_gate\":40', '\"met_gate\":39')")
    assert not plant.reconcile().reconciled, "it met no gate"


def test_parts_from_before_the_gateways_record(plant: Plant) -> None:
    plant.extra["gateway"] = [fact(0, "gated", "rejected", plant.at(1))]
    plant.write()
    result = plant.reconcile()
    assert result.classes["counted before the gateway followed the PLC"] == 1
    plant.change("gateway", "UPDATE gate SET number = 700 WHERE number = 0")
    assert any("part 700" in example for example in plant.reconcile().examples)


# -- pieces -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 60), max_size=80))
@usual(200)
def test_numbers_know_their_holes_in_whatever_order_they_come(given_: list[int]) -> None:
    numbers = Numbers()
    for place, number in enumerate(given_):
        numbers.add(number, place)
    present = set(given_)
    assert len(numbers) == len(present)
    assert all(first <= last for first, last, _, _ in numbers.holes())
    assert all((n in numbers) == (n in present) for n in range(61))
    holes = {n for first, last, _, _ in numbers.holes() for n in range(first, last + 1)}
    assert holes == (set(range(min(present), max(present) + 1)) - present if present else set())


def test_a_hole_where_the_counter_wraps_around_is_found() -> None:
    numbers = Numbers()
    for place, number in enumerate([2**32 - 3, 2**32 - 2, 1, 2]):
        numbers.add(number, place)
    assert list(numbers.holes()) == [(2**32 - 1, 2**32 - 1, 1, 2), (0, 0, 1, 2)]


@pytest.mark.parametrize(("apart_ms", "are_one"), [(30_000, True), (30_001, False)])
def test_parts_without_a_session_are_one_only_within_seconds(apart_ms: int, are_one: bool) -> None:
    """A PLC that restarts gives the same numbers again."""
    station = PartRow(
        **{**dict.fromkeys(PartRow.__struct_fields__, ""), "wall_ms": 0, "session": 0, "number": 5, "count": 5000},  # type: ignore[arg-type]
    )
    row = GateRow(
        boot="", wall_ms=apart_ms, plc=2, gateway=1, station=0, epoch=1, number=5, count=5010, at_ns=0,
        facts={"counted": ("", 0)},
    )  # fmt: skip
    pairing = Pairing({}, 100)
    assert pairing.station(station) is None
    assert (pairing.gate(GatePart.of(row)) is station) is are_one


def test_a_counter_that_wraps_around_leaves_no_hole() -> None:
    numbers = Numbers()
    for place, number in enumerate([2**32 - 2, 2**32 - 1, 0, 1, 3]):
        numbers.add(number, place)
    assert [hole[:2] for hole in numbers.holes()] == [(2, 2)]


@pytest.mark.parametrize(("start", "end", "found"), [(0, 9, ""), (0, 10, "why"), (20, 30, "why"), (21, 30, "")])
def test_an_excuse_holds_at_its_edges_and_not_beyond(start: int, end: int, found: str) -> None:
    assert excuse([Span(10, 20, "why"), Span(FOREVER - 1, FOREVER, "never")], start, end) == found
