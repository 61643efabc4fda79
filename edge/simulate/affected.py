"""Which plates a fault may have cost their verdict: those whose way from eye to gate lay in its time, or shortly after.

A fault reaches every plate between eye and gate when it begins, and every plate that passes the eye until its allowance
is over: the line has to find out, to shake hands anew, and to let what stood before the fence pass.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

ALLOWANCE_MS = 1500.0
"""For detection and handshake after the end of a fault of which nobody says more: the longest watchdog (500 ms), the
station's re-synchronisation and a new grant (500 ms), and as much again in reserve."""

_REMEMBERED = 64
"""Stretches that are kept once they lie fast: a plate that meets the gate cannot be further back than a few of them."""


@dataclass
class _Stretch:
    """Places on the belt, in counts of true travel at the eye, that a fault reaches.

    ``over_ns``: when fault and allowance are over, None while the fault lasts; ``to`` is known from then on.
    """

    name: str
    start: int
    over_ns: int | None = None
    to: int | None = None


class FaultLog:
    """Faults of a run, by the belt's true travel.

    Args:
        reach: counts from the eye to where a plate has passed the gate.
        pitch: counts by which a fence reaches behind what the eye has seen.

    Attributes:
        begun: how many faults of each name have begun.
    """

    def __init__(self, reach: int, pitch: int) -> None:
        self.begun: Counter[str] = Counter()
        self._reach, self._pitch = reach, pitch
        self._stretches: list[_Stretch] = []

    @property
    def running(self) -> list[str]:
        """Names of the faults that have not ended."""
        return [stretch.name for stretch in self._stretches if stretch.over_ns is None]

    def begin(self, name: str, place: int) -> None:
        """Let a fault begin while the belt has travelled ``place`` counts."""
        self.begun[name] += 1
        self._stretches.append(_Stretch(name, place - self._reach))

    def end(self, name: str, now_ns: int, allowance_ms: float) -> None:
        """Let the oldest running fault of this name end.

        Raises:
            ValueError: none of this name runs.
        """
        stretch = next((s for s in self._stretches if s.name == name and s.over_ns is None), None)
        if stretch is None:
            raise ValueError(f"no fault {name!r} is running; there are {', '.join(self.running) or 'none'}")
        stretch.over_ns = now_ns + round(allowance_ms * 1_000_000)

    def watch(self, now_ns: int, place: int) -> None:
        """Note where the belt is, once a scan: from where an allowance ends, one pitch more is behind the fence."""
        for stretch in self._stretches:
            if stretch.to is None and stretch.over_ns is not None and stretch.over_ns <= now_ns:
                stretch.to = max(stretch.start + self._reach, place) + self._pitch
        if len(self._stretches) > 2 * _REMEMBERED:
            old = self._stretches[:-_REMEMBERED]
            self._stretches = [*(s for s in old if s.to is None), *self._stretches[-_REMEMBERED:]]

    def reaching(self, place: int) -> tuple[str, ...]:
        """Return what a plate that meets the gate now, and was at the eye at ``place``, may suffer from."""
        reached = (s.name for s in self._stretches if s.start <= place and (s.to is None or place <= s.to))
        return tuple(dict.fromkeys(reached))
