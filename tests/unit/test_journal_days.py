"""The journal's files, day by day, and what is deleted of them."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from edge.record.journal import keeper
from edge.record.journal.files import DayFile
from edge.record.journal.store import Store
from tests.support_journal import (
    DAY_NS,
    Wall,
    files,
    journal,
    numbers,
    part,
    query,
    rejected,
    the_file,
    today,
    wait_for,
)


def test_each_day_has_a_file_and_a_wall_clock_set_back_never_goes_to_an_older_one(tmp_path: Path) -> None:
    wall = Wall()
    one = journal(tmp_path, wall=wall)
    for number, days in enumerate([0, 1, 2, 0, -3, 1, 2, 3]):
        wall.offset_ns = days * DAY_NS
        one.put(part(number))
        wait_for(lambda number=number: one.status().recorded == number + 1)  # type: ignore[misc]
    one.close()
    now = today()
    assert [(file.day - now).days for file in files(tmp_path)] == [0, 1, 2, 3]
    assert numbers(tmp_path) == list(range(8))
    assert query(tmp_path, "SELECT count(*) FROM part") == [(1,), (1,), (5,), (1,)]


def test_a_day_that_has_ended_is_one_plain_file(tmp_path: Path) -> None:
    wall = Wall()
    one = journal(tmp_path, wall=wall)
    one.put(part(1))
    wait_for(lambda: one.status().recorded == 1)
    first = the_file(tmp_path)
    wall.offset_ns = DAY_NS
    one.put(part(2))
    wait_for(lambda: one.status().recorded == 2)
    assert not first.with_name(f"{first.name}-wal").exists()
    with closing(sqlite3.connect(first)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    one.close()


def test_retention_takes_old_days_and_leaves_the_one_in_use(tmp_path: Path) -> None:
    now = today()
    for age in (400, 401, 402):
        (tmp_path / DayFile(now - timedelta(days=age), 0).name).write_bytes(b"")
    (tmp_path / DayFile(now - timedelta(days=500), 0, damaged=True).name).write_bytes(b"")
    (tmp_path / "notes.txt").write_text("mine")
    one = journal(tmp_path, keep_days=400)
    one.put(part(1))
    wait_for(lambda: len(files(tmp_path)) == 2)
    wait_for(lambda: one.status().waiting == 0)
    one.close()
    assert [(now - file.day).days for file in files(tmp_path)] == [400, 0]
    assert sorted(path.name for path in tmp_path.iterdir() if "sqlite" not in path.name) == ["notes.txt"]
    wait_for(lambda: the_file(tmp_path).exists())
    with closing(sqlite3.connect(the_file(tmp_path))) as connection:
        deleted = connection.execute("SELECT text FROM events WHERE kind = 'deleted'").fetchall()
    assert len(deleted) == 3


def test_a_wall_clock_that_jumps_ahead_deletes_nothing(tmp_path: Path) -> None:
    wall = Wall()
    one = journal(tmp_path, wall=wall, keep_days=10)
    one.put(part(1))
    wait_for(lambda: one.status().recorded == 1)
    wall.offset_ns = 4000 * DAY_NS
    one.put(part(2))
    wait_for(lambda: one.status().recorded == 2)
    time.sleep(0.2)
    one.close()
    assert numbers(tmp_path) == [1, 2]


def test_a_day_that_outgrows_its_share_continues_in_another_file_and_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_SMALLEST", 1)
    keep_gb, most = 0.001, 8000
    one = journal(tmp_path, keep_gb=keep_gb)
    for start in range(0, most, 500):
        for number in range(start, start + 500):
            one.put(rejected(number, 1000 + number))
        wait_for(lambda: one.status().waiting == 0)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1.5 * keep_gb * 1e9
    one.close()
    names = files(tmp_path)
    assert len(names) >= 3
    assert names[0].number > 0, "the oldest went"
    kept = numbers(tmp_path)
    assert kept == list(range(kept[0], most)), "from the oldest kept to the last nothing is missing"
    assert query(tmp_path, "SELECT count(*) FROM run") == [(1,)] * len(names), "each file tells whose it is"


def test_a_full_disk_at_the_start_of_a_file_leaves_no_trail_of_empty_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, full = Store._prepare, [True]

    def refuse(store: Store) -> None:
        if full[0]:
            raise sqlite3.OperationalError("database or disk is full")
        prepare(store)

    monkeypatch.setattr(Store, "_prepare", refuse)
    one = journal(tmp_path)
    one.put(part(1))
    wait_for(lambda: "full" in one.status().problem)
    time.sleep(0.3)
    full[0] = False
    wait_for(lambda: one.status().recorded == 1)
    one.close()
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("fails", ["write", "__init__"])
def test_retention_makes_room_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """What has had its time is what fills the disk; also where not even the first file can be begun."""
    old = tmp_path / "2020-01-01.sqlite"
    old.write_bytes(b"x" * 4096)
    real = getattr(Store, fails)

    def full(*arguments: object) -> object:
        if old.exists():
            raise sqlite3.OperationalError("database or disk is full")
        return real(*arguments)

    monkeypatch.setattr(Store, fails, full)
    one = journal(tmp_path, keep_days=1)
    one.put(part(1))
    wait_for(lambda: one.status().recorded == 1)
    one.close()
    assert not old.exists()


def test_a_file_that_cannot_be_deleted_is_a_problem_and_keeps_no_other(tmp_path: Path) -> None:
    (tmp_path / "2019-01-01.sqlite").mkdir()
    old = tmp_path / "2020-01-01.sqlite"
    old.write_bytes(b"")
    one = journal(tmp_path, keep_days=1)
    one.put(part(1))
    wait_for(lambda: one.status().problem)
    assert "2019-01-01.sqlite" in one.status().problem
    assert not old.exists()
    one.close()


def test_a_day_whose_process_was_killed_becomes_one_plain_file_at_the_next_start(tmp_path: Path) -> None:
    wall = Wall()
    yesterday = DayFile(today() - timedelta(days=1), 0)
    wall.offset_ns = -DAY_NS
    one = journal(tmp_path / "killed", wall=wall)
    one.put(part(1))
    wait_for(lambda: one.status().recorded == 1)
    shutil.copytree(tmp_path / "killed", tmp_path / "left")  # as a kill leaves it: with its log
    one.close()
    assert (tmp_path / "left" / f"{yesterday.name}-wal").stat().st_size > 0
    one = journal(tmp_path / "left")
    one.put(part(2))
    wait_for(lambda: one.status().recorded == 1)
    assert not (tmp_path / "left" / f"{yesterday.name}-wal").exists()
    one.close()
    assert numbers(tmp_path / "left") == [1, 2]
