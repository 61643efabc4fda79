"""Reading a journal: all files as one, while it is written; and what `edge journal` makes of it."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.clock import now_ns
from edge.commands import journal as commands
from edge.errors import ConfigError, JournalError
from edge.record.journal import reader
from edge.record.journal.files import DayFile
from edge.record.journal.lines import lines
from edge.record.journal.reader import Folder
from edge.record.journal.records import Filter
from tests.support_journal import (
    DAY_NS,
    MS,
    PLC,
    STATION,
    Wall,
    counts,
    event,
    fact,
    journal,
    life,
    part,
    rejected,
    the_file,
    today,
    wait_for,
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A station's journal and its gateway's: 40 parts, every tenth rejected, over two days."""
    root = tmp_path_factory.mktemp("journals")
    wall = Wall()
    station, gateway = journal(root / "station", wall=wall), journal(root / "gateway", "gateway", wall=wall)
    station.put(event("started", "Station station-1 starts."))
    start = now_ns()
    for day in range(2):
        wall.offset_ns = (day - 1) * DAY_NS
        stamp = (datetime.now(timezone.utc) + timedelta(days=day - 1)).isoformat(timespec="milliseconds")
        for number in range(20 * day, 20 * day + 20):
            make = rejected if number % 10 == 0 else part
            t0 = start + number * 100 * MS
            station.put(make(number, t0, wall=stamp, recipe="coarse" if day else "fine"))
            for row in life(number, t0, "REJECT" if number % 10 == 0 else "PASS"):
                gateway.put(row)
        station.put(counts(triggers=20 * day + 20))
        wait_for(lambda: station.status().waiting == gateway.status().waiting == 0)
    station.close()
    gateway.close()
    return root / "station", root / "gateway"


def test_the_files_of_a_folder_read_as_one_in_order(folders: tuple[Path, Path]) -> None:
    station, gateway = map(Folder, folders)
    assert len(station.files()) == 2
    parts = list(station.parts())
    assert [row.number for row in parts] == list(range(40))
    assert [row.outcome for row in parts].count("REJECT") == 4
    assert [(f.cls, f.score, f.box[0]) for f in parts[10].findings] == [("scratch", 0.8731, 12.3), ("pit", 0.5, 1.0)]
    assert parts[11].findings == []
    assert [row.number for row in gateway.gates()] == list(range(40))
    assert [row.data["triggers"] for row in station.counts()] == [20, 40]
    assert [row.kind for row in station.events()] == ["started", "stopped"]
    assert (station.process(), gateway.process()) == ("station", "gateway")
    assert len(list(station.runs())) == 1, "a run that wrote into two files is one run"


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Filter(outcome="REJECT"), [0, 10, 20, 30]),
        (Filter(cause="clean", number=11), [11]),
        (Filter(number=10), [10]),
        (Filter(number=99), []),
        (Filter(session=STATION, recipe="coarse"), list(range(20, 40))),
        (Filter(session=0), []),
        (Filter(recipe="nobody's"), []),
    ],
)
def test_filters(folders: tuple[Path, Path], wanted: Filter, numbers: list[int]) -> None:
    assert [row.number for row in Folder(folders[0]).parts(wanted)] == numbers


def test_times_are_filtered_to_the_millisecond(folders: tuple[Path, Path]) -> None:
    first = next(iter(Folder(folders[0]).parts(Filter(number=20)))).wall_ms
    station = Folder(folders[0])
    assert [row.number for row in station.parts(Filter(since_ms=first))] == list(range(20, 40))
    assert [row.number for row in station.parts(Filter(until_ms=first))] == list(range(20))
    assert list(station.parts(Filter(since_ms=first + 1))) == []


