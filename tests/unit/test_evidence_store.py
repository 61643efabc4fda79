"""The evidence folder: names, index, quotas, and what a killed process leaves."""

from __future__ import annotations

import json
import sqlite3
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.outcome import Outcome
from edge.errors import EvidenceError
from edge.record.evidence import reader as readers
from edge.record.evidence import store as stores
from edge.record.evidence.quota import BLOCK, GOES_FIRST, Quota, may_go, on_disk
from edge.record.evidence.reader import Evidence
from edge.record.evidence.schema import INDEX
from edge.record.evidence.store import GO_AT_ONCE, Entry, Refused, Store, is_damage, move_aside
from edge.wire.messages import FindingRecord, PartRecord
from tests.support_evidence import BOX, LOST, PASS, REJECT, WALL, files_below, picture, put, quota, record

TAKES = 2 * BLOCK
"""A small picture and its sidecar, on the disk."""


def written(store: Store, told: PartRecord) -> bool:
    """Write a picture, and say whether that was done."""
    made = picture(seed=told.part)
    return store.put(Entry(told, "reject"), store.place(told, made.suffix), made.data, b"{}")


def parts(folder: Path) -> list[int]:
    return [found.part for found in Evidence(folder).search()]


def test_a_picture_lies_by_day_and_hour_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    assert put(store, record(17)) == "2026-11-22/05/7-17.png"
    assert put(store, record(18, minutes=1)) == "2026-11-22/06/7-18.png"
    store.close()
    found = Evidence(tmp_path).find(7, 17)
    assert found is not None
    assert (found.cls, found.score, found.outcome, found.rule) == ("scratch", 0.9, "REJECT", "any defect")
    assert found.wall_ms == WALL.timestamp() * 1000
    assert found.bytes == TAKES
    told = Evidence(tmp_path).sidecar(found)
    assert (told["part"], told["reason"], told["findings"][0]["cls"]) == (17, "reject", "scratch")
    assert told["picture"]["file"] == found.file
    assert (told["picture"]["width"], told["picture"]["height"], told["picture"]["color"]) == (32, 24, "mono8")


def test_numbers_that_come_again_get_files_of_their_own(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    files = [put(store, record(1, session=0)) for _ in range(3)]
    assert files == [f"2026-11-22/05/0-1{n}.png" for n in ("", "-2", "-3")]
    found = Evidence(tmp_path).find(0, 1)
    assert found is not None
    assert found.file == files[2], "the newest"
    store.close()


def test_a_row_whose_file_is_gone_keeps_its_name(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    first = put(store, record(1, session=0))
    for path in ((tmp_path / first), (tmp_path / first).with_suffix(".json")):
        path.unlink()
    assert put(store, record(1, session=0)) == "2026-11-22/05/0-1-2.png"
    assert len(parts(tmp_path)) == 2
    store.close()


def test_a_close_pass_is_filed_under_what_it_was_close_to(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    put(store, record(1, PASS), "near", (FindingRecord("pit", 0.45, BOX),))
    put(store, record(2, PASS), "sample")
    store.close()
    assert [(p.cls, p.score) for p in Evidence(tmp_path).search()] == [("", None), ("pit", 0.45)]


# -- quotas -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", GOES_FIRST)
def test_a_picture_never_costs_one_that_ranks_higher(outcome: str) -> None:
    rank = GOES_FIRST.index(outcome)
    assert may_go(outcome, for_others=False) == GOES_FIRST[: rank + 1]
    assert Outcome.REJECT.value not in may_go(outcome, for_others=True)


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40), st.integers(1, 1 << 40), st.integers(0, 1 << 40))
def test_bounds_are_met_exactly(held: int, coming: int, keep: int, free: int) -> None:
    bounds = Quota(keep, keep, 1)
    assert (bounds.excess(held, coming) > 0) == (held + coming > keep)
    assert (bounds.shortage(free, coming) > 0) == (free - coming < keep)


@given(st.integers(0, 1 << 30))
def test_a_file_takes_whole_blocks(size: int) -> None:
    assert 0 <= on_disk(size) - size < BLOCK
    assert on_disk(size) % BLOCK == 0


def test_by_size_passes_go_first_then_what_is_undecided_and_rejects_last_each_from_the_oldest(tmp_path: Path) -> None:
    store = Store(tmp_path, quota(keep_bytes=6 * TAKES))
    first = [record(1), record(2, LOST, 1), record(3, PASS, 2), record(4), record(5, LOST, 3), record(6, PASS, 4)]
    for told in first:
        put(store, told)
    left = []
    for number in range(11, 16):
        put(store, record(number, minutes=10))
        left.append(sorted(parts(tmp_path)))
    assert left == [
        [1, 2, 4, 5, 6, 11],
        [1, 2, 4, 5, 11, 12],
        [1, 4, 5, 11, 12, 13],
        [1, 4, 11, 12, 13, 14],
        [4, 11, 12, 13, 14, 15],
    ]
    assert store.held == 6 * TAKES
    assert len(files_below(tmp_path)) == 12, "a sidecar for each, and nothing of those that went"
    for told in (record(20, PASS), record(21, LOST)):
        with pytest.raises(Refused, match="quota"):
            put(store, told)
    assert len(files_below(tmp_path)) == 12
    store.close()


def test_below_the_floor_nothing_is_written_and_passes_go_but_no_reject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, quota(free_bytes=10 * TAKES))
    for told in (record(1), record(2, LOST), record(3, PASS)):
        put(store, told)
    room = 13  # pictures' worth, the disk's whole
    monkeypatch.setattr(store, "free", lambda: room * TAKES - store.held)
    put(store, record(4))
    assert sorted(parts(tmp_path)) == [1, 2, 4], "at the floor exactly, with the pass gone"
    put(store, record(5))
    assert sorted(parts(tmp_path)) == [1, 4, 5]
    with pytest.raises(Refused, match="disk_low"):
        put(store, record(6))
    assert sorted(parts(tmp_path)) == [1, 4, 5]
    store.close()


