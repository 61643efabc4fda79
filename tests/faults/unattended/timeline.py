"""When what was seen: strings that come and go, noted by a thread that looks all the time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass

from edge.clock import now_ns

PERIOD_S = 0.5


@dataclass
class Spell:
    """A stretch of time, monotonic ns, in which ``what`` was seen; ``ended_ns`` is None while it lasts."""

    what: str
    begun_ns: int
    ended_ns: int | None = None


class Timeline:
    """What was seen when.

    Attributes:
        spells: in the order in which they began.
    """

    def __init__(self) -> None:
        self.spells: list[Spell] = []
        self._standing: dict[str, Spell] = {}

    @property
    def standing(self) -> frozenset[str]:
        """What was seen at the last look."""
        return frozenset(self._standing)

    def see(self, what: Set[str], at_ns: int) -> None:
        """Note all that is seen at a moment; what is missing has ended."""
        for gone in self._standing.keys() - what:
            self._standing[gone].ended_ns = at_ns
        kept = {each: spell for each, spell in self._standing.items() if each in what}
        new = {each: Spell(each, at_ns) for each in sorted(what - kept.keys())}
        self.spells += new.values()
        self._standing = {**kept, **new}

    def find(self, matches: Callable[[str], bool], since_ns: int, until_ns: int) -> Spell | None:
        """Return the stretch from the first to the last matching spell of those that began in a time; None for none.

        Args:
            matches: says whether a string is wanted.
            since_ns, until_ns: monotonic.
        """
        found = [s for s in self.spells if since_ns <= s.begun_ns <= until_ns and matches(s.what)]
        if not found:
            return None
        ends = [s.ended_ns for s in found]
        last = None if None in ends else max(end for end in ends if end is not None)
        return Spell(found[0].what, found[0].begun_ns, last)


class Watcher:
    """Looks at several sources in a thread of its own, from ``start`` to ``stop``.

    Args:
        sources: by name, what tells all that is to be seen there now; an ``OSError`` is seen as such.

    Attributes:
        seen: by name.
    """

    def __init__(self, sources: Mapping[str, Callable[[], Set[str]]]) -> None:
        self.seen = {name: Timeline() for name in sources}
        self._sources = sources
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._thread.join()

    def look(self) -> None:
        """Look once at every source."""
        for name, source in self._sources.items():
            try:
                what = source()
            except OSError as error:
                what = {f"no answer: {error}"}
            self.seen[name].see(what, now_ns())

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD_S):
            self.look()
