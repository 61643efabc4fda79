"""The key pair that signs challenge records: Ed25519 (RFC 8032), in PEM files that `openssl pkey` reads too."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_MOST_BYTES = 4096
_MAKE = "make a pair with `edge challenge key`."


class Signer:
    """Signs.  The private key shows in no log.

    Attributes:
        fingerprint: of the public key.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.fingerprint = _fingerprint(key.public_key())

    def sign(self, data: bytes) -> bytes:
        """Return the signature of ``data``, 64 bytes."""
        return self._key.sign(data)

    def problem(self, fingerprint: str, signature: bytes, data: bytes) -> str:
        """Return what is wrong with a signature of this key, or ""; of another key's it can say nothing."""
        return "" if fingerprint != self.fingerprint else _problem(self._key.public_key(), signature, data)


class Verifier:
    """Knows the public keys that may have signed.

    Args:
        paths: of `.pub` files, one a key that was ever used.

    Raises:
        ConfigError: a file holds no such key.
        MissingExtra: the library is not installed.
    """

    def __init__(self, paths: list[Path]) -> None:
        keys = [_read_public(path) for path in paths]
        self._keys = {_fingerprint(key): key for key in keys}

    def problem(self, fingerprint: str, signature: bytes, data: bytes) -> str:
        """Return what is wrong with a signature, or ""."""
        key = self._keys.get(fingerprint)
        if key is None:
            return f"signed with key {fingerprint}, which was not given"
        return _problem(key, signature, data)


def write_pair(path: Path) -> tuple[Path, str]:
    """Write a new private key to ``path``, mode 0600, and its public key beside it; return that path and fingerprint.

    Raises:
        ConfigError: one of the files is there (no key is overwritten), or cannot be written.
        MissingExtra: the library is not installed.
    """
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        raise MissingExtra("cryptography", "challenge") from None
    key, public = Ed25519PrivateKey.generate(), path.with_name(f"{path.name}.pub")
    pem, raw = serialization.Encoding.PEM, serialization.NoEncryption()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, raw), 0o600)
        try:
            _create(public, key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo), 0o644)
        except OSError:
            path.unlink(missing_ok=True)  # half a pair is none
            raise
    except FileExistsError as error:
        raise ConfigError(f"{error.filename} exists.", "choose another name; no key is overwritten.") from None
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}.", "choose another folder.") from None
    return public, _fingerprint(key.public_key())


def read_signer(path: Path) -> Signer:
    """Read a private key.

    Raises:
        ConfigError: it cannot be read, others than its owner may read it, or it is no such key.
        MissingExtra: the library is not installed.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise MissingExtra("cryptography", "challenge") from None
    data, mode = _read(path)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{path} has mode {mode:04o}: others may sign.", "chmod 600 it, and make a new key.")
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError):  # no PEM, or encrypted: nobody is there to give the password
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} is no unencrypted Ed25519 private key in PEM.", _MAKE)
    return Signer(key)


def _read_public(path: Path) -> Ed25519PublicKey:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise MissingExtra("cryptography", "challenge") from None
    try:
        key = load_pem_public_key(_read(path)[0])
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path} is no Ed25519 public key in PEM.", _MAKE)
    return key


def _problem(key: Ed25519PublicKey, signature: bytes, data: bytes) -> str:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, data)
    except InvalidSignature:
        return "the signature does not fit"
    return ""


def _fingerprint(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _read(path: Path) -> tuple[bytes, int]:
    """Return a small file's contents, and its permissions."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # a FIFO would wait
            return file.read(_MOST_BYTES), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}).", _MAKE) from None


def _create(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise
