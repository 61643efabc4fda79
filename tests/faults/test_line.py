import json
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.core.ledger import PartLedger
from edge.core.part import Part
from edge.simulate.line.catalogue import CATALOGUE, NOT_APPLICABLE
from edge.simulate.line.components import Components
from edge.simulate.line.run import FAILED, LineResult, _quiet, parse_faults, run_line
from edge.simulate.line.sabotage import SABOTAGES
from edge.simulate.line.shard import Shard, Task

PARTS = 1500


def run(faults: tuple[str, ...], seed: int = 1, parts: int = PARTS, sabotage: str = "") -> LineResult:
    return run_line(parts, faults, seed, sabotage, shards=1, workers=1)


def is_raised(result: LineResult, counter: str) -> bool:
    value = result.summary[counter]
    return value is False if counter == "reconciled" else value > 0


def test_without_faults_nothing_is_lost_beyond_what_the_oracle_rejects() -> None:
    result = run(())
    s = result.summary
    assert result.violations == []
    assert s["parts"] == s["triggers"] == s["plc_triggers"] == s["acknowledged"] == sum(s["outcomes"].values()) == PARTS
    assert s["false_rejects"] == 0
    assert s["permits_honoured"] == s["good"] - s["false_alarms"]
    assert s["outcomes"]["PASS"] == s["permits_written"]
    assert s["unowned"] == s["lost_with_process"] == s["clipped"] == 0


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_fault_alone_leaves_the_contract_whole(name: str) -> None:
    result = run((name,), parts=350)
    assert result.violations == []
    assert result.summary["faults_injected"][name] >= 2


def test_all_faults_together_leave_the_contract_whole() -> None:
    result = run_line(2 * PARTS, tuple(CATALOGUE), seed=9, shards=2, workers=2)
    assert result.violations == []
    assert result.summary["shards"] == 2
    assert sum(result.summary["faults_injected"].values()) >= 25


@pytest.mark.parametrize("name", SABOTAGES)
def test_each_sabotage_shows_on_its_counter(name: str) -> None:
    row = SABOTAGES[name]
    result = run(row.faults, parts=row.parts, sabotage=name)
    assert is_raised(result, row.counter)
    assert any(text.startswith(row.counter) for text in result.violations)


@pytest.mark.parametrize("faults", sorted({row.faults for row in SABOTAGES.values()}))
def test_without_the_sabotage_the_same_run_is_clean(faults: tuple[str, ...]) -> None:
    sabotaged = [row for row in SABOTAGES.values() if row.faults == faults]
    assert run(faults, parts=min(800, max(row.parts for row in sabotaged))).violations == []


def test_a_ledger_that_never_closes_what_is_due_fails_the_run_and_does_not_hang_it() -> None:
    class Endless(PartLedger):
        def expire(self, *_: Any) -> list[Part]:
            return []

    with _quiet():
        shard = Shard(Task(100, 1, faults=("engine_slow",), gap_parts=20), Components(ledger=Endless))
        shard.run()
    assert any("after 1000 turns at one time" in problem for problem in shard.books.problems)


def test_the_same_seed_gives_the_same_run() -> None:
    names = ("station_killed", "network_held", "belt_reversed")
    first, second, other = (run(names, seed=seed, parts=300).summary for seed in (4, 4, 5))
    for name in ("seconds", "parts_per_second"):
        del first[name], second[name], other[name]
    assert first == second
    assert first != other


def test_the_memory_of_the_books_does_not_grow() -> None:
    with _quiet():
        shard = Shard(Task(3000, 1, faults=tuple(CATALOGUE)), Components())
        shard.run()
    sizes = {name: len(value) for name, value in vars(shard.referee).items() if hasattr(value, "__len__")}
    assert max(sizes.values()) <= 2000, sizes
    assert len(shard.books.join) == 0  # all are judged in the end


def test_a_failing_run_prints_the_history_of_the_first_part() -> None:
    result = CliRunner().invoke(
        app, ["simulate", "line", "--parts", "200", "--sabotage", "permit_reused", "--workers", "1", "--json"]
    )
    assert result.exit_code == FAILED
    assert json.loads(result.stdout)["wrong_part"] > 0
    assert "VIOLATED: wrong_part is" in result.stderr
    assert "seed 1, shard 0 of 200 parts" in result.stderr
    assert "at the gate: Bin.GOOD" in result.stderr
    assert "eye: plate" in result.stderr


def test_a_clean_run_exits_with_0() -> None:
    result = CliRunner().invoke(app, ["simulate", "line", "--parts", "100", "--faults", "none", "--json"])
    assert result.exit_code == 0
    keys = (
        "parts triggers outcomes acknowledged reconciled wrong_part late_fired escaped_no_permit permits_honoured "
        "false_rejects false_rejects_unaffected collateral causes faults_injected parts_per_second"
    )
    assert set(keys.split()) <= json.loads(result.stdout).keys()


@pytest.mark.parametrize("arguments", [["--faults", "gremlins"], ["--sabotage", "gremlins"]])
def test_unknown_names_are_refused_with_those_that_exist(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["simulate", "line", *arguments])
    assert result.exit_code == 2
    assert "gremlins" in result.output


def test_the_catalogue_covers_the_matrix() -> None:
    assert len(CATALOGUE) >= 30
    assert all(reason for reason in NOT_APPLICABLE.values())
    assert parse_faults("all") == tuple(CATALOGUE)
    assert parse_faults("none") == ()
    assert parse_faults("frame_lost, plc_slow") == ("frame_lost", "plc_slow")
    assert len(SABOTAGES) >= 12
    assert {name for row in SABOTAGES.values() for name in row.faults} <= CATALOGUE.keys()
