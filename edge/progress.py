"""What stands still though it has something to do.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

Marks = Mapping[str, "int | None"]
"""By name of what is watched: a number that changes with each of its steps, or None while it has nothing to do."""


class Progress:
    """Compares marks with each look.

    Only time in which looks are made counts: while the whole process is held up (stopped, or without a processor)
    nobody looks, and nobody can be blamed.  But a process that is held up again and again does not wipe out what one of
    its threads owes.

    Args:
        patience_ns: by name, how long a thing that has something to do may take for a step.
        look_ns: the least time between two looks; one that comes after more than twice this counts as twice this.

    Raises:
        ValueError: a patience is so short that one late look would end it.
    """

    def __init__(self, patience_ns: Mapping[str, int], look_ns: int) -> None:
        if min(patience_ns.values()) <= 2 * look_ns:
            raise ValueError(f"A patience of {min(patience_ns.values())} ns is too short for a look each {look_ns} ns.")
        self._patience_ns, self._longest_ns = dict(patience_ns), 2 * look_ns
        self._still_ns = dict.fromkeys(patience_ns, 0)
        self._marks: dict[str, int | None] = {}
        self._looked_ns: int | None = None

    def stuck(self, now: int, marks: Marks) -> list[str]:
        """Take a look at ``now``, monotonic ns.  Return the names of what has stood still for longer than it may.

        Raises:
            ValueError: ``marks`` are not of the things that are watched.
        """
        if marks.keys() != self._patience_ns.keys():
            raise ValueError(f"Marks of {sorted(marks)} instead of {sorted(self._patience_ns)}.")
        passed = 0 if self._looked_ns is None else min(now - self._looked_ns, self._longest_ns)
        self._looked_ns = now
        for name, mark in marks.items():
            stands = mark is not None and mark == self._marks.get(name)
            self._still_ns[name] = self._still_ns[name] + passed if stands else 0
        self._marks = dict(marks)
        return [name for name, still in self._still_ns.items() if still > self._patience_ns[name]]
