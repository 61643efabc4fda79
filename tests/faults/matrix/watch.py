"""Looks at the monitor's `/metrics` all the while, as Prometheus would."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections import defaultdict, deque

PERIOD_S = 0.2
PATIENCE_S = 0.5
SILENT = "up 0.0"

GONE_SCRAPES = 2
"""Answered scrapes in a row without a line, before it counts as gone."""


class Watch:
    """Scrapes in a thread of its own, from ``start`` to ``stop``.

    Args:
        url: of the metrics.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._latest: dict[str, float] = {}
        self._answers: deque[frozenset[str]] = deque(maxlen=GONE_SCRAPES)
        self._lines: set[str] = set()
        self._risen: dict[str, float] = defaultdict(float)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._thread.join()

    def begin(self) -> None:
        """Forget what was seen so far; counters rise from here."""
        with self._lock:
            self._lines.clear()
            self._risen.clear()

    def seen(self) -> tuple[frozenset[str], dict[str, float]]:
        """Return every line that was shown since ``begin``, and by counter how much it rose."""
        with self._lock:
            return frozenset(self._lines), dict(self._risen)

    def wait_gone(self, lines: tuple[str, ...], timeout_s: float) -> tuple[str, ...]:
        """Wait until the monitor has answered without any of ``lines``; return those that do not go.

        Silence is no answer: what was shown before still stands.
        """
        end = time.monotonic() + timeout_s
        with self._lock:
            self._answers.clear()
        while (standing := self._standing(lines)) and time.monotonic() < end:
            time.sleep(PERIOD_S / 2)
        return standing

    def _standing(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        with self._lock:
            if len(self._answers) < GONE_SCRAPES:
                return lines
            return tuple(line for line in lines if any(line in answer for answer in self._answers))

    def wait_shown(self, lines: tuple[str, ...], timeout_s: float) -> None:
        """Wait until each of ``lines`` was shown since ``begin``, or for ``timeout_s``: the judge tells."""
        end = time.monotonic() + timeout_s
        while not self._lines.issuperset(lines) and time.monotonic() < end:
            time.sleep(PERIOD_S / 2)

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD_S):
            text = self._scrape()
            with self._lock:
                self._take(text.splitlines())

    def _scrape(self) -> str:
        try:
            with urllib.request.urlopen(self._url, timeout=PATIENCE_S) as answer:
                return str(answer.read(), "utf-8")
        except OSError:  # no answer in time, or nobody there
            return SILENT

    def _take(self, lines: list[str]) -> None:
        shown = frozenset(line for line in lines if not line.startswith("#"))
        self._lines |= shown
        if SILENT not in shown:
            self._answers.append(shown)
        for line in shown:
            name, _, value = line.rpartition(" ")
            if not name.partition("{")[0].endswith("_total"):
                continue
            number = float(value)
            if name in self._latest:  # a counter that fell began anew at zero
                before = self._latest[name]
                self._risen[name] += number - before if number >= before else number
            self._latest[name] = number
