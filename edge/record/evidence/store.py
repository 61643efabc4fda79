"""An evidence folder, open for writing: pictures, sidecars, index.  Used by the evidence thread alone.

The order of writing makes every interruption harmless: sidecar, picture, row of the index; and at a deletion picture,
sidecar, row.  What a killed process left without a row gets one at the next start; a row without a file goes with the
first deletion.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from edge.record.evidence.picture import SUFFIXES
from edge.record.evidence.quota import CLOCK_SET_MS, GOES_FIRST, ROOM_BYTES, Quota, may_go, on_disk
from edge.record.evidence.schema import COLUMNS, INDEX, TABLES, VERSION
from edge.wire.messages import FindingRecord, PartRecord

_log = logging.getLogger(__name__)

_INSERT = f"INSERT INTO pictures({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
_HOURS = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]/[0-9][0-9]"
_FOUND_AGAIN = 2
"""Last hours that are looked through at the start: a killed process leaves what lacks its row there."""

GO_AT_ONCE = 100
"""Pictures that go in one turn: frames wait meanwhile."""

_CACHE_KB = 512


class Refused(Exception):
    """A picture that the quotas leave no room for; its argument is the cause by which it is counted."""


@dataclass(frozen=True)
class Entry:
    """What is known of a picture: the part's record, why it is kept, and the findings by which a pass was close."""

    record: PartRecord
    reason: str
    near: tuple[FindingRecord, ...] = ()

    def row(self, file: str, size: int) -> tuple[Any, ...]:
        """Return its row of the index, as ``COLUMNS``."""
        record = self.record
        strongest = max((*record.findings, *self.near), key=lambda finding: finding.score, default=None)
        cls, score = ("", None) if strongest is None else (strongest.cls, strongest.score)
        wall_ms = round(datetime.fromisoformat(record.wall).timestamp() * 1000)
        of_part = (wall_ms, record.station, record.lane, record.session, record.part)
        what = (record.outcome, record.cause, record.rule, cls, score, self.reason)
        return (*of_part, *what, file, size, record.t0_ns)


