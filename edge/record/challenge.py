"""Records of challenges: a folder of JSON files, each signed, and chained by the hash of the one before.

``00000001.json`` and so on.  A challenge has two entries, "begun" and "ended", so that one which a killed process took
with it shows; one that was due and not made has one, "skipped".  A file is never changed, and never written twice.

What the chain cannot show is that its last files were taken away: number and hash of each stand in the station's
journal as well, and both the station's start and `verify` hold the folder against them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from edge.errors import ChallengeError

_log = logging.getLogger(__name__)

GENESIS = "0" * 64
"""In the place of the hash before the first entry, and after one that cannot even be read."""

DOMAIN = b"edge challenge record 1\n"
"""Signed before the entry, so that the signature of something else can never stand for one."""

NAME = re.compile(r"(\d{8})\.json")
FOLDER = "see challenge.folder; `edge challenge verify` says what is wrong with it."
"""What to do where the folder cannot be used."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed.

    Attributes:
        number: 1 for the first of the folder.
        previous: SHA-256 of the entry before, in hex; ``GENESIS`` for the first.
        kind: "begun", "ended" or "skipped".
        wall, wall_ms: when it was written; wall time, for people.
        key: fingerprint of the key that signs.
        data: see docs/challenge.md.
    """

    number: int
    previous: str
    kind: str
    wall: str
    wall_ms: int
    station: str
    lane: int
    key: str
    data: dict[str, Any]

    def canonical(self) -> bytes:
        """Return the bytes that are hashed and signed."""
        values = msgspec.to_builtins(self)
        return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    def sha256(self) -> str:
        """Return its hash, in hex."""
        return hashlib.sha256(self.canonical()).hexdigest()

    @property
    def head(self) -> str:
        """Number and hash, as they are noted elsewhere: "NUMBER:SHA256"."""
        return f"{self.number}:{self.sha256()}"


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file: an entry, its hash, and the signature in base64."""

    entry: Entry
    sha256: str
    signature: str

    def rendered(self) -> bytes:
        """Return the bytes of the file."""
        values = msgspec.to_builtins(self)
        return (json.dumps(values, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


@dataclass(frozen=True)
class RunSummary:
    """A challenge as its entries tell it, or one that was skipped."""

    number: int
    wall_ms: int
    result: str
    operator: str
    pieces: int
    pieces_ok: int
    faults: list[str]


def file_of(folder: Path, number: int) -> Path:
    """Return the file of entry ``number``."""
    return folder / f"{number:08d}.json"


def files_of(folder: Path) -> list[Path]:
    """Return the files of the records, oldest first.  Raises ``ChallengeError`` where the folder cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name))
    except OSError as error:
        raise ChallengeError(f"{folder} cannot be read ({error.strerror}).", FOLDER) from None


def read_document(path: Path) -> Document:
    """Read one file.

    Raises:
        ChallengeError: it cannot be read, or is not exactly what was written.
    """
    try:
        data = path.read_bytes()
        document = msgspec.json.decode(data, type=Document)
    except OSError as error:
        raise ChallengeError(f"{path} cannot be read ({error.strerror}).", FOLDER) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ChallengeError(f"{path} is no record ({error}).", FOLDER) from None
    if document.rendered() != data:  # a key that stands twice, for one, is read as one thing and looks like another
        raise ChallengeError(f"{path} is not as it was written.", FOLDER)
    return document


def read_entry(folder: Path, number: int) -> Entry:
    """Return one entry.  Raises ``ChallengeError`` where there is none, or it cannot be read."""
    return read_document(file_of(folder, number)).entry


def read_runs(folder: Path, limit: int = 100) -> list[RunSummary]:
    """Return the last challenges, ended or skipped, newest first; signatures are not looked at.

    A file that cannot be read is left out, with a line in the log: one bad sector must not hide all the others.

    Raises:
        ChallengeError: the folder cannot be read.
    """
    return list(islice(_runs(folder), limit))


def _runs(folder: Path) -> Iterator[RunSummary]:
    for path in reversed(files_of(folder)):
        try:
            entry = read_document(path).entry
        except ChallengeError as error:
            _log.warning("A challenge's record is left out: %s", error)
            continue
        if entry.kind != "begun":
            yield _summary(entry)


def _summary(entry: Entry) -> RunSummary:
    data = entry.data
    pieces = data.get("pieces", [])
    faulty = {fault["piece"] for fault in data.get("faults", [])}
    fine = sum(piece["part"] is not None and piece["name"] not in faulty for piece in pieces)
    texts = [fault["text"] for fault in data.get("faults", [])]
    result, operator = str(data.get("result", "")), str(data.get("operator", ""))
    return RunSummary(entry.number, entry.wall_ms, result, operator, len(pieces), fine, texts)
