"""Feeds the service manager's watchdog, only while everything that has something to do does it.

It is fed from the process's own main loop, so a loop that does not turn feeds nothing.  What the other threads do is
seen by their marks.  A process that is not fed for is ended and started again: for a hung driver or engine there is no
other cure, and for one that has nothing to do it would cost parts for nothing.
"""

from __future__ import annotations

import faulthandler
import logging
from collections.abc import Callable, Mapping

from edge import flight
from edge.clock import NS_PER_S
from edge.notify import Notifier
from edge.progress import Marks, Progress

_log = logging.getLogger(__name__)

_STDERR = 2
LOOK_NS = NS_PER_S
"""How often the watchdog is fed, and the marks are looked at."""


class Feeder:
    """Looks at the marks, at most every ``LOOK_NS`` and three times in the watchdog's patience, and feeds it.

    Args:
        notifier: speaks to the service manager.
        patience_ns: as for ``Progress``.
        marks: returns the marks of all that is watched; called from the loop, it must not wait.
        text: says in words how the process is.
    """

    def __init__(
        self,
        notifier: Notifier,
        patience_ns: Mapping[str, int],
        marks: Callable[[], Marks],
        text: Callable[[], str],
    ) -> None:
        self._notifier, self._marks, self._text = notifier, marks, text
        self._look_ns = min(LOOK_NS, notifier.watchdog_ns // 3) if notifier.watchdog_ns else LOOK_NS
        self._progress = Progress(patience_ns, self._look_ns)
        self._due_ns = 0
        self._stuck: list[str] = []

    def turn(self, now: int) -> None:
        """Take a look, where one is due at ``now``, monotonic ns.  Called with each turn of the loop; never waits."""
        if now < self._due_ns:
            return
        self._due_ns = now + self._look_ns
        stuck = self._progress.stuck(now, self._marks())
        if stuck != self._stuck:
            self._tell(stuck)
        if not stuck:
            self._notifier.alive(self._text())

    def _tell(self, stuck: list[str]) -> None:
        self._stuck = stuck
        if stuck:
            problem = f"{' and '.join(stuck)} stands still"
            _log.critical("The watchdog is not fed: %s.", problem)
            flight.request(problem)
            self._notifier.status(f"hung: {problem}")
        else:
            _log.warning("The watchdog is fed again: all goes on.")


def name_the_culprit() -> None:
    """Write every thread's Python stack to stderr where a watchdog ends the process (SIGABRT), or it crashes."""
    faulthandler.enable(_STDERR)
