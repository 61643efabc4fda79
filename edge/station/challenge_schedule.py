"""When the next challenge is due, by what happens to a station."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from edge.clock import NS_PER_S, wall_ns
from edge.config import ChallengeConfig
from edge.core.alarms import ALARMS
from edge.core.challenge import Result
from edge.core.challenge_due import NS_PER_H, NS_PER_MIN, REASONS, Due, shift_began
from edge.record.challenge_archive import Archive

RUNS_NS = 60 * NS_PER_S
"""The line counts as running for this time after a part."""

CLOCK_S = 60
"""By more than this no clock is put right in passing: a challenge that was passed later than that from now is one of
which nobody knows when it was."""


class Schedule:
    """Keeps what makes a challenge due, and whether one was skipped.

    Args:
        config: when it is to be due.
        archive: what was before.
        failed: the last one was not passed.
        local: wall time in the local time zone, for the starts of shifts.

    Attributes:
        skipped: one was skipped, and none has been passed since.
    """

    def __init__(self, config: ChallengeConfig, archive: Archive, failed: bool, local: Callable[[], datetime]) -> None:
        self._config, self._local = config, local
        passed = archive.last_passed
        every_ns = int(config.every_h * NS_PER_H)
        ran_ns = 0 if passed is None else wall_ns() - passed.wall_ms * 1_000_000  # or less: nobody knows
        if ran_ns < -CLOCK_S * NS_PER_S:
            ran_ns = every_ns  # a clock was wrong: how long ago it was, nobody knows
        self._due = Due(every_ns, int(config.grace_min * NS_PER_MIN), max(0, ran_ns))
        self._shift_s: float | None = None if passed is None else passed.wall_ms / 1000
        self._decides: dict[str, Any] | None = None if passed is None else passed.data.get("decides")
        self._part_ns: int | None = None
        self._was_faulty = False  # since the last look
        self.skipped = Result.SKIPPED.value in archive.since_passed
        for reason, holds in (("start", config.after_start), ("failed", failed), ("skipped", self.skipped)):
            if holds:
                self._due.happened(reason)

    @property
    def reasons(self) -> list[str]:
        """Why one is due, as in ``REASONS``."""
        return self._due.reasons

    @property
    def hours_left(self) -> float | None:
        """Hours of running until one is due by the hours; None where that is not asked."""
        left_ns = self._due.left_ns
        return None if left_ns is None else round(left_ns / NS_PER_H, 3)

    def text(self) -> str:
        """Return the alarm's words, or "" where none is due."""
        if not self.reasons:
            return ""
        why = "; ".join(REASONS[reason] for reason in self.reasons)
        return f"{ALARMS['challenge_due'].text} {'It was skipped. ' if self.skipped else ''}Because: {why}."

    def part(self, now: int) -> None:
        """Take that a part came."""
        self._part_ns = now

    def fault(self, faulty: bool) -> None:
        """Take whether the station is in FAULT."""
        self._was_faulty |= faulty

    def failed(self) -> None:
        """Take that a challenge was not passed."""
        self._due.happened("failed")

    def passed(self, decides: dict[str, Any]) -> None:
        """Take that a challenge was passed, by what then decided."""
        self._decides, self.skipped = decides, False
        self._due.passed()

    def look(self, now: int, decides: dict[str, Any], faulty: bool, challenged: bool) -> bool:
        """Look whether one has become due.  True, once, where it is skipped by now.

        Args:
            now: monotonic.
            decides: what decides now.
            faulty: the station is in FAULT.
            challenged: one is under way.
        """
        config = self._config
        if self._decides is not None and decides != self._decides and config.after_change:
            self._due.happened("change")
        self._decides = decides
        if self._was_faulty and not faulty:
            self._was_faulty = False
            if config.after_fault:
                self._due.happened("fault")
        self._heed_shift(self._local())
        if challenged:
            self._due.stand(now)
            return False
        runs = self._part_ns is not None and now - self._part_ns < RUNS_NS
        skipped = self._due.tick(now, runs)
        self.skipped |= skipped
        return skipped

    def _heed_shift(self, local: datetime) -> None:
        began = shift_began(self._config.shifts, local)
        if began is None:
            return
        last_s = self._shift_s
        if last_s is None or began.timestamp() > last_s or last_s > local.timestamp() + CLOCK_S:
            self._shift_s = began.timestamp()
            self._due.happened("shift")
