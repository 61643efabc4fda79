"""The gateway's allow-list: which public key may speak for which station and lane, and nobody else.

The file is TOML, one ``[[allow]]`` with ``key``, ``station`` and ``lane`` for each key; `edge keys` writes it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

import msgspec

from edge.clock import NS_PER_S, now_ns
from edge.errors import ConfigError
from edge.wire import unix
from edge.wire.keys import Key, KeyPair, parse_file, read_file, refuse_foreign

_log = logging.getLogger(__name__)

TOKEN_BYTES = 16
POLL_S = 0.2
PATIENCE = 3
"""Looks in a row at which a list may be unusable, as while an editor writes it, before nobody is let in any more."""

STALE_NS = 2 * NS_PER_S
"""A list that was not looked at for so long, as behind a disk that stands still, lets nobody speak."""


@dataclass(frozen=True)
class Binding:
    """A public key, and the station and lane that its holder may speak for."""

    key: str
    station: str
    lane: int

    @property
    def token(self) -> bytes:
        """A fingerprint of all three, ``TOKEN_BYTES`` long: it changes with any of them."""
        told = f"{self.key}\n{self.lane}\n{self.station}".encode()
        return hashlib.blake2b(told, digest_size=TOKEN_BYTES).digest()


class Rights:
    """An allow-list as it stands at one moment."""

    def __init__(self, bindings: Iterable[Binding] = ()) -> None:
        self.bindings = tuple(bindings)
        self._by_key = {binding.key: binding for binding in self.bindings}
        self._tokens = {binding.key: binding.token for binding in self.bindings}
        self._by_token = {binding.token: binding for binding in self.bindings}

    def of_key(self, key: str) -> Binding | None:
        """Return what ``key`` is bound to, or None where it is not listed."""
        return self._by_key.get(key)

    def lacks_any_of(self, other: Rights) -> bool:
        """True where somebody who is on ``other`` is not on this list."""
        return not other._by_token.keys() <= self._by_token.keys()

    def token(self, key: str) -> bytes | None:
        """Return the token of what ``key`` is bound to, or None where it is not listed."""
        return self._tokens.get(key)

    def of_token(self, token: bytes) -> Binding | None:
        """Return the binding of a token, or None where it stands no longer."""
        return self._by_token.get(token)


_NOBODY = Rights()


class Allowed(Protocol):
    """Says at any moment who may speak.  Never waits."""

    @property
    def rights(self) -> Rights:
        """The list as it stands."""


@dataclass(frozen=True)
class Fixed:
    """An allow-list that never changes."""

    rights: Rights


@dataclass(frozen=True)
class ServerKeys:
    """What a gateway needs to be known by its stations, and to know who may speak to it."""

    own: KeyPair
    allowed: Allowed


class AllowFile:
    """The allow-list in a file.  A thread looks every ``POLL_S``, so that a revoked key loses its rights at once.

    A list that becomes unusable, or is gone, lets nobody in, and takes the rights of those who are: its owner wanted a
    change, and what he wanted is unknown.  So does one that the thread could not look at for ``STALE_NS``.

    Raises:
        ConfigError: the file cannot be used at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        data, status = read_file(path)
        self._seen: _Seen | None = _seen(data, status)
        self._rights = _parse(path, data, status)
        self._looked_ns = now_ns()
        self._failures = 0
        self._stale = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="allow-list", daemon=True)
        self._thread.start()

    @property
    def rights(self) -> Rights:
        """The list as it was last seen, or nobody where that is too long ago."""
        if now_ns() - self._looked_ns <= STALE_NS:
            self._stale = False
            return self._rights
        if not self._stale:
            self._stale = True
            _log.error("Nobody may speak to the gateway any more: %s cannot be looked at.", self._path)
        return _NOBODY

    def close(self) -> None:
        """End the thread.  One that waits for a stalled disk ends with the process."""
        self._stop.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stop.wait(POLL_S):
            self._renew()
            self._looked_ns = now_ns()

    def _renew(self) -> None:
        try:
            data, status = read_file(self._path)
            seen = _seen(data, status)
            rights = self._rights if seen == self._seen else _parse(self._path, data, status)
        except ConfigError as error:
            self._failures += 1
            if self._failures == PATIENCE:
                _log.error("Nobody may speak to the gateway any more: %s", error)
                self._seen, self._rights = None, _NOBODY
            return
        self._failures = 0
        _tell(self._rights, rights)
        self._seen, self._rights = seen, rights


_Seen = tuple[bytes, int, int]


def _seen(data: bytes, status: os.stat_result) -> _Seen:
    return data, status.st_mode, status.st_uid


def _tell(before: Rights, after: Rights) -> None:
    old, new = set(before.bindings), set(after.bindings)
    for word, changed in (("revoked", old - new), ("allowed", new - old)):
        for binding in sorted(changed, key=lambda b: b.key):
            _log.warning("Key %s for station %r, lane %d: %s.", binding.key, binding.station, binding.lane, word)


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    key: Key
    station: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    lane: Annotated[int, msgspec.Meta(ge=0, le=255)]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    allow: list[_Entry] = []


def read_allowed(path: Path) -> Rights:
    """Read an allow-list.

    Raises:
        ConfigError: it cannot be read, somebody else may write it, or it is none.
    """
    return _parse(path, *read_file(path))


def _parse(path: Path, data: bytes, status: os.stat_result) -> Rights:
    refuse_foreign(path, status)
    entries = parse_file(data, path, _File).allow
    for key, times in Counter(entry.key for entry in entries).items():
        if times > 1:
            raise ConfigError(f"{path}: key {key} is listed twice.", "bind each key to one station; a key for each.")
    return Rights(Binding(entry.key, entry.station, entry.lane) for entry in entries)


def write_allowed(path: Path, bindings: Iterable[Binding]) -> None:
    """Replace an allow-list, wholly or not at all; owner, group and mode stay, comments in it are lost.

    Raises:
        ConfigError: it cannot be written.
    """
    lines = ["# Who may speak to the gateway, for which station and lane. Written by `edge keys`."]
    for b in bindings:
        quoted = json.dumps(b.station, ensure_ascii=False)
        lines.append(f'\n[[allow]]\nkey = "{b.key}"\nstation = {quoted}\nlane = {b.lane}')
    made = None
    try:
        path = path.resolve()  # a link stays one
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        made = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            _dress(file.fileno(), path)
            os.fsync(file.fileno())
        made.replace(path)
        unix.sync(path.parent)
    except OSError as error:
        if made is not None:
            made.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written ({error.strerror}).", "choose a folder of your own.") from None


def change_allowed(path: Path, change: Callable[[tuple[Binding, ...]], Iterable[Binding]]) -> None:
    """Replace an allow-list by what ``change`` makes of it; of two at a time, neither loses the other's change.

    Raises:
        PortBusy: another process changes it.
        ConfigError: it cannot be read or written.
    """
    try:
        path = path.resolve()
        with unix.alone(path, "allow-list"):
            write_allowed(path, change(read_allowed(path).bindings if path.exists() else ()))
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}).", "choose a folder of your own.") from None


def _dress(descriptor: int, path: Path) -> None:
    """Give a new file the owner, group and mode of the one that it replaces."""
    try:
        old = path.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o644)
        return
    new = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
