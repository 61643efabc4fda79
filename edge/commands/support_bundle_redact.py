"""Takes secrets out of what goes into a support bundle: those that are known by value, and those known by their look.

What is known by value comes from the very files that the configurations name.  The archive is searched for these once
more when it is finished (`edge.commands.support_bundle`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel

from edge.config.line import Section

REMOVED = b"(removed)"
SHORTEST = 8
"""Bytes of a secret that is searched for by value: anything shorter would be found everywhere."""
_MOST_BYTES = 1 << 20

SECRET_FILES = frozenset({"key", "users", "signing_key"})
"""Configuration keys that name files whose content nobody else may know."""

_LONG = (
    rb"(?:pass(?:word|wd|phrase)|pwd|secret|token|api[_-]?key|private[_-]?key|credentials?|session[_-]?id|csrf"
    rb"|authorization|cookie)[\w.-]{0,100}"
)
"""A name from its telling word on.  What stands before it stays anyway: to search for that, or for an end without
bound, takes the square of a line's length, half an hour for 100 kB of base64."""
_SHORT = rb"(?<![^\W_])(?:pass|pin)"
"""Words of our own as well: "the gate rests in pass: ..."; so only an equals sign makes them names of secrets."""
_BARE = rb"((?:" + _LONG + rb"\s*[:=]|" + _SHORT + rb"\s*=)\s*)"
_NAME = rb"((?:" + _LONG + rb"[\"']?\s*[:=]|" + _SHORT + rb"[\"']?\s*=)\s*)"
_OPTION = rb"((?:^|(?<=\s))--?[\w.-]*(?:" + _LONG + rb"|" + _SHORT + rb")\s+)"


def _after(name: bytes, value: bytes, flags: int = 0) -> re.Pattern[bytes]:
    return re.compile(name + value, re.IGNORECASE | flags)


_PATTERNS: tuple[tuple[re.Pattern[bytes], bytes], ...] = (
    (re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S), REMOVED),
    (re.compile(rb"\A(?:(?!-----BEGIN).)*-----END [A-Z ]*PRIVATE KEY-----", re.S), REMOVED),  # a file's end alone
    (re.compile(rb"\$argon2(?:id|i|d)\$[^\s\"';}\]]+"), REMOVED),  # its parameters have commas between them
    (re.compile(rb"\$(?:2[abxy]|[156y]|scrypt|pbkdf2[\w-]*)\$[^\s\"',;}\]]+"), REMOVED),
    (re.compile(rb"(?i)\bbearer\s+[\w.~+/-]{8,}=*"), REMOVED),
    (re.compile(rb"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), REMOVED),  # a JSON Web Token
    (re.compile(rb"(?<=[A-Za-z0-9+.-])(://)[^/\s:@\"']*:[^/\s\"']+@"), rb"\1" + REMOVED + rb"@"),
    # A CURVE key, 40 characters of Z85, in place of the path of its file.
    (re.compile(rb"(\bkey\s*=\s*[\"'])(?!/)[^\s\"']{40}(?=[\"'])"), rb"\1" + REMOVED),
    (_after(_NAME, rb"(\"{3}|'{3}).*?(?:\2|\Z)", re.DOTALL), rb"\1\2" + REMOVED + rb"\2"),
    (_after(_NAME, rb"\"(?!\"\")(?:[^\"\\\n]|\\.)*\""), rb'\1"' + REMOVED + rb'"'),
    (_after(_NAME, rb"'(?!'')[^'\n]*'"), rb"\1'" + REMOVED + rb"'"),
    (re.compile(rb"(?i)\b((?:authorization|cookie)\s*[:=]\s*)[^\r\n\"']+"), rb"\1" + REMOVED),  # headers
    (_after(_OPTION, rb"[^\s-]\S*"), rb"\1" + REMOVED),
    # To the end of the line: what is not in quotes may be of several words.
    (_after(_BARE, rb"[^\s,;&}\])\"'({\[][^\r\n,;&}\])]*"), rb"\1" + REMOVED),
)
"""Values keep their quotes, and a number behind a quoted name stays: what was JSON or TOML still is."""


class Redactor:
    """Takes secrets out of bytes, whatever their encoding.

    Args:
        secrets: known by value.

    Attributes:
        secrets: those that are long enough to be searched for, longest first.
        removed: how many places were removed so far.
    """

    def __init__(self, secrets: Iterable[bytes] = ()) -> None:
        self.secrets = sorted({s for s in secrets if len(s) >= SHORTEST}, key=len, reverse=True)
        self.removed = 0

    def clean(self, data: bytes) -> bytes:
        """Return ``data`` without secrets."""
        for secret in self.secrets:
            self.removed += data.count(secret)
            data = data.replace(secret, REMOVED)
        for pattern, instead in _PATTERNS:
            data, count = pattern.subn(instead, data)
            self.removed += count
        return data

    def found_in(self, data: bytes) -> bool:
        """True where a secret that is known by value stands in ``data``."""
        return any(secret in data for secret in self.secrets)


def secrets_of(config: Section) -> Iterator[bytes]:
    """Yield what the secret files of a configuration hold, and nobody else may know.

    What is no path is taken for the secret itself, put in the place of its file.
    """
    for value in _secret_files(config):
        try:
            yield from secrets_in(Path(value).read_bytes()[:_MOST_BYTES])
        except OSError:  # what cannot be read cannot get into the bundle either
            if not Path(value).suffix and "/" not in value[:2]:
                yield value.encode()


def secrets_in(data: bytes) -> Iterator[bytes]:
    """Yield the words of a secret file: all but comments, public halves, and what is short."""
    for line in data.splitlines():
        if not line.lstrip().startswith((b"#", b"public")):
            yield from (word for word in re.findall(rb"[^\s\"']+", line) if len(word) >= 2 * SHORTEST)


def _secret_files(config: BaseModel) -> Iterator[str]:
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield from _secret_files(value)
        elif name in SECRET_FILES and isinstance(value, str):
            yield value
