"""CURVE key pairs of the signal path (https://rfc.zeromq.org/spec/26/), in files.

A pair is two files: ``NAME.key``, which only its process may read, and ``NAME.pub``, which anybody may.  Keys are
written as Z85 text, 40 characters (https://rfc.zeromq.org/spec/32/).
"""

from __future__ import annotations

import os
import re
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import zmq

from edge.config import SecurityConfig
from edge.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""Of a key pair, since files are named after it."""

_Z85 = r"^[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}$"
_MOST_BYTES = 1 << 20
_UNREADABLE = stat.S_IRWXG | stat.S_IRWXO

Key = Annotated[str, msgspec.Meta(pattern=_Z85)]
_File = TypeVar("_File")


@dataclass(frozen=True)
class KeyPair:
    """A CURVE key pair, Z85.  The secret half shows in no log."""

    public: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class ClientKeys:
    """What a station needs to be let in, and to know that it speaks to its gateway, whose public key is ``server``."""

    own: KeyPair
    server: str


class _SecretFile(msgspec.Struct, forbid_unknown_fields=True):
    public: Key
    secret: Key


class _PublicFile(msgspec.Struct, forbid_unknown_fields=True):
    public: Key


def generate() -> KeyPair:
    """Return a new key pair."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode("ascii"), secret.decode("ascii"))


def write_pair(pair: KeyPair, name: str, folder: Path) -> tuple[Path, Path]:
    """Write ``NAME.key``, mode 0600 from the first moment on, and ``NAME.pub``; return both paths.

    Raises:
        ConfigError: a file of that name is there (no key is overwritten), or none can be written.
    """
    if not re.fullmatch(NAME, name):
        raise ConfigError(f"{name!r} cannot name a key.", "use letters, digits, dots, dashes and underscores.")
    secret, public = folder / f"{name}.key", folder / f"{name}.pub"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _create(secret, f"# Secret key of {name}. Whoever reads it can speak in its name.\n", pair, 0o600)
        try:
            _create(public, f"# Public key of {name}.\n", pair, 0o644)
        except OSError:
            secret.unlink(missing_ok=True)  # half a pair is none
            raise
    except FileExistsError as error:
        raise ConfigError(f"{error.filename} exists.", "remove it first, or choose another name.") from None
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}.", "choose another folder.") from None
    return secret, public


def _create(path: Path, head: str, pair: KeyPair, mode: int) -> None:
    text = f'{head}public = "{pair.public}"\n' + (f'secret = "{pair.secret}"\n' if mode == 0o600 else "")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)  # half a key is none
        raise


def read_secret(path: Path) -> KeyPair:
    """Read a ``.key`` file.

    Raises:
        ConfigError: it cannot be read, others than its owner may read it, or it is no pair.
    """
    data, status = read_file(path)
    if status.st_uid not in (0, os.geteuid()):
        raise ConfigError(f"{path} belongs to user {status.st_uid}.", f"chown it to user {os.geteuid()}, who reads it.")
    if status.st_mode & _UNREADABLE:
        mode = stat.S_IMODE(status.st_mode)
        raise ConfigError(f"{path} has mode {mode:04o}: others may use the key.", "chmod 600 it, and make a new key.")
    found = parse_file(data, path, _SecretFile)
    if _public_half(found.secret, path) != found.public:
        raise ConfigError(f"{path}: the two halves do not belong together.", "make a new pair with `edge keys new`.")
    return KeyPair(found.public, found.secret)


def _public_half(secret: str, path: Path) -> str:
    try:
        return str(zmq.curve_public(secret.encode()).decode())
    except zmq.ZMQError:
        raise ConfigError(f"{path} holds no key.", "make a new pair with `edge keys new`.") from None


def read_public(path: Path) -> str:
    """Read a ``.pub`` file.

    Raises:
        ConfigError: it cannot be read, others may change it, or it holds no key.
    """
    data, status = read_file(path)
    refuse_foreign(path, status)
    public = parse_file(data, path, _PublicFile).public
    _public_half(public, path)  # any key will do for a secret one: libzmq says whether it is Z85
    return public


def refuse_foreign(path: Path, status: os.stat_result) -> None:
    """Raise ``ConfigError`` where others than root and this user may change a file that says whom to trust."""
    mode = stat.S_IMODE(status.st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"{path} has mode {mode:04o}: others may let themselves in.", "chmod go-w it.")
    if status.st_uid not in (0, os.geteuid()):
        raise ConfigError(f"{path} belongs to user {status.st_uid}, who may let himself in.", "chown it to root.")


def client_keys(security: SecurityConfig) -> ClientKeys | None:
    """Return the keys that a station's configuration names, or None where it names none.

    Raises:
        ConfigError: a file cannot be used.
    """
    if security.key is None or security.server_key is None:
        return None
    return ClientKeys(read_secret(Path(security.key)), read_public(Path(security.server_key)))


def read_file(path: Path) -> tuple[bytes, os.stat_result]:
    """Return a file's contents, and the status of what was read, not of what may lie there by now.

    Raises:
        ConfigError: it cannot be read, or is no file of at most 1 MiB.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # a FIFO would wait
            status = os.fstat(file.fileno())
            data = file.read(_MOST_BYTES + 1) if stat.S_ISREG(status.st_mode) else None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}).", "make it with `edge keys`.") from None
    if data is None or len(data) > _MOST_BYTES:
        raise ConfigError(f"{path} is no file of at most {_MOST_BYTES} bytes.", "use a file made by `edge keys`.")
    return data, status


def parse_file(data: bytes, path: Path, kind: type[_File]) -> _File:
    """Return TOML as ``kind``.  Raises ``ConfigError`` where it is none; the error does not show what may be secret."""
    try:
        values: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
        return msgspec.convert(values, kind)
    except (ValueError, RecursionError, MemoryError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}.", "use a file made by `edge keys`.") from None
