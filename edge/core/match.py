"""Which trigger a frame belongs to.  Pure: time and identity are arguments.

Identity is never "the next part".  The eye counts parts and the camera counts frames; while both count, the offset
between the two counters is constant.  It is learnt from frames whose time fits one trigger alone, and from then on
counter and time must agree.  Where they do not, every candidate is ambiguous and the offset is learnt anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge.core.counter import delta, wrap
from edge.core.part import FrameInfo

_SKIPPED = 8
"""Edges of closed parts that are remembered: more than can lie within one window."""


class Kind(Enum):
    """What was found for a frame."""

    MATCHED = "matched"
    HELD = "held"  # no trigger yet; asked again when one comes
    STRAY = "stray"  # belongs to no open part
    AMBIGUOUS = "ambiguous"  # every candidate must end without a decision
    UNSYNCHRONISED = "unsynchronised"  # one candidate, but the offset is not yet trusted


@dataclass(frozen=True)
class Match:
    """The answer for one frame: the parts concerned (exactly one where matched)."""

    kind: Kind
    info: FrameInfo
    parts: tuple[int, ...] = ()


class Matcher:
    """Pairs frames with triggers.

    Args:
        early_ns, late_ns: a frame's stamp (exposure, else arrival) lies in [T0 - early, T0 + late].
        sync_pairs: how many agreeing pairs, one after the other, make the offset trusted.
        hold: how many frames may wait for a trigger that is still on its way.
    """

    def __init__(self, early_ns: int, late_ns: int, sync_pairs: int, hold: int = 4) -> None:
        self._early, self._late, self._sync_pairs, self._hold = early_ns, late_ns, sync_pairs, hold
        self._waiting: dict[int, int] = {}  # part number -> T0, for parts that still lack a frame
        self._skipped: dict[int, int] = {}  # part number -> T0, of the last parts that were closed as they came
        self._held: list[FrameInfo] = []
        self._highest: int | None = None
        self._offset: int | None = None
        self._candidate: int | None = None  # an offset seen `votes` times in a row, not yet trusted
        self._votes = 0

    @property
    def synchronised(self) -> bool:
        """True while the offset between the counters is trusted."""
        return self._offset is not None

    def resynchronise(self) -> None:
        """Distrust the offset: it is learnt anew."""
        self._offset, self._candidate, self._votes = None, None, 0

    def trigger(self, number: int, t0_ns: int) -> list[Match]:
        """Take a new part; return what is now known of frames that had come before it."""
        self._waiting[number] = t0_ns
        return self._ask_again(number)

    def skip(self, number: int, t0_ns: int | None = None) -> list[Match]:
        """Take a part that needs no frame, as it is closed already: its frame is a stray.

        Args:
            number: of the part.
            t0_ns: of its edge, or None where that is lost too.

        Returns:
            What is now known of frames that had come before.
        """
        if t0_ns is not None:
            self._skipped[number] = t0_ns
            if len(self._skipped) > _SKIPPED:
                del self._skipped[next(iter(self._skipped))]
        return self._ask_again(number)

    def _ask_again(self, number: int) -> list[Match]:
        self._highest = number
        held, self._held = self._held, []
        return [m for info in held if (m := self.frame(info)).kind is not Kind.HELD]

    def forget(self, number: int) -> None:
        """Note that a part needs no frame any more: it has one, or is closed."""
        self._waiting.pop(number, None)

    def expire(self, before_ns: int) -> list[FrameInfo]:
        """Give up held frames that were complete before ``before_ns``."""
        if not self._held:
            return []
        gone = [info for info in self._held if info.t1_ns < before_ns]
        self._held = [info for info in self._held if info.t1_ns >= before_ns]
        return gone

    def frame(self, info: FrameInfo) -> Match:
        """Find the part of one frame.  A part that is named in the answer waits for no further frame."""
        match = self._find(info)
        for number in match.parts:
            self.forget(number)
        return match

    def _find(self, info: FrameInfo) -> Match:
        stamp = info.t1_ns if info.exposed_ns is None else info.exposed_ns
        fits = self._fitting(self._waiting, stamp)
        skipped = self._fitting(self._skipped, stamp) if self._skipped else []
        if self._offset is None:
            if not skipped:
                return self._learn(info, fits)
            self._candidate, self._votes = None, 0
            return Match(Kind.AMBIGUOUS if fits else Kind.STRAY, info, tuple(fits))
        expected = wrap(info.counter + self._offset)
        if expected in fits:
            return Match(Kind.MATCHED, info, (expected,))
        if expected in skipped:
            return Match(Kind.STRAY, info)
        if fits or expected in self._waiting:  # counter and time contradict each other
            self.resynchronise()
            return Match(Kind.AMBIGUOUS, info, tuple(dict.fromkeys([*fits, *self._known(expected)])))
        return self._later_or_stray(info, expected)

    def _fitting(self, parts: dict[int, int], stamp: int) -> list[int]:
        return [n for n, t0 in parts.items() if -self._early <= stamp - t0 <= self._late]

    def _learn(self, info: FrameInfo, fits: list[int]) -> Match:
        if not fits:
            return self._hold_or_stray(info)
        if len(fits) > 1:
            self._candidate, self._votes = None, 0
            return Match(Kind.AMBIGUOUS, info, tuple(fits))
        offset = wrap(fits[0] - info.counter)
        self._votes = self._votes + 1 if offset == self._candidate else 1
        self._candidate = offset
        if self._votes < self._sync_pairs:
            return Match(Kind.UNSYNCHRONISED, info, (fits[0],))
        self._offset = offset
        return Match(Kind.MATCHED, info, (fits[0],))

    def _later_or_stray(self, info: FrameInfo, expected: int) -> Match:
        if self._highest is not None and delta(expected, self._highest) <= 0:
            return Match(Kind.STRAY, info)  # its part is closed
        return self._hold_or_stray(info)

    def _hold_or_stray(self, info: FrameInfo) -> Match:
        if len(self._held) >= self._hold:
            return Match(Kind.STRAY, info)
        self._held.append(info)
        return Match(Kind.HELD, info)

    def _known(self, number: int) -> list[int]:
        return [number] if number in self._waiting else []
