"""What `edge journal` does: lists, exports and checks."""

from __future__ import annotations

import csv
import heapq
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from edge.errors import ConfigError, JournalError, MissingExtra
from edge.record.journal.files import DayFile
from edge.record.journal.lines import Line, lines
from edge.record.journal.reader import Folder, connect, is_journal
from edge.record.journal.reconcile import Reconciliation
from edge.record.journal.records import EventRow, Filter

_GROUP = 20_000  # rows of a Parquet row group
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
COLUMNS = Line.__struct_fields__


def parse_time(text: str, now: datetime | None = None) -> int:
    """Return a wall-clock time in ms since 1970: ISO 8601 (UTC unless it says otherwise), or an age as in 90m, 12h, 7d.

    Raises:
        ConfigError: it is neither.
    """
    try:
        if text[-1:] in _UNITS and text[:-1].isdigit():
            then = (now or datetime.now(timezone.utc)) - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
        else:
            then = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{text!r} is no time.", "give one as 2026-11-22, 2026-11-22T06:00, or an age as 90m, 12h, 7d."
        ) from None
    then = then.replace(tzinfo=timezone.utc) if then.tzinfo is None else then
    return round(then.timestamp() * 1000)


def parts(folders: list[Path], wanted: Filter, limit: int | None) -> Iterator[Line]:
    """Return the parts in ``folders``, as ``lines``; the first ``limit`` of them."""
    return islice(lines([Folder(path) for path in folders], wanted), limit)


def as_json(row: Line | EventRow) -> str:
    """Return a row as one JSON object, its wall-clock time in words."""
    values = msgspec.to_builtins(row)
    return msgspec.json.encode({"wall": wall(row.wall_ms), **values}).decode()


def wall(wall_ms: int) -> str:
    """Return a wall-clock time in words, UTC."""
    return datetime.fromtimestamp(wall_ms / 1000, timezone.utc).isoformat(timespec="milliseconds")[:-6] + "Z"


HEADING = (
    f"{'wall clock (UTC)':24} {'session':>10} {'part':>10} {'outcome':11} {'cause':16} {'disposition':11} {'end':16} "
    f"{'gate':8}" + "".join(f" {f'T{n} ms':>8}" for n in range(1, 7))
)


def render(line: Line) -> str:
    """Return a part as one line of text; T1 to T6 in ms after T0."""
    start = line.t0_ns
    instants = (line.t1_ns, line.t2_ns, line.t3_ns, line.t4_ns, line.t5_ns, line.t6_ns)
    times = "".join(f" {'-':>8}" if at is None or start is None else f" {(at - start) / 1e6:8.2f}" for at in instants)
    return (
        f"{wall(line.wall_ms):24} {line.session:>10} {line.number:>10} {line.outcome or '-':11} {line.cause or '-':16} "
        f"{line.disposition or '-':11} {line.end or '-':16} {line.gate or '-':8}{times}"
        + (f"  {line.rule}" if line.rule else "")
    )


def events(folders: list[Path], wanted: Filter, kind: str | None, limit: int | None) -> Iterator[EventRow]:
    """Return what happened, in all ``folders`` together by wall clock, ``missing`` rows too."""
    each = [Folder(path).events(wanted) for path in folders]
    rows = heapq.merge(*each, key=lambda row: row.wall_ms)
    return islice((row for row in rows if kind is None or row.kind == kind), limit)


def render_event(row: EventRow) -> str:
    """Return an event as one line of text."""
    return f"{wall(row.wall_ms):24} {row.process:8} {row.kind:14} {row.text}"


# -- export -----------------------------------------------------------------------------------------------------------


def export(rows: Iterator[Line], out: Path) -> int:
    """Write parts to a CSV or a Parquet file, by its suffix.  Return how many.

    Raises:
        ConfigError: the file has another suffix, or cannot be written.
        MissingExtra: Parquet needs the extra `parquet`.
    """
    writers = {".csv": _write_csv, ".parquet": _write_parquet}
    if out.suffix not in writers:
        raise ConfigError(f"--out {out}: is neither .csv nor .parquet.", "choose one of these.")
    try:
        return writers[out.suffix](rows, out)
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be written ({error}).", "choose another place.") from None


def _record(line: Line) -> dict[str, Any]:
    """Return a part as columns; its findings are JSON."""
    values = {name: getattr(line, name) for name in COLUMNS}
    values["findings"] = msgspec.json.encode(line.findings).decode()
    return {"wall": wall(line.wall_ms), **values}


def _write_csv(rows: Iterator[Line], out: Path) -> int:
    number = 0
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("wall", *COLUMNS))
        writer.writeheader()
        for line in rows:
            writer.writerow(_record(line))
            number += 1
    return number


def _write_parquet(rows: Iterator[Line], out: Path) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtra("pyarrow", "parquet") from None
    types = {"int": pa.int64(), "str": pa.string(), "float": pa.float64(), "list[Finding]": pa.string()}
    hints = {name: str(hint).removesuffix(" | None") for name, hint in Line.__annotations__.items()}
    schema = pa.schema([("wall", pa.string()), *((name, types[hints[name]]) for name in COLUMNS)])
    number = 0
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        while group := [_record(line) for line in islice(rows, _GROUP)]:
            writer.write_table(pa.Table.from_pylist(group, schema))
            number += len(group)
    return number


# -- check ------------------------------------------------------------------------------------------------------------


class Checked(msgspec.Struct):
    """What is in one file, and what is wrong with it, or ""."""

    file: str
    problem: str
    bytes: int
    rows: dict[str, int]


def check(path: Path) -> list[Checked]:
    """Examine every file of a journal's folder; damaged ones that were moved aside are problems too."""
    return [_check(path, file) for file in Folder(path).files()]


def _check(folder: Path, file: DayFile) -> Checked:
    path = folder / file.name
    size = path.stat().st_size
    if file.damaged:
        return Checked(file.name, "is damaged, and was moved aside by the process that wrote it", size, {})
    try:
        with closing(connect(path)) as connection:
            if not is_journal(connection):
                return Checked(file.name, "is no journal of this version", size, {})
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            tables = ("part", "finding", "gate", "fact", "event", "counts", "missing")
            rows = {t: connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables}
    except sqlite3.DatabaseError as error:
        return Checked(file.name, str(error), size, {})
    return Checked(file.name, "" if found == "ok" else str(found), size, rows)


def refuse(checked: list[Checked]) -> None:
    """Raise ``JournalError`` if a file has a problem."""
    if bad := [one for one in checked if one.problem]:
        raise JournalError(
            f"{len(bad)} of {len(checked)} files are not sound: {bad[0].file} {bad[0].problem}.",
            "keep a copy of it; `sqlite3 FILE .recover` saves what can be read; then delete it.",
        )


# -- reconcile --------------------------------------------------------------------------------------------------------


def render_reconciliation(result: Reconciliation) -> str:
    """Return what came of a reconciliation, in words."""
    classes = [f"{number:>10}  {name}" for name, number in result.classes.most_common()]
    rest = [f"{result.remainder:>10}  without an explanation"]
    return "\n".join(
        [f"{result.parts:>10}  parts that station or gateway know", *classes, *rest, "", *result.books]
        + (["", "not explained:", *result.examples] if result.examples else [])
    )


def reconciliation_as_dict(result: Reconciliation) -> dict[str, Any]:
    """Return what came of a reconciliation, for JSON."""
    return {**asdict(result), "classes": dict(result.classes), "reconciled": result.reconciled}