def test_a_reject_waits_while_passes_go_for_it_and_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, quota(free_bytes=10 * TAKES))
    for number in range(4 * GO_AT_ONCE):
        put(store, record(number, PASS))
    left = 4 * GO_AT_ONCE - 250  # others took the room of so many pictures
    monkeypatch.setattr(store, "free", lambda: (10 + left) * TAKES - store.held)
    assert [written(store, record(1000)) for _ in range(3)] == [False, False, True]
    assert store.held == left * TAKES
    assert 1000 in parts(tmp_path)
    store.close()


def test_room_on_the_disk_is_made_before_the_next_picture_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, quota(free_bytes=10 * TAKES))
    for number in range(GO_AT_ONCE + 20):
        put(store, record(number, REJECT if number < 10 else PASS))
    monkeypatch.setattr(store, "free", lambda: 0)
    assert store.tidy(0), "more may go"
    assert len(parts(tmp_path)) == 20
    assert not store.tidy(0), "nothing more may go"
    assert sorted(parts(tmp_path)) == list(range(10)), "no reject goes for others"
    store.close()


def test_what_a_clock_wrote_that_nobody_had_set_is_not_old(tmp_path: Path) -> None:
    store = Store(tmp_path, quota(keep_days=90))
    put(store, record(1, wall="1970-01-01T00:02:00.000+00:00"))
    put(store, record(2))
    assert not store.tidy(int((WALL + timedelta(days=91)).timestamp() * 1000))
    assert parts(tmp_path) == [1]
    store.close()


def test_what_has_had_its_time_goes_whatever_it_is(tmp_path: Path) -> None:
    store = Store(tmp_path, quota(keep_days=90))
    put(store, record(1))
    put(store, record(2, minutes=0.1))
    bound_ms = int((WALL + timedelta(days=90)).timestamp() * 1000)
    assert not store.tidy(bound_ms)
    assert sorted(parts(tmp_path)) == [1, 2], "exactly as old as it may be"
    assert not store.tidy(bound_ms + 1)
    assert parts(tmp_path) == [2]
    assert not store.tidy(bound_ms + 10_000)
    assert files_below(tmp_path) == set()
    assert not list(tmp_path.glob("2026*")), "empty folders go too"
    assert store.held == 0
    store.close()


def test_the_id_of_a_picture_that_went_is_never_given_again(tmp_path: Path) -> None:
    store = Store(tmp_path, quota(keep_days=1))
    put(store, record(1))
    first = Evidence(tmp_path).search()[0].id
    store.tidy(1 << 60)
    put(store, record(2))
    assert Evidence(tmp_path).search()[0].id > first
    store.close()


