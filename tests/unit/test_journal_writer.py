"""The journal's writer, on real SQLite files: what is on the disk, and when."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from edge.clock import boot_id, now_ns
from edge.errors import ConfigError
from edge.record.journal import Event
from tests.support_journal import (
    MS,
    PLC,
    STATION,
    count_of,
    counts,
    event,
    fact,
    files,
    journal,
    life,
    numbers,
    part,
    query,
    rejected,
    the_file,
    wait_for,
)

# -- rows -------------------------------------------------------------------------------------------------------------


def test_a_part_is_recorded_in_full(tmp_path: Path) -> None:
    one = journal(tmp_path)
    record = rejected(1001, tag="plate-7")
    one.put(record)
    one.close()
    (row,) = query(
        tmp_path,
        "SELECT station, lane, session, number, count, outcome, cause, rule, disposition, tag, t0_ns, t1_ns, t2_ns, "
        "t3_ns, t4_ns, recipe, model, engine, precision, version, boot, wall FROM parts",
    )
    assert row == (
        *("station-1", 0, STATION, 1001, count_of(1001), "REJECT", "rule", "long scratch", "ACCEPTED", "plate-7"),
        *(record.t0_ns, record.t1_ns, record.t2_ns, record.t3_ns, record.t4_ns),
        *("default", "sim-strip@1.0.0+2f2da957de67", "openvino", "fp32", "0.4.0", boot_id()),
        record.wall.replace("+00:00", "Z"),
    )
    found = query(tmp_path, "SELECT cls, score, x1, y1, x2, y2 FROM findings ORDER BY n")
    assert found == [("scratch", 0.8731, 12.3, 55.2, 99.1, 88.0), ("pit", 0.5, 1, 2, 3, 4)]


def test_what_a_station_does_not_know_of_a_part_is_null(tmp_path: Path) -> None:
    one = journal(tmp_path)
    one.put(part(7, count=None, t1_ns=None, t2_ns=None, t3_ns=None, t4_ns=None, disposition="", rule="", session=0))
    one.close()
    sql = "SELECT count, t1_ns, t2_ns, t3_ns, t4_ns, disposition, rule, tag FROM parts"
    assert query(tmp_path, sql) == [(None,) * 8]


def test_all_facts_of_a_part_share_one_row_under_its_sessions(tmp_path: Path) -> None:
    one = journal(tmp_path, "gateway")
    t0 = now_ns()
    for row in life(1001, t0):
        one.put(row)
    one.close()
    sql = (
        "SELECT plc, station, number, count, at_ns, answered, answered_ns, permit, permit_ns, armed_ns, ended_ns, "
        "executed_ns, voided_ns, gated, gated_ns, sensor, sensor_ns FROM gates"
    )
    at = [t0 + ms * MS for ms in (5, 23, 24, 34, 500, 600, 700)]
    assert query(tmp_path, sql) == [
        (
            *(PLC, STATION, 1001, count_of(1001), at[0], "ACCEPTED", at[1], None, at[2], at[3], None),
            *(at[4], None, "good", at[5], "confirmed", at[6]),
        )
    ]
    assert query(tmp_path, "SELECT count(*) FROM fact") == [(0,)]


def test_a_fact_that_is_told_twice_changes_nothing_of_the_first(tmp_path: Path) -> None:
    one = journal(tmp_path, "gateway")
    one.put(fact(5, "counted", "", 100))
    one.put(fact(5, "answered", "ACCEPTED", 200))
    one.put(fact(5, "answered", "DUPLICATE", 300))
    one.put(fact(5, "counted", "", 400, count=77))
    one.put(fact(5, "armed", "unheard", 450))
    one.put(fact(5, "ended", "late", 500))
    one.put(fact(5, "unread", "session_lost", 600, count=3))
    one.close()
    assert query(tmp_path, "SELECT count, at_ns, answered, answered_ns, ended, ended_ns FROM gates") == [
        (count_of(5), 100, "ACCEPTED", 200, "late", 500)
    ]
    assert query(tmp_path, "SELECT fact, detail, count, at_ns FROM facts ORDER BY id") == [
        ("answered", "DUPLICATE", 0, 300),
        ("counted", None, 77, 400),
        ("armed", "unheard", 0, 450),
        ("unread", "session_lost", 3, 600),
    ]


def test_facts_under_other_sessions_have_rows_of_their_own(tmp_path: Path) -> None:
    one = journal(tmp_path, "gateway")
    one.put(fact(5, "counted", "", 100, station=0))
    one.put(fact(5, "answered", "FENCED", 200))
    one.close()
    sql = "SELECT station, count, answered, at_ns, answered_ns FROM gates ORDER BY id"
    assert query(tmp_path, sql) == [(0, count_of(5), None, 100, None), (STATION, None, "FENCED", 200, 200)]


def test_events_and_counters_are_recorded_with_their_run(tmp_path: Path) -> None:
    one = journal(tmp_path)
    one.put(event("session", "granted", session=STATION, fence=5))
    one.put(counts(triggers=3, outcomes={"PASS": 2}))
    one.close()
    assert query(tmp_path, "SELECT kind, text, data ->> 'session' FROM events ORDER BY id") == [
        ("session", "granted", STATION),
        ("stopped", "", None),
    ]
    assert query(tmp_path, "SELECT data ->> '$.outcomes.PASS' FROM counts") == [(2,)]
    run = query(tmp_path, "SELECT process, name, lane, pid, boot FROM run")
    assert run == [("station", "station-1", 0, os.getpid(), boot_id())], "monotonic times compare within one boot alone"


def test_what_no_file_can_hold_is_counted_and_costs_no_other_row(tmp_path: Path) -> None:
    one = journal(tmp_path)
    one.put(part(1))
    one.put(Event("broken", "\ud800", {}, 0))
    one.put(part(2, t0_ns=2**70))
    one.put(part(3))
    wait_for(lambda: one.status().recorded == 2)
    assert (one.status().lost, "lost" in one.status().problem) == (2, True)
    one.close()
    assert numbers(tmp_path) == [1, 3]
    assert sorted(query(tmp_path, "SELECT w.text, rows FROM missing JOIN word w ON w.id = kind")) == [
        ("event", 1),
        ("part", 1),
    ]


# -- commits ----------------------------------------------------------------------------------------------------------


def test_a_row_is_on_the_disk_within_100_ms(tmp_path: Path) -> None:
    one = journal(tmp_path)
    one.put(part(0))
    wait_for(lambda: one.status().recorded == 1)  # the file is there
    waits = []
    for number in range(1, 11):
        started = time.monotonic()
        one.put(part(number))
        wait_for(lambda number=number: number in numbers(tmp_path))  # type: ignore[misc]
        waits.append(time.monotonic() - started)
        time.sleep(0.013 * number)
    one.close()
    assert sorted(waits)[4] < 0.100, waits  # of ten; a busy machine may hold a thread up now and then


def test_rows_share_commits(tmp_path: Path) -> None:
    one = journal(tmp_path)
    for number in range(100):
        one.put(part(number))
        time.sleep(0.002)
    one.close()
    with closing(sqlite3.connect(the_file(tmp_path))) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert numbers(tmp_path) == list(range(100))


def test_every_commit_is_synchronised(tmp_path: Path) -> None:
    """What that is good for, test_journal_disk shows."""
    one = journal(tmp_path)
    one.put(part(1))
    wait_for(lambda: one.status().recorded)
    store = one._keeper._store
    assert store is not None
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    one.close()


def test_close_records_what_waits_and_says_that_the_process_stopped(tmp_path: Path) -> None:
    one = journal(tmp_path)
    for number in range(5000):
        one.put(part(number))
    one.close(20)
    assert numbers(tmp_path) == list(range(5000))
    assert query(tmp_path, "SELECT kind FROM events") == [("stopped",)]
    assert one.status().recorded == 5001
    one.put(part(1))
    assert one.status().lost == 1, "a row after the end is said to be lost"
    one.close()  # again: nothing


def test_a_second_start_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for number in range(3):
        one = journal(tmp_path)
        one.put(part(number))
        one.close()
    assert len(files(tmp_path)) == 1
    assert numbers(tmp_path) == [0, 1, 2]
    assert query(tmp_path, "SELECT count(*) FROM run") == [(3,)]
    assert query(tmp_path, "SELECT count(*) FROM word WHERE text = 'PASS'") == [(1,)]


# -- folders ----------------------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"journal\.folder .*file/journal"):
        journal(tmp_path / "file" / "journal")


def test_two_processes_cannot_share_a_folder(tmp_path: Path) -> None:
    one = journal(tmp_path)
    with pytest.raises(ConfigError, match="another process"):
        journal(tmp_path)
    one.close()
    journal(tmp_path).close()
