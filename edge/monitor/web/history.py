"""What lies on disk: journals and pictures.  Runs in threads that may wait; every query is bounded and read-only."""

from __future__ import annotations

import threading
import time
from datetime import date, tzinfo
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

from edge.clock import NS_PER_MS, wall_ns
from edge.errors import EdgeError, EvidenceError, JournalError
from edge.monitor.web.shifts import ShiftTotals
from edge.monitor.web.thumbs import Thumbs
from edge.record.evidence.reader import Evidence, Picture
from edge.record.journal.alarms import Raised, raised
from edge.record.journal.lines import Line, lines
from edge.record.journal.reader import Folder
from edge.record.journal.records import Filter
from edge.record.journal.totals import minutes

NEAR_MS = 24 * 3600 * 1000
"""How far from the time that is given a part is looked for."""

CLOSE_MS = 2000
"""How far from it its picture may lie: both have the time of the part's record."""

_CLOSE = 500
_CLASSES_S = 10.0
"""Age of the list of classes, which a query over all pictures makes."""

_NO_JOURNAL = "There is no journal of the station (yet): see its journal.folder."
_ALARMS = 1000
ALARM_DAYS = 31
"""A line may keep its journals for years; what is older is read with `edge journal`."""

_SOON_S = 2.0
"""Age of the alarms of the past, which many pages ask for at once."""

_HOUR_MS = 3600 * 1000
_MEDIA_TYPES = {".jpg": "image/jpeg", ".png": "image/png"}
_INSTANTS = ("t0_ns", "t1_ns", "t2_ns", "t3_ns", "t4_ns", "t5_ns", "t6_ns")


class NotRecorded(Exception):
    """Nothing of the kind is recorded, or not yet; the text says why."""