def test_old_pictures_go_a_few_at_a_time(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    for number in range(GO_AT_ONCE + 1):
        put(store, record(number))
    assert store.tidy(1 << 60)
    assert len(parts(tmp_path)) == 1
    assert not store.tidy(1 << 60)
    store.close()


def test_a_smaller_quota_is_met_a_few_at_a_time(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    for number in range(GO_AT_ONCE + 20):
        put(store, record(number, REJECT if number % 2 else PASS))
    store.close()
    smaller = Store(tmp_path, quota(keep_bytes=5 * TAKES))
    assert not written(smaller, record(999)), "asked again"
    assert len(parts(tmp_path)) == 20
    assert not smaller.tidy(0)
    assert sorted(parts(tmp_path)) == [111, 113, 115, 117, 119], "the newest rejects"
    assert smaller.held == 5 * TAKES
    smaller.close()


# -- after an end that was none ---------------------------------------------------------------------------------------


def test_the_space_is_counted_anew_at_the_start(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    put(store, record(1))
    put(store, record(2))
    store.close()
    again = Store(tmp_path, quota())
    assert again.held == 2 * TAKES
    again.close()


def test_a_picture_without_its_row_gets_one_and_what_is_half_there_goes(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    kept, torn, alone = (put(store, record(n)) for n in (1, 2, 3))
    store.close()
    with sqlite3.connect(tmp_path / INDEX) as index:
        index.execute("DELETE FROM pictures WHERE part < 4")
    index.close()
    (tmp_path / torn).write_bytes((tmp_path / torn).read_bytes()[:-1])
    (tmp_path / alone).unlink()
    (tmp_path / "2026-11-22/05/9-9.jpg").write_bytes(b"half")
    (tmp_path / "2026-11-22/05/notes.txt").write_bytes(b"somebody's")
    again = Store(tmp_path, quota())
    assert parts(tmp_path) == [1]
    assert again.held == TAKES
    assert files_below(tmp_path) == {kept, kept.replace(".png", ".json"), "2026-11-22/05/notes.txt"}
    again.close()


@pytest.mark.parametrize("damage", ["another version", "no JSON", "no right to read"])
def test_a_picture_whose_sidecar_means_nothing_stays_where_it_lies(
    tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path, quota())
    strange, other = put(store, record(1)), put(store, record(2))
    store.close()
    (tmp_path / INDEX).unlink()
    beside = (tmp_path / strange).with_suffix(".json")
    if damage == "another version":
        told = json.loads(beside.read_text())
        del told["t0_ns"]
        beside.write_text(json.dumps(told))
    elif damage == "no JSON":
        beside.write_text("{")
    else:
        real = Path.read_bytes

        def read(path: Path) -> bytes:
            if path == beside:
                raise PermissionError(13, "Permission denied")
            return real(path)

        monkeypatch.setattr(Path, "read_bytes", read)
    again = Store(tmp_path, quota())
    assert parts(tmp_path) == [2]
    assert {strange, strange.replace(".png", ".json"), other} <= files_below(tmp_path)
    assert "gets no row" in caplog.text
    again.close()


def test_a_sidecar_that_a_power_cut_emptied_is_half_there(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    file = put(store, record(1))
    store.close()
    (tmp_path / INDEX).unlink()
    (tmp_path / file).with_suffix(".json").write_bytes(b"")
    again = Store(tmp_path, quota())
    assert (parts(tmp_path), files_below(tmp_path)) == ([], set())
    again.close()


def test_an_index_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    assert store.is_in_place()
    (tmp_path / "copy").write_bytes((tmp_path / INDEX).read_bytes())
    (tmp_path / "copy").replace(tmp_path / INDEX)
    assert not store.is_in_place()
    (tmp_path / INDEX).unlink()
    assert not store.is_in_place()
    store.close()


def test_a_lost_index_is_made_anew_from_the_sidecars(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    for number in range(5):
        put(store, record(number, minutes=60 * number))
    before = Evidence(tmp_path).search()
    store.close()
    (tmp_path / INDEX).unlink()
    again = Store(tmp_path, quota())
    after = Evidence(tmp_path).search()
    assert [(p.part, p.file, p.wall_ms, p.cls, p.score, p.bytes) for p in after] == [
        (p.part, p.file, p.wall_ms, p.cls, p.score, p.bytes) for p in before
    ]
    again.close()


def test_the_log_of_an_index_that_was_lost_is_not_taken_for_the_new_ones(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    file = put(store, record(1))
    log = (tmp_path / f"{INDEX}-wal").read_bytes()
    assert log, "its row is in there"
    store.close()
    for path in (tmp_path / INDEX, tmp_path / file, (tmp_path / file).with_suffix(".json")):
        path.unlink()
    (tmp_path / f"{INDEX}-wal").write_bytes(log)
    again = Store(tmp_path, quota())
    assert parts(tmp_path) == []
    put(again, record(2))
    assert parts(tmp_path) == [2]
    again.close()


def test_a_damaged_index_is_moved_aside(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    put(store, record(1))
    store.close()
    (tmp_path / INDEX).write_bytes(b"no index" * 1000)
    with pytest.raises(sqlite3.DatabaseError) as error:
        Store(tmp_path, quota())
    assert is_damage(error.value)
    assert move_aside(tmp_path).exists()
    again = Store(tmp_path, quota())
    assert parts(tmp_path) == [1]
    again.close()


def test_what_the_disk_refuses_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path, quota())

    def full(path: str, data: bytes) -> None:
        Path(path).write_bytes(data[: len(data) // 2])
        if path.endswith(".png"):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(stores, "_write", full)
    with pytest.raises(OSError, match="No space"):
        put(store, record(1))
    assert files_below(tmp_path) == set()
    assert (parts(tmp_path), store.held) == ([], 0)
    store.close()


def test_no_name_of_a_picture_is_interned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``Store._at`` says why."""
    store = Store(tmp_path, quota())
    interned: list[str] = []
    monkeypatch.setattr(sys, "intern", interned.append)
    put(store, record(4711))
    store._delete(1, store._connection.execute("SELECT file FROM pictures").fetchone()[0], store.held)
    monkeypatch.undo()
    assert parts(tmp_path) == []
    assert not [name for name in interned if "4711" in name]
    store.close()


# -- the reader -------------------------------------------------------------------------------------------------------


def test_the_reader_filters_and_pages(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    for number in range(10):
        put(store, record(number, LOST if number % 2 else REJECT, minutes=number // 3), "reject")
    reader = Evidence(tmp_path)
    everything = [p.part for p in reader.search()]
    assert everything == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    paged: list[int] = []
    before = None
    while page := reader.search(before_id=before, limit=3):
        paged += [p.part for p in page]
        before = page[-1].id
    assert paged == everything
    assert [p.part for p in reader.search(outcome="NO_DECISION")] == [9, 7, 5, 3, 1]
    assert [p.part for p in reader.search(cls="scratch")] == [8, 6, 4, 2, 0]
    assert reader.search(reason="near") == []
    minute = int(WALL.timestamp() * 1000) + 60_000
    assert [p.part for p in reader.search(since_ms=minute, until_ms=minute + 60_000)] == [5, 4, 3]
    assert reader.classes() == ["scratch"]
    first = reader.find(7, 0)
    assert first is not None
    assert reader.get(first.id) == first
    assert reader.find(7, 99) is None
    assert reader.get(99) is None
    store.close()


def test_a_page_goes_on_behind_a_picture_that_has_had_its_time(tmp_path: Path) -> None:
    store = Store(tmp_path, quota(keep_bytes=4 * TAKES))
    for number in range(4):
        put(store, record(number, PASS))
    reader = Evidence(tmp_path)
    oldest = reader.search()[-1]
    put(store, record(9))
    assert reader.get(oldest.id) is None
    assert reader.search(before_id=oldest.id) == []
    store.close()


def test_the_reader_follows_an_index_that_was_made_anew(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    put(store, record(1))
    reader = Evidence(tmp_path)
    assert len(reader.search()) == 1
    store.close()
    move_aside(tmp_path)
    again = Store(tmp_path, quota())
    put(again, record(2))
    assert [p.part for p in reader.search()] == [2, 1]
    reader.close()
    assert len(reader.search()) == 2, "closed, it opens again"
    reader.close()
    again.close()


def test_a_reader_without_the_right_to_write_sees_what_a_station_adds_after_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, quota())
    put(store, record(1))
    store.close()
    monkeypatch.setattr(readers.os, "access", lambda *_: False)
    reader = Evidence(tmp_path)
    assert [p.part for p in reader.search()] == [1]
    again = Store(tmp_path, quota())
    put(again, record(2))
    assert [p.part for p in reader.search()] == [2, 1]
    again.close()
    assert len(reader.search()) == 2
    reader.close()


def test_what_is_no_evidence_is_told(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="holds no evidence"):
        Evidence(tmp_path)
    (tmp_path / INDEX).write_bytes(b"no index" * 1000)
    with pytest.raises(EvidenceError, match="cannot be read"):
        Evidence(tmp_path)
    (tmp_path / INDEX).unlink()
    with sqlite3.connect(tmp_path / INDEX) as foreign:
        foreign.execute("PRAGMA user_version=9")
    foreign.close()
    with pytest.raises(EvidenceError, match="format 9"):
        Evidence(tmp_path)


def test_a_sidecar_that_is_gone_or_damaged_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path, quota())
    file = put(store, record(1))
    reader = Evidence(tmp_path)
    found = reader.find(7, 1)
    assert found is not None
    beside = (tmp_path / file).with_suffix(".json")
    assert json.loads(beside.read_text())["part"] == 1
    beside.write_text("{")
    with pytest.raises(EvidenceError, match="damaged"):
        reader.sidecar(found)
    beside.unlink()
    with pytest.raises(EvidenceError, match="No such file"):
        reader.sidecar(found)
    store.close()
