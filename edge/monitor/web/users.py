"""Who may log in: names and argon2id hashes in a TOML file that `edge users` writes and a running monitor takes up."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.errors import ConfigError
from edge.wire import unix

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME = re.compile(r"\w[\w.@ -]{0,62}\w|\w")
SHORTEST = 10
"""Characters of a password, at least."""

LONGEST = 200

HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""Argon2id with 19 MiB and two passes: the first choice of the OWASP Password Storage Cheat Sheet.  The memory is
taken while one password is looked at, and one is at a time."""


_WRITABLE = "see its folder, and who may write there."

_log = logging.getLogger(__name__)


class _User(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern=rf"^({NAME.pattern})$")]
    hash: Annotated[str, Field(pattern=r"^\$argon2id\$[\x21-\x7e]+$")]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user: list[_User] = []

    @model_validator(mode="after")
    def _each_once(self) -> _File:
        if len({user.name for user in self.user}) < len(self.user):
            raise ValueError("a name is there twice")
        return self


class Users:
    """The users of a monitor, as the file says; ``refresh`` reads it again when it has changed.

    A file that becomes unusable lets nobody in: its owner wanted a change, and what he wanted is unknown.

    Args:
        path: of the file; None: nobody may log in.

    Raises:
        ConfigError: the file is there and cannot be used.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._nobody = HASHER.hash(secrets.token_hex())
        self._seen = self._stamp()
        self._hashes = read(path) if path is not None else {}

    def __bool__(self) -> bool:
        """Whether anybody may log in."""
        return bool(self._hashes)

    def refresh(self) -> None:
        """Read the file again where it has changed.  Waits for the disk."""
        seen = self._stamp()
        if seen == self._seen or self._path is None:
            return
        self._seen = seen
        try:
            self._hashes = read(self._path)
        except ConfigError as error:
            self._hashes = {}
            _log.error("Nobody may log in any more: %s", error)

    def check(self, name: str, password: str) -> bool:
        """Say whether the password is the user's.  Takes as long for a name that nobody has."""
        known = self._hashes.get(name)
        try:
            return HASHER.verify(known or self._nobody, password) and known is not None
        except (VerificationError, InvalidHashError):
            return False

    def token(self, name: str) -> str:
        """Return what changes when the user's password does; "" for a name that nobody has (any more)."""
        return self._hashes.get(name, "")

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = self._path.stat() if self._path is not None else None
        except OSError:
            found = None
        return () if found is None else (found.st_ino, found.st_mtime_ns, found.st_size)


def read(path: Path) -> dict[str, str]:
    """Return the hashes in a file by user; none where there is no file.

    Raises:
        ConfigError: it cannot be used.
    """
    try:
        found = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigError(f"{path}: is no file of users ({error}).", "write it with `edge users add`.") from None
    return {user.name: user.hash for user in found.user}


def add(path: Path, name: str, password: str) -> bool:
    """Add a user, or change the password of one.  True for a new one.

    Raises:
        ConfigError: name or password cannot be used, or the file cannot be written.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be a user's name.", "use 1 to 64 letters, digits, and . _ @ - or blanks between them."
        )
    if not SHORTEST <= len(password) <= LONGEST:
        raise ConfigError(
            f"A password of {len(password)} characters cannot be used.", f"use {SHORTEST} to {LONGEST} characters."
        )
    with _alone(path):
        hashes = read(path)
        new = name not in hashes
        _write(path, {**hashes, name: HASHER.hash(password)})
    return new


def remove(path: Path, name: str) -> None:
    """Remove a user; whoever is logged in under that name is no more.

    Raises:
        ConfigError: there is no such user, or the file cannot be written.
    """
    with _alone(path):
        hashes = read(path)
        if name not in hashes:
            raise ConfigError(f"{path}: has no user {name!r}.", f"see `edge users list --file {path}`.")
        _write(path, {other: hash_ for other, hash_ in hashes.items() if other != name})


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep others from changing the file meanwhile."""
    try:
        with unix.alone(path, "file"):
            yield
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}).", _WRITABLE) from None


def _write(path: Path, hashes: dict[str, str]) -> None:
    """Replace the file at once; an old one's owner and mode stay."""
    lines = ["# Written by `edge users`.  Hashes are argon2id.\n"]
    lines += [
        f"\n[[user]]\nname = {json.dumps(name, ensure_ascii=False)}\nhash = {json.dumps(hash_)}\n"
        for name, hash_ in hashes.items()
    ]
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            with suppress(FileNotFoundError):
                old = path.stat()
                os.fchown(descriptor, old.st_uid, old.st_gid)
                os.fchmod(descriptor, old.st_mode & 0o777)
            file.writelines(lines)
            file.flush()
            os.fsync(descriptor)
        if read(draft) != hashes:
            raise ConfigError(f"{path}: these users cannot be written so that they can be read.", "use other names.")
        draft.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}).", _WRITABLE) from None
    finally:
        draft.unlink(missing_ok=True)
