"""The journal's writer, on files that are stalled, full or damaged: what is lost, and what is said of it."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge.clock import NS_PER_S, now_ns
from edge.record.journal import writer
from edge.record.journal.files import DayFile
from edge.record.journal.rows import Row
from edge.wire.messages import FindingRecord
from tests.support_journal import (
    event,
    fact,
    files,
    journal,
    locked,
    numbers,
    part,
    query,
    the_file,
    today,
    wait_for,
)

# -- a disk that does not do as asked ---------------------------------------------------------------------------------


def test_a_stalled_file_costs_no_time_and_no_row_and_is_a_problem_after_a_second(tmp_path: Path) -> None:
    one = journal(tmp_path)
    one.put(part(0))
    wait_for(lambda: one.status().recorded == 1)
    with locked(the_file(tmp_path)):
        slowest = 0.0
        for number in range(1, 60):
            started = time.perf_counter()
            one.put(part(number))
            slowest = max(slowest, time.perf_counter() - started)
            time.sleep(0.01)
        assert slowest < 0.1, "it waited for the disk"
        wait_for(lambda: one.status().problem)
        stalled = one.status()
        assert (stalled.recorded, stalled.lost, stalled.waiting) == (1, 0, 59)
        assert stalled.behind_ms > 100
    wait_for(lambda: one.status().waiting == 0)
    assert one.status().problem == ""
    one.close()
    assert numbers(tmp_path) == list(range(60))


def test_rows_that_wait_longer_than_a_second_are_a_problem_though_no_write_has_failed(tmp_path: Path) -> None:
    now = [0]
    one = journal(tmp_path, clock=lambda: now[0])
    one._closing.set()  # its thread has ended: it hangs in the disk
    one._thread.join()
    one._closing.clear()
    one._ended = False
    one.put(part(1))
    now[0] = writer.BEHIND_NS
    assert one.status().problem == ""
    now[0] += 1
    assert "1 rows of the journal wait, for 1.0 s" in one.status().problem


def test_what_found_no_room_has_a_row_that_says_so(tmp_path: Path) -> None:
    one = journal(tmp_path, room=64)
    one.put(part(0))
    wait_for(lambda: one.status().recorded == 1)
    started = now_ns()
    with locked(the_file(tmp_path)):
        for number in range(1, 101):
            one.put(part(number))
        one.put(event())
        one.put(fact(1, "counted", "", 1))
        assert (one.status().waiting, one.status().lost) == (64, 38)
    wait_for(lambda: one.status().waiting == 0)
    assert "38 rows of the journal were lost in the last minute" in one.status().problem
    one.close()
    assert numbers(tmp_path) == list(range(65))
    missing = query(tmp_path, "SELECT w.text, rows, from_ns, to_ns FROM missing JOIN word w ON w.id = kind ORDER BY 1")
    assert [row[:2] for row in missing] == [("event", 1), ("fact", 1), ("part", 36)]
    assert all(started <= row[2] <= row[3] <= now_ns() for row in missing)


def test_a_loss_is_a_problem_for_a_minute(tmp_path: Path) -> None:
    now = [10 * NS_PER_S]
    one = journal(tmp_path, room=64, clock=lambda: now[0])
    one._losses.add("part", now[0])
    now[0] += writer.LOST_NS
    assert "1 rows" in one.status().problem
    now[0] += 2 * NS_PER_S
    assert one.status().problem == ""
    one.close()


def test_losses_while_a_loss_is_being_recorded_are_recorded_next() -> None:
    losses = writer._Losses()
    losses.add("part", 1)
    losses.add("part", 2)
    said = losses.unrecorded()
    losses.add("part", 3, rows=4)
    losses.recorded(said)
    assert [(gap.rows, gap.from_ns, gap.to_ns) for gap in losses.unrecorded()] == [(4, 2, 3)]
    losses.recorded(losses.unrecorded())
    assert not losses.pending


def test_close_gives_up_on_a_disk_that_stays_stalled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = journal(tmp_path)
    one.put(part(0))
    wait_for(lambda: one.status().recorded == 1)
    with locked(the_file(tmp_path)):
        one.put(part(1))
        started = time.monotonic()
        one.close(0.3)
        assert time.monotonic() - started < 1.0
        one._thread.join(2)
        assert not one._thread.is_alive()
    assert "2 rows of the journal were not recorded" in caplog.text
    assert numbers(tmp_path) == [0]


# -- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"no database, but long enough to look like one. " * 200, b"SQLite format 3\0" * 300]
)
def test_a_damaged_file_is_moved_aside_and_a_new_one_begun(tmp_path: Path, content: bytes) -> None:
    damaged = DayFile(today(), 0)
    (tmp_path / damaged.name).write_bytes(content)
    one = journal(tmp_path)
    one.put(part(1))
    wait_for(lambda: one.status().recorded == 1)
    assert one.status().lost == 0
    one.close()
    assert (tmp_path / f"{damaged.name}.damaged").read_bytes() == content
    assert [file.name for file in files(tmp_path)] == [f"{damaged.day}.1.sqlite"]
    assert numbers(tmp_path) == [1]
    ((text,),) = query(tmp_path, "SELECT text FROM events WHERE kind = 'journal'")
    assert damaged.name in text
    assert "damaged" in text


def test_damage_in_the_midst_of_a_file_is_found_when_it_is_met(tmp_path: Path) -> None:
    one = journal(tmp_path)
    for number in range(3000):
        one.put(part(number))
    one.close(20)
    path = the_file(tmp_path)
    with path.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(os.urandom(path.stat().st_size - 2 * 4096))
    one = journal(tmp_path)
    one.put(part(3000))
    wait_for(lambda: one.status().recorded == 1)
    one.close()
    assert numbers(tmp_path) == [3000]
    assert (tmp_path / f"{path.name}.damaged").exists()


def test_a_sound_database_that_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / DayFile(today(), 0).name
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs(x)")
        connection.execute("PRAGMA user_version = 77")
    one = journal(tmp_path)
    one.put(part(1))
    wait_for(lambda: one.status().recorded == 1)
    one.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    assert path.with_suffix(".1.sqlite").exists()


def test_a_file_that_is_deleted_while_it_is_written_is_begun_anew(tmp_path: Path) -> None:
    one = journal(tmp_path)
    one.put(part(1))
    wait_for(lambda: one.status().recorded == 1)
    for path in tmp_path.iterdir():
        path.unlink()
    one.put(part(2))
    wait_for(lambda: one.status().recorded == 2)
    one.close()
    assert numbers(tmp_path) == [2]
    ((text,),) = query(tmp_path, "SELECT text FROM events WHERE kind = 'journal'")
    assert "deleted" in text


# -- rows that no file can hold, and rows that come too late ----------------------------------------------------------


def test_a_poisoned_row_is_counted_and_ends_nothing(tmp_path: Path) -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(100_000):
        inner["a"] = inner = {}
    poison: list[Row] = [
        part(1, wall=None),
        part(2, findings=None),
        part(3, findings=[FindingRecord("a", 0.5, (1, 2, 3, 4)), FindingRecord("pit", 0.5, (1, 2))]),  # type: ignore[arg-type]
        part(4, findings=[FindingRecord("a", 0.5, (1, 2, 3, 4)), FindingRecord("\ud800", 0.5, (1, 2, 3, 4))]),
        event(["no", "kind"]),  # type: ignore[arg-type]
        event(deep=deep),
    ]
    one = journal(tmp_path)
    for row in poison:
        one.put(row)
    one.put(part(7))
    wait_for(lambda: one.status().recorded == 1)
    assert one.status().lost == len(poison)
    one.close()
    assert numbers(tmp_path) == [7], "none of them is there by half"
    assert query(tmp_path, "SELECT count(*) FROM finding") == [(0,)]


def test_a_row_that_comes_after_the_end_is_counted(tmp_path: Path) -> None:
    """As one does whose thread saw the journal open, and put it only when the last look was over."""
    one = journal(tmp_path)
    one.close()
    one._closing.clear()
    one.put(part(1))
    assert (one.status().waiting, one.status().lost) == (0, 1)
