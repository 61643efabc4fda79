"""Appending to the records of challenges, and what a process that starts may believe of those that are there.

Damaged, forged, missing or taken away: nothing of that keeps the process from starting or from writing further records.
It is named, in ``Archive.problems``, and what cannot be read may have been an escape.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge.clock import wall_iso, wall_ns
from edge.core.challenge import Result
from edge.core.challenge_judge import FAULTS
from edge.errors import ChallengeError
from edge.record.challenge import DOMAIN, FOLDER, GENESIS, Document, Entry, file_of, files_of, read_document
from edge.record.challenge_keys import Signer
from edge.record.challenge_verify import own_problems
from edge.wire import unix

_DISK = "see the disk of challenge.folder."
_OWN = "give each station a folder of its own: challenge.folder."


class Archive:
    """Appends entries.  One process at a time, one thread at a time; it waits for the disk.

    Args:
        folder: of the records; made where there is none.
        signer: of all that is appended.
        station, lane: whose records these are.

    Attributes:
        last: the newest entry, or None where there is none that can be believed.
        last_end: the newest that says how a challenge ended or was skipped, or None.
        last_passed: the newest that says that one was passed, or None.
        since_passed: the results since then, newest first.
        problems: why the records since then cannot be believed, in words, as far as this was seen at the start.
    """

    def __init__(self, folder: Path, signer: Signer, station: str, lane: int) -> None:
        self._folder, self._signer, self._station, self._lane = folder, signer, station, lane
        self.last: Entry | None = None
        self.last_end: Entry | None = None
        self.last_passed: Entry | None = None
        self.since_passed: list[str] = []
        self.problems: list[str] = []
        self._number, self._previous = 1, GENESIS  # of the next entry
        self._heads: set[str] = set()
        self._others = ""  # whose records these are instead
        self._unsure: Document | None = None  # being written, and perhaps on the disk although that failed
        self._is_read = False
        try:
            self._read()
        except ChallengeError as error:
            self.problems.append(error.problem)

    @property
    def is_open(self) -> bool:
        """True where the newest entry begins a challenge: its process ended, or its end could not be written."""
        return self.last is not None and self.last.kind == "begun"

    def compare(self, noted: Iterable[str]) -> None:
        """Find records that were taken away since the last one that was passed.

        Args:
            noted: "NUMBER:SHA256" of records as the journal noted them, newest first.
        """
        passed = 0 if self.last_passed is None else self.last_passed.number
        for head in noted:
            if int(head.partition(":")[0]) <= passed:
                return
            if head not in self._heads:
                self.problems.append(f"{self._folder}: record {head} was noted in the journal, and is not there.")
                return

    def append(self, kind: str, data: dict[str, Any]) -> Entry:
        """Write an entry, and return it once it is on the disk.  A challenge that has no end gets one first.

        Raises:
            ChallengeError: it cannot be written, or it is the end of a challenge of which the begin was not.
        """
        entry = self._settle()
        if entry is not None and entry.data is data:
            return entry  # an attempt that failed had written it after all
        if kind == "ended" and not self.is_open:
            raise ChallengeError("A challenge of which the begin was not recorded has no record.", "repeat it.")
        if kind != "ended":
            self.recover()
        return self._append(kind, data)

    def recover(self) -> Entry | None:
        """Give a challenge an end that has none, and return that; None where there is no such challenge.

        Raises:
            ChallengeError: it cannot be written.
        """
        entry = self._settle()
        if self.last is None or not self.is_open:
            return entry
        kind, operator = FAULTS["interrupted"], self.last.data.get("operator", "")
        fault = {"name": kind.name, "piece": "", "text": kind.text, "remedy": kind.remedy}
        result = Result.INTERRUPTED.value
        return self._append("ended", {"result": result, "operator": operator, "faults": [fault], "pieces": []})

    # -- writing ----------------------------------------------------------------------------------------------------

    def _append(self, kind: str, data: dict[str, Any]) -> Entry:
        number, key = self._number, self._signer.fingerprint
        wall, wall_ms = wall_iso(), wall_ns() // 1_000_000
        entry = Entry(number, self._previous, kind, wall, wall_ms, self._station, self._lane, key, data)
        signature = base64.b64encode(self._signer.sign(DOMAIN + entry.canonical())).decode()
        self._unsure = Document(entry, entry.sha256(), signature)
        _write(file_of(self._folder, number), self._unsure.rendered())
        return self._written(entry)

    def _settle(self) -> Entry | None:
        """Read the folder where that failed before, and see what became of a write that failed half-way.

        Returns:
            The entry of that write, where it is on the disk now.

        Raises:
            ChallengeError: the folder still cannot be read, or is another station's.
        """
        if not self._is_read:
            self._read()
        if self._others:
            raise ChallengeError(f"{self._folder} holds records of {self._others}.", _OWN)
        if (document := self._unsure) is None:
            return None
        path = file_of(self._folder, document.entry.number)
        try:
            is_there = path.read_bytes() == document.rendered()
            if is_there:
                unix.sync(self._folder)
        except FileNotFoundError:
            is_there = False
        except OSError as error:
            raise ChallengeError(f"{path} cannot be read ({error.strerror}).", _DISK) from None
        self._unsure = None
        return self._written(document.entry) if is_there else None

    def _written(self, entry: Entry) -> Entry:
        self._unsure, self.last = None, entry
        self._number, self._previous = entry.number + 1, entry.sha256()
        if entry.kind != "begun":
            self.last_end = entry
            if entry.data["result"] == Result.PASSED.value:
                self.last_passed, self.since_passed = entry, []
            else:
                self.since_passed.insert(0, entry.data["result"])
        return entry

    # -- reading ----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Read what is there, newest first, as far as the last that was passed."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ChallengeError(f"{self._folder} cannot be made ({error.strerror}).", FOLDER) from None
        paths = files_of(self._folder)
        self._is_read = True
        number, newer = 0, None
        for path in reversed(paths):
            entry = self._believed(path)
            if path is paths[-1]:
                self._number, self.last = int(path.stem) + 1, entry
                self._previous = _hash_of(path) if entry is None else entry.sha256()
            elif int(path.stem) != number - 1:
                self.problems.append(f"{self._folder}: record {number - 1} is not there.")
            elif entry is not None and newer is not None and newer.previous != entry.sha256():
                self.problems.append(f"{path}: record {newer.number} does not continue it.")
            number, newer = int(path.stem), entry
            if entry is not None and self._note_older(entry):
                return
        if number > 1:
            self.problems.append(f"{self._folder}: record {number - 1} is not there.")

    def _believed(self, path: Path) -> Entry | None:
        """Return the entry of a file; None, and why in ``problems``, where it is not as this station wrote it."""
        try:
            document = read_document(path)
        except ChallengeError as error:
            self.problems.append(error.problem)
            return None
        entry, wrong = document.entry, list(own_problems(path, document, self._signer))
        if (entry.station, entry.lane) != (self._station, self._lane):
            self._others = f"station {entry.station}, lane {entry.lane}"
            wrong.append(f"it is of {self._others}")
        self.problems += [f"{path}: {problem}." for problem in wrong]
        if entry.key != self._signer.fingerprint:  # whether its signature fits cannot be told; the chain goes on
            self.problems.append(f"{path}: it is signed with another key than challenge.key.")
        return None if wrong else entry

    def _note_older(self, entry: Entry) -> bool:
        """Take an entry, the newest first.  True once nothing older is of interest."""
        self._heads.add(entry.head)
        if entry.kind != "begun":
            self.last_end = self.last_end or entry
            result = str(entry.data.get("result", ""))
            if result == Result.PASSED.value:
                self.last_passed = entry
            else:
                self.since_passed.append(result)
        return self.last_passed is not None


def _write(path: Path, data: bytes) -> None:
    """Write a whole file or none, and never over another."""
    temporary = path.with_name(f".{path.stem}.writing")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # unlike a rename, it refuses where the file is there
        finally:
            temporary.unlink(missing_ok=True)
        unix.sync(path.parent)
    except FileExistsError:
        raise ChallengeError(f"{path} is there: another process writes to this folder.", FOLDER) from None
    except OSError as error:
        raise ChallengeError(f"{path} cannot be written ({error.strerror}).", _DISK) from None


def _hash_of(path: Path) -> str:
    """Return the SHA-256 of a damaged file's bytes, which the next entry continues; ``GENESIS`` without any."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return GENESIS
