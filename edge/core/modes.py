"""Modes of a lane: who may be permitted, and whether parts are let in."""

from __future__ import annotations

from enum import Enum


class Mode(str, Enum):
    """How the lane is run.  A change of mode carries a fence."""

    AUTO = "auto"
    INSPECT_ONLY = "inspect-only"
    BYPASS = "bypass"
    JOG = "jog"
    PURGE = "purge"

    @property
    def text(self) -> str:
        """What the mode does, in words."""
        return _TEXTS[self]

    @property
    def admits(self) -> bool:
        """True where a station may hold the lane."""
        return self in (Mode.AUTO, Mode.INSPECT_ONLY)

    @property
    def feeds(self) -> bool:
        """True where parts may be let in."""
        return self in (Mode.AUTO, Mode.INSPECT_ONLY, Mode.BYPASS)


_TEXTS = {
    Mode.AUTO: "a part with a timely PASS passes, every other is rejected",
    Mode.INSPECT_ONLY: "parts are inspected and recorded, and all are rejected",
    Mode.BYPASS: "every part passes, uninspected; needs accept_escapes = true",
    Mode.JOG: "no part is let in, and none passes: for moving the belt by hand",
    Mode.PURGE: "no part is let in, and what is on the belt is rejected: for emptying the line",
}
