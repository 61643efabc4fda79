"""Rows for the journal's tests, and looking into its files."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

from edge.clock import NS_PER_S, now_ns, wall_iso, wall_ns
from edge.config import JournalConfig
from edge.record.journal import Counts, Event, Fact, Journal
from edge.record.journal.files import DayFile, in_folder
from edge.record.journal.reconcile import Reconciliation, reconcile
from edge.record.journal.rows import Row
from edge.wire.messages import FindingRecord, PartRecord

MS = 1_000_000
DAY_NS = 86_400 * NS_PER_S
STATION, GATEWAY, PLC = 375_358_980, 3_123_123_123, 4_011_223_344


def config(folder: Path, **values: Any) -> JournalConfig:
    return JournalConfig(folder=str(folder), **values)


def journal(folder: Path, process: str = "station", **values: Any) -> Journal:
    clocks = {name: values.pop(name) for name in ("clock", "wall") if name in values}
    return Journal(config(folder, **values), process, f"{process}-1", 0, **clocks)


def part(number: int, t0_ns: int | None = None, **values: Any) -> PartRecord:
    """Return a PASS of session ``STATION``, answered ACCEPTED, unless ``values`` say otherwise."""
    t0 = now_ns() if t0_ns is None else t0_ns
    standard: dict[str, Any] = {
        "station": "station-1",
        "lane": 0,
        "part": number,
        "count": count_of(number),
        "outcome": "PASS",
        "cause": "clean",
        "rule": "",
        "disposition": "ACCEPTED",
        "findings": [],
        "tag": "",
        "t0_ns": t0,
        "t1_ns": t0 + 7 * MS,
        "t2_ns": t0 + 21 * MS,
        "t3_ns": t0 + 22 * MS,
        "t4_ns": t0 + 23 * MS,
        "recipe": "default",
        "model": "sim-strip@1.0.0+2f2da957de67",
        "engine": "openvino",
        "precision": "fp32",
        "version": "0.4.0",
        "wall": wall_iso(),
        "session": STATION,
    }
    return PartRecord(**{**standard, **values})


def rejected(number: int, t0_ns: int | None = None, **values: Any) -> PartRecord:
    """Return a REJECT with two findings."""
    findings = [FindingRecord("scratch", 0.8731, (12.3, 55.2, 99.1, 88.0)), FindingRecord("pit", 0.5, (1, 2, 3, 4))]
    return part(number, t0_ns, outcome="REJECT", cause="rule", rule="long scratch", findings=findings, **values)


def count_of(number: int) -> int:
    return (number * 1000 + 4_294_000_000) % 2**32


def fact(number: int, what: str, detail: str, at_ns: int, **values: int) -> Fact:
    keys = {"plc": PLC, "gateway": GATEWAY, "station": STATION, "epoch": 1, **values}
    count = keys.pop("count", count_of(number) if what == "counted" else 0)
    return Fact(number=number, count=count, fact=what, detail=detail, at_ns=at_ns, **keys)


def life(number: int, t0_ns: int, outcome: str = "PASS", **values: int) -> list[Fact]:
    """Return all facts of a part in order: passed where ``outcome`` is PASS, else rejected."""
    passed = outcome == "PASS"
    told = [("counted", "", 5), ("answered", "ACCEPTED", 23)]
    if passed:
        told += [("permit", "", 24), ("armed", "", 34), ("executed", "", 500)]
    else:
        told += [("ended", outcome.lower(), 23)]
    told += [("gated", "good" if passed else "rejected", 600), ("confirmed", "", 700)]
    return [fact(number, what, detail, t0_ns + ms * MS, **values) for what, detail, ms in told]


def event(kind: str = "state", text: str = "RUNNING", **data: object) -> Event:
    return Event(kind, text, data, now_ns())


def counts(**data: object) -> Counts:
    return Counts(data, now_ns())


def query(folder: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Return what all sound files of a folder answer, oldest first."""
    rows = []
    for file in files(folder):
        with closing(sqlite3.connect(folder / file.name)) as connection:
            rows += connection.execute(sql, values).fetchall()
    return rows


