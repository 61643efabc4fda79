"""Marks and acknowledgements: nothing is lost, the newest counts."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import AnnotationError
from edge.record.annotations import VERDICTS, Acknowledgement, Annotations, Mark

MARK = Mark("s-1", 7, 17, "wrong", "anna", 1000, "only dust", 900)
SEEN = Acknowledgement("gateway", "bin_full", 500, "anna", 1000, "emptied")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Annotations]:
    with closing(Annotations(tmp_path / "annotations.sqlite")) as annotations:
        yield annotations


def test_a_mark_that_replaces_another_stands_beside_it(kept: Annotations) -> None:
    second = replace(MARK, verdict="right", who="ben", wall_ms=2000, note="")
    for mark in (MARK, second, replace(MARK, part=18)):
        kept.mark(mark)
    assert kept.marks(7, 17) == [second, MARK]
    assert kept.marks(7, 19) == []
    wanted = [(7, 17, 900), (7, 18, 900), (7, 19, 900)]
    assert kept.current(wanted) == {wanted[0]: second, wanted[1]: replace(MARK, part=18)}


def test_parts_without_a_session_are_told_apart_by_their_times(kept: Annotations) -> None:
    first, again = replace(MARK, session=0), replace(MARK, session=0, verdict="right", part_ms=901)
    kept.mark(first)
    kept.mark(again)
    assert kept.current([first.key, again.key, (0, 17, 902)]) == {first.key: first, again.key: again}
    assert kept.all_marks() == [first, again]
    assert kept.marks(0, 17) == [again, first]
    assert kept.marks(0, 17, 900) == [first]


def test_a_mark_that_was_taken_back_does_not_count(kept: Annotations) -> None:
    back = replace(MARK, verdict="none", wall_ms=2000)
    kept.mark(MARK)
    kept.mark(back)
    assert kept.marks(7, 17) == [back, MARK]
    assert kept.current([MARK.key]) == {}
    assert kept.all_marks() == []


def test_all_marks_are_those_that_count_since_a_time(kept: Annotations) -> None:
    marks = [replace(MARK, part=n, wall_ms=n * 100) for n in range(5)]
    again = replace(marks[0], verdict="right", wall_ms=900)
    for mark in (*marks, again, replace(marks[1], station="s-2")):
        kept.mark(mark)
    assert kept.all_marks() == [*marks[1:], again, replace(marks[1], station="s-2")]
    assert kept.all_marks(since_ms=300) == [marks[3], marks[4], again]


def test_acknowledgements_are_kept_in_order(kept: Annotations) -> None:
    later = replace(SEEN, who="ben", raised_ms=600)
    kept.acknowledge(SEEN)
    kept.acknowledge(later)
    assert kept.acknowledged() == [SEEN, later]
    assert kept.acknowledged(since_ms=501) == [later]


def test_they_outlive_the_process_and_are_read_by_others(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with closing(Annotations(path)) as kept:
        kept.mark(MARK)
        with closing(Annotations(path, read_only=True)) as reader:
            assert reader.all_marks() == [MARK]
            with pytest.raises(AnnotationError, match="cannot be written"):
                reader.mark(MARK)
    with closing(Annotations(path)) as kept:
        assert kept.all_marks() == [MARK]


def test_what_is_there_cannot_be_changed_by_this_code(kept: Annotations) -> None:
    """The history is for an auditor: the database itself refuses to change or delete a row."""
    kept.mark(MARK)
    kept.acknowledge(SEEN)
    with closing(sqlite3.connect(kept.path)) as connection:
        for sql in ("UPDATE mark SET who = 'ben'", "DELETE FROM mark", "DELETE FROM acknowledgement"):
            with pytest.raises(sqlite3.IntegrityError, match="history"):
                connection.execute(sql)


def test_several_threads_lose_nothing(kept: Annotations) -> None:
    def mark(who: int) -> None:
        for part in range(20):
            kept.mark(replace(MARK, part=part, who=str(who)))

    threads = [threading.Thread(target=mark, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(kept.marks(7, part)) == 4 for part in range(20))


@settings(max_examples=20, deadline=None)  # every mark is on the disk before the next
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from(VERDICTS)), max_size=10))
def test_the_newest_mark_of_each_part_counts(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[int, int, str]]
) -> None:
    path = tmp_path_factory.mktemp("a") / "a.sqlite"
    newest = {}
    with closing(Annotations(path)) as kept:
        for n, (session, part, verdict) in enumerate(told):
            mark = replace(MARK, session=session, part=part, verdict=verdict, wall_ms=n)
            newest[mark.key] = mark
            kept.mark(mark)
        counting = {key: mark for key, mark in newest.items() if mark.verdict != "none"}
        assert kept.current(newest) == counting
        assert kept.all_marks() == sorted(counting.values(), key=lambda mark: mark.wall_ms)


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"none/a\.sqlite cannot be used"):
        Annotations(tmp_path / "none" / "a.sqlite")
    with pytest.raises(AnnotationError, match="cannot be used"):
        Annotations(tmp_path / "absent.sqlite", read_only=True)
    text = tmp_path / "text.sqlite"
    text.write_text("no database " * 100)
    with pytest.raises(AnnotationError, match="cannot be used"):
        Annotations(text)


def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "foreign.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t(x)")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(AnnotationError, match="has format 0"):
        Annotations(path)
    assert path.read_bytes() == before
