"""Names of pictures and classes: natural order, numbered series, spellings of one name."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DIGITS = re.compile(r"(\d+)")
_NUMBERED = re.compile(r"(.*?)(\d+)$")


def natural(name: str) -> tuple[tuple[str, int], ...]:
    """Sort key in which `a_2` comes before `a_10`: pairs of a text and the number behind it."""
    parts = _DIGITS.split(name)
    numbers = [int(digits) for digits in parts[1::2]] + [-1]
    return tuple(zip(parts[::2], numbers, strict=True))


def series(name: str) -> str:
    """The name without its final number: pictures `a/scratch_1` and `a/scratch_2` are of the series `a/scratch_`."""
    match = _NUMBERED.match(name)
    return match.group(1) if match else name


def number(name: str) -> int | None:
    """The final number of a name; None without one."""
    match = _NUMBERED.match(name)
    return int(match.group(2)) if match else None


def spelling(cls: str) -> str:
    """What is left of a class name without case, spaces, underscores, hyphens and an English plural's ending."""
    letters = re.sub(r"[\s_-]+", "", cls).casefold()
    if letters.endswith(("ches", "shes", "xes", "sses", "zes")):
        return letters[:-2]
    return letters[:-1] if letters.endswith("s") and not letters.endswith("ss") else letters


def spelled_alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of at least two different names that `spelling` cannot tell apart, in order."""
    groups: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        groups.setdefault(spelling(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]
