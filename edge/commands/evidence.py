"""What `edge evidence` does: lists, shows and verifies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from edge.commands.journal import wall
from edge.errors import EvidenceError
from edge.record.annotations import Annotations, Mark
from edge.record.evidence.reader import Evidence, Picture
from edge.record.evidence.schema import REASONS

PartKey = tuple[str, int, int, int]
"""Station, session, part; and without a session (0), under which numbers come again, the record's wall-clock ms."""

_PAGE = 500
SUFFIXES = (".jpg", ".png")

HEADING = (
    f"{'id':>8} {'wall clock (UTC)':24} {'session':>10} {'part':>10} {'outcome':11} {'cause':16} {'class':16} "
    f"{'score':>5} {'reason':11} file"
)


@dataclass(frozen=True)
class Wanted:
    """Which pictures: bounds in wall-clock ms, and what they must show; "" and None: any."""

    since_ms: int | None = None
    until_ms: int | None = None
    cls: str = ""
    outcome: str = ""
    reason: str = ""


def check_words(outcome: str, reason: str) -> None:
    """Check the words of a filter.

    Raises:
        EvidenceError: no picture can have one of them.
    """
    for word, known in ((outcome, ("PASS", "REJECT", "NO_DECISION")), (reason, REASONS)):
        if word and word not in known:
            raise EvidenceError(f"{word!r} is none of {', '.join(known)}.", "correct it.")


def pictures(evidence: Evidence, wanted: Wanted, limit: int | None = None) -> Iterator[Picture]:
    """Return pictures, newest first; the first ``limit`` of them."""
    return islice(_pages(evidence, wanted), limit)


def _pages(evidence: Evidence, wanted: Wanted) -> Iterator[Picture]:
    before: int | None = None
    while page := evidence.search(**asdict(wanted), before_id=before, limit=_PAGE):
        yield from page
        before = page[-1].id


def render(picture: Picture) -> str:
    """Return a picture as one line for people."""
    score = "" if picture.score is None else f"{picture.score:.2f}"
    return (
        f"{picture.id:>8} {wall(picture.wall_ms):24} {picture.session:>10} {picture.part:>10} {picture.outcome:11} "
        f"{picture.cause:16} {picture.cls:16} {score:>5} {picture.reason:11} {picture.file}"
    )


def as_json(picture: Picture) -> str:
    """Return a picture as one JSON object, its wall-clock time in words too."""
    return msgspec.json.encode({"wall": wall(picture.wall_ms), **asdict(picture)}).decode()


def named(evidence: Evidence, name: str) -> Picture:
    """Return the picture that ``name`` means: its id, or SESSION/PART.

    Raises:
        EvidenceError: there is none, or the name is neither.
    """
    session, slash, part = name.rpartition("/")
    if not part.isdigit() or (slash and not session.isdigit()):
        raise EvidenceError(
            f"{name!r} names no picture.", "give its id, or SESSION/PART, as `edge evidence list` does."
        )
    found = evidence.find(int(session), int(part)) if slash else evidence.get(int(part))
    if found is None:
        raise EvidenceError(f"There is no picture {name}.", "it may have had its time; see `edge evidence list`.")
    return found


def marks_of(annotations: Path | None) -> dict[PartKey, Mark]:
    """Return what people said of parts; empty without a file."""
    if annotations is None:
        return {}
    reader = Annotations(annotations, read_only=True)
    try:
        return {_key(mark.station, mark.session, mark.part, mark.part_ms): mark for mark in reader.all_marks()}
    finally:
        reader.close()


def mark_on(picture: Picture, marks: dict[PartKey, Mark]) -> Mark | None:
    """Return what somebody said of a picture's part."""
    return marks.get(_key(picture.station, picture.session, picture.part, picture.wall_ms))


def _key(station: str, session: int, part: int, wall_ms: int) -> PartKey:
    return station, session, part, 0 if session else wall_ms


def shown(evidence: Evidence, picture: Picture, marks: dict[PartKey, Mark]) -> dict[str, Any]:
    """Return all that is known of a picture, as JSON values."""
    mark = mark_on(picture, marks)
    path = str(evidence.path(picture))
    return {"id": picture.id, "path": path, **evidence.sidecar(picture), "mark": None if mark is None else asdict(mark)}


# -- verify -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verified:
    """How many pictures an evidence folder has, and what is wrong with some."""

    pictures: int
    problems: tuple[str, ...]

    def refuse(self) -> None:
        """Raise where something is wrong.

        Raises:
            EvidenceError: it is.
        """
        if self.problems:
            raise EvidenceError(
                f"{len(self.problems)} pictures are missing, changed or unknown.",
                "restore them from a copy; what only lacks its row gets one where the station starts without an index.",
            )


def verify(folder: Path) -> Verified:
    """Compare every picture with its sidecar's SHA-256, and the files with the index.

    Raises:
        EvidenceError: there is no index, or it cannot be read.
    """
    evidence = Evidence(folder)
    try:
        seen, problems = set[str](), list[str]()
        for picture in pictures(evidence, Wanted()):
            seen.add(picture.file)
            problem = _problem(evidence, picture)
            if problem and evidence.get(picture.id) is not None:  # else it has just had its time
                problems.append(f"{picture.file}: {problem}")
        for path in sorted(folder.glob("*/*/*")):
            file = path.relative_to(folder).as_posix()
            if path.suffix in SUFFIXES and file not in seen and not _came_meanwhile(evidence, file):
                problems.append(f"{file}: is not in the index")
        return Verified(len(seen), tuple(problems))
    finally:
        evidence.close()


def _problem(evidence: Evidence, picture: Picture) -> str:
    try:
        told = evidence.sidecar(picture)
        data = evidence.path(picture).read_bytes()
    except EvidenceError as error:
        return error.problem
    except OSError as error:
        return str(error.strerror)
    wanted = told.get("picture", {}).get("sha256")
    return "" if hashlib.sha256(data).hexdigest() == wanted else "is not the picture that was written"


def _came_meanwhile(evidence: Evidence, file: str) -> bool:
    """True for a picture that its station wrote while the folder was looked through."""
    numbers = Path(file).stem.split("-")[:2]
    if len(numbers) != 2 or not all(number.isdigit() for number in numbers):
        return False
    found = evidence.find(int(numbers[0]), int(numbers[1]))
    return found is not None and found.file == file
