"""When the `pulse` signal energises the gate's output.  Pure: positions are encoder counts.

Where the gate rests in reject, the output means PASS and is energised for parts with a permit.  Where it rests in
pass, the output means REJECT and is energised for every other part.  Windows that touch merge, and stand or fall
together: the gate cannot tell their parts apart, and rejects win.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge.core.counter import delta, wrap


@dataclass(frozen=True)
class GateGeometry:
    """Of the gate, in counts and milliseconds.

    Attributes:
        gate: trigger to gate.
        lead: how far ahead of a part's front, and behind its tail, the gate must be in place.
        length: of the longest part.
        on_ms, off_ms: from switching the output on, or off, to the gate being in place.
        most_on_ms: longest time that the output may be energised without a break, 0 for no limit.
        rests_in_pass: what the gate does while the output is off.
    """

    gate: int
    lead: int
    length: int
    on_ms: float
    off_ms: float
    most_on_ms: float = 0.0
    rests_in_pass: bool = False


@dataclass
class _Window:
    number: int
    start: int
    end: int
    permitted: bool = False
    begun: bool = False
    opened: bool = False
    over: bool = False
    shared: bool = False


class PulseGate:
    """Holds a window for every part between eye and gate, and says whether the output is on.

    Attributes:
        on: the output, as last computed.
        overheated: the output was switched off because it had been on for ``most_on_ms``.
    """

    def __init__(self, geometry: GateGeometry) -> None:
        self._g = geometry
        self._windows: deque[_Window] = deque()
        self._on_since_ns: int | None = None
        self.on = False
        self.overheated = False

    def part(self, number: int, count: int) -> None:
        """Take a part that the PLC counted at ``count``; it has no permit yet.  One that is known changes nothing.

        A part that begins within the length of a forerunner without a permit, as from an eye that bounces, shares its
        window, which can get no permit any more.
        """
        start = wrap(count + self._g.gate - self._g.lead)
        end = wrap(count + self._g.gate + self._g.length + self._g.lead)
        if self._windows:
            last = self._windows[-1]
            if not last.permitted and 0 <= delta(start, last.start) < self._g.length:
                if number != last.number:
                    last.end, last.shared = end, True
                return
        if all(window.number != number for window in self._windows):
            self._windows.append(_Window(number, start, end))

    def permit(self, number: int) -> bool:
        """Give a part its permit.  False where it has no window, or its window has begun."""
        for window in self._windows:
            if window.number == number and not window.begun and not window.shared:
                window.permitted = True
                return True
        return False

    def restart(self) -> list[int]:
        """Forget every window; return the parts that had a permit."""
        held = self.clear()
        self._windows.clear()
        return held

    def clear(self) -> list[int]:
        """Withdraw every permit, as something is in doubt; return their parts."""
        held = [window for window in self._windows if window.permitted]
        for window in held:
            window.permitted = False
        return [window.number for window in held]

    def advance(self, count: int, counts_per_ms: float, now_ns: int) -> list[tuple[int, str]]:
        """Compute the output at the belt's place and speed.

        A permit whose window touches that of a part without one is withdrawn when the window begins: a follower's own
        permit comes too late to be waited for.

        Returns:
            (number, what) for "executed" and "rejected" parts that have left the gate, and for permits withdrawn:
            "collateral", or "overheated" where the output had to be switched off.
        """
        ahead_on, ahead_off = (round(ms * counts_per_ms) for ms in (self._g.on_ms, self._g.off_ms))
        events: list[tuple[int, str]] = []
        at_gate: list[_Window] = []
        for at, window in enumerate(self._windows):
            if not window.begun and delta(count + ahead_on, window.start) < 0:
                break  # the windows lie in order
            if not window.begun and window.permitted and self._is_inseparable(at, max(0, ahead_on - ahead_off)):
                self._withdraw(window, "collateral", events)
            window.begun = True
            window.over = window.over or delta(count + ahead_off, window.end) >= 0
            if not window.over:
                at_gate.append(window)
        rejects = any(not window.permitted for window in at_gate)
        self._switch(rejects if self._g.rests_in_pass else bool(at_gate) and not rejects, now_ns)
        for window in at_gate:
            if window.permitted and self.on is not self._g.rests_in_pass:
                window.opened = True
            elif window.permitted:
                self._withdraw(window, "overheated" if self.overheated else "collateral", events)
        while self._windows and delta(count, self._windows[0].end) >= 0:
            window = self._windows.popleft()
            events.append((window.number, "executed" if window.permitted and window.opened else "rejected"))
        return events

    def next_counts(self, count: int, counts_per_ms: float) -> int | None:
        """Return how many counts remain until the output may change, or None without windows."""
        ahead_on, ahead_off = (round(ms * counts_per_ms) for ms in (self._g.on_ms, self._g.off_ms))
        edges = [delta(w.start, count + ahead_on) for w in self._windows]
        edges += [delta(w.end, count + ahead_off) for w in self._windows]
        edges += [delta(w.end, count) for w in self._windows]
        return min((edge for edge in edges if edge > 0), default=None)

    def _switch(self, wanted: bool, now_ns: int) -> None:
        if not wanted:
            self._on_since_ns, self.overheated = None, False
        elif self._on_since_ns is None:
            self._on_since_ns = now_ns
        elif self._g.most_on_ms and now_ns - self._on_since_ns > self._g.most_on_ms * 1e6:
            self.overheated = True
        self.on = wanted and not self.overheated

    def _withdraw(self, window: _Window, why: str, events: list[tuple[int, str]]) -> None:
        window.permitted = False
        events.append((window.number, why))

    def _is_inseparable(self, at: int, switching: int) -> bool:
        """True where a part without a permit is among those whose windows touch, one after another.

        ``switching``: two windows less than this apart touch at the output.
        """
        windows = self._windows

        def touch(before: _Window, after: _Window) -> bool:
            return delta(after.start, before.end) < switching

        if at > 0 and not windows[at - 1].permitted and touch(windows[at - 1], windows[at]):
            return True
        for follower in range(at + 1, len(windows)):
            if not touch(windows[follower - 1], windows[follower]):
                return False
            if not windows[follower].permitted:
                return True
        return False
