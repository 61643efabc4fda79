"""The files of a journal: names, order, and what retention takes."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.record.journal import files
from edge.record.journal.files import DayFile, after, doomed, first_for
from tests.support_hypothesis import usual

TODAY = date(2026, 11, 22)

days = st.dates(TODAY - timedelta(days=900), TODAY + timedelta(days=30))
day_files = st.builds(DayFile, days, st.integers(0, 12), st.booleans())


@given(day_files)
def test_a_name_reads_back(file: DayFile) -> None:
    assert DayFile.parse(file.name) == file


@pytest.mark.parametrize(
    "name",
    ["2026-13-01.sqlite", "2026-11-22.sqlite-wal", "2026-11-22.0.sqlite", "2026-11-22.01.sqlite", "x.sqlite", "notes"],
)
def test_what_is_no_file_of_the_journal_is_left_alone(name: str) -> None:
    assert DayFile.parse(name) is None


def test_files_are_ordered_as_they_were_written() -> None:
    names = ["2026-11-21.sqlite", "2026-11-22.sqlite", "2026-11-22.2.sqlite", "2026-11-22.10.sqlite"]
    parsed = [DayFile.parse(name) for name in reversed(names)]
    assert [file.name for file in sorted(file for file in parsed if file is not None)] == names


@given(st.sets(day_files, max_size=30), days)
def test_a_start_goes_on_in_the_last_sound_file_of_its_day_or_in_a_new_one(present: set[DayFile], day: date) -> None:
    chosen = first_for(day, present)
    of_day = [file for file in present if file.day == day]
    assert chosen.day == day
    assert not chosen.damaged
    assert chosen in present or DayFile(day, chosen.number, True) not in present
    assert all(file.number <= chosen.number for file in of_day)


@given(st.sets(day_files, max_size=30), day_files, days)
def test_the_next_file_is_new_and_never_older_than_the_one_before(
    present: set[DayFile], before: DayFile, day: date
) -> None:
    following = after(before, day, present)
    assert following not in present
    assert following.day == max(before.day, day)
    assert all(file < following for file in {*present, before} if file.day == following.day)


@given(
    st.dictionaries(day_files, st.integers(0, 50), max_size=40),
    st.data(),
    st.integers(1, 600),
    st.integers(0, 800),
)
@usual(300)
def test_retention_keeps_both_bounds_takes_the_oldest_and_spares_the_file_in_use(
    sizes: dict[DayFile, int], data: st.DataObject, keep_days: int, keep_bytes: int
) -> None:
    in_use = data.draw(st.sampled_from(sorted(sizes))) if sizes else DayFile(TODAY, 0)
    going = doomed(sizes, in_use, TODAY, keep_days, keep_bytes)
    kept = {file: size for file, size in sizes.items() if file not in going}
    assert in_use not in going
    assert going == sorted(going)
    old = TODAY - timedelta(days=keep_days)
    assert all(file == in_use or file.day >= old for file in kept), "something is older than keep_days"
    assert sum(kept.values()) <= keep_bytes or set(kept) <= {in_use}, "the folder is larger than keep_gb"
    for file in going:  # none goes without need
        others = [size for other, size in sizes.items() if other >= file or other == in_use or other in kept]
        assert file.day < old or sum(others) > keep_bytes


@pytest.mark.parametrize(("age", "goes"), [(399, False), (400, False), (401, True)])
def test_the_last_day_that_is_kept(age: int, goes: bool) -> None:
    file, in_use = DayFile(TODAY - timedelta(days=age), 0), DayFile(TODAY, 0)
    assert (file in doomed({file: 1, in_use: 1}, in_use, TODAY, 400, 100)) is goes


@pytest.mark.parametrize(("keep_bytes", "goes"), [(30, 0), (29, 1), (20, 1), (19, 2), (0, 2)])
def test_the_last_byte_that_is_kept(keep_bytes: int, goes: int) -> None:
    a, b, in_use = (DayFile(TODAY, number) for number in range(3))
    assert doomed({a: 10, b: 10, in_use: 10}, in_use, TODAY, 400, keep_bytes) == [a, b][:goes]


def test_size_and_removal_take_what_sqlite_lays_beside(tmp_path: Path) -> None:
    file = DayFile(TODAY, 0)
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / (file.name + suffix)).write_bytes(bytes(100))
    assert files.size(tmp_path, file) == 300
    files.remove(tmp_path, file)
    assert list(tmp_path.iterdir()) == []
    assert files.size(tmp_path, file) == 0


def test_days_are_utc() -> None:
    midnight = 1_795_392_000 * 1_000_000_000
    assert files.day_of(midnight - 1) == date(2026, 11, 22)
    assert files.day_of(midnight) == date(2026, 11, 23)
