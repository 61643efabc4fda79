"""Checking the records of challenges: whatever was done to the folder since they were written shows."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge.errors import ChallengeError
from edge.record.challenge import DOMAIN, GENESIS, NAME, Document, Entry, files_of, read_document
from edge.record.challenge_keys import Signer, Verifier


@dataclass
class Verified:
    """What a look at the whole chain came to.

    Attributes:
        entries: how many were read.
        head: number and hash of the newest, as "NUMBER:SHA256", or "".
        problems: what is wrong, in words.
    """

    entries: int = 0
    head: str = ""
    problems: list[str] = field(default_factory=list)


def verify(folder: Path, verifier: Verifier, noted: Collection[str] = (), allow_empty: bool = False) -> Verified:
    """Check every file: its form, its signature, its place in the chain.

    Args:
        folder: of the records.
        verifier: knows the keys.
        noted: "NUMBER:SHA256" of records as noted elsewhere, each of which must be there.
        allow_empty: the line is new; else a folder without records is a problem, as an emptied one looks like it.

    Raises:
        ChallengeError: the folder cannot be read.
    """
    found = Verified()
    before: Entry | None = None
    heads: set[str] = set()
    key = ""
    retired: dict[str, int] = {}  # keys, by the entry that replaced them
    for path in files_of(folder):
        found.entries += 1
        try:
            document = read_document(path)
        except ChallengeError as error:
            found.problems.append(error.problem)
            before = None  # what follows is held against its own number alone
            continue
        entry = document.entry
        if entry.key != key and entry.key not in retired:
            retired[key] = entry.number
            key = entry.key
        problems = [*own_problems(path, document, verifier), *_chain_problems(entry, before, found.entries == 1)]
        if entry.key in retired:
            problems.append(f"signed with key {entry.key}, which entry {retired[entry.key]} replaced")
        found.problems += [f"{path}: {problem}." for problem in problems]
        before, found.head = entry, entry.head
        heads.add(entry.head)
    if not found.entries and not allow_empty:
        found.problems.append(f"{folder}: it holds no record.")
    found.problems += [f"{folder}: record {head} was noted, and is not there." for head in noted if head not in heads]
    strange = [path.name for path in folder.iterdir() if not NAME.fullmatch(path.name) and path.name[0] != "."]
    found.problems += [f"{folder / name}: this is no record." for name in sorted(strange)]
    return found


def own_problems(path: Path, document: Document, verifier: Verifier | Signer) -> Iterator[str]:
    """Return what is wrong with one file by itself: its name, its hash, its signature."""
    entry = document.entry
    if int(path.stem) != entry.number:
        yield f"it holds entry {entry.number}"
    if document.sha256 != entry.sha256():
        yield "its hash does not fit"
    try:
        signature = base64.b64decode(document.signature, validate=True)
    except (binascii.Error, ValueError):
        yield "its signature cannot be read"
    else:
        if problem := verifier.problem(entry.key, signature, DOMAIN + entry.canonical()):
            yield problem


def _chain_problems(entry: Entry, before: Entry | None, first: bool) -> Iterator[str]:
    if first and (entry.number, entry.previous) != (1, GENESIS):
        yield f"it is the first file and holds entry {entry.number}: those before it are gone"
    elif first and entry.kind == "ended":
        yield "it ends a challenge that never began"
    if before is None:
        return
    if entry.number != before.number + 1:
        yield f"entry {entry.number} follows entry {before.number}"
    elif entry.previous != before.sha256():
        yield f"it does not continue entry {before.number}"
    if (entry.station, entry.lane) != (before.station, before.lane):
        yield f"it is of station {entry.station}, lane {entry.lane}, and the one before is not"
    if (before.kind == "begun") != (entry.kind == "ended"):
        yield f"{entry.kind!r} follows {before.kind!r}"
