"""The soak's own arithmetic: what it draws, measures, joins and refuses."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.commands import soak_record
from edge.commands.processes import MODELS
from edge.commands.soak_faults import LINE_FAULTS, Bag, catalogue
from edge.commands.soak_journals import fill, held
from edge.commands.soak_line import FastLine
from edge.commands.soak_plan import Plan, Recovery
from edge.commands.soak_result import by_fault, process_problems, referee_problems
from edge.commands.soak_station import FAILING, SPAN, UNDECIDED, MarkInspector
from edge.commands.soak_watch import Sample, growth, sample
from edge.config import JournalConfig
from edge.core.outcome import Outcome
from edge.core.rules import Rule
from edge.errors import BudgetError, EngineError
from edge.record.journal import Fact, Journal
from edge.simulate.faults import FAULTS
from edge.simulate.marks import MarksScene, read_mark

RULES = (Rule("mark", min_score=0.5),)


def test_every_fault_of_the_console_is_used_with_arguments_that_it_takes() -> None:
    assert LINE_FAULTS.keys() == FAULTS.keys()
    for name, arguments in LINE_FAULTS.items():
        assert arguments.keys() <= FAULTS[name].args.keys(), name


def test_a_bag_gives_every_fault_once_before_any_comes_again() -> None:
    faults = catalogue(small_disks=True)
    bag = Bag(faults, random.Random(1))
    for _ in range(3):
        assert Counter(bag.draw().name for _ in faults) == Counter(fault.name for fault in faults)


def test_disks_that_cannot_be_filled_are_left_alone() -> None:
    left_out = {f.name for f in catalogue(True)} - {f.name for f in catalogue(False)}
    assert left_out == {"station_journal_full", "gateway_journal_full"}


@pytest.mark.parametrize(("parts", "stretch"), [(1500, (300, 1200)), (100_000, (10_000, 90_000))])
def test_memory_is_followed_between_the_ends_of_a_run(parts: int, stretch: tuple[int, int]) -> None:
    assert Plan(parts, 100.0, 1, 3.0).stretch == stretch


# -- what is measured --------------------------------------------------------------------------------------------------


def samples(*memory_kb: int, pid: int = 7) -> list[Sample]:
    return [Sample(parts, pid, kb, 20, 5) for parts, kb in enumerate(memory_kb)]


def test_growth_compares_the_low_tenths_of_both_ends() -> None:
    head, tail = [9000] * 5 + [1000] + [999] + [1500] * 4, [1010] + [5000] * 9 + [1009]
    found = growth(samples(*head, *[1200] * 88, *tail), 0, 200)
    assert (found["rss_kb"], found["growth_percent"], found["restarts"]) == ([1000, 1010], 1.0, 0)
    assert (found["fds"], found["threads"]) == ([20, 20], [5, 5])


def test_a_spike_at_the_beginning_hides_no_growth() -> None:
    found = growth(samples(*[130_000] * 4, *(100_000 + 28_000 * i // 530 for i in range(527))), 0, 1000)
    assert found["growth_percent"] > 20


def test_growth_looks_at_the_stretch_alone_and_tells_of_a_new_process() -> None:
    found = growth([*samples(*[500] * 10), *samples(*[700] * 10, pid=8)], 5, 9)
    assert (found["parts"], found["restarts"], found["samples"]) == ([5, 9], 1, 10)
    assert growth(samples(1000), 0, 9) == {"samples": 1}


def test_a_sample_of_this_process_is_plausible_and_one_of_none_is_none() -> None:
    import os

    taken = sample(os.getpid(), 3)
    assert taken is not None
    assert (taken.pid, taken.parts) == (os.getpid(), 3)
    assert taken.rss_kb > 10_000
    assert taken.fds >= 3
    assert taken.threads >= 1
    assert sample(1 << 22, 0) is None


def test_recoveries_are_told_by_fault() -> None:
    told = by_fault([Recovery("a", 1, 5.0, 100.0), Recovery("b", 2, 1.0, 7.0), Recovery("a", 3, 9.0, 300.0)])
    assert told["a"] == {"count": 2, "lasted_ms_max": 9, "recovered_ms_p50": 200, "recovered_ms_max": 300}
    assert told["b"]["count"] == 1


# -- what is refused ---------------------------------------------------------------------------------------------------

HELD: dict[str, Any] = {
    "parts": 340,
    "wrong_part": 0,
    "escaped_no_permit": 0,
    "passed_unasked": 0,
    "defective_in_good_bin": 0,
    "good_total": 333,
    "good_passed": 167,
    "good_unaffected": 50,
    "good_unaffected_passed": 40,
    "defective_rejected_by_rule": 20,
}


def test_a_run_at_its_bounds_holds() -> None:
    assert referee_problems(HELD, 340) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"wrong_part": 1}, "wrong_part is 1"),
        ({"escaped_no_permit": 1}, "escaped_no_permit is 1"),
        ({"passed_unasked": 1}, "passed_unasked is 1"),
        ({"defective_in_good_bin": 1}, "defective_in_good_bin is 1"),
        ({"parts": 339}, "only 339 of 340"),
        ({"good_passed": 166}, "166 of 333 passed of all good plates"),
        ({"good_unaffected_passed": 39}, "39 of 50 passed of the good plates that no fault touched"),
        ({"good_unaffected": 49}, "only 49 of 333 good plates met no fault"),
        ({"good_total": 0, "good_passed": 0}, "0 of 0 passed of all"),
        ({"defective_rejected_by_rule": 0}, "no plate was rejected by the rule"),
    ],
)
def test_a_run_beyond_one_bound_is_refused(change: dict[str, int], words: str) -> None:
    problems = referee_problems({**HELD, **change}, 340)
    assert len(problems) == 1
    assert words in problems[0]


def process(**changes: Any) -> dict[str, dict[str, Any]]:
    found = {"restarts": 0, "rss_kb": [1000, 1010], "growth_percent": 1.0, "fds": [20, 22], "threads": [5, 5]}
    return {"station": {**found, **changes}, "gateway": found, "monitor": found}


def test_processes_at_their_bounds_hold() -> None:
    assert process_problems(process(), judged=True) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"growth_percent": 1.01}, "memory grew"),
        ({"threads": [5, 6]}, "threads grew"),
        ({"fds": [20, 23]}, "descriptors grew"),
        ({"restarts": 1}, "could not be followed"),
    ],
)
def test_a_process_that_grows_is_refused_where_the_run_was_long_enough(changes: dict[str, Any], words: str) -> None:
    (problem,) = process_problems(process(**changes), judged=True)
    assert words in problem
    assert process_problems(process(**changes), judged=False) == []


@pytest.mark.parametrize(
    "name",
    [
        *("rejected_yet_passed", "other_plate", "without_verdict_unexcused", "without_permit_unexcused"),
        "unknown_unexcused",
    ],
)
def test_one_plate_that_the_journals_tell_otherwise_is_a_problem(name: str) -> None:
    assert soak_record.problems(Counter(passed=9, without_verdict=32, without_permit=32, unknown=7)) == []
    (problem,) = soak_record.problems(Counter({"passed": 9, name: 1}))
    assert problem.startswith("1 plates")
    assert len(soak_record.problems(Counter())) == 1


MS = 1_000_000
KILLED_MS = 5000.0
EXCUSED_MS = soak_record.TRAVEL_MS + soak_record.STATED_LOSS_MS + soak_record.COMMIT_MS


@pytest.mark.parametrize(
    ("met_ms", "excused"),
    [
        (KILLED_MS - EXCUSED_MS - 1, False),
        (KILLED_MS - EXCUSED_MS, True),
        (KILLED_MS, True),
        (KILLED_MS + soak_record.SLACK_MS + 1, False),
    ],
)
def test_a_kill_excuses_what_was_due_shortly_before_it(met_ms: float, excused: bool) -> None:
    kills = {"station": [1, round(KILLED_MS * MS)], "gateway": []}
    known = soak_record.Losses({7: round(met_ms * MS)}, kills)
    between = soak_record.Losses({6: round((met_ms - 500) * MS), 8: round((met_ms + 500) * MS)}, kills)
    for losses in (known, between):
        assert losses.excuse("station", 7) is excused
        assert not losses.excuse("gateway", 7)
    assert not soak_record.Losses({}, kills).excuse("station", 7)


def test_plates_are_joined_with_what_the_journals_say_of_them(tmp_path: Path) -> None:
    journals = {name: tmp_path / name for name in ("station", "gateway")}
    journal = Journal(JournalConfig(folder=str(journals["gateway"])), "gateway", "gateway", 0)
    for number, fact in ((1, "counted"), (2, "counted"), (2, "permit"), (3, "counted")):
        journal.put(Fact(1, 1, 1, 1, number, 1000 * number, fact, "", number * 1000 * MS))
    journal.put(Fact(1, 1, 1, 1, 6, 6000, "permit", "failed", 3300 * MS))  # no answer: the PLC may have it
    journal.put(Fact(1, 2, 2, 1, 2, 2000, "gated", "good", 2500 * MS))  # all that the next session knows of it
    journal.close()
    Journal(JournalConfig(folder=str(journals["station"])), "station", "station", 0).close()
    plates = [
        {"number": number, "bin": "good", "tag": "", "affected": affected}
        for number, affected in ((1, []), (2, []), (4, []), (5, ["starting"]), (6, []), (-1, []))
    ]
    found = soak_record.join(plates, journals, {"station": [2100 * MS], "gateway": [3050 * MS]})
    assert (found["plates"], found["unknown"], found["unknown_unexcused"]) == (5, 2, 1)
    assert (found["without_verdict"], found["without_verdict_unexcused"]) == (5, 4)  # number 2 is excused
    assert (found["without_permit"], found["without_permit_unexcused"]) == (3, 1)  # numbers 4, 5: when 3 came, at best


# -- the line ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [10.0, 60.0, 150.0, 250.0])
def test_edge_check_accepts_the_line_at_any_rate_that_it_is_made_for(rate: float, tmp_path: Path) -> None:
    configured(rate, tmp_path)


def test_edge_check_refuses_a_rate_that_the_gate_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="gate tolerance"):
        configured(300.0, tmp_path)


def configured(rate: float, folder: Path) -> None:
    recipe = '[recipe]\nrules = [{ name = "mark", min_score = 0.5 }]\n'
    (folder / "station.toml").write_text(f'{recipe}[model]\npackage = "{MODELS / "sim-strip"}"\n[line]\n')
    (folder / "gateway.toml").write_text('bind = "ipc:///tmp/gateway"\n[line]\n')
    FastLine(rate, 0.1).configure(folder)


# -- the scripted inspector and the filled journal ---------------------------------------------------------------------


def test_marks_decide_and_every_way_out_is_taken() -> None:
    scene, inspector = MarksScene((64, 48), 1, 0.3), MarkInspector(("a", "b"), 0.0)
    seen: Counter[str] = Counter()
    for index in range(4 * SPAN):
        image = scene.shot(index).image
        mark = read_mark(image)
        assert mark is not None
        drawn = mark.number % SPAN
        if drawn in FAILING:
            with pytest.raises(EngineError):
                inspector.inspect(image, RULES)
            seen["failed"] += 1
            continue
        verdict = inspector.inspect(image, RULES)
        expected = Outcome.REJECT if mark.defective else Outcome.PASS
        assert verdict.outcome is (Outcome.NO_DECISION if drawn in UNDECIDED else expected)
        assert verdict.rule == ("mark" if verdict.outcome is Outcome.REJECT else "")
        seen[verdict.outcome.value] += 1
    assert all(seen[name] for name in ("failed", "NO_DECISION", "PASS", "REJECT")), seen


def test_a_frame_without_a_mark_decides_nothing() -> None:
    empty = np.zeros((48, 64), np.uint8)
    assert MarkInspector(("a",), 0.0).inspect(empty, RULES).outcome is Outcome.NO_DECISION


def test_a_journal_is_filled_to_its_bound_by_files_of_old_days(tmp_path: Path) -> None:
    files = fill(tmp_path, "station", 0.01)
    size, present = held(tmp_path)
    assert present == files > 1
    assert 10e6 <= size < 15e6