class History:
    """Reads what station and gateway recorded.

    Args:
        journals: their folders.
        evidence: the folder of pictures, or None.
        zone: of days and shifts.
        shifts: when they begin.
    """

    def __init__(
        self, journals: tuple[Path, ...], evidence: Path | None, zone: tzinfo, shifts: tuple[str, ...]
    ) -> None:
        self._journals, self._folder = journals, evidence
        self._evidence: Evidence | None = None
        self._lock = threading.Lock()
        self._classes: tuple[float, list[str]] = (0.0, [])
        self._alarms: tuple[tuple[int | None, int], float, list[Raised]] = ((None, 0), 0.0, [])
        self._totals = ShiftTotals(zone, shifts)
        self._thumbs = Thumbs()

    def close(self) -> None:
        """Close what is open."""
        if self._evidence is not None:
            self._evidence.close()

    def evidence(self) -> Evidence:
        """Return the reader of the pictures.

        Raises:
            NotRecorded: no folder is named.
            EvidenceError: there is none yet, or it cannot be read.
        """
        if self._folder is None:
            raise NotRecorded("No folder of pictures is named: see evidence.folder of the station.")
        with self._lock:
            if self._evidence is None:
                self._evidence = Evidence(self._folder)
            return self._evidence

    def classes(self) -> list[str]:
        """Return the classes that pictures show, as of ``_CLASSES_S`` ago at most."""
        at_s, known = self._classes
        if time.monotonic() - at_s > _CLASSES_S:
            known = self.evidence().classes()
            self._classes = time.monotonic(), known
        return known

    def picture(self, picture_id: int, small: bool) -> tuple[bytes | BufferedReader, str] | None:
        """Return a picture's open file, or a small one's bytes, and the media type; None where it is gone.

        Raises as ``evidence``.
        """
        evidence = self.evidence()
        picture = evidence.get(picture_id)
        if picture is None:
            return None
        path = evidence.path(picture)
        if not self._is_inside(path):
            return None
        try:
            if small:
                return self._thumbs.get((picture.id, picture.wall_ms), path), "image/jpeg"
            return path.open("rb"), _MEDIA_TYPES.get(path.suffix, "application/octet-stream")
        except OSError:  # it has had its time, or is damaged
            return None

    def sidecar(self, picture: Picture) -> dict[str, Any]:
        """Return all that is told of a picture's part; nothing where that is gone or damaged."""
        evidence = self.evidence()
        if not self._is_inside(evidence.path(picture).with_suffix(".json")):
            return {}
        try:
            return evidence.sidecar(picture)
        except EvidenceError:
            return {}

    def size_px(self, picture: Picture) -> tuple[int, int] | None:
        """Return width and height of the strongest finding on a picture; None without one."""
        told = self.sidecar(picture)
        found = told.get("findings") or told.get("near") or []
        if not found:
            return None
        x1, y1, x2, y2 = max(found, key=lambda finding: float(finding["score"]))["box"]
        return round(x2 - x1), round(y2 - y1)

    def part(self, session: int, number: int, near_ms: int | None) -> tuple[Line | None, Picture | None]:
        """Return what the journals and the pictures hold of a part.

        Args:
            session, number: which.
            near_ms: when it was recorded, which tells parts without a session apart, whose numbers come again; None:
                the newest, looked for where its picture says, else through all days.

        Raises:
            JournalError: a journal cannot be read.
        """
        picture = self._picture(session, number, near_ms)
        if near_ms is None and picture is not None:
            near_ms = picture.wall_ms
        since_ms, until_ms = (None, None) if near_ms is None else (near_ms - NEAR_MS, near_ms + NEAR_MS)
        wanted = Filter(since_ms=since_ms, until_ms=until_ms, session=session, number=number)
        try:
            return self._line(wanted, near_ms), picture
        except NotRecorded:
            return None, picture

    def shifts(self, day: date) -> dict[str, Any]:
        """Return the totals of each shift that begins on ``day``.

        Raises:
            NotRecorded: there is no journal of the station.
            JournalError: it is damaged.
        """
        return self._totals.of_day(self._station_folder(), day)

    def today(self) -> date:
        """Return the day to which the shift belongs that runs now."""
        return self._totals.today(wall_ns() // NS_PER_MS)

    def zone_key(self) -> str:
        """Return the IANA name of the shifts' time zone, or ""."""
        return self._totals.zone_key()

    def before(self) -> tuple[dict[tuple[str, str], int], dict[int, tuple[int, int]]]:
        """Return what was before now, for a monitor that starts.

        Returns:
            Since when the alarms stand that were not cleared, by (source, name), as far as the last ``_ALARMS`` tell;
            and (parts, rejects) by minute since 1970, of the last hour.

        Raises:
            NotRecorded: there is no journal.
            JournalError: one is damaged.
        """
        standing: dict[tuple[str, str], int] = {}
        for alarm in islice(raised(self._folders()), _ALARMS):
            if alarm.cleared_ms is None:
                standing.setdefault((alarm.source, alarm.name), alarm.raised_ms)
        now_ms = wall_ns() // NS_PER_MS
        return standing, minutes(self._station_folder(), now_ms - _HOUR_MS, now_ms)

    def alarms(self, before_ms: int | None, limit: int) -> list[Raised]:
        """Return alarms of the ``ALARM_DAYS`` before ``before_ms`` (None: now), newest first, as of ``_SOON_S`` ago.

        Raises:
            NotRecorded: there is no journal.
            JournalError: one is damaged.
        """
        key, told_s, known = self._alarms
        if key == (before_ms, limit) and time.monotonic() - told_s < _SOON_S:
            return known
        end_ms = wall_ns() // NS_PER_MS if before_ms is None else before_ms
        past = raised(self._folders(), end_ms - ALARM_DAYS * 24 * _HOUR_MS)
        found = list(islice((a for a in past if before_ms is None or a.raised_ms < before_ms), limit))
        self._alarms = (before_ms, limit), time.monotonic(), found
        return found

    # -- details ----------------------------------------------------------------------------------------------------

    def _is_inside(self, path: Path) -> bool:
        """Say whether a path lies in the folder: the index names it, and whoever has the station can write that."""
        return self._folder is not None and path.resolve().is_relative_to(self._folder.resolve())

    def _picture(self, session: int, number: int, near_ms: int | None) -> Picture | None:
        try:
            evidence = self.evidence()
            if near_ms is None:
                return evidence.find(session, number)
            close = evidence.search(since_ms=near_ms - CLOSE_MS, until_ms=near_ms + CLOSE_MS, limit=_CLOSE)
            return next((found for found in close if (found.session, found.part) == (session, number)), None)
        except (NotRecorded, EvidenceError):
            return None  # the part's times matter without it

    def _line(self, wanted: Filter, near_ms: int | None) -> Line | None:
        found = list(islice(lines(self._folders(), wanted), 100))
        if near_ms is None:
            return found[-1] if found else None
        return min(found, key=lambda line: abs(line.wall_ms - near_ms), default=None)

    def _folders(self) -> list[Folder]:
        folders = []
        for path in self._journals:
            try:
                folders.append(Folder(path))
            except JournalError:
                continue  # nothing was recorded there yet
        if not folders:
            raise NotRecorded(_NO_JOURNAL)
        return folders

    def _station_folder(self) -> Folder:
        for folder in self._folders():
            if folder.process() == "station":
                return folder
        raise NotRecorded(_NO_JOURNAL)


def times(line: Line) -> dict[str, float | None]:
    """Return the instants T0 to T6 of a part, in ms after T0."""
    told: dict[str, float | None] = {}
    for name in _INSTANTS:
        at_ns = getattr(line, name)
        known = at_ns is not None and line.t0_ns is not None
        told[name.removesuffix("_ns").upper()] = round((at_ns - line.t0_ns) / NS_PER_MS, 3) if known else None
    return told


def readable(error: EdgeError) -> str:
    """Return an error in words for a page."""
    return f"{error.problem} {error.remedy[:1].upper()}{error.remedy[1:]}"