def files(folder: Path) -> list[DayFile]:
    return [file for file in in_folder(folder) if not file.damaged]


def numbers(folder: Path) -> list[int]:
    """Return the parts on record, in order."""
    return [number for (number,) in query(folder, "SELECT number FROM part ORDER BY id")]


def wait_for(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.005)


def the_file(folder: Path) -> Path:
    """Return the file in use."""
    return folder / files(folder)[-1].name


def today() -> date:
    return datetime.now(timezone.utc).date()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Stall the disk, as far as the journal can tell: another connection holds the file's write lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


class Wall:
    """A wall clock that the test sets."""

    def __init__(self) -> None:
        self.offset_ns = 0

    def __call__(self) -> int:
        return wall_ns() + self.offset_ns


PERIOD = 100 * MS
REJECTED = 5  # every fifth


class Plant:
    """Writes the journals of a line that ran ``parts`` parts without trouble; a test leaves out or adds what it likes.

    Time begins at ``start``; part n is at the eye ``PERIOD`` n later.
    """

    def __init__(self, folder: Path, parts: int = 40) -> None:
        self.station, self.gateway = folder / "station", folder / "gateway"
        self.start = now_ns()
        self.numbers = range(1, parts + 1)
        self.end = self.start + (parts + 20) * PERIOD
        self.parts = {n: part(n, self.at(n), **(_REJECT if n % REJECTED == 0 else {})) for n in self.numbers}
        self.facts = {n: life(n, self.at(n), "REJECT" if n % REJECTED == 0 else "PASS") for n in self.numbers}
        self.extra: dict[str, list[Row]] = {"station": [], "gateway": []}
        self.clean = {"station": True, "gateway": True}

    def at(self, number: int) -> int:
        return self.start + number * PERIOD

    def write(self) -> None:
        good = sum(n % REJECTED != 0 for n in self.numbers)
        plc = {"session": PLC, "last_part": 0, "opened": 0, "without_permit": 0, "met_gate": 0}
        total = len(self.numbers)
        begun = {"what": "begun", "plc": PLC, "gateway": GATEWAY, "station": 0, "epoch": 1, "fence": 0, "last_part": 0}
        granted = {**begun, "what": "granted", "station": STATION}
        after = {"session": PLC, "last_part": total, "opened": good, "without_permit": total - good, "met_gate": total}
        register = {"plc_triggers": total, "rejected": {"reject": total - good}, "executed": good, "voided": {}}
        self._write(
            self.station,
            "station",
            [Event("state", "RUNNING", {}, self.start), *self.parts.values(), *self.extra["station"]],
            Counts({"outcomes": {"PASS": good, "REJECT": total - good}, "trigger_jumps": 0}, self.end),
        )
        self._write(
            self.gateway,
            "gateway",
            [
                Event("session", "", begun, self.start),
                Event("session", "", granted, self.start),
                Counts({"plc": plc}, self.start),
                *sorted((f for facts in self.facts.values() for f in facts), key=lambda f: f.at_ns),
                *self.extra["gateway"],
            ],
            Counts({**register, "plc": after}, self.end),
        )

    def _write(self, folder: Path, process: str, rows: list[Row], counters: Counts) -> None:
        now = [self.start]
        one: Journal = journal(folder, process, clock=lambda: now[0])
        for row in [*rows, counters]:
            one.put(row)
        now[0] = self.end
        one.close()
        if not self.clean[process]:
            self.change(process, "DELETE FROM event WHERE kind = (SELECT id FROM word WHERE text = 'stopped')")
            self.change(process, f"DELETE FROM counts WHERE at_ns = {self.end}")

    def change(self, process: str, sql: str) -> None:
        with closing(sqlite3.connect(the_file(getattr(self, process)))) as connection:
            assert connection.execute(sql).rowcount > 0
            connection.commit()

    def reconcile(self) -> Reconciliation:
        return reconcile(self.station, self.gateway)


_REJECT: dict[str, Any] = {"outcome": "REJECT", "cause": "rule", "rule": "scratch"}
