"""When a process could not record, or could not know: what excuses a part that its journal lacks.

Times lie on one line: monotonic ns where all runs were within one boot of one host, else wall-clock ns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

from edge.clock import NS_PER_MS
from edge.record.journal.records import CountsRow, EventRow, RunRow

UNCLEAN_NS = 250 * NS_PER_MS
"""So long before a process ended out of order its rows may be missing: the journal's 100 ms, and a commit under way."""

UNDER_WAY_NS = 1_500 * NS_PER_MS
"""From a part's edge to its record by the station, at most: its timeout, and the second in which an answer may come."""


@dataclass(frozen=True)
class Span:
    """From ``start`` to ``end`` (ns), and why."""

    start: int
    end: int
    why: str


@dataclass(frozen=True)
class Timeline:
    """Places rows of several boots on one line.  ``boot`` is the only one that there was, or ""."""

    boot: str

    @classmethod
    def of(cls, runs: Iterable[RunRow]) -> Timeline:
        """Return the line for these runs."""
        boots = {run.boot for run in runs}
        return cls(boots.pop() if len(boots) == 1 else "")

    def at(self, at_ns: int, wall_ms: int) -> int:
        """Return the place of a row."""
        return at_ns if self.boot else wall_ms * NS_PER_MS


FOREVER = 1 << 63

_WHAT = ("what", "device", "mode")

Test = Callable[[EventRow], bool]


def absences(
    who: str, line: Timeline, runs: list[RunRow], events: list[EventRow], last: dict[tuple[str, int], int]
) -> list[Span]:
    """Return when a process was down, or had no room for rows.

    Args:
        who: "station" or "gateway", for the reason.
        line: on which times are placed.
        runs: of the process, in order.
        events: of the process, ``missing`` rows too.
        last: place of the last sign of life of each run, by boot and start: its last row, or what the other side has
            recorded of it later.
    """
    down = f"the {who} was down"
    kind = "part" if who == "station" else "fact"
    works = {key: line.at(at_ns, wall_ms) for key, (at_ns, wall_ms) in _first_states(runs, events).items()}
    stopped = {(e.boot, e.run_ns) for e in events if e.kind == "stopped"}
    keys = [(run.boot, run.started_ns) for run in runs]
    spans = [Span(0, works[keys[0]] if keys else FOREVER, down)]
    for key, after in zip(keys, [*keys[1:], None], strict=True):
        end = max(works[key], last.get(key, 0)) - (0 if key in stopped else UNCLEAN_NS)
        ended = down if after is not None or key in stopped else f"the {who}'s journal ends"
        spans.append(Span(end, FOREVER if after is None else works[after], ended))
    for event in (e for e in events if e.kind == "missing" and e.data["kind"] == kind):
        length = event.data["to_ns"] - event.data["from_ns"]
        end = line.at(event.data["to_ns"], event.wall_ms)
        spans.append(Span(end - length, end, f"the {who}'s journal had no room"))
    return spans


def _first_states(runs: list[RunRow], events: list[EventRow]) -> dict[tuple[str, int], tuple[int, int]]:
    """Return when each run had started up: its first ``state``, of which only a station tells, or its start."""
    found = {(run.boot, run.started_ns): (run.started_ns, run.started_ms) for run in runs}
    for event in reversed(events):
        if event.kind == "state" and (event.boot, event.run_ns) in found:
            found[event.boot, event.run_ns] = event.at_ns, event.wall_ms
    return found


def between(
    line: Timeline, events: list[EventRow], ends: Test, begins: Test, why: str, across_runs: bool = False
) -> list[Span]:
    """Return the spans from an event that ``ends`` something to the next that ``begins`` it.

    The next run of the process ends a span as well, unless it goes on ``across_runs``.
    """
    spans, since, of = [], None, ("", 0)
    for event in events:
        at, run = line.at(event.at_ns, event.wall_ms), (event.boot, event.run_ns)
        if since is not None and (begins(event) or (run != of and not across_runs)):
            spans.append(Span(since, at, why))
            since = None
        if since is None and ends(event):
            since, of = at, run
    if since is not None:
        spans.append(Span(since, FOREVER, why))
    return spans


def says(word: str) -> Test:
    """Return the test for an event that is about ``word``, see ``word_of``."""
    return lambda event: word_of(event) == word


def bypasses(line: Timeline, events: list[EventRow]) -> list[Span]:
    """Return when the gateway was in mode bypass, which no start of it ever restores."""
    return between(
        line, events, says("mode bypass"), lambda event: event.kind == "mode" and event.data.get("mode") != "bypass",
        "mode bypass",
    )  # fmt: skip


def word_of(event: EventRow) -> str:
    """Return what an event is about: its kind, and where it says so, what of it."""
    return f"{event.kind} {next((event.data[key] for key in _WHAT if key in event.data), '')}".strip()


def risen(line: Timeline, counts: list[CountsRow], name: str, why: str) -> list[Span]:
    """Return the spans between two rows of counters of one run between which a counter rose."""
    spans = []
    for before, after in pairwise(counts):
        same = (before.boot, before.run_ns) == (after.boot, after.run_ns)
        if same and after.data.get(name, 0) > before.data.get(name, 0):
            start, end = (line.at(row.at_ns, row.wall_ms) for row in (before, after))
            spans.append(Span(start - UNDER_WAY_NS, end, why))
    return spans


def excuse(spans: Iterable[Span], start: int, end: int) -> str:
    """Return why something between ``start`` and ``end`` may be missing, or ""."""
    for span in spans:
        if span.start <= end and start <= span.end:
            return span.why
    return ""