def test_chunks_lose_nothing_and_each_is_a_transaction_of_its_own(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_CHUNK", 7)
    assert [row.number for row in Folder(folders[0]).parts()] == list(range(40))
    assert [row.number for row in Folder(folders[1]).gates()] == list(range(40))


def test_a_reader_that_pauses_does_not_keep_the_writer_from_folding_its_log(tmp_path: Path) -> None:
    one = journal(tmp_path)
    for number in range(50):
        one.put(part(number))
    wait_for(lambda: one.status().waiting == 0)
    rows: Iterator[object] = Folder(tmp_path).parts()
    next(rows)  # and now it pauses
    with closing(sqlite3.connect(the_file(tmp_path))) as connection:
        busy, log, folded = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    assert (busy, log) == (0, folded)
    assert len(list(rows)) == 49
    one.close()


def test_what_is_written_while_it_is_read_is_read_too(tmp_path: Path) -> None:
    one = journal(tmp_path)
    one.put(part(1))
    wait_for(lambda: one.status().recorded == 1)
    assert [row.number for row in Folder(tmp_path).parts()] == [1]
    one.put(part(2))
    wait_for(lambda: one.status().recorded == 2)
    assert [row.number for row in Folder(tmp_path).parts()] == [1, 2]
    one.close()


def test_a_file_that_retention_deletes_meanwhile_is_passed_over(folders: tuple[Path, Path], tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", str(folders[0]), str(tmp_path / "copy")], check=True)
    folder = Folder(tmp_path / "copy")
    present = folder.files()

    class Stale(Folder):
        def files(self) -> list[DayFile]:
            return present

    stale = Stale(tmp_path / "copy")
    (tmp_path / "copy" / present[0].name).unlink()
    assert [row.number for row in stale.parts()] == list(range(20, 40))


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(JournalError, match="holds no journal"):
            Folder(path)


# -- one line a part --------------------------------------------------------------------------------------------------


def test_station_and_gateway_together_give_t0_to_t6(folders: tuple[Path, Path]) -> None:
    told = list(lines([Folder(path) for path in folders], Filter()))
    assert len(told) == 40
    line = told[11]
    assert line.t0_ns is not None
    instants = [line.t1_ns, line.t2_ns, line.t3_ns, line.t4_ns, line.t5_ns, line.t6_ns]
    assert [None if at is None else (at - line.t0_ns) // MS for at in instants] == [7, 21, 22, 23, 34, 600]
    assert (line.latency_ms, line.plc, line.session) == (23.0, PLC, STATION)
    assert (line.permit, line.end, line.gate, line.sensor) == ("written", "executed", "good", "confirmed")
    assert (told[10].permit, told[10].end, told[10].gate) == ("", "reject", "rejected")


def test_a_gateway_alone_tells_what_it_knows_and_refuses_what_it_does_not(folders: tuple[Path, Path]) -> None:
    gateway = Folder(folders[1])
    told = list(lines([gateway], Filter()))
    assert [(line.number, line.gate) for line in told[10:12]] == [(10, "rejected"), (11, "good")]
    assert list(lines([gateway], Filter(session=STATION + 1))) == []
    with pytest.raises(JournalError, match="outcomes"):
        list(lines([gateway], Filter(outcome="PASS")))


def test_a_part_under_several_sessions_and_one_counted_again(tmp_path: Path) -> None:
    one = journal(tmp_path, "gateway")
    one.put(fact(5, "counted", "", 100 * MS, station=0))
    one.put(fact(5, "answered", "FENCED", 200 * MS))
    one.put(fact(5, "ended", "fenced", 200 * MS))
    one.put(fact(5, "counted", "", 900 * MS, count=77))
    one.put(fact(9, "unread", "session_lost", 950 * MS, count=3))
    one.close()
    told = list(lines([Folder(tmp_path)], Filter()))
    assert [(line.number, line.end) for line in told] == [
        *((5, "fenced"), (5, "")),
        *((7, "session_lost"), (8, "session_lost"), (9, "session_lost")),
    ]


# -- the command ------------------------------------------------------------------------------------------------------


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["journal", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_list(folders: tuple[Path, Path]) -> None:
    told = [json.loads(line) for line in run("list", *folders, "--json", "--outcome", "REJECT").splitlines()]
    assert [line["number"] for line in told] == [0, 10, 20, 30]
    assert told[0]["findings"][0]["cls"] == "scratch"
    assert told[0]["wall"].endswith("Z")
    text = run("list", *folders, "--limit", 3).splitlines()
    assert len(text) == 4
    assert text[2].split()[3:7] == ["PASS", "clean", "ACCEPTED", "executed"]
    assert run("list", *folders, "--json", "--since", "12h").count("\n") == 20


def test_events(folders: tuple[Path, Path]) -> None:
    told = [json.loads(line) for line in run("events", *folders, "--json").splitlines()]
    assert [line["wall_ms"] for line in told] == sorted(line["wall_ms"] for line in told)
    assert [line["kind"] for line in told].count("stopped") == 2
    assert "Station station-1 starts." in run("events", folders[0], "--kind", "started")


def test_csv_holds_what_list_shows(folders: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "parts.csv"
    assert run("export", *folders, "--out", out) == f"{out}: 40 parts\n"
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == [str(n) for n in range(40)]
    assert json.loads(rows[10]["findings"])[1]["cls"] == "pit"
    assert (rows[11]["gate"], rows[11]["outcome"], rows[11]["rule"]) == ("good", "PASS", "")


def test_parquet_holds_the_same_in_types(folders: tuple[Path, Path], tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    out = tmp_path / "parts.parquet"
    run("export", *folders, "--out", out, "--outcome", "REJECT")
    table = pq.read_table(out)
    assert table.column("number").to_pylist() == [0, 10, 20, 30]
    types = {name: str(table.schema.field(name).type) for name in ("t0_ns", "latency_ms", "outcome", "lane")}
    assert types == {"t0_ns": "int64", "latency_ms": "double", "outcome": "string", "lane": "int64"}


def test_an_export_to_nowhere_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for out in (tmp_path / "parts.xlsx", tmp_path / "missing" / "parts.csv"):
        with pytest.raises(ConfigError, match=out.name):
            commands.export(commands.parts(list(folders), Filter(), None), out)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22", "2026-11-22T00:00:00+00:00"),
        ("2026-11-22T06:30Z", "2026-11-22T06:30:00+00:00"),
        ("2026-11-22T06:30:00+01:00", "2026-11-22T05:30:00+00:00"),
        ("90m", "2026-11-22T10:30:00+00:00"),
        ("7d", "2026-11-15T12:00:00+00:00"),
    ],
)
def test_times_of_the_command_line(text: str, expected: str) -> None:
    noon = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
    assert commands.parse_time(text, noon) == round(datetime.fromisoformat(expected).timestamp() * 1000)


@pytest.mark.parametrize("text", ["yesterday", "", "d", "1y", "2026-13-01"])
def test_no_times(text: str) -> None:
    with pytest.raises(ConfigError, match="is no time"):
        commands.parse_time(text)


# -- check ------------------------------------------------------------------------------------------------------------


def test_check_finds_sound_files_sound(folders: tuple[Path, Path]) -> None:
    checked = commands.check(folders[0])
    assert [(one.problem, one.rows["part"]) for one in checked] == [("", 20), ("", 20)]
    commands.refuse(checked)
    assert run("check", folders[1]).count(" ok ") == 2


def test_check_finds_damage(folders: tuple[Path, Path], tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", str(folders[0]), str(tmp_path / "copy")], check=True)
    path = the_file(tmp_path / "copy")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    (tmp_path / "copy" / f"{today() - timedelta(days=3)}.sqlite.damaged").write_bytes(b"x")
    checked = commands.check(tmp_path / "copy")
    assert [bool(one.problem) for one in checked] == [True, False, True]
    with pytest.raises(JournalError, match="2 of 3 files"):
        commands.refuse(checked)


@pytest.mark.parametrize("command", ["list", "events", "reconcile"])
def test_a_file_whose_midst_is_damaged_is_an_error_that_names_it(tmp_path: Path, command: str) -> None:
    one = journal(tmp_path)
    for number in range(3000):
        one.put(part(number))
        one.put(event(number=number))
    one.close(20)
    path = the_file(tmp_path)
    with path.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(b"\xff" * (path.stat().st_size - 2 * 4096))
    folders = [str(tmp_path)] * (2 if command == "reconcile" else 1)
    result = CliRunner().invoke(app, ["journal", command, *folders])
    assert isinstance(result.exception, JournalError)
    assert path.name in str(result.exception)


@pytest.mark.parametrize(("option", "value"), [("--part", str(2**32)), ("--session", str(2**70))])
def test_a_number_that_no_part_has_is_a_mistake_of_usage(tmp_path: Path, option: str, value: str) -> None:
    journal(tmp_path).close()
    assert CliRunner().invoke(app, ["journal", "list", str(tmp_path), option, value]).exit_code == 2


@pytest.mark.parametrize("text", ["99999999999d", "9" * 400 + "d", "²d"])
def test_an_age_beyond_all_time_is_no_time(text: str) -> None:
    with pytest.raises(ConfigError, match="is no time"):
        commands.parse_time(text)
