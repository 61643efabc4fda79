"""Change single values of a TOML file, and nothing else of it: comments, order and spacing stay.

The text is edited line by line, and then parsed: unless it means the old file with exactly the new values, nothing is
written.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Values = Mapping[tuple[str, str], float]
"""By (table, key)."""

_HEADER = re.compile(r"\s*\[\s*([A-Za-z0-9_-]+)\s*\]\s*(#.*)?$")
_ANY_HEADER = re.compile(r"\s*\[")
_KEY = re.compile(r"(\s*([A-Za-z0-9_-]+)\s*=\s*)([^#]*?)(\s*(?:#.*)?)$")


def edited(text: str, values: Values, origin: str) -> str:
    """Return ``text`` with ``values`` in their places; missing keys and tables are added.

    Raises:
        ConfigError: the text is no TOML, or is written so that it cannot be edited line by line; ``origin`` names it.
    """
    wanted = meaning(text, origin)
    for (table, key), value in values.items():
        section = wanted.setdefault(table, {})
        if not isinstance(section, dict):
            raise ConfigError(f"{origin}: {table} is no table.", f"make it [{table}].")
        section[key] = value
    lines = text.splitlines()
    for (table, key), value in values.items():
        _put(lines, table, key, repr(value))
    end = "\r\n" if "\r\n" in text else "\n"
    result = end.join([*lines, ""])
    try:
        as_wanted = tomllib.loads(result) == wanted
    except tomllib.TOMLDecodeError:
        as_wanted = False
    if not as_wanted:
        names = ", ".join(f"{table}.{key} = {value!r}" for (table, key), value in values.items())
        raise ConfigError(
            f"{origin}: its tables are not written as [table] with one key a line, so they are not edited.",
            f"enter {names} by hand.",
        )
    return result


def _put(lines: list[str], table: str, key: str, value: str) -> None:
    """Replace or add one value in ``lines``."""
    inside = False
    last = -1  # the table's last line with a key, or its header
    for n, line in enumerate(lines):
        if _ANY_HEADER.match(line):
            header = _HEADER.match(line)
            inside = header is not None and header[1] == table
            last = n if inside else last
        elif inside and (found := _KEY.match(line)):
            last = n
            if found[2] == key:
                lines[n] = f"{found[1]}{value}{_aligned(found[4], len(found[3]) - len(value))}"
                return
    if last < 0:
        lines += ["", f"[{table}]"]
        last = len(lines) - 1
    lines.insert(last + 1, f"{key} = {value}")


def _aligned(comment: str, shorter_by: int) -> str:
    """Keep a comment in its column where there is room."""
    text = comment.lstrip()
    if not text:
        return ""
    return " " * max(1, len(comment) - len(text) + shorter_by) + text


def meaning(text: str, origin: str) -> dict[str, Any]:
    """Return what TOML ``text`` says.  Raises ``ConfigError`` where it is none; ``origin`` names it."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin}: is not TOML: {error}.", "correct that line.") from None


def read(path: Path) -> str:
    """Return the text of a file with its line ends as they are.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).", "give the path of a config file.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text ({error}).", "save it as UTF-8.") from None


def write(path: Path, text: str) -> None:
    """Replace the file at ``path``, or that to which it links, at one blow: a reader sees the old or the new one.

    Raises:
        ConfigError: it cannot be written.
    """
    target = path.resolve()
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        owner = target.stat()
        with beside.open("xb") as file:
            shutil.copymode(target, beside)
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(PermissionError):  # only root may give a file away
            os.chown(beside, owner.st_uid, owner.st_gid)
        beside.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise ConfigError(f"{path}: cannot be written ({error.strerror}).", "check the folder's permissions.") from None
