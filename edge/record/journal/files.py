"""The files of a journal's folder: their names, their order, and which of them must go."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

from edge.clock import NS_PER_S

_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\.([1-9]\d*))?\.sqlite(\.damaged)?")
SIDES = ("-wal", "-shm")
"""What SQLite lays beside a file in use."""


@dataclass(frozen=True, order=True)
class DayFile:
    """One file: a day (UTC), and its number within the day.  Ordered as they were written."""

    day: date
    number: int
    damaged: bool = False

    @property
    def name(self) -> str:
        """As in the folder: 2026-11-22.sqlite, 2026-11-22.1.sqlite, 2026-11-22.sqlite.damaged."""
        number = f".{self.number}" if self.number else ""
        return f"{self.day.isoformat()}{number}.sqlite{'.damaged' if self.damaged else ''}"

    @classmethod
    def parse(cls, name: str) -> DayFile | None:
        """Read a file's name; None for what is no file of the journal."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        try:
            return cls(date.fromisoformat(match[1]), int(match[2] or 0), bool(match[3]))
        except ValueError:  # no such day
            return None


def day_of(wall_ns: int) -> date:
    """Return the UTC day of a wall-clock time."""
    return datetime.fromtimestamp(wall_ns // NS_PER_S, timezone.utc).date()


def in_folder(folder: Path) -> list[DayFile]:
    """Return the journal's files in ``folder``, oldest first, the damaged ones too."""
    return sorted(file for entry in folder.iterdir() if (file := DayFile.parse(entry.name)) is not None)


def size(folder: Path, file: DayFile) -> int:
    """Return the bytes of a file and what lies beside it; 0 where it is gone."""
    total = 0
    for suffix in ("", *SIDES):
        try:
            total += (folder / (file.name + suffix)).stat().st_size
        except FileNotFoundError:
            continue
    return total


def remove(folder: Path, file: DayFile) -> None:
    """Delete a file and what lies beside it."""
    for suffix in ("", *SIDES):
        (folder / (file.name + suffix)).unlink(missing_ok=True)


def first_for(day: date, present: Iterable[DayFile]) -> DayFile:
    """Return the file in which a process that starts on ``day`` goes on: the day's last sound one, or a new one."""
    of_day = [file for file in present if file.day == day]
    if not of_day:
        return DayFile(day, 0)
    last = max(of_day)
    return DayFile(day, last.number + 1) if last.damaged else last


def after(file: DayFile, day: date, present: Iterable[DayFile]) -> DayFile:
    """Return the next new file, which is never older than ``file``, whatever the wall clock says."""
    day = max(file.day, day)
    return DayFile(day, max((other.number + 1 for other in {*present, file} if other.day == day), default=0))


def doomed(sizes: dict[DayFile, int], in_use: DayFile, today: date, keep_days: int, keep_bytes: int) -> list[DayFile]:
    """Return the files that must go, oldest first; never the one in use.

    Args:
        sizes: bytes of every file of the folder.
        in_use: the file that is written.
        today: files of a day more than ``keep_days`` before it have had their time.
        keep_days, keep_bytes: the bounds; whichever is met first counts.
    """
    total = sum(sizes.values())
    oldest_kept = today - timedelta(days=keep_days)
    going = []
    for file in sorted(sizes):
        if file == in_use:
            continue
        if file.day < oldest_kept or total > keep_bytes:
            going.append(file)
            total -= sizes[file]
    return going