class Store:
    """One folder and its index.

    Args:
        folder: locked by this process.
        quota: its bounds.

    Attributes:
        held: bytes of all pictures.
        last_ms: wall-clock ms of the picture that was written last when the folder was opened; 0 without any.

    Raises:
        sqlite3.Error, OSError: the disk does not do as asked.
    """

    def __init__(self, folder: Path, quota: Quota) -> None:
        self._folder, self._quota = folder, quota
        self._connection = _opened(folder / INDEX)
        self.held = 0
        try:
            self._inode = (folder / INDEX).stat().st_ino
            (rows,) = self._connection.execute("SELECT count(*) FROM pictures").fetchone()
            hours = sorted(folder.glob(_HOURS))
            for hour in hours[-_FOUND_AGAIN:] if rows else hours:  # all, where the index was lost
                self._find_again(hour)
            self.held = int(self._connection.execute("SELECT coalesce(sum(bytes), 0) FROM pictures").fetchone()[0])
            last = self._connection.execute("SELECT wall_ms FROM pictures ORDER BY id DESC LIMIT 1").fetchone()
            self.last_ms = 0 if last is None else int(last[0])
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the index."""
        self._connection.close()

    def is_in_place(self) -> bool:
        """False where somebody deleted or replaced the index or the folder."""
        try:
            return (self._folder / INDEX).stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def free(self) -> int:
        """Return how many bytes of the disk an ordinary user can still have."""
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize

    def place(self, record: PartRecord, suffix: str) -> str:
        """Return the name of a new picture, below the folder: by day and hour (UTC), session and part number."""
        wall = datetime.fromisoformat(record.wall).astimezone(timezone.utc)
        stem = f"{wall:%Y-%m-%d/%H}/{record.session}-{record.part}"
        name, n = stem, 1
        while self._is_taken(name):
            n += 1  # parts without a session come again, and a counter that began anew
            name = f"{stem}-{n}"
        return f"{name}{suffix}"

    def put(self, entry: Entry, file: str, picture: bytes, sidecar: bytes) -> bool:
        """Write a picture under the name that ``place`` gave, making room as the quotas allow.

        Returns:
            False where more than ``GO_AT_ONCE`` pictures have to go for it: ask again.

        Raises:
            Refused: there is no room for it.
            sqlite3.Error, OSError: the disk does not do as asked; nothing of it is left.
        """
        size = on_disk(len(picture)) + on_disk(len(sidecar))
        if not self._make_room(entry.record.outcome, size):
            return False
        path = self._at(file)
        beside = _beside(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            _write(beside, sidecar)
            _write(path, picture)
            self._connection.execute(_INSERT, entry.row(file, size))
        except BaseException:
            for left in (path, beside):
                with suppress(OSError):
                    os.unlink(left)
            raise
        self.held += size
        return True

    def tidy(self, now_ms: int) -> bool:
        """Delete some of the pictures that have had their time, or are too many.  True where there may be more."""
        sql = "SELECT id, file, bytes FROM pictures WHERE wall_ms >= ? AND wall_ms < ? ORDER BY wall_ms LIMIT ?"
        old = self._connection.execute(sql, (CLOCK_SET_MS, self._quota.oldest_ms(now_ms), GO_AT_ONCE)).fetchall()
        for row in old:
            self._delete(*row)
        more = len(old) == GO_AT_ONCE
        for _, lacks, going in self._rooms(GOES_FIRST[-1], ROOM_BYTES, 0):
            more |= self._delete_while(lacks, going) and next(going, None) is not None
        return more

    def _at(self, file: str) -> str:
        """Return where ``file`` lies, below the folder, as a string.

        A ``Path`` interns every name.  With a new one for each part, Python's table of interned names is made anew time
        and again, in the heap of whichever thread comes then, and each of them keeps the megabytes that it once held.
        """
        return f"{self._folder}/{file}"

    def _is_taken(self, name: str) -> bool:
        """True where a picture has this name, or had it and its row is still there."""
        files = [f"{name}{suffix}" for suffix in SUFFIXES.values()]
        sql = f"SELECT 1 FROM pictures WHERE file IN ({', '.join('?' * len(files))})"
        return (
            any(os.path.exists(self._at(file)) for file in (*files, f"{name}.json"))
            or self._connection.execute(sql, files).fetchone() is not None
        )

    # -- room -------------------------------------------------------------------------------------------------------

    def _make_room(self, outcome: str, coming: int) -> bool:
        """Delete until a picture of this outcome has room.  False where there is none yet, and more may go.

        Raises:
            Refused: all that may go is gone, and there is none.
        """
        for cause, lacks, going in self._rooms(outcome, coming, coming):
            if self._delete_while(lacks, going):
                if next(going, None) is None:
                    raise Refused(cause)
                return False
        return True

    def _rooms(
        self, outcome: str, on_disk_bytes: int, in_folder_bytes: int
    ) -> Iterator[tuple[str, Callable[[], bool], Iterator[tuple[int, str, int]]]]:
        """Return for disk and folder: the cause where there is no room, whether it lacks, and what may go for it."""
        quota = self._quota
        for_others = self._oldest(may_go(outcome, for_others=True))
        yield "disk_low", lambda: quota.shortage(self.free(), on_disk_bytes) > 0, for_others
        ranked = self._oldest(may_go(outcome, for_others=False))
        yield "quota", lambda: quota.excess(self.held, in_folder_bytes) > 0, ranked

    def _delete_while(self, holds: Callable[[], bool], going: Iterator[tuple[int, str, int]]) -> bool:
        """Delete what ``going`` names while the condition holds, a few at most; return whether it still does."""
        for _ in range(GO_AT_ONCE):
            row = next(going, None) if holds() else None
            if row is None:
                break
            self._delete(*row)
        return holds()

    def _oldest(self, outcomes: tuple[str, ...]) -> Iterator[tuple[int, str, int]]:
        """Return pictures in the order in which they go; each must be deleted before the next is asked for."""
        sql = "SELECT id, file, bytes FROM pictures WHERE outcome = ? ORDER BY wall_ms, id LIMIT 1"
        for outcome in outcomes:
            while (row := self._connection.execute(sql, (outcome,)).fetchone()) is not None:
                yield row

    def _delete(self, number: int, file: str, size: int) -> None:
        path = self._at(file)
        for gone in (path, _beside(path)):
            with suppress(FileNotFoundError):
                os.unlink(gone)
        self._connection.execute("DELETE FROM pictures WHERE id = ?", (number,))
        self.held -= size
        hour = os.path.dirname(path)
        for empty in (hour, os.path.dirname(hour)):
            with suppress(OSError):  # not empty yet
                os.rmdir(empty)

    # -- after an end that was none ---------------------------------------------------------------------------------

    def _find_again(self, hour: Path) -> None:
        """Give the pictures of a folder that lack their row one, and delete what is only half there.

        What cannot be read may be whole, as one of another version is: it stays where it lies.
        """
        begin = f"{hour.parent.name}/{hour.name}/"
        rows = self._connection.execute("SELECT file FROM pictures WHERE file BETWEEN ? AND ?", (begin, f"{begin}~"))
        known = {row[0] for row in rows}
        lying = list(hour.iterdir())
        for path in lying:
            if path.suffix in SUFFIXES.values() and begin + path.name not in known:
                try:
                    row = _row_again(path, begin + path.name)
                except (OSError, KeyError, TypeError, ValueError) as error:  # msgspec's errors are ValueErrors
                    _log.error("%s gets no row in the index, its JSON file cannot be read: %s.", path, error)
                    continue
                if row is None:
                    path.unlink()
                else:
                    self._connection.execute(_INSERT, row)
        for path in lying:
            if path.suffix == ".json" and not any(path.with_suffix(s).exists() for s in SUFFIXES.values()):
                path.unlink()


def move_aside(folder: Path) -> Path:
    """Move a damaged index away; the next ``Store`` makes it anew from the sidecars.

    SQLite itself does away with the log that was beside it, once it finds it beside an empty file.
    """
    aside = folder / f"{INDEX}.damaged"
    (folder / INDEX).replace(aside)
    return aside


def is_damage(error: Exception) -> bool:
    """True for an index that is damaged or no SQLite at all: what the disk refuses is an ``OperationalError``."""
    return type(error) is sqlite3.DatabaseError


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
    try:
        do = connection.execute
        do("PRAGMA journal_mode=WAL")
        do("PRAGMA synchronous=NORMAL")  # the sidecars know all that a power cut may cost
        do(f"PRAGMA cache_size=-{_CACHE_KB}")
        version = do("PRAGMA user_version").fetchone()[0]
        if version == 0 and not do("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            connection.executescript(f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version={VERSION}; COMMIT;")
        elif version != VERSION:
            raise sqlite3.OperationalError(f"{path} has format {version}, and {VERSION} is written")
    except BaseException:
        connection.close()
        raise
    return connection


def _beside(picture: str) -> str:
    """Return where a picture's sidecar lies."""
    return f"{os.path.splitext(picture)[0]}.json"


def _write(path: str, data: bytes) -> None:
    with open(path, "wb", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) or 0 :]


def _row_again(path: Path, file: str) -> tuple[Any, ...] | None:
    """Return the row of a picture as its sidecar tells it, or None where one of the two was never written whole.

    Raises:
        OSError, KeyError, TypeError, ValueError: the sidecar cannot be read, or means nothing to this version.
    """
    try:
        data = path.with_suffix(".json").read_bytes()
    except FileNotFoundError:
        return None
    if not data:  # what a power cut leaves
        return None
    told = msgspec.json.decode(data, type=dict[str, Any])
    size = int(told["picture"]["bytes"])
    if path.stat().st_size != size:
        return None
    entry = Entry(msgspec.convert(told, PartRecord), str(told["reason"]), _near(told))
    return entry.row(file, on_disk(size) + on_disk(len(data)))


def _near(told: dict[str, Any]) -> tuple[FindingRecord, ...]:
    return msgspec.convert(told["near"], tuple[FindingRecord, ...])
