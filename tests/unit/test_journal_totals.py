"""Sums over parts, and the alarms of the past, as the journals hold them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from edge.clock import wall_ns
from edge.errors import JournalError
from edge.record.journal import totals as module
from edge.record.journal.alarms import Raised, raised
from edge.record.journal.reader import Folder, connect
from edge.record.journal.rows import Event
from edge.record.journal.totals import Totals, minutes, totals
from edge.wire.messages import PartRecord
from tests.support_journal import MS, journal, part, rejected, the_file, wait_for

HOUR_MS = 3600 * 1000


def lost(number: int, **values: Any) -> PartRecord:
    return part(number, outcome="NO_DECISION", cause="frame_missing", t4_ns=None, **values)


def wrote(folder: Path, *rows: Any, process: str = "station") -> Folder:
    one = journal(folder, process)
    for row in rows:
        one.put(row)
    one.close()
    return Folder(folder)


def now_ms() -> int:
    return wall_ns() // MS


def all_of(folder: Folder) -> Totals:
    return totals(folder, now_ms() - HOUR_MS, now_ms() + HOUR_MS)


# -- totals -----------------------------------------------------------------------------------------------------------


def test_parts_are_summed_by_outcome_cause_and_rule(tmp_path: Path) -> None:
    folder = wrote(
        tmp_path,
        *map(part, range(5)),
        rejected(5),
        part(6, outcome="REJECT", cause="rule", rule="pit"),
        lost(7),
        lost(8),
    )
    found = all_of(folder)
    assert found.outcomes == Counter(PASS=5, REJECT=2, NO_DECISION=2)
    assert found.causes == Counter(rule=2, frame_missing=2)
    assert found.rules == Counter({"long scratch": 1, "pit": 1})
    assert (found.parts, found.missing) == (9, 0)


def test_chunks_lose_and_double_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = wrote(tmp_path, *map(part, range(20)))
    for chunk in (1, 3, 7, 19, 20, 21):
        monkeypatch.setattr(module, "_CHUNK", chunk)
        assert all_of(folder).parts == 20, chunk


def test_times_are_from_and_before(tmp_path: Path) -> None:
    walls = [f"2026-11-22T05:59:0{n}.000+00:00" for n in range(4)]
    folder = wrote(tmp_path, *(part(n, wall=wall) for n, wall in enumerate(walls)))
    at = 1795327140000
    # The file is of the day on which it was written: what is asked for must lie about there.
    renamed = tmp_path / "2026-11-22.sqlite"
    the_file(tmp_path).rename(renamed)
    assert totals(folder, at + 1000, at + 3000).parts == 2
    assert totals(folder, at, at).parts == 0
    assert totals(folder, at + 3001, at + 10_000).parts == 0


def test_files_of_other_days_are_not_read(tmp_path: Path) -> None:
    folder = wrote(tmp_path, part(1))
    (tmp_path / "2020-01-01.sqlite").write_text("damaged " * 1000)
    assert all_of(folder).parts == 1
    (tmp_path / "2020-01-01.sqlite").rename(tmp_path / f"{the_file(tmp_path).stem}.1.sqlite")
    with pytest.raises(JournalError, match="cannot be read"):
        all_of(folder)


def test_a_file_that_is_damaged_inside_is_named(tmp_path: Path) -> None:
    folder = wrote(tmp_path, *map(part, range(2000)))
    with closing(sqlite3.connect(the_file(tmp_path))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'part'").fetchone()[0]
    with the_file(tmp_path).open("r+b") as file:
        file.seek((root - 1) * page_bytes)
        file.write(b"\xff" * page_bytes)
    for reading in (totals, minutes):
        with pytest.raises(JournalError, match="cannot be read"):
            reading(folder, now_ms() - HOUR_MS, now_ms() + HOUR_MS)


def test_chunks_of_other_times_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 10)
    at = now_ms() - now_ms() % 86_400_000
    hours = [datetime.fromtimestamp(at / 1000 + n * 360, timezone.utc).isoformat() for n in range(200)]  # of 6 min
    folder = wrote(tmp_path, *(part(n, wall=wall) for n, wall in enumerate(hours)))
    with closing(connect(the_file(tmp_path))) as connection:
        chunks = list(module._chunks(connection, at + 10 * HOUR_MS, at + 11 * HOUR_MS))
    assert chunks == [(low, low + 10) for low in range(90, 120, 10)], "an hour's step of the wall clock on either side"
    assert totals(folder, at + 10 * HOUR_MS, at + 11 * HOUR_MS).parts == 10
    assert sum(parts for parts, _ in minutes(folder, at + 10 * HOUR_MS, at + 11 * HOUR_MS).values()) == 10


def test_an_unreadable_old_file_does_not_hide_whose_journal_it_is(tmp_path: Path) -> None:
    folder = wrote(tmp_path, part(1))
    (tmp_path / "2020-01-01.sqlite").write_text("damaged " * 1000)
    assert folder.process() == "station"
    assert all_of(folder).parts == 1


def test_a_latency_is_the_least_that_the_share_does_not_exceed(tmp_path: Path) -> None:
    rows = [part(n, t0, t4_ns=t0 + ms * MS // 10) for n, ms in enumerate(range(1, 101)) for t0 in (1_000 * MS,)]
    found = all_of(wrote(tmp_path, *rows, lost(500)))
    assert found.latency_ms(0.99) == pytest.approx(10.0, abs=0.11)
    assert found.latency_ms(0.5) == pytest.approx(5.1, abs=0.11)
    assert Totals().latency_ms(0.99) is None


def test_what_the_journal_could_not_take_is_told(tmp_path: Path) -> None:
    folder = wrote(tmp_path, part(1))
    with closing(sqlite3.connect(the_file(tmp_path))) as connection:
        kind = connection.execute("INSERT INTO word(text) VALUES ('part')").lastrowid
        connection.execute("INSERT INTO missing VALUES (1, 1, ?, ?, 42, 0, 1)", (now_ms(), kind))
        connection.commit()
    assert (all_of(folder).parts, all_of(folder).missing) == (1, 42)


def test_minutes_are_counted_while_the_station_writes(tmp_path: Path) -> None:
    one = journal(tmp_path)
    for row in (part(1), part(2), rejected(3)):
        one.put(row)
    wait_for(lambda: one.status().recorded >= 3)
    found = minutes(Folder(tmp_path), now_ms() - HOUR_MS, now_ms() + 1000)
    one.close()
    assert sum(parts for parts, _ in found.values()) == 3
    assert sum(bad for _, bad in found.values()) == 1
    assert all(abs(minute - now_ms() // 60_000) <= 1 for minute in found)


# -- alarms -----------------------------------------------------------------------------------------------------------


class Diary:
    """Events a second apart."""

    def __init__(self, folder: Path, process: str) -> None:
        self.folder, self.process, self.n = folder, process, 0
        self.rows: list[Event] = []

    def note(self, kind: str, name: str = "", text: str = "") -> None:
        self.n += 1
        data = {"alarm": name} if name else {}
        self.rows.append(Event(kind, text, data, self.n * 1000 * MS))

    def write(self) -> Folder:
        return wrote(self.folder, *self.rows, process=self.process)


def told(alarms: list[Raised]) -> list[tuple[str, str, int | None]]:
    """Return (source, name, seconds until cleared), newest first."""
    return [
        (a.source, a.name, None if a.cleared_ms is None else round((a.cleared_ms - a.raised_ms) / 1000)) for a in alarms
    ]


def test_alarms_are_paired_with_their_end_newest_first(tmp_path: Path) -> None:
    diary = Diary(tmp_path, "station")
    diary.note("started")
    diary.note("alarm", "camera", "gone")
    diary.note("alarm", "journal", "full")
    diary.note("alarm_cleared", "camera")
    diary.note("alarm", "camera", "gone again")
    folder = diary.write()
    found = list(raised([folder]))
    assert told(found) == [
        ("station", "camera", None),
        ("station", "journal", None),
        ("station", "camera", 2),
    ]
    assert [a.text for a in found] == ["gone again", "full", "gone"]


def test_a_restart_ends_what_stood(tmp_path: Path) -> None:
    diary = Diary(tmp_path, "gateway")
    diary.note("alarm", "bin_full", "full")
    diary.note("state")
    diary.note("started")
    diary.note("alarm", "bin_full", "Since before the restart.")
    folder = diary.write()
    assert told(list(raised([folder]))) == [("gateway", "bin_full", None), ("gateway", "bin_full", 2)]


def test_both_journals_are_merged_by_time(tmp_path: Path) -> None:
    station, gateway = Diary(tmp_path / "s", "station"), Diary(tmp_path / "g", "gateway")
    for n in range(6):
        (station if n % 2 else gateway).note("alarm", f"alarm {n}")
        (gateway if n % 2 else station).note("state")
    folders = [station.write(), gateway.write()]
    times = [a.raised_ms for a in raised(folders)]
    assert times == sorted(times, reverse=True)
    assert len(times) == 6


def test_no_further_back_than_asked_for(tmp_path: Path) -> None:
    diary = Diary(tmp_path, "station")
    for n in range(4):
        diary.note("alarm", f"a{n}")
    folder = diary.write()
    since_ms = list(raised([folder]))[2].raised_ms
    (tmp_path / "2020-01-01.sqlite").write_text("damaged " * 1000)
    assert [a.name for a in raised([folder], since_ms)] == ["a3", "a2", "a1"]
    with pytest.raises(JournalError, match="2020-01-01"):
        list(raised([folder]))


def test_many_events_are_read_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    diary = Diary(tmp_path, "station")
    for n in range(50):
        diary.note("alarm", f"a{n}")
        diary.note("alarm_cleared", f"a{n}")
    folder = diary.write()
    monkeypatch.setattr("edge.record.journal.alarms._CHUNK", 7)
    found = list(raised([folder]))
    assert [a.name for a in found] == [f"a{n}" for n in reversed(range(50))]
    assert all(a.cleared_ms is not None for a in found)
