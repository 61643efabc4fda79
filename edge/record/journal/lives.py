"""The runs of station and gateway: how long each lived, by its own rows and by the other's, and what that excuses."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import chain

from edge.record.journal import spans
from edge.record.journal.records import CountsRow, EventRow, RunRow
from edge.record.journal.spans import Span, Timeline, excuse, says

Key = tuple[str, int]
"""Of a run: boot and start (ns)."""


class Lives:
    """First takes every sign of life, then, once ``settle`` was called, answers.

    Args:
        runs: by process, "station" or "gateway".
        events: by process.
    """

    def __init__(self, runs: dict[str, Iterable[RunRow]], events: dict[str, list[EventRow]]) -> None:
        self._runs = {who: _in_order(each) for who, each in runs.items()}
        self.line = Timeline.of(chain(*self._runs.values()))
        self._starts = {who: sorted((self._start(run), _key(run)) for run in each) for who, each in self._runs.items()}
        self._last: dict[str, dict[Key, int]] = {who: {} for who in runs}
        self._down: dict[str, list[Span]] = {}
        self._away: dict[str, list[Span]] = {}
        self._bypass = spans.bypasses(self.line, events["gateway"])

    def note(self, who: str, boot: str, at_ns: int, wall_ms: int) -> Key | None:
        """Note a row of a process.  Return which run of it wrote that."""
        started = [run.started_ns for run in self._runs[who] if run.boot == boot and run.started_ns <= at_ns]
        if not started:
            return None
        key = boot, max(started)
        self._note(who, key, self.line.at(at_ns, wall_ms))
        return key

    def witness(self, who: str, place: int) -> None:
        """Note what the other side has recorded: that a process, perhaps on another host, was alive."""
        index = bisect_right(self._starts[who], place, key=lambda start: start[0])
        if index:
            self._note(who, self._starts[who][index - 1][1], place)

    def settle(self, events: dict[str, list[EventRow]], station_counts: list[CountsRow]) -> None:
        """Find when who was away."""
        line = self.line
        for who, runs in self._runs.items():
            self._down[who] = spans.absences(who, line, runs, events[who], self._last[who])
        self._away = {who: list(down) for who, down in self._down.items()}
        self._away["gateway"] += spans.between(
            line, events["gateway"], says("session ended"), says("session begun"),
            "the gateway followed no PLC session", across_runs=True,
        )  # fmt: skip
        self._away["station"] += spans.between(
            line, events["station"], says("device_lost trigger"), says("reconnect trigger"),
            "the station's trigger source was away",
        )  # fmt: skip
        self._away["station"] += spans.risen(
            line, station_counts, "trigger_jumps", "the station's trigger counter jumped"
        )

    def excused(self, who: str, start: int, end: int) -> str:
        """Return why a process may not know of something between two places on the line, or ""."""
        return excuse(self._away[who], start, end)

    def lost(self, who: str, start: int, end: int) -> str:
        """Return why the journal of a process may lack what that did know, or ""."""
        return excuse(self._down[who], start, end)

    def bypassed(self, start: int, end: int) -> str:
        """Return "mode bypass" where the gateway let everything pass between two places on the line, or ""."""
        return excuse(self._bypass, start, end)

    def _start(self, run: RunRow) -> int:
        return self.line.at(run.started_ns, run.started_ms)

    def _note(self, who: str, key: Key, place: int) -> None:
        last = self._last[who]
        last[key] = max(place, last.get(key, place))


def rests_in_pass(events: list[EventRow]) -> bool:
    """True where the gate passes parts while it is off, by the gateway's own configuration."""
    actuators = (event.data.get("config", {}).get("actuator") for event in events if event.kind == "started")
    return any(isinstance(a, dict) and a.get("deenergised_state") == "pass" for a in actuators)


def _key(run: RunRow) -> Key:
    return run.boot, run.started_ns


def _in_order(runs: Iterable[RunRow]) -> list[RunRow]:
    """Return each run once, as they began: where a wall clock was set back, the files are in another order."""
    each = {_key(run): run for run in runs}
    boots = list(dict.fromkeys(boot for boot, _ in each))
    return [each[key] for key in sorted(each, key=lambda key: (boots.index(key[0]), key[1]))]
