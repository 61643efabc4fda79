"""The classes of a YOLO data set: `names` of data.yaml, or a line each in classes.txt or obj.names.

Of YAML only this one key is read, in its four usual forms; nothing of the file is executed, and no YAML library is
needed.
"""

from __future__ import annotations

import re
from pathlib import Path

from edge.errors import DatasetError

_LISTS = ("classes.txt", "labels/classes.txt", "obj.names")
_YAMLS = ("data.yaml", "data.yml", "dataset.yaml")
_KEY = re.compile(r"names\s*:\s*(.*)")
_ITEM = re.compile(r"-\s+(.*)")
_PAIR = re.compile(r"(\d+)\s*:\s*(.*)")
_SCALAR = r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|[^\[\]{},]+"""
_COMMENT = re.compile(r"""^((?:'[^']*'|"[^"]*"|[^'"#]|(?<=\S)#)*?)\s*(?:(?:^|(?<=\s))#.*)?$""")


def find(folder: Path) -> Path | None:
    return next((folder / name for name in _YAMLS + _LISTS if (folder / name).is_file()), None)


def read(folder: Path) -> tuple[str, ...]:
    """Classes in the order of their indices.  Raises errors.DatasetError: no such file, or one without usable names."""
    path = find(folder)
    if path is None:
        raise DatasetError(
            f"{folder} has no data.yaml or classes.txt that names its classes.", "Write classes.txt, a class a line."
        )
    try:
        text = path.read_text(encoding="utf-8")
        names = (
            parse_yaml_names(text)
            if path.name in _YAMLS
            else [line.strip() for line in text.splitlines() if line.strip()]
        )
        if not names or not all(names):
            raise ValueError("it names no classes")
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: {error}.", "Write classes.txt, a class a line, in its place.") from error
    return tuple(names)


def parse_yaml_names(text: str) -> list[str]:
    """Value of the top-level key `names`: a block or flow sequence, or a block or flow mapping from 0, 1, 2...

    Raises:
        ValueError: no such key, or a value of another form.
    """
    lines = [match.group(1) if (match := _COMMENT.match(line)) else line for line in text.splitlines()]
    for place, line in enumerate(lines):
        key = _KEY.match(line)
        if key:
            return _flow(" ".join([key.group(1), *lines[place + 1 :]])) if key.group(1) else _block(lines[place + 1 :])
    raise ValueError("it has no key 'names'")


def _block(lines: list[str]) -> list[str]:
    entries: list[str] = []
    for line in lines:
        if not line.strip():
            continue
        if not line.startswith((" ", "-")):
            break
        item, pair = _ITEM.match(line.strip()), _PAIR.match(line.strip())
        if pair and int(pair.group(1)) == len(entries):
            entries.append(_unquoted(pair.group(2)))
        elif item:
            entries.append(_unquoted(item.group(1)))
        else:
            raise ValueError(f"line {line.strip()!r} below 'names' is not the next class")
    return entries


def _flow(text: str) -> list[str]:
    match = re.match(rf"\[((?:\s|,|{_SCALAR})*)\]|\{{((?:\s|,|{_SCALAR})*)\}}", text)
    if match is None:
        raise ValueError("the value of 'names' is neither a list nor a mapping")
    inside = match.group(1) if match.group(1) is not None else match.group(2)
    scalars = [scalar.strip() for scalar in re.findall(_SCALAR, inside) if scalar.strip()]
    if match.group(1) is not None:
        return [_unquoted(scalar) for scalar in scalars]
    return _mapping(scalars)


def _mapping(scalars: list[str]) -> list[str]:
    names: list[str] = []
    for scalar in scalars:
        pair = _PAIR.match(scalar)
        if pair is None or int(pair.group(1)) != len(names):
            raise ValueError(f"{scalar!r} of 'names' is not 'index: class' with the next index")
        names.append(_unquoted(pair.group(2)))
    return names


def _unquoted(scalar: str) -> str:
    text = scalar.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text
