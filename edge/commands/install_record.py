"""What `edge install` has made on a machine, so that `edge uninstall` undoes exactly that."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from edge.errors import InstallError

RECORD = PurePosixPath("/var/lib/edge/install.json")

Kind = Literal["file", "config", "folder", "data", "cache", "key", "user", "group"]
"""``config``: a file that is the plant's own from then on.  ``data``: a folder whose content is the plant's record.
``cache``: a folder whose content nobody misses."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that was made.

    Attributes:
        kind: what it is.
        path: on the machine; the name of a user or group.
        line: whose it is, or "" where all lines share it.
        sha256: of a file's content, as it was written.
    """

    kind: Kind
    path: str
    line: str = ""
    sha256: str = ""


class _Book(msgspec.Struct, forbid_unknown_fields=True):
    entries: list[Entry]
    version: Literal[1] = 1


def read(root: Path) -> list[Entry]:
    """Return what was made, oldest first; nothing where there is no record.

    Raises:
        InstallError: the record is damaged.
    """
    file = _file(root)
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Book).entries
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        raise InstallError(f"{file} is damaged ({error}).", "remove by hand what docs/install.md lists.") from None


def write(root: Path, entries: list[Entry]) -> None:
    """Keep the record, at one blow; an empty one is removed.

    Raises:
        InstallError: it cannot be written.
    """
    file = _file(root)
    try:
        if not entries:
            file.unlink(missing_ok=True)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        put(file, msgspec.json.format(msgspec.json.encode(_Book(entries)), indent=1), 0o644)
    except OSError as error:
        raise InstallError(f"{file} cannot be written ({error.strerror}).", "run this as root.") from None


def put(path: Path, data: bytes, mode: int, give: Callable[[Path], None] | None = None) -> None:
    """Write a file so that its old or its new content is there, whatever happens.

    Args:
        path: the file.
        data: its content.
        mode: its permissions.
        give: gives it to its owner, before it is there under its name.

    Raises:
        OSError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if give is not None:
        give(beside)
    beside.replace(path)


def _file(root: Path) -> Path:
    return root / RECORD.relative_to("/")
